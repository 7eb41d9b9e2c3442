//! Encrypted members of V1 replies. The cipher is koogate's own, which has vectors; what is broken on purpose is not.

use std::sync::atomic::{AtomicU32, Ordering};

use koogate::protocol::field_cipher::{self, EncryptType, Iv};

use super::{Fault, key};

/// The 20 bytes that a port of SHA1PRNG gives for the key of the tests, and then nothing.
const SHORT_KEY: [u8; 20] = [
    0xfa, 0x99, 0xdc, 0x2d, 0x05, 0x51, 0x87, 0xd2, 0xbd, 0x1e, 0x0b, 0x33, 0x10, 0x04, 0x48, 0xcc, 0xa4, 0xa5, 0x28,
    0xb1,
];

/// A user name or a password as the seller sends it.
pub(super) fn field(fault: Option<Fault>, text: &str) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let iv = format!("{:016}", LAST.fetch_add(1, Ordering::SeqCst));
    match fault {
        Some(Fault::PlainPassword) => text.to_owned(),
        Some(Fault::ShortKey) => {
            let mut padded = [0; 32];
            padded[..20].copy_from_slice(&SHORT_KEY);
            let ciphertext = libaes::Cipher::new_256(&padded).cbc_encrypt(iv.as_bytes(), text.as_bytes());
            format!("{iv}{}", data_encoding::BASE64.encode(&ciphertext))
        }
        _ => field_cipher::encrypt(&key(), EncryptType::Aes256, Iv::parse(&iv).unwrap(), text),
    }
}
