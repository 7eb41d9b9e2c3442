//! The result of a piece of work, on its way from the writer to the thread that waits for it.
//!
//! A channel for one value, with two additions: whoever waits may give up at a deadline, and whoever is woken first wakes
//! others, so that the writer need not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use super::StoreError;

/// The waiting end. It belongs to the thread that made it.
pub(super) struct Pending<T>(Arc<Shared<T>>);

/// The giving end. Dropped without a result it says that the database is closed.
pub(super) struct Promise<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Who waits.
    thread: Thread,
}

enum State<T> {
    Open,
    Kept {
        result: Result<T, StoreError>,
        /// To be woken by the one who takes the result.
        others: Vec<Thread>,
    },
    /// The result has been taken, or nobody wants it any more.
    Over,
}

impl<T> Pending<T> {
    /// Both ends.
    pub(super) fn new() -> (Self, Promise<T>) {
        let shared = Arc::new(Shared { state: Mutex::new(State::Open), thread: thread::current() });
        (Self(Arc::clone(&shared)), Promise(shared))
    }

    /// Waits for the result, until `deadline` at most.
    pub(super) fn wait(self, deadline: Option<Instant>) -> Result<T, StoreError> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if let Some(result) = self.look(left.is_some_and(|left| left.is_zero())) {
                return result;
            }
            // May return early, for no reason or because of somebody else's unpark.
            match left {
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }

    /// Takes the result if it is there; gives up if it is not and there is no more time.
    fn look(&self, time_is_over: bool) -> Option<Result<T, StoreError>> {
        let mut state = self.0.lock();
        if matches!(*state, State::Open) && !time_is_over {
            return None;
        }
        let found = std::mem::replace(&mut *state, State::Over);
        drop(state);
        match found {
            State::Kept { result, others } => {
                others.iter().for_each(Thread::unpark);
                Some(result)
            }
            State::Open | State::Over => Some(Err(StoreError::TimedOut)),
        }
    }
}

impl<T> Promise<T> {
    /// Leaves the result for the one who waits, who will wake `others`. Returns who is to be woken now: the one who
    /// waits, or the others when nobody waits any more.
    pub(super) fn keep(self, result: Result<T, StoreError>, others: Vec<Thread>) -> Vec<Thread> {
        let mut state = self.0.lock();
        if matches!(*state, State::Over) {
            return others;
        }
        *state = State::Kept { result, others };
        vec![self.0.thread.clone()]
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Open) {
            *state = State::Kept { result: Err(StoreError::Closed), others: Vec::new() };
            self.0.thread.unpark();
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Only assignments happen under the lock: a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(30))
    }

    #[test]
    fn a_result_given_before_the_wait_is_found() {
        let (pending, promise) = Pending::new();
        promise.keep(Ok(1), Vec::new());
        assert_eq!(pending.wait(None).unwrap(), 1);
    }

    #[test]
    fn whoever_is_woken_wakes_the_others() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let (pending, promise) = Pending::new();
                    sender.send(promise).unwrap();
                    pending.wait(soon()).unwrap()
                })
            })
            .collect();
        let [first, second, third]: [Promise<i32>; 3] =
            receiver.iter().take(3).collect::<Vec<_>>().try_into().ok().unwrap();
        let others = second.keep(Ok(2), Vec::new()).into_iter().chain(third.keep(Ok(3), Vec::new())).collect();
        first.keep(Ok(1), others).iter().for_each(Thread::unpark);
        let mut results: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        results.sort_unstable();
        assert_eq!(results, [1, 2, 3]);
    }

    #[test]
    fn who_has_given_up_leaves_the_waking_of_the_others_to_the_writer() {
        let (pending, promise) = Pending::<i32>::new();
        assert!(matches!(pending.wait(Some(Instant::now())), Err(StoreError::TimedOut)));
        let other = thread::current();
        let to_wake = promise.keep(Ok(1), vec![other.clone()]);
        assert_eq!(to_wake.iter().map(Thread::id).collect::<Vec<_>>(), [other.id()]);
    }

    #[test]
    fn a_promise_that_is_dropped_ends_the_wait() {
        let (pending, promise) = Pending::<i32>::new();
        drop(promise);
        assert!(matches!(pending.wait(soon()), Err(StoreError::Closed)));
    }
}
