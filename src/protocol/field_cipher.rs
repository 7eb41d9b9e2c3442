//! The encryption of credentials in V1 replies and of personal data in V1 requests (V1 access guide; spec 2-basic-v1
//! §4).
//!
//! A field is its initialisation vector as plain text, then base64 of AES-CBC without a tag: it hides a value and vouches
//! for nothing. So only fields of authenticated requests are decrypted, and no answer may tell whether one could be (that
//! would be a padding oracle). Random initialisation vectors are made by the caller.

mod sha1prng;

use std::fmt;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::U16;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Aes256};
use data_encoding::BASE64;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::protocol::key::AccessKey;
use crate::secret::Secret;

/// Longest plaintext to send, in bytes of UTF-8: KooGallery takes fields of at most 128 characters, the initialisation
/// vector has 16 of them, and base64 has room for 5 whole blocks in the others, of which padding takes a byte (spec
/// 2-basic-v1 §4.2).
pub const MAX_PLAINTEXT: usize = 79;

/// Bytes of an AES block, and of an initialisation vector.
const BLOCK: usize = 16;

/// The two sizes of key (`encryptType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncryptType {
    /// AES256_CBC_PKCS5Padding; what KooGallery assumes of a reply that does not say.
    #[default]
    Aes256,
    /// AES128_CBC_PKCS5Padding.
    Aes128,
}

impl EncryptType {
    /// The value of `encryptType` in a reply.
    pub fn code(self) -> &'static str {
        match self {
            Self::Aes256 => "1",
            Self::Aes128 => "2",
        }
    }

    /// The other size.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Aes256 => Self::Aes128,
            Self::Aes128 => Self::Aes256,
        }
    }
}

/// An initialisation vector, to be chosen at random for every field: using one takes it away.
#[derive(Debug, PartialEq, Eq)]
pub struct Iv([u8; BLOCK]);

impl Iv {
    /// 16 characters of `[A-Za-z0-9]`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes().try_into().ok()?;
        text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(Self(bytes))
    }
}

impl fmt::Display for Iv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

/// Why an encrypted field cannot be read. Never shows the value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FieldFault {
    /// No room for an initialisation vector.
    #[error("it is shorter than the 16 characters of an initialisation vector")]
    TooShort,
    /// The initialisation vector is not made of single bytes.
    #[error("its first 16 characters, the initialisation vector, are not all ASCII")]
    IvNotAscii,
    /// What follows the initialisation vector is no base64.
    #[error("what follows its initialisation vector is not base64 of the standard alphabet with padding")]
    NotBase64,
    /// Nothing was encrypted, or a part is missing.
    #[error("its ciphertext is not a positive number of whole blocks of 16 bytes")]
    NotWholeBlocks,
    /// Padding or UTF-8 is wrong after decrypting: another access key, another size, or a changed field.
    #[error("it does not decrypt to text: encrypted with another access key or key size, or changed on its way")]
    DoesNotDecrypt,
}

/// Encrypts a text for a reply: the initialisation vector, then base64.
///
/// The field of a text longer than [`MAX_PLAINTEXT`] is well formed and too long for KooGallery; the caller has checked.
pub fn encrypt(key: &AccessKey, encrypt_type: EncryptType, iv: Iv, plaintext: &str) -> String {
    let padding = BLOCK - plaintext.len() % BLOCK;
    // Encrypted where it stands, and never moved to grow: no copy of the plaintext stays behind.
    let mut buffer = Vec::with_capacity(plaintext.len() + padding);
    buffer.extend_from_slice(plaintext.as_bytes());
    buffer.resize(plaintext.len() + padding, padding.to_le_bytes()[0]);
    let start = (&iv.0).into();
    match encrypt_type {
        EncryptType::Aes256 => {
            encrypt_blocks(cbc::Encryptor::<Aes256>::new((&*derived::<32>(key)).into(), start), &mut buffer);
        }
        EncryptType::Aes128 => {
            encrypt_blocks(cbc::Encryptor::<Aes128>::new((&*derived::<16>(key)).into(), start), &mut buffer);
        }
    }
    format!("{iv}{}", BASE64.encode(&buffer))
}

/// Decrypts a field of a request, which does not say its key size: tries `first`, then the other size when padding or
/// UTF-8 is wrong (spec 2-basic-v1 §4.2). Blanks become `+` first, see [`repaired`](super::auth_token::repaired).
///
/// # Errors
/// What is wrong with the field.
pub fn decrypt(key: &AccessKey, first: EncryptType, field: &str) -> Result<Secret<String>, FieldFault> {
    let field = Field::parse(field)?;
    field.decrypt(key, first).or_else(|| field.decrypt(key, first.other())).ok_or(FieldFault::DoesNotDecrypt)
}

/// Decrypts a field whose key size is known, as the reader of a reply does.
///
/// # Errors
/// What is wrong with the field.
pub fn decrypt_exactly(key: &AccessKey, encrypt_type: EncryptType, field: &str) -> Result<Secret<String>, FieldFault> {
    Field::parse(field)?.decrypt(key, encrypt_type).ok_or(FieldFault::DoesNotDecrypt)
}

/// A field taken apart.
struct Field {
    iv: Iv,
    ciphertext: Vec<u8>,
}

impl Field {
    fn parse(field: &str) -> Result<Self, FieldFault> {
        let field = field.replace(' ', "+");
        let end_of_iv = field.char_indices().map(|(at, char)| at + char.len_utf8()).nth(BLOCK - 1);
        let (iv, ciphertext) = field.split_at(end_of_iv.ok_or(FieldFault::TooShort)?);
        // Letters and digits are documented; CBC itself takes any bytes, so we do.
        let iv = iv.as_bytes().try_into().map(Iv).map_err(|_| FieldFault::IvNotAscii)?;
        let ciphertext = BASE64.decode(ciphertext.as_bytes()).map_err(|_| FieldFault::NotBase64)?;
        if ciphertext.is_empty() || ciphertext.len() % BLOCK != 0 {
            return Err(FieldFault::NotWholeBlocks);
        }
        Ok(Self { iv, ciphertext })
    }

    fn decrypt(&self, key: &AccessKey, encrypt_type: EncryptType) -> Option<Secret<String>> {
        let mut buffer = Zeroizing::new(self.ciphertext.clone());
        let start = (&self.iv.0).into();
        let plaintext =
            match encrypt_type {
                EncryptType::Aes256 => cbc::Decryptor::<Aes256>::new((&*derived::<32>(key)).into(), start)
                    .decrypt_padded::<Pkcs7>(&mut buffer),
                EncryptType::Aes128 => cbc::Decryptor::<Aes128>::new((&*derived::<16>(key)).into(), start)
                    .decrypt_padded::<Pkcs7>(&mut buffer),
            };
        let text = std::str::from_utf8(plaintext.ok()?).ok()?;
        Some(Secret::new(text.to_owned()))
    }
}

/// Encrypts whole blocks in place.
fn encrypt_blocks(mut mode: impl BlockModeEncrypt<BlockSize = U16>, buffer: &mut [u8]) {
    for block in buffer.as_chunks_mut::<BLOCK>().0 {
        mode.encrypt_block(block.into());
    }
}

/// The AES key: the access key's stream read in one go, so the longer key does not begin anew (spec 2-basic-v1 §4.3).
fn derived<const BYTES: usize>(key: &AccessKey) -> Zeroizing<[u8; BYTES]> {
    let mut derived = Zeroizing::new([0; BYTES]);
    sha1prng::fill(key.secret().as_bytes(), derived.as_mut_slice());
    derived
}

#[cfg(test)]
mod tests;
