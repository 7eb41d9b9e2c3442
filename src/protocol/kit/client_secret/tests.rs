//! Secrets made by OpenSSL, by a JDK, by WebCrypto and by ourselves, and whatever else may come in their place.

use std::sync::LazyLock;

use proptest::prelude::*;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Fixtures {
    keys: Keys,
    cases: Vec<Case>,
}
#[derive(Deserialize)]
struct Keys {
    pkcs8: Pair,
    pkcs1: Pair,
    too_small: Pair,
}
#[derive(Deserialize)]
struct Pair {
    private: String,
    public: String,
}
#[derive(Deserialize)]
struct Case {
    made_by: String,
    key: String,
    oaep_digest: String,
    mgf1_digest: String,
    text: String,
    ciphertext: String,
}

static FIXTURES: LazyLock<Fixtures> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../../tests/vectors/kit_oaep.json")).unwrap());

/// The PKCS#8 key, then the PKCS#1 key.
static BOTH: LazyLock<PrivateKeys> = LazyLock::new(|| keys([&FIXTURES.keys.pkcs8, &FIXTURES.keys.pkcs1]));

fn keys<'p>(pairs: impl IntoIterator<Item = &'p Pair>) -> PrivateKeys {
    PrivateKeys::parse(pairs.into_iter().map(|pair| pair.private.as_str())).unwrap()
}

fn system(bytes: &mut [u8]) -> bool {
    SystemRandom::new().fill(bytes).is_ok()
}

impl Case {
    fn oaep(&self) -> Oaep {
        match (self.oaep_digest.as_str(), self.mgf1_digest.as_str()) {
            ("sha256", "sha256") => Oaep::Sha256,
            ("sha256", "sha1") => Oaep::Sha256MaskSha1,
            ("sha1", "sha1") => Oaep::Sha1,
            other => panic!("unknown combination {other:?}"),
        }
    }
}

#[test]
fn what_others_encrypt_is_decrypted_with_the_combination_found() {
    let by = |tool: &str| FIXTURES.cases.iter().filter(|case| case.made_by.starts_with(tool)).count();
    assert_eq!((by("OpenSSL"), by("JDK"), by("WebCrypto"), FIXTURES.cases.len()), (4, 4, 2, 10));
    for case in &FIXTURES.cases {
        let number = usize::from(case.key == "pkcs1");
        let expected = (Secret::new(case.text.clone()), case.oaep(), number);
        assert_eq!(BOTH.decrypt(&case.ciphertext, &Oaep::AUTO), Ok(expected.clone()), "{}", case.made_by);
        assert_eq!(BOTH.decrypt(&case.ciphertext, &[case.oaep()]), Ok(expected), "{}", case.made_by);
        let others: Vec<_> = Oaep::AUTO.into_iter().filter(|oaep| *oaep != case.oaep()).collect();
        assert_eq!(BOTH.decrypt(&case.ciphertext, &others), Err(ClientSecretFault::Undecryptable), "{}", case.made_by);
    }
}

#[test]
fn what_is_encrypted_here_is_decrypted_here() {
    let pair = &FIXTURES.keys.pkcs8;
    for (oaep, longest) in [(Oaep::Sha256, 318), (Oaep::Sha256MaskSha1, 318), (Oaep::Sha1, 342)] {
        for text in ["".to_owned(), "密".to_owned(), "x".repeat(longest)] {
            let ciphertext = encrypt(&pair.public, oaep, &text, &mut system).unwrap();
            assert_eq!(ciphertext.len(), 512);
            assert_eq!(BOTH.decrypt(&ciphertext, &Oaep::AUTO), Ok((Secret::new(text), oaep, 0)));
        }
        let too_long = encrypt(&pair.public, oaep, &"x".repeat(longest + 1), &mut system);
        assert_eq!(too_long, Err(EncryptFault::Unencryptable));
    }
    assert_eq!(encrypt(&pair.public, Oaep::Sha1, "x", &mut |_| false), Err(EncryptFault::Unencryptable));
    for no_key in ["", "AAAA", "no base64!", pair.private.as_str()] {
        assert_eq!(encrypt(no_key, Oaep::Sha1, "x", &mut system), Err(EncryptFault::NoPublicKey));
    }
}

#[test]
fn a_secret_is_encrypted_in_another_way_each_time_with_the_random_bytes_handed_in() {
    let public = &FIXTURES.keys.pkcs8.public;
    let under = |byte: u8| {
        let mut random = |bytes: &mut [u8]| {
            bytes.fill(byte);
            true
        };
        encrypt(public, Oaep::Sha256, "x", &mut random).unwrap()
    };
    assert_eq!(under(1), under(1));
    assert_ne!(under(1), under(2));
    let mut counted = 0_u8;
    let mut count = |bytes: &mut [u8]| {
        bytes.iter_mut().for_each(|byte| *byte = counted + 1);
        counted += 1;
        counted < 3
    };
    let mut random = Random(&mut count);
    assert_eq!(random.try_next_u32().ok(), Some(0x0101_0101));
    assert_eq!(random.try_next_u64().ok(), Some(0x0202_0202_0202_0202));
    assert!(random.try_next_u32().is_err());
}

