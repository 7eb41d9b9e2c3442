//! The one writer: takes what is queued, commits it once, then tells everyone who waited.
//!
//! There is no artificial delay: a batch forms while the fsync of the one before it runs. A piece of work that fails takes
//! nobody with it: if it has changed anything, the batch is run again, each piece with a savepoint. With
//! `synchronous=FULL` a commit has returned only when the WAL is on disk, so whoever is told "done" may answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::commits::{CommitsNow, Counts};
use super::file::DatabaseFile;
use super::health::{Fault, Health};
use super::mover::Mover;
use super::open::{self, Opened, Settings};
use super::pending::{Pending, Promise};
use super::queue::{Queue, Work};
use super::wal::{self, Checkpointer};
use super::{StoreError, Tx, cache};
use crate::fault;
use crate::sealing::SealingKey;

/// Without work for so long, the WAL is moved into the database, and a disk that failed is tried again.
const IDLE: Duration = Duration::from_secs(2);

/// So many of those who waited are woken by one of them: waking costs a system call each, and while the writer made them
/// all, nobody's next commit would begin.
const WOKEN_TOGETHER: usize = 8;

/// What became of a batch.
struct Ran {
    /// Of each piece of work.
    results: Vec<Result<(), StoreError>>,
    /// How long the disk was waited for; `None`: nothing was changed, and no disk touched.
    synced: Option<Duration>,
}

/// The handle on the thread, for those who have work.
pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
    fault: Fault,
}

impl Writer {
    /// Starts the thread, which closes the database when it ends.
    pub(super) fn start(
        opened: Opened,
        file: DatabaseFile,
        settings: &Settings,
        sealing: Arc<SealingKey>,
    ) -> std::io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let fault = Fault::default();
        // Beside a server that is the server's work.
        let is_alone = opened.lock.is_some();
        let mover = is_alone.then(|| Mover::start(settings.path.clone(), file.clone())).transpose()?;
        let checkpointer = mover.map(Checkpointer::new);
        let state = State {
            opened,
            file,
            sealing,
            queue: Arc::clone(&queue),
            batch: settings.commit_batch,
            path: settings.path.clone(),
            checkpointer,
            health: Health::new(fault.clone()),
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || state.serve())?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)), fault })
    }

    pub(super) fn write<T, F>(&self, deadline: Option<Instant>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (pending, promise) = Pending::new();
        self.queue.push(Box::new(Task { work, result: None, deadline, promise }))?;
        pending.wait(deadline)
    }

    pub(super) fn counts(&self) -> Counts {
        self.queue.tallies.counts()
    }

    pub(super) fn commits_now(&self) -> CommitsNow {
        self.queue.tallies.now(self.queue.length())
    }

    /// A number that is another one whenever the thread has got any further in between.
    pub(super) fn turns(&self) -> u64 {
        self.queue.turns()
    }

    /// What commits fail with at present.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.now()
    }

    /// How much work waits.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queue.length()
    }

    /// From now on no work is taken; what is queued is done.
    pub(super) fn announce_end(&self) {
        self.queue.close();
    }

    /// Does what is queued, closes the database and joins; once is enough.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        self.announce_end();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => Err(StoreError::Panicked(panic_text(panic.as_ref()))),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // `close` reports; a drop on an error path only makes sure that the thread is gone.
        let _ = self.close();
    }
}

struct State {
    opened: Opened,
    file: DatabaseFile,
    sealing: Arc<SealingKey>,
    queue: Arc<Queue>,
    batch: usize,
    path: PathBuf,
    /// Of the process that has the database alone.
    checkpointer: Option<Checkpointer>,
    health: Health,
}

impl State {
    fn serve(mut self) -> Result<(), StoreError> {
        while let Some(works) = self.queue.take(self.batch, IDLE) {
            let idle = works.is_empty();
            if !idle {
                self.commit(works);
            }
            self.queue.turn();
            let tries = self.health.is_to_be_tried();
            // A log that is moved is written over from its beginning: that may be the room that is missing.
            self.checkpoint(idle || tries);
            self.queue.turn();
            if tries {
                self.try_disk();
            } else if idle {
                // If it fails, the disk is in trouble, and the next commit says so.
                let _ = cache::fit(&self.opened.connection);
            }
        }
        let needs_log = self.checkpointer.as_mut().is_some_and(Checkpointer::ends_in_doubt);
        // Its connection would stand in the way.
        drop(self.checkpointer);
        let closed = if needs_log { open::leave(self.opened) } else { open::close(self.opened, &self.path) };
        drop(self.file);
        closed
    }

    fn commit(&mut self, mut works: Vec<Box<dyn Work>>) {
        let count = works.len() as u64;
        let begun = Instant::now();
        match self.run_all(&mut works) {
            Ok(Ran { results, synced }) => {
                if synced.is_some() {
                    self.health.committed();
                }
                self.queue.tallies.committed(count, begun.elapsed(), synced);
                fault::point("committed");
                hand_over(works.into_iter().zip(results));
            }
            Err(error) => {
                self.queue.tallies.failed();
                // SQLite may have rolled back by itself.
                if !self.opened.connection.is_autocommit()
                    && let Err(error) = self.opened.connection.execute_batch("ROLLBACK")
                {
                    log::error!("the failed transaction cannot be rolled back: {error}");
                }
                self.health.commit_failed(&error);
                log::debug!("commit of {count} pieces of work failed, nothing of them is stored: {error}");
                let error = Arc::new(error);
                hand_over(works.into_iter().map(|work| (work, Err(StoreError::Commit(Arc::clone(&error))))));
            }
        }
    }

