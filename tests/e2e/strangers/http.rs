//! The corpus of requests, played to the door and to the real server, over HTTP and HTTPS.
//!
//! At the door the handler is a recorder: what it saw is compared to the letter, so a request that was smuggled, split or
//! joined shows. At the real server the smuggled request is a purchase with a valid signature: if it were ever taken for
//! a request, it would be booked.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use koogate::http::{Door, DoorSettings, Handler, Reply, Request, Tls};
use serde_json::json;

use super::corpus::{Case, cases};
use super::play::{Pieces, plain, play, play_all};
use crate::door_client::{PATIENCE, eventually, settings};
use crate::harness::{KEY, Koogate, Scratch, Signed, instance_call, new_instance};
use crate::shop::{FIXED, count};
use crate::tls::peer::{Authority, secure};
use crate::tls::{door, serve};

/// A whole, signed purchase, as an attacker who has seen none could not make it: the worst case.
pub fn purchase() -> String {
    let body = new_instance("CS-SMUGGLED").to_string();
    let query = Signed::now(KEY, body.as_bytes()).query();
    format!("POST /saasproduce?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn corpus() -> Vec<Case> {
    let purchase = purchase();
    let all = cases("http", &|word| match word {
        "purchase" => Some(purchase.clone().into_bytes()),
        "purchase length" => Some(purchase.len().to_string().into_bytes()),
        _ => None,
    });
    assert!(all.len() >= 250, "only {} cases were found", all.len());
    all
}

/// Remembers what it was handed.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<Vec<u8>>>,
    refused: Mutex<u64>,
}

impl Handler for Recorder {
    fn handle(&self, request: Request) -> Reply {
        if request.target != "/healthz?probe" {
            let mut line = format!("{} {}", request.method, request.target).into_bytes();
            if !request.body.is_empty() {
                line.push(b' ');
                line.extend(&request.body);
            }
            self.seen.lock().unwrap().push(line);
        }
        Reply::new(200, "text/plain", "seen\n")
    }

    fn refused(&self, _peer: IpAddr, _reason: &'static str) {
        *self.refused.lock().unwrap() += 1;
    }
}

struct Stage {
    door: Door,
    recorder: Arc<Recorder>,
}

impl Stage {
    fn open(change: impl FnOnce(&mut DoorSettings)) -> Self {
        let recorder = Arc::new(Recorder::default());
        let settings = settings(|settings| {
            // What a stranger sends byte by byte is not reset on a slow machine before it is all sent.
            settings.drain_within = PATIENCE;
            change(settings);
        });
        Self { door: Door::open(settings, Arc::clone(&recorder) as Arc<dyn Handler>).unwrap(), recorder }
    }

    /// Once its connection has ended nothing more can come of a case.
    fn saw_only(&self, case: &Case) {
        let counters = self.door.counters();
        eventually("the connection has ended", || counters.now().open == 0);
        let seen = std::mem::take(&mut *self.recorder.seen.lock().unwrap());
        let lines = |seen: &[Vec<u8>]| -> Vec<String> {
            seen.iter().map(|line| line.escape_ascii().to_string().chars().take(300).collect()).collect()
        };
        assert!(seen == case.seen, "the handler saw {:?} instead of {:?}", lines(&seen), lines(&case.seen));
        assert_eq!(counters.now().panics, 0);
    }
}

/// What must hold of the whole corpus, however the bytes are cut.
fn plays(stage: &Stage, mut play_one: impl FnMut(&Case, Pieces)) {
    let corpus = corpus();
    let mut wrong = Vec::new();
    for pieces in [Pieces::Whole, Pieces::Bytes] {
        wrong.extend(play_all(&corpus, pieces, |case| {
            play_one(case, pieces);
            stage.saw_only(case);
        }));
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(*stage.recorder.refused.lock().unwrap() > 200);
}

#[test]
fn the_door_reads_every_case_as_the_corpus_says_whole_and_byte_by_byte() {
    let stage = Stage::open(|_| {});
    plays(&stage, |case, pieces| play(plain(stage.door.local_addr()), case, pieces));
}

#[test]
fn over_tls_the_door_reads_every_case_alike() {
    let authority = Authority::new();
    let tls = Arc::new(Tls::new(door::identity(&authority.issue(&["shop.example.com"]))).unwrap());
    let stage = Stage::open(|settings| settings.tls = Some(tls));
    let config = authority.usual();
    plays(&stage, |case, pieces| play(secure(stage.door.local_addr(), &config), case, pieces));
}

/// Plays the corpus to the real server; after each case a signed call must be served, and the journal must hold those
/// calls and nothing else.
fn leaves_no_trace(
    scratch: &Scratch,
    koogate: Koogate,
    mut play_one: impl FnMut(&Case),
    mut call: impl FnMut(&Koogate),
) {
    let mut calls = 0;
    let wrong = play_all(&corpus(), Pieces::Whole, |case| {
        play_one(case);
        calls += 1;
        call(&koogate);
        assert_eq!(count(scratch, "exchange"), calls, "rows of the journal");
    });
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(count(scratch, "instance"), 0, "somebody has bought something");
    let log = koogate.stop();
    assert!(!log.contains("ALERT") && !log.contains("panicked"), "{log}");
    assert!(log.lines().count() < 2000, "a flood of refusals is a flood of lines");
}

fn question() -> serde_json::Value {
    instance_call("queryInstance", "nobody", json!({}))
}

#[test]
fn no_case_leaves_a_row_in_the_journal_and_a_signed_call_is_served_after_each() {
    let scratch = Scratch::new(FIXED);
    let koogate = scratch.serve();
    let address = koogate.address;
    leaves_no_trace(
        &scratch,
        koogate,
        |case| play(plain(address), case, Pieces::Whole),
        |koogate| {
            koogate.call(&question());
        },
    );
}

#[test]
fn no_case_leaves_a_row_in_the_journal_over_tls_either() {
    let authority = Authority::new();
    let scratch = serve::scratch(&authority.issue(&["shop.example.com"]), FIXED);
    let koogate = scratch.serve();
    let (address, config) = (koogate.address, authority.usual());
    leaves_no_trace(
        &scratch,
        koogate,
        |case| play(secure(address, &config), case, Pieces::Whole),
        |koogate| {
            serve::call(koogate, &config, &question());
        },
    );
}
