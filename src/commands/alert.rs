//! `koogate alert`: try the webhooks, and list what stands wrong.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use super::{EXIT_FAILED, output};
use crate::alert::message;
use crate::settings::Settings;
use crate::store::Store;
use crate::view;

/// Alerts that have ended are listed for so long.
const SHOWN_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send a test message to each webhook of [alerts], and say what became of it 发送测试消息
    Test {
        /// Call the heartbeat address, too: the service that watches it then takes koogate for alive
        #[arg(long)]
        heartbeat: bool,
    },
    /// List what stands wrong, and how the webhooks do 告警列表
    List {
        /// What has ended within 30 days, too
        #[arg(long)]
        all: bool,
        /// At most so many
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(config: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Test { heartbeat } => test(config, *heartbeat),
        Command::List { all, limit, json } => {
            super::with_store(config, |store| list(store, *all, *limit, *json))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Works without a database, and beside a running server.
fn test(config: &Path, heartbeat: bool) -> anyhow::Result<ExitCode> {
    let settings = Settings::new(&super::load(config)?)?;
    let outlets = &settings.alerts;
    if outlets.webhooks.is_empty() && !(heartbeat && outlets.heartbeat.is_some()) {
        bail!("there is no webhook in [alerts]; docs/alerts.md says how to get one");
    }
    let message = message::trial(&outlets.languages);
    let mut all_well = true;
    let mut tell = |what: String, result: Result<(), String>| {
        all_well &= result.is_ok();
        let told = result.map_or_else(|error| format!("failed: {error}"), |()| "ok".to_owned());
        output::line(&format!("{what}: {told}"))
    };
    for (index, webhook) in outlets.webhooks.iter().enumerate() {
        let sent = webhook.send(&message, &[], Timestamp::now());
        tell(format!("webhook {} ({})", index + 1, webhook.outlet.as_str()), sent)?;
    }
    if heartbeat {
        let result = match &outlets.heartbeat {
            Some(address) => address.beat(),
            None => Err("there is no alerts.heartbeat_url".to_owned()),
        };
        tell("heartbeat".to_owned(), result)?;
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn list(store: &Store, all: bool, limit: i64, json: bool) -> anyhow::Result<()> {
    let since = Timestamp::now().checked_sub(SHOWN_FOR).unwrap_or(Timestamp::MIN);
    let (mut rows, ended, webhooks) = store.read(|tx| {
        let ended = if all { tx.ended_alerts(since, limit)? } else { Vec::new() };
        Ok((tx.standing_alerts(limit)?, ended, tx.alert_webhooks()?))
    })?;
    rows.extend(ended);
    let header = ["severity", "kind", "what", "mend", "since", "ended"];
    output::listing(json, &header, rows.iter().map(view::alert::to_cells), rows.iter().map(view::alert::to_json))?;
    for webhook in webhooks.iter().filter(|webhook| webhook.failing_since.is_some() && !json) {
        let since = output::time_or_dash(webhook.failing_since);
        let why = output::or_dash(webhook.last_error.as_deref());
        output::line(&format!("the {} webhook has not taken messages since {since}: {why}", webhook.kind))?;
    }
    Ok(())
}
