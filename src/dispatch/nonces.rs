//! The memory of nonces of verified calls: a second use within the time a signature stays fresh is a replay.
//!
//! A retry of KooGallery carries a new nonce, so this never stands in its way. The memory need not survive a restart.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use ring::digest;

/// More nonces than this means that someone with the key floods; the oldest are forgotten early instead of letting the
/// memory grow.
const MOST: usize = 4_000_000;

/// When the clock is set back, calls of the time before it can become fresh again. By more than this it was wrong before,
/// not a little off, and nothing of then is remembered.
const FURTHEST_BACK_MS: i64 = 24 * 3_600_000;

/// Periods of nonces, each two windows long. A nonce is looked up in all of them, and remembered until the clock is two
/// windows past the last one of its period.
pub(super) struct Nonces {
    periods: Mutex<VecDeque<Period>>,
    most: usize,
}

impl Default for Nonces {
    fn default() -> Self {
        Self { periods: Mutex::default(), most: MOST }
    }
}

struct Period {
    began_ms: i64,
    newest_ms: i64,
    nonces: HashSet<u128>,
}

impl Nonces {
    /// Remembers a nonce for at least twice the accepted clock difference, which is as long as a call with it can be
    /// fresh; `false` if this key has used it before.
    pub(super) fn is_new(&self, key: &str, nonce: &str, now: Timestamp, window_ms: i64) -> bool {
        let print = fingerprint(key, nonce);
        let (now, length) = (now.as_millisecond(), window_ms.saturating_mul(2));
        // Insertions, removals and assignments only: a poisoned list is whole.
        let mut periods = self.periods.lock().unwrap_or_else(PoisonError::into_inner);
        periods.retain(|period| {
            let age = now.saturating_sub(period.newest_ms);
            age <= length && age >= -FURTHEST_BACK_MS
        });
        if periods.iter().any(|period| period.nonces.contains(&print)) {
            return false;
        }
        let count: usize = periods.iter().map(|period| period.nonces.len()).sum();
        if count >= self.most {
            periods.pop_front();
        }
        let is_current = |period: &&mut Period| {
            (0..length).contains(&now.saturating_sub(period.began_ms)) && period.nonces.len() < self.most / 2
        };
        match periods.back_mut().filter(is_current) {
            Some(period) => {
                period.newest_ms = period.newest_ms.max(now);
                period.nonces.insert(print);
            }
            None => periods.push_back(Period { began_ms: now, newest_ms: now, nonces: HashSet::from([print]) }),
        }
        true
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
    fn a_flood_shortens_the_memory_and_does_not_let_it_grow() {
        let nonces = Nonces { most: 4, ..Nonces::default() };
        let is_new = |nonce: &str| nonces.is_new("k", nonce, at(0), 60_000);
        assert!(["1", "2", "3", "4"].iter().all(|nonce| is_new(nonce)));
        assert!(!["1", "2", "3", "4"].iter().any(|nonce| is_new(nonce)), "all are remembered");
        assert!(is_new("5"));
        assert!(is_new("2"), "the older half was forgotten, not the oldest alone");
        assert!(!is_new("3") && !is_new("5"));
        assert!(nonces.periods.lock().unwrap().iter().map(|period| period.nonces.len()).sum::<usize>() <= 4);
    }

    #[test]
    fn a_nonce_of_less_than_a_day_ahead_is_remembered() {
        let nonces = Nonces::default();
        let hours = |hours: i64| at(hours * 3_600_000);
        assert!(nonces.is_new("k", "captured", hours(23), 60_000));
        assert!(nonces.is_new("k", "n", hours(0), 60_000));
        assert!(!nonces.is_new("k", "captured", hours(23), 60_000));
    }

    #[test]
    fn a_clock_that_is_set_back_and_comes_round_again_brings_no_nonce_back() {
        let (window, minute) = (60_000, 60_000);
        let nonces = Nonces::default();
        let is_new = |nonce: &str, after: i64| nonces.is_new("k", nonce, at(after), window);
        assert!(is_new("captured", 10 * minute));
        for minutes in 0..9 {
            assert!(is_new(&format!("n{minutes}"), minutes * minute));
        }
        assert!(!is_new("captured", 9 * minute + 1), "fresh again, and known");
        assert!(!is_new("captured", 11 * minute));
        assert!(is_new("n1", 20 * minute), "time has passed, as ever");
        assert_eq!(nonces.periods.lock().unwrap().len(), 1);
        assert!(is_new("captured", -100 * 24 * 3_600_000), "a clock that was wrong by months");
        assert_eq!(nonces.periods.lock().unwrap().len(), 1, "and its future is not kept for months");
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
