//! What copies need of the file system: each step on disk before the next one, and nothing for other users' eyes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::SnapshotError;

/// Makes a file that its owner only can read, and that was not there.
pub(super) fn create_private(path: &Path) -> Result<File, SnapshotError> {
    let created = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    created.map_err(failed("cannot create", path))
}

/// Copies the bytes of a file into a new private one.
pub(super) fn copy_private(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    let mut source = File::open(from).map_err(failed("cannot read", from))?;
    let mut target = create_private(to)?;
    io::copy(&mut source, &mut target).map_err(failed("cannot copy to", to)).map(drop)
}

/// Removes a file, if it is there.
pub(super) fn remove_if_there(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

/// Gives a file a new name in one step, on disk when this returns. The file itself is synced first.
pub(super) fn put_in_place(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    sync(from)?;
    fs::rename(from, to).map_err(failed("cannot rename to", to))?;
    sync(folder_of(to))
}

/// Puts what was written to a file, or what happened in a folder, on disk.
pub(super) fn sync(path: &Path) -> Result<(), SnapshotError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("cannot sync", path))
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Wraps a system error with what was being done to which file.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path: PathBuf = path.to_owned();
    move |source| SnapshotError::File { doing, path, source }
}
