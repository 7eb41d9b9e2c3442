//! The vectors of the encryption, a second implementation of AES-CBC, and fields that are none.

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::access::V1_CREDENTIAL_BYTES;

#[derive(Deserialize)]
struct Vector {
    name: String,
    valid: bool,
    reason: Option<String>,
    inputs: Inputs,
    intermediate: Intermediate,
    expected: Expected,
    received: String,
}
#[derive(Deserialize)]
struct Inputs {
    access_key: String,
    encrypt_type: String,
    iv: Option<String>,
    plaintext: Option<String>,
}
#[derive(Deserialize)]
struct Intermediate {
    key_hex: String,
    plaintext_utf8_hex: Option<String>,
    ciphertext_base64: Option<String>,
}
#[derive(Deserialize)]
struct Expected {
    field: Option<String>,
    field_length: Option<usize>,
    error: Option<String>,
}

const ACCESS_KEY: &str = "11111111-2222-3333-4444-555555555555";
const IV: &str = "Abcdefgh12345678";
const SIZES: [EncryptType; 2] = [EncryptType::Aes256, EncryptType::Aes128];

fn key(secret: &str) -> AccessKey {
    AccessKey::new("test".to_owned(), Secret::new(secret.to_owned()))
}

fn iv() -> Iv {
    Iv::parse(IV).unwrap()
}

fn text_of(decrypted: Result<Secret<String>, FieldFault>) -> Result<String, FieldFault> {
    decrypted.map(|secret| secret.expose().clone())
}

fn derived_hex(key: &AccessKey, encrypt_type: EncryptType) -> String {
    match encrypt_type {
        EncryptType::Aes256 => HEXLOWER.encode(derived::<32>(key).as_slice()),
        EncryptType::Aes128 => HEXLOWER.encode(derived::<16>(key).as_slice()),
    }
}

/// The other implementation, with the key as ours derives it.
fn libaes(key: &AccessKey, encrypt_type: EncryptType) -> libaes::Cipher {
    match encrypt_type {
        EncryptType::Aes256 => libaes::Cipher::new_256(&derived::<32>(key)),
        EncryptType::Aes128 => libaes::Cipher::new_128(&derived::<16>(key)),
    }
}

#[test]
fn every_vector_is_encrypted_and_decrypted_as_it_says() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/aes.json")).unwrap();
    assert_eq!(vectors.len(), 15);
    for Vector { name, valid, reason, inputs, intermediate, expected, received } in vectors {
        let key = key(&inputs.access_key);
        let encrypt_type = SIZES.into_iter().find(|size| size.code() == inputs.encrypt_type).unwrap();
        assert_eq!(derived_hex(&key, encrypt_type), intermediate.key_hex, "{name}");
        let decrypted = text_of(decrypt_exactly(&key, encrypt_type, &received));
        assert_eq!(decrypted.is_ok(), valid, "{name}");
        let Some(reason) = reason else {
            let (iv, plaintext) = (inputs.iv.unwrap(), inputs.plaintext.unwrap());
            assert_eq!(HEXLOWER.encode(plaintext.as_bytes()), intermediate.plaintext_utf8_hex.unwrap(), "{name}");
            let field = encrypt(&key, encrypt_type, Iv::parse(&iv).unwrap(), &plaintext);
            assert_eq!(field, format!("{iv}{}", intermediate.ciphertext_base64.unwrap()), "{name}");
            assert_eq!(Some(&field), expected.field.as_ref(), "{name}");
            assert_eq!(Some(field.len()), expected.field_length, "{name}");
            assert_eq!(field, received, "{name}");
            assert_eq!(decrypted, Ok(plaintext), "{name}");
            continue;
        };
        assert_eq!(expected.error.as_deref(), Some("cannot decrypt"), "{name}");
        let fault = match reason.as_str() {
            "truncated" => FieldFault::NotWholeBlocks,
            "too short" => FieldFault::TooShort,
            "wrong key size" | "ciphertext changed" | "wrong key" => FieldFault::DoesNotDecrypt,
            other => panic!("{name}: unknown reason {other}"),
        };
        assert_eq!(decrypted, Err(fault), "{name}");
    }
}

#[test]
fn either_size_is_read_whichever_is_tried_first() {
    let key = key(ACCESS_KEY);
    for encrypted in SIZES {
        let field = encrypt(&key, encrypted, iv(), "13800138000");
        for first in SIZES {
            assert_eq!(text_of(decrypt(&key, first, &field)).as_deref(), Ok("13800138000"));
        }
        assert_eq!(decrypt_exactly(&key, encrypted.other(), &field), Err(FieldFault::DoesNotDecrypt));
    }
    assert_eq!(EncryptType::default().code(), "1");
}

#[test]
fn a_lost_plus_is_restored_before_decrypting() {
    let field = "Abcdefgh12345678vQItzmdTfufFPV7Yo+gfqg==";
    assert_eq!(text_of(decrypt(&key(ACCESS_KEY), EncryptType::Aes256, &field.replace('+', " "))), Ok("admin".into()));
}

