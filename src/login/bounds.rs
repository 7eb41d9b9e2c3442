//! What keeps logins within bounds: how many talk with authentication centres and wait for it, and which codes were used.
//!
//! All of it is memory of a fixed size; a restart forgets it, and the centre still takes each code once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// So many exchanges with centres may go on at once.
pub const AT_ONCE: usize = 16;

/// And so many of one tenant, so that a centre that hangs leaves room for others.
const AT_ONCE_PER_TENANT: usize = 4;

/// So many may wait for a place. Each holds a thread of the door, which KooGallery's calls need.
const WAITING: usize = 8;

/// And so many of one tenant.
const WAITING_PER_TENANT: usize = 2;

/// So many used codes and states are remembered.
const REMEMBERED: usize = 4096;

/// The places for exchanges with centres, given in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Places {
    state: Mutex<Taken>,
    changed: Condvar,
}

#[derive(Default)]
struct Taken {
    /// How many, by tenant.
    taken: HashMap<i64, usize>,
    /// Who waits: ticket and tenant, the first to come first.
    waiting: VecDeque<(u64, i64)>,
    next_ticket: u64,
}

/// A place; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: i64,
}

impl Places {
    /// Takes a place for a tenant, or waits for one; `None` when the time is over first, or too many wait already.
    pub(super) fn take(self: &Arc<Self>, tenant: i64, until: Instant) -> Option<Place> {
        let mut state = lock(&self.state);
        let ticket = state.queue_up(tenant);
        if !state.is_turn_of(ticket) && state.is_crowded(tenant) {
            state.leave(ticket);
            return None;
        }
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, left, |state| !state.is_turn_of(ticket));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_turn = state.is_turn_of(ticket);
        state.leave(ticket);
        if is_turn {
            *state.taken.entry(tenant).or_default() += 1;
        }
        drop(state);
        // Another one may be the first now, with a place that is free already.
        self.changed.notify_all();
        is_turn.then(|| Place { places: Arc::clone(self), tenant })
    }
}

impl Taken {
    fn queue_up(&mut self, tenant: i64) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back((ticket, tenant));
        ticket
    }

    fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
    }

    /// Whether this is the first of those for whom there is room: a tenant without any holds up no other.
    fn is_turn_of(&self, ticket: u64) -> bool {
        let first = self.waiting.iter().find(|(_, tenant)| self.has_room(*tenant));
        first.is_some_and(|(first, _)| *first == ticket)
    }

    fn has_room(&self, tenant: i64) -> bool {
        let own = self.taken.get(&tenant).copied().unwrap_or_default();
        self.taken.values().sum::<usize>() < AT_ONCE && own < AT_ONCE_PER_TENANT
    }

    /// Whether more wait than may, the one who came last included.
    fn is_crowded(&self, tenant: i64) -> bool {
        let own = self.waiting.iter().filter(|(_, waiting)| *waiting == tenant).count();
        self.waiting.len() > WAITING || own > WAITING_PER_TENANT
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.places.state);
        match state.taken.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(state.taken.remove(&self.tenant)),
        }
        drop(state);
        // All: whose turn it is they find out themselves.
        self.places.changed.notify_all();
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
    use std::thread::JoinHandle;
    use std::time::Duration;

    use super::*;

    /// Takes a place without waiting.
    fn take_now(places: &Arc<Places>, tenant: i64) -> Option<Place> {
        places.take(tenant, Instant::now())
    }

    /// Waits for a place in a thread of its own; returns when it waits.
    fn wait_for_place(places: &Arc<Places>, tenant: i64) -> JoinHandle<Option<Place>> {
        let before = lock(&places.state).next_ticket;
        let waiting = Arc::clone(places);
        let until = Instant::now() + Duration::from_secs(60);
        let thread = std::thread::spawn(move || waiting.take(tenant, until));
        while lock(&places.state).next_ticket == before {
            std::thread::yield_now();
        }
        thread
    }

    fn waiting(places: &Places) -> usize {
        lock(&places.state).waiting.len()
    }

    #[test]
    fn a_tenant_takes_a_quarter_of_the_places_and_no_more_are_taken_than_there_are() {
        let places = Arc::new(Places::default());
        let mut taken: Vec<Place> = (0..4).map_while(|_| take_now(&places, 1)).collect();
        assert_eq!(taken.len(), AT_ONCE_PER_TENANT);
        assert!(take_now(&places, 1).is_none());
        taken.extend((2..=4).flat_map(|tenant| (0..4).map_while(|_| take_now(&places, tenant)).collect::<Vec<_>>()));
        assert_eq!(taken.len(), AT_ONCE);
        assert!(take_now(&places, 5).is_none());
        taken.remove(0);
        assert!(take_now(&places, 5).is_some());
        drop(taken);
        assert!(lock(&places.state).taken.is_empty());
        assert_eq!(waiting(&places), 0);
    }

    #[test]
    fn who_waits_gets_the_place_that_is_given_back() {
        let places = Arc::new(Places::default());
        let mut taken: Vec<Place> = (0..4).map_while(|_| take_now(&places, 1)).collect();
        let (first, second) = (wait_for_place(&places, 1), wait_for_place(&places, 1));
        assert!(take_now(&places, 2).is_some(), "another tenant is not held up");
        taken.pop();
        let first = first.join().unwrap();
        assert!(first.is_some());
        assert_eq!(waiting(&places), 1);
        drop(first);
        assert!(second.join().unwrap().is_some());
        assert_eq!(waiting(&places), 0);
    }

    #[test]
    fn who_comes_later_passes_only_those_for_whom_there_is_no_room() {
        let mut state = Taken { taken: HashMap::from([(1, AT_ONCE_PER_TENANT)]), ..Taken::default() };
        let [first, second, other] = [1, 1, 2].map(|tenant| state.queue_up(tenant));
        assert_eq!([first, second, other].map(|ticket| state.is_turn_of(ticket)), [false, false, true]);
        state.leave(other);
        state.taken.insert(1, AT_ONCE_PER_TENANT - 1);
        assert_eq!([first, second].map(|ticket| state.is_turn_of(ticket)), [true, false]);
    }

    #[test]
    fn places_that_are_freed_together_wake_all_who_wait_for_them() {
        let places = Arc::new(Places::default());
        let taken: Vec<Place> = (0..4).map_while(|_| take_now(&places, 1)).collect();
        let waiting = [wait_for_place(&places, 1), wait_for_place(&places, 1)];
        drop(taken);
        let got: Vec<Option<Place>> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(got.iter().all(Option::is_some));
    }

    #[test]
    fn two_of_a_tenant_and_eight_in_all_may_wait() {
        let places = Arc::new(Places::default());
        let until = Instant::now() + Duration::from_secs(60);
        let taken: Vec<Place> =
            (1..=4).flat_map(|tenant| (0..4).map_while(|_| take_now(&places, tenant)).collect::<Vec<_>>()).collect();
        let mut threads = vec![wait_for_place(&places, 1), wait_for_place(&places, 1)];
        assert!(places.take(1, until).is_none(), "two of the tenant wait");
        threads.extend((2..=4).flat_map(|tenant| [wait_for_place(&places, tenant), wait_for_place(&places, tenant)]));
        assert_eq!(waiting(&places), WAITING);
        assert!(places.take(5, until).is_none(), "eight wait");
        drop(taken);
        assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_some()));
        assert!(lock(&places.state).taken.is_empty());
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
