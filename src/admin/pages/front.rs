//! The first page.

use super::super::health;
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::operation::Environment;
use crate::page::front::{self, Front, Machine, Sold};
use crate::page::place;
use crate::store::{InstanceFilter, InstanceRow};

/// So many of what was sold last are shown.
const SOLD: i64 = 8;

/// `GET /`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let filter = InstanceFilter { environment: Some(Environment::Real), ..InstanceFilter::default() };
    let sold = visit.context.store.read(|tx| tx.instances(&filter, None, SOLD))?;
    let front = Front { sold: sold.into_iter().map(shown).collect(), machine: machine(visit)?, ..Front::default() };
    Ok(visit.page(Some(place::FRONT), &front::TITLE, |view| front::body(view, &front)))
}

fn machine(visit: &Visit<'_>) -> Result<Machine, Fault> {
    let context = visit.context;
    let snapshot = context.ages.snapshot();
    let settings = context.dispatcher.settings();
    Ok(Machine {
        not_ready: health::not_ready(context),
        snapshot: Some((snapshot.behind, snapshot.limit)),
        certificate: context.tls.as_ref().map(|tls| tls.identity().not_after()),
        clock: settings.open_api.as_ref().and_then(|client| client.clock_difference()),
        refused: context.dispatcher.refused().total(),
        schema: context.store.version()?,
    })
}

fn shown(instance: InstanceRow) -> Sold {
    Sold {
        instance_id: instance.instance_id,
        order_id: instance.order_id,
        product_id: instance.life.product_id,
        status: instance.life.status.as_str().to_owned(),
        at: instance.created_at,
    }
}
