//! The work that waits for the writer.
//!
//! What is done with it is `writer`'s; the result goes its own way (`pending`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::commits::Tallies;
use super::{StoreError, Tx};

/// More than this waiting for the disk is an overload: the caller answers "try again" at once.
const MAX_QUEUED: usize = 8192;

/// A piece of work with the place its result goes to.
pub(super) trait Work: Send {
    /// Does it, the second time anew; `Err` means that its changes must be rolled back. The result is kept until the
    /// commit.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// The commit is on disk, or failed: hands the result over, with others who are to be woken as well. Returns who is
    /// to be woken now.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>, others: Vec<Thread>) -> Vec<Thread>;
}

/// Where work waits. What is counted of commits is here, where both sides see it.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    pub(super) tallies: Tallies,
    turns: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    works: VecDeque<Box<dyn Work>>,
    /// The writer has found nothing to do and must be woken.
    writer_sleeps: bool,
    closed: bool,
}

impl Queue {
    /// Leaves work for the writer.
    pub(super) fn push(&self, work: Box<dyn Work>) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        if waiting.works.len() >= MAX_QUEUED {
            return Err(StoreError::Overloaded(waiting.works.len()));
        }
        waiting.works.push_back(work);
        let writer_sleeps = std::mem::take(&mut waiting.writer_sleeps);
        drop(waiting);
        if writer_sleeps {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// From now on no work is taken in; what waits can still be taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How much work waits.
    pub(super) fn length(&self) -> usize {
        self.lock().works.len()
    }

    /// The writer has done something, or has found out that it must go on waiting.
    pub(super) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that is another one whenever the writer has got any further in between.
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Up to `most` pieces of work; empty after `idle` without any; `None` when closed and drained.
    pub(super) fn take(&self, most: usize, idle: Duration) -> Option<Vec<Box<dyn Work>>> {
        let mut waiting = self.lock();
        let until = Instant::now() + idle;
        while waiting.works.is_empty() && !waiting.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Vec::new());
            }
            waiting.writer_sleeps = true;
            waiting = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            waiting.writer_sleeps = false;
        }
        if waiting.works.is_empty() {
            return None;
        }
        let count = most.min(waiting.works.len());
        Some(waiting.works.drain(..count).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
