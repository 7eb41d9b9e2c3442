//! What keeps logins within bounds: how many wait for authentication centres, and which codes were used.
//!
//! All of it is memory of a fixed size; a restart forgets it, and the centre still takes each code once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many exchanges with centres may go on at once.
pub(super) const AT_ONCE: usize = 16;

/// And so many of one tenant, so that a centre that hangs leaves room for others.
const AT_ONCE_PER_TENANT: usize = 4;

/// So many used codes and states are remembered.
const REMEMBERED: usize = 4096;

/// The places for exchanges with centres.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<i64, usize>>);

/// A place; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: i64,
}

impl Places {
    /// Takes a place for a tenant; `None` when there is none left.
    pub(super) fn take(self: &Arc<Self>, tenant: i64) -> Option<Place> {
        let mut taken = lock(&self.0);
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&tenant).copied().unwrap_or_default());
        if all >= AT_ONCE || own >= AT_ONCE_PER_TENANT {
            return None;
        }
        taken.insert(tenant, own + 1);
        Some(Place { places: Arc::clone(self), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        match taken.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.tenant)),
        }
    }
}

/// What may be used once: digests of codes and states, the oldest forgotten first.
#[derive(Default)]
pub(super) struct Once(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    digests: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Once {
    /// Whether none of these was used before; from now on they are.
    pub(super) fn is_first(&self, digests: [[u8; 16]; 2]) -> bool {
        let mut seen = lock(&self.0);
        let first = digests.iter().all(|digest| !seen.digests.contains(digest));
        for digest in digests {
            if seen.digests.insert(digest) {
                seen.order.push_back(digest);
            }
        }
        while seen.order.len() > REMEMBERED {
            if let Some(oldest) = seen.order.pop_front() {
                seen.digests.remove(&oldest);
            }
        }
        first
    }
}

/// The sessions that are being refreshed: a refresh token is used once.
#[derive(Default)]
pub(super) struct Refreshing(Mutex<HashSet<String>>);

/// One refresh; the next may begin when it is dropped.
pub(super) struct Turn {
    refreshing: Arc<Refreshing>,
    sid: String,
}

impl Refreshing {
    /// `None` while another refresh of the session runs.
    pub(super) fn begin(self: &Arc<Self>, sid: &str) -> Option<Turn> {
        lock(&self.0).insert(sid.to_owned()).then(|| Turn { refreshing: Arc::clone(self), sid: sid.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.refreshing.0).remove(&self.sid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts and digests, changed in single steps: usable whatever happened.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_takes_a_quarter_of_the_places_and_no_more_are_taken_than_there_are() {
        let places = Arc::new(Places::default());
        let mut taken: Vec<Place> = (0..4).map_while(|_| places.take(1)).collect();
        assert_eq!(taken.len(), AT_ONCE_PER_TENANT);
        assert!(places.take(1).is_none());
        taken.extend((2..=4).flat_map(|tenant| (0..4).map_while(|_| places.take(tenant)).collect::<Vec<_>>()));
        assert_eq!(taken.len(), AT_ONCE);
        assert!(places.take(5).is_none());
        taken.remove(0);
        assert!(places.take(5).is_some());
        drop(taken);
        assert!(lock(&places.0).is_empty());
    }

    #[test]
    fn what_was_used_is_known_and_the_memory_of_it_is_bounded() {
        let once = Once::default();
        let digest = |number: u32| {
            let mut digest = [0; 16];
            digest[..4].copy_from_slice(&number.to_be_bytes());
            digest
        };
        assert!(once.is_first([digest(0), digest(1)]));
        assert!(!once.is_first([digest(2), digest(1)]), "one of them was used");
        assert!(!once.is_first([digest(2), digest(3)]), "both were used by the attempt before");
        for number in 0..5000 {
            once.is_first([digest(10 + 2 * number), digest(11 + 2 * number)]);
        }
        assert_eq!(lock(&once.0).digests.len(), REMEMBERED);
        assert_eq!(lock(&once.0).order.len(), REMEMBERED);
    }

    #[test]
    fn a_session_is_refreshed_by_one_at_a_time() {
        let refreshing = Arc::new(Refreshing::default());
        let turn = refreshing.begin("s-1").unwrap();
        assert!(refreshing.begin("s-1").is_none());
        assert!(refreshing.begin("s-2").is_some());
        drop(turn);
        assert!(refreshing.begin("s-1").is_some());
    }
}
