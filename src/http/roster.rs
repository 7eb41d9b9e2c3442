//! The connections that are open, as the accepting thread sees them.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use super::{
    DoorSettings,
    watch::{Phase, Watched},
};

/// Every open connection, without keeping any open: a descriptor closes when its connection ends, not when the roster
/// is next looked at.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: Vec<Weak<Watched>>,
}

/// What a look at all connections found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// When the next deadline can pass; `None` without connections.
    pub(super) look_again: Option<Instant>,
    /// The connection that has waited longest for its client.
    pub(super) longest_waiting: Option<Waiting>,
}

/// A connection that waits for its client.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) watched: Weak<Watched>,
    pub(super) phase: Phase,
    pub(super) entered: Instant,
}

impl Roster {
    pub(super) fn add(&mut self, watched: &Arc<Watched>) {
        self.members.push(Arc::downgrade(watched));
    }

    /// Cuts what is overdue, and finds out when to look again.
    ///
    /// A phase that begins after this look cannot end before the shortest allowance has passed: so looking again then
    /// misses nothing, and no connection needs to tell when it changes phase.
    pub(super) fn survey(&mut self, now: Instant, settings: &DoorSettings) -> Survey {
        let mut survey = Survey::default();
        self.members.retain(|member| {
            let Some(watched) = member.upgrade() else { return false };
            let Some((phase, entered)) = watched.phase() else { return true };
            let Some(allowance) = phase.allowance(settings) else { return true };
            let deadline = entered + allowance;
            if deadline <= now {
                watched.cut_overdue(phase, entered);
                return true;
            }
            survey.look_again = Some(survey.look_again.map_or(deadline, |at| at.min(deadline)));
            if survey.longest_waiting.as_ref().is_none_or(|longest| entered < longest.entered) {
                survey.longest_waiting = Some(Waiting { watched: Weak::clone(member), phase, entered });
            }
            true
        });
        if !self.members.is_empty() {
            let shortest = now + Phase::shortest_allowance(settings);
            survey.look_again = Some(survey.look_again.map_or(shortest, |at| at.min(shortest)));
        }
        survey
    }

    /// Ends the connections on which no request has begun and nothing is on its way.
    pub(super) fn release_idle(&self) {
        self.open().for_each(|watched| watched.end_if_silent());
    }

    /// Cuts every connection, whatever it does.
    pub(super) fn abandon(&self) {
        self.open().for_each(|watched| watched.abandon());
    }

    /// Connections whose request is with the handler, cut or not.
    pub(super) fn in_service(&self) -> usize {
        self.open().filter(|watched| watched.last_phase() == Phase::Service).count()
    }

    fn open(&self) -> impl Iterator<Item = Arc<Watched>> {
        self.members.iter().filter_map(Weak::upgrade)
    }
}
