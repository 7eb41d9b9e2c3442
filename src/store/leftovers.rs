//! What lies at the path of a database before SQLite opens it, read as bytes: SQLite takes a damaged log for a short one, and
//! writes whatever journal it finds into the file, without a word.
//!
//! To be called while nobody has the database open, this process included: ordinary file calls on an open one would drop
//! SQLite's locks. Only [`lineage`] may be asked for at any time: there are no locks on a log. The formats are those of <https://www.sqlite.org/fileformat2.html>.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::OpenError;
use super::lock::beside;

/// Bytes before the first frame of a log, and before the page in each frame.
const LOG_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

/// The first bytes of a log; with 1 added where its checksums are big-endian.
const LOG_MAGIC: u32 = 0x377f_0682;

/// The first bytes of a rollback journal that counts.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Bytes of the head of a journal that are read here.
const JOURNAL_HEAD: usize = 28;

/// The head of a database file.
const FILE_HEAD: usize = 100;

/// Refuses what a start could only make worse.
pub(super) fn refuse(path: &Path, snapshot: &Path) -> Result<(), OpenError> {
    refuse_other_than_file(path)?;
    let size = fs::metadata(path).ok().map(|file| file.len());
    if size.unwrap_or(0) == 0 && snapshot.exists() {
        let what = if size.is_some() { "empty" } else { "not there" };
        return Err(OpenError::Gone { path: path.to_owned(), what, snapshot: snapshot.to_owned() });
    }
    let problem = match (journal_problem(path, snapshot.exists()), log_problem(path)) {
        (Ok(None), Ok(None)) => return Ok(()),
        (Ok(Some(problem)), _) | (_, Ok(Some(problem))) => problem,
        (Err(source), _) | (_, Err(source)) => {
            return Err(OpenError::File { doing: "cannot read what lies beside", path: path.to_owned(), source });
        }
    };
    Err(OpenError::Torn { path: path.to_owned(), problem })
}

/// Under two names a database would have two locks and two logs.
fn refuse_other_than_file(path: &Path) -> Result<(), OpenError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let (what, mend) = if found.is_symlink() {
        ("symbolic link", "name the file itself in database.path: what belongs to it lies beside it")
    } else if found.is_dir() {
        ("directory", "name a file in database.path")
    } else {
        return Ok(());
    };
    Err(OpenError::NoFile { path: path.to_owned(), what, mend })
}

/// What tells the log of a database from all others: the same however often one connection writes it over from its
/// beginning. Where another one does (a command's, Litestream's), it becomes another one: after a crash all is checked
/// then. `None`: there is no log, or its head is damaged.
pub(super) fn lineage(path: &Path) -> Option<u32> {
    let mut head = [0; LOG_HEAD];
    File::open(beside(path, "-wal")).ok()?.read_exact(&mut head).ok()?;
    // Both numbers grow by one when it is written over; one of them each connection counts for itself.
    Checksum::of_head(&head).map(|_| word(&head, 16).wrapping_sub(word(&head, 12)))
}

/// What is wrong with the log: SQLite reads it up to the first damage. A crash of the machine leaves at most one
/// transaction there that is not whole, because the next one waits for the sync; more of them behind a frame that cannot be
/// read were whole once.
fn log_problem(path: &Path) -> io::Result<Option<String>> {
    let log = beside(path, "-wal");
    let file = match File::open(&log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut head = [0; LOG_HEAD];
    if !fill(&mut reader, &mut head)? {
        return Ok(None);
    }
    let mut checksum = Checksum::of_head(&head);
    // The head is synced before anything follows it: with a damaged one, what follows was whole.
    let (mut damaged_at, most_lost) = if checksum.is_some() { (None, 1) } else { (Some(0), 0) };
    let page_size = if checksum.is_some() { word(&head, 8) as usize } else { page_size_of(path)? };
    let mut salts = checksum.as_ref().map(|_| [word(&head, 16), word(&head, 20)]);
    let mut frame = vec![0; FRAME_HEAD + page_size];
    let (mut at, mut lost) = (LOG_HEAD as u64, 0);
    while fill(&mut reader, &mut frame)? {
        let its_salts = [word(&frame, 8), word(&frame, 12)];
        // Where the head does not tell, the first frame does.
        let is_ours = *salts.get_or_insert(its_salts) == its_salts;
        let is_whole = is_ours && checksum.as_mut().is_some_and(|checksum| checksum.takes(&frame));
        if !is_whole && damaged_at.is_none() {
            damaged_at = Some(at);
            checksum = None;
        }
        // The last frame of a transaction tells the size of the database.
        lost += u32::from(damaged_at.is_some() && is_ours && word(&frame, 4) != 0);
        at += frame.len() as u64;
    }
    let found = damaged_at.filter(|_| lost > most_lost);
    Ok(found.map(|at| {
        let log = log.display();
        format!("{log} is damaged at byte {at}, and {lost} transactions behind that cannot be read")
    }))
}

/// What is wrong with the rollback journal: SQLite would write the pages in it into the file, whoever's they are. Ours has
/// the first page as it was one commit ago at most, or before there was anything.
fn journal_problem(path: &Path, was_served: bool) -> io::Result<Option<String>> {
    let name = beside(path, "-journal");
    let mut journal = match File::open(&name) {
        Ok(journal) => journal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let strange = || Some(format!("{} belongs to another database; move it away", name.display()));
    let mut head = [0; JOURNAL_HEAD];
    if !fill(&mut journal, &mut head)? || head[..8] != JOURNAL_MAGIC {
        // SQLite takes no notice of it either.
        return Ok(None);
    }
    let (pages, sector, page_size) = (word(&head, 16), word(&head, 20), word(&head, 24) as usize);
    let mut file = [0; FILE_HEAD];
    if pages == 0 {
        // A first start that did not come to its end: the file is to be empty again.
        return Ok(if was_served { strange() } else { None });
    }
    match File::open(path) {
        Ok(found) if fill(&mut &found, &mut file)? && page_size == page_size_of(path)? => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(strange()),
    }
    journal.seek(SeekFrom::Start(u64::from(sector)))?;
    let mut record = vec![0; 4 + page_size + 4];
    while fill(&mut journal, &mut record)? {
        if word(&record, 0) != 1 {
            continue;
        }
        let before = &record[4..];
        let (counter, counter_before) = (word(&file, 24), word(before, 24));
        let is_ours = [0, 1].contains(&counter.wrapping_sub(counter_before)) && word(&file, 68) == word(before, 68);
        return Ok(if is_ours { None } else { strange() });
    }
    // Every commit of ours changes the first page.
    Ok(strange())
}

/// The size of a page, from the head of the file; that of new files where it does not tell.
fn page_size_of(path: &Path) -> io::Result<usize> {
    let mut head = [0; FILE_HEAD];
    let size = if fill(&mut File::open(path)?, &mut head)? { u16::from_be_bytes([head[16], head[17]]) } else { 0 };
    Ok(match size {
        1 => 65_536,
        size if size.is_power_of_two() && size >= 512 => usize::from(size),
        _ => 4_096,
    })
}

/// Whether there were enough bytes.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// Four bytes, of which there are enough: all callers have buffers longer than their constant offsets.
fn word(bytes: &[u8], at: usize) -> u32 {
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
