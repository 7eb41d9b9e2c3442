//! What a server has left on the disk after its end: a row for every answer, and how many bytes that took.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::peers::Peer;

/// The rows of the journal in a folder.
pub fn rows(peer: &Peer, folder: &Path) -> Result<u64, String> {
    if let Some(mut counter) = peer.counter() {
        let output = counter.current_dir(folder).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return text.parse().map_err(|_| format!("count says {text:?}, {}", String::from_utf8_lossy(&output.stderr)));
    }
    let files: Vec<PathBuf> = database_files(folder).into_iter().filter(|file| is_main(file)).collect();
    let [file] = &files[..] else { return Err(format!("one database expected, found {files:?}")) };
    let count = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| connection.query_row("SELECT count(*) FROM exchange", [], |row| row.get::<_, i64>(0)));
    count.map(i64::unsigned_abs).map_err(|error| format!("{}: {error}", file.display()))
}

/// The bytes of the database's files, log included. Snapshots are copies, which others do not make.
pub fn bytes(folder: &Path) -> u64 {
    database_files(folder).iter().map(|file| fs::metadata(file).map_or(0, |file| file.len())).sum()
}

fn database_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|file| {
            let name = file.file_name().unwrap().to_string_lossy();
            (name.contains(".db") || name.contains(".sqlite")) && !name.contains("snapshot") && !name.contains(".lock")
        })
        .collect()
}

fn is_main(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "db" || extension == "sqlite" || extension == "sqlite3")
}
