//! `Body-Sign`: the header by which a seller's server signs its reply (spec 1-basic-v2 §3, 2-basic-v1 §3).
//!
//! The server writes it with [`header_value`]; the simulated KooGallery reads it with [`verify_header`]. The bytes that
//! were signed are the bytes that are sent: nothing may re-serialise them afterwards.

use data_encoding::BASE64;

use crate::protocol::key::AccessKey;

/// The header's name. KooGallery compares it case-sensitively.
pub const HEADER_NAME: &str = "Body-Sign";

/// The header's value for exactly these body bytes.
pub fn header_value(key: &AccessKey, body: &[u8]) -> String {
    format!("sign_type=\"HMAC-SHA256\", signature=\"{}\"", BASE64.encode(&key.sign(body)))
}

/// Why KooGallery would not take a `Body-Sign` header.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum BodySignFault {
    /// The name is spelled another way, as HTTP/2 and many proxies make it.
    #[error("the header is spelled `{found}` and must be spelled `Body-Sign`: KooGallery minds the case")]
    Name {
        /// The spelling received.
        found: String,
    },
    /// Not `sign_type="HMAC-SHA256", signature="…"` with the quotation marks.
    #[error("the value must read sign_type=\"HMAC-SHA256\", signature=\"…\", quotation marks included")]
    Form,
    /// The signature is not the padded base64 of 32 bytes.
    #[error("the signature must be 32 bytes in base64 of the standard alphabet with padding (44 characters)")]
    Encoding,
    /// The signature is not that of these bytes under this key.
    #[error(
        "the signature does not fit: it must be the HMAC-SHA256 of exactly the body bytes sent, under the access key alone"
    )]
    Mismatch,
}

/// Checks a received header as KooGallery does: the name to the letter, the quotation marks required, blanks around the
/// comma and the equals signs tolerated.
///
/// # Errors
/// The first [`BodySignFault`] found.
pub fn verify_header(key: &AccessKey, name: &str, value: &str, body: &[u8]) -> Result<(), BodySignFault> {
    if name != HEADER_NAME {
        return Err(BodySignFault::Name { found: name.to_owned() });
    }
    let signature = quoted_signature(value).ok_or(BodySignFault::Form)?;
    let tag = BASE64.decode(signature.as_bytes()).map_err(|_| BodySignFault::Encoding)?;
    if tag.len() != 32 {
        return Err(BodySignFault::Encoding);
    }
    if key.verify(body, &tag) { Ok(()) } else { Err(BodySignFault::Mismatch) }
}

/// The text between the quotation marks of `signature="…"`.
fn quoted_signature(value: &str) -> Option<&str> {
    let (sign_type, signature) = value.split_once(',')?;
    if quoted(sign_type, "sign_type")? != "HMAC-SHA256" {
        return None;
    }
    quoted(signature, "signature")
}

/// The text of `name="text"`.
fn quoted<'v>(part: &'v str, name: &str) -> Option<&'v str> {
    let value = part.trim_matches(' ').strip_prefix(name)?.trim_start_matches(' ').strip_prefix('=')?;
    let text = value.trim_start_matches(' ').strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('"')).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::secret::Secret;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        valid: bool,
        reason: Option<String>,
        inputs: Inputs,
        expected: Expected,
        received: Received,
    }
    #[derive(Deserialize)]
    struct Inputs {
        access_key: String,
        body: String,
    }
    #[derive(Deserialize)]
    struct Expected {
        header_name: String,
        header_value: String,
    }
    #[derive(Deserialize)]
    struct Received {
        header_name: String,
        header_value: String,
    }

    fn key(secret: &str) -> AccessKey {
        AccessKey::new("test".to_owned(), Secret::new(secret.to_owned()))
    }

    #[test]
    fn every_vector_is_written_and_judged_as_it_says() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/vectors/body_sign.json")).unwrap();
        assert!(vectors.len() >= 12);
        for vector in vectors {
            let key = key(&vector.inputs.access_key);
            let body = vector.inputs.body.as_bytes();
            assert_eq!(vector.expected.header_name, HEADER_NAME, "{}", vector.name);
            assert_eq!(header_value(&key, body), vector.expected.header_value, "{}", vector.name);
            let verdict = verify_header(&key, &vector.received.header_name, &vector.received.header_value, body);
            let expected = match vector.reason.as_deref() {
                None => Ok(()),
                Some("body changed" | "wrong key") => Err(BodySignFault::Mismatch),
                Some("malformed header") => Err(BodySignFault::Form),
                Some("header name case") => Err(BodySignFault::Name { found: "body-sign".to_owned() }),
                Some(other) => panic!("{}: unknown reason {other}", vector.name),
            };
            assert_eq!(vector.valid, expected.is_ok(), "{}", vector.name);
            assert_eq!(verdict, expected, "{}", vector.name);
        }
    }

    #[test]
    fn a_header_of_another_form_is_told_from_a_wrong_signature() {
        let key = key("k");
        let right = header_value(&key, b"{}");
        let check = |value: &str, expected: Result<(), BodySignFault>| {
            assert_eq!(verify_header(&key, HEADER_NAME, value, b"{}"), expected, "{value}");
        };
        check(&right, Ok(()));
        check(&right.replace(", ", " ,  "), Ok(()));
        check(&right.replace("SHA256", "SHA512"), Err(BodySignFault::Form));
        check(&right.replace("signature=", "sign="), Err(BodySignFault::Form));
        check(&right[..right.len() - 1], Err(BodySignFault::Form));
        check(&format!("{right}\""), Err(BodySignFault::Form));
        check("", Err(BodySignFault::Form));
        check("sign_type=\"HMAC-SHA256\", signature=\"\"", Err(BodySignFault::Encoding));
        check("sign_type=\"HMAC-SHA256\", signature=\"AAAA\"", Err(BodySignFault::Encoding));
        check(&right.replace("==", "").replace('=', ""), Err(BodySignFault::Form));
        check(&header_value(&key, b"{} "), Err(BodySignFault::Mismatch));
    }
}
