//! Requests that were turned away: counted, the last ones kept in memory without their bodies, logged at a bounded rate.
//! They cost no disk.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::protocol::signature::SignatureRefusal;

/// So many are kept.
const KEPT: usize = 200;

/// So many lines of log at once, and one more in every [`REFILL`].
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(1);

/// The sort of reason for which a request was turned away: what somebody who mends it looks at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// It was signed with another key, or not at all.
    Key,
    /// It was old, or of the future: one of the two clocks is wrong, or somebody sends what was sent before.
    Clock,
    /// It came before: its nonce was used.
    Replay,
    /// It is signed in no form that is known.
    Malformed,
    /// It asks for nothing that there is.
    UnknownCall,
    /// It never became a request: no HTTP or TLS that is understood, too large, too slow.
    Http,
    /// It is a login that anybody may try, and failed.
    Login,
}

impl RefusalClass {
    /// Every class.
    pub const ALL: [Self; 7] =
        [Self::Key, Self::Clock, Self::Replay, Self::Malformed, Self::UnknownCall, Self::Http, Self::Login];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Clock => "clock",
            Self::Replay => "replay",
            Self::Malformed => "malformed",
            Self::UnknownCall => "unknown-call",
            Self::Http => "http",
            Self::Login => "login",
        }
    }

    /// Of a request that could not be verified.
    pub fn of(refusal: &SignatureRefusal) -> Self {
        match refusal {
            SignatureRefusal::UnknownCall => Self::UnknownCall,
            SignatureRefusal::Stale { .. } | SignatureRefusal::Future { .. } => Self::Clock,
            SignatureRefusal::NoKeyMatches
            | SignatureRefusal::MissingSignature
            | SignatureRefusal::MissingAuthToken => Self::Key,
            SignatureRefusal::UnsignableBody
            | SignatureRefusal::QueryNotUtf8
            | SignatureRefusal::MissingTimestamp
            | SignatureRefusal::IllFormedTimestamp
            | SignatureRefusal::MissingNonce
            | SignatureRefusal::IllFormedSignature
            | SignatureRefusal::MissingTimeStamp
            | SignatureRefusal::IllFormedTimeStamp
            | SignatureRefusal::IllFormedAuthToken => Self::Malformed,
        }
    }
}

/// A request that was turned away.
#[derive(Debug, Clone)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// Who sent it.
    pub peer: String,
    /// The family it would have been.
    pub family: &'static str,
    /// The sort of reason.
    pub class: RefusalClass,
    /// Why.
    pub reason: String,
}

/// The requests that were turned away lately, and how many there were in all.
pub struct RefusedCalls(Mutex<State>);

struct State {
    last: VecDeque<Refused>,
    total: u64,
    by_class: [u64; RefusalClass::ALL.len()],
    lines_left: u32,
    refilled: Instant,
    unlogged: u64,
}

impl Default for RefusedCalls {
    fn default() -> Self {
        let (last, refilled) = (VecDeque::with_capacity(KEPT), Instant::now());
        let by_class = [0; RefusalClass::ALL.len()];
        Self(Mutex::new(State { last, total: 0, by_class, lines_left: BURST, refilled, unlogged: 0 }))
    }
}

impl RefusedCalls {
    /// Notes one.
    pub fn note(&self, family: &'static str, class: RefusalClass, peer: IpAddr, reason: &str, now: Timestamp) {
        let refused = Refused { at: now, peer: peer.to_string(), family, class, reason: reason.to_owned() };
        let mut state = self.lock();
        state.total += 1;
        // The variants are numbered as they stand in ALL.
        state.by_class.get_mut(class as usize).into_iter().for_each(|count| *count += 1);
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

    /// How many there were of each sort since the start.
    pub fn by_class(&self) -> [(RefusalClass, u64); RefusalClass::ALL.len()] {
        let counts = self.lock().by_class;
        std::array::from_fn(|at| (RefusalClass::ALL[at], counts[at]))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Counters and a ring: usable whatever happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_under_its_own_class() {
        let refused = RefusedCalls::default();
        for (times, class) in RefusalClass::ALL.into_iter().enumerate() {
            for _ in 0..times {
                refused.note("basic-v2", class, IpAddr::from([192, 0, 2, 1]), "why", Timestamp::UNIX_EPOCH);
            }
        }
        let counted = refused.by_class().map(|(_, count)| count);
        assert_eq!((counted, refused.total()), ([0, 1, 2, 3, 4, 5, 6], 21));
        assert_eq!(refused.last().last().map(|last| last.class.as_str()), Some("login"));
    }
}
