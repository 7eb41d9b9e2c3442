//! The connections that are open, as the accepting thread sees them.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Instant,
};

use super::{
    DoorSettings,
    friends::Friends,
    lobby::Host,
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
    /// What each host holds, where that was asked for.
    pub(super) hosts: HashMap<Host, Holding>,
    /// Hosts of callers who have proved who they are, likewise.
    pub(super) friends: HashSet<Host>,
}

/// What a host holds.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) places: usize,
    /// Its connection that has waited longest for its client. One whose request is with the handler waits for nobody.
    pub(super) longest_waiting: Option<Waiting>,
}

/// A connection that waits for its client.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) watched: Weak<Watched>,
    pub(super) phase: Phase,
    pub(super) entered: Instant,
}

/// How much a host has of what others want; those who stand lowest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    /// Nobody there has proved who he is.
    pub(super) is_strange: bool,
    pub(super) places: usize,
}

impl Survey {
    /// How a host stands.
    pub(super) fn standing(&self, host: Host) -> Standing {
        let places = self.hosts.get(&host).map_or(0, |holding| holding.places);
        Standing { is_strange: self.is_strange(host), places }
    }

    /// Whether nobody there has proved who he is.
    pub(super) fn is_strange(&self, host: Host) -> bool {
        !self.friends.contains(&host)
    }

    /// How many places friends hold.
    pub(super) fn places_of_friends(&self) -> usize {
        self.hosts.iter().filter(|(host, _)| !self.is_strange(**host)).map(|(_, held)| held.places).sum()
    }

    /// Who is to make room, and how its host stands: of the host that stands highest, the connection that has waited longest.
    pub(super) fn victim(&self) -> Option<(&Waiting, Standing)> {
        let waiting =
            self.hosts.iter().filter_map(|(host, held)| Some((held.longest_waiting.as_ref()?, self.standing(*host))));
        waiting.max_by_key(|(waiting, standing)| (*standing, Reverse(waiting.entered)))
    }
}

impl Roster {
    pub(super) fn add(&mut self, watched: &Arc<Watched>) {
        self.members.push(Arc::downgrade(watched));
    }

    /// Cuts what is overdue, and finds out when to look again; for the sake of friends and others who want a place, also who
    /// holds how many.
    ///
    /// A phase that begins after this look cannot end before the shortest allowance has passed: so looking again then
    /// misses nothing, and no connection needs to tell when it changes phase.
    pub(super) fn survey(&mut self, now: Instant, settings: &DoorSettings, friends: Option<&Friends>) -> Survey {
        let known = friends.map(Friends::all);
        let by_host = known.is_some();
        let mut survey = Survey { friends: known.unwrap_or_default(), ..Survey::default() };
        self.members.retain(|member| {
            let Some(watched) = member.upgrade() else { return false };
            let holding = by_host.then(|| survey.hosts.entry(Host::of(watched.peer())).or_default());
            let phase = watched.phase();
            let waits = phase.and_then(|(phase, entered)| Some((phase, entered, entered + phase.allowance(settings)?)));
            if let Some((phase, entered, deadline)) = waits {
                if deadline <= now {
                    watched.cut_overdue(phase, entered);
                } else {
                    survey.look_again = Some(survey.look_again.map_or(deadline, |at| at.min(deadline)));
                }
            }
            if let Some(holding) = holding {
                holding.places += 1;
                if let Some((phase, entered, deadline)) = waits
                    && deadline > now
                    && holding.longest_waiting.as_ref().is_none_or(|longest| entered < longest.entered)
                {
                    holding.longest_waiting = Some(Waiting { watched: Weak::clone(member), phase, entered });
                }
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
