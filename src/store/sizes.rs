//! How large the files of a database are, by their entries in the folder: nothing here opens any of them.

use std::path::Path;

use super::lock::beside;

/// Sizes in bytes at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The database file.
    pub database: u64,
    /// The log beside it; 0 where there is none.
    pub wal: u64,
    /// The snapshot; `None`: there is none.
    pub snapshot: Option<u64>,
    /// What this user may still write to the disk; `None`: the system does not tell.
    pub free: Option<u64>,
}

pub(super) fn of(database: &Path, snapshot: &Path) -> Sizes {
    let size = |file: &Path| std::fs::metadata(file).ok().map(|file| file.len());
    let disk = rustix::fs::statvfs(database).ok();
    Sizes {
        database: size(database).unwrap_or_default(),
        wal: size(&beside(database, "-wal")).unwrap_or_default(),
        snapshot: size(snapshot),
        free: disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
    }
}
