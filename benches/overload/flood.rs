//! Strangers without a key who send as much as they can, in a process of their own, from many hosts. They run at a lower
//! priority than the server and its honest caller: real ones have processors of their own.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, SockRef, Socket, Type};

use super::calls::{self, Scribe};
use super::honest::blind_tls;

/// Makes this program a flood.
pub const ARGUMENT: &str = "flood";

/// Strangers, spread over the hosts. More than the server has places for.
const STRANGERS: usize = 320;

/// Connections that a stranger who says little holds.
const HELD: usize = 4;

/// How they are a nuisance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Calls with a wrong signature and a body of so many KiB.
    Forged(usize),
    /// A genuine purchase, sent again and again.
    Replayed,
    /// Connections that say nothing.
    Silent,
    /// A head, a byte now and then.
    SlowHead,
    /// A body, a byte now and then.
    SlowBody,
    /// The beginning of a TLS handshake, for the server to compute.
    Handshake,
    /// Bytes without any meaning.
    Garbage,
}

impl Kind {
    pub const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Forged(1), "forged-1", "wrong signatures, 1 KiB"),
        (Self::Forged(1024), "forged-1024", "wrong signatures, 1 MiB"),
        (Self::Replayed, "replayed", "a captured purchase, repeated"),
        (Self::Silent, "silent", "silent connections"),
        (Self::SlowHead, "slow-head", "slow heads"),
        (Self::SlowBody, "slow-body", "slow bodies"),
        (Self::Garbage, "garbage", "garbage"),
        (Self::Handshake, "handshake", "TLS handshakes only"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).unwrap().1
    }
}

/// A running flood; killed when dropped.
pub struct Flood(Child);

impl Flood {
    pub fn start(kind: Kind, address: SocketAddr, hosts: u8) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "10"]).arg(std::env::current_exe().unwrap());
        command.args([ARGUMENT, kind.word(), &address.to_string(), &hosts.to_string()]);
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Ends it; how many connections and calls it has made a second.
    pub fn stop(mut self) -> f64 {
        let _ = self.0.kill();
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0.0)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The other process; until it is killed it says now and then what it has done.
pub fn run(word: &str, address: &str, hosts: &str) -> ! {
    let kind = Kind::ALL.iter().find(|(_, name, _)| *name == word).unwrap().0;
    let (address, hosts): (SocketAddr, u8) = (address.parse().unwrap(), hosts.parse().unwrap());
    let done = Arc::new(AtomicU64::new(0));
    let captured = Scribe::new().purchase("CSCAPTURED");
    for number in 0..STRANGERS {
        let host = 1 + (number % usize::from(hosts)) as u8;
        let stranger = Stranger { address, host, done: Arc::clone(&done) };
        let captured = captured.clone();
        std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || match kind {
                Kind::Forged(size) => stranger.calls(&Scribe::new().forged(size << 10)),
                Kind::Replayed => stranger.calls(&captured),
                Kind::Silent => stranger.holds(b"", b""),
                Kind::SlowHead => stranger.holds(b"POST /saasproduce HTTP/1.1\r\nX: ", b"x"),
                Kind::SlowBody => {
                    stranger.holds(b"POST /saasproduce HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b"x");
                }
                Kind::Handshake => stranger.shakes(),
                Kind::Garbage => stranger.calls(&b"\x00\xff garbage \r\n\r\n".repeat(16)),
            })
            .unwrap();
    }
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        println!("{}", done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64());
    }
}

struct Stranger {
    address: SocketAddr,
    host: u8,
    done: Arc<AtomicU64>,
}

impl Stranger {
    fn connect(&self) -> Option<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, self.host)), 0).into()).ok()?;
        // A connection that is not taken at once is tried anew: patience is for honest callers.
        socket.connect_timeout(&self.address.into(), Duration::from_millis(500)).ok()?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(2))).ok()?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok()?;
        self.done.fetch_add(1, Ordering::Relaxed);
        Some(stream)
    }

    /// The same bytes again and again, on a kept connection as long as it lasts.
    fn calls(&self, request: &[u8]) {
        loop {
            let Some(mut stream) = self.connect() else { continue };
            while stream.write_all(request).is_ok() {
                let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
                let answer = loop {
                    match stream.read(&mut part) {
                        Ok(count @ 1..) => bytes.extend_from_slice(&part[..count]),
                        _ => break None,
                    }
                    if let Some((_, ends)) = calls::answer(&bytes) {
                        break Some(ends);
                    }
                };
                self.done.fetch_add(1, Ordering::Relaxed);
                if answer != Some(false) {
                    break;
                }
            }
        }
    }

    /// Opens connection after connection and holds the last few, each kept open by a byte now and then.
    fn holds(&self, beginning: &[u8], byte: &[u8]) {
        let mut held: Vec<TcpStream> = Vec::new();
        let mut told = Instant::now();
        loop {
            if let Some(mut stream) = self.connect() {
                let _ = stream.write_all(beginning);
                if held.len() == HELD {
                    held.remove(0);
                }
                held.push(stream);
            }
            if told.elapsed() > Duration::from_millis(200) {
                told = Instant::now();
                held.retain_mut(|stream| stream.write_all(byte).is_ok());
            }
        }
    }

    /// The first flight of a handshake, made once; the server has to make its own for each.
    fn shakes(&self) {
        let mut session = ClientConnection::new(blind_tls(), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        loop {
            let Some(mut stream) = self.connect() else { continue };
            if stream.write_all(&hello).is_ok() {
                let _ = stream.read(&mut [0; 4096]);
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
