//! Requests that were turned away: counted, the last ones kept in memory without their bodies, logged at a bounded rate.
//! They cost no disk.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// So many are kept.
const KEPT: usize = 200;

/// So many lines of log at once, and one more in every [`REFILL`].
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(1);

/// A request that was turned away.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// Who sent it.
    pub peer: String,
    /// The family it would have been.
    pub family: &'static str,
    /// Why.
    pub reason: String,
}

/// The requests that were turned away lately, and how many there were in all.
pub struct RefusedCalls(Mutex<State>);

struct State {
    last: VecDeque<Refused>,
    total: u64,
    lines_left: u32,
    refilled: Instant,
    unlogged: u64,
}

impl Default for RefusedCalls {
    fn default() -> Self {
        let (last, refilled) = (VecDeque::with_capacity(KEPT), Instant::now());
        Self(Mutex::new(State { last, total: 0, lines_left: BURST, refilled, unlogged: 0 }))
    }
}

impl RefusedCalls {
    /// Notes one.
    pub fn note(&self, family: &'static str, peer: IpAddr, reason: &str, now: Timestamp) {
        let refused = Refused { at: now, peer: peer.to_string(), family, reason: reason.to_owned() };
        let mut state = self.lock();
        state.total += 1;
        let refilled = state.refilled.elapsed().as_secs() / REFILL.as_secs();
        if refilled > 0 {
            state.lines_left = state.lines_left.saturating_add(u32::try_from(refilled).unwrap_or(BURST)).min(BURST);
            state.refilled = Instant::now();
        }
        let unlogged = if state.lines_left > 0 {
            state.lines_left -= 1;
            Some(std::mem::take(&mut state.unlogged))
        } else {
            state.unlogged += 1;
            None
        };
        let line = unlogged.map(|unlogged| {
            let more = if unlogged > 0 { format!(" (and {unlogged} more not logged)") } else { String::new() };
            format!("refused a {family} call from {}: {reason}{more}", refused.peer)
        });
        if state.last.len() == KEPT {
            state.last.pop_front();
        }
        state.last.push_back(refused);
        drop(state);
        if let Some(line) = line {
            log::warn!("{line}");
        }
    }

    /// The last ones, oldest first.
    pub fn last(&self) -> Vec<Refused> {
        self.lock().last.iter().cloned().collect()
    }

    /// How many there were since the start.
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Counters and a ring: usable whatever happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
