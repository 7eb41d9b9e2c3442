//! Calls that wait for somebody else's work on their operation: the first attempt of a parallel duplicate, or a job.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// Who waits for which operation.
#[derive(Default)]
pub struct Waiters {
    by_operation: Mutex<HashMap<i64, Vec<Weak<Signal>>>>,
}

/// The end of an operation's work, to be waited for.
pub(super) struct Ended(Arc<Signal>);

#[derive(Default)]
struct Signal {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Waiters {
    /// Starts to wait for an operation. Called on the writer thread, inside the transaction that saw the operation open:
    /// its end is a later transaction on the same thread, so it cannot be missed.
    pub(super) fn wait_for(&self, operation: i64) -> Ended {
        let signal = Arc::new(Signal::default());
        let mut waiting = self.lock();
        let waiters = waiting.entry(operation).or_default();
        // Calls that ran out of time have dropped their end.
        waiters.retain(|waiter| waiter.strong_count() > 0);
        waiters.push(Arc::downgrade(&signal));
        Ended(signal)
    }

    /// Wakes everyone who waits for an operation. Called after the commit.
    pub fn ended(&self, operation: i64) {
        let waiters = self.lock().remove(&operation).unwrap_or_default();
        for signal in waiters.iter().filter_map(Weak::upgrade) {
            *signal.lock() = true;
            signal.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Vec<Weak<Signal>>>> {
        // Single map operations only: a poisoned map is whole.
        self.by_operation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    /// Waits; `false` when the time is over first.
    pub(super) fn wait_until(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), left, |given| !*given);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_end_before_the_wait_begins_is_not_missed_and_other_operations_do_not_count() {
        let waiters = Waiters::default();
        let (one, two) = (waiters.wait_for(1), waiters.wait_for(2));
        waiters.ended(1);
        assert!(one.wait_until(Instant::now() + Duration::from_secs(60)));
        assert!(!two.wait_until(Instant::now()));
    }

    #[test]
    fn those_who_gave_up_are_forgotten() {
        let waiters = Waiters::default();
        for _ in 0..100 {
            drop(waiters.wait_for(1));
        }
        assert_eq!(waiters.lock()[&1].len(), 1);
    }
}
