//! Alerts as the tables have them.

use crate::alert::Alarm;
use crate::alert::ledger::{Entry, Told};
use crate::store::{AlertRow, StoreError, ToldRow, Tx};

/// An alert as it was recorded; `None`: this koogate does not know its kind.
pub(super) fn entry(tx: &Tx<'_>, row: AlertRow) -> Result<Option<Entry>, StoreError> {
    // A newer koogate may have recorded what this one does not know.
    let Ok(alarm) = serde_json::from_str::<Alarm>(&row.alarm) else { return Ok(None) };
    let told = tx.told_of_alert(row.row)?.into_iter();
    let told = told.map(|told| (told.webhook, Told { at: told.told_at, times: told.times, end_told: told.end_told }));
    Ok(Some(Entry {
        row: Some(row.row),
        written: (alarm.clone(), row.last_met),
        alarm,
        since: row.since,
        noticed: row.last_met,
        last_met: row.last_met,
        times: row.times,
        ended: row.ended_at,
        came_back: false,
        told: told.collect(),
        is_dirty: false,
    }))
}

/// Records an alert and who was told; returns the row.
pub(super) fn write(tx: &Tx<'_>, entry: &Entry) -> Result<i64, StoreError> {
    let alarm = serde_json::to_string(&entry.alarm)
        .map_err(|error| StoreError::BadRow { table: "alert", problem: error.to_string() })?;
    let row = AlertRow {
        row: entry.row.unwrap_or_default(),
        kind: entry.alarm.kind().as_str().to_owned(),
        subject: entry.alarm.subject(),
        alarm,
        since: entry.since,
        last_met: entry.last_met,
        times: entry.times,
        ended_at: entry.ended,
    };
    let id = match entry.row {
        Some(id) => {
            tx.update_alert(&row)?;
            id
        }
        None => tx.insert_alert(&row)?,
    };
    for (webhook, told) in &entry.told {
        let Told { at, times, end_told } = *told;
        tx.put_told(&ToldRow { alert: id, webhook: webhook.clone(), told_at: at, times, end_told })?;
    }
    Ok(id)
}
