//! What the first page of the status page counts.

use jiff::Timestamp;

use super::{StoreError, Tx, millis};
use crate::page::front::Calls;

/// So many calls are counted, the newest; a busier day is shown as "at least".
const MOST: i64 = 20_000;

impl Tx<'_> {
    /// The calls since an instant.
    pub fn calls_since(&self, since: Timestamp) -> Result<Calls, StoreError> {
        let sql = "SELECT environment = 'test', replayed, result_code IN ('000000', '000004'), count(*) FROM \
                   (SELECT environment, replayed, result_code FROM exchange WHERE received_at >= ?1 \
                   ORDER BY received_at DESC LIMIT ?2) GROUP BY 1, 2, 3";
        let counts = self.all("count the calls", sql, (millis(since), MOST), |row| {
            // Without a result koogate stopped before it answered.
            let is_good = row.get::<_, Option<bool>>(2)?.unwrap_or(false);
            Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?, is_good, row.get::<_, i64>(3)?))
        })?;
        let mut calls = Calls::default();
        for (is_test, is_replayed, is_good, count) in counts {
            match is_test {
                true => calls.tests += count,
                false => {
                    calls.real += count;
                    calls.replayed += if is_replayed { count } else { 0 };
                    calls.failed += if is_good { 0 } else { count };
                }
            }
        }
        calls.is_least = calls.real + calls.tests >= MOST;
        Ok(calls)
    }
}
