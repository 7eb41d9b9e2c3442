//! The thread that looks whether the process still does what it is for, and ends it when it does not.
//!
//! It calls the public listener as KooGallery would, over a socket, and has the writer run a piece of work that changes
//! nothing, which touches no disk. What it saw is judged by `judge`; as long as the verdict does not count towards the end,
//! the supervisor hears that the process is alive.

use std::process;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::judge::{Judge, Part, Seen, Verdict};
use super::{CallError, Caller, Health};
use crate::fault;
use crate::http::{Counters, CountersNow};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;

/// The exit code of a process that ended because it did not answer any more: its supervisor is to start another.
pub const EXIT_UNHEALTHY: i32 = 3;

/// A process that is to end has so long to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often is looked, and how long either part has to answer.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A supervisor that wants to hear more often is told so often within its time, even while both parts let the watchdog
/// wait.
const LOOKS_WITHIN: u32 = 6;

/// What is looked at, and who is told.
pub struct Subjects {
    /// What tells the verdict to those who ask.
    pub health: Arc<Health>,
    /// The public listener.
    pub caller: Caller,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// The most connections it takes.
    pub max_connections: usize,
    /// The database with its writer.
    pub store: Arc<Store>,
    /// Who started the process.
    pub supervisor: Supervisor,
}

/// The running watchdog.
pub struct Watchdog {
    /// Said once: the process is stopping. Dropped: it has stopped.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// How often it looks for this supervisor.
    pub fn pace(supervisor: &Supervisor) -> Duration {
        let usual = supervisor.watchdog().map_or(LOOK_EVERY, |within| LOOK_EVERY.min(within / LOOKS_WITHIN));
        fault::pace("watchdog", usual.max(Duration::from_millis(1)))
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(subjects: Subjects) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let every = Self::pace(&subjects.supervisor);
        let looker = Looker { subjects, every, stopped, judge: Judge::default(), missed: [None, None] };
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || looker.run())?;
        Ok(Self { stop, thread })
    }

    /// From now on nothing is looked at: what stops does not answer. The supervisor goes on hearing that the process is
    /// alive; how long a stop may take is its own setting.
    pub fn stopping(&self) {
        // A thread that has panicked is told of at the end.
        let _ = self.stop.send(());
    }

    /// Joins.
    pub fn end(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the watchdog had panicked");
        }
    }
}

struct Looker {
    subjects: Subjects,
    every: Duration,
    stopped: Receiver<()>,
    judge: Judge,
    /// Why listener and writer did not answer last.
    missed: [Option<String>; 2],
}

impl Looker {
    fn run(mut self) {
        let mut next = Instant::now() + self.every;
        while self.waits_until(next) {
            next = Instant::now() + self.every;
            let seen = (self.look_at_listener(), self.look_at_writer());
            // What has begun to stop meanwhile need not answer.
            if !self.waits_until(Instant::now()) {
                break;
            }
            let verdict = self.judge.judge(seen.0, seen.1);
            self.act_on(verdict);
        }
        self.accompany_the_stop();
    }

    /// Waits; `false` when the process is stopping.
    fn waits_until(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        matches!(self.stopped.recv_timeout(left), Err(RecvTimeoutError::Timeout))
    }

    fn accompany_the_stop(&self) {
        loop {
            self.subjects.supervisor.alive();
            if !matches!(self.stopped.recv_timeout(self.every), Err(RecvTimeoutError::Timeout) | Ok(())) {
                return;
            }
        }
    }

    fn look_at_listener(&mut self) -> Seen {
        let Subjects { caller, counters, max_connections, .. } = &self.subjects;
        let before = counters.now();
        let Err(error) = caller.ask(self.every) else { return Seen::Well };
        let is_busy = match &error {
            CallError::NotMade(_) => true,
            _ => is_crowded(before, counters.now(), *max_connections),
        };
        let seen = if is_busy { Seen::Busy } else { Seen::Missed };
        self.missed[0] = Some(format!("{}: {error}", caller.url()));
        seen
    }

