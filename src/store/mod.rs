//! Everything koogate knows, in one SQLite file.
//!
//! This is the only place that names rusqlite and the only one that opens the database. Callers hand in closures that
//! work on a [`Tx`]; writing ones run on the one writer thread, many in one commit ([`writer`]), reading ones on
//! read-only connections. What the rows mean is decided by the callers; how they are stored, here.
//!
//! No code in this process may open the database or its `-shm` with ordinary file calls, but for the one descriptor of
//! [`file`]: closing one drops SQLite's POSIX locks. (The `-wal` has none, and `metadata` opens nothing.)

#[macro_use]
mod stretch;

mod access;
mod alert;
mod cache;
mod commits;
mod directory;
mod earlier;
mod error;
mod exchange;
mod file;
mod frames;
mod front;
mod gap;
mod health;
mod heartbeat;
mod instance;
mod job;
mod leftovers;
mod license;
mod listing;
mod lock;
mod login;
mod migrate;
mod mover;
mod numbers;
mod open;
mod open_api;
mod operation;
mod operator_action;
mod order;
pub mod pages;
mod pending;
#[cfg(test)]
mod plans;
mod queue;
mod readers;
mod restore;
mod schedule;
mod sizes;
pub mod snapshot;
mod standing;
mod stock;
mod support;
#[cfg(test)]
mod tests;
mod torn;
mod usage;
mod wal;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{CachedStatement, Connection};

pub use alert::{AlertRow, ToldRow, WebhookRow};
pub use commits::{CommitsNow, Counts};
pub use directory::{ApplicationRow, BindingRow, DepartmentRow, Directory, NewTenant, NewUser, TenantRow, UserRow};
pub use earlier::{EarlierCall, EarlierCalls};
pub use error::{OpenError, StoreError};
pub use exchange::{AnswerBytes, Answered, ExchangeRow, NewExchange};
pub use heartbeat::{HeartbeatRow, Said};
pub use instance::{Cause, Described, HistoryRow, InstanceFilter, InstanceRow, NewInstance};
pub use job::{JobRow, NewJob, ORDER_QUERY, OrderWanted, Subject, UPLOAD};
pub use license::{LICENSE_STATES, LicenseFilter, LicenseRow, LicensedRow, NewLicense};
pub use listing::ExchangeFilter;
pub use login::{LoginSessionRow, NewLoginSession};
pub use numbers::{Numbers, Waiting};
pub use open::{Role, SCHEMA_VERSION, Settings};
pub use open_api::OpenApiRefusalRow;
pub use operation::{NewOperation, OperationRow};
pub use operator_action::OperatorAction;
pub use order::OrderRow;
pub use restore::RestoreRow;
pub use sizes::Sizes;
pub use standing::MOST;
pub use stock::{StockCount, StockEntry};
pub use support::{CallCount, FailedJob, JobCount};
pub use usage::{UsageCounts, UsageFilter, UsageRow, UsageTotal, WaitingUsage, Withdrawal};

use crate::sealing::SealingKey;
use file::{DatabaseFile, WhileOpen};
use readers::Readers;
use writer::Writer;

/// The open database.
pub struct Store {
    // Dropped first: the writer, which closes last, finds nobody reading.
    readers: Readers,
    writer: Writer,
    file: WhileOpen,
    path: PathBuf,
    snapshot: PathBuf,
    sealing: Arc<SealingKey>,
}

/// A transaction or a read-only view, with what is needed to read and write sealed columns.
pub struct Tx<'c> {
    connection: &'c Connection,
    sealing: &'c SealingKey,
}

impl Store {
    /// Opens the database for a role, creating it if it is not there and migrating it if it is older.
    ///
    /// # Errors
    /// See [`OpenError`]; each text says what to do.
    pub fn open(settings: &Settings, role: Role, sealing: Arc<SealingKey>) -> Result<Self, OpenError> {
        let opened = open::open(settings, role, &sealing)?;
        let readers = Readers::new(settings.path.clone(), Arc::clone(&sealing));
        let (path, snapshot) = (settings.path.clone(), settings.snapshot.clone());
        let file = DatabaseFile::open(&path).map_err(|source| OpenError::File {
            doing: "cannot open",
            path: path.clone(),
            source,
        })?;
        let while_open = file.while_open();
        let writer = Writer::start(opened, file, settings, Arc::clone(&sealing)).map_err(OpenError::Thread)?;
        Ok(Self { readers, writer, file: while_open, path, snapshot, sealing })
    }

