//! What is measured: the servers, and the scenarios each round goes through.

use std::time::Duration;

use tempfile::TempDir;

use crate::harness::calls::{Caller, Recorded, Work};
use crate::harness::generator::{self, Length, Measured};
use crate::harness::machine;
use crate::harness::server::Server;

/// Added to each flush where a slow disk is played.
const SLOW_FLUSH: Duration = Duration::from_millis(10);

/// So many operations are recorded before, to be repeated and asked about.
const RECORDED: u64 = 2000;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    pub load: Load,
    pub connections: usize,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// New operations, the product as it is.
    New,
    /// New operations on axum with the same dispatcher.
    NewAxum,
    /// New operations, a commit for each.
    NewSingly,
    /// New operations with a slow disk.
    NewSlow,
    /// New operations with a slow disk, a commit for each.
    NewSlowSingly,
    /// Repeated operations.
    Replay,
    /// The door alone, answering the bytes of a repeat.
    Door,
    /// Queries.
    Query,
}

/// In the order of the table.
const SCENARIOS: [Scenario; 13] = {
    use Load::{Door, New, NewAxum, NewSingly, NewSlow, NewSlowSingly, Query, Replay};
    const fn of(load: Load, connections: usize) -> Scenario {
        Scenario { load, connections }
    }
    [
        of(New, 8),
        of(New, 64),
        of(NewAxum, 8),
        of(NewAxum, 64),
        of(NewSingly, 64),
        of(NewSlow, 64),
        of(NewSlowSingly, 64),
        of(Replay, 8),
        of(Replay, 64),
        of(Door, 8),
        of(Door, 64),
        of(Query, 8),
        of(Query, 64),
    ]
};

impl Load {
    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::NewAxum => "new, axum",
            Self::NewSingly => "new, commit each",
            Self::NewSlow => "new, flush +10 ms",
            Self::NewSlowSingly => "new, commit each, flush +10 ms",
            Self::Replay => "replay",
            Self::Door => "door alone",
            Self::Query => "query",
        }
    }
}

/// What one round found.
pub struct Round {
    pub flush: Duration,
    pub found: Vec<(Scenario, Measured)>,
}

/// The running servers.
pub struct Bench {
    folder: TempDir,
    scenarios: Vec<(Scenario, usize)>,
    servers: Vec<(Server, Vec<Recorded>)>,
    // Removed after the servers have ended.
    _folders: Vec<TempDir>,
}

impl Bench {
    /// Starts what the scenarios need whose name holds one of `only`.
    pub fn start(only: &[String]) -> Self {
        let mut bench =
            Self { folder: machine::scratch(), scenarios: Vec::new(), servers: Vec::new(), _folders: Vec::new() };
        let mut started: Vec<(Kind, Option<usize>)> = Vec::new();
        for scenario in SCENARIOS {
            let name = format!("{} {}", scenario.load.name(), scenario.connections);
            if !only.is_empty() && !only.iter().any(|word| name.contains(word.as_str())) {
                continue;
            }
            let kind = Kind::of(scenario.load);
            let server = match started.iter().find(|(known, _)| *known == kind) {
                Some((_, server)) => *server,
                None => {
                    let server = bench.start_server(kind);
                    started.push((kind, server));
                    server
                }
            };
            bench.scenarios.extend(server.map(|server| (scenario, server)));
        }
        bench
    }

    /// Goes through all scenarios, every other time backwards, so that a drift of the machine favours none.
    pub fn round(&mut self, number: usize, length: Duration) -> Round {
        let flush = machine::flush_time(self.folder.path());
        let mut scenarios = self.scenarios.clone();
        if number.is_multiple_of(2) {
            scenarios.reverse();
        }
        let mut found: Vec<_> = scenarios
            .into_iter()
            .map(|(scenario, server)| (scenario, self.measure(scenario, server, length)))
            .collect();
        found.sort_by_key(|(scenario, _)| *scenario);
        Round { flush, found }
    }

    fn measure(&self, scenario: Scenario, server: usize, length: Duration) -> Measured {
        let (server, recorded) = &self.servers[server];
        let work = match scenario.load {
            Load::Replay => Work::Replay(recorded),
            Load::Query => Work::Query(recorded),
            Load::Door => Work::Fixed(None),
            Load::New | Load::NewAxum | Load::NewSingly | Load::NewSlow | Load::NewSlowSingly => Work::New(None),
        };
        let mut caller = Caller::new(server.address, work);
        generator::drive(server.address, server.pid(), scenario.connections, Length::Time(length), &mut caller)
    }

    fn start_server(&mut self, kind: Kind) -> Option<usize> {
        let folder = machine::scratch();
        let server = match kind {
            Kind::Koogate => Server::koogate(folder.path(), 512, None),
            Kind::Singly => Server::koogate(folder.path(), 1, None),
            Kind::Slow if !cfg!(feature = "fault-points") => return None,
            Kind::Slow => Server::koogate(folder.path(), 512, Some(SLOW_FLUSH)),
            Kind::SlowSingly if !cfg!(feature = "fault-points") => return None,
            Kind::SlowSingly => Server::koogate(folder.path(), 1, Some(SLOW_FLUSH)),
            Kind::Axum => Server::axum(folder.path())?,
            Kind::Door => Server::door(),
        };
        let mut recorded = Vec::new();
        if kind == Kind::Koogate {
            let mut caller = Caller::new(server.address, Work::New(Some(&mut recorded)));
            generator::drive(server.address, server.pid(), 64, Length::Answers(RECORDED), &mut caller);
        }
        self.servers.push((server, recorded));
        self._folders.push(folder);
        Some(self.servers.len() - 1)
    }
}

/// Scenarios of one kind share a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Koogate,
    Singly,
    Slow,
    SlowSingly,
    Axum,
    Door,
}

impl Kind {
    fn of(load: Load) -> Self {
        match load {
            Load::New | Load::Replay | Load::Query => Self::Koogate,
            Load::NewAxum => Self::Axum,
            Load::NewSingly => Self::Singly,
            Load::NewSlow => Self::Slow,
            Load::NewSlowSingly => Self::SlowSingly,
            Load::Door => Self::Door,
        }
    }
}
