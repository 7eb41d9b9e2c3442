//! A call that creates an instance.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Script, Step};
use crate::access::Access;
use crate::dispatch::events;
use crate::fulfilment::{self, Begun};
use crate::instance::{Change, Status};
use crate::operation::{Environment, Identity, Next, State};
use crate::protocol::call::Outcome;
use crate::protocol::result_code::ResultCode;
use crate::settings::TestCalls;
use crate::store::{InstanceRow, NewInstance, OperationRow, StoreError};

/// Documented maximum of `instanceId`, in characters.
const MAX_INSTANCE_ID: usize = 64;

/// What a creation asks for.
pub(super) struct Wanted<'a> {
    pub(super) product_id: Option<&'a str>,
    pub(super) sku_code: Option<&'a str>,
    pub(super) expire_time: Option<Timestamp>,
}

impl Script<'_> {
    pub(super) fn create(&mut self, identity: &Identity, wanted: &Wanted<'_>) -> Result<Step, StoreError> {
        let recorded = self.tx.operation_of(identity, self.conversation.key.id())?;
        match self.next(recorded.as_ref())? {
            Next::Run => self.begin_creation(identity, recorded, wanted),
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
        let life = instance.as_ref().map(|instance| &instance.life);
        let product_id = life.and_then(|life| life.product_id.as_deref()).or(wanted.product_id);
        let sku_code = life.and_then(|life| life.sku_code.as_deref()).or(wanted.sku_code);
        let product = self.conversation.settings.product_for(product_id, sku_code);
        // Test calls must succeed, whatever is configured.
        let is_test = self.call.environment == Environment::Test;
        let product = product.filter(|product| !is_test || product.test_calls() == TestCalls::Forward);
        if product.is_none() && !is_test {
            return self.no_product(product_id, sku_code);
        }
        let instance = match instance {
            Some(instance) => instance,
            None => self.new_instance(wanted)?,
        };
        let Some(product) = product else {
            let operation = self.operation(recorded, identity, &instance, State::Done)?;
            return self.created(&operation, &instance, None);
        };
        let begun = fulfilment::begin(self.tx, product, &instance, self.now)?;
        let state = if matches!(begun, Begun::Ready(_)) { State::Done } else { State::Open };
        let operation = self.operation(recorded, identity, &instance, state)?;
        match begun {
            Begun::Ready(access) => self.created(&operation, &instance, Some(access)),
            Begun::NoStock { stock } => {
                let title = self.conversation.title();
                log::error!(
                    "ALERT stock {stock:?} is empty: {title} fails with 000100; `koogate stock import` adds more"
                );
                self.fail(&operation, &Outcome::refusal(ResultCode::NO_RESOURCE, "no instance resource available"))
            }
            Begun::Misconfigured(problem) => {
                log::error!("ALERT {}: {problem}", self.conversation.title());
                self.fail(&operation, &Outcome::refusal(ResultCode::INTERNAL, "internal error"))
            }
            Begun::Operator => {
                let (id, command) = (&instance.instance_id, "koogate instance ready");
                log::warn!("ALERT instance {id} waits for the operator: {command} {id} --front-end-url …");
                self.provisional(&operation)
            }
            Begun::Application => {
                let event = events::creation(self.call, &instance, &operation.operation_id);
                self.add_job(&instance, &operation, &event, Some(&Change::Ready))?;
                self.wait_for(operation.row)
            }
        }
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
                let outcome = self.success(instance, None)?;
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
        access: Option<Access>,
    ) -> Result<Step, StoreError> {
        if let Some(access) = &access {
            self.tx.set_access(instance, access)?;
        }
        let cause = self.cause(None)?;
        let instance = self.tx.apply(instance, &Change::Ready, cause, self.now)?;
        let outcome = self.success(&instance, access)?;
        self.done(operation, &outcome)
    }

    /// The id is the first call's businessId, as KooGallery recommends, unless somebody has it already or no query could
    /// name it.
    fn new_instance(&mut self, wanted: &Wanted<'_>) -> Result<InstanceRow, StoreError> {
        let call = self.call;
        let proposed = call.business_id.as_deref().filter(|id| can_be_queried(id));
        let instance_id = match proposed {
            Some(id) if self.tx.instance(call.environment, call.namespace, id)?.is_none() => id.to_owned(),
            _ => Uuid::new_v4().to_string(),
        };
        let new = NewInstance {
            environment: call.environment,
            namespace: call.namespace,
            instance_id: &instance_id,
            order_id: call.order.as_ref().map(|order| order.order_id.as_str()),
            order_line_id: call.order.as_ref().and_then(|order| order.order_line_id.as_deref()),
            product_id: wanted.product_id,
            sku_code: wanted.sku_code,
            expire_time: wanted.expire_time,
        };
        let cause = self.cause(None)?;
        self.tx.insert_instance(&new, cause, self.now)
    }
}

/// Whether an instance id fits its member and comes through the list of `queryInstance` unchanged, which is separated by
/// commas and trimmed of blanks (spec 1-basic-v2 §4.2).
fn can_be_queried(id: &str) -> bool {
    let is_plain = !id.contains(|c: char| c == ',' || c.is_control());
    is_plain && id.trim_matches(' ') == id && id.chars().count() <= MAX_INSTANCE_ID
}
