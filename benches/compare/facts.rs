//! What the figures depend on: the machine, its disk, what its hash and its SQLite can do at best, and what the peers are made of.

use std::path::Path;
use std::time::Instant;

use koogate::protocol::key::AccessKey;
use koogate::secret::Secret;
use rusqlite::{Connection, params};

use crate::harness::calls::{BODY, KEY};
use crate::harness::machine;

/// Prints all of it.
pub fn print(folder: &Path, versions: &[String]) {
    machine::announce();
    println!("\n| limit of the machine | found |\n| --- | ---: |");
    let flush = machine::flush_time(folder).as_secs_f64();
    println!("| append of 4 KiB and `fdatasync`, median | {:.0} µs, {:.0} a second |", flush * 1e6, 1.0 / flush);
    println!("| HMAC-SHA256 of 1 KiB by ring, one core | {:.0} a second |", hmacs_a_second());
    for batch in [1, 64] {
        let rate = rows_a_second(&folder.join(format!("rows-{batch}.db")), batch);
        println!(
            "| journal rows of 1.2 KiB into SQLite {}, {batch} a commit | {rate:.0} a second |",
            rusqlite::version()
        );
    }
    println!();
    for version in versions {
        println!("- {version}");
    }
}

fn hmacs_a_second() -> f64 {
    const COUNT: u32 = 200_000;
    let key = AccessKey::new("bench".to_owned(), Secret::new(KEY.to_owned()));
    let mut data = vec![b'x'; BODY];
    let begun = Instant::now();
    for _ in 0..COUNT {
        // Each depends on the one before, so that none can be left out.
        data[0] = key.sign(&data)[0];
    }
    f64::from(COUNT) / begun.elapsed().as_secs_f64()
}

/// A journal and nothing else: one row a call, indexes on time and order, synced at each commit.
fn rows_a_second(file: &Path, batch: i64) -> f64 {
    let mut connection = Connection::open(file).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE exchange (id INTEGER PRIMARY KEY, received_at INTEGER, request BLOB, order_id TEXT, answer BLOB);
             CREATE INDEX by_time ON exchange (received_at);
             CREATE INDEX by_order ON exchange (order_id);",
        )
        .unwrap();
    let (request, answer) = (vec![b'x'; BODY + 200], vec![b'x'; 100]);
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed().as_secs_f64() < 1.0 {
        let tx = connection.transaction().unwrap();
        let sql = "INSERT INTO exchange (received_at, request, order_id, answer) VALUES (?1, ?2, ?3, ?4)";
        for _ in 0..batch {
            count += 1;
            let order = format!("CS{count:012}");
            tx.prepare_cached(sql).unwrap().execute(params![count, request, order, answer]).unwrap();
        }
        tx.commit().unwrap();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
