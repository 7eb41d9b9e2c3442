//! Connections that only stay: as many as there are places, and more. The newest is served, in the place of the one that
//! has been idle longest.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::json;

use super::play::Wire;
use crate::door_client::{Client, get};
use crate::harness::{KEY, Koogate, Scratch, instance_call};
use crate::shop::FIXED;
use crate::tls::peer::{Authority, Secured, secure, tcp};
use crate::tls::serve;

/// The server section with so many places.
fn section(places: usize) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = {places}\n")
}

fn question() -> serde_json::Value {
    instance_call("queryInstance", "nobody", json!({}))
}

/// A figure of the server's /proc/PID/status, such as `VmRSS` (in KiB).
pub fn figure(koogate: &Koogate, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", koogate.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A connection that has been used once and is kept.
fn kept<W: Wire>(wire: W) -> Client<W> {
    let mut client = Client::over(wire);
    client.send(get("/healthz"));
    assert_eq!(client.answer().status, 200);
    client
}

/// Whether the server has ended it; an idle connection has nothing else to say.
fn is_open(socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut socket = socket;
    let read = socket.read(&mut [0; 64]);
    socket.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Fills all places, then `more` come; figures before and after.
struct Crowd {
    kib_before: u64,
    kib_after: u64,
    threads: u64,
}

fn crowd<W: Wire>(koogate: &Koogate, places: usize, more: usize, connect: impl Fn() -> W, call: impl Fn()) -> Crowd {
    call();
    let kib_before = figure(koogate, "VmRSS");
    let mut clients: Vec<Client<W>> = (0..places).map(|_| kept(connect())).collect();
    // The call before may still hold the first place; then the first of these has made room for the last.
    call();
    let (kib_after, threads) = (figure(koogate, "VmRSS"), figure(koogate, "Threads"));
    clients.extend((0..more).map(|_| kept(connect())));
    call();
    let open: Vec<bool> = clients.iter_mut().map(|client| is_open(client.inner().tcp())).collect();
    let ended = open.iter().take_while(|open| !**open).count();
    assert!(open[ended..].iter().all(|open| *open), "one that was not the longest idle was ended: {open:?}");
    assert!((more..=more + 4).contains(&ended), "{ended} have made room for {more} and some calls");
    // Who is still there is served.
    let last = clients.last_mut().unwrap();
    last.send(get("/healthz"));
    assert_eq!(last.answer().status, 200);
    Crowd { kib_before, kib_after, threads }
}

fn over_http(places: usize, more: usize) -> Crowd {
    let scratch = Scratch::new(FIXED);
    scratch.configure(&[KEY], &section(places), FIXED);
    let koogate = scratch.serve();
    let figures = crowd(&koogate, places, more, || tcp(koogate.address), || drop(koogate.call(&question())));
    assert!(!koogate.stop().contains("ALERT"));
    figures
}

fn over_https(places: usize, more: usize) -> Crowd {
    let authority = Authority::new();
    let scratch = serve::scratch(&authority.issue(&["shop.example.com"]), FIXED);
    let tls = "[server.tls]\ncertificate = \"fullchain.pem\"\nprivate_key = \"privkey.pem\"\n";
    scratch.configure(&[KEY], &format!("{}{tls}", section(places)), FIXED);
    let koogate = scratch.serve();
    let config: Arc<ClientConfig> = authority.usual();
    let connect = |address: SocketAddr| -> Secured { secure(address, &config) };
    let call = || drop(serve::call(&koogate, &config, &question()));
    let figures = crowd(&koogate, places, more, || connect(koogate.address), call);
    assert!(!koogate.stop().contains("ALERT"));
    figures
}

#[test]
fn the_newest_is_served_in_the_place_of_the_longest_idle() {
    over_http(32, 8);
}

#[test]
fn over_tls_the_newest_is_served_in_the_place_of_the_longest_idle() {
    over_https(16, 4);
}

mod long {
    use super::*;

    fn print(protocol: &str, crowd: &Crowd, places: u64, more: usize) {
        let Crowd { kib_before, kib_after, threads } = crowd;
        println!(
            "{places} idle connections over {protocol}, {more} more: {kib_before} KiB resident before, {kib_after} KiB \
             with all places taken, {} KiB for each, {threads} threads",
            (kib_after - kib_before) / places
        );
    }

    /// The usual limit is 1,024; what is above may be taken.
    fn more_descriptors() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    }

    #[test]
    #[ignore = "1,200 connections each over HTTP and HTTPS"]
    fn a_thousand_idle_connections_and_two_hundred_above() {
        more_descriptors();
        print("HTTP", &over_http(1000, 200), 1000, 200);
        print("HTTPS", &over_https(1000, 200), 1000, 200);
    }
}
