//! The door speaks TLS: what is agreed on, who is refused, and what abuse costs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use koogate::http::{DoorSettings, Identity, Tls};
use rustls::{AlertDescription, Error, HandshakeKind};

use super::peer::{Authority, Pair, VERSIONS, client, fault, hello, secure, session, shown, tcp, try_secure};
use crate::door_client::{Client, House, PROMPT, alone, descriptors, eventually, get, post, process_figure, settings};

pub fn identity(pair: &Pair) -> Identity {
    Identity::from_pem(pair.certificate.as_bytes(), pair.private_key.as_bytes()).unwrap()
}

/// A door that shows a certificate of this CA.
pub fn house_with(authority: &Authority, change: impl FnOnce(&mut DoorSettings)) -> House {
    let tls = Tls::new(identity(&authority.issue(&["shop.example.com"]))).unwrap();
    House::open(settings(|settings| {
        settings.tls = Some(Arc::new(tls));
        change(settings);
    }))
}

pub fn house(authority: &Authority) -> House {
    house_with(authority, |_| {})
}

fn serves_a_healthy_client(house: &House, authority: &Authority) {
    let begun = Instant::now();
    let mut client = client(house.address(), &authority.usual());
    client.send(post("/healthy", "how are you"));
    assert_eq!(client.answer().text(), "POST /healthy how are you");
    assert!(begun.elapsed() < 5 * PROMPT, "served only after {:?}", begun.elapsed());
}

fn is_refused_for(house: &House, reason: &'static str) {
    eventually(reason, || !house.echo.refused().is_empty());
    eventually(&format!("{reason} in {:?}", house.echo.refused()), || {
        house.echo.refused().last().is_some_and(|(_, last)| *last == reason)
    });
}

#[test]
fn both_versions_are_spoken_and_connections_are_kept() {
    let authority = Authority::new();
    let house = house(&authority);
    for version in VERSIONS {
        let mut client = client(house.address(), &authority.client(version, &["h2", "http/1.1"]));
        for round in 0..3 {
            client.send(post("/", "hello"));
            let answer = client.answer();
            assert_eq!((answer.status, answer.header("Body-Sign")), (200, Some("sign")), "{round}");
        }
        assert_eq!(client.inner().conn.protocol_version(), Some(version.version));
        assert_eq!(client.inner().conn.alpn_protocol(), Some(&b"http/1.1"[..]), "never h2");
        client.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().header("Connection"), Some("close"));
        let mut rest = Vec::new();
        assert_eq!(client.inner().read_to_end(&mut rest).unwrap(), 0, "the end is told by close_notify");
    }
    assert_eq!(house.door.counters().now().accepted, 2);
    assert_eq!(house.echo.refused(), []);
}

#[test]
fn a_client_without_protocols_is_served_and_one_that_insists_on_h2_is_refused() {
    let authority = Authority::new();
    let house = house(&authority);
    for version in VERSIONS {
        let mut plain = client(house.address(), &authority.client(version, &[]));
        plain.send(get("/"));
        assert_eq!(plain.answer().status, 200);
        let error = try_secure(house.address(), &authority.client(version, &["h2"]), "localhost").unwrap_err();
        assert_eq!(fault(&error), Error::AlertReceived(AlertDescription::NoApplicationProtocol));
        is_refused_for(&house, "a TLS handshake that offers other protocols than HTTP/1.1");
    }
}

#[test]
fn names_that_the_certificate_does_not_cover_are_refused_and_no_name_is_served() {
    let authority = Authority::new();
    let house = house(&authority);
    for version in VERSIONS {
        let config = authority.client(version, &["http/1.1"]);
        let error = try_secure(house.address(), &config, "other.example.com").unwrap_err();
        assert_eq!(fault(&error), Error::AlertReceived(AlertDescription::UnrecognisedName));
        is_refused_for(&house, "a TLS handshake for a name that the certificate does not cover");
        // An address is never told as a name.
        for name in ["127.0.0.1", "shop.example.com"] {
            let mut client = Client::over(try_secure(house.address(), &config, name).unwrap());
            client.send(get("/"));
            assert_eq!(client.answer().status, 200);
        }
    }
}

#[test]
fn a_client_that_does_not_trust_the_certificate_is_told_to_the_operator() {
    let (authority, other) = (Authority::new(), Authority::new());
    let house = house(&authority);
    let error = try_secure(house.address(), &other.usual(), "localhost").unwrap_err();
    assert!(matches!(fault(&error), Error::InvalidCertificate(_)));
    is_refused_for(&house, "a client that does not accept the certificate");
}

#[test]
fn a_session_is_resumed() {
    let authority = Authority::new();
    let house = house(&authority);
    for version in VERSIONS {
        let config = authority.client(version, &["http/1.1"]);
        for (round, kind) in [HandshakeKind::Full, HandshakeKind::Resumed].into_iter().enumerate() {
            let mut client = client(house.address(), &config);
            client.send(get("/"));
            assert_eq!(client.answer().status, 200);
            let found = client.inner().conn.handshake_kind().unwrap();
            let full = matches!(found, HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest);
            assert_eq!(full, kind == HandshakeKind::Full, "{:?}, {round}: {found:?}", version.version);
        }
    }
}

