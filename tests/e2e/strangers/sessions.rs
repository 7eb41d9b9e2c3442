//! Strangers with a session: records no honest client sends, under keys that are right. The keys are taken out of a
//! rustls client after its handshake.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ClientConfig, ConnectionTrafficSecrets, ProtocolVersion, SupportedProtocolVersion};

use crate::door_client::{House, eventually, get};
use crate::tls::door::house;
use crate::tls::peer::{Authority, VERSIONS, client, hello, secure};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// A session in which any record can be written.
struct Forger {
    socket: TcpStream,
    version: ProtocolVersion,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forger {
    fn connect(house: &House, authority: &Authority, version: &'static SupportedProtocolVersion) -> Self {
        let mut config = ClientConfig::clone(&authority.client(version, &["http/1.1"]));
        config.enable_secret_extraction = true;
        let stream = secure(house.address(), &Arc::new(config));
        let (session, socket) = (stream.conn, stream.sock);
        let (sequence, secrets) = session.dangerous_extract_secrets().unwrap().tx;
        // The first that a rustls client offers in either version.
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another cipher") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
        Self { socket, version: version.version, key, iv: iv.as_ref().try_into().unwrap(), sequence }
    }

    /// A record of this type (RFC 8446 5.2, RFC 5288 3).
    fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(sequence).for_each(|(byte, with)| *byte ^= with);
        let seal = |additional: &[u8], mut content: Vec<u8>| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            self.key.seal_in_place_append_tag(nonce, Aad::from(additional), &mut content).unwrap();
            content
        };
        let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
        if self.version == ProtocolVersion::TLSv1_3 {
            let inner = [content, &[kind]].concat();
            let header = [&[DATA, 3, 3][..], &length(inner.len() + 16)].concat();
            let sealed = seal(&header, inner);
            return [header, sealed].concat();
        }
        let additional = [&sequence[..], &[kind, 3, 3], &length(content.len())].concat();
        let sealed = [&nonce[4..], &seal(&additional, content.to_vec())].concat();
        [&[kind, 3, 3][..], &length(sealed.len()), &sealed].concat()
    }

    fn write(&mut self, kind: u8, content: &[u8]) -> bool {
        let record = self.record(kind, content);
        self.socket.write_all(&record).is_ok()
    }

    /// Whether the server ends the connection, by whatever it says before.
    fn is_ended(&mut self) {
        let mut rest = Vec::new();
        if let Err(error) = self.socket.read_to_end(&mut rest) {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
    }
}

