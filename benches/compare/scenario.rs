//! What is measured: the calls, over which connections, and the rounds that go through all of it with every server.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use crate::harness::calls::{Caller, Recorded, Work};
use crate::harness::generator::{self, Length, Measured, Target};
use crate::harness::line::Line;
use crate::harness::machine;
use crate::journal;
use crate::peers::{Identity, LeftOut, OURS, Peer};
use crate::process::Process;

/// So many operations are recorded before, to be repeated and asked about. What the disk is charged with is as many of each.
pub const RECORDED: u64 = 2000;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    New,
    Replay,
    Query,
    Mixed,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub load: Load,
    pub connections: usize,
    pub connection_per_call: bool,
    pub tls: bool,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = match self.load {
            Load::New => "new",
            Load::Replay => "replay",
            Load::Query => "query",
            Load::Mixed => "mix",
        };
        let tls = if self.tls { " TLS" } else { "" };
        let connections = if self.connection_per_call { "per call" } else { "kept" };
        write!(f, "{load} {} {connections}{tls}", self.connections)
    }
}

/// In the order of the tables.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for load in [Load::New, Load::Replay, Load::Query, Load::Mixed] {
        for (connections, connection_per_call) in [(8, false), (64, false), (64, true)] {
            all.push(Scenario { load, connections, connection_per_call, tls: false });
        }
    }
    for load in [Load::New, Load::Mixed] {
        for connection_per_call in [false, true] {
            all.push(Scenario { load, connections: 64, connection_per_call, tls: true });
        }
    }
    all
}

/// A server that runs, and what has been found of it.
pub struct Contestant {
    pub peer: Peer,
    pub folder: TempDir,
    process: RefCell<Process>,
    recorded: Vec<Recorded>,
    /// Answers it has given.
    answers: u64,
    /// For each round, what each scenario found.
    pub found: Vec<Vec<(Scenario, Measured)>>,
    /// From the start of a process to its first answer, one for each round.
    pub starts: Vec<Duration>,
    pub memory_at_first: f64,
    pub end: Option<End>,
    /// Of its database after as many purchases, repeats and queries.
    pub bytes_per_exchange: f64,
}

/// What was found after the last answer.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub memory: f64,
    pub bytes: u64,
    pub exchanges: u64,
}

impl Contestant {
    /// Starts a peer and has it record what will be repeated; why that does not work, if it does not.
    pub fn enter(peer: Peer, identity: &Identity) -> Result<Self, LeftOut> {
        let folder = machine::scratch();
        let name = peer.name.clone();
        let left_out = |reason| LeftOut { name, reason };
        let process = match peer.start(folder.path(), identity) {
            Ok(process) => RefCell::new(process),
            Err(reason) => return Err(left_out(reason)),
        };
        let (found, starts) = (Vec::new(), Vec::new());
        let mut contestant = Self {
            peer,
            folder,
            process,
            recorded: Vec::new(),
            answers: 0,
            found,
            starts,
            memory_at_first: 0.0,
            end: None,
            bytes_per_exchange: 0.0,
        };
        let mut recorded = Vec::new();
        let scenario =
            Scenario { load: Load::New, connections: 8, connection_per_call: false, tls: contestant.peer.tls };
        let work = Work::New(Some(&mut recorded));
        let filled = contestant.drive(&scenario, Length::Answers(RECORDED), work, identity);
        contestant.answers += filled.map_err(left_out)?.answers;
        contestant.recorded = recorded;
        contestant.memory_at_first = contestant.memory();
        Ok(contestant)
    }

    /// One scenario; whoever fails at it is out.
    pub fn measure(&mut self, scenario: &Scenario, length: Duration, identity: &Identity) -> Result<Measured, LeftOut> {
        let work = match scenario.load {
            Load::New => Work::New(None),
            Load::Replay => Work::Replay(&self.recorded),
            Load::Query => Work::Query(&self.recorded),
            Load::Mixed => Work::Mixed(&self.recorded),
        };
        let measured = self.drive(scenario, Length::Time(length), work, identity);
        let measured = measured.map_err(|reason| {
            let name = self.peer.name.clone();
            LeftOut { name, reason: format!("{scenario}: {reason}; it said: {}", self.process.borrow().said()) }
        })?;
        self.answers += measured.answers;
        Ok(measured)
    }

    /// Starts a process on an empty database and takes the time to its first answer.
    pub fn time_start(&mut self, identity: &Identity) -> Result<(), LeftOut> {
        let left_out = |reason| LeftOut { name: self.peer.name.clone(), reason };
        let folder = machine::scratch();
        let begun = Instant::now();
        let process = self.peer.start(folder.path(), identity).map_err(left_out)?;
        let unknown = [Recorded::unknown()];
        let mut request = Vec::new();
        Caller::new(process.address, Work::Query(&unknown)).write_next(&mut request);
        let tls = self.peer.tls.then_some(&identity.client);
        let mut line = Line::open(process.address, tls);
        line.send(&request);
        while !line.inbox().windows(6).any(|part| part == b"000003") {
            let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
            if poll(&mut [PollFd::new(line.socket(), PollFlags::IN)], Some(&patience)) != Ok(1) {
                return Err(left_out("no answer after its start".to_owned()));
            }
            line.receive();
        }
        self.starts.push(begun.elapsed());
        assert!(line.inbox().starts_with(b"HTTP/1.1 200"));
        Ok(())
    }