#[test]
fn a_plain_request_is_answered_plainly() {
    let authority = Authority::new();
    let house = house(&authority);
    for request in [get("/"), post("/saasproduce", "{}"), "GET / HT".to_owned()] {
        let mut client = house.send(request);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (400, "HTTP request to an HTTPS port\n"));
        assert!(client.is_ended());
    }
    assert_eq!(house.echo.seen(), []);
    is_refused_for(&house, "an HTTP request on the port for HTTPS");
    serves_a_healthy_client(&house, &authority);
}

#[test]
fn handshakes_that_do_not_go_on_are_cut_in_time() {
    let authority = Authority::new();
    let house = house_with(&authority, |settings| settings.handshake_within = Duration::from_millis(200));
    let hello = hello(&authority.usual());
    let silent = tcp(house.address());
    let (mut half, mut whole) = (tcp(house.address()), tcp(house.address()));
    half.write_all(&hello[..hello.len() / 2]).unwrap();
    whole.write_all(&hello).unwrap();
    let trickling = {
        let (mut socket, hello) = (tcp(house.address()), hello.clone());
        thread::spawn(move || {
            socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            for byte in &hello {
                let read = |mut socket: &TcpStream| socket.read(&mut [0; 64]);
                let is_open = socket.write_all(&[*byte]).is_ok()
                    && read(&socket)
                        .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                if !is_open {
                    return;
                }
            }
            panic!("a trickle was never cut");
        })
    };
    house.becomes_empty();
    trickling.join().unwrap();
    for mut socket in [silent, half, whole] {
        let mut rest = Vec::new();
        // The answer to the whole hello may be among it.
        let _ = socket.read_to_end(&mut rest);
    }
    serves_a_healthy_client(&house, &authority);
}

#[test]
fn half_open_handshakes_make_room_for_a_healthy_client() {
    let authority = Authority::new();
    let house = house_with(&authority, |settings| settings.max_connections = 8);
    let hello = hello(&authority.usual());
    let open = |bytes: &[u8]| {
        let mut socket = tcp(house.address());
        // It may be evicted while it sends.
        let _ = socket.write_all(bytes);
        socket
    };
    let mut sockets: Vec<TcpStream> = (0..20).map(|_| open(b"")).collect();
    sockets.extend((0..20).map(|_| open(&hello[..hello.len() - 1])));
    sockets.extend((0..20).map(|_| open(&hello)));
    for _ in 0..3 {
        serves_a_healthy_client(&house, &authority);
    }
    assert!(house.door.counters().now().evicted > 40);
}

#[test]
fn half_open_handshakes_cost_little_memory() {
    alone("tls::door::half_open_handshakes_cost_little_memory", || {
        let authority = Authority::new();
        let house = house(&authority);
        serves_a_healthy_client(&house, &authority);
        let before = process_figure("VmRSS");
        let hello = hello(&authority.usual());
        // A message that claims to be endless, in fragments that are whole records.
        let fragment = |first: &[u8]| [&[22, 3, 1, 0x3f, 0xff][..], first, &vec![0; 0x3fff - first.len()]].concat();
        let endless = [fragment(&[1, 0, 0xff, 0xff]), fragment(&[]), fragment(&[]), fragment(&[])].concat();
        let open = |bytes: &[u8]| {
            let mut socket = tcp(house.address());
            socket.write_all(bytes).unwrap();
            socket
        };
        let mut sockets: Vec<TcpStream> = (0..100).map(|_| open(&hello[..hello.len() - 1])).collect();
        sockets.extend((0..100).map(|_| open(&endless[..endless.len() - 100])));
        eventually("all are there", || house.door.counters().now().open == 200);
        serves_a_healthy_client(&house, &authority);
        let grown = process_figure("VmRSS") - before;
        assert!(grown < 64 << 10, "{grown} KiB for 200 connections");
        drop(sockets);
        house.becomes_empty();
    });
}

#[test]
fn a_flood_of_handshakes_starves_neither_requests_nor_new_clients() {
    let authority = Authority::new();
    let house = house(&authority);
    let mut established = client(house.address(), &authority.usual());
    let flooding = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let (config, address) = (authority.usual(), house.address());
                while flooding.load(SeqCst) {
                    // Only the server computes: the client goes away once it has its answer.
                    let Ok(mut socket) = TcpStream::connect(address) else { continue };
                    let _ = socket.write_all(&hello(&config)).and_then(|()| socket.read(&mut [0; 1]).map(|_| ()));
                }
            });
        }
        eventually("the flood has begun", || house.door.counters().now().accepted > 100);
        for _ in 0..20 {
            established.send(post("/", "on and on"));
            assert_eq!(established.answer().text(), "POST / on and on");
        }
        let mut fresh = client(house.address(), &authority.usual());
        fresh.send(get("/"));
        assert_eq!(fresh.answer().status, 200);
        flooding.store(false, SeqCst);
    });
    house.becomes_empty_but(1);
}