    fn look_at_writer(&mut self) -> Seen {
        let store = &self.subjects.store;
        let before = store.writer_turns();
        let Err(error) = store.write(Some(Instant::now() + self.every), |_| Ok(())) else { return Seen::Well };
        let works_on = store.writer_turns() != before;
        let waits = matches!(error, StoreError::TimedOut | StoreError::Overloaded(_));
        self.missed[1] = Some(error.to_string());
        if works_on && waits { Seen::Busy } else { Seen::Missed }
    }

    fn act_on(&self, verdict: Verdict) {
        let Subjects { health, supervisor, .. } = &self.subjects;
        if let Verdict::Dead(_) = verdict {
            // Whoever reads the log may be what hangs, and must not keep the process.
            let _ = thread::Builder::new().spawn(|| {
                thread::sleep(LAST_WORDS);
                process::exit(EXIT_UNHEALTHY);
            });
        }
        let before = health.set(verdict);
        if before != verdict {
            let told = self.words(verdict);
            match verdict {
                Verdict::Good => log::info!("{told}"),
                Verdict::Busy(_) | Verdict::Ill(_) => log::warn!("{told}"),
                Verdict::Dead(_) => log::error!("ALERT {told}"),
            }
            supervisor.status(&told);
        }
        match verdict {
            Verdict::Good | Verdict::Busy(_) => supervisor.alive(),
            Verdict::Ill(_) => {}
            // As kill -9 does: what was committed is on disk, and whatever hangs would hold up an orderly stop.
            Verdict::Dead(_) => process::exit(EXIT_UNHEALTHY),
        }
    }

    fn words(&self, verdict: Verdict) -> String {
        let cause = |part| {
            let cause = match part {
                Part::Listener => &self.missed[0],
                Part::Writer => &self.missed[1],
            };
            cause.as_deref().unwrap_or("no answer")
        };
        match verdict {
            Verdict::Good => "the public listener and the writer answer again".to_owned(),
            Verdict::Busy(part) => {
                format!("{} does not keep up, calls are answered late or not at all: {}", part.name(), cause(part))
            }
            Verdict::Ill(part) => {
                format!("{} does not answer; if that goes on, the process ends: {}", part.name(), cause(part))
            }
            Verdict::Dead(Some(part)) => format!(
                "{} has not answered for too long; ending, so that the supervisor starts another process: {}",
                part.name(),
                cause(part)
            ),
            Verdict::Dead(None) => format!(
                "neither the public listener ({}) nor the writer ({}) answers; ending, so that the supervisor starts \
                 another process",
                cause(Part::Listener),
                cause(Part::Writer)
            ),
        }
    }
}

/// Whether a listener that did not answer was busy with others: all its places were taken, and yet it let in more than
/// the watchdog's own connection; or it did its best without descriptors. Strangers can bring both about, and a process
/// that is restarted for it has done them a favour. A listener whose places are all held by calls that never end lets
/// nobody in.
fn is_crowded(before: CountersNow, after: CountersNow, max_connections: usize) -> bool {
    let lets_in = after.accepted.saturating_sub(before.accepted) > 1;
    (after.open >= max_connections && lets_in) || after.accept_errors > before.accept_errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_listener_that_goes_on_letting_in_is_crowded_and_one_that_does_not_is_stuck() {
        let counters = |accepted, open, accept_errors| CountersNow {
            handshakes: 0,
            handshakes_refused: 0,
            handshakes_abandoned: 0,
            accepted,
            accept_errors,
            requests: 0,
            refused: 0,
            evicted: 0,
            panics: 0,
            threads: 0,
            open,
        };
        let before = counters(100, 8, 0);
        for (after, expected) in [
            (counters(200, 8, 0), true),
            (counters(101, 8, 0), false),
            (counters(100, 8, 0), false),
            (counters(200, 7, 0), false),
            (counters(100, 3, 1), true),
        ] {
            assert_eq!(is_crowded(before, after, 8), expected, "{after:?}");
        }
    }
}
