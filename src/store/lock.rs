//! One server per database: an advisory lock on a file of its own beside it (never on the database itself).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Held as long as this process may write alone; given back when dropped or when the process dies.
pub(super) struct ServerLock {
    _file: File,
}

/// Why the lock is not ours.
pub(super) enum LockError {
    /// Another process holds it; its id where it can be read.
    Held(Option<u32>),
    /// The lock file cannot be opened.
    File(PathBuf, std::io::Error),
}

impl ServerLock {
    /// Takes the lock of the database at `path`, without waiting.
    pub(super) fn take(path: &Path) -> Result<Self, LockError> {
        let path = beside(path, ".lock");
        let failed = |error| LockError::File(path.clone(), error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Best effort: the lock is what counts, the number only helps the reader of the message.
                let _ = file.read_to_string(&mut holder);
                return Err(LockError::Held(holder.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let noted =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        noted.map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The file of the same name with something appended: `koogate.db` and `-wal` give `koogate.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