#[test]
fn the_certificate_is_replaced_under_open_connections() {
    let authority = Authority::new();
    let tls = Arc::new(Tls::new(identity(&authority.issue(&["old.example.com"]))).unwrap());
    let house = House::open(settings(|settings| settings.tls = Some(Arc::clone(&tls))));
    let mut old = client(house.address(), &authority.usual());
    let before = shown(old.inner());
    tls.replace(identity(&authority.issue(&["new.example.com"]))).unwrap();
    assert_ne!(shown(&secure(house.address(), &authority.usual())), before);
    assert!(try_secure(house.address(), &authority.usual(), "new.example.com").is_ok());
    assert!(try_secure(house.address(), &authority.usual(), "old.example.com").is_err());
    old.send(get("/"));
    assert_eq!(old.answer().status, 200);
}

#[test]
fn requests_arrive_however_records_cut_them() {
    let authority = Authority::new();
    let house = house(&authority);
    for version in VERSIONS {
        let mut client = client(house.address(), &authority.client(version, &["http/1.1"]));
        let body = "x".repeat(300 << 10);
        client.send(post("/quiet", &body));
        assert_eq!(client.answer().body.len(), body.len());
        client.send(get("/large?5000000"));
        assert_eq!(client.answer().body.len(), 5_000_000);
        for byte in post("/", "byte by byte").as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(client.answer().text(), "POST / byte by byte");
        // Two in one record.
        client.send(get("/one") + &get("/two"));
        assert_eq!((client.answer().text(), client.answer().text()), ("GET /one ".into(), "GET /two ".into()));
        if version.version == rustls::ProtocolVersion::TLSv1_3 {
            client.inner().conn.refresh_traffic_keys().unwrap();
            client.send(get("/fresh"));
            assert_eq!(client.answer().text(), "GET /fresh ");
        }
    }
}

#[test]
fn a_body_that_is_cut_off_never_reaches_the_handler() {
    let authority = Authority::new();
    let house = house(&authority);
    let head = "POST /promised HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly this";
    let mut gone = client(house.address(), &authority.usual());
    gone.send(head);
    drop(gone);
    let mut told = client(house.address(), &authority.usual());
    told.send(head);
    told.inner().conn.send_close_notify();
    told.inner().flush().unwrap();
    told.is_refused(400);
    house.becomes_empty();
    assert_eq!(house.echo.seen(), []);
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut() {
    let authority = Authority::new();
    let house = house_with(&authority, |settings| settings.write_within = Duration::from_millis(100));
    let mut deaf = client(house.address(), &authority.usual());
    deaf.send(get("/large?50000000"));
    house.becomes_empty();
    let mut read = Vec::new();
    let _ = deaf.inner().read_to_end(&mut read);
    assert!(read.len() < 50_000_000);
}

#[test]
fn an_overdue_head_is_answered_408_over_tls() {
    let authority = Authority::new();
    let house = house_with(&authority, |settings| settings.head_within = Duration::from_millis(100));
    let mut slow = client(house.address(), &authority.usual());
    slow.send("GET / HTTP/1.1\r\n");
    slow.is_refused(408);
    // Not even a whole record.
    let mut slower = secure(house.address(), &authority.usual());
    slower.sock.write_all(&[23, 3, 3, 1, 0, 0]).unwrap();
    Client::over(slower).is_refused(408);
    house.becomes_empty();
}

#[test]
fn an_idle_connection_ends_with_close_notify() {
    let authority = Authority::new();
    let house = house_with(&authority, |settings| settings.idle_within = Duration::from_millis(100));
    let mut idle = secure(house.address(), &authority.usual());
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0);
    house.becomes_empty();
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    alone("tls::door::connections_that_come_and_go_leave_nothing_behind", || {
        let authority = Authority::new();
        let house = house_with(&authority, |settings| settings.max_connections = 16);
        serves_a_healthy_client(&house, &authority);
        house.becomes_empty();
        let files = descriptors();
        let config = authority.usual();
        let hello = hello(&config);
        for round in 0..400 {
            let mut socket = tcp(house.address());
            match round % 4 {
                0 => drop(socket.write_all(&hello[..hello.len() / 2])),
                1 => drop(socket.write_all(&hello)),
                2 => drop(socket.write_all(b"GET / HT")),
                _ => {
                    let mut session = session(&config, "localhost");
                    let _ = session.complete_io(&mut socket);
                    let _ = session.writer().write_all(get("/large?200000").as_bytes());
                    let _ = session.write_tls(&mut socket);
                }
            }
        }
        serves_a_healthy_client(&house, &authority);
        house.becomes_empty();
        assert_eq!(descriptors(), files);
        assert!(house.door.counters().now().threads <= 16);
        assert_eq!(house.door.counters().now().panics, 0);
    });
}
