//! The nonces of the last minutes: whoever sends one again is not let in.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ring::digest;

/// A time stamp may be a minute away in either direction, so a nonce counts for two.
const KEPT_MS: i64 = 120_000;

/// Two generations: the younger is written, both are looked into, and the older goes as a whole.
#[derive(Default)]
struct Generations {
    since: i64,
    young: HashSet<u128>,
    old: HashSet<u128>,
}

#[derive(Default)]
pub struct Nonces(Mutex<Generations>);

impl Nonces {
    /// Whether it was never seen before; from now on it has been.
    pub fn is_new(&self, nonce: &str, now_ms: i64) -> bool {
        let digest = digest::digest(&digest::SHA256, nonce.as_bytes());
        let short = u128::from_be_bytes(digest.as_ref()[..16].try_into().expect("a digest has 32 bytes"));
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms - generations.since > KEPT_MS {
            let young = std::mem::take(&mut generations.young);
            (generations.old, generations.since) = (young, now_ms);
        }
        !generations.old.contains(&short) && generations.young.insert(short)
    }
}
