//! The one encrypted member of the kit, `clientSecret`: RSA with OAEP, under the seller's keys (spec 3-kit §7).
//!
//! The documents name neither the digests nor a label, so the combinations in use are tried with an empty label. A
//! wrong guess fails OAEP's check of integrity. Whoever calls has verified the request first: otherwise this were an
//! oracle.
//!
//! What `rsa` 0.10 does about time, as its source says:
//! - The private operation is blinded, because its feature `getrandom` is on: base, both CRT exponents (128 bits) and
//!   both CRT primes get fresh factors from the operating system. They do not show in the result, so a decryption is
//!   still a function of its arguments. Without random numbers it fails.
//! - Exponentiation by secrets is `crypto-bigint`'s constant-time Montgomery one. Range checks of the ciphertext and
//!   the search for the blinding factor are not constant-time; both see only public or random values.
//! - The result is encrypted again and compared with the ciphertext, against faults in the CRT.
//! - OAEP is undone without branches on the padded block up to the one bit "valid"; the first octet is not looked at.
//!   The message is copied out by its length, which the time may tell.
//!
//! Attempts stop at the first that fits: the time tells which combination and key a genuine secret was made with, which
//! its sender knows. One that fits nothing goes through all of them.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts;
use rsa::{PrivateKey, PublicKey};
use sha1::Sha1;
use zeroize::Zeroize;

use crate::secret::Secret;

/// The smallest modulus KooGallery takes, in bits.
pub const SMALLEST_MODULUS: u32 = 3072;

/// The digests of OAEP and of its mask generation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oaep {
    /// SHA-256 for both: WebCrypto, Java with explicit parameters.
    Sha256,
    /// SHA-256, and SHA-1 for the mask: Java's `OAEPWithSHA-256AndMGF1Padding`.
    Sha256MaskSha1,
    /// SHA-1 for both: Java's `OAEPPadding`, OpenSSL's default.
    Sha1,
}

impl Oaep {
    /// The order in which they are tried when nothing is known.
    pub const AUTO: [Self; 3] = [Self::Sha256, Self::Sha256MaskSha1, Self::Sha1];

    /// OAEP digest and mask digest, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256/SHA-256",
            Self::Sha256MaskSha1 => "SHA-256/SHA-1",
            Self::Sha1 => "SHA-1/SHA-1",
        }
    }
}

impl fmt::Display for Oaep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The seller's private keys: the current one, and those that orders from before its change still use.
#[derive(Clone, Default)]
pub struct PrivateKeys(Vec<PrivateKey>);

/// A private key that cannot be used. `number` counts from 1; the texts tell nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyFault {
    /// Not one unencrypted RSA key in PEM.
    #[error(
        "private key number {number} is no unencrypted RSA key in PEM: it must hold one BEGIN PRIVATE KEY (PKCS#8) or \
         BEGIN RSA PRIVATE KEY (PKCS#1)"
    )]
    Unreadable {
        /// Which one.
        number: usize,
    },
    /// Smaller than KooGallery takes.
    #[error("private key number {number} has {bits} bits; KooGallery takes keys of {SMALLEST_MODULUS} bits or more")]
    TooSmall {
        /// Which one.
        number: usize,
        /// The length of its modulus.
        bits: u32,
    },
}

/// Why a client secret cannot be decrypted; answered `000101`. Which attempts were made is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientSecretFault {
    /// There is nothing to decrypt with.
    #[error("no private key of the kit is configured")]
    NoKey,
    /// It is no base64.
    #[error("the client secret is not base64")]
    NotBase64,
    /// No key and no combination of digests fits, or what came out is no text.
    #[error("the client secret fits none of the configured private keys")]
    Undecryptable,
}

impl PrivateKeys {
    /// Reads keys, each in a PEM text of its own, most likely one first. Takes some milliseconds for each: they are
    /// checked.
    ///
    /// # Errors
    /// Which key is none, or too small.
    pub fn parse<'p>(pems: impl IntoIterator<Item = &'p str>) -> Result<Self, PrivateKeyFault> {
        pems.into_iter().zip(1..).map(|(pem, number)| parse_key(pem, number)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The public keys, as the seller console wants them.
    pub fn public_keys(&self) -> impl Iterator<Item = String> {
        // A key that was read has such a form.
        self.0.iter().map(|key| public_key_text(key.as_public_key()).unwrap_or_default())
    }

    /// Decrypts a client secret: tries the combinations of `order` for each key. Returns the secret, which combination
    /// fitted and which key, counted from 0.
    ///
    /// # Errors
    /// [`ClientSecretFault`].
    pub fn decrypt(&self, text: &str, order: &[Oaep]) -> Result<(Secret<String>, Oaep, usize), ClientSecretFault> {
        if self.is_empty() {
            return Err(ClientSecretFault::NoKey);
        }
        let ciphertext = decode(text).ok_or(ClientSecretFault::NotBase64)?;
        let attempts = self.0.iter().enumerate().flat_map(|key| order.iter().map(move |oaep| (key, *oaep)));
        let mut attempts = attempts.filter_map(|((number, key), oaep)| {
            let plaintext = decrypt_with(key, oaep, &ciphertext)?;
            Some((into_text(plaintext)?, oaep, number))
        });
        attempts.next().ok_or(ClientSecretFault::Undecryptable)
    }
}

impl fmt::Debug for PrivateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKeys({})", self.0.len())
    }
}

