//! How a pass ends: from the record, with a final answer, without one, or waiting.

use super::{Script, Step};
use crate::alert::{self, Alarm};
use crate::dispatch::conversation::{Belongs, Row, Told};
use crate::fulfilment;
use crate::fulfilment::answer::Handout;
use crate::kind::Kind;
use crate::license::{Form, License};
use crate::operation::{self, Environment, Next, State};
use crate::protocol::call::{Detail, Intent, Outcome};
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::result_code::ResultCode;
use crate::settings::Product;
use crate::store::{InstanceRow, OperationRow, StoreError};

impl Script<'_> {
    pub(super) fn answer_from(&mut self, next: Next, recorded: Option<OperationRow>) -> Result<Step, StoreError> {
        // `next` asks for anything but a run only where there is a record.
        let Some(operation) = recorded else {
            return self.answer(&Outcome::refusal(ResultCode::INTERNAL, "internal error"), Belongs::default());
        };
        match next {
            Next::Replay => self.replay(operation),
            Next::Wait => self.wait_for(operation.row),
            Next::Provisional | Next::Run => self.provisional(&operation),
            Next::Fail => {
                let code = operation.result_code.unwrap_or(ResultCode::INTERNAL);
                let message = operation.result_message.clone().unwrap_or_default();
                self.answer(&Outcome::refusal(code, message), self.belongs(&operation))
            }
        }
    }

    /// The recorded answer for this key, or, for a key that asks for the first time, one that is recorded now.
    pub(super) fn replay(&mut self, mut operation: OperationRow) -> Result<Step, StoreError> {
        // A call that has waited for this run of the operation, which it may have begun, is part of it and no repeat.
        let replayed = self.pass.waited_for != Some(operation.row);
        let difference = if replayed { self.difference(&operation)? } else { None };
        let belongs = Belongs { replayed, difference, ..self.belongs(&operation) };
        if let Some(mut bytes) = operation.answer.take() {
            if self.conversation.is_altered(&bytes) {
                log::error!(
                    "ALERT {}: the recorded answer has changed on the disk and was not given: the database is damaged; \
                     stop koogate and restore the newest good copy",
                    self.conversation.title()
                );
                alert::raise(Alarm::DatabaseDamaged);
                let outcome = Outcome::refusal(ResultCode::INTERNAL, "internal error");
                return self.answer(&outcome, self.belongs(&operation));
            }
            self.conversation.record_final(self.tx, self.row, &belongs)?;
            if bytes.body_sign.is_empty() {
                // Recorded for a family that signs no replies; this one may.
                bytes = self.conversation.signed(bytes.body);
            }
            return Ok(self.step(Told { bytes, code: ResultCode::SUCCESS, replayed }));
        }
        let instance = self.instance_of(&operation)?;
        let outcome = self.success(&operation, &instance, None)?;
        self.fix_answer(&operation, &outcome, belongs)
    }

    /// The operation has been done in this transaction: its final answer is fixed and given.
    pub(super) fn done(&mut self, operation: &OperationRow, outcome: &Outcome) -> Result<Step, StoreError> {
        self.fix_answer(operation, outcome, self.belongs(operation))
    }

    pub(super) fn fix_answer(
        &mut self,
        operation: &OperationRow,
        outcome: &Outcome,
        belongs: Belongs,
    ) -> Result<Step, StoreError> {
        let prepared = self.conversation.prepare(outcome);
        if !operation::is_final(prepared.code) {
            // What KooGallery would reject is not fixed, so that a mended koogate answers the retry.
            self.conversation.record(self.tx, &prepared, self.row, &belongs)?;
            return Ok(self.step(prepared.into()));
        }
        let exchange = self.conversation.record_final(self.tx, self.row, &belongs)?;
        let shown = prepared.shown.as_deref();
        self.tx.insert_answer(operation.row, self.conversation.key.id(), &prepared.bytes, shown, exchange)?;
        Ok(self.step(Told { replayed: belongs.replayed, ..prepared.into() }))
    }

    /// The final success of a call, as its family will write it; what is to be handed out and not at hand is read.
    pub(super) fn success(
        &self,
        operation: &OperationRow,
        instance: &InstanceRow,
        handout: Option<Handout>,
    ) -> Result<Outcome, StoreError> {
        let Intent::Create { .. } = &self.call.intent else { return Ok(Outcome::success()) };
        let handout = match handout {
            Some(handout) => handout,
            None => self.handed_out(operation, instance)?,
        };
        let license = match handout.license.as_ref().map(|license| license.form()) {
            Some(Form::Text(text)) if self.call.kind == Kind::License => Some(text.clone()),
            _ => None,
        };
        let encrypt_type = self.product_of(instance).map(Product::encrypt_type).unwrap_or_default();
        let instance_id = instance.instance_id.clone();
        let detail = Detail::Created { instance_id, access: handout.access, license, encrypt_type };
        Ok(Outcome::success().with(detail))
    }

    /// What was handed out with an instance. Answers to test calls must be complete, whoever keeps nothing for them.
    fn handed_out(&self, operation: &OperationRow, instance: &InstanceRow) -> Result<Handout, StoreError> {
        let access = self.tx.access_of(instance)?;
        let license = if instance.kind == Kind::License { self.tx.license_of(operation.row)? } else { None };
        let license = license.map(|license| self.tx.license_content(&license)).transpose()?.flatten();
        if self.call.environment == Environment::Real {
            return Ok(Handout { access, license });
        }
        let values = fulfilment::placeholder_values(instance);
        let example = || fulfilment::demonstration_license(&instance.instance_id);
        Ok(Handout {
            access: access.or_else(|| fulfilment::demonstration_access(self.product_of(instance), &values)),
            license: license.or_else(|| License::text(example()).ok()),
        })
    }

    /// The operation goes on in the background: "processing" where the interface knows it, else "call again".
    pub(super) fn provisional(&mut self, operation: &OperationRow) -> Result<Step, StoreError> {
        let outcome = if self.call.may_answer_processing {
            Outcome::refusal(ResultCode::PROCESSING, "processing").with(self.begun(&operation.instance_id))
        } else {
            Outcome::refusal(ResultCode::INTERNAL, "not finished yet, please call again")
        };
        self.answer(&outcome, self.belongs(operation))
    }

    /// What is told of a creation that goes on.
    fn begun(&self, instance_id: &str) -> Detail {
        let Intent::Create { .. } = &self.call.intent else { return Detail::None };
        let (instance_id, encrypt_type) = (instance_id.to_owned(), EncryptType::default());
        Detail::Created { instance_id, access: None, license: None, encrypt_type }
    }

    /// Answers without fixing anything: the next call of this identity works on.
    pub(super) fn answer(&mut self, outcome: &Outcome, belongs: Belongs) -> Result<Step, StoreError> {
        if !outcome.code.is_success() {
            log::warn!("{}: {}: {}", self.conversation.title(), outcome.code, outcome.message);
        }
        let prepared = self.conversation.prepare(outcome);
        self.conversation.record(self.tx, &prepared, self.row, &belongs)?;
        Ok(self.step(prepared.into()))
    }

    /// The operation has failed for this call, and the next one works on.
    pub(super) fn fail(&mut self, operation: &OperationRow, outcome: &Outcome) -> Result<Step, StoreError> {
        let result = Some((outcome.code, outcome.message.as_str()));
        self.tx.set_operation(operation.row, State::Failed, result, self.now)?;
        self.answer(outcome, self.belongs(operation))
    }

    /// Somebody else's operation on the instance must end first: waits where that makes sense.
    pub(super) fn after_operation(&mut self, operation: i64, instance: i64) -> Result<Step, StoreError> {
        if self.pass.may_wait && self.ends_in_time(operation, instance)? {
            return self.wait_for(operation);
        }
        let outcome = Outcome::refusal(ResultCode::INTERNAL, "an earlier operation is unfinished, please call again");
        self.answer(&outcome, Belongs::default())
    }

    pub(super) fn wait_for(&mut self, operation: i64) -> Result<Step, StoreError> {
        let exchange = match self.row {
            Some(Row { number, is_written: true }) => number,
            Some(Row { is_written: false, .. }) | None => self.tx.insert_exchange(&self.conversation.exchange)?,
        };
        let then = std::mem::take(&mut self.then);
        Ok(Step::Wait { exchange, operation, ended: self.waiters.wait_for(operation), then })
    }

    /// Nothing is created for a product nobody has configured: KooGallery calls again for hours, time to mend the file.
    pub(super) fn no_product(&mut self, product_id: Option<&str>, sku_code: Option<&str>) -> Result<Step, StoreError> {
        log::error!(
            "ALERT {}: no [[product]] entry matches product {product_id:?}, sku {sku_code:?} of kind {}; \
             add one and reload (SIGHUP) within the hours in which KooGallery tries again",
            self.conversation.title(),
            self.call.kind
        );
        alert::raise(Alarm::NoProduct {
            product_kind: self.call.kind.to_string(),
            product_id: product_id.map(str::to_owned),
            sku_code: sku_code.map(str::to_owned),
        });
        self.answer(&Outcome::refusal(ResultCode::INTERNAL, "internal error"), Belongs::default())
    }

    /// How this call differs from the first of its operation, for the journal and the log; `None` also where nobody knows
    /// the first.
    fn difference(&self, operation: &OperationRow) -> Result<Option<String>, StoreError> {
        let Some(first) = operation.known_first_exchange() else { return Ok(None) };
        if operation.content_digest == self.conversation.content_digest {
            return Ok(None);
        }
        let first = self.tx.request_of(first)?;
        let first = first.and_then(|(line, body)| {
            let query = line.split_once('?').map_or("", |(_, query)| query);
            self.conversation.family.content(query, &body)
        });
        let difference = match first {
            Some(first) => operation::difference(&first, &self.call.content).map(|difference| difference.to_string()),
            None => Some("{}".to_owned()),
        };
        log::warn!("{} repeats an operation with other content; answered from the record", self.conversation.title());
        Ok(difference)
    }

    pub(super) fn belongs(&self, operation: &OperationRow) -> Belongs {
        let instance_id = Some(operation.instance_id.clone());
        Belongs { operation: Some(operation.row), instance_id, replayed: false, difference: None }
    }

    fn step(&mut self, told: Told) -> Step {
        Step::Answer { told, then: std::mem::take(&mut self.then) }
    }
}
