//! Slowness in every phase of a connection: the phase's own deadline ends it, however the bytes trickle, and an honest
//! client is served meanwhile.
//!
//! All deadlines but the one in question are an hour, so that no other can be what ended the stranger.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use koogate::http::{DoorSettings, Tls};

use crate::door_client::{House, PATIENCE, get, post, settings};
use crate::tls::door::identity;
use crate::tls::peer::{Authority, Secured, hello, secure, tcp, try_secure};

/// Strangers of one kind at a time.
const STRANGERS: usize = 8;

/// The deadline in question. Some strangers must first have done something within it, on a machine that has others to serve.
const SOON: Duration = Duration::from_millis(1200);

/// How long a trickling stranger waits between two bytes.
const PAUSE: Duration = Duration::from_millis(10);

const HEAD_TOO_SLOW: Option<&str> = Some("the head did not arrive in time");
const BODY_TOO_SLOW: Option<&str> = Some("the body did not arrive in time");

type Deadline = fn(&mut DoorSettings) -> &mut Duration;

/// One kind of stranger: what it is slow in, whose deadline ends it, and what the operator is told.
struct Kind<S> {
    name: &'static str,
    deadline: Deadline,
    told: Option<&'static str>,
    /// Returns once the connection has been ended.
    be_slow: fn(S),
}

fn impatient(deadline: Deadline) -> DoorSettings {
    settings(|settings| {
        let hour = Duration::from_secs(3600);
        for each in [idle, head, body, write, drain, handshake] {
            *each(settings) = hour;
        }
        settings.max_connections = 2 * STRANGERS;
        // What it reads of a client that does not stop is no bound here.
        settings.drain_bytes = usize::MAX;
        *deadline(settings) = SOON;
    })
}

fn idle(settings: &mut DoorSettings) -> &mut Duration {
    &mut settings.idle_within
}

fn head(settings: &mut DoorSettings) -> &mut Duration {
    &mut settings.head_within
}

fn body(settings: &mut DoorSettings) -> &mut Duration {
    &mut settings.body_within
}

fn write(settings: &mut DoorSettings) -> &mut Duration {
    &mut settings.write_within
}

fn drain(settings: &mut DoorSettings) -> &mut Duration {
    &mut settings.drain_within
}

fn handshake(settings: &mut DoorSettings) -> &mut Duration {
    &mut settings.handshake_within
}

/// Sends one after another of these until the connection has been ended.
fn trickle(mut stream: impl Read + Write, socket: &TcpStream, pieces: impl Iterator<Item = Vec<u8>>) {
    socket.set_read_timeout(Some(PAUSE)).unwrap();
    for piece in pieces {
        if stream.write_all(&piece).and_then(|()| stream.flush()).is_err() {
            return;
        }
        loop {
            match stream.read(&mut [0; 512]) {
                Ok(1..) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Ok(0) | Err(_) => return,
            }
        }
    }
    panic!("it was let finish");
}

fn bytes(byte: u8) -> impl Iterator<Item = Vec<u8>> {
    std::iter::repeat_n(vec![byte], 100_000)
}

/// Says no more, and waits for the end.
fn wait(mut stream: impl Read) {
    let mut scrap = [0; 4096];
    while stream.read(&mut scrap).is_ok_and(|count| count > 0) {}
}

/// Takes a few bytes of an answer now and then; whatever the server has given to the socket may be left.
fn sip(mut stream: impl Read, socket: &TcpStream) {
    let mut scrap = [0; 16];
    loop {
        thread::sleep(PAUSE);
        if !stream.read(&mut scrap).is_ok_and(|count| count > 0) {
            return;
        }
        // The server has cut it: what is left in the socket is no longer of interest.
        if socket.take_error().is_ok_and(|error| error.is_some()) || peer_is_gone(socket) {
            return;
        }
    }
}

