//! Copies of the database: taking one while a server runs, proving that it is whole, putting it in place.
//!
//! A live WAL database cannot be copied with file tools. A snapshot is made of its pages and its log (`copy`), sealed with a
//! digest of its bytes, examined, synced and renamed, so that the file of that name is complete at any instant.

mod copy;
mod digest;
mod files;
mod pace;
mod pages;
mod read;
mod restore;
mod take;
mod verify;

use std::path::PathBuf;

use jiff::Timestamp;

use super::{OpenError, StoreError};

pub use read::Copy;
pub use restore::{Restored, restore};
pub use take::take;
pub use verify::{Origin, verify, verify_aside};

pub(super) use restore::incoming;
pub(super) use take::keep;
pub(super) use verify::{examine, open_alone};

/// What is known of a copy after it was examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The version of its schema; an older one than [`super::SCHEMA_VERSION`] is migrated when it is restored.
    pub schema_version: i64,
    /// When it was taken as a snapshot; `None`: it is a database that was stopped cleanly.
    pub snapshot_at: Option<Timestamp>,
    /// When its newest call came in.
    pub newest_exchange_at: Option<Timestamp>,
    /// The last number that its journal has given.
    pub last_exchange: i64,
    /// Rows in its journal.
    pub exchanges: i64,
    /// Its instances.
    pub instances: i64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A copy is not what it should be, or cannot be put in place.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It was examined and found wanting.
    #[error("{path} is not a whole koogate database: {}", problems.join("; "), path = path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// Everything found.
        problems: Vec<String>,
    },
    /// Nothing may be overwritten.
    #[error("{path} exists already; koogate overwrites nothing", path = path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// A program that goes on reading and writing what is no longer the database, or, like Litestream, mixes both.
    #[error("{path} is open in another program (process {process}), such as Litestream: stop it first", path = path.display())]
    OpenElsewhere {
        /// The database.
        path: PathBuf,
        /// The program's process.
        process: u32,
    },
    /// The same reasons for which a database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
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
