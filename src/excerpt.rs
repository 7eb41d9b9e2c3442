//! What may be shown of text that others wrote, the merchant's application or KooGallery: one short line without control
//! characters and without the private values it may quote.
//!
//! Pure. Used for errors and for the log.

use std::cmp::Reverse;

/// Shorter private values are left alone: blanking every "1" would only make the text unreadable.
const SHORTEST_PRIVATE_VALUE: usize = 4;

/// The first `limit` characters of `raw` as one harmless line; `private` values read `***`.
pub(crate) fn excerpt(raw: &[u8], private: &[&str], limit: usize) -> String {
    let text = blanked(&String::from_utf8_lossy(raw), private);
    let visible: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The text with `private` values as `***`. Longer ones go first: one that is part of another would leave the rest of it
/// standing.
pub fn blanked(text: &str, private: &[impl AsRef<str>]) -> String {
    let values = private.iter().map(AsRef::as_ref);
    let mut found: Vec<&str> =
        values.filter(|value| value.len() >= SHORTEST_PRIVATE_VALUE && text.contains(value)).collect();
    found.sort_by_key(|value| Reverse(value.len()));
    found.iter().fold(text.to_owned(), |text, value| text.replace(value, "***"))
}

/// Control characters, and the invisible ones that reorder or hide text in a terminal or a browser.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{2069}'
                | '\u{FEFF}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_line_breaks_become_one_blank() {
        assert_eq!(excerpt(b"\x1b[31mred\r\n\n at line\t7\x00", &[], 200), "[31mred at line 7");
        assert_eq!(excerpt("a\u{202E}b\u{200B}c".as_bytes(), &[], 200), "a b c");
        assert_eq!(excerpt(b"caf\xe9", &[], 200), "caf\u{FFFD}");
    }

    #[test]
    fn long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(excerpt("云商店".as_bytes(), &[], 2), "云商…");
        assert_eq!(excerpt("云商店".as_bytes(), &[], 3), "云商店");
    }

    #[test]
    fn private_values_are_blanked_before_the_cut() {
        assert_eq!(excerpt(b"tel=13800138000 pin=12", &["13800138000", "12"], 200), "tel=*** pin=12");
        assert_eq!(excerpt(b"tel=13800138000", &["13800138000"], 6), "tel=**…");
    }

    #[test]
    fn a_private_value_within_another_leaves_nothing_of_it() {
        for private in [["A1001", "A1001-west"], ["A1001-west", "A1001"]] {
            assert_eq!(blanked("ids A1001-west, A1001", &private), "ids ***, ***");
        }
    }
}
