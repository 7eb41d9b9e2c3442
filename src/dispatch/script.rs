//! What one transaction does for a call that creates or changes an instance.
//!
//! The script can be run any number of times for one call: it looks the operation up first and goes on from what it
//! finds. Whatever it decides, the row of the call, the operation, the instance and the job are in one commit.

mod again;
mod answers;
mod change;
mod creation;
mod issue;
mod supervision;

use jiff::Timestamp;
use uuid::Uuid;

use super::conversation::{Belongs, Conversation, Row, Told};
use super::waiters::{Ended, Waiters};
use crate::fulfilment::completion;
use crate::fulfilment::event::Event;
use crate::instance::Change;
use crate::operation::{self, Identity, Next, Standing, State};
use crate::protocol::call::{Call, Intent, Outcome};
use crate::protocol::result_code::ResultCode;
use crate::settings::Product;
use crate::store::{Cause, InstanceRow, NewJob, NewOperation, OperationRow, OrderWanted, StoreError, Subject, Tx};

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
        /// What is sent.
        told: Told,
        /// What is to be done once it is committed.
        then: AfterCommit,
    },
    /// With somebody else's work to wait for.
    Wait {
        /// The call's row.
        exchange: i64,
        /// Whose.
        operation: i64,
        /// Its end.
        ended: Ended,
        /// What is to be done once it is committed.
        then: AfterCommit,
    },
}

/// What others must be told of, when it is on disk.
#[derive(Debug, Default)]
pub(super) struct AfterCommit {
    /// A job was added.
    pub(super) jobs: bool,
    /// Operations that ended, and whose waiters must wake.
    pub(super) ended: Vec<i64>,
}

/// One pass.
pub(super) fn run(
    tx: &Tx<'_>,
    conversation: &Conversation,
    call: &Call,
    waiters: &Waiters,
    pass: Pass,
    now: Timestamp,
) -> Result<Step, StoreError> {
    let then = AfterCommit::default();
    let mut script = Script { tx, conversation, call, waiters, pass, row: pass.row(), now, then };
    match &call.intent {
        Intent::Create { identity, product_id, sku_code, expire_time, terms } => {
            let parts = identity.iter().map(String::as_str);
            let identity = Identity::new(call.environment, call.kind, "create", parts);
            let (product_id, sku_code) = (product_id.as_deref(), sku_code.as_deref());
            script.create(
                &identity,
                &creation::Wanted { product_id, sku_code, expire_time: *expire_time, terms: terms.as_ref() },
            )
        }
        Intent::Change { instance_id, request, identity, scene } => {
            script.change(instance_id, request, identity, *scene)
        }
        Intent::Issue { instance_id, request } => script.issue(instance_id, request),
        Intent::Query { .. } | Intent::CheckChange { .. } | Intent::Notify | Intent::Sync(_) => {
            // The dispatcher sends none of these here.
            script.answer(&Outcome::refusal(ResultCode::INTERNAL, "internal error"), Belongs::default())
        }
    }
}

struct Script<'a> {
    tx: &'a Tx<'a>,
    conversation: &'a Conversation,
    call: &'a Call,
    waiters: &'a Waiters,
    pass: Pass,
    row: Option<Row>,
    now: Timestamp,
    then: AfterCommit,
}

impl Script<'_> {
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
        let left = self.conversation.wait_until().saturating_duration_since(std::time::Instant::now());
        let left = jiff::SignedDuration::try_from(left).unwrap_or_default();
        let until = self.now.checked_add(left).unwrap_or(self.now);
        self.tx.job_ends_before(operation, instance, until)
    }

    /// The entry an instance belongs to.
    fn product_of(&self, instance: &InstanceRow) -> Option<&Product> {
        self.conversation.settings.product_of(instance)
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
            order_id: self.conversation.exchange.order_id.as_deref(),
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

    /// Tells the application by a job, which reads the order first, if there is one to read. A dead job of the same operation goes on instead of a second one beside it.
    fn add_job(
        &mut self,
        instance: &InstanceRow,
        operation: &OperationRow,
        event: &Event,
        change: Option<&Change>,
        order: Option<OrderWanted>,
    ) -> Result<(), StoreError> {
        self.then.jobs = true;
        if self.tx.revive_job(operation.row, self.now)? {
            return Ok(());
        }
        let change = change.map(completion::change_to_store);
        let new = NewJob {
            subject: Subject::Operation { instance: instance.row, operation: operation.row },
            task: event.name().as_str(),
            order,
            event: Some(&event.to_json()),
            change: change.as_deref(),
        };
        self.tx.insert_job(&new, self.now).map(drop)
    }

    fn instance_of(&self, operation: &OperationRow) -> Result<InstanceRow, StoreError> {
        self.tx.instance_by_row(operation.instance)?.ok_or_else(|| StoreError::BadRow {
            table: "operation",
            problem: format!("operation {} has no instance", operation.row),
        })
    }

    fn cause<'n>(&mut self, note: Option<&'n str>) -> Result<Cause<'n>, StoreError> {
        Ok(Cause { exchange: Some(self.number()?), job: None, note })
    }
}
