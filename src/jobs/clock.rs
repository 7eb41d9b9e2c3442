//! Steps of the machine's clock, seen while they happen: an NTP client that sets it, an operator, a machine that slept.
//!
//! Jobs are due, and leases end, at times of that clock. What was meant is a time from then on, so after a step they are
//! moved along. Between two runs of the server nobody sees a step: at a start, no job waits longer than any may.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Less is no step but a look that took its time, or a clock that is being slewed.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// Sees steps between one look and the next.
#[derive(Debug)]
pub(super) struct StepWatch {
    clock: Timestamp,
    looked: Instant,
    /// Seen and not dealt with yet.
    step: SignedDuration,
}

impl StepWatch {
    pub(super) fn new(clock: Timestamp, now: Instant) -> Self {
        Self { clock, looked: now, step: SignedDuration::ZERO }
    }

    /// By how much the clock has been set, all in all, since somebody said that it was [`dealt_with`](Self::dealt_with).
    pub(super) fn look(&mut self, clock: Timestamp, now: Instant) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(now.duration_since(self.looked)).unwrap_or(SignedDuration::MAX);
        let step = clock.duration_since(self.clock).saturating_sub(passed);
        (self.clock, self.looked) = (clock, now);
        if step.abs() > SLACK {
            self.step = self.step.saturating_add(step);
        }
        (!self.step.is_zero()).then_some(self.step)
    }

    /// What depends on the clock has been moved along.
    pub(super) fn dealt_with(&mut self) {
        self.step = SignedDuration::ZERO;
    }
}

/// No job waits longer for its next attempt, whatever it waits for, than until then.
pub(super) fn latest_due(now: Timestamp, slowest_retry: Duration) -> Timestamp {
    crate::backoff::after(now, crate::backoff::varied(slowest_retry, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_until_it_is_dealt_with_and_time_that_passes_is_none() {
        let (clock, now) = (Timestamp::from_second(1_800_000_000).unwrap(), Instant::now());
        let mut watch = StepWatch::new(clock, now);
        let look = |watch: &mut StepWatch, clock_after: i64, after: u64| {
            let clock = clock.checked_add(SignedDuration::from_secs(clock_after)).unwrap();
            watch.look(clock, now + Duration::from_secs(after)).map(|step| step.as_secs())
        };
        assert_eq!(look(&mut watch, 100, 100), None);
        assert_eq!(look(&mut watch, 102, 101), None, "slewed");
        assert_eq!(look(&mut watch, 703, 102), Some(600));
        assert_eq!(look(&mut watch, 104, 103), None, "and back");
        assert_eq!(look(&mut watch, -496, 104), Some(-601));
        watch.dealt_with();
        assert_eq!(look(&mut watch, -495, 105), None);
    }
}
