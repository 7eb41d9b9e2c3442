//! Whether commits reach the disk: said when they begin to fail and when it is over, and known to whoever asks whether
//! calls can be answered.
//!
//! A failed commit is no reason to end the process, not even when a sync of the log failed. After such a failure the
//! system may take pages for written that are not, and the next sync succeeds without them. SQLite counts on none of them:
//! the failed frames are no part of the log, the next commit writes its own over them, page by page, and a move of the
//! log that failed is made again from its beginning. So what is reported as stored was written after the last failure.
//! Only where passes of a move had come before the sync that failed, SQLite counts on what they wrote: then the log is left
//! as it is, to be moved by the next start from its beginning (`wal`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;
use crate::trouble::Trouble;

/// How often the disk is tried while commits fail and nobody has anything to write.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// What the last commit failed with, while they fail.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    pub(super) fn now(&self) -> Option<String> {
        // Only assignments happen under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, fault: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// The writer's view.
pub(super) struct Health {
    fault: Fault,
    commits: Trouble,
    moves: Trouble,
    /// The log is needed until the next start: there is nothing to wait for.
    is_in_doubt: bool,
    tried: Instant,
}

impl Health {
    pub(super) fn new(fault: Fault) -> Self {
        let (commits, moves) = (Trouble::default(), Trouble::default());
        Self { fault, commits, moves, is_in_doubt: false, tried: Instant::now() }
    }

    /// Nothing of a commit is stored.
    pub(super) fn commit_failed(&mut self, error: &StoreError) {
        self.tried = Instant::now();
        self.fault.set(Some(error.to_string()));
        if self.commits.met(self.tried) {
            let mend = error.disk_mend();
            log::error!(
                "ALERT the database cannot be written, calls are answered 000005 until it can: {error}{mend}; trying on"
            );
        }
    }

    /// A commit that held something is on disk.
    pub(super) fn committed(&mut self) {
        if self.commits.lasts() {
            self.fault.set(None);
        }
        if let Some(over) = self.commits.over(Instant::now()) {
            log::warn!(
                "the database is written again, after {:.0?} in which {} commits had failed",
                over.lasted,
                over.times
            );
        }
    }

    /// Whether it is time to find out if the trouble is over.
    pub(super) fn is_to_be_tried(&self) -> bool {
        self.commits.lasts() && self.tried.elapsed() >= TRY_EVERY
    }

    /// The log was moved into the database, or could not be.
    pub(super) fn moved(&mut self, moved: Result<(), StoreError>) {
        let now = Instant::now();
        match moved {
            Ok(()) => {
                if let Some(over) = self.moves.over(now) {
                    log::warn!("the WAL is moved into the database again, after {:.0?}", over.lasted);
                }
            }
            Err(error) => {
                let was_in_doubt = self.is_in_doubt;
                self.is_in_doubt |= matches!(error, StoreError::PagesInDoubt(_));
                if self.moves.met(now) || self.is_in_doubt != was_in_doubt {
                    let mend = error.disk_mend();
                    log::error!(
                        "ALERT the WAL cannot be moved into the database and grows until it can; nothing is lost: \
                         {error}{mend}"
                    );
                }
            }
        }
    }
}
