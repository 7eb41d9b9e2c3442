//! A call that asks for a licence for an instance (LO, `getLicenseAsync`; spec 4-license §4.5): accepted durably and
//! answered "processing" until KooGallery has the licence.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Script, Step};
use crate::alert::{self, Alarm};
use crate::config::Fingerprint;
use crate::dispatch::conversation::Belongs;
use crate::dispatch::events;
use crate::fulfilment::{self, Begun, completion};
use crate::instance::{Change, Status};
use crate::operation::{Environment, Identity, Next, State};
use crate::protocol::call::{LicenseRequest, Outcome};
use crate::protocol::result_code::ResultCode;
use crate::settings::Product;
use crate::store::{InstanceRow, NewLicense, OperationRow, StoreError};

/// A licence may hold so much longer than what is paid: orders end at an hour of the day, licences often at its end.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

impl Script<'_> {
    pub(super) fn issue(&mut self, instance_id: &str, request: &LicenseRequest) -> Result<Step, StoreError> {
        let call = self.call;
        if call.environment == Environment::Test {
            return self.answer(&Outcome::success(), Belongs::default());
        }
        let Some(instance) = self.tx.instance(call.environment, call.kind, instance_id)? else {
            let outcome = Outcome::refusal(ResultCode::UNKNOWN_INSTANCE, "instance id does not exist");
            return self.answer(&outcome, Belongs::default());
        };
        let parts = [instance_id].into_iter().chain(request.identity());
        let identity = Identity::new(call.environment, call.kind, "issue", parts);
        let recorded = self.tx.operation_of(&identity, self.conversation.key.id())?;
        if let Some(operation) = recorded.as_ref().filter(|operation| operation.state == State::Open) {
            // KooGallery asks for what it would not take: it gets the same licence once more.
            self.then.jobs |= self.pass.waited_for.is_none() && self.tx.revive_job(operation.row, self.now)?;
        }
        match self.next(recorded.as_ref())? {
            Next::Run => self.begin_issue(&identity, recorded, &instance, request),
            next => self.answer_from(next, recorded),
        }
    }

    fn begin_issue(
        &mut self,
        identity: &Identity,
        recorded: Option<OperationRow>,
        instance: &InstanceRow,
        request: &LicenseRequest,
    ) -> Result<Step, StoreError> {
        let settings = Arc::clone(&self.conversation.settings);
        let Some(product) = settings.product_of(instance) else {
            return self.no_product(instance.life.product_id.as_deref(), instance.life.sku_code.as_deref());
        };
        let used = self.tx.licenses_in_use(instance.row, recorded.as_ref().map(|operation| operation.row))?;
        if let Some((code, message)) = refusal(product, instance, request, used) {
            return self.answer(&Outcome::refusal(code, message), Belongs::default());
        }
        let operation = self.operation(recorded, identity, instance, State::Open)?;
        let new = NewLicense { instance: instance.row, operation: operation.row, request: Some(request) };
        let license = self.tx.request_license(&new, self.now)?;
        match fulfilment::begin(self.tx, product, instance, Some(license), self.now)? {
            Begun::Application => {
                let event = events::issue(self.call, instance, request, &operation.operation_id);
                self.add_job(instance, &operation, &event, Some(&Change::License), None)?;
                self.wait_for(operation.row)
            }
            Begun::Ready(handout) => {
                if let (Some(requested), Some(made)) = (self.tx.license(license)?, &handout.license) {
                    let cause = self.cause(None)?;
                    completion::issue(self.tx, instance, &requested, made, cause, self.now)?;
                    self.then.jobs = true;
                }
                self.wait_for(operation.row)
            }
            Begun::Operator => {
                let id = &instance.instance_id;
                log::warn!("ALERT instance {id} waits for a licence: koogate license issue {license} --text FILE");
                self.provisional(&operation)
            }
            Begun::NoStock { stock } => {
                self.alert_empty_stock(&stock, ResultCode::INTERNAL);
                self.tx.refuse_license(operation.row)?;
                self.fail(
                    &operation,
                    &Outcome::refusal(ResultCode::INTERNAL, "no licence available, please call again"),
                )
            }
            Begun::Misconfigured(problem) => {
                log::error!("ALERT {}: {problem}", self.conversation.title());
                alert::raise(Alarm::Misconfigured { about: instance.instance_id.clone() });
                self.tx.refuse_license(operation.row)?;
                self.fail(&operation, &Outcome::refusal(ResultCode::INTERNAL, "internal error"))
            }
        }
    }
}

/// Why no licence is made for an instance that has `used` others. Only what is beyond doubt is refused here; the
/// application may refuse more.
fn refusal(
    product: &Product,
    instance: &InstanceRow,
    request: &LicenseRequest,
    used: i64,
) -> Option<(ResultCode, &'static str)> {
    let entry = product.entry();
    let too_late = |time: Timestamp, paid: Timestamp| time.duration_since(paid) > GRACE;
    match (instance.life.status, instance.life.expire_time) {
        (Status::Released, _) => Some((ResultCode::UNKNOWN_INSTANCE, "instance is released")),
        (Status::Creating, _) => Some((ResultCode::INTERNAL, "instance is still being created")),
        (Status::Frozen, _) => Some((ResultCode::LICENSE_VALIDITY, "instance is frozen")),
        // An instance with an end is that of a period product.
        (Status::Active, Some(_)) if request.expire_time.is_none() => {
            Some((ResultCode::LICENSE_EXPIRY, "a period licence needs expireTime"))
        }
        (Status::Active, Some(paid))
            if too_late(request.effective_time, paid) || request.expire_time.is_some_and(|end| too_late(end, paid)) =>
        {
            Some((ResultCode::LICENSE_VALIDITY, "the licence would hold beyond the order"))
        }
        (Status::Active, _) if entry.fingerprint == Fingerprint::Required && request.device_fingerprint.is_none() => {
            Some((ResultCode::LICENSE_FINGERPRINT, "deviceFingerprint is required"))
        }
        (Status::Active, _) if entry.max_licenses.is_some_and(|most| used >= i64::from(most)) => {
            Some((ResultCode::LICENSE_QUOTA, "all licences of the instance are used up"))
        }
        (Status::Active, _) => None,
    }
}
