//! Takes out of a text what nobody but the merchant is to read. Pure.
//!
//! Texts of errors quote applications, and those quote buyers. No list of what is personal is ever complete, so it goes the other
//! way round: a word stays if koogate's own manual has it, and everything else goes.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Where koogate's words are from.
const MANUALS: [&str; 3] = [
    include_str!("../../docs/operations.md"),
    include_str!("../../docs/architecture.md"),
    include_str!("../../docs/security.md"),
];

/// What stands for whatever went.
const GONE: &str = "…";

/// Words in the lower case. A word with a digit, or one that begins with a capital where it is told, is a name or an example.
static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let words = MANUALS.iter().flat_map(|manual| manual.split(|c: char| !c.is_ascii_alphabetic()));
    words.filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())).collect()
});

/// What koogate says with capitals.
const OWN: [&str; 14] = [
    "ALERT",
    "ERROR",
    "WARN",
    "INFO",
    "HTTP",
    "HTTPS",
    "TLS",
    "JSON",
    "UTF",
    "WAL",
    "SQLite",
    "KooGallery",
    "NULL",
    "UTC",
];

/// The text with nothing in it but koogate's words, short numbers and result codes.
pub fn scrub(text: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for token in text.split_whitespace() {
        let core = token.trim_matches(|c: char| c.is_ascii_punctuation());
        let stays = core.is_ascii() && core.split(|c: char| !c.is_ascii_alphanumeric()).all(stays);
        // Punctuation inside may glue pieces of somebody's words together.
        let is_plain =
            core.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'.' | b'_'));
        if stays && is_plain {
            kept.push(token.to_owned());
        } else if kept.last().is_none_or(|last| last != GONE) {
            kept.push(GONE.to_owned());
        }
    }
    kept.join(" ")
}

fn stays(word: &str) -> bool {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.len() <= 3 || (word.len() == 6 && word.starts_with("000"));
    }
    WORDS.contains(word) || OWN.contains(&word) || WORDS.contains(lower_first(word).as_str())
}

/// A sentence may begin with a word.
fn lower_first(word: &str) -> String {
    let (first, rest) = word.split_at(1.min(word.len()));
    // A name of one capital only would pass for any word; three letters at least.
    if word.len() < 3 { String::new() } else { format!("{}{rest}", first.to_ascii_lowercase()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn koogates_words_stay_and_others_go() {
        for (text, expected) in [
            ("the application answered 500", "the application answered 500"),
            ("no answer within 60 s: Zhang San 13800138000", "no answer within 60 s: …"),
            ("cannot store {\"email\":\"a@mail.example\"}", "cannot store …"),
            ("whsec_MDEyMzQ1 is wrong", "… is wrong"),
            ("resultCode 000106, order CS2207261447AUY4H", "… 000106, order …"),
            ("张三 has no account", "… has no account"),
            ("", ""),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }
}
