//! Times of jobs, after the machine's clock was wrong.

use jiff::{SignedDuration, Timestamp};

use crate::store::{StoreError, Tx, millis};

/// Before the first koogate: a time by a clock that was not set, 1970 for example.
const NEVER_BEFORE: Timestamp = Timestamp::constant(1_767_225_600, 0);

impl Tx<'_> {
    /// The clock was set by `step`, to `now`: leases end when they were meant to, and what failed is as old as it was.
    /// A clock set back takes what waits along. One that was set forward makes it due early, which harms nobody.
    pub fn move_jobs(&self, step: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
        let by =
            i64::try_from(step.as_millis()).unwrap_or(if step.is_negative() { i64::MIN / 2 } else { i64::MAX / 2 });
        // One statement for each index, which holds what is unfinished: whoever asks for both at once walks all jobs.
        for (index, state) in [("job_due", "waiting"), ("job_running", "running")] {
            let sql = format!(
                "UPDATE job INDEXED BY {index} SET lease_until = lease_until + ?1, trying_since = trying_since + ?1, \
                 run_at = CASE WHEN ?1 < 0 AND run_at > ?2 THEN run_at + ?1 ELSE run_at END, \
                 created_at = min(created_at, ?2) WHERE state = '{state}'"
            );
            self.execute("move the jobs with the clock", &sql, (by, millis(now)))?;
        }
        Ok(())
    }

    /// No job waits beyond `latest`, nor has begun in the future or before there was a koogate: the clock was wrong then.
    /// Returns how many did.
    pub fn mend_times_of_jobs(&self, now: Timestamp, latest: Timestamp) -> Result<usize, StoreError> {
        self.execute(
            "mend the times of jobs",
            "UPDATE job SET run_at = iif(run_at > ?2, ?1, run_at), created_at = min(created_at, ?1), \
             trying_since = iif(trying_since > ?1 OR trying_since < ?3, ?1, trying_since) \
             WHERE state = 'waiting' AND (run_at > ?2 OR created_at > ?1 OR trying_since > ?1 OR trying_since < ?3)",
            (millis(now), millis(latest), millis(NEVER_BEFORE)),
        )
    }
}
