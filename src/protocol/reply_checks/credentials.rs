//! The encrypted members of a V1 reply: what KooGallery cannot decrypt, the buyer never sees (spec 2-basic-v1 §4).

use serde_json::{Map, Value};

use super::Finding;
use crate::protocol::field_cipher::{self, EncryptType, FieldFault};
use crate::protocol::key::AccessKey;

/// Checks user name and password of a purchase or a query. A body that cannot be read has none.
pub(super) fn check(body: &[u8], key: &AccessKey) -> Vec<Finding> {
    let Ok(Value::Object(reply)) = serde_json::from_slice(body) else { return Vec::new() };
    let encrypt_type = match encrypt_type(&reply) {
        Ok(encrypt_type) => encrypt_type,
        Err(finding) => return vec![finding],
    };
    let info = reply.get("info").and_then(Value::as_array).into_iter().flatten().enumerate();
    let infos = info.map(|(position, entry)| (format!("info[{position}].appInfo"), entry.get("appInfo")));
    let app_infos = std::iter::once(("appInfo".to_owned(), reply.get("appInfo"))).chain(infos);
    let fields = app_infos.flat_map(|(path, app_info)| {
        ["userName", "password"].map(|name| {
            let field = app_info.and_then(|app_info| app_info.get(name)).and_then(Value::as_str);
            (format!("{path}.{name}"), field.filter(|field| !field.is_empty()))
        })
    });
    fields.filter_map(|(path, field)| check_field(&path, field?, key, encrypt_type)).collect()
}

/// What the reply says; KooGallery assumes AES-256 where it says nothing.
fn encrypt_type(reply: &Map<String, Value>) -> Result<EncryptType, Finding> {
    match reply.get("encryptType").map(|code| code.as_str()) {
        None | Some(None | Some("" | "1")) => Ok(EncryptType::Aes256),
        Some(Some("2")) => Ok(EncryptType::Aes128),
        Some(Some(_)) => Err(Finding::fail("encrypt-type", "encryptType must be \"1\" (AES-256) or \"2\" (AES-128)")),
    }
}

fn check_field(path: &str, field: &str, key: &AccessKey, said: EncryptType) -> Option<Finding> {
    let fault = field_cipher::decrypt_exactly(key, said, field).err()?;
    let code = said.code();
    let text = if field_cipher::decrypt_exactly(key, said.other(), field).is_ok() {
        let other = said.other().code();
        format!(
            "{path} is encrypted as encryptType {other}, but the reply says {code}, which is also meant by saying nothing"
        )
    } else if fault == FieldFault::DoesNotDecrypt {
        format!(
            "{path} cannot be decrypted as encryptType {code}; its key must be the first {} bytes of Java's SHA1PRNG \
             stream over the access key, read in one go (ports that give 20 bytes are wrong), the mode CBC with the 16 \
             first characters as its IV",
            if said == EncryptType::Aes256 { 32 } else { 16 }
        )
    } else {
        format!("{path} is not encrypted as V1 wants it, 16 characters of IV and base64: {fault}")
    };
    Some(Finding::fail("encryption", text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::field_cipher::Iv;
    use crate::secret::Secret;

    fn key() -> AccessKey {
        AccessKey::new("k".to_owned(), Secret::new("11111111-2222-3333-4444-555555555555".to_owned()))
    }

    fn encrypted(encrypt_type: EncryptType) -> String {
        field_cipher::encrypt(&key(), encrypt_type, Iv::parse("Abcdefgh12345678").unwrap(), "P@ssw0rd!")
    }

    /// What is found of a reply with this `encryptType` and password.
    fn check_one(encrypt_type: &Value, password: &str) -> String {
        let body = json!({"resultCode": "000000", "encryptType": encrypt_type, "appInfo": {"password": password}});
        let findings = check(body.to_string().as_bytes(), &key());
        findings.into_iter().map(|finding| format!("{}: {}", finding.rule, finding.text)).collect()
    }

    #[test]
    fn fields_that_decrypt_as_the_reply_says_are_good() {
        let (large, small) = (encrypted(EncryptType::Aes256), encrypted(EncryptType::Aes128));
        assert_eq!(check_one(&json!("1"), &large), "");
        assert_eq!(check_one(&Value::Null, &large), "");
        assert_eq!(check_one(&json!("2"), &small), "");
        assert_eq!(check_one(&json!("2"), ""), "");
        assert_eq!(check(b"no JSON", &key()), []);
    }

    #[test]
    fn the_wrong_size_is_told_from_the_wrong_key_and_from_plain_text() {
        let small = encrypted(EncryptType::Aes128);
        assert!(
            check_one(&Value::Null, &small).starts_with("encryption: appInfo.password is encrypted as encryptType 2")
        );
        assert!(check_one(&json!("3"), &small).starts_with("encrypt-type: "));
        // The 32 bytes of key end after 20.
        let short = "Abcdefgh12345678bcAIPzVc4aVP4Rx4ZX7nMQ==";
        assert!(check_one(&json!("1"), short).contains("first 32 bytes"), "{}", check_one(&json!("1"), short));
        let plain = check_one(&json!("1"), "made-up-password-in-the-clear");
        assert!(plain.contains("not encrypted as V1 wants it") && !plain.contains("made-up"), "{plain}");
    }

    #[test]
    fn entries_of_a_query_are_named() {
        let body = json!({"info": [{"appInfo": {"userName": encrypted(EncryptType::Aes256)}}, {"appInfo": {"userName": "u"}}]});
        let findings = check(body.to_string().as_bytes(), &key());
        assert_eq!(findings.len(), 1);
        assert!(findings[0].text.starts_with("info[1].appInfo.userName "), "{findings:?}");
    }
}
