//! Damaged, foreign and misplaced files: a start has everything that was answered, or refuses and says the mend, and changes
//! no byte of what it refuses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;
use serde_json::Value;

use super::{QUIET, scratch_with};
use crate::harness::{Answer, Koogate, Scratch, eventually, files_in, new_instance, renewal, text};
use crate::shop::{instance_id, retry};

const FILE: &str = "koogate.db";
const LOG: &str = "koogate.db-wal";
const JOURNAL: &str = "koogate.db-journal";
const LOCK: &str = "koogate.db.lock";
const SNAPSHOT: &str = "koogate.snapshot.db";

/// Bytes of a page of the database, and of a page with its head in the log.
const PAGE: u64 = 4096;
const FRAME: u64 = PAGE + 24;

/// How the server ended before the damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Stopped cleanly: one file.
    Stopped,
    /// Killed, with most of the calls in the log alone.
    Killed,
}

/// What a start makes of it.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It has everything.
    Whole,
    /// It refuses, with these words; a restore of the snapshot mends it.
    Refused(&'static [&'static str]),
    /// The same, where something else is to be done.
    RefusedFor(&'static [&'static str]),
    /// It starts on less, and says so aloud.
    Said(&'static str),
}

use Ended::{Killed, Stopped};
use Expected::{Refused, RefusedFor, Said, Whole};

