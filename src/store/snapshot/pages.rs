//! The pages of a database as they lie in its file, copied again where they have changed.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::SnapshotError;
use super::files::failed;
use super::pace::{CHUNK, Named, Pace, read_at};

/// So many bytes are written under a view without much ado.
pub(super) const LITTLE: u64 = 32 << 20;

/// The pages of a database on their way into a copy.
pub(super) struct Pages<'f> {
    database: Named<'f>,
    to: Named<'f>,
    page_size: usize,
    /// What each page of the copy is, told by a hash with keys of its own: 8 bytes for each page of 4 KiB are kept, and one
    /// of 2^64 changes is missed.
    known: Vec<u64>,
    hashes: RandomState,
}

impl<'f> Pages<'f> {
    pub(super) fn new(database: Named<'f>, to: Named<'f>, page_size: usize) -> Self {
        Self { database, to, page_size, known: Vec::new(), hashes: RandomState::default() }
    }

    /// Copies until little has changed meanwhile, or no less than before. `false`: there is little to copy, and nothing was.
    pub(super) fn copy_without_view(&mut self) -> Result<bool, SnapshotError> {
        let length = self.database.file.metadata().map_err(failed("cannot read", self.database.path))?.len();
        if length <= LITTLE {
            return Ok(false);
        }
        let mut written = self.copy_what_has_changed()?;
        loop {
            let now = self.copy_what_has_changed()?;
            if now <= LITTLE || now > written / 2 {
                return Ok(true);
            }
            written = now;
        }
    }

    /// Looks at all pages once; returns the bytes that were written.
    pub(super) fn copy_what_has_changed(&mut self) -> Result<u64, SnapshotError> {
        let (mut chunk, mut at, mut pace) = (vec![0; CHUNK], 0, Pace::new(self.to));
        loop {
            let read =
                read_at(self.database.file, &mut chunk, at).map_err(failed("cannot read", self.database.path))?;
            self.put(&chunk[..read], at, &mut pace)?;
            if read < CHUNK {
                return Ok(pace.written());
            }
            at += read as u64;
            pace.chunk();
        }
    }

    /// Writes those pages of a chunk that the copy does not have.
    fn put(&mut self, chunk: &[u8], at: u64, pace: &mut Pace<'_>) -> Result<(), SnapshotError> {
        let first = usize::try_from(at / self.page_size as u64).unwrap_or(usize::MAX);
        // Pages that the copy does not have, and that lie side by side, begin here.
        let mut begin = 0;
        for (number, page) in chunk.chunks(self.page_size).enumerate() {
            let hash = self.hashes.hash_one(page);
            match self.known.get_mut(first.saturating_add(number)) {
                Some(known) if *known == hash => {
                    let end = number * self.page_size;
                    pace.write(&chunk[begin..end], at + begin as u64)?;
                    begin = end + page.len();
                }
                Some(known) => *known = hash,
                None => self.known.push(hash),
            }
        }
        pace.write(&chunk[begin..], at + begin as u64)
    }

    /// What a smaller database has left behind in the copy is no part of it.
    pub(super) fn cut(&self) -> Result<(), SnapshotError> {
        let length = self.database.file.metadata().map_err(failed("cannot read", self.database.path))?.len();
        let copied = self.to.file.metadata().map_err(failed("cannot read", self.to.path))?.len();
        self.to.file.set_len(length.min(copied)).map_err(failed("cannot cut", self.to.path))
    }
}
