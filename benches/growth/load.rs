//! The calls: one thread, epoll, one request in flight on each kept connection.
//!
//! Either every connection sends its next call when it has its answer, or calls come at a fixed rate whatever becomes of
//! them, as KooGallery's do: then a call that finds no connection free waits, and that counts.

use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use koogate::protocol::key::AccessKey;
use koogate::protocol::signature::sign_v2;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use uuid::Uuid;

use crate::rows;

/// What is found slower than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections of calls that come at a rate.
const ENOUGH: usize = 64;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Purchases.
    New,
    /// Purchases that were answered long ago, any of them, which must be answered with the same bytes.
    Replay,
    /// Questions about one instance, any of them.
    Query,
    /// Two purchases, two questions, one repeat.
    Mixed,
}

/// How fast.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many connections, each always with a call.
    Full(usize),
    /// So many calls a second.
    Rate(u32),
}

impl Display for Pace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(connections) => write!(f, "{connections} connections"),
            Self::Rate(rate) => write!(f, "{rate} calls a second"),
        }
    }
}

/// What a drive found; times in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub most: f64,
    /// Answers that were not what was asked for but "try again": the disk had not confirmed in time.
    pub busy: u64,
}

/// Calls until `is_over` says so, which is asked now and then; what comes in the first `warm_up` is not counted.
pub fn drive(
    address: SocketAddr,
    instances: u64,
    work: Work,
    pace: Pace,
    warm_up: Duration,
    mut is_over: impl FnMut(Duration) -> bool,
) -> Found {
    let mut drive = Drive::start(address, instances, work, pace);
    let begun = Instant::now();
    let mut asked = begun;
    loop {
        drive.turn();
        let now = Instant::now();
        if now.duration_since(asked) > Duration::from_millis(10) {
            asked = now;
            if drive.counted_from.is_none() && now.duration_since(begun) >= warm_up {
                drive.counted_from = Some(now);
            }
            if drive.counted_from.is_some_and(|from| is_over(now.duration_since(from))) {
                return drive.end(now);
            }
        }
    }
}

struct Drive {
    caller: Caller,
    epoll: rustix::fd::OwnedFd,
    lines: Vec<Line>,
    /// Connections without a call.
    free: VecDeque<usize>,
    /// Between two calls; `None`: as fast as answers come.
    every: Option<Duration>,
    /// When the next call is due.
    due: Instant,
    counted_from: Option<Instant>,
    /// In microseconds.
    latencies: Vec<u32>,
    events: Vec<epoll::Event>,
    traced: Option<Instant>,
    busy: u64,
}

struct Line {
    stream: TcpStream,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    call: Option<Sent>,
}

/// A call that waits for its answer.
#[derive(Clone, Copy)]
struct Sent {
    number: u64,
    work: Work,
    /// When it was to be sent.
    at: Instant,
}

impl Drive {
    fn start(address: SocketAddr, instances: u64, work: Work, pace: Pace) -> Self {
        let (connections, every) = match pace {
            Pace::Full(connections) => (connections, None),
            Pace::Rate(rate) => (ENOUGH, Some(Duration::from_secs(1) / rate)),
        };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let lines: Vec<Line> = (0..connections).map(|_| Line::open(address)).collect();
        for (line, number) in lines.iter().zip(0..) {
            epoll::add(&epoll, &line.stream, epoll::EventData::new_u64(number), epoll::EventFlags::IN).unwrap();
        }
        Self {
            caller: Caller::new(address, instances, work),
            epoll,
            lines,
            free: (0..connections).collect(),
            every,
            due: Instant::now(),
            counted_from: None,
            latencies: Vec::new(),
            events: Vec::with_capacity(connections),
            busy: 0,
            traced: std::env::var_os("GROWTH_TRACE").map(|_| Instant::now()),
        }
    }

