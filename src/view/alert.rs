//! Alerts and the webhooks that tell of them.

use serde_json::{Value, json};

use super::time;
use crate::alert::wire;
use crate::alert::{Alarm, Kind};
use crate::store::{AlertRow, WebhookRow};

/// An alert as `koogate alert list --json` shows it.
pub fn to_json(row: &AlertRow) -> Value {
    // A newer koogate may have recorded what this one has no words for.
    let known = serde_json::from_str::<Alarm>(&row.alarm).ok().map(|alarm| wire::view(&alarm));
    let mut shown = known.unwrap_or_else(|| json!({ "kind": row.kind, "subject": row.subject }));
    shown["since"] = time(row.since).into();
    shown["lastMet"] = time(row.last_met).into();
    shown["times"] = row.times.into();
    shown["endedTime"] = row.ended_at.map(time).into();
    shown
}

/// An alert as a row of a table: severity, kind, what has happened, since, ended.
pub fn to_cells(row: &AlertRow) -> Vec<String> {
    let alarm = serde_json::from_str::<Alarm>(&row.alarm).ok();
    let severity = alarm.as_ref().map_or("", |alarm| alarm.severity().as_str());
    let what = alarm.as_ref().map_or_else(|| row.subject.clone(), |alarm| alarm.what().en);
    let mend = Kind::parse(&row.kind).map(|kind| kind.mend().en).unwrap_or_default();
    let ended = row.ended_at.map_or_else(|| "–".to_owned(), time);
    vec![severity.to_owned(), row.kind.clone(), what, mend, time(row.since), ended]
}

/// How a webhook does.
pub fn webhook(row: &WebhookRow) -> Value {
    json!({
        "kind": row.kind,
        "deliveredTime": row.delivered_at.map(time),
        "failingSince": row.failing_since.map(time),
        "failures": row.failures,
        "nextAttempt": row.not_before.map(time),
        "lastError": row.last_error,
    })
}
