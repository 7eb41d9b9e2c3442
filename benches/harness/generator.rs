//! The load generator: one thread, epoll, one request in flight on each connection. It shares the cores with the server,
//! so what it saves the server gets.
//!
//! A connection is kept, or there is another one for each call, as [`Target`] says; then the time of a call begins before
//! its connection does. HTTPS is spoken where the target has a certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustls::ClientConfig;

use super::calls::{Caller, Ticket};
use super::line::Line;
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

/// What is called, and how.
#[derive(Clone)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// The process whose CPU time is taken, with its children.
    pub pid: u32,
    /// HTTPS, as [`super::line::client_config`] makes it.
    pub tls: Option<Arc<ClientConfig>>,
    /// Another connection for each call.
    pub connection_per_call: bool,
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
    /// 999 of 1000 answers took no longer, in microseconds.
    pub p999: f64,
    /// CPU time of the server for one answer, in microseconds.
    pub server_cpu: f64,
    /// CPU time of the generator for one answer, in microseconds.
    pub own_cpu: f64,
    /// Answers that came at all: measured, while it warmed up, and after the end was decided.
    pub answers: u64,
}

/// An answer in the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    pub body_sign: &'a str,
    pub body: &'a [u8],
}

/// Calls the server `pid` over `connections` kept connections at once.
pub fn drive(address: SocketAddr, pid: u32, connections: usize, length: Length, caller: &mut Caller<'_>) -> Measured {
    drive_at(&Target { address, pid, tls: None, connection_per_call: false }, connections, length, caller)
}

/// Calls a target over `connections` connections at once.
pub fn drive_at(target: &Target, connections: usize, length: Length, caller: &mut Caller<'_>) -> Measured {
    caller.close_after_each(target.connection_per_call);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let watched = |line: &Line, number| {
        epoll::add(&epoll, line.socket(), epoll::EventData::new_u64(number), epoll::EventFlags::IN).unwrap();
    };
    let mut lines: Vec<(Line, Ticket)> = Vec::with_capacity(connections);
    let mut request = Vec::with_capacity(2048);
    for number in 0..connections {
        let ticket = caller.write_next(&mut request);
        let mut line = Line::open(target.address, target.tls.as_ref());
        watched(&line, number as u64);
        line.send(&request);
        lines.push((line, ticket));
    }
    let mut watch = Watch::new(target.pid, length);
    let mut events = Vec::with_capacity(connections);
    let mut open = connections;
    while open > 0 {
        events.clear();
        let patience = rustix::event::Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = epoll::wait(&epoll, spare_capacity(&mut events), Some(&patience)).unwrap();
        assert!(ready > 0, "no answer for {PATIENCE:?}");
        for event in &events {
            let (line, ticket) = &mut lines[usize::try_from(event.data.u64()).unwrap()];
            line.receive();
            let Some(answer) = parse(line.inbox()) else { continue };
            let now = Instant::now();
            caller.check(*ticket, &answer);
            let goes_on = watch.goes_on(now, now - line.begun());
            if !goes_on || target.connection_per_call {
                line.close();
                epoll::delete(&epoll, line.socket()).unwrap();
            }
            if !goes_on {
                open -= 1;
                continue;
            }
            // Before the clock of the next call starts: KooGallery signs on a machine of its own.
            *ticket = caller.write_next(&mut request);
            if target.connection_per_call {
                *line = Line::open(target.address, target.tls.as_ref());
                watched(line, event.data.u64());
            }
            line.send(&request);
        }
    }
    watch.measured()
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
    answers: u64,
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
        Self { pid, length, measure_from, begun: None, ended: None, latencies: Vec::new(), answers: 0 }
    }

    /// Counts an answer; false when no more requests are to be sent.
    fn goes_on(&mut self, now: Instant, latency: Duration) -> bool {
        self.answers += 1;
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
        Reading { at, server_cpu: machine::cpu_time(self.pid), own_cpu: machine::own_cpu_time() }
    }

    fn measured(mut self) -> Measured {
        let (begun, ended) = (self.begun.unwrap(), self.ended.unwrap());
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let percentile = |thousandths: usize| micros(self.latencies[count * thousandths / 1000]);
        Measured {
            rate: count as f64 / (ended.at - begun.at).as_secs_f64(),
            p50: percentile(500),
            p99: percentile(990),
            p999: percentile(999),
            server_cpu: micros(ended.server_cpu - begun.server_cpu) / count as f64,
            own_cpu: micros(ended.own_cpu - begun.own_cpu) / count as f64,
            answers: self.answers,
        }
    }
}
