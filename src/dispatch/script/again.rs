//! A call that comes again word for word, where nothing in the protocol keeps it from coming (V1, L1): whoever has seen one can
//! send it once more, whenever he likes.
//!
//! Retries of KooGallery carry a fresh time stamp and another token with it (spec 2-basic-v1 §2.3). The same token is the same
//! call, sent again by an HTTP client that got no answer or by a stranger, and asks for nothing that the first one has not
//! asked for. So it does nothing, where a call of its kind would do something again: a freeze after an unfreeze, the
//! dates of a purchase after newer ones. No clock is needed for that, only the journal.

use jiff::{SignedDuration, Timestamp};

use super::{Script, Step};
use crate::dispatch::conversation::Belongs;
use crate::protocol::call::{Intent, Outcome};
use crate::protocol::result_code::ResultCode;
use crate::store::{EarlierCall, EarlierCalls, InstanceRow, OperationRow, StoreError};

/// A call is looked for among those received so long before and after the time stamp it carries: room for clocks that
/// differ, and for another time zone than the documented one. What comes later cannot hide it, and the journal may be long.
const AROUND: SignedDuration = SignedDuration::from_hours(36);

/// So many calls about an instance, of one activity within that time, are looked through. More means that somebody sends
/// them by the thousand.
const MOST: i64 = 10_000;

/// A call without an answer is still being answered, unless it was received longer ago than this.
const IN_SERVICE: SignedDuration = SignedDuration::from_secs(60);

/// What became of the same call when it came before.
pub(super) enum Again {
    /// It did what it asked for.
    Done(OperationRow),
    /// It did not, and the instance has changed since.
    Overtaken,
}

impl Script<'_> {
    /// What became of this very call when it came before; `None`: nothing that matters, and it is to be worked on.
    pub(super) fn came_before(&self, instance: &InstanceRow) -> Result<Option<Again>, StoreError> {
        let Some(mark) = self.conversation.mark() else { return Ok(None) };
        let stamped = mark.stamped;
        let from = stamped.and_then(|at| at.checked_sub(AROUND).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let until = stamped.and_then(|at| at.checked_add(AROUND).ok()).unwrap_or(self.now);
        let wanted = EarlierCalls {
            family: self.conversation.family.name(),
            activity: self.call.activity,
            from,
            until,
            before: self.pass.exchange.unwrap_or(i64::MAX),
            most: MOST,
        };
        let mut calls = self.tx.earlier_calls(instance, wanted)?;
        let is_same = |line: &str| self.conversation.mark_in(line).is_some_and(|other| other.tag == mark.tag);
        calls.retain(|call| is_same(&call.request_line) && !self.is_in_service(call));
        // A purchase is done long before the dates it says anew are applied; its answer tells whether they were.
        let says_dates = matches!(self.call.intent, Intent::Create { .. });
        let has_succeeded = |call: &&EarlierCall| call.result_code.as_deref() == Some(ResultCode::SUCCESS.as_str());
        let mut of_effect = calls.iter().filter(|call| !says_dates || has_succeeded(call));
        if let Some(row) = of_effect.find_map(|call| call.done)
            && let Some(operation) = self.tx.operation_by_row(row, self.conversation.key.id())?
        {
            return Ok(Some(Again::Done(operation)));
        }
        let Some(first) = calls.iter().map(|call| call.received_at).min() else { return Ok(None) };
        let has_changed = self.tx.changed_at(instance.row)?.is_some_and(|at| at > first);
        Ok(has_changed.then_some(Again::Overtaken))
    }

    /// Whoever sends such a call is asked for a fresh one, which a stranger cannot make.
    pub(super) fn overtaken(&mut self, belongs: Belongs) -> Result<Step, StoreError> {
        let outcome = Outcome::refusal(ResultCode::INTERNAL, "later calls have overtaken this one, please call again");
        self.answer(&outcome, belongs)
    }

    fn is_in_service(&self, call: &EarlierCall) -> bool {
        call.result_code.is_none() && call.done.is_none() && self.now.duration_since(call.received_at) < IN_SERVICE
    }
}
