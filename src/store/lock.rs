//! One server per database: an advisory lock on a file of its own beside it (never on the database itself).
//!
//! The file holds four lines: the holder's process id, for messages; the mark that the database carries while it is open
//! (`meta.serving`); the lineage of its log; and whether another program kept the mark from getting further than the log.
//! The mark tells a database that was left by a crash from a copy of a live one: the copy has the mark, but not this file.
//! The lineage tells its log from another database's.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::StoreError;

/// Held as long as this process may write alone; given back when dropped or when the process dies.
pub(super) struct ServerLock {
    file: File,
    path: PathBuf,
    noted: Noted,
}

/// What the file tells of the database.
#[derive(Debug, Default)]
struct Noted {
    mark: Option<String>,
    lineage: Option<u32>,
    by_log: bool,
}

/// The fourth line.
const BY_LOG: &str = "by the log";

/// Why the lock is not ours.
pub(super) enum LockError {
    /// Another process holds it; its id where it can be read.
    Held(Option<u32>),
    /// The lock file cannot be opened.
    File(PathBuf, io::Error),
}

impl ServerLock {
    /// Takes the lock of the database at `path`, without waiting.
    pub(super) fn take(path: &Path) -> Result<Self, LockError> {
        let path = beside(path, ".lock");
        let failed = |error| LockError::File(path.clone(), error);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        let locked = file.try_lock();
        // Best effort where somebody else has it: the lock is what counts, the number only helps the message's reader.
        let (holder, noted) = parse(&mut file);
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let lock = Self { file, path: path.clone(), noted };
        lock.write().map_err(failed)?;
        Ok(lock)
    }

    /// The mark of the last process that had the database open alone.
    pub(super) fn mark(&self) -> Option<&str> {
        self.noted.mark.as_deref()
    }

    /// The lineage of the log that the database had then; `None` where it did not come to be noted.
    pub(super) fn lineage(&self) -> Option<u32> {
        self.noted.lineage
    }

    /// Whether the mark may be in the log only.
    pub(super) fn is_by_log(&self) -> bool {
        self.noted.by_log
    }

    /// Notes the mark that the database is going to carry, and whether it is set by way of the log; on disk when this
    /// returns. Its log is going to be a new one.
    pub(super) fn set_mark(&mut self, mark: &str, by_log: bool) -> Result<(), StoreError> {
        self.noted = Noted { mark: Some(mark.to_owned()), lineage: None, by_log };
        self.put_on_disk()
    }

    /// Notes the lineage of the log; on disk when this returns.
    pub(super) fn set_lineage(&mut self, lineage: Option<u32>) -> Result<(), StoreError> {
        self.noted.lineage = lineage;
        self.put_on_disk()
    }

    fn put_on_disk(&self) -> Result<(), StoreError> {
        let written = self.write().and_then(|()| self.file.sync_all());
        written.map_err(|source| StoreError::File { doing: "cannot write", path: self.path.clone(), source })
    }

    fn write(&self) -> io::Result<()> {
        let lineage = self.noted.lineage.map(|lineage| format!("{lineage:08x}")).unwrap_or_default();
        let by_log = if self.noted.by_log { BY_LOG } else { "" };
        let text = format!("{}\n{}\n{lineage}\n{by_log}\n", std::process::id(), self.mark().unwrap_or_default());
        // Written over, then cut: at no moment is the mark gone.
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }
}

/// The mark in the lock file beside a database; `None` where there is no such file.
pub(super) fn mark_beside(database: &Path) -> Option<String> {
    parse(&mut File::open(beside(database, ".lock")).ok()?).1.mark
}

fn parse(file: &mut File) -> (Option<u32>, Noted) {
    let mut text = String::new();
    if file.read_to_string(&mut text).is_err() {
        return (None, Noted::default());
    }
    let mut lines = text.lines();
    let holder = lines.next().and_then(|line| line.trim().parse().ok());
    let mark = lines.next().filter(|mark| !mark.is_empty()).map(str::to_owned);
    let lineage = lines.next().and_then(|lineage| u32::from_str_radix(lineage, 16).ok());
    (holder, Noted { mark, lineage, by_log: lines.next() == Some(BY_LOG) })
}

/// Which process has a database open with a log: each holds a lock on this byte of the log's index (`-shm`), as long as it
/// has (unixOpenSharedMemory in SQLite's os_unix.c). To be asked only while this process has the database not open, because
/// closing the file that is looked at would drop its own locks.
pub(super) fn opened_by(database: &Path) -> Option<u32> {
    const DEAD_MANS_SWITCH: u64 = 128;
    let index = File::open(beside(database, "-shm")).ok()?;
    let wanted = Flock {
        start: DEAD_MANS_SWITCH,
        length: 1,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let held = fcntl_getlk(&index, &wanted).ok()??;
    held.pid.and_then(|process| process.as_raw_nonzero().get().try_into().ok())
}

/// The file of the same name with something appended: `koogate.db` and `-wal` give `koogate.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
