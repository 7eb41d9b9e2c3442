//! The signature over a push of usage records, beside the AK/SK signature (spec 5-open-api §6.1).

use data_encoding::BASE64;

use crate::protocol::key::AccessKey;

/// The value of the header `signature`, under the access key of the basic interface (not the secret access key). `ts` is
/// Unix milliseconds; nothing is encoded; `body` is exactly what is sent.
pub fn sign(key: &AccessKey, ts: &str, nonce: &str, body: &str) -> String {
    BASE64.encode(&key.sign(format!("ts={ts}&nonce={nonce}&body={body}").as_bytes()))
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
        inputs: Inputs,
        expected: Expected,
        received: String,
    }

    #[derive(Deserialize)]
    struct Inputs {
        access_key: String,
        ts: String,
        nonce: String,
        body: String,
    }

    #[derive(Deserialize)]
    struct Expected {
        signature: String,
    }

    #[test]
    fn every_vector_is_signed_as_it_says() {
        let text = include_str!("../../../tests/vectors/usage_signature.json");
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        assert!(vectors.len() >= 6);
        for Vector { name, valid, inputs, expected, received } in vectors {
            let key = AccessKey::new("test".to_owned(), Secret::new(inputs.access_key));
            let signature = sign(&key, &inputs.ts, &inputs.nonce, &inputs.body);
            assert_eq!(signature, expected.signature, "{name}");
            assert_eq!(signature == received, valid, "{name}");
        }
    }
}