    /// Ends the server and looks at what it leaves behind.
    pub fn finish(&mut self) -> Result<(), LeftOut> {
        let left_out = |reason| LeftOut { name: self.peer.name.clone(), reason };
        let memory = self.memory();
        if !self.process.borrow_mut().end() {
            return Err(left_out("it does not end when asked to".to_owned()));
        }
        // Before it is opened to count the rows, which would empty a log.
        let bytes = journal::bytes(self.folder.path());
        let exchanges = journal::rows(&self.peer, self.folder.path()).map_err(left_out)?;
        if exchanges != self.answers {
            return Err(left_out(format!("{} answers, but {exchanges} rows in its journal", self.answers)));
        }
        self.end = Some(End { memory, bytes, exchanges });
        Ok(())
    }

    /// Has another process of the peer record as many calls of each kind, and looks at its files after the end: in the rounds
    /// everyone has answered another mix.
    pub fn measure_disk(&mut self, identity: &Identity) -> Result<(), LeftOut> {
        let mut other = Self::enter(self.peer.clone(), identity)?;
        let scenario = Scenario { load: Load::New, connections: 8, connection_per_call: false, tls: self.peer.tls };
        for work in [Work::Replay(&other.recorded), Work::Query(&other.recorded)] {
            let measured = other.drive(&scenario, Length::Answers(RECORDED), work, identity);
            let left_out = |reason| LeftOut { name: self.peer.name.clone(), reason };
            other.answers += measured.map_err(left_out)?.answers;
        }
        other.finish()?;
        self.bytes_per_exchange = other.end.map_or(0.0, |end| end.bytes as f64 / end.exchanges as f64);
        Ok(())
    }

    fn memory(&self) -> f64 {
        machine::shared_memory(self.process.borrow().pid())
    }

    fn drive(
        &self,
        scenario: &Scenario,
        length: Length,
        work: Work<'_>,
        identity: &Identity,
    ) -> Result<Measured, String> {
        let (address, pid) = (self.process.borrow().address, self.process.borrow().pid());
        let tls = self.peer.tls.then(|| identity.client.clone());
        let target = Target { address, pid, tls, connection_per_call: scenario.connection_per_call };
        let mut caller = Caller::new(address, work).exactly();
        // A wrong answer of one must not end the measurement of all.
        catch_unwind(AssertUnwindSafe(|| generator::drive_at(&target, scenario.connections, length, &mut caller)))
            .map_err(|panic| panic_text(panic.as_ref()))
    }
}

/// The servers and the scenarios.
pub struct Contest {
    pub identity: Identity,
    pub contestants: Vec<Contestant>,
    pub left_out: Vec<LeftOut>,
    pub scenarios: Vec<Scenario>,
}

impl Contest {
    /// Goes through all scenarios, each with all servers, every other time backwards, so that a drift of the machine
    /// favours none.
    pub fn round(&mut self, number: usize, length: Duration) {
        let mut steps: Vec<(Scenario, String)> = Vec::new();
        for scenario in &self.scenarios {
            let fit = self.contestants.iter().filter(|contestant| contestant.peer.tls == scenario.tls);
            steps.extend(fit.map(|contestant| (*scenario, contestant.peer.name.clone())));
        }
        if number.is_multiple_of(2) {
            steps.reverse();
        }
        self.each(Contestant::time_start);
        // What the starts have left to do is done before.
        sleep(Duration::from_secs(1));
        for contestant in &mut self.contestants {
            contestant.found.push(Vec::new());
        }
        for (scenario, name) in steps {
            let is_it = |contestant: &Contestant| contestant.peer.name == name && contestant.peer.tls == scenario.tls;
            let Some(position) = self.contestants.iter().position(is_it) else { continue };
            match self.contestants[position].measure(&scenario, length, &self.identity) {
                Ok(measured) => self.contestants[position].found.last_mut().unwrap().push((scenario, measured)),
                Err(left_out) => self.leave_out(position, left_out),
            }
        }
    }

    /// Ends all servers, then looks at their disks.
    pub fn finish(&mut self) {
        self.each(|contestant, _| contestant.finish());
        self.each(Contestant::measure_disk);
    }

    /// Has each do something that may put it out.
    fn each(&mut self, act: impl Fn(&mut Contestant, &Identity) -> Result<(), LeftOut>) {
        for position in (0..self.contestants.len()).rev() {
            if let Err(left_out) = act(&mut self.contestants[position], &self.identity) {
                self.leave_out(position, left_out);
            }
        }
    }

    fn leave_out(&mut self, position: usize, left_out: LeftOut) {
        assert!(left_out.name != OURS, "{}: {}", left_out.name, left_out.reason);
        eprintln!("left out: {}: {}", left_out.name, left_out.reason);
        self.contestants.remove(position);
        self.left_out.push(left_out);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "failed".to_owned())
}