    /// A commit that changes nothing, to see whether it reaches the disk.
    fn try_disk(&mut self) {
        match open::write_a_page(&self.opened.connection).map_err(StoreError::sqlite("commit")) {
            Ok(()) => self.health.committed(),
            Err(error) => self.health.commit_failed(&error),
        }
    }

    /// Runs the works in one transaction and commits it; the results stand beside the works.
    fn run_all(&self, works: &mut [Box<dyn Work>]) -> Result<Ran, StoreError> {
        let changes = self.opened.connection.total_changes();
        let results = match self.run_together(works)? {
            Some(results) => results,
            None => {
                self.step("ROLLBACK")?;
                self.run_apart(works)?
            }
        };
        let changed = self.opened.connection.total_changes() != changes;
        let syncing = Instant::now();
        if changed {
            fault::point("commit");
        }
        self.step("COMMIT")?;
        Ok(Ran { results, synced: changed.then(|| syncing.elapsed()) })
    }

    /// Without savepoints, which would copy every page that is about to be changed. `None` when one has failed half-way.
    fn run_together(&self, works: &mut [Box<dyn Work>]) -> Result<Option<Vec<Result<(), StoreError>>>, StoreError> {
        self.begin()?;
        let mut results = Vec::with_capacity(works.len());
        for work in works.iter_mut() {
            let changes = self.opened.connection.total_changes();
            let result = self.run_one(work.as_mut())?;
            if result.is_err() && self.opened.connection.total_changes() != changes {
                return Ok(None);
            }
            results.push(result);
        }
        Ok(Some(results))
    }

    /// Each with a savepoint, so that one that fails takes nobody with it.
    fn run_apart(&self, works: &mut [Box<dyn Work>]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.begin()?;
        let mut results = Vec::with_capacity(works.len());
        for work in works.iter_mut() {
            self.step("SAVEPOINT work")?;
            let result = self.run_one(work.as_mut())?;
            if result.is_err() {
                self.step("ROLLBACK TO work")?;
            }
            self.step("RELEASE work")?;
            results.push(result);
        }
        Ok(results)
    }

    /// The work's own result; an error when the whole transaction is gone.
    fn run_one(&self, work: &mut dyn Work) -> Result<Result<(), StoreError>, StoreError> {
        let connection = &self.opened.connection;
        let tx = Tx { connection, sealing: &self.sealing };
        let result = match catch_unwind(AssertUnwindSafe(|| work.run(&tx))) {
            Ok(result) => result,
            Err(panic) => Err(StoreError::Panicked(panic_text(panic.as_ref()))),
        };
        match result {
            // A full disk or a failed read or write makes SQLite roll the whole transaction back.
            Err(error) if connection.is_autocommit() => Err(error),
            result => Ok(result),
        }
    }

    /// Takes the write lock. A command that keeps it long (a large import) makes everybody wait, each until his own
    /// deadline, and fails nobody.
    fn begin(&self) -> Result<(), StoreError> {
        loop {
            match self.step("BEGIN IMMEDIATE") {
                Err(error) if error.is_busy() && !self.queue.is_closed() => {
                    log::warn!(
                        "another process has been writing to the database for {:?}; still waiting",
                        wal::PATIENCE
                    );
                    self.queue.turn();
                }
                begun => return begun,
            }
        }
    }

    fn step(&self, sql: &str) -> Result<(), StoreError> {
        let mut statement = self.opened.connection.prepare_cached(sql).map_err(StoreError::sqlite("commit"))?;
        statement.execute([]).map_err(StoreError::sqlite("commit")).map(drop)
    }

    /// Moves the WAL when it is time to.
    fn checkpoint(&mut self, idle: bool) {
        let Some(checkpointer) = &mut self.checkpointer else { return };
        let connection = &self.opened.connection;
        let moved = if idle { checkpointer.when_idle(connection) } else { checkpointer.after_commit(connection) };
        self.health.moved(moved);
    }
}

/// Gives everyone their result, and wakes them in groups.
fn hand_over(mut finished: impl Iterator<Item = (Box<dyn Work>, Result<(), StoreError>)>) {
    while let Some((first, result)) = finished.next() {
        let others = finished.by_ref().take(WOKEN_TOGETHER - 1);
        let others = others.flat_map(|(work, result)| work.finish(result, Vec::new())).collect();
        first.finish(result, others).iter().for_each(Thread::unpark);
    }
}

struct Task<T, F> {
    work: F,
    result: Option<T>,
    deadline: Option<Instant>,
    promise: Promise<T>,
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: Fn(&Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        // Nobody waits for it any more: after a stall of the disk those who still do must not queue behind such work.
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(StoreError::TimedOut);
        }
        self.result = None;
        self.result = Some((self.work)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>, others: Vec<Thread>) -> Vec<Thread> {
        let Self { result, promise, .. } = *self;
        promise.keep(committed.and_then(|()| result.ok_or(StoreError::Closed)), others)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}
