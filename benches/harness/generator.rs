//! The load generator: one thread, epoll, one request in flight on each keep-alive connection. It shares the cores with
//! the server, so what it saves the server gets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::calls::{Caller, Ticket};
use super::machine;

/// What is found slower than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a drive lasts.
#[derive(Clone, Copy)]
pub enum Length {
    /// So long, after as much of a third as warm-up.
    Time(Duration),
    /// So many answers.
    Answers(u64),
}

/// What a drive found.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answers per second.
    pub rate: f64,
    /// Half of the answers took no longer, in microseconds.
    pub p50: f64,
    /// 99 of 100 answers took no longer, in microseconds.
    pub p99: f64,
    /// CPU time of the server for one answer, in microseconds.
    pub server_cpu: f64,
    /// CPU time of the generator for one answer, in microseconds.
    pub own_cpu: f64,
}

/// An answer in the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    pub body_sign: &'a str,
    pub body: &'a [u8],
}

/// Calls the server `pid` over `connections` connections at once.
pub fn drive(address: SocketAddr, pid: u32, connections: usize, length: Length, caller: &mut Caller<'_>) -> Measured {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut lines: Vec<Connection> = (0..connections).map(|_| Connection::open(address)).collect();
    for (line, number) in lines.iter_mut().zip(0..) {
        let data = epoll::EventData::new_u64(number);
        epoll::add(&epoll, &line.stream, data, epoll::EventFlags::IN).unwrap();
        line.send(caller);
    }
    let mut watch = Watch::new(pid, length);
    let mut events = Vec::with_capacity(connections);
    let mut open = connections;
    while open > 0 {
        events.clear();
        let patience = rustix::event::Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = epoll::wait(&epoll, spare_capacity(&mut events), Some(&patience)).unwrap();
        assert!(ready > 0, "no answer for {PATIENCE:?}");
        for event in &events {
            let line = &mut lines[usize::try_from(event.data.u64()).unwrap()];
            if !line.receive() {
                continue;
            }
            let now = Instant::now();
            caller.check(line.ticket, &parse(&line.inbox).unwrap());
            if watch.goes_on(now, now - line.sent) {
                line.send(caller);
            } else {
                open -= 1;
            }
        }
    }
    watch.measured()
}

struct Connection {
    stream: TcpStream,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    ticket: Ticket,
    sent: Instant,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let (outbox, inbox) = (Vec::with_capacity(2048), Vec::with_capacity(16 << 10));
        Self { stream, outbox, inbox, ticket: Ticket::default(), sent: Instant::now() }
    }

    fn send(&mut self, caller: &mut Caller<'_>) {
        self.ticket = caller.write_next(&mut self.outbox);
        self.inbox.clear();
        self.sent = Instant::now();
        self.stream.write_all(&self.outbox).unwrap();
    }

    /// Reads once, which does not block after epoll; whether the answer is whole.
    fn receive(&mut self) -> bool {
        let start = self.inbox.len();
        self.inbox.resize(start + (8 << 10), 0);
        let count = self.stream.read(&mut self.inbox[start..]).unwrap();
        assert!(count > 0, "the server closed the connection");
        self.inbox.truncate(start + count);
        parse(&self.inbox).is_some()
    }
}

/// `None` while there is more to come.
fn parse(bytes: &[u8]) -> Option<Answer<'_>> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let body = &bytes[end + 4..];
    let length: usize = header(head, "Content-Length")?.parse().unwrap();
    let status = head.get(9..12)?.parse().unwrap();
    (body.len() == length).then(|| Answer { status, body_sign: header(head, "Body-Sign").unwrap_or_default(), body })
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Takes the times.
struct Watch {
    pid: u32,
    length: Length,
    measure_from: Instant,
    begun: Option<Reading>,
    ended: Option<Reading>,
    latencies: Vec<Duration>,
}

/// Clocks at one instant.
struct Reading {
    at: Instant,
    server_cpu: Duration,
    own_cpu: Duration,
}

impl Watch {
    fn new(pid: u32, length: Length) -> Self {
        let warm_up = match length {
            Length::Time(time) => time / 3,
            Length::Answers(_) => Duration::ZERO,
        };
        let measure_from = Instant::now() + warm_up;
        Self { pid, length, measure_from, begun: None, ended: None, latencies: Vec::new() }
    }

    /// Counts an answer; false when no more requests are to be sent.
    fn goes_on(&mut self, now: Instant, latency: Duration) -> bool {
        match &self.begun {
            _ if self.ended.is_some() => {}
            None if now >= self.measure_from => self.begun = Some(self.reading(now)),
            None => {}
            Some(begun) => {
                self.latencies.push(latency);
                let over = match self.length {
                    Length::Time(time) => now >= begun.at + time,
                    Length::Answers(count) => self.latencies.len() as u64 >= count,
                };
                if over {
                    self.ended = Some(self.reading(now));
                }
            }
        }
        self.ended.is_none()
    }

    fn reading(&self, at: Instant) -> Reading {
        Reading { at, server_cpu: machine::cpu_time(self.pid), own_cpu: machine::cpu_time(std::process::id()) }
    }

    fn measured(mut self) -> Measured {
        let (begun, ended) = (self.begun.unwrap(), self.ended.unwrap());
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let percentile = |hundredths: usize| micros(self.latencies[count * hundredths / 100]);
        Measured {
            rate: count as f64 / (ended.at - begun.at).as_secs_f64(),
            p50: percentile(50),
            p99: percentile(99),
            server_cpu: micros(ended.server_cpu - begun.server_cpu) / count as f64,
            own_cpu: micros(ended.own_cpu - begun.own_cpu) / count as f64,
        }
    }
}
