//! What the end of an attempt does to job, operation and instance, in one transaction.

use jiff::Timestamp;

use super::AttemptResult;
use super::answer::Handout;
use crate::access::Access;
use crate::fulfilment;
use crate::instance::{Change, Status};
use crate::kind::Kind;
use crate::license::License;
use crate::operation::State;
use crate::protocol::result_code::ResultCode;
use crate::protocol::text;
use crate::settings::Settings;
use crate::store::{Cause, InstanceRow, JobRow, LicenseRow, NewJob, StoreError, Subject, Tx, UPLOAD};

/// When to try again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// After a failure; `None`: never, the time for it is over.
    pub failed_at: Option<Timestamp>,
    /// After "pending": the application is asked again, in case its report got lost.
    pub pending_at: Timestamp,
}

/// Records what came of attempt number `attempt` of a job.
///
/// # Errors
/// When the rows cannot be written; the job's lease then ends and the attempt is made again.
pub fn record(
    tx: &Tx<'_>,
    job: i64,
    attempt: u32,
    result: AttemptResult,
    retry: Retry,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(job) = tx.running_job(job, attempt)? else {
        log::warn!(
            "job {job}: attempt {attempt} ended after it was given away or finished otherwise; it does not count"
        );
        return Ok(());
    };
    let change = stored_change(&job)?;
    if !matches!(result, AttemptResult::Ready(_) | AttemptResult::Uploaded) && tx.is_overtaken_by_release(&job)? {
        // It would hold the release up, and the application would be asked again for what is no longer wanted.
        log::info!("job {}: {} is not tried again: the instance was released", job.row, title(&job));
        return tx.end_job(job.row, "cancelled", Some("the instance was released"), now);
    }
    let operation = job.subject.operation().filter(|_| change.is_some());
    let operation = operation.map(|operation| tx.operation(operation)).transpose()?.flatten();
    if operation.is_some_and(|operation| operation.state == State::Done) {
        log::info!("job {}: {} came about another way", job.row, title(&job));
        return tx.end_job(job.row, "cancelled", Some("done another way"), now);
    }
    match result {
        AttemptResult::Ready(handout) => ready(tx, &job, change.as_ref(), &handout, now),
        AttemptResult::Postponed { until, reason } => tx.postpone_job(job.row, until, &reason),
        AttemptResult::Uploaded => uploaded(tx, &job, now),
        AttemptResult::Rejected(error) => {
            let (id, command) = (&job.subject_id, retry_command(&job));
            log::error!(
                "ALERT job {}: {} came to nothing: {error}; then `koogate {command} {id}`",
                job.row,
                title(&job)
            );
            tx.end_job(job.row, "dead", Some(&error), now)
        }
        AttemptResult::Pending => {
            log::info!("job {}: the application works on {}", job.row, title(&job));
            tx.put_off_job(job.row, retry.pending_at, None)
        }
        AttemptResult::Refused { code, message } => {
            let message = if message.is_empty() { "refused by the seller".to_owned() } else { text::message(&message) };
            let (id, command) = (&job.subject_id, retry_command(&job));
            log::warn!(
                "ALERT job {}: the application refused {}: {code} {message}; mend it, then `koogate {command} {id}`",
                job.row,
                title(&job)
            );
            dead(tx, &job, code, &message, &message, now)
        }
        AttemptResult::Failed(error) => match retry.failed_at {
            Some(at) => {
                log::warn!("job {}: attempt {attempt} of {} failed, next {at:.0}: {error}", job.row, title(&job));
                tx.put_off_job(job.row, at, Some(&error))
            }
            None => {
                let (id, command) = (&job.subject_id, retry_command(&job));
                log::error!(
                    "ALERT job {}: {} given up after {attempt} attempts: {error}; mend it, then `koogate {command} {id}`",
                    job.row,
                    title(&job)
                );
                dead(tx, &job, ResultCode::INTERNAL, "internal error", &error, now)
            }
        },
    }
}

/// Finishes the creation of an instance by the operator's or the application's later word; returns the operations that
/// ended.
///
/// # Errors
/// When the rows cannot be written.
pub fn finish_creation(
    tx: &Tx<'_>,
    instance: &InstanceRow,
    handout: &Handout,
    note: &str,
    now: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    handout.access.as_ref().map_or(Ok(()), |access| tx.set_access(instance, access))?;
    if let (Kind::License, Some(license)) = (instance.kind, &handout.license) {
        // A licence that is handed out in the reply is the only one of its instance.
        for requested in tx.licenses_of(instance.row)? {
            tx.issue_license(requested.row, license, now)?;
        }
    }
    let cause = Cause { exchange: None, job: None, note: Some(note) };
    tx.apply(instance, &Change::Ready, cause, now)?;
    // Only the creation: a release that waits for the application is still to be done.
    tx.end_creation_jobs(instance.row, now)?;
    tx.finish_creations(instance.row, now)
}

/// Records a licence that was made for a device: it is stored, noted in the instance's history, and a job hands it to
/// KooGallery. A licence that was made before stays as it is. Returns whether this one is it now.
///
/// # Errors
/// When the rows cannot be written.
pub fn issue(
    tx: &Tx<'_>,
    instance: &InstanceRow,
    requested: &LicenseRow,
    license: &License,
    cause: Cause<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !tx.issue_license(requested.row, license, now)? {
        return Ok(false);
    }
    tx.apply(instance, &Change::License, cause, now)?;
    tx.end_issue_jobs(requested.operation, now)?;
    // Open until KooGallery has it; an earlier refusal counts no more.
    tx.set_operation(requested.operation, State::Open, None, now)?;
    let subject = Subject::Operation { instance: instance.row, operation: requested.operation };
    tx.insert_job(&NewJob { subject, task: UPLOAD, order: None, event: None, change: None }, now)?;
    Ok(true)
}

