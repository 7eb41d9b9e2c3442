//! What TLS costs, measured on demand:
//! `cargo test --release --test e2e -- --ignored --nocapture what_tls_costs`

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use koogate::http::DoorSettings;

use super::door::house;
use super::peer::{Authority, secure, tcp};
use crate::door_client::{House, post};

const FOR: Duration = Duration::from_secs(4);

/// Rounds per second of so many threads, each with a state of its own.
fn rate<T>(threads: usize, start: impl Fn() -> T + Sync, round: impl Fn(&mut T) + Sync) -> f64 {
    let begun = Instant::now();
    let work = || {
        let (mut state, mut rounds) = (start(), 0_u32);
        while begun.elapsed() < FOR {
            round(&mut state);
            rounds += 1;
        }
        f64::from(rounds)
    };
    let rounds: f64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    rounds / begun.elapsed().as_secs_f64()
}

fn exchange(stream: &mut (impl Read + Write), request: &str) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut left = 1024;
    let mut buffer = [0; 4096];
    // The head may come by itself.
    while left > 0 {
        left -= stream.read(&mut buffer).unwrap().min(left);
    }
}

#[test]
#[ignore = "a measurement"]
fn what_tls_costs() {
    let authority = Authority::new();
    let (plain, secured) = (House::open(DoorSettings::default()), house(&authority));
    let request = post("/quiet", &"x".repeat(1024));
    for connections in [8, 64] {
        let http = rate(connections, || tcp(plain.address()), |stream: &mut TcpStream| exchange(stream, &request));
        let config = authority.usual();
        let https = rate(connections, || secure(secured.address(), &config), |stream| exchange(stream, &request));
        println!("{connections} connections: {http:.0} requests/s by HTTP, {https:.0} by HTTPS");
    }
    let full = rate(8, || (), |()| drop(secure(secured.address(), &authority.usual())));
    println!("{full:.0} full handshakes/s (ECDSA P-256), client included");
}
