//! What an operator does by hand, on the command line and on the status page alike: a licence that was made elsewhere is
//! given, and what was given up is tried again. (An instance is marked ready in [`ready`].)

use std::collections::HashSet;

use jiff::Timestamp;

use super::answer::Handout;
use super::ready::{self, Marked};
use super::{completion, retell};
use crate::instance::Status;
use crate::kind::Kind;
use crate::license::License;
use crate::settings::Settings;
use crate::store::pages::{JobPlace, JobsShown, Next};
use crate::store::{Cause, JobRow, StoreError, Subject, Tx};

/// What became of a licence that was given.
#[derive(Debug)]
pub enum Issued {
    /// It is issued, for an instance of this kind. Where the instance became ready by it, these operations ended.
    Done(Kind, Vec<i64>),
    /// It was issued before.
    Already,
    /// There is none.
    Unknown,
    /// It cannot be handed out: why.
    Unfit(String),
    /// Its instance stands elsewhere.
    Is(Status),
}

/// Gives the licence number `number` that was asked for.
///
/// # Errors
/// When the rows cannot be read or written.
pub fn issue(
    tx: &Tx<'_>,
    settings: &Settings,
    number: i64,
    license: &License,
    note: &str,
) -> Result<Issued, StoreError> {
    let Some(requested) = tx.license(number)? else { return Ok(Issued::Unknown) };
    let Some(instance) = tx.instance_by_row(requested.instance)? else { return Ok(Issued::Unknown) };
    if requested.issued_at.is_some() {
        return Ok(Issued::Already);
    }
    let handout = Handout { access: None, license: Some(license.clone()) };
    if let Err(problem) = super::check(&instance, &handout) {
        return Ok(Issued::Unfit(problem));
    }
    if instance.kind == Kind::License {
        let marked = ready::mark_ready(tx, settings, &instance.instance_id, handout, note)?;
        return Ok(match marked {
            Marked::Ready(ended) => Issued::Done(instance.kind, ended),
            Marked::Already => Issued::Already,
            Marked::Is(status) => Issued::Is(status),
            Marked::Unfit(problem) => Issued::Unfit(problem),
            Marked::Unknown => Issued::Unknown,
        });
    }
    if instance.life.status == Status::Released {
        return Ok(Issued::Is(instance.life.status));
    }
    let cause = Cause { exchange: None, job: None, note: Some(note) };
    let done = completion::issue(tx, &instance, &requested, license, cause, Timestamp::now())?;
    Ok(if done { Issued::Done(instance.kind, Vec::new()) } else { Issued::Already })
}

/// Makes what was given up, or waits for its next attempt, of a job's instance, tenant or order due at once; returns how
/// many jobs. Those of one subject belong together, because they are told in their order.
///
/// # Errors
/// When the rows cannot be read or written.
pub fn retry(tx: &Tx<'_>, job: &JobRow, now: Timestamp) -> Result<usize, StoreError> {
    match job.subject {
        Subject::Operation { instance, .. } => tx.retry_jobs(instance, now),
        Subject::Tenant(tenant) => retell::retry(tx, tenant, now),
        Subject::Order => tx.retry_order_query(job.row, now),
    }
}

/// How far [`retry_dead`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Jobs that are due now.
    pub jobs: usize,
    /// Where to go on; `None`: that was all.
    pub after: Option<JobPlace>,
}

/// Tries again what was given up, with `task` only jobs that do this and what belongs to the same subjects, at most
/// `limit` of them, after a place. One commit each: a running server answers between two of them.
///
/// # Errors
/// When the rows cannot be read or written.
pub fn retry_dead(
    tx: &Tx<'_>,
    task: Option<&str>,
    after: Option<JobPlace>,
    limit: i64,
    now: Timestamp,
) -> Result<Retried, StoreError> {
    let piece = tx.list_jobs(JobsShown::Dead, task, after, limit)?;
    let mut seen = HashSet::new();
    let mut jobs = 0;
    for job in &piece.rows {
        let subject = match job.subject {
            Subject::Operation { instance, .. } => (0, instance),
            Subject::Tenant(tenant) => (1, tenant),
            Subject::Order => (2, job.row),
        };
        // What the retry of an earlier row has revived is not dead any more.
        let is_dead = tx.job(job.row)?.is_some_and(|job| job.state == "dead");
        if is_dead && seen.insert(subject) {
            jobs += retry(tx, job, now)?;
        }
    }
    let after = match piece.next {
        Next::End => None,
        Next::More(place) | Next::Further(place) => Some(place),
    };
    Ok(Retried { jobs, after })
}
