//! Which paths a Rust source names, in imports and in code; code for tests is left out.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Every path of a source, each `use` tree taken apart: `use std::{fs, io::Read}` names `std::fs` and `std::io::Read`.
pub fn named_paths(source: &str) -> Vec<String> {
    let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{error} in\n{source}"));
    let mut paths = Vec::new();
    collect(tokens, &mut paths);
    paths
}

fn collect(tokens: TokenStream, paths: &mut Vec<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            at = end_of_item(&tokens, at + 2);
            continue;
        }
        at = match &tokens[at] {
            TokenTree::Ident(name) if name == "use" => import_from(&tokens, at + 1, paths),
            TokenTree::Ident(_) => path_from(&tokens, at, "", paths),
            TokenTree::Group(group) => {
                collect(group.stream(), paths);
                at + 1
            }
            _ => at + 1,
        };
    }
}

/// Reads what is imported. A crate by its bare name is written as `name::self`, to tell it from a variable.
fn import_from(tokens: &[TokenTree], at: usize, paths: &mut Vec<String>) -> usize {
    let before = paths.len();
    let end = path_from(tokens, at, "", paths);
    for path in &mut paths[before..] {
        if !path.contains("::") {
            path.push_str("::self");
        }
    }
    end
}

/// Reads a path that begins with a name at `at`; returns where it ends.
fn path_from(tokens: &[TokenTree], mut at: usize, prefix: &str, paths: &mut Vec<String>) -> usize {
    let mut path = prefix.to_owned();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => {
                path.push_str(&name.to_string());
                at += 1;
            }
            // The branches of a `use` tree.
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && path.ends_with("::") => {
                let branches: Vec<_> = group.stream().into_iter().collect();
                for branch in branches.split(|token| is_punct(Some(token), ',')).filter(|branch| !branch.is_empty()) {
                    path_from(branch, 0, &path, paths);
                }
                return at + 1;
            }
            // A glob, a turbofish.
            _ => break,
        }
        if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
            break;
        }
        path.push_str("::");
        at += 2;
    }
    paths.push(path.trim_end_matches("::").to_owned());
    at
}

/// `#[cfg(test)]`.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [first, TokenTree::Group(attribute), ..] = tokens else { return false };
    is_punct(Some(first), '#') && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// After the first `;` or block: the end of the item that an attribute stands before.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let ends = |token: &TokenTree| {
        is_punct(Some(token), ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens[from..].iter().position(ends).map_or(tokens.len(), |end| from + end + 1)
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

#[test]
fn imports_code_and_macros_are_read_and_texts_comments_and_tests_are_not() {
    let source = r##"
        //! std::doc
        use std::{fs, io::{self, Read as _}};
        use crate::store::*;
        use ureq as u;
        fn f(a: &jiff::Timestamp) -> Vec<u8> { log::warn!("std::text {}", std::net::x()); /* std::comment */ a::<b::C>() }
        #[cfg(test)]
        mod tests { use std::thread; }
        #[cfg(test)]
        use std::process;
    "##;
    let found = named_paths(source);
    for path in [
        "std::fs",
        "std::io::self",
        "std::io::Read",
        "crate::store",
        "jiff::Timestamp",
        "log::warn",
        "std::net::x",
        "b::C",
    ] {
        assert!(found.contains(&path.to_owned()), "{path} is not in {found:?}");
    }
    for path in ["std::doc", "std::text", "std::comment", "std::thread", "std::process"] {
        assert!(!found.contains(&path.to_owned()), "{path} is in {found:?}");
    }
}
