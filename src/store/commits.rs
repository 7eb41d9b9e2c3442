//! How commits went: counted by the writer, told to metrics and to the log at the end.

use std::time::Duration;

use crate::metrics::tally::{Batches, Count, Distribution, Times};

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that reached the disk.
    pub commits: u64,
    /// Pieces of work in them.
    pub works: u64,
}

/// How commits went since the start. Those that changed nothing touch no disk and are not in the distributions.
#[derive(Debug, Clone, Default)]
pub struct CommitsNow {
    /// Commits that failed: nothing of them is stored.
    pub failed: u64,
    /// Pieces of work that wait at the moment.
    pub queued: u64,
    /// How many pieces of work one commit held.
    pub batches: Distribution,
    /// Microseconds from the beginning of a transaction until it was on disk.
    pub times: Distribution,
    /// Microseconds of that in which the disk was waited for.
    pub syncs: Distribution,
}

/// What the writer counts.
#[derive(Default)]
pub(super) struct Tallies {
    commits: Count,
    works: Count,
    failed: Count,
    batches: Batches,
    times: Times,
    syncs: Times,
}

impl Tallies {
    /// A commit is on disk that held so many pieces of work and took so long. `synced`: so long of that the disk was waited
    /// for; `None`: nothing was changed, and no disk touched.
    pub(super) fn committed(&self, works: u64, took: Duration, synced: Option<Duration>) {
        if let Some(synced) = synced {
            self.batches.note(works);
            self.times.note_time(took);
            self.syncs.note_time(synced);
        }
        self.commits.add();
        self.works.add_many(works);
    }

    /// A commit failed.
    pub(super) fn failed(&self) {
        self.failed.add();
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { commits: self.commits.now(), works: self.works.now() }
    }

    /// The numbers, while so many pieces of work wait.
    pub(super) fn now(&self, queued: usize) -> CommitsNow {
        let Self { failed, batches, times, syncs, .. } = self;
        let queued = queued as u64;
        CommitsNow { failed: failed.now(), queued, batches: batches.now(), times: times.now(), syncs: syncs.now() }
    }
}
