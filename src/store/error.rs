//! What can go wrong with the database, in words an operator can act on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::snapshot::SnapshotError;
use crate::sealing::SealError;

/// A piece of work on the open database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("{doing}: {source}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// SQLite's words.
        source: rusqlite::Error,
    },
    /// The commit that should have held this work failed, so nothing of it is stored.
    #[error("the commit failed: {0}")]
    Commit(Arc<StoreError>),
    /// The deadline passed before the commit was on disk; the work may still be stored.
    #[error("the disk did not confirm the commit in time")]
    TimedOut,
    /// Too much work is waiting for the disk.
    #[error("{0} pieces of work are already waiting for the disk")]
    Overloaded(usize),
    /// The writer has stopped.
    #[error("the database is closed")]
    Closed,
    /// The work panicked: a bug. Its changes were rolled back.
    #[error("internal error in a transaction: {0}")]
    Panicked(String),
    /// A sealed column cannot be opened.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// A row holds what the schema should not let in.
    #[error("row of {table}: {problem}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk did not take what was written to the database file.
    #[error("sync {path}: {source}", path = path.display())]
    Sync {
        /// The database.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// After a failed sync the system takes pages for written that may not be. They are in the log.
    #[error(
        "the disk has failed to keep pages that were moved, and only the start of a process reads all of the log again: \
         restart koogate ({0})"
    )]
    PagesInDoubt(String),
    /// A file beside the database cannot be read or written.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl StoreError {
    /// Wraps an error of SQLite with what was being done.
    pub(super) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { doing, source }
    }

    /// Whether a sync has failed. After that the system takes pages for written that may not be.
    pub(super) fn is_of_sync(&self) -> bool {
        match self {
            Self::Sync { .. } => true,
            Self::Sqlite { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                error.extended_code == rusqlite::ffi::SQLITE_IOERR_FSYNC
            }
            _ => false,
        }
    }

    /// Whether it may go away by itself, or when the machine is mended: the same work is worth another try.
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DiskFull, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
        };
        match self {
            Self::Commit(_) | Self::TimedOut | Self::Overloaded(_) => true,
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    CannotOpen | DatabaseBusy | DiskFull | OutOfMemory | PermissionDenied | ReadOnly | SystemIoFailure
                )
            ),
            _ => false,
        }
    }

    /// What to do about the disk, as the end of a sentence; empty where that is not plain.
    pub fn disk_mend(&self) -> &'static str {
        let code = match self {
            Self::Sqlite { source, .. } => source.sqlite_error_code(),
            Self::Commit(cause) => return cause.disk_mend(),
            _ => None,
        };
        match code {
            Some(rusqlite::ErrorCode::DiskFull) => "; the disk is full: free some space",
            Some(rusqlite::ErrorCode::SystemIoFailure) => "; look at the disk (dmesg) and its free space",
            Some(rusqlite::ErrorCode::ReadOnly) => "; the disk or the folder cannot be written",
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                "; the database is damaged: stop koogate and restore the newest good copy"
            }
            _ => "",
        }
    }

    /// Whether another process had the database for too long.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy))
    }
}

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves it.
    #[error("{path} is in use by another koogate{holder}; stop it first", path = path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// " (process 123)" where known.
        holder: String,
    },
    /// Written by a newer koogate.
    #[error(
        "{path} has schema version {found}, this koogate knows up to {known}: install the newer koogate again, \
         or restore a snapshot taken before the update",
        path = path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Written by an older koogate, and a command has been asked to open it.
    #[error(
        "{path} has schema version {found}, this koogate's is {known}: the next start of the server (`koogate serve`) \
         brings it there, and keeps it as it is beside it",
        path = path.display()
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It must be brought to this schema, and somebody else has it open.
    #[error(
        "{path} was written by an older koogate and must be migrated, but another program has it open: end that (a \
         sqlite3 shell, Litestream, an older koogate), then start again",
        path = path.display()
    )]
    OthersHaveIt {
        /// The database.
        path: PathBuf,
    },
    /// It must be brought to this schema, and the snapshot that comes first cannot be taken.
    #[error(
        "{path} has schema version {found} and must be migrated, but it cannot be kept as it is, so nothing was done: \
         {source}",
        path = path.display()
    )]
    BeforeMigration {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Why there is no snapshot.
        source: Box<SnapshotError>,
    },
    /// It cannot be brought to this schema.
    #[error(
        "{path} cannot be migrated and stays at schema version {found}: {problem}; free some space if the disk is full, \
         else go on with the koogate that wrote it and report this",
        path = path.display()
    )]
    Migration {
        /// The database.
        path: PathBuf,
        /// Its version now.
        found: i64,
        /// Which step failed, and why.
        problem: String,
    },
    /// Written by an older koogate while another process serves it.
    #[error("{path} is served by a koogate of another version; restart the server first", path = path.display())]
    OtherVersionServes {
        /// The database.
        path: PathBuf,
    },
    /// Not one of ours.
    #[error("{path} is no koogate database", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The sealing key does not fit.
    #[error(
        "the sealing key (keys.sealing_key) is not the one {path} was made with; \
         put the right key in place, no other can read its passwords",
        path = path.display()
    )]
    WrongSealingKey {
        /// The database.
        path: PathBuf,
    },
    /// Copied while it was in use, or damaged.
    #[error(
        "{path} is damaged or was copied while koogate was running ({problem}); restore a good copy, such \
         as the snapshot beside the database: `koogate restore koogate.snapshot.db`",
        path = path.display()
    )]
    Torn {
        /// The database.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// It is gone, and was there before.
    #[error(
        "{path} is {what}, but there is a snapshot of it: `koogate restore {snapshot}` puts that in its place; \
         to begin with nothing, move the snapshot away",
        path = path.display(), snapshot = snapshot.display()
    )]
    Gone {
        /// The database.
        path: PathBuf,
        /// "not there" or "empty".
        what: &'static str,
        /// The snapshot beside it.
        snapshot: PathBuf,
    },
    /// It is no plain file.
    #[error("{path} is a {what}; {mend}", path = path.display())]
    NoFile {
        /// The database.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do about it.
        mend: &'static str,
    },
    /// A restore did not come to its end.
    #[error(
        "restoring {path} was interrupted; finish it with `koogate restore {incoming}`, \
         or run the restore again with another copy",
        path = path.display(), incoming = incoming.display()
    )]
    UnfinishedRestore {
        /// The database.
        path: PathBuf,
        /// The whole copy that was going to be put in place.
        incoming: PathBuf,
    },
    /// The folder is missing or not writable, or the disk fails.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the database: {0}")]
    Store(#[from] StoreError),
    /// The writer thread cannot be started.
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

impl OpenError {
    /// Somebody else has it.
    pub(super) fn in_use(path: &Path, holder: Option<u32>) -> Self {
        let holder = holder.map(|id| format!(" (process {id})")).unwrap_or_default();
        Self::InUse { path: path.to_owned(), holder }
    }

    /// An earlier koogate has written it.
    pub(super) fn older(path: &Path, found: i64) -> Self {
        Self::Older { path: path.to_owned(), found, known: super::SCHEMA_VERSION }
    }

    /// A later koogate has written it.
    pub(super) fn newer(path: &Path, found: i64) -> Self {
        Self::Newer { path: path.to_owned(), found, known: super::SCHEMA_VERSION }
    }

    /// What SQLite says of a file that cannot be read: damaged, or something else in the way.
    pub(super) fn unreadable(path: &Path, doing: &'static str, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let no_row_or_table =
            matches!(source, rusqlite::Error::QueryReturnedNoRows | rusqlite::Error::SqlInputError { .. });
        if no_row_or_table || matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) {
            return Self::Torn { path: path.to_owned(), problem: source.to_string() };
        }
        Self::Store(StoreError::Sqlite { doing, source })
    }
}
