//! The copies of the database: the snapshot beside it and the newest of the dated series, each proved, and how far behind
//! they are.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Level, Tell, bad, good};
use crate::config::{Config, Database};
use crate::snapshots::{self, age::PERIODS};
use crate::store::Store;
use crate::store::snapshot::{self, Origin, Verified};

const SUBJECT: &str = "snapshot";

const MEND: &str =
    "is the server running? Its log says why no copy could be taken; `koogate backup FILE` takes one at once";

pub(super) fn look(config: &Config, store: &Store, tell: Tell<'_>) -> anyhow::Result<()> {
    let Database { snapshot_every, snapshots: series, .. } = &config.database;
    let path = config.database.snapshot_path();
    let finding = match path.exists() {
        true => {
            verified(config, &path).and_then(|verified| snapshot(store, &path, Some(verified), limit(*snapshot_every)))
        }
        false => snapshot(store, &path, None, limit(*snapshot_every)),
    };
    tell(&finding.unwrap_or_else(|finding| finding))?;
    let Some(series) = series else { return Ok(()) };
    let newest = snapshots::series_of(&series.directory).unwrap_or_default().pop();
    match newest {
        None => {
            let text = format!("there is no copy of the series in {}", series.directory.display());
            tell(&Finding { level: Level::Warning, subject: SUBJECT, text, mend: Some(MEND.to_owned()) })
        }
        Some(newest) => tell(&newest_of_series(config, &newest, limit(series.every))),
    }
}

/// Older is too old.
fn limit(every: Duration) -> SignedDuration {
    SignedDuration::try_from(every * PERIODS).unwrap_or(SignedDuration::MAX)
}

fn verified(config: &Config, path: &Path) -> Result<Verified, Finding> {
    snapshot::verify(path, &config.keys.sealing, Origin::Copy).map_err(|error| {
        bad(SUBJECT, error.to_string(), "it cannot be restored: remove it, and look whether the disk is failing")
    })
}

/// A snapshot may be old where nothing has happened since, and it may not be there yet.
fn snapshot(store: &Store, path: &Path, copy: Option<Verified>, limit: SignedDuration) -> Result<Finding, Finding> {
    let held = copy.as_ref().map_or(0, |copy| copy.last_exchange);
    let missing = store.read(|tx| tx.first_call_after(held));
    let missing = missing.map_err(|error| bad(SUBJECT, error.to_string(), "see the disk"))?;
    let is_late = missing.is_some_and(|since| Timestamp::now().duration_since(since) > limit);
    let stands = match copy.map(|copy| copy.snapshot_at) {
        None => format!("{} is not there yet", path.display()),
        Some(None) => format!("{} is whole", path.display()),
        Some(Some(at)) => format!("{} is whole, of {at:.0}", path.display()),
    };
    Ok(match missing {
        None => good(SUBJECT, format!("{stands}; no call is missing from it")),
        Some(since) if is_late => bad(SUBJECT, format!("{stands}; it lacks the calls since {since:.0}"), MEND),
        Some(since) => good(SUBJECT, format!("{stands}; the next one will have the calls since {since:.0}")),
    })
}

fn newest_of_series(config: &Config, path: &Path, limit: SignedDuration) -> Finding {
    let verified = match verified(config, path) {
        Ok(verified) => verified,
        Err(finding) => return finding,
    };
    let is_young = verified.snapshot_at.is_some_and(|at| Timestamp::now().duration_since(at) <= limit);
    let text = format!(
        "{}, the newest of the series, is whole, of {}",
        path.display(),
        verified.snapshot_at.map_or_else(|| "–".to_owned(), |at| format!("{at:.0}"))
    );
    if is_young { good(SUBJECT, text) } else { bad(SUBJECT, text, MEND) }
}
