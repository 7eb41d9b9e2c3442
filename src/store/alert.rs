//! Rows of `alert`, `alert_told` and `alert_webhook`: what stands wrong or stood, who was told, and how the webhooks do.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};

/// A recorded alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Row id.
    pub row: i64,
    /// Its kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Its facts, JSON.
    pub alarm: String,
    /// Since when it has stood.
    pub since: Timestamp,
    /// When it was met last.
    pub last_met: Timestamp,
    /// How often.
    pub times: i64,
    /// When it ended; `None`: it stands.
    pub ended_at: Option<Timestamp>,
}

/// Which webhook was told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldRow {
    /// Row of the alert.
    pub alert: i64,
    /// Label of the webhook.
    pub webhook: String,
    /// The last time.
    pub told_at: Timestamp,
    /// How often.
    pub times: i64,
    /// It knows that it is over.
    pub end_told: bool,
}

/// How a webhook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Label of its address.
    pub webhook: String,
    /// wecom, dingtalk, feishu, generic.
    pub kind: String,
    /// When it took a message last.
    pub delivered_at: Option<Timestamp>,
    /// Since when it has failed; `None`: it has not.
    pub failing_since: Option<Timestamp>,
    /// How often in a row.
    pub failures: i64,
    /// The next attempt.
    pub not_before: Option<Timestamp>,
    /// Why.
    pub last_error: Option<String>,
}

impl Tx<'_> {
    /// Alerts that stand, the oldest first.
    pub fn standing_alerts(&self, limit: i64) -> Result<Vec<AlertRow>, StoreError> {
        let sql = format!("{SELECT} WHERE ended_at IS NULL ORDER BY kind, subject LIMIT ?1");
        let mut rows = self.all("list standing alerts", &sql, [limit], read_row)?;
        rows.sort_by_key(|row| row.row);
        Ok(rows)
    }

    /// Alerts that have ended since, the newest end first.
    pub fn ended_alerts(&self, since: Timestamp, limit: i64) -> Result<Vec<AlertRow>, StoreError> {
        let sql = format!("{SELECT} WHERE ended_at IS NOT NULL AND ended_at >= ?1 ORDER BY ended_at DESC LIMIT ?2");
        self.all("list ended alerts", &sql, (millis(since), limit), read_row)
    }

    /// Records an alert that begins; returns its row. One that stands already, under facts that nobody could read, is
    /// taken over.
    pub fn insert_alert(&self, new: &AlertRow) -> Result<i64, StoreError> {
        let row = self.first(
            "record the alert",
            "INSERT INTO alert (kind, subject, alarm, since, last_met, times, ended_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (kind, subject) WHERE ended_at IS NULL DO UPDATE SET alarm = excluded.alarm, \
             last_met = excluded.last_met, times = excluded.times RETURNING id",
            (
                &new.kind,
                &new.subject,
                &new.alarm,
                millis(new.since),
                millis(new.last_met),
                new.times,
                new.ended_at.map(millis),
            ),
            |row| row.get(0),
        )?;
        row.ok_or_else(|| StoreError::BadRow { table: "alert", problem: "it was not recorded".to_owned() })
    }

    /// Records how an alert stands now.
    pub fn update_alert(&self, row: &AlertRow) -> Result<(), StoreError> {
        self.execute(
            "record the alert",
            "UPDATE alert SET alarm = ?2, last_met = ?3, times = ?4, ended_at = ?5 WHERE id = ?1",
            (row.row, &row.alarm, millis(row.last_met), row.times, row.ended_at.map(millis)),
        )
        .map(drop)
    }

    /// Which webhooks were told of an alert.
    pub fn told_of_alert(&self, alert: i64) -> Result<Vec<ToldRow>, StoreError> {
        let sql = "SELECT webhook, told_at, times, end_told FROM alert_told WHERE alert = ?1";
        self.all("look who was told", sql, [alert], |row| {
            Ok(ToldRow {
                alert,
                webhook: row.get(0)?,
                told_at: instant(row.get(1)?)?,
                times: row.get(2)?,
                end_told: row.get(3)?,
            })
        })
    }

    /// Records that a webhook was told.
    pub fn put_told(&self, told: &ToldRow) -> Result<(), StoreError> {
        self.execute(
            "record who was told",
            "INSERT INTO alert_told (alert, webhook, told_at, times, end_told) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (alert, webhook) DO UPDATE SET told_at = excluded.told_at, times = excluded.times, \
             end_told = excluded.end_told",
            (told.alert, &told.webhook, millis(told.told_at), told.times, told.end_told),
        )
        .map(drop)
    }

    /// How the webhooks do, those of earlier configurations included.
    pub fn alert_webhooks(&self) -> Result<Vec<WebhookRow>, StoreError> {
        let sql = "SELECT webhook, kind, delivered_at, failing_since, failures, not_before, last_error \
                   FROM alert_webhook ORDER BY webhook";
        self.all("list webhooks", sql, [], |row| {
            let time = |column| -> rusqlite::Result<Option<Timestamp>> {
                row.get::<_, Option<i64>>(column)?.map(instant).transpose()
            };
            Ok(WebhookRow {
                webhook: row.get(0)?,
                kind: row.get(1)?,
                delivered_at: time(2)?,
                failing_since: time(3)?,
                failures: row.get(4)?,
                not_before: time(5)?,
                last_error: row.get(6)?,
            })
        })
    }

    /// Records how a webhook does.
    pub fn put_alert_webhook(&self, row: &WebhookRow) -> Result<(), StoreError> {
        self.execute(
            "record the webhook",
            "INSERT INTO alert_webhook (webhook, kind, delivered_at, failing_since, failures, not_before, last_error) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (webhook) DO UPDATE SET kind = excluded.kind, \
             delivered_at = excluded.delivered_at, failing_since = excluded.failing_since, failures = excluded.failures, \
             not_before = excluded.not_before, last_error = excluded.last_error",
            (
                &row.webhook,
                &row.kind,
                row.delivered_at.map(millis),
                row.failing_since.map(millis),
                row.failures,
                row.not_before.map(millis),
                &row.last_error,
            ),
        )
        .map(drop)
    }

    /// Forgets webhooks other than these.
    pub fn keep_alert_webhooks(&self, labels: &[String]) -> Result<(), StoreError> {
        for row in self.alert_webhooks()? {
            if !labels.contains(&row.webhook) {
                let sql = "DELETE FROM alert_webhook WHERE webhook = ?1";
                self.execute("forget a webhook", sql, [&row.webhook])?;
            }
        }
        Ok(())
    }

    /// Removes alerts that ended before, at most `limit`; returns how many.
    pub fn purge_alerts(&self, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
        self.execute(
            "purge alerts",
            "DELETE FROM alert WHERE id IN (SELECT id FROM alert WHERE ended_at IS NOT NULL AND ended_at < ?1 LIMIT ?2)",
            (millis(before), limit),
        )
    }
}

const SELECT: &str = "SELECT id, kind, subject, alarm, since, last_met, times, ended_at FROM alert";

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AlertRow> {
    Ok(AlertRow {
        row: row.get(0)?,
        kind: row.get(1)?,
        subject: row.get(2)?,
        alarm: row.get(3)?,
        since: instant(row.get(4)?)?,
        last_met: instant(row.get(5)?)?,
        times: row.get(6)?,
        ended_at: row.get::<_, Option<i64>>(7)?.map(instant).transpose()?,
    })
}
