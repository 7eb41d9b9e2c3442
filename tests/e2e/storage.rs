//! Storage: snapshots, backups, what a copy must be to be believed, and what a start makes of every state of the files.

mod copies;
mod damage;
mod database;
mod restores;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::harness::{Answer, Koogate, PATIENCE, SEALING_KEY, Scratch, new_instance, text};

/// Instances are ready at once, without an application.
const FIXED: &str = "[[product]]\nfulfilment = \"fixed\"\naccess = { front_end_url = \"https://app.example.com/\" }\n";

/// A database section in which nothing happens by itself.
const QUIET: &str = "snapshot_every = \"24h\"";

/// A scratch folder with these lines in `[database]`.
fn scratch_with(database: &str) -> Scratch {
    let scratch = Scratch::new(FIXED);
    configure(&scratch, database);
    scratch
}

fn configure(scratch: &Scratch, database: &str) {
    scratch.configure(&[crate::harness::KEY], &format!("[database]\n{database}\n"), FIXED);
}

/// Buys, which must succeed.
fn buy(koogate: &Koogate, order: &str) -> Answer {
    let answer = koogate.call(&new_instance(order));
    assert_eq!(answer.code(), "000000", "{}", text(&answer.body));
    answer
}

/// The orders in the journal of a database or a copy, in their order.
fn orders_in(file: &Path) -> Vec<String> {
    let connection = Connection::open(file).unwrap();
    let mut statement = connection.prepare("SELECT order_id FROM exchange ORDER BY id").unwrap();
    let orders = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    drop(statement);
    orders
}

/// A start that must be refused; what it says.
fn refused_start(scratch: &Scratch) -> String {
    let mut command = scratch.command(&["serve"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it started");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    failure(&child.wait_with_output().unwrap())
}

/// What a command that must fail says.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// Changes the sealing key in the configuration.
fn change_sealing_key(scratch: &Scratch) {
    let file = scratch.path("koogate.toml");
    let other = format!("ff{}", &SEALING_KEY[2..]);
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace(SEALING_KEY, &other)).unwrap();
}
