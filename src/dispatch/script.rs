//! What one transaction does for a call that creates or changes an instance.
//!
//! The script can be run any number of times for one call: it looks the operation up first and goes on from what it
//! finds. Whatever it decides, the row of the call, the operation, the instance and the job are in one commit.

use jiff::Timestamp;
use uuid::Uuid;

use super::conversation::{Belongs, Conversation, Row};
use super::events;
use super::waiters::{Ended, Waiters};
use crate::access::Access;
use crate::fulfilment::event::Event;
use crate::fulfilment::{self, Begun};
use crate::instance::{Change, Request, Status, Verdict};
use crate::operation::{self, Environment, Identity, Next, Standing, State};
use crate::protocol::call::{Call, Detail, Intent, Outcome};
use crate::protocol::result_code::ResultCode;
use crate::settings::TestCalls;
use crate::store::{AnswerBytes, Cause, InstanceRow, NewInstance, NewJob, NewOperation, OperationRow, StoreError, Tx};

/// Documented maximum of `instanceId`, in characters.
const MAX_INSTANCE_ID: usize = 64;

/// Where a call stands when a pass begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// The call's row, once it has one.
    pub(super) exchange: Option<i64>,
    /// The operation whose end it has waited for: if that failed, the failure is this call's answer.
    pub(super) waited_for: Option<i64>,
    /// There is time left to wait.
    pub(super) may_wait: bool,
}

impl Pass {
    fn row(self) -> Option<Row> {
        self.exchange.map(|number| Row { number, is_written: true })
    }
}

/// How a pass ends.
pub(super) enum Step {
    /// With an answer.
    Answer {
        /// The bytes to send.
        bytes: AnswerBytes,
        /// A job was added.
        jobs: bool,
    },
    /// With somebody else's work to wait for.
    Wait {
        /// The call's row.
        exchange: i64,
        /// Whose.
        operation: i64,
        /// Its end.
        ended: Ended,
        /// A job was added.
        jobs: bool,
    },
}

/// One pass.
pub(super) fn run(
    tx: &Tx<'_>,
    conversation: &Conversation,
    waiters: &Waiters,
    pass: Pass,
    now: Timestamp,
) -> Result<Step, StoreError> {
    // Only readable calls come here; the type of the conversation cannot say so, an answer can.
    let Some(call) = &conversation.call else {
        let outcome = Outcome::refusal(ResultCode::INTERNAL, "internal error");
        conversation.record(tx, &outcome, pass.row())?;
        return Ok(Step::Answer { bytes: conversation.encode(&outcome), jobs: false });
    };
    let mut script = Script { tx, conversation, call, waiters, pass, row: pass.row(), now, jobs: false };
    match &call.intent {
        Intent::Create { identity, product_id, sku_code, expire_time } => {
            let parts = identity.iter().map(String::as_str);
            let identity = Identity::new(call.environment, call.namespace, "create", parts);
            let wanted =
                Wanted { product_id: product_id.as_deref(), sku_code: sku_code.as_deref(), expire_time: *expire_time };
            script.create(&identity, &wanted)
        }
        Intent::Change { instance_id, request, identity, scene } => {
            script.change(instance_id, request, identity, scene.as_deref())
        }
        Intent::Query { .. } | Intent::CheckChange { .. } | Intent::Notify => {
            script.answer(&Outcome::refusal(ResultCode::INTERNAL, "internal error"), Belongs::default())
        }
    }
}

/// What a creation asks for.
struct Wanted<'a> {
    product_id: Option<&'a str>,
    sku_code: Option<&'a str>,
    expire_time: Option<Timestamp>,
}

struct Script<'a> {
    tx: &'a Tx<'a>,
    conversation: &'a Conversation,
    call: &'a Call,
    waiters: &'a Waiters,
    pass: Pass,
    row: Option<Row>,
    now: Timestamp,
    jobs: bool,
}

