//! The job that hands an online licence to KooGallery (spec 5-open-api §7). A death between the upload and its record makes
//! it again: KooGallery gets the same licence once more, which does no harm.

use std::time::Duration;

use jiff::Timestamp;

use crate::backoff;
use crate::excerpt;
use crate::fulfilment::AttemptResult;
use crate::instance::Status;
use crate::license::{Form, License};
use crate::open_api::OpenApi;
use crate::open_api::error::Again;
use crate::protocol::open_api::upload;
use crate::settings::Settings;
use crate::store::{JobRow, LicenseRow, Store, StoreError};

/// Why an upload waits.
const NOT_CONFIGURED: &str =
    "KooGallery cannot be called: add [open_api] to the configuration, then reload (SIGHUP) or restart";

/// What waits for the configuration is looked at again after this time; a reload or a restart comes first.
const NOT_CONFIGURED_FOR: Duration = Duration::from_secs(3600);

/// Makes one attempt.
pub(super) fn upload(store: &Store, settings: &Settings, job: &JobRow) -> AttemptResult {
    let Some(open_api) = &settings.open_api else {
        return postponed(backoff::after(Timestamp::now(), NOT_CONFIGURED_FOR), NOT_CONFIGURED);
    };
    match look_up(store, job) {
        Ok(Some((license, content))) => send(store, open_api, &license, &content),
        // The record of the attempt sees the release, too, and ends the job.
        Ok(None) => AttemptResult::Failed("there is nothing to upload any more".to_owned()),
        Err(error) => AttemptResult::Failed(error.to_string()),
    }
}

/// Makes uploads that wait for nobody's failure due at once: what they waited for may be configured now.
pub(super) fn hasten(store: &Store, settings: &Settings) -> Result<(), StoreError> {
    if settings.open_api.is_some() {
        let hastened = store.write(None, |tx| tx.hasten_uploads(Timestamp::now()))?;
        if hastened > 0 {
            log::info!("{hastened} uploads that waited are tried now");
        }
    }
    Ok(())
}

/// The licence; `None` where the instance was released meanwhile.
fn look_up(store: &Store, job: &JobRow) -> Result<Option<(LicenseRow, License)>, StoreError> {
    let missing = |problem: &str| StoreError::BadRow { table: "job", problem: format!("job {}: {problem}", job.row) };
    store.read(|tx| {
        let operation = job.subject.operation().ok_or_else(|| missing("it has no operation"))?;
        let license = tx.license_of(operation)?.ok_or_else(|| missing("there is no licence"))?;
        if tx.instance_by_row(license.instance)?.is_none_or(|instance| instance.life.status == Status::Released) {
            return Ok(None);
        }
        let content = tx.license_content(&license)?.ok_or_else(|| missing("the licence is not made"))?;
        Ok(Some((license, content)))
    })
}

fn send(store: &Store, open_api: &OpenApi, license: &LicenseRow, content: &License) -> AttemptResult {
    // Every request for a licence has one; without it the call leads nowhere.
    let Some(event_id) = &license.event_id else {
        return AttemptResult::Rejected("the licence was asked for without an eventId".to_owned());
    };
    let Err(error) = open_api.upload(store, event_id, content) else { return AttemptResult::Uploaded };
    let told = without_license(&error.to_string(), content);
    match error.again() {
        Again::NotBefore(until) => postponed(until, &told),
        Again::Never => {
            let advice = error.refusal().map_or("mend it", upload::advice);
            AttemptResult::Rejected(format!("{told}; {advice}"))
        }
        Again::Later => AttemptResult::Failed(told),
    }
}

/// KooGallery may quote what it does not like, on one line: word by word.
fn without_license(told: &str, content: &License) -> String {
    match content.form() {
        Form::Text(text) => excerpt::blanked(told, &text.expose().split_whitespace().collect::<Vec<_>>()),
        Form::File { .. } => told.to_owned(),
    }
}

fn postponed(until: Timestamp, reason: &str) -> AttemptResult {
    AttemptResult::Postponed { until, reason: reason.to_owned() }
}
