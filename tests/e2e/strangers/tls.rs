//! The corpus of handshakes, played to a door that speaks TLS; then many half-open ones at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::corpus::{Case, Step, cases};
use super::http::purchase;
use super::play::{Pieces, plain, play_all};
use crate::door_client::{Client, House, eventually, get};
use crate::tls::door::house;
use crate::tls::peer::{Authority, client, hello, session};

/// Records and handshake messages that the corpus names, made from what a sound client says.
struct Words {
    authority: Authority,
}

impl Words {
    fn find(&self, word: &str) -> Option<Vec<u8>> {
        let usual = || message(&hello(&self.authority.usual()));
        let count = |text: &str| text.parse::<usize>().unwrap();
        if let Some(hex) = word.strip_prefix("handshake ") {
            let (kind, body) = hex.split_at(2);
            return Some(record(&framed(unhex(kind)[0], &unhex(body))));
        }
        if let Some(count) = word.strip_prefix("noise ") {
            return Some(noise(count.parse().unwrap()));
        }
        if let Some(size) = word.strip_prefix("hello in records of ") {
            return Some(usual().chunks(count(size)).flat_map(record).collect());
        }
        if let Some(version) = word.strip_prefix("hello of version ") {
            let message = message(&hello(&self.config(&rustls::version::TLS12, &["http/1.1"])));
            return Some(record(&[&message[..4], &unhex(version), &message[6..]].concat()));
        }
        if let Some(size) = word.strip_prefix("hello of ") {
            let present = usual().len();
            return Some(records(&with_extension(&usual(), 0xffa5, &vec![0; count(size) - present - 4])));
        }
        if let Some(name) = word.strip_prefix("hello for ") {
            let mut bytes = Vec::new();
            session(&self.authority.usual(), name).write_tls(&mut bytes).unwrap();
            return Some(bytes);
        }
        if let Some(name) = word.strip_prefix("hello named ") {
            return Some(record(&renamed(&usual(), name.replace("\\0", "\0").as_bytes())));
        }
        Some(match word {
            "hello" => hello(&self.authority.usual()),
            "hello 1.2" => hello(&self.config(&rustls::version::TLS12, &["http/1.1"])),
            "hello h2" => hello(&self.config(&rustls::version::TLS13, &["h2"])),
            "hello protocols" => {
                let names: Vec<String> = (0..1000).map(|number| format!("protocol-{number}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).chain(["http/1.1"]).collect();
                hello(&self.config(&rustls::version::TLS13, &names))
            }
            "hello compressed" => record(&compressed(&usual())),
            "hello twice 0010" => record(&with_extension(&usual(), 0x0010, b"\x00\x09\x08http/1.1")),
            "hello trailing" => {
                let usual = usual();
                record(&framed(1, &[&usual[4..], b"\0\0\0"].concat()))
            }
            "half hello" => {
                let usual = usual();
                record(&usual[..usual.len() / 2])
            }
            "endless hello" => {
                let claim = [&[1, 0xff, 0xff, 0xff, 3, 3][..], &[0; 16_000]].concat();
                [record(&claim), record(&[0; 16_000]).repeat(4)].concat()
            }
            "clear purchase" => {
                let purchase = purchase();
                let length = u16::try_from(purchase.len()).unwrap().to_be_bytes();
                [&[23, 3, 3][..], &length, purchase.as_bytes()].concat()
            }
            "purchase" => purchase().into_bytes(),
            _ => return None,
        })
    }

    fn config(&self, version: &'static rustls::SupportedProtocolVersion, protocols: &[&str]) -> Arc<ClientConfig> {
        self.authority.client(version, protocols)
    }
}

/// Bytes that look like chance and are the same in every run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0] | 0x80
    };
    (0..count).map(|_| next()).collect()
}

/// Pairs of hexadecimal digits, `random` for the 32 bytes of a hello, `N*HH` for one byte many times.
fn unhex(text: &str) -> Vec<u8> {
    let word = |word: &str| match (word, word.split_once('*')) {
        ("random", _) => noise(32),
        (_, Some((count, byte))) => unhex(byte).repeat(count.parse().unwrap()),
        _ => data_encoding::HEXLOWER.decode(word.as_bytes()).unwrap_or_else(|error| panic!("{word}: {error}")),
    };
    text.split_whitespace().flat_map(word).collect()
}

/// A handshake message (RFC 8446 4).
fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

/// One record of a handshake (RFC 8446 5.1).
fn record(fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
    [&[22, 3, 1][..], &length, fragment].concat()
}

fn records(message: &[u8]) -> Vec<u8> {
    message.chunks(16_000).flat_map(record).collect()
}

/// The message in a record.
fn message(record: &[u8]) -> Vec<u8> {
    assert_eq!(usize::from(u16::from_be_bytes([record[3], record[4]])), record.len() - 5, "one record");
    record[5..].to_vec()
}

