//! Whether the process does what it is for: a watchdog that looks, its verdict that `/healthz` tells, and the end of a
//! process that is beyond help, so that its supervisor starts another.
//!
//! | file | |
//! | --- | --- |
//! | `watchdog` | the thread that looks, tells and, at last, ends the process |
//! | `judge` | pure: what the looks come to |
//! | `call` | a call of the own public listener; `koogate healthcheck` makes it, too |

mod call;
mod judge;
mod watchdog;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use call::{CallError, Caller};
pub use watchdog::{EXIT_UNHEALTHY, Subjects, Watchdog};

use crate::http::{Method, Reply};
use judge::Verdict;

/// A verdict that is older than so many looks is none: the watchdog itself hangs.
const STALE_AFTER: u32 = 6;

/// The last verdict, for those who ask. Asking costs a lock that nobody holds for long, and touches nothing else.
#[derive(Debug)]
pub struct Health {
    last: Mutex<(Verdict, Instant)>,
    stale_after: Duration,
}

impl Health {
    /// Of a process that is starting, and whose watchdog looks so often.
    pub fn new(look_every: Duration) -> Self {
        Self { last: Mutex::new((Verdict::Good, Instant::now())), stale_after: look_every * STALE_AFTER }
    }

    /// Whether calls are answered.
    pub fn is_good(&self) -> bool {
        let (verdict, at) = *self.lock();
        verdict == Verdict::Good && at.elapsed() < self.stale_after
    }

    /// The answer to `/healthz`. Anybody may ask on the public listener, so it tells nothing but the verdict.
    pub fn answer(&self, method: &Method) -> Reply {
        const TEXT: &str = "text/plain; charset=utf-8";
        match method {
            Method::Get | Method::Head if self.is_good() => Reply::new(200, TEXT, "ok\n"),
            Method::Get | Method::Head => Reply::new(503, TEXT, "unavailable\n"),
            _ => Reply::new(405, TEXT, "405 Method Not Allowed\n").with_header("Allow", "GET, HEAD"),
        }
    }

    /// Returns the verdict before.
    fn set(&self, verdict: Verdict) -> Verdict {
        std::mem::replace(&mut *self.lock(), (verdict, Instant::now())).0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Verdict, Instant)> {
        // Replaced as a whole: a poisoned one is whole.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::judge::Part;
    use super::*;

    #[test]
    fn only_a_good_verdict_that_is_fresh_is_healthy() {
        let health = Health::new(Duration::from_secs(600));
        assert!(health.is_good());
        for verdict in [Verdict::Busy(Part::Listener), Verdict::Ill(Part::Writer), Verdict::Dead(None)] {
            health.set(verdict);
            assert!(!health.is_good(), "{verdict:?}");
        }
        assert_eq!(health.set(Verdict::Good), Verdict::Dead(None));
        assert!(health.is_good());
        assert!(!Health::new(Duration::ZERO).is_good(), "nobody has looked for too long");
    }
}
