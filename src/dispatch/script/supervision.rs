//! A purchase call that comes again after it has succeeded: it is answered from the record, and what it says anew of dates
//! and period is applied (service supervision, 服务监管; spec 2-basic-v1 §11.5, §12 d). Where the call only names the order, the
//! order is read again in the background (spec 1-basic-v2 §9 d).

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::again::Again;
use super::{Script, Step};
use crate::dispatch::events;
use crate::instance::{Change, Status};
use crate::operation::{Environment, Identity, Next, State};
use crate::protocol::call::{Intent, Outcome, Terms};
use crate::protocol::result_code::ResultCode;
use crate::store::{InstanceRow, OperationRow, StoreError};

/// A purchase call that comes again is rarely more than a retry: its order is read again after this time only.
const READ_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Terms as they are stored.
pub(super) fn stored(terms: &Terms) -> String {
    // A map of texts always has a JSON form.
    serde_json::to_string(terms).unwrap_or_default()
}

impl Script<'_> {
    pub(super) fn repeat_creation(
        &mut self,
        recorded: Option<OperationRow>,
        terms: Option<&Terms>,
    ) -> Result<Step, StoreError> {
        let told = terms.filter(|terms| !terms.is_empty());
        let (Some(created), Some(terms)) = (&recorded, told) else {
            if let Some(created) = &recorded {
                self.read_order_again(created)?;
            }
            return self.answer_from(Next::Replay, recorded);
        };
        let instance = self.instance_of(created)?;
        match self.new_terms(&instance, terms) {
            None => self.answer_from(Next::Replay, recorded),
            Some(terms) => match self.came_before(&instance)? {
                // Its dates were applied, and others may have told newer ones since.
                Some(Again::Done(_)) => self.answer_from(Next::Replay, recorded),
                Some(Again::Overtaken) => self.overtaken(self.belongs(created)),
                None => self.supervise(created.clone(), &instance, &terms),
            },
        }
    }

    /// The order may tell another date by now; a renewal or the release has the last word.
    fn read_order_again(&mut self, created: &OperationRow) -> Result<(), StoreError> {
        let Intent::Create { product_id, .. } = &self.call.intent else { return Ok(()) };
        let Some(order) = self.conversation.order_wanted(self.call, product_id.as_deref()) else { return Ok(()) };
        let instance = self.instance_of(created)?;
        let since = self.now.checked_sub(READ_AGAIN_AFTER).unwrap_or(Timestamp::MIN);
        let may_change = matches!(instance.life.status, Status::Active | Status::Frozen) && instance.terms.is_some();
        if !may_change || self.tx.is_order_read_since(&order.order_id, created.row, since)? {
            return Ok(());
        }
        let change = Change::Supervise { expire_time: None, terms: Terms::new() };
        let operation_id = Uuid::new_v4().to_string();
        let event = events::supervision(self.call, &instance, &change, &Terms::new(), &operation_id);
        self.add_job(&instance, created, &event, None, Some(order))
    }

    /// What the terms of an instance are by this call, if they change: what is absent says nothing, and a renewal or the
    /// release has the last word.
    pub(super) fn new_terms(&self, instance: &InstanceRow, told: &Terms) -> Option<Terms> {
        if self.call.environment == Environment::Test || instance.life.status == Status::Released {
            return None;
        }
        let before: Terms = serde_json::from_str(instance.terms.as_deref()?).ok()?;
        let mut after = before.clone();
        after.extend(told.clone());
        (after != before).then_some(after)
    }

    /// Identity: the instance, the how-manieth change of its terms this is, and to what.
    fn supervise(&mut self, created: OperationRow, instance: &InstanceRow, terms: &Terms) -> Result<Step, StoreError> {
        let serial = (instance.terms_serial + 1).to_string();
        let parts = [instance.instance_id.as_str(), &serial, &stored(terms)];
        let identity = Identity::new(self.call.environment, self.call.kind, "supervise", parts);
        let recorded = self.tx.operation_of(&identity, self.conversation.key.id())?;
        match (self.next(recorded.as_ref())?, &recorded) {
            (Next::Run, _) => {}
            (Next::Wait, Some(operation)) => return self.wait_for(operation.row),
            // These dates are under way, or could not be applied; the next repeat tries again.
            _ => {
                let outcome =
                    Outcome::refusal(ResultCode::INTERNAL, "the new dates are not applied yet, please call again");
                return self.answer(&outcome, self.belongs(&created));
            }
        }
        if let Some(other) = self.tx.open_status_change(instance.row)? {
            return self.after_operation(other, instance.row);
        }
        let Some(product) = self.product_of(instance) else {
            return self.no_product(instance.life.product_id.as_deref(), instance.life.sku_code.as_deref());
        };
        let expire_time = if let Intent::Create { expire_time, .. } = &self.call.intent { *expire_time } else { None };
        let change = Change::Supervise { expire_time, terms: terms.clone() };
        let has_application = product.application().is_some();
        let waits = has_application && product.waits_for_application(&change);
        let state = if waits { State::Open } else { State::Done };
        let operation = self.operation(recorded, &identity, instance, state)?;
        if has_application {
            let event = events::supervision(self.call, instance, &change, terms, &operation.operation_id);
            self.add_job(instance, &operation, &event, waits.then_some(&change), None)?;
        }
        if waits {
            return self.wait_for(operation.row);
        }
        let cause = self.cause(None)?;
        self.tx.apply(instance, &change, cause, self.now)?;
        self.replay(created)
    }
}