/// Whether the other side has ended the connection, whatever is left to read.
fn peer_is_gone(socket: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

fn promise(length: usize) -> String {
    format!("POST /promised HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

const ASKS_FIRST: &str = "POST /promised HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";

fn say(mut stream: impl Write, text: impl AsRef<[u8]>) {
    stream.write_all(text.as_ref()).and_then(|()| stream.flush()).unwrap();
}

fn hear(stream: &mut impl Read) {
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
}

/// Over HTTP.
fn plain_kinds() -> Vec<Kind<TcpStream>> {
    let kind = |name, deadline, told, be_slow| Kind { name, deadline, told, be_slow };
    vec![
        kind("silent from the beginning", idle, None, wait),
        kind("silent after a request", idle, None, |mut socket| {
            say(&socket, get("/quiet"));
            hear(&mut socket);
            wait(socket);
        }),
        kind("silent after an empty line", idle, None, |socket| {
            say(&socket, "\r\n");
            wait(socket);
        }),
        kind("stops in the head", head, HEAD_TOO_SLOW, |socket| {
            say(&socket, "GET / HTTP/1.1\r\nHost: a\r\n");
            wait(socket);
        }),
        kind("trickles its head", head, HEAD_TOO_SLOW, |socket| {
            say(&socket, "GET / HTTP/1.1\r\nX: ");
            trickle(&socket, &socket, bytes(b'x'));
        }),
        kind("sends a header now and then", head, HEAD_TOO_SLOW, |socket| {
            say(&socket, "GET / HTTP/1.1\r\n");
            // Fewer than are allowed, for longer than any deadline for heads.
            let headers = std::iter::repeat_n(b"X: y\r\n".to_vec(), 60);
            trickle(&socket, &socket, headers.inspect(|_| thread::sleep(20 * PAUSE)));
        }),
        kind("trickles a second head", head, HEAD_TOO_SLOW, |mut socket| {
            say(&socket, get("/quiet"));
            hear(&mut socket);
            trickle(&socket, &socket, bytes(b'X'));
        }),
        kind("stops between head and body", body, BODY_TOO_SLOW, |socket| {
            say(&socket, promise(9));
            wait(socket);
        }),
        kind("is invited and sends nothing", body, BODY_TOO_SLOW, |mut socket| {
            say(&socket, ASKS_FIRST);
            hear(&mut socket);
            wait(socket);
        }),
        kind("stops in the body", body, BODY_TOO_SLOW, |socket| {
            say(&socket, promise(9) + "12345678");
            wait(socket);
        }),
        kind("trickles its body", body, BODY_TOO_SLOW, |socket| {
            say(&socket, promise(1 << 20));
            trickle(&socket, &socket, bytes(b'x'));
        }),
        kind("takes nothing of its answer", write, None, |socket| {
            say(&socket, get("/large?20000000"));
            while !peer_is_gone(&socket) {
                thread::sleep(PAUSE);
            }
        }),
        kind("sips its answer", write, None, |socket| {
            say(&socket, get("/large?20000000"));
            sip(&socket, &socket);
        }),
        kind("asks on and on and takes no answer", write, None, |socket| {
            let request = get("/large?10000");
            socket.set_write_timeout(Some(PAUSE)).unwrap();
            let is_slow = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
            while (&socket).write_all(request.as_bytes()).map_or_else(|error| is_slow(error.kind()), |()| true) {}
        }),
        kind("goes on after it was refused", drain, Some("a body larger than allowed"), |socket| {
            say(&socket, promise(1 << 40));
            // Its answer and the end come at once: only a failure to write tells that nobody listens any more.
            for _ in 0..3000 {
                thread::sleep(PAUSE);
                if (&socket).write_all(b"x").is_err() {
                    return;
                }
            }
            panic!("it was listened to for ever");
        }),
        kind("says nothing after it was refused", drain, Some("HTTP/1.1 without Host"), |socket| {
            say(&socket, "GET / HTTP/1.1\r\n\r\n");
            wait(&socket);
            // It keeps its side open.
            while (&socket).write_all(b"x").is_ok() {
                thread::sleep(PAUSE);
            }
        }),
    ]
}

/// Over TLS, before there is a session.
fn handshake_kinds() -> Vec<Kind<(TcpStream, Vec<u8>)>> {
    let kind = |name, be_slow| Kind { name, deadline: handshake, told: None, be_slow };
    vec![
        kind("silent before its hello", |(socket, _)| wait(socket)),
        kind("stops in its hello", |(socket, hello)| {
            say(&socket, &hello[..hello.len() / 2]);
            wait(socket);
        }),
        kind("trickles its hello", |(socket, hello)| {
            trickle(&socket, &socket, hello.into_iter().map(|byte| vec![byte]));
        }),
        kind("stops after its hello", |(socket, hello)| {
            say(&socket, hello);
            wait(socket);
        }),
        kind("trickles what should end the handshake", |(socket, hello)| {
            say(&socket, hello);
            trickle(&socket, &socket, [23, 3, 3, 0x40, 0].map(|byte| vec![byte]).into_iter().chain(bytes(0)));
        }),
        kind("trickles empty records for a hello", |(socket, hello)| {
            say(&socket, &hello[..hello.len() / 2]);
            trickle(&socket, &socket, bytes(hello[hello.len() / 2]));
        }),
    ]
}

/// Over TLS, within a session.
fn session_kinds() -> Vec<Kind<Secured>> {
    let kind = |name, deadline, told, be_slow| Kind { name, deadline, told, be_slow };
    vec![
        kind("silent after the handshake", idle, None, wait),
        kind("silent after a request", idle, None, |mut stream| {
            say(&mut stream, get("/quiet"));
            hear(&mut stream);
            wait(stream);
        }),
        kind("stops in a record", head, HEAD_TOO_SLOW, |mut stream| {
            stream.sock.write_all(&[23, 3, 3, 1]).unwrap();
            wait(stream);
        }),
        kind("trickles a record", head, HEAD_TOO_SLOW, |stream| {
            say(&stream.sock, [23, 3, 3, 0x40, 0]);
            trickle(&stream.sock, &stream.sock, bytes(0));
        }),
        kind("trickles its head in records of a byte", head, HEAD_TOO_SLOW, |mut stream| {
            say(&mut stream, "GET / HTTP/1.1\r\nX: ");
            let socket = stream.sock.try_clone().unwrap();
            trickle(&mut stream, &socket, bytes(b'x'));
        }),
        kind("stops between head and body", body, BODY_TOO_SLOW, |mut stream| {
            say(&mut stream, promise(9));
            wait(stream);
        }),
        kind("trickles its body in records of a byte", body, BODY_TOO_SLOW, |mut stream| {
            say(&mut stream, promise(1 << 20));
            let socket = stream.sock.try_clone().unwrap();
            trickle(&mut stream, &socket, bytes(b'x'));
        }),
        kind("takes nothing of its answer", write, None, |mut stream| {
            say(&mut stream, get("/large?20000000"));
            while !peer_is_gone(&stream.sock) {
                thread::sleep(PAUSE);
            }
        }),
        kind("sips its answer", write, None, |mut stream| {
            say(&mut stream, get("/large?20000000"));
            sip(&stream.sock, &stream.sock);
        }),
        kind("keeps the socket after it was refused", drain, Some("HTTP/1.1 without Host"), |mut stream| {
            say(&mut stream, "GET / HTTP/1.1\r\n\r\n");
            // Bytes that are not TLS must not arrive together with the end of the handshake.
            hear(&mut stream);
            while (&stream.sock).write_all(&[23]).is_ok() {
                thread::sleep(PAUSE);
            }
        }),
    ]
}

/// An honest client; on a slow machine it may need a second attempt where the deadline for handshakes is so short.
fn is_served(house: &House, authority: Option<&Authority>) {
    let try_once = || -> Option<u16> {
        let request = post("/quiet", "meanwhile");
        let mut answer = [0; 12];
        let mut exchange = |stream: &mut dyn ReadWrite| {
            stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).ok()?;
            stream.read_exact(&mut answer).ok()?;
            std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
        };
        match authority {
            None => exchange(&mut tcp(house.address())),
            Some(authority) => exchange(&mut try_secure(house.address(), &authority.usual(), "localhost").ok()?),
        }
    };
    let until = Instant::now() + PATIENCE;
    while try_once() != Some(200) {
        assert!(Instant::now() < until, "an honest client is not served");
    }
}

trait ReadWrite: Read + Write {}

impl<S: Read + Write> ReadWrite for S {}

/// All kinds at once, each at a door of its own.
fn all_are_ended<S: 'static>(kinds: Vec<Kind<S>>, authority: Option<&Authority>, connect: impl Fn(&House) -> S + Sync) {
    let run = |kind: &Kind<S>| {
        let mut settings = impatient(kind.deadline);
        settings.tls =
            authority.map(|authority| Arc::new(Tls::new(identity(&authority.issue(&["shop.example.com"]))).unwrap()));
        let house = House::open(settings);
        thread::scope(|scope| {
            for _ in 0..STRANGERS {
                let connect = &connect;
                scope.spawn(|| (kind.be_slow)(connect(&house)));
            }
            is_served(&house, authority);
        });
        house.becomes_empty();
        let counters = house.door.counters().now();
        assert!(counters.threads <= 2 * STRANGERS, "{}: {counters:?}", kind.name);
        assert_eq!((counters.panics, counters.evicted), (0, 0), "{}", kind.name);
        assert_eq!(house.echo.seen(), [], "{}: half a request was handed on", kind.name);
        let told: Vec<&str> = house.echo.refused().into_iter().map(|(_, reason)| reason).collect();
        let expected: Vec<&str> = kind.told.map_or_else(Vec::new, |told| vec![told; STRANGERS]);
        assert_eq!(told, expected, "{}", kind.name);
    };
    thread::scope(|scope| {
        for kind in &kinds {
            thread::Builder::new().name(kind.name.to_owned()).spawn_scoped(scope, || run(kind)).unwrap();
        }
    });
}

#[test]
fn over_http_every_phase_ends_by_its_own_deadline() {
    all_are_ended(plain_kinds(), None, |house| tcp(house.address()));
}

#[test]
fn handshakes_end_by_their_own_deadline() {
    let authority = Authority::new();
    let config = authority.usual();
    all_are_ended(handshake_kinds(), Some(&authority), |house| (tcp(house.address()), hello(&config)));
}

#[test]
fn within_a_session_every_phase_ends_by_its_own_deadline() {
    let authority = Authority::new();
    let config = authority.usual();
    all_are_ended(session_kinds(), Some(&authority), |house| secure(house.address(), &config));
}

mod long {
    use std::time::Instant;

    use serde_json::json;

    use super::*;
    use crate::harness::{Scratch, instance_call};
    use crate::shop::FIXED;
    use crate::strangers::idle::figure;

    /// Strangers of each kind; together they leave some of the 256 places.
    const EACH: usize = 12;

    #[test]
    #[ignore = "a minute: the deadlines of the real server"]
    fn a_signed_call_is_served_while_strangers_are_slow_in_every_phase() {
        let scratch = Scratch::new(FIXED);
        let koogate = scratch.serve();
        let call = || {
            let begun = Instant::now();
            koogate.call(&instance_call("queryInstance", "nobody", json!({})));
            begun.elapsed()
        };
        call();
        let before = figure(&koogate, "VmRSS");
        let kinds = plain_kinds();
        let (begun, address) = (Instant::now(), koogate.address);
        let (calls, worst, most, threads) = thread::scope(|scope| {
            let strangers: Vec<_> = kinds
                .iter()
                .flat_map(|kind| (0..EACH).map(move |_| kind))
                .map(|kind| scope.spawn(move || (kind.be_slow)(tcp_for_long(address))))
                .collect();
            let (mut calls, mut worst, mut most, mut threads) = (0, Duration::ZERO, 0, 0);
            while !strangers.iter().all(thread::ScopedJoinHandle::is_finished) {
                worst = worst.max(call());
                calls += 1;
                most = most.max(figure(&koogate, "VmRSS"));
                threads = threads.max(figure(&koogate, "Threads"));
                thread::sleep(Duration::from_millis(50));
            }
            (calls, worst, most, threads)
        });
        println!(
            "{} strangers, slow in {} ways: all ended after {:.0} s; {calls} signed calls meanwhile, the slowest took {} ms; \
             {before} KiB resident before, {most} KiB at most, {threads} threads",
            kinds.len() * EACH,
            kinds.len(),
            begun.elapsed().as_secs_f64(),
            worst.as_millis()
        );
        assert!(!koogate.stop().contains("ALERT"));
    }

    /// With time for the longest deadline, of a minute.
    fn tcp_for_long(address: std::net::SocketAddr) -> TcpStream {
        let socket = tcp(address);
        socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        socket
    }
}
