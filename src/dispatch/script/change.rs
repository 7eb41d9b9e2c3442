//! A call that changes an instance.

use super::again::Again;
use super::{Script, Step};
use crate::alert::{self, Alarm};
use crate::config::Fulfilment;
use crate::dispatch::conversation::Belongs;
use crate::dispatch::events;
use crate::fulfilment::completion;
use crate::instance::{Change, Request, Verdict};
use crate::operation::{Environment, Identity, Next, State};
use crate::protocol::call::Outcome;
use crate::protocol::result_code::ResultCode;
use crate::settings::TestCalls;
use crate::store::{InstanceRow, NewInstance, OperationRow, OrderWanted, StoreError};

impl Script<'_> {
    pub(super) fn change(
        &mut self,
        instance_id: &str,
        request: &Request,
        fields: &[String],
        scene: Option<&'static str>,
    ) -> Result<Step, StoreError> {
        let call = self.call;
        let mut instance = self.tx.instance(call.environment, call.kind, instance_id)?;
        if call.environment == Environment::Test
            && !instance.as_ref().is_some_and(|instance| self.forwards_tests(instance))
        {
            // Test calls name made-up instances and must succeed whether or not they exist.
            return self.answer(&Outcome::success(), Belongs::default());
        }
        if instance.is_none() && call.adopts_unknown {
            let product_id = if let Request::Renew { product_id, .. } = request { product_id.as_deref() } else { None };
            if self.conversation.settings.product_for(call.kind, product_id, None).is_none() {
                return self.no_product(product_id, None);
            }
            instance = Some(self.adopt(instance_id, product_id)?);
        }
        let Some(instance) = instance else {
            let outcome = Outcome::refusal(ResultCode::UNKNOWN_INSTANCE, "instance id does not exist");
            return self.answer(&outcome, Belongs::default());
        };
        if let Request::Freeze | Request::Unfreeze = request {
            match self.came_before(&instance)? {
                Some(Again::Done(operation)) => return self.replay(operation),
                Some(Again::Overtaken) => return self.overtaken(Belongs::default()),
                None => {}
            }
        }
        let verdict = instance.life.decide(request, self.now, self.conversation.settings.life);
        let identity =
            Identity::of_change(call.environment, call.kind, instance_id, &instance.life, request, &verdict, fields);
        let recorded = self.tx.operation_of(&identity, self.conversation.key.id())?;
        if let Request::Freeze | Request::Unfreeze = request {
            // What such a call means depends on the status, and somebody is changing that: an old record may not answer.
            let under_way = self.tx.open_status_change(instance.row)?;
            let own = recorded.as_ref().map(|operation| operation.row);
            if let Some(other) = under_way.filter(|other| Some(*other) != own) {
                return self.after_operation(other, instance.row);
            }
        }
        match self.next(recorded.as_ref())? {
            Next::Run => self.begin_change(&identity, recorded, instance, request, verdict, scene),
            next => self.answer_from(next, recorded),
        }
    }

    fn begin_change(
        &mut self,
        identity: &Identity,
        recorded: Option<OperationRow>,
        instance: InstanceRow,
        request: &Request,
        verdict: Verdict,
        scene: Option<&'static str>,
    ) -> Result<Step, StoreError> {
        let change = match verdict {
            // Test calls succeed whatever stands; the application is not told of what cannot be.
            Verdict::Refuse(..) if self.call.environment == Environment::Test => {
                return self.answer(&Outcome::success(), Belongs::default());
            }
            Verdict::Refuse(code, message) => {
                // An instance that is still being created may be ready in time.
                let creation = if code == ResultCode::INTERNAL && self.pass.may_wait {
                    self.tx.open_operation_on(instance.row, None)?
                } else {
                    None
                };
                return match creation {
                    Some(creation) if self.ends_in_time(creation, instance.row)? => self.wait_for(creation),
                    _ => self.answer(&Outcome::refusal(code, message), Belongs::default()),
                };
            }
            Verdict::NoEffect => None,
            Verdict::Apply(change) => Some(change),
        };
        let releases = change == Some(Change::Release);
        if !releases && let Some(other) = self.tx.open_status_change(instance.row)? {
            // Operations on one instance run one after another.
            return self.after_operation(other, instance.row);
        }
        let Some(product) = self.product_of(&instance) else {
            return self.no_product(instance.life.product_id.as_deref(), instance.life.sku_code.as_deref());
        };
        let told = self.call.order.as_ref().and_then(|order| order.charging_mode.as_deref());
        if let (Some(Change::Renew { .. }), Some(mode)) = (&change, told) {
            // A trial may become something that is charged by usage.
            self.tx.set_charging_mode(instance.row, mode)?;
        }
        let has_application = product.application().is_some();
        let is_manual = matches!(product.entry().fulfilment, Fulfilment::Manual);
        let waits = has_application && change.as_ref().is_some_and(|change| product.waits_for_application(change));
        let state = if waits { State::Open } else { State::Done };
        let operation = self.operation(recorded, identity, &instance, state)?;
        let Some(change) = change else { return self.done(&operation, &Outcome::success()) };
        if releases {
            self.cancel_unfinished(&instance, operation.row)?;
        }
        let order = self.order_of_change(request, scene);
        if has_application || order.is_some() {
            let id = &operation.operation_id;
            let event = events::of_change(self.call, &instance, request, &change, scene, id);
            self.add_job(&instance, &operation, &event, waits.then_some(&change), order)?;
        }
        if waits {
            return self.wait_for(operation.row);
        }
        let mut note = completion::remark(&instance, &change, self.now);
        if is_manual {
            let (id, word) = (&instance.instance_id, change.word());
            log::warn!("ALERT instance {id} is {word} in the records: do by hand what that means for the buyer");
            if self.call.environment == Environment::Real {
                alert::raise(Alarm::DoByHand { instance_id: id.clone(), change: word.to_owned() });
            }
            note = note.or(Some("to be done by hand"));
        }
        let cause = self.cause(note)?;
        self.tx.apply(&instance, &change, cause, self.now)?;
        self.done(&operation, &Outcome::success())
    }

    /// The order to be read for a change that may be one to another product.
    fn order_of_change(&self, request: &Request, scene: Option<&str>) -> Option<OrderWanted> {
        let product_id = match (request, scene) {
            (Request::Upgrade { product_id, .. }, _) => product_id,
            (Request::Renew { product_id, .. }, Some("TRIAL_TO_FORMAL" | "RENEWAL_CHANGE")) => product_id,
            _ => return None,
        };
        self.conversation.order_wanted(self.call, product_id.as_deref())
    }

    /// Begins the record of what was sold without koogate being told: an authorisation code that KooGallery made and
    /// nobody has activated (spec 4-license §3.5).
    fn adopt(&mut self, instance_id: &str, product_id: Option<&str>) -> Result<InstanceRow, StoreError> {
        let call = self.call;
        let new = NewInstance {
            environment: call.environment,
            kind: call.kind,
            instance_id,
            // The call's order is not the one that bought it.
            order_id: None,
            order_line_id: None,
            product_id,
            sku_code: None,
            expire_time: None,
            charging_mode: None,
            encrypts_credentials: call.encrypts_credentials,
            terms: None,
            is_ready: false,
        };
        let cause = self.cause(Some("first heard of by this call"))?;
        let instance = self.tx.insert_instance(&new, cause, self.now)?;
        self.tx.apply(&instance, &Change::Ready, cause, self.now)
    }

    /// A release ends whatever is still going on with the instance. A job that runs at this moment ends by itself; the
    /// release reaches the application after it.
    fn cancel_unfinished(&mut self, instance: &InstanceRow, except: i64) -> Result<(), StoreError> {
        let reason = "the instance was released";
        self.tx.cancel_waiting_jobs(instance.row, reason, self.now)?;
        while let Some(operation) = self.tx.open_operation_on(instance.row, Some(except))? {
            self.tx.set_operation(operation, State::Failed, Some((ResultCode::INTERNAL, reason)), self.now)?;
            // It stands in nobody's list of what is to be made any more.
            self.tx.refuse_license(operation)?;
            self.then.ended.push(operation);
        }
        Ok(())
    }

    /// Whether test calls on an instance reach the application.
    fn forwards_tests(&self, instance: &InstanceRow) -> bool {
        self.product_of(instance).is_some_and(|product| product.test_calls() == TestCalls::Forward)
    }
}