impl Script<'_> {
    fn create(&mut self, identity: &Identity, wanted: &Wanted<'_>) -> Result<Step, StoreError> {
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
        let life = instance.as_ref().map(|instance| &instance.life);
        if life.is_some_and(|life| life.status == Status::Released) {
            let message = "the instance was released before it was ready";
            return self.answer(&Outcome::refusal(ResultCode::INTERNAL, message), Belongs::default());
        }
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
                let outcome = Outcome::refusal(ResultCode::NO_RESOURCE, "no instance resource available");
                self.tx.set_operation(
                    operation.row,
                    State::Failed,
                    Some((outcome.code, &outcome.message)),
                    self.now,
                )?;
                self.answer(&outcome, self.belongs(&operation))
            }
            Begun::Misconfigured(problem) => {
                log::error!("ALERT {}: {problem}", self.conversation.title());
                let outcome = Outcome::refusal(ResultCode::INTERNAL, "internal error");
                self.tx.set_operation(
                    operation.row,
                    State::Failed,
                    Some((outcome.code, &outcome.message)),
                    self.now,
                )?;
                self.answer(&outcome, self.belongs(&operation))
            }
            Begun::Operator => {
                let (id, command) = (&instance.instance_id, "koogate instance ready");
                log::warn!("ALERT instance {id} waits for the operator: {command} {id} --front-end-url …");
                self.provisional(&operation)
            }
            Begun::Application => {
                let event = events::creation(self.call, &instance, &operation.operation_id);
                self.add_job(&instance, &operation, event, Some(&Change::Ready))?;
                self.wait_for(operation.row)
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

    fn change(
        &mut self,
        instance_id: &str,
        request: &Request,
        fields: &[String],
        scene: Option<&str>,
    ) -> Result<Step, StoreError> {
        let call = self.call;
        let instance = self.tx.instance(call.environment, call.namespace, instance_id)?;
        if call.environment == Environment::Test
            && !instance.as_ref().is_some_and(|instance| self.forwards_tests(instance))
        {
            // Test calls name made-up instances and must succeed whether or not they exist.
            return self.answer(&Outcome::success(), Belongs::default());
        }
        let Some(instance) = instance else {
            let outcome = Outcome::refusal(ResultCode::UNKNOWN_INSTANCE, "instance id does not exist");
            return self.answer(&outcome, Belongs::default());
        };
        let verdict = instance.life.decide(request, self.now, self.conversation.settings.life);
        let identity = Identity::of_change(
            call.environment,
            call.namespace,
            instance_id,
            &instance.life,
            request,
            &verdict,
            fields,
        );
        let recorded = self.tx.operation_of(&identity, self.conversation.key.id())?;
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
        scene: Option<&str>,
    ) -> Result<Step, StoreError> {
        let change = match verdict {
            Verdict::Refuse(code, message) => {
                if code == ResultCode::INTERNAL && self.pass.may_wait {
                    // Still being created: that may end in time.
                    if let Some(creation) = self.tx.open_operation_on(instance.row, None)?
                        && self.ends_in_time(creation, instance.row)?
                    {
                        return self.wait_for(creation);
                    }
                }
                return self.answer(&Outcome::refusal(code, message), Belongs::default());
            }
            Verdict::NoEffect => None,
            Verdict::Apply(change) => Some(change),
        };
        let releases = change == Some(Change::Release);
        if !releases && let Some(other) = self.tx.open_status_change(instance.row)? {
            // Operations on one instance run one after another.
            return if self.pass.may_wait && self.ends_in_time(other, instance.row)? {
                self.wait_for(other)
            } else {
                self.answer(
                    &Outcome::refusal(ResultCode::INTERNAL, "an earlier operation is unfinished"),
                    Belongs::default(),
                )
            };
        }
        let life = &instance.life;
        let (product_id, sku_code) = (life.product_id.as_deref(), life.sku_code.as_deref());
        let Some(product) = self.conversation.settings.product_for(product_id, sku_code) else {
            return self.no_product(product_id, sku_code);
        };
        let application = product.application();
        let waits =
            application.is_some() && change.as_ref().is_some_and(|change| product.waits_for_application(change));
        let state = if waits { State::Open } else { State::Done };
        let operation = self.operation(recorded, identity, &instance, state)?;
        let Some(change) = change else { return self.done(&operation, &Outcome::success()) };
        let event = application
            .map(|_| events::of_change(self.call, &instance, request, &change, scene, &operation.operation_id));
        if releases {
            self.cancel_unfinished(&instance, operation.row)?;
        }
        if let Some(event) = event {
            if waits {
                self.add_job(&instance, &operation, event, Some(&change))?;
                return self.wait_for(operation.row);
            }
            self.add_job(&instance, &operation, event, None)?;
        }
        let note = self.remark(&instance, &change);
        let cause = self.cause(note)?;
        self.tx.apply(&instance, &change, cause, self.now)?;
        self.done(&operation, &Outcome::success())
    }

    /// A release ends whatever is still going on with the instance. A job that runs at this moment ends by itself; the
    /// release reaches the application after it.
    fn cancel_unfinished(&self, instance: &InstanceRow, except: i64) -> Result<(), StoreError> {
        let reason = "the instance was released";
        self.tx.cancel_waiting_jobs(instance.row, reason, self.now)?;
        while let Some(operation) = self.tx.open_operation_on(instance.row, Some(except))? {
            self.tx.set_operation(operation, State::Failed, Some((ResultCode::INTERNAL, reason)), self.now)?;
            self.waiters.ended(operation);
        }
        Ok(())
    }

    /// What a person should look at, in the history and in the log.
    fn remark(&self, instance: &InstanceRow, change: &Change) -> Option<&'static str> {
        if *change == Change::Freeze && instance.life.is_paid_beyond(self.now) {
            let id = &instance.instance_id;
            log::warn!("ALERT instance {id} was frozen though it is paid beyond today: a violation, or a late retry");
            return Some("frozen though paid beyond today");
        }
        None
    }

    /// Whether test calls on an instance reach the application.
    fn forwards_tests(&self, instance: &InstanceRow) -> bool {
        let (product_id, sku_code) = (instance.life.product_id.as_deref(), instance.life.sku_code.as_deref());
        let product = self.conversation.settings.product_for(product_id, sku_code);
        product.is_some_and(|product| product.test_calls() == TestCalls::Forward)
    }

    fn next(&self, recorded: Option<&OperationRow>) -> Result<Next, StoreError> {
        let may_wait = match recorded {
            Some(operation) if operation.state == State::Open && self.pass.may_wait => {
                self.ends_in_time(operation.row, operation.instance)?
            }
            _ => self.pass.may_wait,
        };
        let took_part = recorded.is_some_and(|operation| self.pass.waited_for == Some(operation.row));
        let standing = Standing { took_part, may_wait };
        Ok(operation::next(recorded.map(|operation| operation.state), standing))
    }

    /// Whether waiting for an operation makes sense: a job of it runs, or will within the time for an answer.
    fn ends_in_time(&self, operation: i64, instance: i64) -> Result<bool, StoreError> {
        let budget = jiff::SignedDuration::try_from(self.conversation.settings.answer_within).unwrap_or_default();
        let until = self.now.checked_add(budget).unwrap_or(self.now);
        self.tx.job_ends_before(operation, instance, until)
    }

    fn answer_from(&mut self, next: Next, recorded: Option<OperationRow>) -> Result<Step, StoreError> {
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
    fn replay(&mut self, mut operation: OperationRow) -> Result<Step, StoreError> {
        // A call that began the operation or waited for it is part of it, not a repeat.
        let replayed = operation.first_exchange != self.pass.exchange.unwrap_or(-1);
        let difference = if replayed { self.difference(&operation)? } else { None };
        let belongs = Belongs { replayed, difference, ..self.belongs(&operation) };
        if let Some(bytes) = operation.answer.take() {
            self.conversation.record_final(self.tx, self.row, &belongs)?;
            return Ok(Step::Answer { bytes, jobs: self.jobs });
        }
        let instance = self.instance_of(&operation)?;
        let outcome = self.success(&instance, None)?;
        self.fix_answer(&operation, &outcome, belongs)
    }

    /// The operation has been done in this transaction: its final answer is fixed and given.
    fn done(&mut self, operation: &OperationRow, outcome: &Outcome) -> Result<Step, StoreError> {
        self.fix_answer(operation, outcome, self.belongs(operation))
    }

    fn fix_answer(
        &mut self,
        operation: &OperationRow,
        outcome: &Outcome,
        belongs: Belongs,
    ) -> Result<Step, StoreError> {
        let Some(bytes) = self.conversation.encode_final(outcome) else {
            // Said loudly and answered safely by `encode`; nothing is fixed, so a mended koogate answers the retry.
            return self.answer(outcome, belongs);
        };
        let exchange = self.conversation.record_final(self.tx, self.row, &belongs)?;
        self.tx.insert_answer(operation.row, self.conversation.key.id(), &bytes, exchange)?;
        Ok(Step::Answer { bytes, jobs: self.jobs })
    }

    /// The final success of a call, as its family will write it; access data that is not at hand is read.
    fn success(&self, instance: &InstanceRow, access: Option<Access>) -> Result<Outcome, StoreError> {
        let Intent::Create { .. } = &self.call.intent else { return Ok(Outcome::success()) };
        let access = match access {
            Some(access) => Some(access),
            None => self.tx.access_of(instance)?,
        };
        Ok(Outcome::success().with(Detail::Created { instance_id: instance.instance_id.clone(), access }))
    }

    /// The operation goes on in the background: "processing" where the interface knows it, else "call again".
    fn provisional(&mut self, operation: &OperationRow) -> Result<Step, StoreError> {
        let outcome = if self.call.may_answer_processing {
            let detail = Detail::Created { instance_id: operation.instance_id.clone(), access: None };
            Outcome::refusal(ResultCode::PROCESSING, "processing").with(detail)
        } else {
            Outcome::refusal(ResultCode::INTERNAL, "not finished yet, please call again")
        };
        self.answer(&outcome, self.belongs(operation))
    }

    /// Answers without fixing anything: the next call of this identity works on.
    fn answer(&self, outcome: &Outcome, belongs: Belongs) -> Result<Step, StoreError> {
        if !outcome.code.is_success() {
            log::warn!("{}: {}: {}", self.conversation.title(), outcome.code, outcome.message);
        }
        self.conversation.record_as(self.tx, outcome, self.row, &belongs)?;
        Ok(Step::Answer { bytes: self.conversation.encode(outcome), jobs: self.jobs })
    }

    fn wait_for(&mut self, operation: i64) -> Result<Step, StoreError> {
        let exchange = match self.row {
            Some(Row { number, is_written: true }) => number,
            Some(Row { is_written: false, .. }) | None => self.tx.insert_exchange(&self.conversation.exchange)?,
        };
        Ok(Step::Wait { exchange, operation, ended: self.waiters.wait_for(operation), jobs: self.jobs })
    }

    /// Nothing is created for a product nobody has configured: KooGallery calls again for hours, time to mend the file.
    fn no_product(&self, product_id: Option<&str>, sku_code: Option<&str>) -> Result<Step, StoreError> {
        log::error!(
            "ALERT {}: no [[product]] entry matches product {product_id:?}, sku {sku_code:?}; \
             add one and reload (SIGHUP) within the hours in which KooGallery tries again",
            self.conversation.title()
        );
        self.answer(&Outcome::refusal(ResultCode::INTERNAL, "internal error"), Belongs::default())
    }

    /// The number of the call's row, which is written once, with its answer or when the call begins to wait.
    fn number(&mut self) -> Result<i64, StoreError> {
        if let Some(row) = self.row {
            return Ok(row.number);
        }
        let number = self.tx.next_exchange()?;
        self.row = Some(Row { number, is_written: false });
        Ok(number)
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

    /// The operation's row, new or as it was, in a state.
    fn operation(
        &mut self,
        recorded: Option<OperationRow>,
        identity: &Identity,
        instance: &InstanceRow,
        state: State,
    ) -> Result<OperationRow, StoreError> {
        if let Some(operation) = recorded {
            let result = (state == State::Done).then_some((ResultCode::SUCCESS, "success"));
            self.tx.set_operation(operation.row, state, result, self.now)?;
            return Ok(operation);
        }
        let new = NewOperation {
            identity,
            operation_id: Uuid::new_v4().to_string(),
            instance: instance.row,
            state,
            content_digest: self.conversation.content_digest,
            first_exchange: self.number()?,
        };
        let row = self.tx.insert_operation(&new, self.now)?;
        Ok(OperationRow {
            row,
            operation_id: new.operation_id,
            instance: instance.row,
            instance_id: instance.instance_id.clone(),
            state,
            result_code: None,
            result_message: None,
            content_digest: new.content_digest.to_vec(),
            first_exchange: new.first_exchange,
            answer: None,
        })
    }

    fn add_job(
        &mut self,
        instance: &InstanceRow,
        operation: &OperationRow,
        event: Event,
        change: Option<&Change>,
    ) -> Result<(), StoreError> {
        let change = change.map(events::stored_change);
        let new = NewJob {
            instance: instance.row,
            operation: operation.row,
            event_name: event.name().as_str(),
            event: &event.to_json(),
            change: change.as_deref(),
        };
        self.tx.insert_job(&new, self.now)?;
        self.jobs = true;
        Ok(())
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

    fn instance_of(&self, operation: &OperationRow) -> Result<InstanceRow, StoreError> {
        self.tx.instance_by_row(operation.instance)?.ok_or_else(|| StoreError::BadRow {
            table: "operation",
            problem: format!("operation {} has no instance", operation.row),
        })
    }

    fn belongs(&self, operation: &OperationRow) -> Belongs {
        let instance_id = Some(operation.instance_id.clone());
        Belongs { operation: Some(operation.row), instance_id, replayed: false, difference: None }
    }

    fn cause(&mut self, note: Option<&'static str>) -> Result<Cause<'static>, StoreError> {
        Ok(Cause { exchange: Some(self.number()?), job: None, note })
    }
}

/// Whether an instance id fits its member and comes through the list of `queryInstance` unchanged, which is separated by
/// commas and trimmed of blanks (spec 1-basic-v2 §4.2).
fn can_be_queried(id: &str) -> bool {
    let is_plain = !id.contains(|c: char| c == ',' || c.is_control());
    is_plain && id.trim_matches(' ') == id && id.chars().count() <= MAX_INSTANCE_ID
}
