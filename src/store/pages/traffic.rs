//! The calls of some time, for charts: counted by an index, looked at as a sample where there are many.

use jiff::Timestamp;

use crate::store::{StoreError, Tx, millis};

/// So many calls of one span of time are looked at, at most twice as many.
const LOOKED_AT: i64 = 4000;

/// The calls of a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallsOfTime {
    /// How many there were.
    pub calls: i64,
    /// Those that were looked at: each stands for `every`.
    pub sample: Vec<SampledCall>,
    /// 1: all were looked at.
    pub every: i64,
}

/// A call that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledCall {
    /// `resultCode`; `None`: it was not answered, or not yet.
    pub result_code: Option<String>,
    /// Microseconds until the answer was ready.
    pub duration_us: Option<i64>,
}

impl Tx<'_> {
    /// The calls received from one instant until before another. It should be an hour or so: all of them are counted.
    pub fn calls_of_time(&self, from: Timestamp, until: Timestamp) -> Result<CallsOfTime, StoreError> {
        let span = (millis(from), millis(until));
        let sql =
            "SELECT count(*) FROM exchange INDEXED BY exchange_by_time WHERE received_at >= ?1 AND received_at < ?2";
        let calls = self.first("count the calls of a time", sql, span, |row| row.get::<_, i64>(0))?.unwrap_or(0);
        let every = (calls / LOOKED_AT).max(1);
        // The number stands in the index, so what is not in the sample is not looked up.
        let sql = "SELECT result_code, duration_us FROM exchange INDEXED BY exchange_by_time \
                   WHERE received_at >= ?1 AND received_at < ?2 AND id % ?3 = 0";
        let sample = self.all("look at the calls of a time", sql, (span.0, span.1, every), |row| {
            Ok(SampledCall { result_code: row.get(0)?, duration_us: row.get(1)? })
        })?;
        Ok(CallsOfTime { calls, sample, every })
    }
}
