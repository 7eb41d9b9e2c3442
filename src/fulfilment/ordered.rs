//! Orders that jobs read first, and creations that no application is told of: what one transaction does.
//!
//! What KooGallery tells of an order is kept, describes the instance, and goes into the event and the change of the job
//! that asked for it, in one commit. A crash before it asks again, a crash after it finds everything. How an order is got
//! lives with the job runner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::completion::{self, Retry};
use super::event::{Change as EventChange, Event, InstanceFacts, OrderTold, RenewScene, Renewal};
use super::{AttemptResult, Begun, begin, stored_event};
use crate::alert::{self, Alarm};
use crate::instance::{Change, Status};
use crate::protocol::open_api::order::Order;
use crate::settings::Settings;
use crate::store::{Cause, Described, InstanceRow, JobRow, OrderWanted, StoreError, Subject, Tx};

/// An order for a job.
#[derive(Debug, Clone)]
pub struct Told {
    /// The order.
    pub order: Order,
    /// Its `orderInfo` as KooGallery has just told it; `None`: it is kept already.
    pub info: Option<Value>,
}

/// How a job goes on when its order has been read.
#[derive(Debug)]
pub enum Step {
    /// With what it is for; this is how it stands now.
    GoOn(Box<JobRow>),
    /// It has ended: there was nothing to do but to read the order.
    Ended,
    /// The attempt has failed.
    Failed(String),
}

/// Records the order of a job, for attempt number `attempt` of it. Without one (`None`) the job goes on with the ids only.
///
/// # Errors
/// When the rows cannot be read or written.
pub fn record(
    tx: &Tx<'_>,
    settings: &Settings,
    (job, attempt): (i64, u32),
    told: Option<&Told>,
    now: Timestamp,
) -> Result<Step, StoreError> {
    if let Some(Told { order, info: Some(info) }) = told {
        tx.put_order(order, info, now)?;
    }
    // What is said here is not listed: the end of such an attempt does not count.
    let given_away = || Ok(Step::Failed("the attempt was given away".to_owned()));
    let Some(job) = tx.running_job(job, attempt)? else { return given_away() };
    let (Some(wanted), Subject::Operation { instance, operation }) = (&job.order, job.subject) else {
        return given_away();
    };
    if tx.is_overtaken_by_release(&job)? {
        return Ok(Step::Failed("the instance was released".to_owned()));
    }
    let Some(instance) = tx.instance_by_row(instance)? else { return given_away() };
    let matched = match told.map(|told| matched(&told.order, wanted)).transpose() {
        Ok(matched) => matched,
        Err(problem) => return Ok(Step::Failed(problem)),
    };
    let note = format!("as order {:?} tells", wanted.order_id);
    let exchange = tx.operation(operation)?.and_then(|operation| operation.known_first_exchange());
    let cause = Cause { exchange, job: Some(job.row), note: Some(&note) };
    let reading = Reading { tx, settings, job: &job, cause, now };
    let event = stored_event(tx, &job)?;
    match &event.change {
        EventChange::InstanceRenew(Renewal { scene: RenewScene::ServiceSupervision, .. }) => {
            reading.supervise(&instance, event, matched)
        }
        _ => reading.describe(&instance, event, matched),
    }
}

/// Does for a creation what its product says, where that is nothing for an application; the end of attempt number
/// `attempt` of its job. It is done as in the transaction of a call, but for failures: nobody needs to call again.
///
/// # Errors
/// When the rows cannot be read or written.
pub fn fulfil(
    tx: &Tx<'_>,
    settings: &Settings,
    (job, attempt): (i64, u32),
    retry: Retry,
    now: Timestamp,
) -> Result<(), StoreError> {
    let result = match tx.running_job(job, attempt)? {
        Some(job) => made(tx, settings, &job, now)?,
        None => Some(AttemptResult::Failed("the attempt was given away".to_owned())),
    };
    match result {
        Some(result) => completion::record(tx, job, attempt, result, retry, now),
        None => tx.end_job(job, "done", None, now),
    }
}

