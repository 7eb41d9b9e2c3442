//! One call for all who ask the same at the same time, and a bound on how many wait in all: callers beyond it are turned
//! away at once, so that a KooGallery that hangs does not take the whole admin listener with it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The calls that go on, by what they ask for.
#[derive(Debug)]
pub(super) struct Flights<T> {
    state: Mutex<State<T>>,
    most: usize,
}

#[derive(Debug)]
struct State<T> {
    flying: HashMap<String, Arc<Flight<T>>>,
    waiting: usize,
}

#[derive(Debug)]
struct Flight<T> {
    /// `None`: it goes on.
    result: Mutex<Option<T>>,
    landed: Condvar,
}

impl<T> Flights<T> {
    /// With room for so many who wait.
    pub(super) fn new(most: usize) -> Self {
        Self { state: Mutex::new(State { flying: HashMap::new(), waiting: 0 }), most }
    }

    /// A place among those who wait, until it is dropped; `None`: there is none left.
    pub(super) fn seat(&self) -> Option<Seat<'_, T>> {
        let mut state = lock(&self.state);
        if state.waiting >= self.most {
            return None;
        }
        state.waiting += 1;
        Some(Seat(self))
    }
}

impl<T: Clone> Flights<T> {
    /// Makes the call, or waits for the one that somebody else makes for the same. `None`: too many wait. `lost` is what
    /// the others get if the call panics.
    pub(super) fn join(&self, key: &str, lost: T, call: impl FnOnce() -> T) -> Option<T> {
        let _seat = self.seat()?;
        let mut state = lock(&self.state);
        if let Some(flight) = state.flying.get(key).map(Arc::clone) {
            drop(state);
            let result = lock(&flight.result);
            let result = flight.landed.wait_while(result, |result| result.is_none());
            return result.unwrap_or_else(PoisonError::into_inner).clone();
        }
        let flight = Arc::new(Flight { result: Mutex::new(None), landed: Condvar::new() });
        state.flying.insert(key.to_owned(), Arc::clone(&flight));
        drop(state);
        let mut pilot = Pilot { flights: self, key, flight, result: Some(lost) };
        let result = call();
        pilot.result = Some(result.clone());
        Some(result)
    }
}

/// Somebody who waits.
pub(super) struct Seat<'f, T>(&'f Flights<T>);

impl<T> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        lock(&self.0.state).waiting -= 1;
    }
}

/// Who makes the call; lands when dropped.
struct Pilot<'f, T> {
    flights: &'f Flights<T>,
    key: &'f str,
    flight: Arc<Flight<T>>,
    result: Option<T>,
}

impl<T> Drop for Pilot<'_, T> {
    fn drop(&mut self) {
        // In this order: who comes now makes another call.
        lock(&self.flights.state).flying.remove(self.key);
        *lock(&self.flight.result) = self.result.take();
        self.flight.landed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Changed in single steps: usable whatever happened.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn who_asks_the_same_meanwhile_gets_the_same_answer_of_one_call() {
        let (flights, calls) = (Flights::new(64), AtomicUsize::new(0));
        let waiting = || lock(&flights.state).waiting;
        let answers: Vec<_> = std::thread::scope(|scope| {
            let ask = || {
                flights.join("a", 0, || {
                    while waiting() < 8 {
                        std::thread::yield_now();
                    }
                    calls.fetch_add(1, Ordering::SeqCst) + 1
                })
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((answers, calls.into_inner()), (vec![Some(1); 8], 1));
        assert_eq!(flights.join("a", 0, || 2), Some(2), "a later question makes another call");
        assert_eq!((waiting(), lock(&flights.state).flying.len()), (0, 0));
    }

    #[test]
    fn too_many_are_turned_away_and_a_panic_leaves_nobody_waiting() {
        let flights = Flights::new(2);
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                flights.join("a", 7, || {
                    while lock(&flights.state).waiting < 2 {
                        std::thread::yield_now();
                    }
                    assert_eq!(flights.join("b", 0, || 1), None, "no seat left");
                    panic!("provoked");
                })
            });
            while !lock(&flights.state).flying.contains_key("a") {
                std::thread::yield_now();
            }
            assert_eq!(flights.join("a", 0, || unreachable!()), Some(7));
            assert!(panics.join().is_err());
        });
        assert_eq!(flights.join("b", 0, || 1), Some(1));
    }
}
