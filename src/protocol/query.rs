//! Query strings: form decoding of what stands after the `?` of a request target.
//!
//! Order and repetition are kept, because the V1 authentication signs the decoded pairs. What the parameters mean is
//! said by the families of calls.

use std::borrow::Cow;

/// The decoded pairs of a query string, in the order received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A query string that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the query parameter number {position} is not UTF-8 after percent-decoding")]
pub struct QueryNotUtf8 {
    /// Which pair it was, counted from 1.
    pub position: usize,
}

impl<'a> Query<'a> {
    /// Decodes the raw query string once: `+` is a blank, `%XX` a byte, the bytes are UTF-8.
    ///
    /// A `%` without two hex digits after it stands for itself, as the WHATWG form decoder has it. Refusing would gain
    /// nothing: a caller that encodes badly still signs its decoded text, and text that is not what was signed fails at
    /// the signature. Bytes that are not UTF-8 are an error, since replacing them would make different queries equal.
    ///
    /// # Errors
    /// [`QueryNotUtf8`] when a name or a value is not UTF-8.
    pub fn parse(raw: &'a str) -> Result<Self, QueryNotUtf8> {
        let mut pairs = Vec::new();
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                _ => return Err(QueryNotUtf8 { position: pairs.len() + 1 }),
            }
        }
        Ok(Self { pairs })
    }

    /// The value of the first parameter of this name: later ones do not count (spec README §7.3).
    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_ref())
    }

    /// All pairs in the order received, repeated names included.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

/// Decodes one name or value; `None` when the result is not UTF-8.
pub(super) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let Some(first) = raw.find(['%', '+']) else {
        return Some(Cow::Borrowed(raw));
    };
    let mut bytes = Vec::with_capacity(raw.len());
    bytes.extend_from_slice(&raw.as_bytes()[..first]);
    let mut rest = &raw.as_bytes()[first..];
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    16 * high + low
                }
                _ => byte,
            },
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &str, expected: &[(&str, &str)]) {
        let query = Query::parse(raw).unwrap();
        assert_eq!(query.pairs().collect::<Vec<_>>(), expected, "{raw}");
    }

    #[test]
    fn pairs_are_decoded_once_and_in_order() {
        check("a=1&b=x+y%20z&a=2", &[("a", "1"), ("b", "x y z"), ("a", "2")]);
        check("n=%E6%B5%8B&%2B=%252B", &[("n", "测"), ("+", "%2B")]);
        check("token=a%2Bb/c==", &[("token", "a+b/c==")]);
        check("a=%e6%b5%8b%2f%2F%09", &[("a", "测//\t")]);
    }

    #[test]
    fn empty_pieces_are_skipped_and_missing_values_are_empty() {
        check("", &[]);
        check("&&a&=v&b=&", &[("a", ""), ("", "v"), ("b", "")]);
    }

    #[test]
    fn a_malformed_percent_sequence_stands_for_itself() {
        check("a=%&b=%4&c=%zz&d=%%41&e=100%+b", &[("a", "%"), ("b", "%4"), ("c", "%zz"), ("d", "%A"), ("e", "100% b")]);
    }

    #[test]
    fn the_first_of_repeated_parameters_counts() {
        let query = Query::parse("nonce=&nonce=2&x=3").unwrap();
        assert_eq!(query.first("nonce"), Some(""));
        assert_eq!(query.first("x"), Some("3"));
        assert_eq!(query.first("y"), None);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused_and_the_place_is_named() {
        assert_eq!(Query::parse("a=1&b=%FF"), Err(QueryNotUtf8 { position: 2 }));
        assert_eq!(Query::parse("%C3=1"), Err(QueryNotUtf8 { position: 1 }));
    }

    proptest! {
        #[test]
        fn encoded_pairs_come_back(pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..5)) {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let raw: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            let raw = raw.join("&");
            let query = Query::parse(&raw).unwrap();
            let expected: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(query.pairs().collect::<Vec<_>>(), expected);
        }
    }
}
