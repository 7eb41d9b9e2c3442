//! JSON of replies: compact, every non-ASCII character written as `\uXXXX` (documented for `appInfo.memo`, done for all).

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// The value as ASCII JSON.
///
/// # Errors
/// When the value has no JSON form (a map whose keys are no strings, say), never for the plain structs of the replies.
pub fn to_vec<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut out, AsciiFormatter(CompactFormatter)))?;
    Ok(out)
}

struct AsciiFormatter(CompactFormatter);

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(position) = rest.find(|c: char| !c.is_ascii()) {
            self.0.write_string_fragment(writer, &rest[..position])?;
            let mut tail = rest[position..].chars();
            if let Some(character) = tail.next() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = tail.as_str();
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chinese_and_emoji_become_escapes() {
        assert_eq!(to_vec(&"a测😀\n\"").unwrap(), br#""a\u6d4b\ud83d\ude00\n\"""#);
    }

    proptest! {
        #[test]
        fn any_text_is_ascii_on_the_wire_and_reads_back_unchanged(text in any::<String>()) {
            let json = to_vec(&text).unwrap();
            prop_assert!(json.is_ascii());
            prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
        }
    }
}
