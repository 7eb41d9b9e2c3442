//! How many files and sockets this process may have open at once, and how many it may come to need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::alert::{self, Alarm};
use crate::http::LOBBY;

/// For connections that wait for a place, and for database, log, certificate, snapshots, and the connections of readers
/// beyond the usual few.
const BESIDES: u64 = LOBBY as u64 + 128;

/// What one attempt may have open: a connection, or three pipes and what starting a program takes.
const OF_AN_ATTEMPT: u64 = 6;

/// How many a server with so many connections, and attempts at the same time, may come to need.
pub fn needed(connections: usize, attempts: usize) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    count(connections).saturating_add(count(attempts).saturating_mul(OF_AN_ATTEMPT)).saturating_add(BESIDES)
}

/// Raises the limit to what is needed, as far as the process may do that itself; says what else is to be done. A higher
/// limit than needed is left alone, and programs that are started take over what is in force.
pub fn make_room(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let Some(Change { to, enough }) = change(&limit, needed) else { return };
    if !enough {
        alert::raise(Alarm::FilesShort { allowed: to, needed });
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(to), ..limit });
    match raised {
        Ok(()) if enough => log::info!("{to} files and sockets may be open at once now, as many as may be needed"),
        Ok(()) => log::warn!(
            "ALERT {to} files and sockets may be open at once and no more, and {needed} may be needed: raise LimitNOFILE \
             in the unit (ulimit -Hn), or lower server.max_connections or jobs.workers"
        ),
        Err(error) => log::warn!(
            "ALERT only {:?} files and sockets may be open at once, and {needed} may be needed, and the limit cannot be \
             raised: {error}",
            limit.current
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Change {
    to: u64,
    enough: bool,
}

/// `None` as a limit is no limit.
fn change(limit: &Rlimit, needed: u64) -> Option<Change> {
    if limit.current.is_none_or(|current| current >= needed) {
        return None;
    }
    let to = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    Some(Change { to, enough: to == needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_needed_and_never_lowered() {
        let to = |current, maximum| change(&Rlimit { current, maximum }, 600).map(|change| (change.to, change.enough));
        assert_eq!(to(Some(1024), Some(4096)), None);
        assert_eq!(to(None, None), None);
        assert_eq!(to(Some(256), Some(4096)), Some((600, true)));
        assert_eq!(to(Some(256), None), Some((600, true)));
        assert_eq!(to(Some(256), Some(512)), Some((512, false)));
        assert_eq!(to(Some(256), Some(256)), Some((256, false)));
        assert!(needed(256 + 64, 40) < 1024, "the usual limit is enough for the defaults");
    }
}
