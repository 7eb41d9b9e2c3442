//! `/api/v1/alerts`: what stands wrong, and how those do who are told.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::call::Call;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::view;

/// So many are listed.
const MOST: i64 = 2000;

/// What has ended is listed for so long.
const ENDED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// `GET /api/v1/alerts`: what stands, the oldest first; what has ended within a day, the newest first; and the webhooks.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let since = Timestamp::now().checked_sub(ENDED_WITHIN).unwrap_or(Timestamp::MIN);
    let (standing, ended, webhooks) = call
        .context
        .store
        .read(|tx| Ok((tx.standing_alerts(MOST)?, tx.ended_alerts(since, MOST)?, tx.alert_webhooks()?)))?;
    let shown = |rows: &[_]| -> Vec<Value> { rows.iter().map(view::alert::to_json).collect() };
    let webhooks: Vec<Value> = webhooks.iter().map(view::alert::webhook).collect();
    Ok(reply::ok(&json!({ "alerts": shown(&standing), "ended": shown(&ended), "webhooks": webhooks })))
}
