//! The frames of a write-ahead log, read as bytes: each holds a page as a transaction left it.
//!
//! SQLite reads a log up to the first damage and takes the rest for nothing; here the rest is read, too. The format is that
//! of <https://www.sqlite.org/fileformat2.html#walformat>.
//!
//! To be read while nobody has the database open, this process included, because its file is looked at, too. Only [`lineage`]
//! may be asked for at any time: there are no locks on a log.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::lock::beside;

/// Bytes before the first frame, which are others once the log is begun anew, and before the page in each frame.
pub(super) const LOG_HEAD: usize = 32;
pub(super) const FRAME_HEAD: usize = 24;

/// The first bytes of a log; with 1 added where its checksums are big-endian.
const LOG_MAGIC: u32 = 0x377f_0682;

/// The head of a database file.
pub(super) const FILE_HEAD: usize = 100;

/// One frame.
pub(super) struct Frame {
    /// Where it begins in the log.
    pub(super) at: u64,
    /// The number of its page, from 1.
    page: u32,
    /// The pages of the database after the transaction, where this is the last frame of one.
    pub(super) commits: Option<u32>,
    /// Whether it is of this log, not what another one before it has left behind.
    pub(super) is_ours: bool,
    /// Whether it and all before it are what was written.
    pub(super) is_whole: bool,
}

/// A log that is read from its beginning.
pub(super) struct Frames {
    reader: BufReader<File>,
    /// `None` behind the first damage.
    checksum: Option<Checksum>,
    salts: Option<[u32; 2]>,
    frame: Vec<u8>,
    at: u64,
}

impl Frames {
    /// The log of a database; `None`: there is none, or not even its head.
    pub(super) fn of(database: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(beside(database, "-wal")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut head = [0; LOG_HEAD];
        if !fill(&mut reader, &mut head)? {
            return Ok(None);
        }
        let checksum = Checksum::of_head(&head);
        let page_size = if checksum.is_some() { word(&head, 8) as usize } else { page_size_of(database)? };
        let salts = checksum.as_ref().map(|_| [word(&head, 16), word(&head, 20)]);
        let frame = vec![0; FRAME_HEAD + page_size];
        Ok(Some(Self { reader, checksum, salts, frame, at: LOG_HEAD as u64 }))
    }

    /// Whether everything up to here is what was written.
    pub(super) fn is_whole(&self) -> bool {
        self.checksum.is_some()
    }

    /// The next frame; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        if !fill(&mut self.reader, &mut self.frame)? {
            return Ok(None);
        }
        let its_salts = [word(&self.frame, 8), word(&self.frame, 12)];
        // Where the head does not tell, the first frame does.
        let is_ours = *self.salts.get_or_insert(its_salts) == its_salts;
        self.checksum.take_if(|checksum| !(is_ours && checksum.takes(&self.frame)));
        let (at, pages) = (self.at, word(&self.frame, 4));
        self.at += self.frame.len() as u64;
        let (page, commits) = (word(&self.frame, 0), (pages != 0).then_some(pages));
        Ok(Some(Frame { at, page, commits, is_ours, is_whole: self.is_whole() }))
    }
}

/// What tells the log of a database from all others: the same however often one connection writes it over from its
/// beginning. Where another one does (a command's, Litestream's), it becomes another one: after a crash all is checked
/// then. `None`: there is no log, or its head is damaged.
pub(super) fn lineage(database: &Path) -> Option<u32> {
    let mut head = [0; LOG_HEAD];
    File::open(beside(database, "-wal")).ok()?.read_exact(&mut head).ok()?;
    // Both numbers grow by one when it is written over; one of them each connection counts for itself.
    Checksum::of_head(&head).map(|_| word(&head, 16).wrapping_sub(word(&head, 12)))
}

/// Whether all that a database has beyond the end of its file stands in the log. While a log is moved the file is too short
/// for what its first page says, which is moved first; so is a file that has lost its end, and that the log does not make up
/// for.
pub(super) fn makes_up_for_end(database: &Path) -> io::Result<bool> {
    let Some(mut frames) = Frames::of(database)? else { return Ok(false) };
    let there = std::fs::metadata(database)?.len() / page_size_of(database)? as u64;
    let (mut beyond, mut of_transaction, mut pages) = (HashSet::new(), Vec::new(), None);
    while let Some(frame) = frames.next()?.filter(|frame| frame.is_whole) {
        of_transaction.extend(Some(u64::from(frame.page)).filter(|page| *page > there));
        if frame.commits.is_some() {
            beyond.extend(of_transaction.drain(..));
            pages = frame.commits;
        }
    }
    Ok(pages.is_some_and(|pages| (there + 1..=pages.into()).all(|page| beyond.contains(&page))))
}

