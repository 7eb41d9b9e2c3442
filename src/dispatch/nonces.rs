//! The memory of nonces of verified calls: a second use within the time a signature stays fresh is a replay.
//!
//! A retry of KooGallery carries a new nonce, so this never stands in its way. The memory need not survive a restart.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use ring::digest;

/// More nonces than this in one period means that someone with the key floods; the period is cut short instead of
/// letting the memory grow.
const MOST: usize = 4_000_000;

/// Two periods of nonces: a nonce is looked up in both, and remembered for one to two periods.
pub(super) struct Nonces {
    periods: Mutex<Periods>,
    most: usize,
}

impl Default for Nonces {
    fn default() -> Self {
        Self { periods: Mutex::default(), most: MOST }
    }
}

#[derive(Default)]
struct Periods {
    began_ms: i64,
    current: HashSet<u128>,
    previous: HashSet<u128>,
}

impl Nonces {
    /// Remembers a nonce for at least twice the accepted clock difference, which is as long as a call with it can be
    /// fresh; `false` if this key has used it before.
    pub(super) fn is_new(&self, key: &str, nonce: &str, now: Timestamp, window_ms: i64) -> bool {
        let print = fingerprint(key, nonce);
        // Insertions and swaps only: a poisoned set is whole.
        let mut periods = self.periods.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.as_millisecond();
        if now - periods.began_ms >= window_ms.saturating_mul(2)
            || now < periods.began_ms
            || periods.current.len() >= self.most
        {
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
        let window = 60_000;
        let nonces = Nonces::default();
        let is_new = |key: &str, nonce: &str, after: i64| nonces.is_new(key, nonce, at(after), window);
        assert!(is_new("k1", "n", 0));
        assert!(!is_new("k1", "n", 1));
        assert!(is_new("k2", "n", 1));
        assert!(is_new("k1", "other", 2 * window));
        assert!(!is_new("k1", "n", 2 * window), "remembered into the next period");
        assert!(is_new("k1", "n", 6 * window), "and forgotten at last");
    }

    #[test]
    fn a_period_begins_anew_when_the_clock_is_set_back() {
        let window = 60_000;
        let nonces = Nonces::default();
        assert!(nonces.is_new("k", "n", at(100 * window), window));
        assert!(nonces.is_new("k", "m", at(0), window));
        // Measured from the old beginning these two periods would last for a hundred windows more.
        assert!(!nonces.is_new("k", "n", at(2 * window - 1), window));
        assert!(nonces.is_new("k", "n", at(4 * window), window));
    }

    #[test]
    fn a_flood_shortens_the_memory_and_does_not_let_it_grow() {
        let nonces = Nonces { most: 2, ..Nonces::default() };
        let is_new = |nonce: &str| nonces.is_new("k", nonce, at(0), 60_000);
        assert!(is_new("1") && is_new("2") && is_new("3"));
        assert!(!is_new("1") && !is_new("2") && !is_new("3"), "two periods are remembered");
        assert!(is_new("4") && is_new("5"));
        assert!(!is_new("3") && is_new("1"), "the oldest was forgotten");
        let periods = nonces.periods.lock().unwrap();
        assert!(periods.current.len() + periods.previous.len() <= 4);
    }

    #[test]
    fn a_wider_window_makes_a_longer_memory() {
        let nonces = Nonces::default();
        let hour = 3_600_000;
        assert!(nonces.is_new("k", "n", at(0), hour));
        assert!(nonces.is_new("k", "m", at(hour), hour));
        assert!(!nonces.is_new("k", "n", at(2 * hour - 1), hour));
    }
}