/// Damage: a name, how the server ended, what happens to its folder (given another koogate's folder), what is expected.
type Case = (&'static str, Ended, fn(&Path, &Path), Expected);

const CASES: &[Case] = &[
    ("nothing", Stopped, |_, _| (), Whole),
    ("nothing", Killed, |_, _| (), Whole),
    ("garbage in the index", Killed, |here, _| fs::write(here.join("koogate.db-shm"), [0xa5; 40_000]).unwrap(), Whole),
    ("garbage in the index", Stopped, |here, _| fs::write(here.join("koogate.db-shm"), [0xa5; 40_000]).unwrap(), Whole),
    ("no lock file", Killed, |here, _| remove(here, LOCK), Whole),
    ("no lock file", Stopped, |here, _| remove(here, LOCK), Whole),
    ("garbage in the lock file", Killed, |here, _| fs::write(here.join(LOCK), [0xff; 100]).unwrap(), Whole),
    ("the file cut in half", Stopped, |here, _| cut(here, FILE, |size| size / 2), Refused(&["is damaged"])),
    ("the file cut in half", Killed, |here, _| cut(here, FILE, |size| size / 2), Refused(&["is damaged"])),
    ("less than a page left", Stopped, |here, _| cut(here, FILE, |_| 100), Refused(&["is damaged"])),
    (
        "an empty file",
        Stopped,
        |here, _| cut(here, FILE, |_| 0),
        Refused(&["is empty", "koogate restore koogate.snapshot.db"]),
    ),
    (
        "no file",
        Stopped,
        |here, _| remove(here, FILE),
        Refused(&["is not there", "koogate restore koogate.snapshot.db"]),
    ),
    ("no file", Killed, |here, _| remove(here, FILE), Refused(&["there is a log of changes to it"])),
    ("the first page zeroed", Stopped, |here, _| overwrite(here, FILE, 0, &[0; 4096]), Refused(&["is damaged"])),
    ("the first page zeroed", Killed, |here, _| overwrite(here, FILE, 0, &[0; 4096]), Whole),
    (
        "a text",
        Stopped,
        |here, _| fs::write(here.join(FILE), "notes\n".repeat(2000)).unwrap(),
        Refused(&["is damaged", "not a database"]),
    ),
    ("the log gone", Killed, |here, _| remove(here, LOG), Said("ALERT")),
    (
        "an early page of the log flipped",
        Killed,
        |here, _| flip(here, LOG, 32 + FRAME + 24 + 1000),
        Refused(&["koogate.db-wal is damaged"]),
    ),
    (
        "the head of a page in the log flipped",
        Killed,
        |here, _| flip(here, LOG, 32 + FRAME + 17),
        Refused(&["koogate.db-wal is damaged"]),
    ),
    (
        "the head of the log zeroed",
        Killed,
        |here, _| overwrite(here, LOG, 0, &[0; 32]),
        Refused(&["koogate.db-wal is damaged"]),
    ),
    ("another koogate\'s log", Killed, |here, there| copy(there, here, LOG), Refused(&["is damaged"])),
    ("another koogate's log", Stopped, |here, there| copy(there, here, LOG), Refused(&["is damaged"])),
    (
        "another koogate's crashed file under our log",
        Killed,
        |here, there| copy(there, here, FILE),
        Refused(&["is damaged"]),
    ),
    (
        "another koogate's crashed file",
        Stopped,
        |here, there| copy(there, here, FILE),
        Refused(&["copied while koogate had it open"]),
    ),
    ("the snapshot laid over the file", Killed, |here, _| lay_over(here), Refused(&["another database"])),
    ("another database's rollback journal", Stopped, |here, _| make_journal(here), Refused(&["koogate.db-journal"])),
    ("a directory", Stopped, |here, _| make_directory(here), RefusedFor(&["koogate.db", "directory"])),
    ("a symbolic link", Stopped, |here, _| make_link(here), RefusedFor(&["is a symbolic link", "database.path"])),
];

fn remove(folder: &Path, name: &str) {
    fs::remove_file(folder.join(name)).unwrap();
}

fn open(folder: &Path, name: &str) -> File {
    File::options().read(true).write(true).open(folder.join(name)).unwrap()
}

fn cut(folder: &Path, name: &str, length: fn(u64) -> u64) {
    let file = open(folder, name);
    file.set_len(length(file.metadata().unwrap().len())).unwrap();
}

fn overwrite(folder: &Path, name: &str, at: u64, bytes: &[u8]) {
    open(folder, name).write_all_at(bytes, at).unwrap();
}

/// Flips a bit.
fn flip(folder: &Path, name: &str, at: u64) {
    let (file, mut byte) = (open(folder, name), [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn copy(from: &Path, to: &Path, name: &str) {
    fs::copy(from.join(name), to.join(name)).unwrap();
}

fn lay_over(folder: &Path) {
    fs::copy(folder.join(SNAPSHOT), folder.join(FILE)).unwrap();
}

/// A hot journal, as another SQLite database leaves it that dies in a transaction.
fn make_journal(folder: &Path) {
    let other = Connection::open(folder.join("other.db")).unwrap();
    other
        .execute_batch("PRAGMA page_size = 4096; CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000));")
        .unwrap();
    other.execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE t SET a = randomblob(100000); INSERT INTO t VALUES (zeroblob(100000));").unwrap();
    // Its pages do not fit into the cache, so the journal is written and synced by now.
    fs::copy(folder.join("other.db-journal"), folder.join(JOURNAL)).unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    remove(folder, "other.db");
}

fn make_directory(folder: &Path) {
    remove(folder, FILE);
    fs::create_dir(folder.join(FILE)).unwrap();
}

fn make_link(folder: &Path) {
    fs::rename(folder.join(FILE), folder.join("elsewhere.db")).unwrap();
    symlink("elsewhere.db", folder.join(FILE)).unwrap();
}

/// Whether the database needs nothing of its log.
fn is_all_moved(file: &Path) -> bool {
    let connection = Connection::open(file).unwrap();
    let progress = connection
        .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
    progress.is_ok_and(|(pages, moved)| pages == moved)
}

/// What a server left, and what it had answered.
struct Left {
    files: BTreeMap<String, Vec<u8>>,
    told: Vec<(Value, Answer)>,
}

impl Left {
    /// Makes one: some calls, a snapshot, and many more calls; the log is moved in between.
    fn by(ended: Ended) -> Self {
        let scratch = scratch_with("snapshot_every = \"1s\"");
        let koogate = scratch.serve();
        let mut told = Vec::new();
        sell(&koogate, 0..10, &mut told);
        let modified = |name: &str| fs::metadata(scratch.path(name)).ok()?.modified().ok();
        // All of it, and no snapshot reads it any more: otherwise what comes is appended, and the log still holds everything.
        let is_moved = || (modified(SNAPSHOT)? > modified(LOG)? && is_all_moved(&scratch.path(FILE))).then_some(());
        eventually(is_moved, || koogate.log_text());
        sell(&koogate, 10..40, &mut told);
        match ended {
            Stopped => drop(koogate.stop()),
            Killed => koogate.kill(),
        }
        let names =
            files_in(&scratch.path("")).into_iter().filter(|name| name != "koogate.toml" && !name.ends_with("-shm"));
        let files = names.map(|name| (name.clone(), fs::read(scratch.path(&name)).unwrap())).collect();
        Self { files, told }
    }

    /// The same for every test.
    fn of(ended: Ended) -> &'static Self {
        static LEFT: [OnceLock<Left>; 2] = [OnceLock::new(), OnceLock::new()];
        LEFT[usize::from(ended == Killed)].get_or_init(|| Self::by(ended))
    }

    /// Of another koogate, killed.
    fn of_another() -> &'static Self {
        static LEFT: OnceLock<Left> = OnceLock::new();
        LEFT.get_or_init(|| Self::by(Killed))
    }

    fn folder(&self) -> Scratch {
        use std::os::unix::fs::PermissionsExt;

        let scratch = scratch_with(QUIET);
        for (name, content) in &self.files {
            fs::write(scratch.path(name), content).unwrap();
            fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        scratch
    }

    /// What a server does not answer as it was answered before.
    fn missing(&self, koogate: &Koogate) -> Vec<&Value> {
        let differs = |(body, answer): &&(Value, Answer)| koogate.call(&retry(body)).verbatim() != answer.verbatim();
        self.told.iter().filter(differs).map(|(body, _)| body).collect()
    }
}

fn sell(koogate: &Koogate, numbers: std::ops::Range<u32>, told: &mut Vec<(Value, Answer)>) {
    let mut call = |body: Value| {
        let answer = koogate.call(&body);
        assert_eq!(answer.code(), "000000", "{}", text(&answer.body));
        told.push((body, answer.clone()));
        answer
    };
    for number in numbers {
        let order = format!("CS{number}");
        let id = instance_id(&call(new_instance(&order)));
        call(renewal(&id, &format!("{order}-R"), 2099));
    }
}

/// Every file but those that a start may write without harm.
fn contents(scratch: &Scratch) -> BTreeMap<String, Option<Vec<u8>>> {
    let names = files_in(&scratch.path("")).into_iter().filter(|name| name != LOCK && !name.ends_with("-shm"));
    let files = names.map(|name| (name.clone(), fs::read(scratch.path(&name)).ok()));
    // Whoever opens a database makes an empty log.
    files.filter(|(name, content)| name != LOG || content.as_ref().is_some_and(|log| !log.is_empty())).collect()
}

fn try_case(case: &Case) -> Result<(), String> {
    let (_, ended, damage, expected) = case;
    let (left, other) = (Left::of(*ended), Left::of_another().folder());
    let scratch = left.folder();
    damage(&scratch.path(""), &other.path(""));
    let before = contents(&scratch);
    match (scratch.try_serve_with(&[]), expected) {
        (Ok(koogate), Whole | Said(_)) => {
            let (missing, log) = (left.missing(&koogate).len(), koogate.log_text());
            match expected {
                Said(words) if missing > 0 && !log.contains(words) => {
                    Err(format!("{missing} are missing, and it says only\n{log}"))
                }
                Whole if missing > 0 => Err(format!("{missing} are missing\n{log}")),
                _ => Ok(()),
            }
        }
        (Ok(koogate), _) => {
            let (missing, log) = (left.missing(&koogate).len(), koogate.log_text());
            Err(format!("it starts, and {missing} of {} are missing\n{log}", left.told.len()))
        }
        (Err(ended), Refused(words) | RefusedFor(words)) => {
            if let Some(word) = words.iter().find(|word| !ended.log.contains(**word)) {
                return Err(format!("no {word:?} in {}", ended.log));
            }
            let after = contents(&scratch);
            if after != before {
                let changed = |name: &&String| before.get(*name) != after.get(*name);
                return Err(format!(
                    "it has changed {:?}",
                    before.keys().chain(after.keys()).filter(changed).collect::<Vec<_>>()
                ));
            }
            if matches!(expected, Refused(_)) {
                if !ended.log.contains("koogate restore koogate.snapshot.db") {
                    return Err(format!("it does not say the mend: {}", ended.log));
                }
                scratch.run_ok(&["restore", SNAPSHOT]);
                scratch.serve().stop();
            }
            Ok(())
        }
        (Err(ended), _) => Err(format!("it does not start: {}", ended.log)),
    }
}

#[test]
fn damaged_and_strange_files_start_whole_or_are_refused_with_the_mend_and_stay_as_they_are() {
    let tried = CASES.iter().map(|case| (case, try_case(case)));
    let wrong: Vec<_> =
        tried.filter_map(|(case, tried)| Some(format!("{} ({:?}): {}", case.0, case.1, tried.err()?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn damage_that_comes_while_it_serves_is_alerted_and_answered_000005_and_never_a_wrong_answer() {
    let left = Left::of(Stopped);
    let scratch = left.folder();
    let koogate = scratch.serve();
    // Behind the back of SQLite, on every page but the first few, which hold the schema.
    let file = open(&scratch.path(""), FILE);
    let pages = file.metadata().unwrap().len() / PAGE;
    for page in 1..pages {
        file.write_all_at(&[0xa5; 64], page * PAGE).unwrap();
    }
    let (mut alerted, mut right) = (0, 0);
    for (body, answer) in &left.told {
        let told = koogate.call(&retry(body));
        match told.code().as_str() {
            "000005" => alerted += 1,
            _ => {
                assert_eq!(told.verbatim(), answer.verbatim(), "{body}");
                right += 1;
            }
        }
    }
    println!("{alerted} were answered 000005, {right} as before");
    assert!(alerted > 0);
    let log = koogate.log_text();
    assert!(log.contains("ALERT") && log.contains("the database is damaged: stop koogate and restore"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    koogate.kill();
    let told = scratch.run(&["verify", FILE]);
    assert!(!told.status.success(), "{}", text(&told.stdout));
    scratch.run_ok(&["restore", SNAPSHOT]);
    assert!(left.missing(&scratch.serve()).is_empty());
}

#[test]
fn a_recorded_answer_that_has_changed_on_the_disk_is_not_given() {
    let left = Left::of(Stopped);
    let scratch = left.folder();
    let (body, answer) = &left.told[0];
    let id = answer.json()["instanceId"].as_str().unwrap().to_owned();
    let database = Connection::open(scratch.path(FILE)).unwrap();
    let sql = "UPDATE answer SET body = CAST(replace(CAST(body AS TEXT), ?1, 'other') AS BLOB)";
    assert!(database.execute(sql, [&id]).unwrap() > 0);
    database.close().unwrap();
    let koogate = scratch.serve();
    let told = koogate.call(&retry(body));
    assert_ne!(told.verbatim(), answer.verbatim());
    assert_eq!(told.code(), "000005", "{}", text(&told.body));
    koogate.wait_for_log("the recorded answer has changed on the disk");
}

#[test]
fn check_finds_a_damaged_page_that_no_call_has_read() {
    let scratch = Left::of(Stopped).folder();
    let database = Connection::open(scratch.path(FILE)).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'exchange_by_time'";
    let page: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    database.close().unwrap();
    let end = u64::try_from(page).unwrap() * PAGE;
    overwrite(&scratch.path(""), FILE, end - 64, &[0; 64]);
    let koogate = scratch.serve();
    let output = scratch.run(&["check"]);
    let told = text(&output.stdout);
    assert!(told.contains("koogate.db is damaged: ") && told.contains("restore the newest good copy"), "{told}");
    assert_eq!(output.status.code(), Some(1));
    drop(koogate);
}
