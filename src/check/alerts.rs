//! Who is told of alerts, and whether the webhooks take what they are sent. Nothing is sent for it: `koogate alert test` does
//! that.

use super::{Finding, Level, Tell, good};
use crate::settings::Settings;
use crate::store::Store;

const SUBJECT: &str = "alerts";

pub(super) fn look(store: &Store, settings: &Settings, tell: Tell<'_>) -> anyhow::Result<()> {
    let warning = |text: String, mend: &str| {
        let mend = Some(mend.to_owned());
        Finding { level: Level::Warning, subject: SUBJECT, text, mend }
    };
    let outlets = &settings.alerts;
    if outlets.webhooks.is_empty() {
        return Ok(());
    }
    let rows = match store.read(|tx| tx.alert_webhooks()) {
        Ok(rows) => rows,
        Err(error) => return tell(&warning(error.to_string(), "see the database")),
    };
    for webhook in &outlets.webhooks {
        let kind = webhook.outlet.as_str();
        let row = rows.iter().find(|row| row.webhook == webhook.label);
        let failing = row.and_then(|row| Some((row.failing_since?, row.last_error.as_deref().unwrap_or_default())));
        match failing {
            Some((since, why)) => {
                let text = format!("the {kind} webhook has taken no message since {since:.0}: {why}");
                tell(&warning(text, "`koogate alert test` tries it; docs/alerts.md"))?;
            }
            None => tell(&good(SUBJECT, format!("the {kind} webhook is told; `koogate alert test` tries it")))?,
        }
    }
    Ok(())
}
