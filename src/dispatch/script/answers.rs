//! How a pass ends: from the record, with a final answer, without one, or waiting.

use super::{Script, Step};
use crate::access::Access;
use crate::dispatch::conversation::{Belongs, Row};
use crate::operation::{self, Next, State};
use crate::protocol::call::{Detail, Intent, Outcome};
use crate::protocol::result_code::ResultCode;
use crate::store::{AnswerBytes, InstanceRow, OperationRow, StoreError};

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
        if let Some(bytes) = operation.answer.take() {
            self.conversation.record_final(self.tx, self.row, &belongs)?;
            return Ok(self.step(bytes));
        }
        let instance = self.instance_of(&operation)?;
        let outcome = self.success(&instance, None)?;
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
            return Ok(self.step(prepared.bytes));
        }
        let exchange = self.conversation.record_final(self.tx, self.row, &belongs)?;
        self.tx.insert_answer(operation.row, self.conversation.key.id(), &prepared.bytes, exchange)?;
        Ok(self.step(prepared.bytes))
    }

    /// The final success of a call, as its family will write it; access data that is not at hand is read.
    pub(super) fn success(&self, instance: &InstanceRow, access: Option<Access>) -> Result<Outcome, StoreError> {
        let Intent::Create { .. } = &self.call.intent else { return Ok(Outcome::success()) };
        let access = match access {
            Some(access) => Some(access),
            None => self.tx.access_of(instance)?,
        };
        Ok(Outcome::success().with(Detail::Created { instance_id: instance.instance_id.clone(), access }))
    }

    /// The operation goes on in the background: "processing" where the interface knows it, else "call again".
    pub(super) fn provisional(&mut self, operation: &OperationRow) -> Result<Step, StoreError> {
        let outcome = if self.call.may_answer_processing {
            let detail = Detail::Created { instance_id: operation.instance_id.clone(), access: None };
            Outcome::refusal(ResultCode::PROCESSING, "processing").with(detail)
        } else {
            Outcome::refusal(ResultCode::INTERNAL, "not finished yet, please call again")
        };
        self.answer(&outcome, self.belongs(operation))
    }

    /// Answers without fixing anything: the next call of this identity works on.
    pub(super) fn answer(&mut self, outcome: &Outcome, belongs: Belongs) -> Result<Step, StoreError> {
        if !outcome.code.is_success() {
            log::warn!("{}: {}: {}", self.conversation.title(), outcome.code, outcome.message);
        }
        let prepared = self.conversation.prepare(outcome);
        self.conversation.record(self.tx, &prepared, self.row, &belongs)?;
        Ok(self.step(prepared.bytes))
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
            "ALERT {}: no [[product]] entry matches product {product_id:?}, sku {sku_code:?}; \
             add one and reload (SIGHUP) within the hours in which KooGallery tries again",
            self.conversation.title()
        );
        self.answer(&Outcome::refusal(ResultCode::INTERNAL, "internal error"), Belongs::default())
    }

    /// How this call differs from the first of its operation, for the journal and the log.
    fn difference(&self, operation: &OperationRow) -> Result<Option<String>, StoreError> {
        if operation.content_digest == self.conversation.content_digest {
            return Ok(None);
        }
        let first = self.tx.request_of(operation.first_exchange)?;
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

    fn step(&mut self, bytes: AnswerBytes) -> Step {
        Step::Answer { bytes, then: std::mem::take(&mut self.then) }
    }
}