/// A public key in the form of the seller console: X.509 SubjectPublicKeyInfo in base64, one line, no PEM header and
/// footer.
///
/// # Errors
/// When the key has no such form.
pub fn public_key_text(key: &PublicKey) -> Result<String, rsa::pkcs8::spki::Error> {
    Ok(BASE64.encode(key.to_public_key_der()?.as_bytes()))
}

/// Why a secret cannot be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptFault {
    /// Not what the seller console takes.
    #[error("the public key is no RSA key as base64 of its X.509 SubjectPublicKeyInfo")]
    NoPublicKey,
    /// More than a block of the key holds, or there are no random numbers.
    #[error("the secret does not fit into a block of the key, or there are no random numbers")]
    Unencryptable,
}

/// Encrypts a client secret as KooGallery does, for a public key in the console's form. `random` fills bytes with
/// random ones, and returns whether it did.
///
/// # Errors
/// [`EncryptFault`].
pub fn encrypt(
    public_key: &str,
    oaep: Oaep,
    text: &str,
    random: &mut dyn FnMut(&mut [u8]) -> bool,
) -> Result<String, EncryptFault> {
    let der = decode(public_key).ok_or(EncryptFault::NoPublicKey)?;
    let key = PublicKey::from_public_key_der(&der).map_err(|_| EncryptFault::NoPublicKey)?;
    let (rng, text) = (&mut Random(random), text.as_bytes());
    let ciphertext = match oaep {
        Oaep::Sha256 => key.encrypt(rng, rsa::Oaep::<Sha256>::new(), text),
        Oaep::Sha256MaskSha1 => key.encrypt(rng, rsa::Oaep::<Sha256, Sha1>::new_with_mgf_hash(), text),
        Oaep::Sha1 => key.encrypt(rng, rsa::Oaep::<Sha1>::new(), text),
    };
    ciphertext.map(|ciphertext| BASE64.encode(&ciphertext)).map_err(|_| EncryptFault::Unencryptable)
}

fn parse_key(pem: &str, number: usize) -> Result<PrivateKey, PrivateKeyFault> {
    let pem = pem.trim();
    let key = PrivateKey::from_pkcs8_pem(pem).ok().or_else(|| PrivateKey::from_pkcs1_pem(pem).ok());
    let key = key.ok_or(PrivateKeyFault::Unreadable { number })?;
    let bits = key.n().bit_width_vartime();
    if bits < SMALLEST_MODULUS { Err(PrivateKeyFault::TooSmall { number, bits }) } else { Ok(key) }
}

fn decrypt_with(key: &PrivateKey, oaep: Oaep, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let plaintext = match oaep {
        Oaep::Sha256 => key.decrypt(rsa::Oaep::<Sha256>::new(), ciphertext),
        Oaep::Sha256MaskSha1 => key.decrypt(rsa::Oaep::<Sha256, Sha1>::new_with_mgf_hash(), ciphertext),
        Oaep::Sha1 => key.decrypt(rsa::Oaep::<Sha1>::new(), ciphertext),
    };
    plaintext.ok()
}

/// `None` when it is no UTF-8; nothing of it stays in memory then.
fn into_text(plaintext: Vec<u8>) -> Option<Secret<String>> {
    match String::from_utf8(plaintext) {
        Ok(text) => Some(Secret::new(text)),
        Err(fault) => {
            fault.into_bytes().zeroize();
            None
        }
    }
}

/// Base64 with white space anywhere, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|char| !char.is_ascii_whitespace()).collect();
    BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}

/// Random bytes from outside, in the form that `rsa` takes them.
struct Random<'r>(&'r mut dyn FnMut(&mut [u8]) -> bool);

impl Random<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        self.try_fill_bytes(&mut bytes)?;
        Ok(bytes)
    }
}

impl TryRng for Random<'_> {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        if (self.0)(bytes) { Ok(()) } else { Err(NoRandomness) }
    }
}

impl TryCryptoRng for Random<'_> {}

#[derive(Debug, thiserror::Error)]
#[error("there are no random numbers")]
struct NoRandomness;

#[cfg(test)]
mod tests;
