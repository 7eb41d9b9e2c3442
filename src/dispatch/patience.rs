//! How many calls may wait at a time for what takes long: a disk that stands still, an application.
//!
//! A call that waits holds a place of the door. If all places were held so, those who come later could not even be told to
//! come again, and a call that needs nothing of what is waited for could not be answered. So an eighth of the places is
//! kept from it: where everybody else waits already, a call is answered provisionally instead, or told at once to come
//! again. While the disk keeps up nobody notices, however many calls there are.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::conversation::Conversation;
use crate::store::{Store, StoreError, Tx};

/// Counts who waits.
pub(super) struct Patience {
    began: Instant,
    for_commits: AtomicUsize,
    for_applications: AtomicUsize,
    /// When a commit was last seen to end, or to be waited for by one call after none; milliseconds since `began`.
    moved: AtomicU64,
}

/// One that waits, until dropped.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Default for Patience {
    fn default() -> Self {
        let none = || AtomicUsize::new(0);
        Self { began: Instant::now(), for_commits: none(), for_applications: none(), moved: AtomicU64::new(0) }
    }
}

impl Patience {
    /// Begins to wait for an application, unless `most` do already.
    pub(super) fn for_application(&self, most: usize) -> Option<Waiting<'_>> {
        let before = self.for_applications.fetch_add(1, Relaxed);
        let waiting = Waiting(&self.for_applications);
        (before < most).then_some(waiting)
    }

    /// One transaction for a call: on disk within its time, or not done.
    ///
    /// # Errors
    /// What the work ends with, or that there is too much.
    pub(super) fn write<T: Send + 'static>(
        &self,
        store: &Store,
        conversation: &Conversation,
        work: impl Fn(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (settings, answer_by) = (&conversation.settings, conversation.answer_by());
        let (most, short) = (settings.most_waiting, settings.answer_within / 4);
        self.for_commit(most, answer_by, short, |until| store.write(Some(until), work))
    }

    /// Waits for a commit: as long as the call has time while fewer than `most` wait, else `short`; and not at all when
    /// nothing has been committed for so long.
    fn for_commit<T>(
        &self,
        most: usize,
        answer_by: Instant,
        short: Duration,
        write: impl FnOnce(Instant) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let before = self.for_commits.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.for_commits);
        let now = Instant::now();
        if before == 0 {
            self.move_on(now);
        }
        let mut until = answer_by;
        if before + self.for_applications.load(Relaxed) >= most {
            let stood = self.millis(now).saturating_sub(self.moved.load(Relaxed));
            if Duration::from_millis(stood) >= short {
                return Err(StoreError::Overloaded(before));
            }
            until = answer_by.min(now + short);
        }
        let written = write(until);
        if !matches!(written, Err(StoreError::TimedOut | StoreError::Overloaded(_))) {
            self.move_on(Instant::now());
        }
        written
    }

    fn move_on(&self, now: Instant) {
        self.moved.fetch_max(self.millis(now), Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn less_time_is_left_where_too_many_wait_and_none_where_nothing_moves() {
        let patience = Patience::default();
        let answer_by = Instant::now() + LONG;
        let until = |short| patience.for_commit(2, answer_by, short, Ok);
        // Two wait already.
        let inside = |short| {
            until(short).and_then(|_| {
                patience.for_commit(2, answer_by, short, |_| patience.for_commit(2, answer_by, short, |_| until(short)))
            })
        };
        assert!(inside(LONG / 4).unwrap() <= answer_by - LONG / 2);
        let refused = inside(Duration::ZERO);
        assert!(matches!(refused, Err(StoreError::Overloaded(2))), "nothing has moved within its time, which is none");
        assert_eq!(until(LONG / 4).unwrap(), answer_by, "as long as few wait, each has all its time");
    }

    #[test]
    fn who_waits_for_an_application_makes_room_when_it_is_over() {
        let patience = Patience::default();
        let first = patience.for_application(1);
        assert!(first.is_some() && patience.for_application(1).is_none());
        drop(first);
        assert!(patience.for_application(1).is_some());
    }

    #[test]
    fn applications_that_hang_say_nothing_of_the_disk() {
        let patience = Patience { began: Instant::now() - LONG, ..Patience::default() };
        let hanging = [patience.for_application(2), patience.for_application(2)];
        assert!(hanging.iter().all(Option::is_some));
        let until = patience.for_commit(2, Instant::now() + LONG, LONG / 4, Ok).unwrap();
        assert!(until <= Instant::now() + LONG / 4, "the last commit is a minute ago, because nobody asked for one");
    }
}
