//! The database's file itself, for what SQLite has no call for: its pages read as they lie there, and put on the disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

/// The one descriptor of the database that is not SQLite's. Whoever closes a file takes away all locks that the process has
/// on it, SQLite's too: this is kept until the last connection is closed.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile(Arc<File>);

/// For those who outlive the connections.
#[derive(Debug)]
pub(super) struct WhileOpen(Weak<File>);

impl DatabaseFile {
    /// Opens it. The last clone is dropped after the last connection of this process is closed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self(Arc::new(file)))
    }

    pub(super) fn while_open(&self) -> WhileOpen {
        WhileOpen(Arc::downgrade(&self.0))
    }

    pub(super) fn get(&self) -> &File {
        &self.0
    }
}

impl WhileOpen {
    /// `None` once the database is closed. Who takes it closes his own connections before he drops it.
    pub(super) fn get(&self) -> Option<DatabaseFile> {
        self.0.upgrade().map(DatabaseFile)
    }
}
