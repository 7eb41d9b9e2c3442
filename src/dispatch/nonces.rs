//! The memory of nonces of verified calls: a second use within the time a signature stays fresh is a replay.
//!
//! A retry of KooGallery carries a new nonce, so this never stands in its way. The memory need not survive a restart.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use ring::digest;

/// A nonce is remembered for at least so long: twice the accepted clock difference, and more where that is configured
/// wider.
const REMEMBERED_MS: i64 = 2 * 60_000;

/// More nonces than this in one period means that someone with the key floods; the period is cut short instead of
/// letting the memory grow.
const MOST: usize = 4_000_000;

/// Two periods of nonces: a nonce is looked up in both, and remembered for one to two periods.
#[derive(Default)]
pub(super) struct Nonces {
    periods: Mutex<Periods>,
}

#[derive(Default)]
struct Periods {
    began_ms: i64,
    current: HashSet<u128>,
    previous: HashSet<u128>,
}

impl Nonces {
    /// Remembers a nonce; `false` if this key has used it before.
    pub(super) fn is_new(&self, key: &str, nonce: &str, now: Timestamp) -> bool {
        let print = fingerprint(key, nonce);
        // Insertions and swaps only: a poisoned set is whole.
        let mut periods = self.periods.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.as_millisecond();
        if now - periods.began_ms >= REMEMBERED_MS || now < periods.began_ms || periods.current.len() >= MOST {
            periods.previous = std::mem::take(&mut periods.current);
            periods.began_ms = now;
        }
        !periods.previous.contains(&print) && periods.current.insert(print)
    }
}

/// Half a SHA-256 in place of a text of any length.
fn fingerprint(key: &str, nonce: &str) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key.as_bytes());
    context.update(&[0]);
    context.update(nonce.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&context.finish().as_ref()[..16]);
    u128::from_le_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_nonce_counts_once_per_key_for_at_least_two_windows() {
        let nonces = Nonces::default();
        assert!(nonces.is_new("k1", "n", at(0)));
        assert!(!nonces.is_new("k1", "n", at(1)));
        assert!(nonces.is_new("k2", "n", at(1)));
        assert!(nonces.is_new("k1", "other", at(REMEMBERED_MS)));
        assert!(!nonces.is_new("k1", "n", at(REMEMBERED_MS)), "remembered into the next period");
        assert!(nonces.is_new("k1", "n", at(3 * REMEMBERED_MS)), "and forgotten at last");
    }
}
