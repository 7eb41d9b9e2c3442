//! `return_to`: where in the application a user wanted to go. A path of the application's own, never another site's.
//!
//! Pure. Strict on purpose: what one program resolves to the same site, another may take for another one.

use crate::protocol::query::Query;

/// Longest, in bytes.
const LONGEST: usize = 1024;

/// A path of the application, with its query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

/// Not a path, or one that might lead elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("return_to must be a path of the application such as /reports?id=1, of at most {LONGEST} characters")]
pub struct NotAPath;

impl ReturnTo {
    /// Takes a path.
    ///
    /// # Errors
    /// When it is none: it must begin with one slash and hold only characters of a URL; `//`, `.` and `..` segments,
    /// backslashes and slashes in disguise are refused in the path.
    pub fn parse(text: &str) -> Result<Self, NotAPath> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?#".contains(&byte);
        if text.len() > LONGEST || !text.starts_with('/') || !text.bytes().all(good) {
            return Err(NotAPath);
        }
        let path = text.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let in_disguise = ["//", "%2f", "%5c", "%2e"].iter().any(|part| path.contains(part));
        let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
        if in_disguise || dots { Err(NotAPath) } else { Ok(Self(text.to_owned())) }
    }

    /// Takes the path that a request asks for, where it asks for one: an empty one asks for none.
    ///
    /// # Errors
    /// As [`ReturnTo::parse`].
    pub fn asked_for(query: &Query) -> Result<Option<Self>, NotAPath> {
        query.first("return_to").filter(|path| !path.is_empty()).map(Self::parse).transpose()
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_the_application_are_taken_as_they_are() {
        for path in ["/", "/a", "/a/b.c?x=1&y=//z#top", "/%E4%BA%91/", "/a:b@c", "/..a/b.."] {
            assert_eq!(ReturnTo::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn what_might_lead_to_another_site_is_refused() {
        for text in [
            "",
            "a",
            "//evil.com",
            "///evil.com",
            "/\\evil.com",
            "\\\\evil.com",
            "https://evil.com",
            "javascript:alert(1)",
            "/a//b",
            "/..//evil.com",
            "/./a",
            "/a/..",
            "/%2Fevil.com",
            "/%2fevil.com",
            "/%5Cevil.com",
            "/%2e%2e/",
            "/a b",
            "/a\r\nSet-Cookie: x",
            "/\t/evil.com",
            "/云",
            "/\"><script>",
        ] {
            assert_eq!(ReturnTo::parse(text), Err(NotAPath), "{text:?}");
        }
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(1023))).is_ok());
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(1024))).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_on_the_site(text in "[/\\\\.%25eEfFcC:@a?#]{0,12}") {
            if let Ok(path) = ReturnTo::parse(&text) {
                let bytes = path.as_str().as_bytes();
                prop_assert_eq!(bytes[0], b'/');
                prop_assert!(!matches!(bytes.get(1), Some(b'/' | b'\\')));
            }
        }
    }
}
