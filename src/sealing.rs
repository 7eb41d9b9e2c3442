//! The sealing key: what turns the secret columns of the database into bytes that nobody without the key can read, and
//! access keys into labels that tell them apart without showing them.
//!
//! Which columns are sealed, and under which context, is decided by the store. Where the key comes from is the
//! configuration's business.
//!
//! The 32 bytes of the key file are never used directly: HKDF-SHA256 derives one key for sealing (AES-256-GCM), one each
//! for labelling and signing (HMAC-SHA256), and the fingerprint, so that no use can weaken another. Nonces are random, 96 bits: with one
//! key up to 2^32 values may be sealed (NIST SP 800-38D, 8.3), a thousand a minute for eight years.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Length of the key in the key file, in bytes.
const KEY_LEN: usize = 32;

/// First byte of everything sealed: the form below. Another form would get another number.
const VERSION: u8 = 1;

/// Version byte, nonce, and the tag at the end: what a sealed value is longer by than the plain one.
const OVERHEAD: usize = 1 + aead::NONCE_LEN + TAG_LEN;
const TAG_LEN: usize = 16;

const SALT: &[u8] = b"koogate sealing key v1";

/// Seals and opens secrets, and labels access keys.
#[derive(Clone)]
pub struct SealingKey {
    seal: aead::LessSafeKey,
    label: hmac::Key,
    sign: hmac::Key,
    fingerprint: String,
}

/// Why a text is no sealing key. Says nothing about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hex digits")]
pub struct NotASealingKey;

/// Why a value could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no random bytes, or the value is larger than AES-GCM allows (64 GiB).
    #[error("{context}: cannot be sealed: the operating system gave no random numbers, or the value is too large")]
    Seal {
        /// The context that was given.
        context: String,
    },
    /// The bytes were never sealed, or by a later version.
    #[error("{context}: not a sealed value of a form this version knows")]
    Form {
        /// The context that was given.
        context: String,
    },
    /// The bytes do not belong to this key and this context. Which of the three it is cannot be known.
    #[error("{context}: cannot be opened: another sealing key, moved from another row, or damaged")]
    Refused {
        /// The context that was given.
        context: String,
    },
}

impl SealingKey {
    /// Takes the key as it stands in the key file: 64 hex digits of either case.
    ///
    /// # Errors
    ///
    /// When the text is anything else.
    pub fn from_hex(hex: &str) -> Result<Self, NotASealingKey> {
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map(Zeroizing::new).map_err(|_| NotASealingKey)?;
        let key: &[u8; KEY_LEN] = bytes.as_slice().try_into().map_err(|_| NotASealingKey)?;
        Ok(Self::derive(key))
    }

