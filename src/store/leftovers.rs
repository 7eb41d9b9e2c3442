//! What lies at the path of a database before SQLite opens it, read as bytes: SQLite takes a damaged log for a short one, and
//! writes whatever journal it finds into the file, without a word.
//!
//! To be called while nobody has the database open, this process included: ordinary file calls on an open one would drop
//! SQLite's locks. The formats are those of <https://www.sqlite.org/fileformat2.html>.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::OpenError;
use super::frames::{FILE_HEAD, Frames, fill, page_size_of, word};
use super::lock::beside;

/// The first bytes of a rollback journal that counts.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Bytes of the head of a journal that are read here.
const JOURNAL_HEAD: usize = 28;

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

/// What is wrong with the log: SQLite reads it up to the first damage. A crash of the machine leaves at most one
/// transaction there that is not whole, because the next one waits for the sync; more of them behind a frame that cannot be
/// read were whole once.
fn log_problem(path: &Path) -> io::Result<Option<String>> {
    let Some(mut frames) = Frames::of(path)? else { return Ok(None) };
    // The head is synced before anything follows it: with a damaged one, what follows was whole.
    let (mut damaged_at, most_lost) = if frames.is_whole() { (None, 1) } else { (Some(0), 0) };
    let mut lost = 0;
    while let Some(frame) = frames.next()? {
        if !frame.is_whole {
            damaged_at.get_or_insert(frame.at);
        }
        // The last frame of a transaction tells the size of the database.
        lost += u32::from(damaged_at.is_some() && frame.is_ours && frame.commits.is_some());
    }
    let found = damaged_at.filter(|_| lost > most_lost);
    Ok(found.map(|at| {
        let log = beside(path, "-wal");
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
