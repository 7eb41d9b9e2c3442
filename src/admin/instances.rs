//! `/api/v1/instances`: what was sold.

use jiff::Timestamp;
use serde_json::json;

use super::call::Call;
use super::page::Piece;
use super::reply::{self, Problem};
use crate::fulfilment::answer::{Answer, Handout};
use crate::fulfilment::event::EventName;
use crate::fulfilment::ready::{Marked, mark_ready};
use crate::http::Reply;
use crate::kind::Kind;
use crate::operation::Environment;
use crate::store::{InstanceFilter, InstanceRow};
use crate::view;

/// `GET /api/v1/instances`: instances and authorisation codes, newest first.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let filter = InstanceFilter {
        status: call.parsed("status")?,
        order_id: call.text("order").map(str::to_owned),
        environment: Some(Environment::of_test_flag(call.flag("test")?.unwrap_or(false))),
    };
    let piece = Piece::<i64>::read(call, 50, "before")?;
    let rows = call.context.store.read(|tx| tx.instances(&filter, piece.from, piece.rows()))?;
    piece.reply("instances", &rows, |row: &InstanceRow| row.row, view::instance::listed)
}

/// `GET /api/v1/instances/{instanceId}`: one with its history and its jobs.
pub(super) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = Wanted::read(call)?;
    let (history, jobs, row) = call.context.store.read(|tx| {
        Ok(match wanted.among(tx.instances_named(&wanted.instance_id)?) {
            Ok(row) => Ok((tx.history(row.row)?, tx.jobs_of(row.row)?, row)),
            Err(problem) => Err(problem),
        })
    })??;
    Ok(reply::ok(&view::instance::shown(&row, &history, &jobs)))
}

/// `POST /api/v1/instances/{instanceId}/ready`: the application reports that a creation it answered "pending" is finished.
pub(super) fn ready(call: &Call<'_>) -> Result<Reply, Problem> {
    let handout = read_handout(&call.request.body).map_err(Problem::bad_request)?;
    let (id, settings) = (call.path("instanceId").to_owned(), call.context.dispatcher.settings());
    let note = "reported by the application";
    match call.context.store.write(None, move |tx| mark_ready(tx, &settings, &id, handout.clone(), note))? {
        Marked::Ready(operations) => operations.into_iter().for_each(|operation| call.context.waiters.ended(operation)),
        Marked::Already => {}
        Marked::Unfit(problem) => return Err(Problem::bad_request(problem)),
        Marked::Unknown => return Err(no_instance()),
        Marked::Is(status) => return Err(Problem::conflict(format!("the instance is {status}"))),
    }
    Ok(reply::ok(&json!({ "instanceId": call.path("instanceId"), "status": "active" })))
}

/// `POST /api/v1/instances/{instanceId}/retry`: what failed or waits for its next attempt is due at once.
pub(super) fn retry(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = Wanted::read(call)?;
    let retried = call.context.store.write(None, move |tx| {
        Ok(match wanted.among(tx.instances_named(&wanted.instance_id)?) {
            Ok(instance) => Ok(tx.retry_jobs(instance.row, Timestamp::now())?),
            Err(problem) => Err(problem),
        })
    })??;
    call.context.bell.ring();
    Ok(reply::ok(&json!({ "instanceId": call.path("instanceId"), "retried": retried })))
}

/// Which of the instances that share an id is meant. Ids are one's own only within a kind and an environment.
struct Wanted {
    instance_id: String,
    kind: Option<Kind>,
    environment: Option<Environment>,
}

impl Wanted {
    /// From the path and the parameters `kind` and `test`.
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        let environment = call.flag("test")?.map(Environment::of_test_flag);
        Ok(Self { instance_id: call.path("instanceId").to_owned(), kind: call.parsed("kind")?, environment })
    }

    /// A real instance comes before a test one of the same id. Between kinds there is no such order, and a guess could
    /// show or try again what nobody meant.
    fn among(&self, mut rows: Vec<InstanceRow>) -> Result<InstanceRow, Problem> {
        rows.retain(|row| self.kind.is_none_or(|kind| row.kind == kind));
        let has_real = rows.iter().any(|row| row.environment == Environment::Real);
        let environment = self.environment.unwrap_or(Environment::of_test_flag(!has_real));
        rows.retain(|row| row.environment == environment);
        match rows.pop() {
            None => Err(no_instance()),
            Some(row) if rows.is_empty() => Ok(row),
            Some(last) => {
                let kinds: Vec<_> = rows.iter().chain([&last]).map(|row| format!("kind={}", row.kind)).collect();
                Err(Problem::conflict(format!("several instances have this id; say which: {}", kinds.join(" or "))))
            }
        }
    }
}

fn no_instance() -> Problem {
    Problem::not_found("no such instance")
}

fn read_handout(body: &[u8]) -> Result<Handout, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Handout::default());
    }
    match Answer::parse(EventName::InstanceCreate, body) {
        Ok(Answer::Ready(handout)) => Ok(handout),
        Ok(_) => Err("\"status\" must be \"ready\" here".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}