    /// Seals a value so that it opens only under the same context, such as `instance.password:i-1`: table, column and
    /// row. Whoever copies the bytes to another row gets an error instead of another customer's password.
    ///
    /// The result is the version byte, the nonce, and the ciphertext with its tag.
    ///
    /// # Errors
    ///
    /// [`SealError::Seal`] when the operating system has no random numbers, or the value is beyond AES-GCM's 64 GiB.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let failed = || SealError::Seal { context: context.to_owned() };
        let mut nonce = [0; aead::NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| failed())?;
        // With its full capacity from the start, the buffer is never moved: no copy of the plain value stays behind.
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, in_place) = sealed.split_at_mut(1 + aead::NONCE_LEN);
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag =
            self.seal.seal_in_place_separate_tag(nonce, associated_data(context), in_place).map_err(|_| failed())?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a sealed value.
    ///
    /// # Errors
    ///
    /// [`SealError::Form`] when the bytes are no sealed value, [`SealError::Refused`] when they were sealed with
    /// another key or for another context, or have changed since.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let bad_form = || SealError::Form { context: context.to_owned() };
        let (version, rest) = sealed.split_first().ok_or_else(bad_form)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or_else(bad_form)?;
        if *version != VERSION || ciphertext.len() < TAG_LEN {
            return Err(bad_form());
        }
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .seal
            .open_in_place(nonce, associated_data(context), &mut buffer)
            .map_err(|_| SealError::Refused { context: context.to_owned() })?;
        Ok(Secret::new(plain.to_vec()))
    }

    /// 16 hex digits that tell keys apart and reveal nothing about them. The database keeps it, so that a start with
    /// another key is refused.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The opaque id of an access key in the journal: 8 hex digits, the same for the same secret, of no use for
    /// guessing it without the sealing key.
    pub fn label(&self, secret: &str) -> String {
        let tag = hmac::sign(&self.label, secret.as_bytes());
        HEXLOWER.encode(&tag.as_ref()[..4])
    }

    /// Tells one text from another for a purpose, without keeping it: 16 bytes, of no use without the sealing key.
    pub fn digest(&self, purpose: &str, text: &str) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.label);
        for part in [purpose.as_bytes(), &[0], text.as_bytes()] {
            context.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&context.sign().as_ref()[..16]);
        half
    }

    /// Signs what is given away and comes back, such as a cookie, for a purpose: HMAC-SHA256, 32 bytes.
    pub fn sign(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let mut signature = [0; 32];
        signature.copy_from_slice(hmac::sign(&self.sign, &for_purpose(purpose, bytes)).as_ref());
        signature
    }

    /// Whether a signature was made here, for this purpose and of these bytes. Takes the same time whatever is wrong.
    pub fn is_signed(&self, purpose: &str, bytes: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.sign, &for_purpose(purpose, bytes), signature).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HKDF-SHA256 yields up to 8,160 bytes; no output here is longer than 32")]
    fn derive(key: &[u8; KEY_LEN]) -> Self {
        const IN_RANGE: &str = "within the limits of HKDF";
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key);
        let seal = aead::UnboundKey::from(root.expand(&[b"seal"], &aead::AES_256_GCM).expect(IN_RANGE));
        let label = hmac::Key::from(root.expand(&[b"label access key"], hmac::HMAC_SHA256).expect(IN_RANGE));
        let sign = hmac::Key::from(root.expand(&[b"sign"], hmac::HMAC_SHA256).expect(IN_RANGE));
        let mut fingerprint = [0; 8];
        root.expand(&[b"fingerprint"], Length(fingerprint.len()))
            .and_then(|okm| okm.fill(&mut fingerprint))
            .expect(IN_RANGE);
        Self { seal: aead::LessSafeKey::new(seal), label, sign, fingerprint: HEXLOWER.encode(&fingerprint) }
    }
}

/// Keys are the same when their fingerprints are: 64 bits, and nobody gains by making two keys collide.
impl PartialEq for SealingKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for SealingKey {}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.fingerprint)
    }
}

/// The version is bound like the context: a later form cannot be passed off as this one.
fn associated_data(context: &str) -> aead::Aad<Vec<u8>> {
    let mut data = Vec::with_capacity(1 + context.len());
    data.push(VERSION);
    data.extend_from_slice(context.as_bytes());
    aead::Aad::from(data)
}

/// Purposes have no NUL: none runs into what is signed.
fn for_purpose(purpose: &str, bytes: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], bytes].concat()
}

