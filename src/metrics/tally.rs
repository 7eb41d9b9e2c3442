//! Counting where it happens: atomics, so that whoever counts waits for nobody and allocates nothing. What is counted, and
//! what it is called, is others' business.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The bounds of every histogram of times, in microseconds. A disk's sync and an answer are in the first half. 4 s is
/// `answer_within` unless configured, 5 s and 20 s are KooGallery's own limits, 60 s is the usual `timeout` of a product.
pub const TIMES: [u64; 19] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    4_000_000, 5_000_000, 10_000_000, 20_000_000, 60_000_000,
];

/// The bounds of the histogram of how much one commit holds: pieces of work. 512 is `commit_batch` unless configured.
pub const BATCHES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// A number that grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// So many more.
    pub fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// So many.
    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How values are distributed over these upper bounds, in whole units.
#[derive(Debug)]
pub struct Tally<const N: usize> {
    bounds: [u64; N],
    counts: [Count; N],
    beyond: Count,
    sum: Count,
}

/// A distribution of times.
pub type Times = Tally<{ TIMES.len() }>;

/// A distribution of how much commits hold.
pub type Batches = Tally<{ BATCHES.len() }>;

impl<const N: usize> Tally<N> {
    fn over(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: std::array::from_fn(|_| Count::default()),
            beyond: Count::default(),
            sum: Count::default(),
        }
    }

    /// Counts a value.
    pub fn note(&self, value: u64) {
        let place = self.bounds.iter().zip(&self.counts).find(|(bound, _)| value <= **bound);
        place.map_or(&self.beyond, |(_, count)| count).add();
        self.sum.add_many(value);
    }

    /// What has come together. Whoever counts meanwhile may be in a part of it only.
    pub fn now(&self) -> Distribution {
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, count)| (*bound, count.now())).collect();
        Distribution { buckets, beyond: self.beyond.now(), sum: self.sum.now() }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::over(TIMES)
    }
}

impl Times {
    /// Counts a time.
    pub fn note_time(&self, took: Duration) {
        self.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

impl Default for Batches {
    fn default() -> Self {
        Self::over(BATCHES)
    }
}

/// A distribution at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bounds with how many values are at most that, and more than the bound before.
    pub buckets: Vec<(u64, u64)>,
    /// How many values are more than the last bound.
    pub beyond: u64,
    /// Of all values.
    pub sum: u64,
}

impl Distribution {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum::<u64>() + self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_first_bound_that_holds_it() {
        let tally = Batches::default();
        for value in [1, 2, 3, 4, 512, 513, 100_000] {
            tally.note(value);
        }
        let now = tally.now();
        let filled: Vec<_> = now.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!((filled, now.beyond), (vec![(1, 1), (2, 1), (4, 2), (512, 1)], 2));
        assert_eq!((now.count(), now.sum), (7, 1 + 2 + 3 + 4 + 512 + 513 + 100_000));
    }

    #[test]
    fn times_are_counted_in_microseconds() {
        let times = Times::default();
        times.note_time(Duration::from_micros(100));
        times.note_time(Duration::from_nanos(100_999));
        times.note_time(Duration::from_secs(61));
        let now = times.now();
        assert_eq!((now.buckets[0], now.beyond, now.sum), ((100, 2), 1, 61_000_200));
    }

    #[test]
    fn bounds_rise() {
        assert!(TIMES.is_sorted_by(|one, next| one < next) && BATCHES.is_sorted_by(|one, next| one < next));
    }
}