fn ready(
    tx: &Tx<'_>,
    job: &JobRow,
    change: Option<&Change>,
    handout: &Handout,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.end_job(job.row, "done", None, now)?;
    // Without a change of its own the job only reported what had happened; so do all about a directory.
    let (Some(change), Subject::Operation { instance, operation }) = (change, job.subject) else { return Ok(()) };
    let Some(instance) = tx.instance_by_row(instance)? else { return Ok(()) };
    if instance.life.status == Status::Released {
        log::warn!("job {}: {} ended after the release and does not count", job.row, title(job));
        return Ok(());
    }
    let note = remark(&instance, change, now);
    let exchange = tx.operation(operation)?.and_then(|operation| operation.known_first_exchange());
    let cause = Cause { exchange, job: Some(job.row), note };
    let requested = tx.license_of(operation)?;
    if let (Change::License, Some(requested), Some(license)) = (change, &requested, &handout.license) {
        return issue(tx, &instance, requested, license, cause, now).map(drop);
    }
    if *change == Change::Ready {
        if let (Some(requested), Some(license)) = (requested, &handout.license) {
            tx.issue_license(requested.row, license, now)?;
        }
        handout.access.as_ref().map_or(Ok(()), |access| tx.set_access(&instance, access))?;
    }
    tx.apply(&instance, change, cause, now)?;
    tx.set_operation(operation, State::Done, Some((ResultCode::SUCCESS, "success")), now)
}

/// KooGallery has a licence: from now on its request for it is answered with success.
fn uploaded(tx: &Tx<'_>, job: &JobRow, now: Timestamp) -> Result<(), StoreError> {
    tx.end_job(job.row, "done", None, now)?;
    let Subject::Operation { instance, operation } = job.subject else { return Ok(()) };
    tx.license_uploaded(operation, now)?;
    let Some(instance) = tx.instance_by_row(instance)? else { return Ok(()) };
    let exchange = tx.operation(operation)?.and_then(|operation| operation.known_first_exchange());
    let cause = Cause { exchange, job: Some(job.row), note: None };
    tx.apply(&instance, &Change::Upload, cause, now)?;
    if instance.life.status == Status::Released {
        // The release has ended the request already.
        return Ok(());
    }
    tx.set_operation(operation, State::Done, Some((ResultCode::SUCCESS, "success")), now)
}

/// What a person should look at: in the log at once, and in the instance's history.
pub fn remark(instance: &InstanceRow, change: &Change, now: Timestamp) -> Option<&'static str> {
    if *change != Change::Freeze || !instance.life.is_paid_beyond(now) {
        return None;
    }
    let id = &instance.instance_id;
    log::warn!("ALERT instance {id} was frozen though it is paid beyond today: a violation, or a late retry");
    Some("frozen though paid beyond today")
}

/// What a finished creation hands out: what was told, and the product's own access data where none was.
///
/// # Errors
/// What cannot be handed out, without its value.
pub fn complete(settings: &Settings, instance: &InstanceRow, told: Handout) -> Result<Handout, String> {
    let access = match told.access {
        Some(access) => Some(access),
        None => configured_access(settings, instance)?,
    };
    let handout = Handout { access, ..told };
    fulfilment::check(instance, &handout)?;
    Ok(handout)
}

/// The product's own access data, for those who say "ready" without any.
fn configured_access(settings: &Settings, instance: &InstanceRow) -> Result<Option<Access>, String> {
    let template = settings.product_of(instance).and_then(|product| product.entry().access());
    let Some(template) = template else { return Ok(None) };
    let access = fulfilment::fill(template, &fulfilment::placeholder_values(instance), None)?;
    instance.check_access(&access).map_err(|fault| format!("the product's access cannot be handed out: {fault}"))?;
    Ok(Some(access))
}

/// Ends a job without success. An operation that waited for it has failed: the next call of it works on.
/// `told` is for KooGallery, `error` for the operator.
fn dead(
    tx: &Tx<'_>,
    job: &JobRow,
    code: ResultCode,
    told: &str,
    error: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.end_job(job.row, "dead", Some(error), now)?;
    if let Some(operation) = job.subject.operation().filter(|_| job.change.is_some()) {
        tx.refuse_license(operation)?;
        tx.set_operation(operation, State::Failed, Some((code, told)), now)?;
    }
    Ok(())
}

/// The change that waits in a job.
pub(super) fn stored_change(job: &JobRow) -> Result<Option<Change>, StoreError> {
    let parsed = job.change.as_deref().map(serde_json::from_str).transpose();
    parsed.map_err(|error| StoreError::BadRow { table: "job", problem: format!("change of job {}: {error}", job.row) })
}

/// The text in which a change waits in a job.
pub fn change_to_store(change: &Change) -> String {
    // A plain enum of texts and times always has a JSON form; one without would be refused when the job ends.
    serde_json::to_string(change).unwrap_or_default()
}

fn title(job: &JobRow) -> String {
    let (subject, id) = match job.subject {
        Subject::Operation { .. } => ("instance", job.subject_id.clone()),
        Subject::Tenant(_) => ("tenant", job.subject_id.clone()),
        // Only koogate's own instances and tenants have ids that were looked at.
        Subject::Order => ("order", format!("{:?}", job.subject_id)),
    };
    format!("{} for {subject} {id}", job.task)
}

/// The command that makes a dead job due again, or does what it was for.
fn retry_command(job: &JobRow) -> &'static str {
    match job.subject {
        Subject::Operation { .. } => "instance retry",
        Subject::Tenant(_) => "tenant retry",
        Subject::Order => "order show --refresh",
    }
}