#[test]
fn each_combination_has_its_word_in_the_log() {
    let words = Oaep::AUTO.map(|oaep| oaep.to_string());
    assert_eq!(words, ["SHA-256/SHA-256", "SHA-256/SHA-1", "SHA-1/SHA-1"]);
    assert_eq!(words, Oaep::AUTO.map(Oaep::as_str));
}

#[test]
fn white_space_and_padding_of_the_base64_do_not_count() {
    let case = &FIXTURES.cases[0];
    let lines: Vec<_> = case.ciphertext.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
    for text in
        [lines.join("\r\n"), lines.join(" "), format!(" {}\n", case.ciphertext), format!("{}==", case.ciphertext)]
    {
        assert!(BOTH.decrypt(&text, &Oaep::AUTO).is_ok(), "{text}");
    }
}

#[test]
fn what_fits_no_key_is_refused_without_saying_why() {
    let pkcs1 = keys([&FIXTURES.keys.pkcs1]);
    let good = &FIXTURES.cases[0].ciphertext;
    assert_eq!(pkcs1.decrypt(good, &Oaep::AUTO), Err(ClientSecretFault::Undecryptable));
    assert_eq!(BOTH.decrypt(good, &[]), Err(ClientSecretFault::Undecryptable));
    assert_eq!(PrivateKeys::default().decrypt(good, &Oaep::AUTO), Err(ClientSecretFault::NoKey));
    for text in ["", "AAAA", &good[..508], &format!("{good}AAAA"), &"/".repeat(512), &"A".repeat(512)] {
        assert_eq!(BOTH.decrypt(text, &Oaep::AUTO), Err(ClientSecretFault::Undecryptable), "{text}");
    }
    for text in ["plain secret", "A", "AAAA=AAA", "-_-_", "密"] {
        assert_eq!(BOTH.decrypt(text, &Oaep::AUTO), Err(ClientSecretFault::NotBase64), "{text}");
    }
    let mut changed = good.clone();
    changed.replace_range(100..101, if &good[100..101] == "A" { "B" } else { "A" });
    assert_eq!(BOTH.decrypt(&changed, &Oaep::AUTO), Err(ClientSecretFault::Undecryptable));
    assert_eq!(into_text(vec![0xFF]), None);
}

#[test]
fn only_large_unencrypted_rsa_keys_are_taken() {
    let Keys { pkcs8, pkcs1, too_small } = &FIXTURES.keys;
    let fault = |pems: &[&str]| PrivateKeys::parse(pems.iter().copied()).map(drop).unwrap_err();
    let small = fault(&[&pkcs8.private, &too_small.private]);
    assert_eq!(small, PrivateKeyFault::TooSmall { number: 2, bits: 2048 });
    assert_eq!(small.to_string(), "private key number 2 has 2048 bits; KooGallery takes keys of 3072 bits or more");
    let truncated = &pkcs8.private[..400];
    let mislabelled = pkcs8.private.replace("PRIVATE KEY", "RSA PRIVATE KEY");
    let encrypted = pkcs8.private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for text in ["", "no key", &pkcs8.public, truncated, &mislabelled, &encrypted] {
        assert_eq!(fault(&[text]), PrivateKeyFault::Unreadable { number: 1 }, "{text}");
    }
    // As an editor under Windows leaves it.
    let edited = format!("\r\n{}\r\n\r\n", pkcs1.private.trim().replace('\n', "\r\n"));
    assert_eq!(PrivateKeys::parse([edited.as_str()]).unwrap().len(), 1);
}

#[test]
fn public_keys_are_those_the_console_takes_and_private_ones_are_not_shown() {
    let expected = [FIXTURES.keys.pkcs8.public.clone(), FIXTURES.keys.pkcs1.public.clone()];
    assert_eq!(BOTH.public_keys().collect::<Vec<_>>(), expected);
    assert_eq!(format!("{:?}", *BOTH), "PrivateKeys(2)");
    assert_eq!((BOTH.len(), BOTH.is_empty()), (2, false));
    let none = PrivateKeys::default();
    assert_eq!((none.len(), none.is_empty(), none.public_keys().count()), (0, true, 0));
}

proptest! {
    #[test]
    fn any_text_is_taken_without_a_panic(text in "\\PC{0,60}|[A-Za-z0-9+/= \n]{0,60}") {
        prop_assert!(BOTH.decrypt(&text, &Oaep::AUTO).is_err());
        prop_assert!(encrypt(&text, Oaep::Sha256, "x", &mut system).is_err());
        prop_assert!(PrivateKeys::parse([text.as_str()]).is_err());
    }
}

proptest! {
    // Each case is six operations with a private key.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_block_is_taken_without_a_panic(block in proptest::collection::vec(any::<u8>(), 384)) {
        let verdict = BOTH.decrypt(&BASE64.encode(&block), &Oaep::AUTO);
        prop_assert_eq!(verdict, Err(ClientSecretFault::Undecryptable));
    }
}
