//! koogate without HTTP: the dispatcher, called by threads of its own process with requests that were signed before.
//!
//! What it leaves out is the sockets, the HTTP and the generator; what stays is everything that makes an answer one that
//! may be given: the signature, the nonce, the JSON, the transaction, the commit. It has both cores for itself, so this is
//! what the group-commit writer can reach on the machine, and what the server by HTTP is held against.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use koogate::config::Config;
use koogate::dispatch::{Dispatcher, Waiters};
use koogate::http::{Method, Request};
use koogate::protocol::basic_v2::BASIC_V2;
use koogate::settings::Settings;
use koogate::store::{self, Role, Store};

use crate::harness::calls::{Caller, Work};
use crate::harness::machine;
use crate::harness::server::configure;

/// Makes this program the writer alone: then come folder, threads and milliseconds.
pub const ARGUMENT: &str = "writer-alone";

/// So many callers at once, as the server has with 64 connections.
pub const THREADS: usize = 64;

/// More calls a second than any machine will answer: so many are signed before.
const MOST_A_SECOND: f64 = 60_000.0;

/// What it found.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    pub rate: f64,
    /// CPU time for one answer, in microseconds, the caller's included.
    pub cpu: f64,
}

/// Has a process of its own measure on a folder, which keeps its database from round to round.
pub fn measure(folder: &Path, length: Duration) -> Alone {
    configure(folder, 512);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(ARGUMENT).arg(folder).arg(THREADS.to_string()).arg(length.as_millis().to_string());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the writer alone failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = text.split_ascii_whitespace().map(|figure| figure.parse().unwrap()).collect();
    Alone { rate: figures[0], cpu: figures[1] }
}

/// That process.
pub fn run(arguments: &[String]) {
    let [folder, threads, milliseconds] = arguments else { panic!("{ARGUMENT} FOLDER THREADS MILLISECONDS") };
    let threads: usize = threads.parse().unwrap();
    let length = Duration::from_millis(milliseconds.parse().unwrap());
    let warm_up = length / 3;
    std::env::set_current_dir(folder).unwrap();
    let dispatcher = dispatcher();
    let count = ((length + warm_up).as_secs_f64() * MOST_A_SECOND) as usize / threads;
    let requests: Vec<Vec<(String, Vec<u8>)>> = signed(threads, count);
    let (answers, stops) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for requests in requests {
            scope.spawn(|| {
                for (target, body) in requests {
                    if stops.load(Ordering::Relaxed) {
                        return;
                    }
                    let reply = dispatcher.answer(&BASIC_V2, None, request(target, body));
                    assert!(reply.body.starts_with(br#"{"resultCode":"000000""#), "not answered");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                assert!(stops.load(Ordering::Relaxed), "too few requests were signed");
            });
        }
        let reading = || (Instant::now(), machine::cpu_time(std::process::id()), answers.load(Ordering::Relaxed));
        std::thread::sleep(warm_up);
        let (begun, cpu_before, before) = reading();
        std::thread::sleep(length);
        let (ended, cpu_after, after) = reading();
        stops.store(true, Ordering::Relaxed);
        let count = (after - before) as f64;
        println!("{} {}", count / (ended - begun).as_secs_f64(), (cpu_after - cpu_before).as_secs_f64() * 1e6 / count);
    });
}

/// As `koogate serve` builds it.
fn dispatcher() -> Dispatcher {
    let config = Config::load("koogate.toml".as_ref()).unwrap();
    let settings = Arc::new(Settings::new(&config).unwrap());
    let (path, snapshot) = (config.database.path.clone(), config.database.snapshot_path());
    let database = store::Settings { path, snapshot, commit_batch: config.database.commit_batch };
    let store = Store::open(&database, Role::Server, Arc::new(config.keys.sealing.clone())).unwrap();
    Dispatcher::new(Arc::new(store), settings, Arc::new(Waiters::default()), Box::new(|| ())).unwrap()
}

/// Targets and bodies for each thread.
fn signed(threads: usize, count: usize) -> Vec<Vec<(String, Vec<u8>)>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let mut caller = Caller::new(address, Work::New(None));
    let mut bytes = Vec::new();
    let mut next = || {
        caller.write_next(&mut bytes);
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let target = std::str::from_utf8(&bytes[..head]).unwrap().split(' ').nth(1).unwrap();
        (target.to_owned(), bytes[head + 4..].to_vec())
    };
    (0..threads).map(|_| (0..count).map(|_| next()).collect()).collect()
}

fn request(target: String, body: Vec<u8>) -> Request {
    let (peer, received) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Instant::now());
    Request { method: Method::Post, target, headers: Vec::new(), body, peer, received }
}