/// The line and the billing item that a call is about.
fn matched<'o>(order: &'o Order, wanted: &OrderWanted) -> Result<OrderTold<'o>, String> {
    let line = order.line(wanted.order_line_id.as_deref());
    let line = line.map_err(|fault| format!("order {:?}: {fault}", wanted.order_id))?;
    let product = line.product(wanted.product_id.as_deref());
    if let (None, Some(named)) = (product, &wanted.product_id) {
        log::warn!("order {:?} has no product {named:?}, which a call names; the call counts", wanted.order_id);
    }
    Ok(OrderTold { order, line, product })
}

/// A job whose order is there.
struct Reading<'a> {
    tx: &'a Tx<'a>,
    settings: &'a Settings,
    job: &'a JobRow,
    cause: Cause<'a>,
    now: Timestamp,
}

impl Reading<'_> {
    /// The order describes what was created or changed.
    fn describe(&self, instance: &InstanceRow, event: Event, told: Option<OrderTold<'_>>) -> Result<Step, StoreError> {
        let mut change = completion::stored_change(self.job)?;
        let (mut instance, mut event) = (instance.clone(), event);
        if let Some(told) = told {
            let described = described(&event, &mut change, told);
            instance = self.tx.describe(&instance, described, self.cause, self.now)?;
            let earlier = match event.change {
                EventChange::InstanceUpgrade(_) => self.told_before(instance.row)?,
                _ => Vec::new(),
            };
            event = event.with_order(told, &earlier);
        }
        let Some(product) = self.settings.product_of(&instance) else { return Ok(self.no_product(&instance)) };
        self.read(&event, change.as_ref())?;
        if product.application().is_none() && change.is_none() {
            // Nobody is to be told, and what the call asked for has happened.
            return self.end();
        }
        self.go_on()
    }

    /// The purchase call came again: dates that the order has now and had not before are applied, unless a renewal has
    /// overruled them (spec 1-basic-v2 §9 d).
    fn supervise(
        &self,
        instance: &InstanceRow,
        mut event: Event,
        told: Option<OrderTold<'_>>,
    ) -> Result<Step, StoreError> {
        let end = told.and_then(|told| told.line.expire_time).filter(|end| instance.life.expire_time != Some(*end));
        let (Some(told), Some(end), Some(_)) = (told, end, &instance.terms) else { return self.end() };
        let Some(product) = self.settings.product_of(instance) else { return Ok(self.no_product(instance)) };
        let terms = BTreeMap::from([("expireTime".to_owned(), format!("{end:.0}"))]);
        let change = Change::Supervise { expire_time: Some(end), terms };
        let after = self.tx.apply(instance, &change, self.cause, self.now)?;
        event.change = EventChange::InstanceRenew(Renewal {
            scene: RenewScene::ServiceSupervision,
            expire_time: Some(end),
            previous_expire_time: instance.life.expire_time,
            terms: BTreeMap::new(),
        });
        event.instance = Some(InstanceFacts { status: after.life.status, expire_time: Some(end) });
        self.read(&event.with_order(told, &[]), None)?;
        if product.application().is_none() { self.end() } else { self.go_on() }
    }

    /// What the application was told of the instance last, the newest first.
    fn told_before(&self, instance: i64) -> Result<Vec<Event>, StoreError> {
        let jobs = self.tx.orders_told_before(instance, self.job.row)?;
        jobs.iter().map(|job| stored_event(self.tx, job)).collect()
    }

    fn read(&self, event: &Event, change: Option<&Change>) -> Result<(), StoreError> {
        let change = change.map(completion::change_to_store);
        self.tx.set_order_read(self.job, &event.to_json(), change.as_deref())
    }

    fn end(&self) -> Result<Step, StoreError> {
        self.tx.end_job(self.job.row, "done", None, self.now)?;
        Ok(Step::Ended)
    }

    fn go_on(&self) -> Result<Step, StoreError> {
        let job = self.tx.running_job(self.job.row, self.job.attempt)?;
        Ok(job.map_or(Step::Ended, |job| Step::GoOn(Box::new(job))))
    }

    /// The order stays to be read: the configuration can be mended, and then the next attempt looks again.
    fn no_product(&self, instance: &InstanceRow) -> Step {
        let (life, id) = (&instance.life, &instance.instance_id);
        let (product_id, sku_code) = (life.product_id.as_deref(), life.sku_code.as_deref());
        let problem = format!(
            "no [[product]] entry matches product {product_id:?}, sku {sku_code:?} of kind {}; add one and reload (SIGHUP)",
            instance.kind
        );
        log::error!("ALERT job {}: {} for instance {id:?}: {problem}", self.job.row, self.job.task);
        alert::raise(Alarm::NoProduct {
            product_kind: instance.kind.to_string(),
            product_id: life.product_id.clone(),
            sku_code: life.sku_code.clone(),
        });
        Step::Failed(problem)
    }
}

