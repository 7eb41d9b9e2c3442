//! Where reports come in, from the command line or over the local API: many at a time, one commit for all.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::intake::{self, Intake, IntakeFault};
use super::{Report, State, UsageFault};
use crate::random::{self, NoRandomness};
use crate::store::{Store, StoreError};

/// A report that is recorded, now or by an earlier repeat of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The record's id on the wire.
    pub metering_sn: String,
    /// Where it stands.
    pub state: State,
    /// When it is due.
    pub due_at: Timestamp,
    /// It was there before.
    pub repeated: bool,
}

/// No report was recorded.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The body.
    #[error(transparent)]
    Intake(#[from] IntakeFault),
    /// The system.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records what could be read in one commit, which is on disk when this returns; what became of each, in their order.
///
/// # Errors
/// When nothing of it is stored.
pub fn record(
    store: &Store,
    reports: Vec<Result<Report, UsageFault>>,
) -> Result<Vec<Result<Recorded, UsageFault>>, DeskError> {
    // The numbers are drawn here: the work of a commit may be run twice.
    let number = |report| Ok((report, random::unguessable()?));
    let numbered = reports.into_iter().map(number).collect::<Result<Vec<_>, NoRandomness>>()?;
    let now = Timestamp::now();
    let recorded = store.write(None, move |tx| {
        let record = |(report, metering_sn): &(Result<Report, UsageFault>, String)| match report {
            Ok(report) => tx.record_usage(report, metering_sn, now),
            Err(fault) => Ok(Err(fault.clone())),
        };
        numbered.iter().map(record).collect()
    });
    Ok(recorded?)
}

/// What became of the reports in a request.
#[derive(Debug)]
pub struct Answer {
    /// The answer's body: `{"records":[…]}`, or the one entry for a report that came alone.
    pub body: Value,
    /// How many were refused.
    pub refused: usize,
}

/// Records the reports of a request to the local API. Each gets `{"meteringSn":…,"state":…}` or `{"error":…}`, in the
/// order given, and what is wrong with one keeps no other from being recorded.
///
/// # Errors
/// [`DeskError::Intake`] for a body that is no request; else nothing of it is stored.
pub fn answer(store: &Store, body: &[u8]) -> Result<Answer, DeskError> {
    let (reports, alone) = match intake::read(body)? {
        Intake::One(report) => (vec![report], true),
        Intake::Many(reports) => (reports, false),
    };
    let outcomes = record(store, reports)?;
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let mut entries = outcomes.iter().map(to_json);
    let body =
        if alone { entries.next().unwrap_or_default() } else { json!({ "records": entries.collect::<Vec<_>>() }) };
    Ok(Answer { body, refused })
}

fn to_json(outcome: &Result<Recorded, UsageFault>) -> Value {
    match outcome {
        Ok(recorded) => json!({ "meteringSn": recorded.metering_sn, "state": recorded.state.as_str() }),
        Err(fault) => json!({ "error": fault.to_string() }),
    }
}

/// Makes everything that waits due at once, but for records whose time is not over; returns how many that were. In parts: a
/// running server answers between two of them.
///
/// # Errors
/// When the rows cannot be written.
pub fn push(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    const AT_ONCE: i64 = 500;
    let mut hastened = 0;
    loop {
        match store.write(None, move |tx| tx.hasten_usage(now, AT_ONCE))? {
            0 => return Ok(hastened),
            part => hastened += part,
        }
    }
}
