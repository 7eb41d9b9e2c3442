//! How far behind the copies are: kept by the thread that takes them, read by whoever tells people. It counts also when
//! that thread hangs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::Database;

/// A copy is too old when it has been behind for so many of its periods. One attempt may fail in passing, a full disk is
/// mended or a large file takes its time; when the second has failed and the third is due, somebody should look.
pub const PERIODS: u32 = 3;

/// The ages of the snapshot beside the database and of the dated series.
#[derive(Debug)]
pub struct Ages {
    snapshot: Mutex<Held>,
    series: Option<Mutex<Held>>,
    /// When a copy that had lain for a while was proved again.
    drilled: Mutex<Option<Timestamp>>,
}

/// One copy.
#[derive(Debug)]
struct Held {
    /// When it held everything last, or the server was started.
    since: Instant,
    every: Duration,
    /// The longest that taking it took: a large database may need longer than its period.
    took: Duration,
    /// When it was last taken and proved, by this process.
    taken: Option<Timestamp>,
}

/// How far behind a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// For so long it has not held everything for sure.
    pub behind: Duration,
    /// Longer is too long.
    pub limit: Duration,
    /// When it was last taken and proved; `None`: not since the start.
    pub taken: Option<Timestamp>,
}

impl Age {
    /// Whether somebody should look.
    pub fn is_too_old(self) -> bool {
        self.behind > self.limit
    }
}

impl Ages {
    /// From now on.
    pub fn new(settings: &Database) -> Self {
        let held = |every| Mutex::new(Held { since: Instant::now(), every, took: Duration::ZERO, taken: None });
        Self {
            snapshot: held(settings.snapshot_every),
            series: settings.snapshots.as_ref().map(|series| held(series.every)),
            drilled: Mutex::default(),
        }
    }

    /// Of the snapshot beside the database. One that holds everything does not age, however long ago it was taken.
    pub fn snapshot(&self) -> Age {
        age(&self.snapshot)
    }

    /// Of the newest copy of the dated series, where there is one.
    pub fn series(&self) -> Option<Age> {
        self.series.as_ref().map(age)
    }

    /// What is wrong, in words; `None`: nothing.
    pub fn problem(&self) -> Option<String> {
        let told = |what: &str, age: Age| {
            let (behind, limit) = (minutes(age.behind), minutes(age.limit));
            age.is_too_old().then(|| format!("no verified {what} for {behind}, longer than {limit}; the log says why"))
        };
        let series = || self.series().and_then(|age| told("copy of the series [database.snapshots]", age));
        told("snapshot", self.snapshot()).or_else(series)
    }

    /// When a copy that had lain for a while was last proved again and found whole; `None`: not since the start.
    pub fn drilled(&self) -> Option<Timestamp> {
        // A value that is replaced as a whole.
        *self.drilled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at `looked` found that the snapshot holds everything.
    pub(super) fn snapshot_still_holds_all(&self, looked: Instant) {
        lock(&self.snapshot).since = looked;
    }

    /// The snapshot was taken: it holds what there was at `looked`, and taking it took so long.
    pub(super) fn snapshot_holds_all(&self, looked: Instant, took: Duration) {
        lock(&self.snapshot).renew(looked, took);
    }

    /// The series has a new copy from `began` on.
    pub(super) fn series_goes_on(&self, began: Instant, took: Duration) {
        if let Some(series) = &self.series {
            lock(series).renew(began, took);
        }
    }

    /// A copy was proved again.
    pub(super) fn drill_passed(&self) {
        *self.drilled.lock().unwrap_or_else(PoisonError::into_inner) = Some(Timestamp::now());
    }
}

impl Held {
    fn renew(&mut self, since: Instant, took: Duration) {
        self.since = since;
        self.took = self.took.max(took);
        self.taken = Some(Timestamp::now());
    }
}

/// A time for people: `90 s`, `47 min`, `13 h`.
pub(super) fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn age(held: &Mutex<Held>) -> Age {
    let held = lock(held);
    Age { behind: held.since.elapsed(), limit: PERIODS * held.every.max(held.took), taken: held.taken }
}

fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    // Nothing that can panic runs under the lock.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SnapshotSeries;

    fn before(age: Duration) -> Instant {
        Instant::now().checked_sub(age).unwrap()
    }

    #[test]
    fn a_copy_is_too_old_after_three_of_its_periods_or_of_the_times_it_takes() {
        let minute = Duration::from_secs(60);
        let settings = Database { snapshot_every: minute, ..Database::default() };
        let ages = Ages::new(&settings);
        assert_eq!((ages.problem(), ages.series()), (None, None));
        for (behind, took, is_too_old) in [(2, 0, false), (4, 0, true), (4, 2, false), (7, 2, true)] {
            ages.snapshot_holds_all(before(behind * minute), took * minute);
            assert_eq!(ages.problem().is_some(), is_too_old, "{behind} min behind, {took} min to take");
        }
        let told = ages.problem().unwrap();
        assert!(told.contains("no verified snapshot for 7 min, longer than 6 min"), "{told}");
    }

    #[test]
    fn the_series_has_an_age_of_its_own() {
        let series = SnapshotSeries { every: Duration::from_secs(3600), ..SnapshotSeries::default() };
        let ages = Ages::new(&Database { snapshots: Some(series), ..Database::default() });
        ages.series_goes_on(before(Duration::from_secs(4 * 3600)), Duration::ZERO);
        assert!(ages.problem().unwrap().contains("no verified copy of the series [database.snapshots] for 4 h"));
        assert!(!ages.snapshot().is_too_old());
    }
}
