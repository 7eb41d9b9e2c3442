//! Jobs, and trying them again: those of one instance, tenant or order, or all that were given up.

use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::fulfilment::by_hand;
use crate::http::Reply;
use crate::page::jobs::{self, Asked};
use crate::page::trouble::Trouble;
use crate::page::{form, instance, place, words};
use crate::store::pages::JobsShown;
use crate::store::{JobRow, StoreError, Subject, Tx};
use crate::view;

/// Jobs that were given up are tried again so many in one commit.
const AT_ONCE: i64 = 100;

/// `GET /jobs`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (state, task) = (visit.text("state").unwrap_or("dead"), visit.text("task"));
    let shown = match state {
        "dead" => JobsShown::Dead,
        "failing" => JobsShown::Failing,
        "waiting" => JobsShown::Waiting,
        "running" => JobsShown::Running,
        "all" => JobsShown::All,
        _ => {
            let message = words("参数 state 无效。", "The parameter state is dead, failing, waiting, running or all.");
            return Err(Trouble::BadRequest(message).into());
        }
    };
    let after = list::place(visit)?;
    let read = |tx: &Tx<'_>| Ok((tx.list_jobs(shown, task, after, ROWS)?, tx.count_dead_jobs(task)?));
    let (piece, dead) = visit.context.store.read(read)?;
    let asked = Asked { state, task: task.unwrap_or_default() };
    let next = list::continued(visit, &piece.next, |more| {
        let own = [("state", state), ("task", task.unwrap_or_default())];
        form::address("/jobs", &own.iter().chain(more).copied().collect::<Vec<_>>())
    });
    Ok(visit.page(Some(place::JOBS), &jobs::TITLE, |view| jobs::body(view, &asked, dead, &piece.rows, &next)))
}

/// Which jobs belong together.
#[derive(Debug, Clone)]
enum Which {
    Job(i64),
    Instance(i64),
    Tenant(String),
}

impl Which {
    /// The jobs that a retry would make due, oldest first: those of the same subject that were given up or wait.
    fn jobs(&self, tx: &Tx<'_>) -> Result<Vec<JobRow>, StoreError> {
        let mut jobs = match self {
            Self::Instance(instance) => tx.jobs_of(*instance)?,
            Self::Tenant(id) => match tx.tenant(id)? {
                Some(tenant) => tx.jobs_of_tenant(tenant.row, view::tenant::SHOWN_JOBS)?,
                None => Vec::new(),
            },
            Self::Job(row) => match tx.job(*row)? {
                Some(job) => match job.subject {
                    Subject::Operation { instance, .. } => tx.jobs_of(instance)?,
                    Subject::Tenant(tenant) => {
                        let mut jobs = tx.jobs_of_tenant(tenant, view::tenant::SHOWN_JOBS)?;
                        if jobs.iter().all(|other| other.row != job.row) {
                            jobs.insert(0, job);
                        }
                        jobs
                    }
                    Subject::Order => vec![job],
                },
                None => Vec::new(),
            },
        };
        jobs.retain(|job| job.state == "dead" || job.state == "waiting");
        Ok(jobs)
    }
}

fn seen(jobs: &[JobRow]) -> String {
    list::digest_of(jobs.iter().map(|job| format!("{} {} {}", job.row, job.state, job.attempt)))
}

/// `GET /jobs/{job}/retry`
pub(in crate::admin) fn ask_retry(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let job = list::number(visit, "job")?;
    ask(visit, &Which::Job(job), &format!("/jobs/{job}/retry"), "/jobs")
}

/// `POST /jobs/{job}/retry`
pub(in crate::admin) fn retry(visit: &Visit<'_>) -> Result<Reply, Fault> {
    act(visit, Which::Job(list::number(visit, "job")?), "/jobs")
}

/// `GET /instances/{instance}/retry`
pub(in crate::admin) fn ask_retry_instance(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row = list::number(visit, "instance")?;
    ask(visit, &Which::Instance(row), &format!("/instances/{row}/retry"), &format!("/instances/{row}"))
}

/// `POST /instances/{instance}/retry`: what `koogate instance retry` does.
pub(in crate::admin) fn retry_instance(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row = list::number(visit, "instance")?;
    act(visit, Which::Instance(row), &format!("/instances/{row}"))
}

