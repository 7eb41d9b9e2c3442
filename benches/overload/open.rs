//! Load in an open loop: calls are planned by the clock and made whether or not the ones before have been answered, and
//! latency counts from the plan. So a server that stalls is charged for everybody who had to wait, also for those who
//! could not even send (no coordinated omission). One thread, epoll.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::calls::{self, Said, Scribe, Work};

/// After so long a caller gives up (KooGallery after 5 to 20 seconds).
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a caller may have open at once; further calls wait, and the wait counts.
const MOST_OPEN: usize = 8000;

/// How connections are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// So many, opened again when the server ends one.
    Kept(usize),
    /// One for each call.
    PerCall,
}

/// When calls are made.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many a second.
    Open(f64),
    /// The next one when one has ended, so many at a time: what the server can do at most.
    Closed(usize),
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Said(Said),
    /// The connection ended before there was a whole answer.
    Cut,
    /// It could not be opened.
    NotConnected,
    /// The caller's patience was over.
    GivenUp,
}

/// A call that has ended. Times are since the beginning of the drive.
pub struct Call {
    pub planned: Duration,
    pub sent: Option<Duration>,
    pub ended: Duration,
    pub end: End,
}

/// Makes calls for so long, and waits until all have ended.
pub fn drive(address: SocketAddr, lines: Lines, pace: Pace, work: Work, time: Duration) -> Vec<Call> {
    let mut drive = Drive {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
        address,
        lines,
        work,
        scribe: Scribe::new(),
        begun: Instant::now(),
        open: Vec::new(),
        unused: Vec::new(),
        free: Vec::new(),
        waiting: VecDeque::new(),
        ended: Vec::new(),
        busy: 0,
    };
    drive.run(pace, time);
    drive.ended
}

struct Drive {
    epoll: OwnedFd,
    address: SocketAddr,
    lines: Lines,
    work: Work,
    scribe: Scribe,
    begun: Instant,
    open: Vec<Option<Line>>,
    /// Places in `open` without a line.
    unused: Vec<usize>,
    /// Kept lines that are connected and have no call; some may have been ended since.
    free: Vec<usize>,
    /// Planned, and no line for it yet.
    waiting: VecDeque<Duration>,
    ended: Vec<Call>,
    /// Lines with a call.
    busy: usize,
}

struct Line {
    stream: TcpStream,
    connected: bool,
    call: Option<(Duration, Option<Duration>)>,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
}