    /// Runs `work` on the writer and returns when its commit is on disk. It may be run twice: when some other work of the
    /// same commit has failed half-way, everything is rolled back and run again.
    ///
    /// # Errors
    /// When `work` or the commit fails: then nothing of it is stored. [`StoreError::TimedOut`] when `deadline` passes
    /// first: then it may still be stored later, if its turn had come already.
    pub fn write<T, F>(&self, deadline: Option<Instant>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.write(deadline, work)
    }

    /// Runs `work` on a read-only connection, in one consistent view.
    ///
    /// # Errors
    /// When `work` fails or no connection can be had.
    pub fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.readers.read(work)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How large the files are. Their entries are looked at; nothing is opened.
    pub fn sizes(&self) -> Sizes {
        sizes::of(&self.path, &self.snapshot)
    }

    /// The key of the sealed columns.
    pub fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    /// Looks at every page, every reference and the numbers of the journal; what is wrong. Takes as long as reading the
    /// whole file.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn examine(&self) -> Result<Vec<String>, StoreError> {
        self.read(|tx| snapshot::examine(tx.connection))
    }

    /// A number that is another one whenever something was committed in between, by this process or another.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn version(&self) -> Result<i64, StoreError> {
        self.readers.version()
    }

    /// How many commits there were, and how many pieces of work they held.
    pub fn commits(&self) -> Counts {
        self.writer.counts()
    }

    /// How commits went.
    pub fn commits_now(&self) -> CommitsNow {
        self.writer.commits_now()
    }

    /// A number that is another one whenever the writer has got any further in between: has done a piece of work, moved
    /// the WAL, or found that another program is still writing. While it stays, the writer hangs, or waits for the disk.
    pub fn writer_turns(&self) -> u64 {
        self.writer.turns()
    }

    /// What commits fail with, while they do; `None`: the last one that held something is on disk.
    pub fn fault(&self) -> Option<String> {
        self.writer.fault()
    }

    /// Finishes what is queued, moves the WAL into the file and closes it: one file is left. Whoever still holds the
    /// store finds it closed.
    ///
    /// # Errors
    /// When the last checkpoint fails; nothing is lost then, the WAL stays.
    pub fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        self.writer.close()
    }
}

impl Tx<'_> {
    fn prepare(&self, doing: &'static str, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        #[cfg(test)]
        plans::note(doing, sql);
        self.connection.prepare_cached(sql).map_err(StoreError::sqlite(doing))
    }

    /// Runs a statement that changes rows; returns how many.
    fn execute(&self, doing: &'static str, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        let mut statement = self.prepare(doing, sql)?;
        statement.execute(values).map_err(StoreError::sqlite(doing))
    }

    /// Runs an INSERT; returns the new row's id.
    fn insert(&self, doing: &'static str, sql: &str, values: impl rusqlite::Params) -> Result<i64, StoreError> {
        let mut statement = self.prepare(doing, sql)?;
        statement.insert(values).map_err(StoreError::sqlite(doing))
    }

    /// The first row of a query, if any.
    fn first<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(doing, sql)?;
        let mut rows = statement.query(values).map_err(StoreError::sqlite(doing))?;
        let row = rows.next().map_err(StoreError::sqlite(doing))?;
        row.map(read).transpose().map_err(StoreError::sqlite(doing))
    }

    /// All rows of a query.
    fn all<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(doing, sql)?;
        let rows = statement.query_map(values, read).map_err(StoreError::sqlite(doing))?;
        rows.collect::<rusqlite::Result<_>>().map_err(StoreError::sqlite(doing))
    }
}

/// Unix milliseconds of an instant, as stored.
fn millis(instant: jiff::Timestamp) -> i64 {
    instant.as_millisecond()
}

/// The instant of stored Unix milliseconds.
fn instant(millis: i64) -> rusqlite::Result<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(millis).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, millis))
}

/// The meaning of a word that the schema's checks let through.
fn word<T: std::str::FromStr>(word: String) -> rusqlite::Result<T> {
    word.parse().map_err(|_| rusqlite::Error::InvalidColumnName(word))
}
