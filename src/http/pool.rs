//! The threads that serve connections: started when needed, at most one per place, reused, joined at the end.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
};

use super::{
    connection,
    shared::{Place, Shared},
    watch::Watched,
};

/// Enough for the handler's frames and the parser's table of headers, in bytes; only what is touched is memory.
const STACK: usize = 256 << 10;

/// A connection on its way to a thread.
pub(super) struct Arrival {
    // In this order when dropped: the descriptor is closed before the place is given back.
    pub(super) watched: Arc<Watched>,
    pub(super) place: Place,
}

/// The pool; its size is bounded by the number of places, because each arrival holds one.
pub(super) struct Pool {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { queue: Arc::default(), shared, threads: Vec::new() }
    }

    /// Gives the connection to a waiting thread, or to a new one.
    ///
    /// Fails, and drops the connection, when a thread is needed and cannot be started.
    pub(super) fn serve(&mut self, arrival: Arrival) -> io::Result<()> {
        let mut line = self.queue.lock();
        if line.arrivals.len() >= line.free {
            let (queue, shared) = (Arc::clone(&self.queue), Arc::clone(&self.shared));
            let name = format!("{}-{}", self.shared.settings.name, self.threads.len() + 1);
            let work = move || work(&queue, &shared);
            self.threads.push(thread::Builder::new().name(name).stack_size(STACK).spawn(work)?);
            self.shared.counters.threads.fetch_add(1, Relaxed);
            line.free += 1;
        }
        line.arrivals.push_back(arrival);
        drop(line);
        self.queue.changed.notify_one();
        Ok(())
    }

    /// Ends the threads. Those still in the handler, if there are `stragglers`, are left to end by themselves.
    pub(super) fn close(self, stragglers: bool) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads {
            if !stragglers || thread.is_finished() {
                // A thread that panicked outside a connection has been reported by the panic hook.
                let _ = thread.join();
            }
        }
    }
}

#[derive(Default)]
struct Queue {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    arrivals: VecDeque<Arrival>,
    /// Threads without a connection, those still starting included.
    free: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arrival> {
        let mut line = self.lock();
        loop {
            if let Some(arrival) = line.arrivals.pop_front() {
                line.free -= 1;
                return Some(arrival);
            }
            if line.closed {
                return None;
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(queue: &Queue, shared: &Shared) {
    while let Some(Arrival { watched, place }) = queue.next() {
        // The handler's panics are caught closer to it; this one would be the door's own, or of its `refused`.
        if catch_unwind(AssertUnwindSafe(|| connection::serve(&watched, shared))).is_err() {
            shared.counters.panics.fetch_add(1, Relaxed);
            log::error!("serving a connection panicked (bug); the connection was dropped");
        }
        drop(watched);
        // Free before the place is: whoever gets the place finds this thread instead of starting one too many.
        queue.lock().free += 1;
        drop(place);
    }
}
