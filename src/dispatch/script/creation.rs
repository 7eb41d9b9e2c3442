//! A call that creates an instance.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Script, Step, supervision};
use crate::alert::{self, Alarm};
use crate::dispatch::events;
use crate::fulfilment::answer::Handout;
use crate::fulfilment::{self, Begun};
use crate::instance::{Change, Status};
use crate::kind::Kind;
use crate::operation::{Environment, Identity, Next, State};
use crate::protocol::call::{Outcome, Terms};
use crate::protocol::result_code::ResultCode;
use crate::settings::{Product, TestCalls};
use crate::store::{InstanceRow, NewInstance, NewLicense, OperationRow, OrderWanted, StoreError};

/// Documented maximum of `instanceId`, in characters.
const MAX_INSTANCE_ID: usize = 64;

/// What a creation asks for.
pub(super) struct Wanted<'a> {
    pub(super) product_id: Option<&'a str>,
    pub(super) sku_code: Option<&'a str>,
    pub(super) expire_time: Option<Timestamp>,
    pub(super) terms: Option<&'a Terms>,
}

impl Script<'_> {
    pub(super) fn create(&mut self, identity: &Identity, wanted: &Wanted<'_>) -> Result<Step, StoreError> {
        let recorded = self.tx.operation_of(identity, self.conversation.key.id())?;
        match self.next(recorded.as_ref())? {
            Next::Run => self.begin_creation(identity, recorded, wanted),
            Next::Replay => self.repeat_creation(recorded, wanted.terms),
            next => self.answer_from(next, recorded),
        }
    }

    fn begin_creation(
        &mut self,
        identity: &Identity,
        recorded: Option<OperationRow>,
        wanted: &Wanted<'_>,
    ) -> Result<Step, StoreError> {
        let instance = recorded.as_ref().map(|operation| self.instance_of(operation)).transpose()?;
        if let (Some(operation), Some(instance)) = (&recorded, &instance)
            && let Some(step) = self.beyond_creating(operation, instance)?
        {
            return Ok(step);
        }
        let wants_order = self.conversation.order_wanted(self.call, wanted.product_id);
        if let Some(order) = wants_order.filter(|_| self.conversation.settings.sells(self.call.kind)) {
            return self.create_by_order(identity, recorded, instance, wanted, order);
        }
        let life = instance.as_ref().map(|instance| &instance.life);
        let product_id = life.and_then(|life| life.product_id.as_deref()).or(wanted.product_id);
        let sku_code = life.and_then(|life| life.sku_code.as_deref()).or(wanted.sku_code);
        let settings = Arc::clone(&self.conversation.settings);
        let product = settings.product_for(self.call.kind, product_id, sku_code);
        // Test calls must succeed, whatever is configured.
        let is_test = self.call.environment == Environment::Test;
        let product = product.filter(|product| !is_test || product.test_calls() == TestCalls::Forward);
        if product.is_none() && !is_test {
            return self.no_product(product_id, sku_code);
        }
        let (instance, handout) = match instance {
            Some(instance) => (instance, None),
            None => self.new_instance(wanted, product)?,
        };
        if handout.is_some() {
            let operation = self.operation(recorded, identity, &instance, State::Done)?;
            return self.created(&operation, &instance, wanted, handout);
        }
        let Some(product) = product else {
            let operation = self.operation(recorded, identity, &instance, State::Done)?;
            return self.created(&operation, &instance, wanted, None);
        };
        self.fulfil(identity, recorded, &instance, product, wanted)
    }

    /// What was bought is known once the order has been read: only then is the instance made in the way its product says.
    fn create_by_order(
        &mut self,
        identity: &Identity,
        recorded: Option<OperationRow>,
        instance: Option<InstanceRow>,
        wanted: &Wanted<'_>,
        order: OrderWanted,
    ) -> Result<Step, StoreError> {
        let instance = match instance {
            Some(instance) => instance,
            None => self.new_instance(wanted, None)?.0,
        };
        let operation = self.operation(recorded, identity, &instance, State::Open)?;
        let event = events::creation(self.call, &instance, &operation.operation_id);
        self.add_job(&instance, &operation, &event, Some(&Change::Ready), Some(order))?;
        self.wait_for(operation.row)
    }

    /// Has the instance made in the way its product says.
    fn fulfil(
        &mut self,
        identity: &Identity,
        mut recorded: Option<OperationRow>,
        instance: &InstanceRow,
        product: &Product,
        wanted: &Wanted<'_>,
    ) -> Result<Step, StoreError> {
        let mut license = None;
        if instance.kind == Kind::License {
            // The licence is a row of its own from the start, and belongs to the operation.
            let operation = self.operation(recorded, identity, instance, State::Open)?;
            let new = NewLicense { instance: instance.row, operation: operation.row, request: None };
            license = Some(self.tx.request_license(&new, self.now)?);
            recorded = Some(operation);
        }
        let begun = fulfilment::begin(self.tx, product, instance, license, self.now)?;
        let state = if matches!(begun, Begun::Ready(_)) { State::Done } else { State::Open };
        let operation = self.operation(recorded, identity, instance, state)?;
        match begun {
            Begun::Ready(handout) => {
                if let (Some(license), Some(made)) = (license, &handout.license) {
                    self.tx.issue_license(license, made, self.now)?;
                }
                self.created(&operation, instance, wanted, Some(handout))
            }
            Begun::Application => {
                let event = events::creation(self.call, instance, &operation.operation_id);
                self.add_job(instance, &operation, &event, Some(&Change::Ready), None)?;
                self.wait_for(operation.row)
            }
            Begun::Operator => {
                let id = &instance.instance_id;
                let command = match license {
                    Some(license) => format!("koogate license issue {license} --text FILE"),
                    None => format!("koogate instance ready {id} --front-end-url …"),
                };
                log::warn!("ALERT instance {id} waits for the operator: {command}");
                self.provisional(&operation)
            }
            Begun::NoStock { stock } => {
                self.alert_empty_stock(&stock, ResultCode::NO_RESOURCE);
                self.fail(&operation, &Outcome::refusal(ResultCode::NO_RESOURCE, "no instance resource available"))
            }
            Begun::Misconfigured(problem) => {
                log::error!("ALERT {}: {problem}", self.conversation.title());
                alert::raise(Alarm::Misconfigured { about: instance.instance_id.clone() });
                self.fail(&operation, &Outcome::refusal(ResultCode::INTERNAL, "internal error"))
            }
        }
    }

    pub(super) fn alert_empty_stock(&self, stock: &str, code: ResultCode) {
        let title = self.conversation.title();
        log::error!("ALERT stock {stock:?} is empty: {title} fails with {code}; `koogate stock import` adds more");
    }

    /// A creation that failed earlier, or was never answered, while its instance went on: nothing is to be created.
    fn beyond_creating(
        &mut self,
        operation: &OperationRow,
        instance: &InstanceRow,
    ) -> Result<Option<Step>, StoreError> {
        match instance.life.status {
            Status::Creating => {
                // A release that waits for the application: what is created now would outlive it.
                let release = self.tx.open_status_change(instance.row)?;
                release.map(|release| self.after_operation(release, instance.row)).transpose()
            }
            Status::Active | Status::Frozen => {
                let result = Some((ResultCode::SUCCESS, "success"));
                self.tx.set_operation(operation.row, State::Done, result, self.now)?;
                let outcome = self.success(operation, instance, None)?;
                self.done(operation, &outcome).map(Some)
            }
            Status::Released => {
                let outcome = Outcome::refusal(ResultCode::INTERNAL, "the instance was released before it was ready");
                self.answer(&outcome, self.belongs(operation)).map(Some)
            }
        }
    }

    /// Finishes a creation in this transaction, whose operation is recorded as done.
    fn created(
        &mut self,
        operation: &OperationRow,
        instance: &InstanceRow,
        wanted: &Wanted<'_>,
        handout: Option<Handout>,
    ) -> Result<Step, StoreError> {
        if let Some(access) = handout.as_ref().and_then(|handout| handout.access.as_ref()) {
            self.tx.set_access(instance, access)?;
        }
        let cause = self.cause(None)?;
        let mut instance = match instance.life.status {
            Status::Creating => self.tx.apply(instance, &Change::Ready, cause, self.now)?,
            // It was recorded so.
            Status::Active | Status::Frozen | Status::Released => instance.clone(),
        };
        if let Some(terms) = wanted.terms.and_then(|told| self.new_terms(&instance, told)) {
            // An earlier call that failed named other dates.
            let change = Change::Supervise { expire_time: wanted.expire_time, terms };
            instance = self.tx.apply(&instance, &change, cause, self.now)?;
        }
        let outcome = self.success(operation, &instance, handout)?;
        self.done(operation, &outcome)
    }

    /// The id is the first call's businessId, as KooGallery recommends, unless somebody has it already or no query could
    /// name it. Where `product` needs nobody to make an instance, it is written as it is when it is ready, once, with what
    /// is to be handed out.
    fn new_instance(
        &mut self,
        wanted: &Wanted<'_>,
        product: Option<&Product>,
    ) -> Result<(InstanceRow, Option<Handout>), StoreError> {
        let call = self.call;
        let proposed = call.business_id.as_deref().filter(|id| can_be_queried(id));
        let instance_id = match proposed {
            Some(id) if self.tx.instance(call.environment, call.kind, id)?.is_none() => id.to_owned(),
            _ => Uuid::new_v4().to_string(),
        };
        // Also where nothing is said of them yet: that they are there says that a later call, or the order, may bring them.
        let by_order = self.conversation.order_wanted(call, wanted.product_id).map(|_| Terms::new());
        let terms = wanted.terms.cloned().or(by_order).as_ref().map(supervision::stored);
        let mut new = NewInstance {
            environment: call.environment,
            kind: call.kind,
            instance_id: &instance_id,
            order_id: call.order.as_ref().map(|order| order.order_id.as_str()),
            order_line_id: call.order.as_ref().and_then(|order| order.order_line_id.as_deref()),
            product_id: wanted.product_id,
            sku_code: wanted.sku_code,
            expire_time: wanted.expire_time,
            charging_mode: call.order.as_ref().and_then(|order| order.charging_mode.as_deref()),
            encrypts_credentials: call.encrypts_credentials,
            terms: terms.as_deref(),
            is_ready: false,
        };
        let handout = product.and_then(|product| fulfilment::at_once(product, &new.row(self.now)));
        new.is_ready = handout.is_some();
        // What could not be read is for the operator to see, long after the log is gone.
        let remarks = call.remarks.join("; ");
        let cause = self.cause((!remarks.is_empty()).then_some(&remarks))?;
        Ok((self.tx.insert_instance(&new, cause, self.now)?, handout))
    }
}

/// Whether an instance id fits its member and comes through the list of `queryInstance` unchanged, which is separated by
/// commas and trimmed of blanks (spec 1-basic-v2 §4.2).
fn can_be_queried(id: &str) -> bool {
    let is_plain = !id.contains(|c: char| c == ',' || c.is_control());
    is_plain && id.trim_matches(' ') == id && id.chars().count() <= MAX_INSTANCE_ID
}
