//! What the appliance needs of a machine: the size of the binary, memory under load, time to start.

use std::fs;
use std::time::Duration;

use crate::harness::calls::{Caller, Work};
use crate::harness::generator::{self, Length};
use crate::harness::machine;
use crate::harness::server::{self, KOOGATE, Server};
use crate::report;

const CONNECTIONS: usize = 64;

/// Body of the calls that fill a large database, in bytes.
const LARGE_BODY: usize = 64 << 10;

/// Measures and prints all of it.
pub fn report(quick: bool) {
    println!("\n| {:<57} | {:>6} | {:>22} | met |", "appliance", "target", "found (least-most)");
    println!("| {:-<57} | {:->5}: | {:->21}: | --- |", "", "", "");
    let size = fs::metadata(KOOGATE).unwrap().len() as f64 / f64::from(1 << 20);
    report::line("release binary, MiB", &[size], 12.0, |found| found < 12.0);
    memory(if quick { 20_000 } else { 100_000 });
    start(if quick { 64 << 20 } else { 1 << 30 });
}

/// Memory after so many calls, and after as many again.
fn memory(calls: u64) {
    let folder = machine::scratch();
    let server = Server::koogate(folder.path(), 512, None);
    let mut recorded = Vec::new();
    call(&server, Work::New(Some(&mut recorded)), 1000);
    call(&server, Work::New(None), calls - 1000);
    let line = |name: &str| {
        let (all, own) = machine::memory(server.pid());
        let name = format!("memory after {name}, MiB ({own:.1} anonymous)");
        report::line(&name, &[all], 40.0, |found| found < 40.0);
    };
    line(&format!("{calls} new"));
    call(&server, Work::New(None), calls);
    line(&format!("{calls} more"));
    call(&server, Work::Replay(&recorded), calls);
    line(&format!("{calls} replays"));
    call(&server, Work::Query(&recorded), calls);
    line(&format!("{calls} queries"));
}

fn call(server: &Server, work: Work<'_>, answers: u64) {
    let mut caller = Caller::new(server.address, work);
    generator::drive(server.address, server.pid(), CONNECTIONS, Length::Answers(answers), &mut caller);
}

/// Time to start on a database of at least so many bytes, which was filled by calls with large bodies and then not
/// closed (kill -9), so that a WAL is read as well.
fn start(bytes: u64) {
    let folder = machine::scratch();
    {
        let server = Server::koogate(folder.path(), 512, None);
        let mut caller = Caller::new(server.address, Work::New(None)).with_body_size(LARGE_BODY);
        let calls = bytes / LARGE_BODY as u64;
        generator::drive(server.address, server.pid(), CONNECTIONS, Length::Answers(calls), &mut caller);
    }
    let mib = |name: &str| fs::metadata(folder.path().join(name)).map_or(0, |file| file.len() >> 20);
    let (database, wal) = (mib("koogate.db"), mib("koogate.db-wal"));
    let times: Vec<f64> = (0..5).map(|_| server::time_to_ready(folder.path())).map(milliseconds).collect();
    let name = format!("ready, ms ({database} MiB database, {wal} MiB WAL at first)");
    report::line(&name, &times, 150.0, |found| found < 150.0);
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
