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
            pace.pause();
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn only_pages_that_have_changed_are_written_again_and_a_smaller_database_leaves_no_tail() {
        const PAGE: usize = 4096;
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        // Three chunks and a bit, each page another.
        let bytes: Vec<u8> = (0..(3 * CHUNK + 5 * PAGE) / 4).flat_map(|word| (word as u32).to_le_bytes()).collect();
        std::fs::write(&from, &bytes).unwrap();
        let open = |path| File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        let (database, copy) = (open(&from), open(&to));
        let named = |file, path| Named { file, path };
        let mut pages = Pages::new(named(&database, &from), named(&copy, &to), PAGE);
        assert_eq!(pages.copy_what_has_changed().unwrap(), bytes.len() as u64);
        assert_eq!(pages.copy_what_has_changed().unwrap(), 0);
        // The first, two at the end of a chunk and the beginning of the next, the last.
        let last = bytes.len() as u64 - 1;
        for at in [0, CHUNK as u64 - 1, CHUNK as u64, last] {
            database.write_all_at(b"!", at).unwrap();
        }
        assert_eq!(pages.copy_what_has_changed().unwrap(), 4 * PAGE as u64);
        assert!(std::fs::read(&from).unwrap() == std::fs::read(&to).unwrap());
        database.set_len((CHUNK + PAGE) as u64).unwrap();
        assert_eq!(pages.copy_what_has_changed().unwrap(), 0);
        pages.cut().unwrap();
        assert!(std::fs::read(&from).unwrap() == std::fs::read(&to).unwrap());
    }
}