/// What the order says of the instance now; what waits for the application goes into `change` instead.
fn described(event: &Event, change: &mut Option<Change>, told: OrderTold<'_>) -> Described {
    let product_id = told.product.and_then(|product| product.product_id.clone());
    let sku_code = told.product.and_then(|product| product.sku_code.clone());
    let charging_mode = told.line.charging_mode.clone();
    match (change, &event.change) {
        (Some(Change::Upgrade { product_id: product, sku_code: sku }), _) => {
            (*product, *sku) = (product_id, sku_code);
            Described::default()
        }
        (Some(Change::Renew { product_id: product, sku_code: sku, .. }), _) => {
            (*product, *sku) = (product_id.or(product.take()), sku_code);
            Described { charging_mode, ..Described::default() }
        }
        (_, EventChange::InstanceCreate) => {
            Described { product_id, sku_code, charging_mode, expire_time: told.line.expire_time }
        }
        // A call has set the date, and an upgrade leaves alone how the instance is charged.
        (_, EventChange::InstanceRenew(_)) => Described { product_id, sku_code, charging_mode, ..Described::default() },
        _ => Described { product_id, sku_code, ..Described::default() },
    }
}

/// What became of a creation; `None`: the operator finishes it.
fn made(tx: &Tx<'_>, settings: &Settings, job: &JobRow, now: Timestamp) -> Result<Option<AttemptResult>, StoreError> {
    let failed = |problem: String| Ok(Some(AttemptResult::Failed(problem)));
    let Subject::Operation { instance, .. } = job.subject else { return failed("it is about no instance".to_owned()) };
    let instance = tx.instance_by_row(instance)?.filter(|instance| instance.life.status == Status::Creating);
    let is_wanted = !tx.is_overtaken_by_release(job)?;
    let Some(instance) = instance.filter(|_| is_wanted) else {
        return failed("the instance is not being created any more".to_owned());
    };
    let Some(product) = settings.product_of(&instance) else {
        return failed("no [[product]] entry matches the instance's product any more".to_owned());
    };
    let id = &instance.instance_id;
    match begin(tx, product, &instance, None, now)? {
        Begun::Ready(handout) => Ok(Some(AttemptResult::Ready(handout))),
        Begun::Operator => {
            log::warn!("ALERT instance {id} waits for the operator: koogate instance ready {id} --front-end-url …");
            Ok(None)
        }
        Begun::NoStock { stock } => {
            log::error!("ALERT stock {stock:?} is empty: instance {id} waits; `koogate stock import` adds more");
            failed(format!("stock {stock:?} is empty"))
        }
        Begun::Misconfigured(problem) => {
            log::error!("ALERT instance {id}: {problem}");
            alert::raise(Alarm::Misconfigured { about: id.clone() });
            failed(problem)
        }
        Begun::Application => failed("the product has an application now".to_owned()),
    }
}
