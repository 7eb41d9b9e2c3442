//! Orders for jobs: from the record where it is young enough, else from KooGallery, once an attempt.
//!
//! What an order does to its job is one transaction, in [`ordered`]; when an attempt is made again is the runner's
//! business.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Attempt, Shared};
use crate::alert::{self, Alarm};
use crate::backoff;
use crate::config::OrderQuery;
use crate::fault;
use crate::fulfilment::AttemptResult;
use crate::fulfilment::ordered::{self, Step, Told};
use crate::open_api::Patience;
use crate::open_api::error::{Again, OpenApiError};
use crate::protocol::open_api::order::Order;
use crate::store::{JobRow, ORDER_QUERY, OrderWanted, Store, StoreError};

/// A clock that is set while it runs may go back by so much and no doubt arises.
const AHEAD: Duration = Duration::from_secs(60);

/// An order that is kept counts for a job that was added so much later at most: it was announced, or it has several lines
/// that are bought one after another.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// A job that has waited so long goes on without an order that KooGallery tells, but not so that it is of use: without
/// the line that is wanted, say. KooGallery refunds what is not opened in a few hours.
const USELESS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What can be had of an order.
enum Found {
    /// It.
    Order(Box<Told>),
    /// Nothing but its ids, ever. `Some`: KooGallery will not tell it; `None`: it is not to be asked any more.
    IdsOnly(Option<OpenApiError>),
    /// Not now.
    NotNow(AttemptResult),
}

/// How a job goes on.
pub(super) enum Next {
    /// With what it is for; this is how it stands now.
    GoOn(Box<JobRow>),
    /// Not at all, or not yet.
    Stop(Attempt),
}

/// Reads the order of a job.
pub(super) fn read_first(shared: &Shared, job: &JobRow, wanted: &OrderWanted) -> Next {
    let settings = shared.dispatcher.settings();
    let told = match find(shared, job, wanted, KEPT_FOR) {
        Found::Order(told) => Some(*told),
        Found::IdsOnly(reason) => {
            let (row, task, id, order) = (job.row, &job.task, &job.subject_id, &wanted.order_id);
            match reason {
                Some(error) => {
                    log::error!(
                        "ALERT job {row}: {task} for instance {id} goes on without what was ordered: order {order:?}: \
                         {error}"
                    );
                    alert::raise(Alarm::OrderUnread { instance_id: id.clone(), order_id: order.clone() });
                }
                None => {
                    log::info!("job {row}: {task} for instance {id} goes on without order {order:?}: it is not read")
                }
            }
            None
        }
        Found::NotNow(result) => return Next::Stop(Attempt::Ends(result)),
    };
    let attempt = (job.row, job.attempt);
    let recorded =
        shared.store.write(None, move |tx| ordered::record(tx, &settings, attempt, told.as_ref(), Timestamp::now()));
    fault::point("ordered");
    let failed = |problem| Next::Stop(Attempt::Ends(AttemptResult::Failed(problem)));
    match recorded {
        Ok(Step::GoOn(job)) => Next::GoOn(job),
        Ok(Step::Ended) => Next::Stop(Attempt::Ended),
        Ok(Step::Failed(problem)) => failed(problem),
        Err(error) => failed(error.to_string()),
    }
}

/// Reads an order that was announced, and keeps it. There is nothing else to do.
pub(super) fn keep(shared: &Shared, job: &JobRow) -> Attempt {
    let Some(wanted) = &job.order else { return Attempt::Ended };
    // As it is now: an announcement may be about a change of the order.
    let told = match find(shared, job, wanted, SignedDuration::ZERO) {
        Found::Order(told) => Some(told),
        Found::IdsOnly(reason) => {
            if let Some(error) = reason {
                log::warn!("order {:?} was announced, but cannot be read: {error}", wanted.order_id);
            }
            None
        }
        Found::NotNow(result) => return Attempt::Ends(result),
    };
    let row = job.row;
    let kept = shared.store.write(None, move |tx| {
        if let Some(told) = &told
            && let Some(info) = &told.info
        {
            tx.put_order(&told.order, info, Timestamp::now())?;
        }
        tx.remove_job(row)
    });
    match kept {
        Ok(()) => Attempt::Ended,
        Err(error) => Attempt::Ends(AttemptResult::Failed(error.to_string())),
    }
}

/// Finds an order: in the record if it was told so long before the job at most, else at KooGallery.
fn find(shared: &Shared, job: &JobRow, wanted: &OrderWanted, kept_for: SignedDuration) -> Found {
    let settings = shared.dispatcher.settings();
    let Some((open_api, mode)) = settings.order_query() else { return Found::IdsOnly(None) };
    let since = job.created_at.checked_sub(kept_for).unwrap_or(Timestamp::MIN);
    match kept(&shared.store, wanted, since) {
        Ok(Some(order)) => return Found::Order(Box::new(Told { order, info: None })),
        Ok(None) => {}
        Err(error) => return Found::NotNow(AttemptResult::Failed(error.to_string())),
    }
    let goes_on = mode != OrderQuery::Required && Timestamp::now().duration_since(job.created_at) > USELESS_FOR;
    let error = match open_api.order(&shared.store, &wanted.order_id, Patience::Once) {
        Ok((info, order)) => match order.line(wanted.order_line_id.as_deref()) {
            Err(fault) if goes_on && job.task != ORDER_QUERY => {
                OpenApiError::Order { order_id: wanted.order_id.clone(), fault }
            }
            _ => return Found::Order(Box::new(Told { order, info: Some(info) })),
        },
        Err(error) => error,
    };
    match error.again() {
        _ if goes_on && matches!(error, OpenApiError::Order { .. }) => Found::IdsOnly(Some(error)),
        // The gateway knows nothing of orders: what it minds may pass, or be mended.
        Again::Never if mode != OrderQuery::Required && (goes_on || !is_of_gateway(&error)) => {
            Found::IdsOnly(Some(error))
        }
        Again::NotBefore(until) => Found::NotNow(AttemptResult::Postponed { until, reason: error.to_string() }),
        Again::Later | Again::Never => Found::NotNow(AttemptResult::Failed(error.to_string())),
    }
}

fn is_of_gateway(error: &OpenApiError) -> bool {
    error.refusal().is_some_and(|refusal| !refusal.is_beyond_gateway())
}

/// An order in the record that was told since, with the line that is wanted.
fn kept(store: &Store, wanted: &OrderWanted, since: Timestamp) -> Result<Option<Order>, StoreError> {
    let Some((row, info)) = store.read(|tx| tx.order(&wanted.order_id))? else { return Ok(None) };
    let order = Order::read(Some(&info), &wanted.order_id).ok();
    // One told in the future was told by a clock that was wrong.
    let is_told_since = row.fetched_at >= since && row.fetched_at <= backoff::after(Timestamp::now(), AHEAD);
    Ok(order.filter(|order| is_told_since && order.line(wanted.order_line_id.as_deref()).is_ok()))
}
