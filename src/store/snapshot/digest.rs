//! The digest inside a snapshot: SQLite's own check finds broken structure, this one any changed byte.
//!
//! `meta.snapshot_digest` is the SHA-256 of the file, with its own 32 bytes taken as zeros. It is written over a random
//! placeholder, straight into the file: a statement would change other bytes, too. The place is known because the one row
//! of `meta` lies in the table's root page.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

use ring::digest::{Context, SHA256};
use rusqlite::Connection;

const LENGTH: usize = 32;

/// Bytes read at a time: a multiple of every page size, so that the digest's place is never cut in two.
const CHUNK: usize = 1 << 20;

/// A file's page in which a digest must be.
pub(super) struct Page {
    at: u64,
    size: usize,
    digest: [u8; LENGTH],
}

impl Page {
    /// Where the digest of a copy is, and what it says; `None` when the copy has none.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let digest: Option<[u8; LENGTH]> =
            connection.query_row("SELECT snapshot_digest FROM meta", [], |row| row.get(0))?;
        let Some(digest) = digest else { return Ok(None) };
        let size: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let root = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
        let root: u32 = connection.query_row(root, [], |row| row.get(0))?;
        let at = u64::from(root.saturating_sub(1)) * u64::from(size);
        Ok(Some(Self { at, size: usize::try_from(size).unwrap_or(0), digest }))
    }

    /// Replaces the placeholder in the file by the digest of the file.
    pub(super) fn seal(&self, file: &File) -> io::Result<()> {
        let at = self.place(file)?.ok_or_else(|| io::Error::other("the place of the digest is not found"))?;
        file.write_all_at(&digest_of(file, at)?, at)
    }

    /// Whether the file is, byte for byte, what was sealed.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        let Some(at) = self.place(file)? else { return Ok(false) };
        Ok(digest_of(file, at)? == self.digest)
    }

    /// Where the digest's bytes are; `None` unless they are there once.
    fn place(&self, file: &File) -> io::Result<Option<u64>> {
        let mut page = vec![0; self.size];
        file.read_exact_at(&mut page, self.at)?;
        let mut found = page.windows(LENGTH).enumerate().filter(|(_, window)| *window == self.digest);
        let first = found.next().map(|(offset, _)| self.at + offset as u64);
        Ok(first.filter(|_| found.next().is_none()))
    }
}

fn digest_of(mut file: &File, place: u64) -> io::Result<[u8; LENGTH]> {
    file.rewind()?;
    let mut context = Context::new(&SHA256);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut at = 0;
    loop {
        chunk.clear();
        file.take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            break;
        }
        if let Some(inside) = place.checked_sub(at).and_then(|inside| usize::try_from(inside).ok())
            && let Some(digest) = chunk.get_mut(inside..inside.saturating_add(LENGTH))
        {
            digest.fill(0);
        }
        context.update(&chunk);
        at += chunk.len() as u64;
    }
    let mut digest = [0; LENGTH];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}
