//! The hosts from which a caller has lately proved who he is. When places are short they come first, so that strangers, however
//! many and from wherever, keep none of them out.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::lobby::Host;

/// More than KooGallery calls from; the one that was heard of least lately is forgotten first.
const MOST: usize = 256;

/// Who they are, and when each was heard of last.
#[derive(Debug, Default)]
pub(super) struct Friends(Mutex<HashMap<Host, Instant>>);

impl Friends {
    /// A caller from this host has proved who he is.
    pub(super) fn add(&self, host: Host, now: Instant) {
        let mut friends = self.lock();
        if friends.len() >= MOST
            && !friends.contains_key(&host)
            && let Some(oldest) = friends.iter().min_by_key(|(_, at)| **at).map(|(host, _)| *host)
        {
            friends.remove(&oldest);
        }
        friends.insert(host, now);
    }

    /// All of them.
    pub(super) fn all(&self) -> HashSet<Host> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn contain(&self, host: Host) -> bool {
        self.lock().contains_key(&host)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Host, Instant>> {
        // A map of facts: whole whatever happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_one_heard_of_least_lately_is_forgotten_first() {
        let (friends, begun) = (Friends::default(), Instant::now());
        let host = |number: usize| Host::of(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap())));
        for number in 0..MOST {
            friends.add(host(number), begun + Duration::from_secs(1));
        }
        friends.add(host(0), begun + Duration::from_secs(2));
        friends.add(host(1), begun);
        friends.add(host(MOST), begun + Duration::from_secs(3));
        let all = friends.all();
        assert_eq!((all.len(), all.contains(&host(0)), all.contains(&host(1))), (MOST, true, false));
    }
}