/// `GET /tenants/{tenant}/retry`
pub(in crate::admin) fn ask_retry_tenant(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let path = format!("/tenants/{}", form::segment(visit.path("tenant")));
    ask(visit, &Which::Tenant(visit.path("tenant").to_owned()), &format!("{path}/retry"), &path)
}

/// `POST /tenants/{tenant}/retry`: what `koogate tenant retry` does.
pub(in crate::admin) fn retry_tenant(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let path = format!("/tenants/{}", form::segment(visit.path("tenant")));
    act(visit, Which::Tenant(visit.path("tenant").to_owned()), &path)
}

fn ask(visit: &Visit<'_>, which: &Which, action: &str, back: &str) -> Result<Reply, Fault> {
    let jobs = visit.context.store.read(|tx| which.jobs(tx))?;
    let Some(job) = jobs.last() else { return Err(nothing_to_retry()) };
    let (about, seen) = (job.subject_id.clone(), seen(&jobs));
    let title = words("重试任务", "Retry jobs");
    Ok(visit.page(Some(place::JOBS), &title, |view| instance::retry_question(view, &about, &jobs, action, back, &seen)))
}

fn act(visit: &Visit<'_>, which: Which, back: &str) -> Result<Reply, Fault> {
    let (given, now) = (visit.field("seen").unwrap_or_default().to_owned(), visit.now);
    let deed = Deed::new(visit, "retry", "");
    let retried = visit.context.store.write(None, move |tx| {
        let jobs = which.jobs(tx)?;
        let Some(job) = jobs.last().filter(|_| seen(&jobs) == given) else { return Ok(None) };
        let retried = by_hand::retry(tx, job, now)?;
        deed.clone().about(&job.subject_id).with(format!("{retried} jobs")).record(tx)?;
        Ok(Some(retried))
    })?;
    let Some(retried) = retried else { return Err(list::changed_meanwhile()) };
    visit.context.bell.ring();
    Ok(visit.go_on(back, outcome(retried)))
}

fn outcome(retried: usize) -> Option<crate::page::Flash> {
    if retried > 0 {
        list::done(words(format!("{retried} 个任务已开始重试"), format!("Jobs that are due now: {retried}")))
    } else {
        list::not_done(words(
            "没有可重试的任务：已被后续操作取代",
            "There was nothing to try again: later work has overtaken it",
        ))
    }
}

fn nothing_to_retry() -> Fault {
    list::conflict("没有已放弃或等待中的任务。", "There is no job that was given up or waits.")
}

/// `GET /retry/jobs`
pub(in crate::admin) fn ask_retry_all(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let task = visit.text("task");
    let (dead, seen) = visit.context.store.read(|tx| all_dead(tx, task))?;
    if dead == 0 {
        return Err(nothing_to_retry());
    }
    let title = words("重试全部已放弃的任务", "Retry all jobs that were given up");
    Ok(visit
        .page(Some(place::JOBS), &title, |view| jobs::retry_all_question(view, dead, task.unwrap_or_default(), &seen)))
}

/// How many jobs were given up, and what tells whether these very ones still are: another set of the same size is another.
fn all_dead(tx: &Tx<'_>, task: Option<&str>) -> Result<(i64, String), StoreError> {
    let (mut count, mut seen) = (0, list::Seen::default());
    tx.each_dead_job(task, |row, attempt| {
        count += 1;
        seen.add(format_args!("{row} {attempt}"));
    })?;
    Ok((count, seen.digest()))
}

/// `POST /retry/jobs`
pub(in crate::admin) fn retry_all(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (task, now, store) = (visit.field("task").map(str::to_owned), visit.now, &visit.context.store);
    let given = visit.field("seen").unwrap_or_default();
    // Looked at by a reader: with very many the writer is not held up.
    if store.read(|tx| all_dead(tx, task.as_deref()))?.1 != given {
        return Err(list::changed_meanwhile());
    }
    let deed = Deed::new(visit, "retry", "all jobs that were given up").with(task.clone().unwrap_or_default());
    store.write(None, move |tx| deed.record(tx))?;
    let (mut retried, mut after) = (0, None);
    loop {
        let task = task.clone();
        let part = store.write(None, move |tx| by_hand::retry_dead(tx, task.as_deref(), after, AT_ONCE, now))?;
        retried += part.jobs;
        after = part.after;
        if after.is_none() {
            break;
        }
    }
    visit.context.bell.ring();
    Ok(visit.go_on("/jobs", outcome(retried)))
}