/// A stranger's records on one connection; afterwards an honest client is served.
fn after(name: &str, versions: &[&'static SupportedProtocolVersion], forge: impl Fn(&mut Forger)) -> Vec<String> {
    let authority = Authority::new();
    let mut seen = Vec::new();
    for version in versions {
        let house = house(&authority);
        forge(&mut Forger::connect(&house, &authority, version));
        house.becomes_empty();
        let mut honest = client(house.address(), &authority.usual());
        honest.send(get("/quiet"));
        assert_eq!(honest.answer().status, 200, "{name}");
        assert_eq!(house.door.counters().now().panics, 0, "{name}");
        seen.extend(house.echo.seen().into_iter().map(|(target, _)| target));
    }
    seen
}

#[test]
fn forged_records_are_records() {
    let seen = after("an honest request", &VERSIONS, |forger| {
        assert!(forger.write(DATA, get("/honest").as_bytes()));
        // The answer is there; what it says is sealed.
        forger.socket.read_exact(&mut [0; 5]).unwrap();
    });
    assert_eq!(seen, ["/honest", "/honest"]);
}

#[test]
fn renegotiation_is_never_agreed_on_and_ends_when_it_is_asked_for_again() {
    let message = {
        let record = hello(&Authority::new().client(&rustls::version::TLS12, &["http/1.1"]));
        record[5..].to_vec()
    };
    // Asked for once, the session goes on as it was (RFC 5246 7.2.2: no_renegotiation).
    let once = after("a renegotiation", &[&rustls::version::TLS12], |forger| {
        assert!(forger.write(HANDSHAKE, &message));
        assert!(forger.write(DATA, get("/once").as_bytes()));
        forger.socket.read_exact(&mut [0; 5]).unwrap();
    });
    assert_eq!(once, ["/once"]);
    let often = after("renegotiations without end", &VERSIONS, |forger| {
        while forger.write(HANDSHAKE, &message) {}
        forger.is_ended();
    });
    assert_eq!(often, Vec::<String>::new());
}

#[test]
fn messages_of_a_handshake_that_is_over_end_the_session() {
    for (name, message) in [
        ("the hello of a server", &[2, 0, 0, 0][..]),
        ("the end of a handshake", &[20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a certificate", &[11, 0, 0, 4, 0, 0, 0, 0]),
        ("a message of a type nobody knows", &[0xfe, 0, 0, 0]),
        ("a message without end", &[1, 0xff, 0xff, 0xff]),
    ] {
        let seen = after(name, &[&rustls::version::TLS13], |forger| {
            forger.write(HANDSHAKE, message);
            forger.write(DATA, get("/behind").as_bytes());
            forger.is_ended();
        });
        assert_eq!(seen, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn floods_of_what_carries_nothing_end() {
    for (name, kind, content) in [
        ("warnings", ALERT, &[1, 90][..]),
        ("alerts of a level nobody knows", ALERT, &[9, 90]),
        ("alerts cut off", ALERT, &[1]),
        ("records of a type nobody knows", 99, &[0]),
        ("changes of the cipher", 20, &[1]),
    ] {
        let seen = after(name, &VERSIONS, |forger| {
            while forger.write(kind, content) {}
            forger.is_ended();
        });
        assert_eq!(seen, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn new_keys_without_end_end() {
    let authority = Authority::new();
    let house = house(&authority);
    let mut stream = secure(house.address(), &authority.usual());
    // The server says nothing of its own accord: what it owes for each must not gather.
    while stream.conn.refresh_traffic_keys().is_ok() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
    house.becomes_empty();
    assert_eq!(house.door.counters().now().panics, 0);
}

#[test]
fn nothing_behind_a_close_notify_is_read() {
    let seen = after("data behind the end", &VERSIONS, |forger| {
        forger.write(DATA, get("/before").as_bytes());
        forger.write(ALERT, &[1, 0]);
        forger.write(DATA, get("/behind").as_bytes());
        forger.is_ended();
    });
    assert_eq!(seen, ["/before", "/before"]);
}

#[test]
fn an_end_that_comes_with_the_last_request_is_seen() {
    let seen = after("request and end at once", &VERSIONS, |forger| {
        let both = [forger.record(DATA, get("/last").as_bytes()), forger.record(ALERT, &[1, 0])].concat();
        forger.socket.write_all(&both).unwrap();
        forger.is_ended();
    });
    assert_eq!(seen, ["/last", "/last"]);
}

#[test]
fn records_that_were_changed_repeated_or_sent_in_the_clear_end_the_session() {
    type Forge = fn(&mut Forger) -> Vec<u8>;
    let forgeries: [(&str, Forge); 5] = [
        ("changed", |forger| {
            let mut record = forger.record(DATA, get("/forged").as_bytes());
            *record.last_mut().unwrap() ^= 1;
            record
        }),
        ("left out", |forger| {
            forger.record(DATA, b"GET");
            forger.record(DATA, get("/forged").as_bytes())
        }),
        ("in the clear", |_| {
            let request = get("/forged");
            [&[DATA, 3, 3, 0, u8::try_from(request.len()).unwrap()][..], request.as_bytes()].concat()
        }),
        ("too short for a tag", |_| vec![DATA, 3, 3, 0, 3, 1, 2, 3]),
        ("larger than records may be", |forger| forger.record(DATA, &[b'x'; 16_385])),
    ];
    for (name, forge) in forgeries {
        let seen = after(name, &VERSIONS, |forger| {
            let record = forge(forger);
            let _ = forger.socket.write_all(&record);
            forger.is_ended();
        });
        assert_eq!(seen, Vec::<String>::new(), "{name}");
    }
    // The same record twice: the first is read, the second is none. Where both are there at once, the session may end
    // before the first is read.
    let seen = after("repeated", &VERSIONS, |forger| {
        let record = forger.record(DATA, get("/once").as_bytes());
        forger.socket.write_all(&record).unwrap();
        forger.socket.read_exact(&mut [0; 5]).unwrap();
        let _ = forger.socket.write_all(&record);
        forger.is_ended();
    });
    assert!((1..=2).contains(&seen.len()) && seen.iter().all(|target| target == "/once"), "{seen:?}");
}

#[test]
fn no_early_data_is_offered_so_no_request_can_come_twice_with_a_ticket() {
    let authority = Authority::new();
    let house = house(&authority);
    let mut config = ClientConfig::clone(&authority.usual());
    config.enable_early_data = true;
    let config = Arc::new(config);
    for round in 0..2 {
        let mut stream = crate::tls::peer::session(&config, "localhost");
        assert!(stream.early_data().is_none(), "round {round}: early data is allowed");
        drop(stream);
        let mut client = client(house.address(), &config);
        client.send(get("/quiet"));
        assert_eq!(client.answer().status, 200);
    }
    eventually("both have ended", || house.door.counters().now().accepted == 2);
}