/// A hello taken apart: up to its compression methods, those, and its extensions.
fn parts(message: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let after_session = 4 + 2 + 32 + 1 + usize::from(message[38]);
    let suites = usize::from(u16::from_be_bytes([message[after_session], message[after_session + 1]]));
    let compression = after_session + 2 + suites;
    let extensions = compression + 1 + usize::from(message[compression]);
    (&message[4..compression], &message[compression..extensions], &message[extensions + 2..])
}

fn rebuilt(head: &[u8], compression: &[u8], extensions: &[u8]) -> Vec<u8> {
    let length = u16::try_from(extensions.len()).map_or([0xff, 0xff], u16::to_be_bytes);
    framed(1, &[head, compression, &length, extensions].concat())
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).map_or([0xff, 0xff], u16::to_be_bytes);
    [&kind.to_be_bytes()[..], &length, body].concat()
}

/// Before the others: some must be the last.
fn with_extension(message: &[u8], kind: u16, body: &[u8]) -> Vec<u8> {
    let (head, compression, extensions) = parts(message);
    rebuilt(head, compression, &[&extension(kind, body), extensions].concat())
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let (head, _, extensions) = parts(message);
    rebuilt(head, &[1, 1], extensions)
}

/// Names another server.
fn renamed(message: &[u8], name: &[u8]) -> Vec<u8> {
    let (head, compression, mut extensions) = parts(message);
    let mut changed = Vec::new();
    while let [high, low, more, less, rest @ ..] = extensions {
        let (body, after) = rest.split_at(usize::from(u16::from_be_bytes([*more, *less])));
        let kind = u16::from_be_bytes([*high, *low]);
        if kind == 0 {
            let length = u16::try_from(name.len()).unwrap();
            let list = [&(length + 3).to_be_bytes()[..], &[0], &length.to_be_bytes(), name].concat();
            changed.extend(extension(0, &list));
        } else {
            changed.extend(extension(kind, body));
        }
        extensions = after;
    }
    rebuilt(head, compression, &changed)
}

/// The numbers of alerts (RFC 8446 6.2).
fn alert_number(name: &str) -> u8 {
    match name {
        "handshake_failure" => 40,
        "decode_error" => 50,
        "protocol_version" => 70,
        "unrecognized_name" => 112,
        "no_application_protocol" => 120,
        _ => panic!("the number of the alert {name}"),
    }
}

fn play(address: SocketAddr, case: &Case, pieces: Pieces) {
    let mut stream = plain(address);
    for (number, step) in case.steps.iter().enumerate() {
        match step {
            Step::Send(bytes) => {
                let size = if pieces == Pieces::Whole { bytes.len() } else { 1 };
                for piece in bytes.chunks(size) {
                    // It may be refused before all is sent.
                    if stream.write_all(piece).is_err() {
                        break;
                    }
                }
            }
            Step::HalfClose => drop(stream.shutdown(Shutdown::Write)),
            Step::Reset => {
                return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            Step::Hello => {
                let mut header = [0; 6];
                stream.read_exact(&mut header).unwrap();
                assert_eq!((header[0], header[5]), (22, 2), "step {number}: no hello of the server but {header:?}");
                // A hello fits a record, and so does nothing else.
                let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
                stream.read_exact(&mut vec![0; length - 1]).unwrap();
            }
            Step::Alert(name) => {
                let rest = rest(&mut stream);
                assert_eq!(rest.len(), 7, "step {number}: {rest:?}");
                assert_eq!((rest[0], rest[5], rest[6]), (21, 2, alert_number(name)), "step {number}");
            }
            Step::Ended => assert_eq!(rest(&mut stream), b"", "step {number}"),
            Step::EndedSomehow => drop(rest(&mut stream)),
            Step::Refused { status, .. } => Client::over(&stream).is_refused(*status),
            Step::Invited | Step::Answered { .. } => panic!("no session, no answer"),
        }
    }
}

/// All that comes until the end; a reset is one.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            rest
        }
    }
}

fn is_served(house: &House, authority: &Authority) {
    let mut client = client(house.address(), &authority.usual());
    client.send(get("/healthy"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn every_handshake_of_the_corpus_is_answered_or_ended_as_it_says_whole_and_byte_by_byte() {
    let words = Words { authority: Authority::new() };
    let all = cases("tls", &|word| words.find(word));
    assert!(all.len() >= 70, "only {} cases were found", all.len());
    let house = house(&words.authority);
    let counters = house.door.counters();
    let mut wrong = Vec::new();
    for pieces in [Pieces::Whole, Pieces::Bytes] {
        wrong.extend(play_all(&all, pieces, |case| {
            play(house.address(), case, pieces);
            eventually("the connection has ended", || counters.now().open == 0);
            is_served(&house, &words.authority);
            eventually("and so has the sound one", || counters.now().open == 0);
            assert_eq!(counters.now().panics, 0);
        }));
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(house.echo.seen().iter().all(|(target, _)| target == "/healthy"), "nobody else was handed on");
}
