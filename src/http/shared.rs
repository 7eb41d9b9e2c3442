//! What the threads of one door share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Instant,
};

use super::{Counters, DoorSettings, Handler, body::Budget, friends::Friends, wake::Bell};

/// More connections than this are a crowd: so many threads may want the cores at once without making each other wait.
const CROWD: usize = 32;

/// One door's settings, handler and state.
pub(super) struct Shared {
    pub(super) settings: DoorSettings,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) counters: Arc<Counters>,
    pub(super) budget: Budget,
    pub(super) bell: Bell,
    pub(super) friends: Friends,
    /// No further connection, and no further request on those that are open.
    closing: AtomicBool,
    closes_at: OnceLock<Instant>,
    /// A new connection waits for a place: the next connection that has answered is to give up its own.
    place_wanted: AtomicBool,
    /// Unless it is a friend's.
    friends_stay: AtomicBool,
}

impl Shared {
    pub(super) fn new(settings: DoorSettings, handler: Arc<dyn Handler>, bell: Bell) -> Self {
        Self {
            budget: Budget::new(settings.body_memory),
            counters: Arc::clone(&settings.counters),
            settings,
            handler,
            bell,
            friends: Friends::default(),
            closing: AtomicBool::new(false),
            closes_at: OnceLock::new(),
            place_wanted: AtomicBool::new(false),
            friends_stay: AtomicBool::new(false),
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Requests that have begun have until `deadline`.
    pub(super) fn start_closing(&self, deadline: Instant) {
        self.closes_at.get_or_init(|| deadline);
        self.closing.store(true, SeqCst);
        self.bell.ring();
    }

    /// The deadline of [`start_closing`](Self::start_closing); now, before it.
    pub(super) fn closes_at(&self) -> Instant {
        self.closes_at.get().copied().unwrap_or_else(Instant::now)
    }

    pub(super) fn is_full(&self) -> bool {
        self.counters.open.load(SeqCst) >= self.settings.max_connections
    }

    /// Whether there are so many that strangers have to wait for their answers.
    pub(super) fn is_crowded(&self) -> bool {
        self.settings.for_anybody && self.counters.open.load(SeqCst) > CROWD
    }

    /// Whether a place is wanted, and whether from strangers only.
    pub(super) fn want_place(&self, wanted: bool, friends_stay: bool) {
        self.friends_stay.store(friends_stay, Relaxed);
        self.place_wanted.store(wanted, Relaxed);
    }

    /// Whether the asking connection is the one to make room; true for one per place wanted.
    pub(super) fn gives_up_place(&self, is_friend: bool) -> bool {
        let is_asked = self.place_wanted.load(Relaxed) && !(is_friend && self.friends_stay.load(Relaxed));
        is_asked && self.place_wanted.swap(false, Relaxed)
    }
}

/// A place among the connections that may be open at once; given back when dropped.
pub(super) struct Place(Arc<Shared>);

impl Place {
    pub(super) fn take(shared: &Arc<Shared>) -> Self {
        shared.counters.open.fetch_add(1, SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.0;
        let was_full = shared.counters.open.fetch_sub(1, SeqCst) >= shared.settings.max_connections;
        if was_full || shared.is_closing() {
            shared.bell.ring();
        }
    }
}
