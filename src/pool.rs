//! A pool of threads for work that may take long or panic: calls of merchants' applications. What is worked on, and how
//! long it may take, is the users' business.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pages a worker's stack may grow to: HTTP and TLS need little.
const STACK: usize = 512 * 1024;

/// How often a stop looks whether the work has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

type Work = Box<dyn FnOnce() + Send>;

/// The pool. Work is taken only while a worker is free for it: nothing queues up unseen.
pub struct Pool {
    sender: Mutex<Option<SyncSender<Work>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    size: usize,
    busy: Arc<AtomicUsize>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(name: &str, size: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Work>(size);
        let (receiver, busy) = (Arc::new(Mutex::new(receiver)), Arc::new(AtomicUsize::new(0)));
        let mut workers = Vec::with_capacity(size);
        for number in 0..size {
            let (receiver, busy) = (Arc::clone(&receiver), Arc::clone(&busy));
            let builder = std::thread::Builder::new().name(format!("{name}-{number}")).stack_size(STACK);
            workers.push(builder.spawn(move || work(&receiver, &busy))?);
        }
        Ok(Self { sender: Mutex::new(Some(sender)), workers: Mutex::new(workers), size, busy })
    }

    /// How many workers have nothing to do.
    pub fn free(&self) -> usize {
        self.size.saturating_sub(self.busy.load(Ordering::SeqCst))
    }

    /// Hands work to a free worker; `false`, with the work undone, when there is none or the pool has stopped.
    pub fn try_run(&self, work: impl FnOnce() + Send + 'static) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return false };
        let claimed =
            self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |busy| (busy < self.size).then_some(busy + 1));
        if claimed.is_err() {
            return false;
        }
        match sender.try_send(Box::new(work)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.busy.fetch_sub(1, Ordering::SeqCst);
                false
            }
        }
    }

    /// Takes no more work and waits for what runs, for `grace` at most; returns how much still runs then. Its threads
    /// are left to themselves.
    pub fn stop(&self, grace: Duration) -> usize {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let until = Instant::now() + grace;
        while self.busy.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= until {
                return self.busy.load(Ordering::SeqCst);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        for worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if worker.join().is_err() {
                log::error!("a worker thread had panicked outside its work (bug)");
            }
        }
        0
    }
}

fn work(receiver: &Mutex<Receiver<Work>>, busy: &AtomicUsize) {
    loop {
        let received = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = received else { return };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            log::error!("work in the background panicked (bug)");
        }
        busy.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_are_workers_and_a_panic_costs_none() {
        let pool = Pool::start("test", 2).unwrap();
        let (ended, end) = mpsc::channel();
        for round in 0..10 {
            let ended = ended.clone();
            while !pool.try_run({
                let ended = ended.clone();
                move || {
                    ended.send(round).unwrap();
                    assert!(round % 2 == 0, "provoked");
                }
            }) {
                std::thread::yield_now();
            }
        }
        let mut seen: Vec<i32> = end.iter().take(10).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(pool.stop(Duration::from_secs(30)), 0);
        assert!(!pool.try_run(|| {}), "a stopped pool takes nothing");
    }

    #[test]
    fn a_stop_does_not_wait_beyond_its_grace() {
        let pool = Pool::start("test", 1).unwrap();
        let (let_go, held) = mpsc::channel::<()>();
        assert!(pool.try_run(move || held.recv().unwrap_or_default()));
        assert_eq!(pool.free(), 0);
        assert!(!pool.try_run(|| {}), "nobody is free");
        assert_eq!(pool.stop(Duration::from_millis(1)), 1);
        drop(let_go);
        assert_eq!(pool.stop(Duration::from_secs(30)), 0);
    }
}
