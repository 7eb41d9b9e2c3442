//! Writing a copy piece by piece.
//!
//! Were the sync left to the end, the disk would have gigabytes to write at once, and the syncs of commits would wait behind
//! them. After each piece there is a short pause, in which the disk is others' alone. Pieces are small, because the sync of a
//! commit may wait for the end of one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::SnapshotError;
use super::files::failed;

/// What is read at a time, a piece: a multiple of every page size.
pub(super) const CHUNK: usize = 1 << 20;

/// So much is written, in so many places, before it is synced: pages that lie apart take the disk longer.
const BYTES_SYNCED: u64 = 1 << 20;
const PLACES_SYNCED: u32 = 256;

/// The pause after a piece, as a part of the time that the piece took: under a view the log grows meanwhile.
const PAUSE: u32 = 2;

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A file of a name.
#[derive(Clone, Copy)]
pub(super) struct Named<'f> {
    pub(super) file: &'f File,
    pub(super) path: &'f Path,
}

/// Reads until the buffer is full or the file ends; returns the bytes.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Writes a file, and leaves some of the disk to others.
pub(super) struct Pace<'f> {
    to: Named<'f>,
    written: u64,
    /// Of the bytes written those that are not synced, and in how many places they are.
    bytes: u64,
    places: u32,
    begun: Instant,
}

impl<'f> Pace<'f> {
    pub(super) fn new(to: Named<'f>) -> Self {
        Self { to, written: 0, bytes: 0, places: 0, begun: Instant::now() }
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), SnapshotError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.to.file.write_all_at(bytes, at).map_err(failed("cannot write", self.to.path))?;
        self.written += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        self.places += 1;
        if self.bytes >= BYTES_SYNCED || self.places >= PLACES_SYNCED {
            self.to.file.sync_data().map_err(failed("cannot sync", self.to.path))?;
            (self.bytes, self.places) = (0, 0);
        }
        Ok(())
    }

    /// Bytes, all in all.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// After a chunk that was read, whatever of it was written.
    pub(super) fn pause(&mut self) {
        std::thread::sleep((self.begun.elapsed() / PAUSE).min(LONGEST_PAUSE));
        self.begun = Instant::now();
    }
}