/// A number of bytes to ask HKDF for.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTEXT: &str = "instance.password:i-1";

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_hex(&HEXLOWER.encode(&[byte; KEY_LEN])).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_under_the_same_key_and_context() {
        for plain in [&b""[..], b"hunter2", &[0xff; 5000]] {
            let sealed = key(1).seal(CONTEXT, plain).unwrap();
            assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            assert_eq!(key(1).open(CONTEXT, &sealed).unwrap().expose(), plain);
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_bytes() {
        assert_ne!(key(1).seal(CONTEXT, b"hunter2").unwrap(), key(1).seal(CONTEXT, b"hunter2").unwrap());
    }

    #[test]
    fn another_key_or_another_row_cannot_open_it() {
        let sealed = key(1).seal(CONTEXT, b"hunter2").unwrap();
        let refused = |context: &str| Err(SealError::Refused { context: context.to_owned() });
        assert_eq!(key(2).open(CONTEXT, &sealed), refused(CONTEXT));
        assert_eq!(key(1).open("instance.password:i-2", &sealed), refused("instance.password:i-2"));
        assert_eq!(key(1).open("", &sealed), refused(""));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let sealed = key(1).seal(CONTEXT, b"hunter2").unwrap();
        for position in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[position / 8] ^= 1 << (position % 8);
            let expected = if position < 8 {
                SealError::Form { context: CONTEXT.to_owned() }
            } else {
                SealError::Refused { context: CONTEXT.to_owned() }
            };
            assert_eq!(key(1).open(CONTEXT, &changed), Err(expected), "bit {position}");
        }
    }

    #[test]
    fn a_value_that_was_cut_or_never_sealed_is_refused() {
        let sealed = key(1).seal(CONTEXT, b"hunter2").unwrap();
        for length in 0..sealed.len() {
            assert!(key(1).open(CONTEXT, &sealed[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(key(1).open(CONTEXT, b"hunter2"), Err(SealError::Form { context: CONTEXT.to_owned() }));
    }

    #[test]
    fn a_key_is_64_hex_digits_of_either_case() {
        let lower = "0123456789abcdef".repeat(4);
        assert_eq!(SealingKey::from_hex(&lower), SealingKey::from_hex(&lower.to_uppercase()));
        for text in ["", &lower[1..], &format!("{lower}00"), &format!("{lower}\n"), &lower.replace('a', "x")] {
            assert_eq!(SealingKey::from_hex(text), Err(NotASealingKey), "{text:?}");
        }
    }

    #[test]
    fn labels_and_fingerprints_tell_apart_and_stay_the_same() {
        assert_eq!(key(1).label("access key"), key(1).label("access key"));
        assert_ne!(key(1).label("access key"), key(1).label("another key"));
        assert_ne!(key(1).label("access key"), key(2).label("access key"));
        assert_ne!(key(1).fingerprint(), key(2).fingerprint());
        assert_eq!(key(1).label("access key").len(), 8);
    }

    #[test]
    fn a_signature_holds_for_its_key_purpose_and_bytes() {
        let signature = key(1).sign("a", b"bytes");
        assert!(key(1).is_signed("a", b"bytes", &signature));
        assert!(!key(2).is_signed("a", b"bytes", &signature));
        assert!(!key(1).is_signed("b", b"bytes", &signature));
        assert!(!key(1).is_signed("a", b"bites", &signature));
        assert!(!key(1).is_signed("a", b"bytes", &signature[..16]));
    }

    /// Values computed with Python's `hmac` and `cryptography`: a database of today opens in every later version.
    #[test]
    fn the_sealed_form_never_changes() {
        let bytes: Vec<u8> = (0..32).collect();
        let key = SealingKey::from_hex(&HEXLOWER.encode(&bytes)).unwrap();
        let sealed =
            HEXLOWER.decode(b"01000102030405060708090a0b95a3425c34bbcfe22a0016170eb5a35e4268f010feb7dc").unwrap();
        assert_eq!(key.open(CONTEXT, &sealed).unwrap().expose(), b"hunter2");
        assert_eq!(key.fingerprint(), "6e02b61e9c4f0274");
        assert_eq!(key.label("de305d54-75b4-431b-adb2-eb6b9e546014"), "fb198345");
    }

    #[test]
    fn debug_output_shows_the_fingerprint_only() {
        assert_eq!(format!("{:?}", key(1)), format!("SealingKey({})", key(1).fingerprint()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(key(1).open(CONTEXT, &bytes).is_err());
        }
    }
}
