//! Random texts: passwords, unguessable ids and the IVs of encrypted members.

use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::protocol::field_cipher::Iv;
use crate::secret::Secret;

/// Length of passwords: 16 of 56 characters are more than 90 bits.
pub const PASSWORD_LENGTH: usize = 16;

/// Letters and digits that are not mistaken for one another.
const PASSWORD_ALPHABET: &[u8; 56] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";

/// The system gave no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random numbers are not available")]
pub struct NoRandomness;

/// A password that people can read out to each other.
///
/// # Errors
/// When the system gives no random numbers.
pub fn password() -> Result<Secret<String>, NoRandomness> {
    let random = SystemRandom::new();
    let mut password = String::with_capacity(PASSWORD_LENGTH);
    let mut bytes = [0; 64];
    while password.len() < PASSWORD_LENGTH {
        random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        // 224 is the greatest multiple of 56 below 256: every character is equally likely.
        let usable = bytes.iter().filter(|byte| **byte < 224);
        let left = PASSWORD_LENGTH - password.len();
        password.extend(usable.take(left).map(|byte| char::from(PASSWORD_ALPHABET[usize::from(*byte) % 56])));
    }
    Ok(Secret::new(password))
}

/// An id that nobody can guess: 32 hexadecimal digits, 128 random bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn unguessable() -> Result<String, NoRandomness> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(HEXLOWER.encode(&bytes))
}

/// An id that is a secret itself: 64 hexadecimal digits, 256 random bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn secret_id() -> Result<Secret<String>, NoRandomness> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(Secret::new(HEXLOWER.encode(&bytes)))
}

/// An IV that was never used before: 16 hexadecimal digits, 64 random bits.
pub fn iv() -> Iv {
    // The first eight digits of a UUID of version 4 are all random.
    let halves = [Uuid::new_v4(), Uuid::new_v4()].map(|uuid| uuid.simple().to_string());
    let text = format!("{}{}", &halves[0][..8], &halves[1][..8]);
    #[expect(clippy::expect_used, reason = "sixteen hexadecimal digits are sixteen alphanumeric characters")]
    Iv::parse(&text).expect("sixteen digits are an IV")
}

/// Fills bytes with random ones; whether the system gave any.
pub fn fill(bytes: &mut [u8]) -> bool {
    SystemRandom::new().fill(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), PASSWORD_LENGTH);
        assert!(one.expose().bytes().all(|byte| PASSWORD_ALPHABET.contains(&byte)));
    }

    #[test]
    fn ivs_never_come_twice() {
        let ivs: std::collections::HashSet<String> = (0..1000).map(|_| iv().to_string()).collect();
        assert_eq!(ivs.len(), 1000);
    }
}
