//! One server per database: an advisory lock on a file of its own beside it (never on the database itself).
//!
//! The file holds the holder's process id, for messages, and the mark that the database carries while it is open
//! (`meta.serving`). The mark tells a database that was left by a crash from a copy of a live one: the copy has the mark,
//! but not this file. A third line says that another program kept the mark from getting further than the log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::OpenError;

/// Held as long as this process may write alone; given back when dropped or when the process dies.
pub(super) struct ServerLock {
    file: File,
    path: PathBuf,
    mark: Option<String>,
    by_log: bool,
}

/// The third line.
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
        let Noted { holder, mark, by_log } = parse(&mut file);
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let lock = Self { file, path: path.clone(), mark, by_log };
        lock.write().map_err(failed)?;
        Ok(lock)
    }

    /// The mark of the last process that had the database open alone.
    pub(super) fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// Whether the mark may be in the log only.
    pub(super) fn is_by_log(&self) -> bool {
        self.by_log
    }

    /// Notes the mark that the database is going to carry, and whether it is set by way of the log; on disk when this
    /// returns.
    pub(super) fn set_mark(&mut self, mark: &str, by_log: bool) -> Result<(), OpenError> {
        self.mark = Some(mark.to_owned());
        self.by_log = by_log;
        let written = self.write().and_then(|()| self.file.sync_all());
        written.map_err(|source| OpenError::File { doing: "cannot write", path: self.path.clone(), source })
    }

    fn write(&self) -> io::Result<()> {
        let by_log = if self.by_log { BY_LOG } else { "" };
        let text = format!("{}\n{}\n{by_log}\n", std::process::id(), self.mark().unwrap_or_default());
        // Written over, then cut: at no moment is the mark gone.
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }
}

/// The mark in the lock file beside a database; `None` where there is no such file.
pub(super) fn mark_beside(database: &Path) -> Option<String> {
    parse(&mut File::open(beside(database, ".lock")).ok()?).mark
}

/// What a lock file says.
#[derive(Default)]
struct Noted {
    holder: Option<u32>,
    mark: Option<String>,
    by_log: bool,
}

fn parse(file: &mut File) -> Noted {
    let mut text = String::new();
    if file.read_to_string(&mut text).is_err() {
        return Noted::default();
    }
    let mut lines = text.lines();
    Noted {
        holder: lines.next().and_then(|line| line.trim().parse().ok()),
        mark: lines.next().filter(|mark| !mark.is_empty()).map(str::to_owned),
        by_log: lines.next() == Some(BY_LOG),
    }
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
