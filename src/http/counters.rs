//! What the door counts, for metrics and for the tests that show that abuse leaves nothing behind.

use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// Live counters of one door; read them with [`now`](Counters::now).
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) handshakes: AtomicU64,
    pub(super) handshakes_refused: AtomicU64,
    pub(super) handshakes_abandoned: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) threads: AtomicUsize,
    /// Ordered, unlike the others: the closing door waits for it (see `wake`).
    pub(super) open: AtomicUsize,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountersNow {
    /// Connections accepted since the door was opened.
    pub accepted: u64,
    /// Failures to accept, such as a lack of descriptors.
    pub accept_errors: u64,
    /// Whole requests given to the handler.
    pub requests: u64,
    /// Requests refused before the handler saw them.
    pub refused: u64,
    /// Connections cut because a new one needed their place.
    pub evicted: u64,
    /// TLS handshakes that led to a session.
    pub handshakes: u64,
    /// Those that were refused; they are among the refused requests, too.
    pub handshakes_refused: u64,
    /// Those that the client left, or that took too long.
    pub handshakes_abandoned: u64,
    /// Panics caught: each one is a bug.
    pub panics: u64,
    /// Threads started to serve connections; they are kept for the next ones.
    pub threads: usize,
    /// Connections open now; each holds one descriptor.
    pub open: usize,
}

impl Counters {
    /// The present values.
    pub fn now(&self) -> CountersNow {
        CountersNow {
            accepted: self.accepted.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
            requests: self.requests.load(Relaxed),
            refused: self.refused.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
            handshakes: self.handshakes.load(Relaxed),
            handshakes_refused: self.handshakes_refused.load(Relaxed),
            handshakes_abandoned: self.handshakes_abandoned.load(Relaxed),
            panics: self.panics.load(Relaxed),
            threads: self.threads.load(Relaxed),
            open: self.open.load(SeqCst),
        }
    }
}