impl Drive {
    fn run(&mut self, pace: Pace, time: Duration) {
        if let Lines::Kept(count) = self.lines {
            (0..count).for_each(|_| self.connect(None));
        }
        let mut planned = 0_u64;
        let mut swept = Duration::ZERO;
        let mut events = Vec::with_capacity(1024);
        loop {
            let now = self.begun.elapsed();
            let next = match pace {
                Pace::Open(rate) => {
                    let at = |number: u64| Duration::from_secs_f64(number as f64 / rate);
                    while at(planned) <= now && at(planned) < time {
                        self.waiting.push_back(at(planned));
                        planned += 1;
                    }
                    at(planned)
                }
                Pace::Closed(most) => {
                    while now < time && self.busy + self.waiting.len() < most {
                        self.waiting.push_back(now);
                        self.send_waiting();
                    }
                    now + Duration::from_millis(10)
                }
            };
            self.send_waiting();
            if now >= time && self.busy == 0 && self.waiting.is_empty() {
                return;
            }
            let pause = next.saturating_sub(self.begun.elapsed()).min(Duration::from_millis(10));
            let pause = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
            events.clear();
            let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pause));
            for event in &events {
                self.advance(usize::try_from(event.data.u64()).unwrap(), event.flags);
            }
            if now >= swept + Duration::from_millis(100) {
                swept = now;
                self.give_up(now);
            }
        }
    }

    fn send_waiting(&mut self) {
        while let Some(&planned) = self.waiting.front() {
            match self.lines {
                Lines::PerCall if self.busy >= MOST_OPEN => return,
                Lines::PerCall => self.connect(Some(planned)),
                Lines::Kept(_) => {
                    let Some(at) = self.free.pop() else { return };
                    let Some(line) = self.open[at].as_mut().filter(|line| line.connected && line.call.is_none()) else {
                        continue;
                    };
                    line.call = Some((planned, None));
                    self.busy += 1;
                    self.send(at);
                }
            }
            self.waiting.pop_front();
        }
    }

    /// Begins to open a line, for a call where there is one.
    fn connect(&mut self, planned: Option<Duration>) {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM.nonblocking(), None).unwrap();
        let begun = socket.connect(&SockAddr::from(self.address));
        if begun.as_ref().is_err_and(|error| error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()))
        {
            if let Some(planned) = planned {
                self.end(planned, None, End::NotConnected);
            }
            return;
        }
        let stream = TcpStream::from(socket);
        let _ = stream.set_nodelay(true);
        let at = self.unused.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(at as u64), flags).unwrap();
        self.busy += usize::from(planned.is_some());
        let call = planned.map(|planned| (planned, None));
        self.open[at] = Some(Line { stream, connected: false, call, outbox: Vec::new(), inbox: Vec::new() });
    }

    fn advance(&mut self, at: usize, flags: epoll::EventFlags) {
        let Some(line) = self.open.get_mut(at).and_then(Option::as_mut) else { return };
        if !line.connected {
            if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                return self.close(at, Some(End::NotConnected));
            }
            if !flags.contains(epoll::EventFlags::OUT) {
                return;
            }
            line.connected = true;
            return if line.call.is_some() { self.send(at) } else { self.free.push(at) };
        }
        if !line.outbox.is_empty() {
            self.flush(at);
        }
        self.receive(at);
    }

    fn send(&mut self, at: usize) {
        let line = self.open[at].as_mut().unwrap();
        line.outbox = self.scribe.next(self.work);
        line.inbox.clear();
        line.call = line.call.map(|(planned, _)| (planned, Some(self.begun.elapsed())));
        self.flush(at);
    }

    fn flush(&mut self, at: usize) {
        let Some(line) = self.open[at].as_mut() else { return };
        match line.stream.write(&line.outbox) {
            Ok(count) => drop(line.outbox.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // What the server has said before it ended the line can still be read.
            Err(_) => line.outbox.clear(),
        }
    }

    fn receive(&mut self, at: usize) {
        loop {
            let Some(line) = self.open[at].as_mut() else { return };
            let start = line.inbox.len();
            line.inbox.resize(start + 2048, 0);
            let read = line.stream.read(&mut line.inbox[start..]);
            line.inbox.truncate(start + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(_) | Err(_) => return self.close(at, Some(End::Cut)),
            }
            if line.call.is_some()
                && let Some((said, ends)) = calls::answer(&line.inbox)
            {
                if ends || self.lines == Lines::PerCall {
                    return self.close(at, Some(End::Said(said)));
                }
                let (planned, sent) = line.call.take().unwrap();
                line.inbox.clear();
                self.busy -= 1;
                self.free.push(at);
                self.end(planned, sent, End::Said(said));
            }
        }
    }

    /// Ends a line and its call, if it has one; a kept line is opened again.
    fn close(&mut self, at: usize, end: Option<End>) {
        let Some(line) = self.open[at].take() else { return };
        // Without TIME_WAIT, or a minute of such calls would use up the ports.
        let _ = SockRef::from(&line.stream).set_linger(Some(Duration::ZERO));
        self.unused.push(at);
        if let Some((planned, sent)) = line.call {
            self.busy -= 1;
            self.end(planned, sent, end.unwrap_or(End::GivenUp));
        }
        drop(line.stream);
        if let Lines::Kept(_) = self.lines {
            self.connect(None);
        }
    }

    fn give_up(&mut self, now: Duration) {
        while self.waiting.front().is_some_and(|&planned| planned + PATIENCE < now) {
            let planned = self.waiting.pop_front().unwrap();
            self.end(planned, None, End::GivenUp);
        }
        for at in 0..self.open.len() {
            let call = self.open[at].as_ref().and_then(|line| line.call);
            if call.is_some_and(|(planned, _)| planned + PATIENCE < now) {
                self.close(at, Some(End::GivenUp));
            }
        }
    }

    fn end(&mut self, planned: Duration, sent: Option<Duration>, end: End) {
        let ended = self.begun.elapsed();
        self.ended.push(Call { planned, sent, ended, end });
    }
}
