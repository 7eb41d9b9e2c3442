//! Texts of the wire and their lengths.

/// Documented maximum of `resultMsg`.
pub const MAX_MESSAGE: usize = 255;

/// A text for `resultMsg`, cut to its maximum. Lengths count UTF-16 code units, as KooGallery's Java does; that is never
/// less than the number of characters.
pub fn message(text: &str) -> String {
    let mut units = 0;
    text.chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= MAX_MESSAGE
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters_and_never_beyond_the_maximum() {
        assert_eq!(message("short"), "short");
        assert_eq!(message(&"云".repeat(300)), "云".repeat(255));
        assert_eq!(message(&"😀".repeat(300)), "😀".repeat(127));
    }
}
