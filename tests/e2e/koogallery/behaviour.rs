//! How the mock behaves in place of, or besides, answering right.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::reply::Reply;
use super::{Call, Route};
use crate::harness::Gate;

/// What happens to one call.
#[derive(Clone)]
pub enum Behaviour {
    /// It is processed and answered.
    Normal,
    /// It is not processed; this is the answer.
    Instead(Reply),
    /// It is processed; this is the answer nevertheless.
    Despite(Reply),
    /// It is processed; the answer comes in the other of the two envelopes.
    OtherEnvelope,
    /// It hangs until the gate opens, then it is processed and answered.
    Hang(Gate),
    /// It is processed; the answer hangs until the gate opens.
    HoldReply(Gate),
    /// It is read, not processed; the connection is closed.
    Close,
    /// It is processed; the connection is closed without a reply.
    LoseReply,
    /// It is processed; the connection is closed in the middle of the reply's head.
    CutHead,
    /// The same in the middle of its body, which was announced in full.
    CutBody,
    /// It is processed; the right answer has blanks behind it up to this length.
    Flood(usize),
    /// It is processed; the answer has no length and does not end.
    Endless,
    /// It is processed; the answer comes byte by byte, each after this pause.
    Drip(Duration),
}

/// How a reply goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    Nothing,
    HalfHead,
    HalfBody,
    Flood(usize),
    Endless,
    Drip(Duration),
}

type Decision = Box<dyn FnMut(usize, &Call) -> Behaviour + Send>;

/// What is planned for the calls to come.
#[derive(Default)]
pub struct Plan {
    next: HashMap<Route, VecDeque<Behaviour>>,
    decisions: HashMap<Route, Decision>,
    counts: HashMap<Route, usize>,
}

impl Plan {
    /// For the next calls of a route, behind what is planned for it already.
    pub fn next(&mut self, route: Route, count: usize, behaviour: &Behaviour) {
        self.next.entry(route).or_default().extend(std::iter::repeat_n(behaviour.clone(), count));
    }

    /// For all further calls of a route.
    pub fn decide(&mut self, route: Route, decision: Decision) {
        self.decisions.insert(route, decision);
    }

    /// For this call.
    pub fn choose(&mut self, call: &Call) -> Behaviour {
        let count = self.counts.entry(call.route).or_default();
        *count += 1;
        if let Some(planned) = self.next.get_mut(&call.route).and_then(VecDeque::pop_front) {
            return planned;
        }
        self.decisions.get_mut(&call.route).map_or(Behaviour::Normal, |decide| decide(*count, call))
    }
}