/// The size of a page, from the head of the file; that of new files where it does not tell.
pub(super) fn page_size_of(path: &Path) -> io::Result<usize> {
    let mut head = [0; FILE_HEAD];
    let size = if fill(&mut File::open(path)?, &mut head)? { u16::from_be_bytes([head[16], head[17]]) } else { 0 };
    Ok(match size {
        1 => 65_536,
        size if size.is_power_of_two() && size >= 512 => usize::from(size),
        _ => 4_096,
    })
}

/// Whether there were enough bytes.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// Four bytes, of which there are enough: all callers have buffers longer than their constant offsets.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_be_bytes(*word))
}

/// The running checksum of a log: of its head and every frame up to here.
struct Checksum {
    sums: [u32; 2],
    read: fn([u8; 4]) -> u32,
}

impl Checksum {
    /// `None` for a head that is damaged.
    fn of_head(head: &[u8; LOG_HEAD]) -> Option<Self> {
        let read = match word(head, 0) {
            LOG_MAGIC => u32::from_le_bytes,
            magic if magic == LOG_MAGIC + 1 => u32::from_be_bytes,
            _ => return None,
        };
        let mut checksum = Self { sums: [0, 0], read };
        checksum.add(&head[..24]);
        let page_size = word(head, 8);
        let is_whole = checksum.sums == [word(head, 24), word(head, 28)];
        (is_whole && page_size.is_power_of_two() && (512..=65_536).contains(&page_size)).then_some(checksum)
    }

    /// Whether it is the next frame.
    fn takes(&mut self, frame: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEAD..]);
        self.sums == [word(frame, 16), word(frame, 20)]
    }

    fn add(&mut self, bytes: &[u8]) {
        let (pairs, _) = bytes.as_chunks::<8>();
        for &[a, b, c, d, e, f, g, h] in pairs {
            let [first, second] = &mut self.sums;
            *first = first.wrapping_add((self.read)([a, b, c, d])).wrapping_add(*second);
            *second = second.wrapping_add((self.read)([e, f, g, h])).wrapping_add(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use rusqlite::Connection;

    use super::*;

    const PAGE: u64 = 4096;

    #[test]
    fn an_end_is_made_up_for_by_whole_transactions_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.db");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);
                 WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20)
                 INSERT INTO t SELECT zeroblob(3000) FROM n; PRAGMA wal_checkpoint(PASSIVE);
                 UPDATE t SET x = zeroblob(2999) WHERE rowid = 1; UPDATE t SET x = zeroblob(2999) WHERE rowid = 20;",
            )
            .unwrap();
        let (file, log) = (std::fs::read(&path).unwrap(), std::fs::read(beside(&path, "-wal")).unwrap());
        let copy = folder.path().join("copy.db");
        let makes_up = |pages_less: u64, frames: usize, damaged_at: Option<u64>| {
            std::fs::write(&copy, &file[..file.len() - (pages_less * PAGE) as usize]).unwrap();
            let length = LOG_HEAD + frames * (FRAME_HEAD + PAGE as usize);
            std::fs::write(beside(&copy, "-wal"), &log[..length]).unwrap();
            let log = File::options().write(true).open(beside(&copy, "-wal")).unwrap();
            if let Some(at) = damaged_at {
                log.write_all_at(b"!", at).unwrap();
            }
            makes_up_for_end(&copy).unwrap()
        };
        // A frame for each UPDATE, the second with the last page.
        assert!(makes_up(0, 1, None) && makes_up(1, 2, None));
        assert!(!makes_up(1, 1, None), "what was moved from the former log is gone");
        assert!(!makes_up(2, 2, None), "of two pages it has one");
        let second = (LOG_HEAD + FRAME_HEAD) as u64 + PAGE;
        assert!(!makes_up(1, 2, Some(second + FRAME_HEAD as u64 + 100)), "that page is damaged");
        // As the last but one of a transaction: its size of the database is 0 then, and its checksum another.
        let mut open = log.clone();
        open[second as usize + 4..][..4].fill(0);
        let mut checksum = Checksum::of_head(open.first_chunk().unwrap()).unwrap();
        assert!(checksum.takes(&open[LOG_HEAD..second as usize]));
        assert!(!checksum.takes(&open[second as usize..][..FRAME_HEAD + PAGE as usize]));
        for (sum, at) in checksum.sums.into_iter().zip([16, 20]) {
            open[second as usize + at..][..4].copy_from_slice(&sum.to_be_bytes());
        }
        std::fs::write(&copy, &file[..file.len() - PAGE as usize]).unwrap();
        std::fs::write(beside(&copy, "-wal"), &open[..second as usize + FRAME_HEAD + PAGE as usize]).unwrap();
        assert!(!makes_up_for_end(&copy).unwrap(), "its transaction was not committed");
    }
}
