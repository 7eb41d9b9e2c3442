//! How many calls go on at a time, and the pause after KooGallery had too many. Memory only: the lock after a wrong access
//! key, which must outlive the process, is in the store.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backoff;

/// So many calls go on at a time once one has succeeded. Should the key be withdrawn then, so many are refused in a row at
/// most, and KooGallery locks a key only after more than five.
const AT_ONCE: usize = 4;

/// Pauses after KooGallery had too many calls: doubled each time, from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Lets calls through.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    /// The key was accepted, and not refused since.
    is_proven: bool,
    /// No call before.
    closed_until: Option<Instant>,
    /// The last pause.
    pause: Duration,
}

/// Why a call was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// For so long, because KooGallery had too many.
    Throttled(Duration),
    /// No place came free in time.
    Crowded,
}

/// A call that goes on; ends when dropped.
pub(super) struct Pass<'g>(&'g Gate);

impl Gate {
    /// Waits for a place, until `deadline`. Before a key is known to be right, one call goes on at a time: a wrong one
    /// costs one call and not as many as there are workers.
    pub(super) fn enter(&self, deadline: Instant) -> Result<Pass<'_>, Closed> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(left) = state.closed_until.and_then(|until| until.checked_duration_since(now))
                && !left.is_zero()
            {
                return Err(Closed::Throttled(left));
            }
            if state.running < if state.is_proven { AT_ONCE } else { 1 } {
                state.running += 1;
                return Ok(Pass(self));
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(Closed::Crowded);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The key was accepted.
    pub(super) fn accepted(&self) {
        self.lock().is_proven = true;
        self.changed.notify_all();
    }

    /// KooGallery answered a call: it no longer has too many.
    pub(super) fn succeeded(&self) {
        self.lock().pause = Duration::ZERO;
    }

    /// The key was refused.
    pub(super) fn refused(&self) {
        self.lock().is_proven = false;
    }

    /// KooGallery had too many calls; returns the pause it gets. `jitter` is from 0 to 1.
    pub(super) fn throttled(&self, jitter: f64) -> Duration {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(left) = state.closed_until.and_then(|until| until.checked_duration_since(now))
            && !left.is_zero()
        {
            // One of several calls that were on their way: one pause for all.
            return left;
        }
        state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        let pause = backoff::varied(state.pause, jitter);
        state.closed_until = now.checked_add(pause);
        pause
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts and times, changed in single steps: usable whatever happened.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(gate: &Gate) -> Result<Pass<'_>, Closed> {
        gate.enter(Instant::now())
    }

    #[test]
    fn one_call_goes_on_until_the_key_is_known_to_be_right() {
        let gate = Gate::default();
        let first = now(&gate);
        assert!(first.is_ok());
        assert_eq!(now(&gate).err(), Some(Closed::Crowded));
        gate.accepted();
        let more: Vec<_> = (0..5).map(|_| now(&gate).ok()).collect();
        assert_eq!(more.iter().flatten().count(), AT_ONCE - 1);
        drop((first, more));
        gate.refused();
        let again = now(&gate);
        assert!(again.is_ok() && now(&gate).is_err());
    }

    #[test]
    fn whoever_waits_gets_the_place_that_comes_free() {
        let gate = Gate::default();
        let first = now(&gate).ok();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.enter(Instant::now() + Duration::from_secs(60)).is_ok());
            drop(first);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn pauses_double_and_end_with_success() {
        let gate = Gate::default();
        assert_eq!(gate.throttled(0.5), FIRST_PAUSE);
        assert!(gate.throttled(0.5) <= FIRST_PAUSE, "several calls that were on their way make one pause");
        assert!(matches!(now(&gate), Err(Closed::Throttled(left)) if left <= FIRST_PAUSE));
        let reopened = |gate: &Gate| gate.lock().closed_until = None;
        reopened(&gate);
        assert_eq!(gate.throttled(0.5), FIRST_PAUSE * 2);
        for _ in 0..8 {
            reopened(&gate);
            gate.throttled(0.5);
        }
        reopened(&gate);
        assert_eq!(gate.throttled(0.5), LONGEST_PAUSE);
        reopened(&gate);
        gate.succeeded();
        assert_eq!(gate.throttled(0.5), FIRST_PAUSE);
    }
}
