//! Pauses between attempts: they double, up to a bound, and vary, so that what failed together does not come back together.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How pauses grow.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first attempt.
    pub first: Duration,
    /// After many.
    pub slowest: Duration,
}

impl Backoff {
    /// The pause after so many attempts: the first one doubled for every further attempt, between three quarters and five
    /// quarters of it. `jitter` is from 0 to 1.
    pub fn pause(self, attempts: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempts.saturating_sub(1).min(20));
        varied(doubled.min(self.slowest), jitter)
    }
}

/// Between three quarters and five quarters of a pause.
pub fn varied(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(0.75 + 0.5 * jitter)
}

/// A number from 0 to 1.
pub fn jitter() -> f64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// The instant after a time, the last one there is if need be.
pub fn after(now: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_slowest_and_vary_by_a_quarter() {
        let backoff = Backoff { first: Duration::from_secs(2), slowest: Duration::from_secs(600) };
        let middle = |attempts| backoff.pause(attempts, 0.5).as_secs();
        assert_eq!([1, 2, 3, 9, 10, 60].map(middle), [2, 4, 8, 512, 600, 600]);
        assert_eq!(backoff.pause(60, 0.0), Duration::from_secs(450));
        assert_eq!(backoff.pause(60, 1.0), Duration::from_secs(750));
    }
}