#[test]
fn what_is_no_field_is_told_apart() {
    let check = |field: &str, expected: FieldFault| {
        for size in SIZES {
            assert_eq!(decrypt(&key(ACCESS_KEY), size, field), Err(expected), "{field}");
            assert_eq!(decrypt_exactly(&key(ACCESS_KEY), size, field), Err(expected), "{field}");
        }
    };
    check("", FieldFault::TooShort);
    check("Abcdefgh1234567", FieldFault::TooShort);
    check("云云商店云商店", FieldFault::TooShort);
    check("Abcdefgh1234567云5S48nLw9Gz2QJl/b0c+YtA==", FieldFault::IvNotAscii);
    check("Abcdefgh12345678", FieldFault::NotWholeBlocks);
    check("Abcdefgh123456785S48nLw9Gz2QJl/b0c+Y", FieldFault::NotWholeBlocks);
    check("Abcdefgh123456785S48nLw9Gz2QJl/b0c+YtA", FieldFault::NotBase64);
    check("Abcdefgh123456785S48nLw9Gz2QJl_b0c-YtA==", FieldFault::NotBase64);
    check("Abcdefgh12345678云云", FieldFault::NotBase64);
    check("Abcdefgh12345678AAAAAAAAAAAAAAAAAAAAAA==", FieldFault::DoesNotDecrypt);
}

#[test]
fn bytes_that_are_no_utf8_do_not_decrypt() {
    let key = key(ACCESS_KEY);
    for size in SIZES {
        let ciphertext = libaes(&key, size).cbc_encrypt(IV.as_bytes(), b"caf\xe9");
        let field = format!("{IV}{}", BASE64.encode(&ciphertext));
        assert_eq!(decrypt(&key, size, &field), Err(FieldFault::DoesNotDecrypt));
    }
}

#[test]
fn any_ascii_characters_are_read_as_an_initialisation_vector() {
    let key = key(ACCESS_KEY);
    let iv = "a+b/c=d e-f_g!h\t";
    let ciphertext = libaes(&key, EncryptType::Aes128).cbc_encrypt(iv.replace(' ', "+").as_bytes(), b"text");
    let field = format!("{iv}{}", BASE64.encode(&ciphertext));
    assert_eq!(text_of(decrypt(&key, EncryptType::Aes256, &field)).as_deref(), Ok("text"));
}

#[test]
fn only_16_letters_and_digits_are_sent_as_an_initialisation_vector() {
    assert_eq!(Iv::parse(IV).map(|iv| iv.to_string()).as_deref(), Some(IV));
    for text in ["", "Abcdefgh1234567", "Abcdefgh123456789", "Abcdefgh1234567+", "Abcdefgh123456 8", "Abcdefgh12345云"]
    {
        assert_eq!(Iv::parse(text), None, "{text}");
    }
}

#[test]
fn the_field_of_the_longest_plaintext_fits_and_that_of_a_longer_one_does_not() {
    assert_eq!(V1_CREDENTIAL_BYTES, MAX_PLAINTEXT);
    let key = key(ACCESS_KEY);
    for size in SIZES {
        assert!(encrypt(&key, size, iv(), &"x".repeat(MAX_PLAINTEXT)).len() <= 128);
        assert!(encrypt(&key, size, iv(), &"x".repeat(MAX_PLAINTEXT + 1)).len() > 128);
    }
}

#[test]
fn no_fault_shows_the_value() {
    let fault = decrypt(&key(ACCESS_KEY), EncryptType::Aes256, "hunter2hunter2hunter2").unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains("hunter2"));
}

/// Unicode text of at most [`MAX_PLAINTEXT`] bytes.
fn plaintext() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~]{0,79}", "[一-龥]{0,26}"].prop_map(|mut text| {
        text.truncate(text.floor_char_boundary(MAX_PLAINTEXT));
        text
    })
}

proptest! {
    #[test]
    fn another_implementation_reads_what_is_written_and_is_read(
        text in plaintext(),
        secret in "[!-~]{1,40}",
        iv in "[A-Za-z0-9]{16}",
    ) {
        let key = key(&secret);
        for size in SIZES {
            let field = encrypt(&key, size, Iv::parse(&iv).unwrap(), &text);
            prop_assert_eq!(text_of(decrypt_exactly(&key, size, &field)), Ok(text.clone()));
            let other = libaes(&key, size);
            let ciphertext = BASE64.decode(&field.as_bytes()[16..]).unwrap();
            prop_assert_eq!(other.cbc_decrypt(iv.as_bytes(), &ciphertext), text.as_bytes());
            let written = format!("{iv}{}", BASE64.encode(&other.cbc_encrypt(iv.as_bytes(), text.as_bytes())));
            prop_assert_eq!(&written, &field);
            prop_assert_eq!(text_of(decrypt_exactly(&key, size, &written)), Ok(text.clone()));
        }
    }

    #[test]
    fn no_text_makes_decrypting_panic(
        field in prop_oneof![any::<String>(), "[A-Za-z0-9]{16}([A-Za-z0-9+/]{64}){0,3}", "[ -~云]{15,18}[A-Za-z0-9+/=]{0,24}"],
        blocks in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let key = key(ACCESS_KEY);
        for size in SIZES {
            let _ = decrypt(&key, size, &field);
            let _ = decrypt_exactly(&key, size, &format!("{IV}{}", BASE64.encode(&blocks)));
        }
    }
}