    /// Sends what is due, then waits for answers.
    fn turn(&mut self) {
        let wait = match self.every {
            None => {
                while let Some(line) = self.free.pop_front() {
                    self.lines[line].send(&mut self.caller, Instant::now());
                }
                PATIENCE
            }
            Some(every) => {
                while self.due <= Instant::now() {
                    let Some(line) = self.free.pop_front() else { break };
                    self.lines[line].send(&mut self.caller, self.due);
                    self.due += every;
                }
                let until_due = self.due.saturating_duration_since(Instant::now());
                if self.free.is_empty() { PATIENCE } else { until_due }
            }
        };
        self.events.clear();
        let wait = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
        let ready = epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&wait)).unwrap();
        assert!(ready > 0 || !self.free.is_empty(), "no answer for {PATIENCE:?}");
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let number = usize::try_from(event.data.u64()).unwrap();
            let line = &mut self.lines[number];
            if !line.receive() {
                continue;
            }
            let now = Instant::now();
            let sent = line.call.take().unwrap();
            self.busy += u64::from(!self.caller.check(sent, &line.inbox));
            self.free.push_back(number);
            if self.counted_from.is_some() {
                let latency = now - sent.at;
                self.latencies.push(u32::try_from(latency.as_micros()).unwrap());
                self.note_slow(now, latency);
            }
        }
        self.events = events;
    }

    /// With `GROWTH_TRACE`: when something was slow, at most once in a tenth of a second.
    fn note_slow(&mut self, now: Instant, latency: Duration) {
        if self
            .traced
            .is_some_and(|last| latency > Duration::from_millis(60) && now > last + Duration::from_millis(100))
        {
            self.traced = Some(now);
            let at = now.duration_since(self.counted_from.unwrap_or(now));
            eprintln!("  {:.1} s: an answer after {} ms", at.as_secs_f64(), latency.as_millis());
        }
    }

    fn end(mut self, now: Instant) -> Found {
        let time = now - self.counted_from.unwrap();
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        assert!(count > 0, "no answer in {time:?}");
        let part = |thousandths: usize| f64::from(self.latencies[(count * thousandths / 1000).min(count - 1)]);
        Found {
            rate: count as f64 / time.as_secs_f64(),
            p50: part(500),
            p99: part(990),
            p999: part(999),
            most: part(1000),
            busy: self.busy,
        }
    }
}

impl Line {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, outbox: Vec::with_capacity(2048), inbox: Vec::with_capacity(16 << 10), call: None }
    }

    fn send(&mut self, caller: &mut Caller, at: Instant) {
        let (number, work) = caller.write_next(&mut self.outbox);
        self.call = Some(Sent { number, work, at });
        self.inbox.clear();
        self.stream.write_all(&self.outbox).unwrap();
    }

    /// Reads once, which does not block after epoll; whether the answer is whole.
    fn receive(&mut self) -> bool {
        let start = self.inbox.len();
        self.inbox.resize(start + (8 << 10), 0);
        let count = self.stream.read(&mut self.inbox[start..]).unwrap();
        assert!(count > 0, "the server closed the connection");
        self.inbox.truncate(start + count);
        body(&self.inbox).is_some()
    }
}

/// The body of a whole answer.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    let length: usize = lines.find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"))?.1.parse().unwrap();
    let body = &answer[end + 4..];
    (body.len() == length).then_some(body)
}

/// Writes calls and checks their answers.
struct Caller {
    address: SocketAddr,
    /// Those that were filled in and can be asked about.
    instances: u64,
    work: Work,
    key: AccessKey,
    /// Tells the calls of one drive from those of all others.
    run: u64,
    count: u64,
}

impl Caller {
    fn new(address: SocketAddr, instances: u64, work: Work) -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        Self { address, instances, work, key: rows::access_key(), run, count: 0 }
    }

    fn write_next(&mut self, out: &mut Vec<u8>) -> (u64, Work) {
        self.count += 1;
        let number = self.count;
        let work = match (self.work, number % 5) {
            (Work::Mixed, 0 | 1) => Work::New,
            (Work::Mixed, 2) => Work::Replay,
            (Work::Mixed, _) => Work::Query,
            (work, _) => work,
        };
        let business_id = Uuid::from_u64_pair(rows::scattered(self.run ^ number), rows::scattered(number)).to_string();
        let old = self.chosen(number);
        let body = match work {
            Work::Replay => rows::purchase(&business_id, &rows::order_id(old)),
            Work::Query => rows::query(&business_id, &rows::instance_id(old)),
            Work::New | Work::Mixed => rows::purchase(&business_id, &format!("CS{}{number:08}", self.run)),
        };
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let nonce = format!("{:x}-{number:x}", self.run);
        let signature = sign_v2(&self.key, &timestamp, &nonce, &body);
        out.clear();
        write!(
            out,
            "POST /saasproduce?signature={signature}&timestamp={timestamp}&nonce={nonce} HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        )
        .unwrap();
        out.extend_from_slice(&body);
        (number, work)
    }

    /// Checks an answer; `false` for one that tells KooGallery to try again.
    fn check(&self, sent: Sent, answer: &[u8]) -> bool {
        let says = || String::from_utf8_lossy(answer).into_owned();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", says());
        let body = body(answer).unwrap();
        if body.starts_with(br#"{"resultCode":"000005""#) {
            return false;
        }
        let id = rows::instance_id(self.chosen(sent.number));
        match sent.work {
            Work::New | Work::Mixed => assert!(body.starts_with(br#"{"resultCode":"000000""#), "{}", says()),
            Work::Replay => assert_eq!(body, rows::purchase_answer(&id), "not verbatim: {}", says()),
            Work::Query => assert!(body.windows(id.len()).any(|part| part == id.as_bytes()), "{}", says()),
        }
        true
    }

    fn chosen(&self, number: u64) -> u64 {
        rows::chosen(self.instances, self.run ^ number)
    }
}
