//! A server as a process: started in an empty folder, told apart from its neighbours by its process group, ended cleanly.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};

/// A server that takes longer to start does not work.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A server that takes longer to end is killed.
const END_PATIENCE: Duration = Duration::from_secs(120);

/// The process groups of the servers that run.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Whoever interrupts the benchmark interrupts the servers, which are in groups of their own and would stay.
pub fn end_when_interrupted() {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).unwrap();
    }
    std::thread::spawn(move || {
        while !interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
        for group in GROUPS.lock().unwrap().iter() {
            let _ = kill_process_group(*group, Signal::KILL);
        }
        std::process::exit(130);
    });
}

/// A running server; killed with its children when dropped.
pub struct Process {
    child: Child,
    log: Receiver<String>,
    pub address: SocketAddr,
}

impl Process {
    /// Starts it and waits for the line that says where it serves; what it said instead, when there is none.
    pub fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        GROUPS.lock().unwrap().push(Pid::from_child(&child));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        // Reads to the end, so that the pipe never fills.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let until = Instant::now() + START_PATIENCE;
        let mut said = VecDeque::new();
        let address = loop {
            match log.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => match address_in(&line) {
                    Some(address) => break Ok(address),
                    None => said.push_back(line),
                },
                Err(RecvTimeoutError::Timeout) => break Err(format!("not ready after {START_PATIENCE:?}")),
                Err(RecvTimeoutError::Disconnected) => break Err("ended before it was ready".to_owned()),
            }
        };
        // Whoever fails must be ended, too.
        let mut process = Self { child, log, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        process.address = address.map_err(|why| format!("{why}: {}", last(&said)))?;
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said since it started, at most the last lines of it.
    pub fn said(&self) -> String {
        last(&self.log.try_iter().collect())
    }

    /// Asks it to end and waits until all of it has; whether that was needed to be told once only.
    pub fn end(&mut self) -> bool {
        let _ = kill_process(self.group(), Signal::TERM);
        let until = Instant::now() + END_PATIENCE;
        while Instant::now() < until {
            let has_ended = self.child.try_wait().unwrap().is_some();
            if has_ended && test_kill_process_group(self.group()).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group(), Signal::KILL);
        let _ = self.child.wait();
        GROUPS.lock().unwrap().retain(|group| *group != self.group());
    }
}

/// Of `… serves http://127.0.0.1:8080/saasproduce`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("serves http")?;
    let rest = rest.trim_start_matches('s').strip_prefix("://")?;
    rest[..rest.find('/')?].parse().ok()
}

fn last(lines: &VecDeque<String>) -> String {
    let from = lines.len().saturating_sub(8);
    lines.range(from..).map(String::as_str).collect::<Vec<_>>().join(" / ")
}
