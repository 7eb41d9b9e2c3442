//! Calls that change nothing and are answered afresh each time: queries, change checks, order notifications.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use jiff::Timestamp;
use uuid::Uuid;

use super::conversation::{Belongs, Conversation, Told};
use super::{Dispatcher, events};
use crate::alert::{self, Alarm};
use crate::config::PlaceholderValues;
use crate::fulfilment;
use crate::fulfilment::answer::Answer;
use crate::fulfilment::application::Application;
use crate::fulfilment::event::Event;
use crate::instance::{Request, Status, Verdict};
use crate::kind::Kind;
use crate::metrics::tallies::Tallies;
use crate::operation::Environment;
use crate::pool::Pool;
use crate::protocol::call::{Call, Detail, InstanceInfo, Intent, Outcome, UsageInfo};
use crate::protocol::result_code::ResultCode;
use crate::settings::{Product, Settings};
use crate::store::{InstanceRow, Store, StoreError, Tx, UsageTotal};
use crate::usage;

/// A query of no more instances than that is the writer's: what it reads are a few pages.
const ASKED_OF_WRITER: usize = 8;

impl Dispatcher {
    /// Tells of instances: of a few in the transaction that records the answer, which costs less than another one to read
    /// in; of many beside the writer, which has others to serve.
    pub(super) fn query(
        &self,
        conversation: &Arc<Conversation>,
        call: &Call,
        instance_ids: &[String],
    ) -> Result<Told, StoreError> {
        if instance_ids.len() > ASKED_OF_WRITER {
            let outcome = self.store.read(|tx| query(tx, &conversation.settings, call, instance_ids))?;
            return self.record(conversation, outcome, None);
        }
        let script = Arc::clone(conversation);
        self.patience.write(&self.store, conversation, move |tx| {
            // Only queries come here; the type of the conversation cannot say so.
            let Some(call) = &script.call else { return Err(StoreError::Closed) };
            let Intent::Query { instance_ids } = &call.intent else { return Err(StoreError::Closed) };
            let prepared = script.prepare(&query(tx, &script.settings, call, instance_ids)?);
            script.record(tx, &prepared, None, &Belongs::default())?;
            Ok(prepared.into())
        })
    }
}

/// Instances that are ready are told, the others left out; an answer without any says why.
fn query(tx: &Tx<'_>, settings: &Settings, call: &Call, instance_ids: &[String]) -> Result<Outcome, StoreError> {
    let is_test = call.environment == Environment::Test;
    let entry = settings.product_for(call.kind, None, None);
    let mut found = Vec::new();
    let mut creating = false;
    let mut encrypt_type = None;
    for id in instance_ids {
        let instance = tx.instance(call.environment, call.kind, id)?;
        let access = match &instance {
            Some(instance) => tx.access_of(instance)?,
            None => None,
        };
        let access = access.filter(|access| {
            // Bought through another interface: the other instances of the query are answered all the same.
            let fits = !call.encrypts_credentials || access.check_v1().is_ok();
            if !fits {
                log::error!("ALERT instance {id}: its access data has no room in V1, the query is answered without");
                alert::raise(Alarm::AccessNoRoom { instance_id: id.clone() });
            }
            fits
        });
        let product = instance.as_ref().and_then(|instance| settings.product_of(instance)).or(entry);
        let usage = instance.as_ref().map(|instance| usage_of(tx, instance)).transpose()?.unwrap_or_default();
        match instance.map(|instance| instance.life.status) {
            _ if is_test => {
                let values = PlaceholderValues { instance_id: id, ..PlaceholderValues::default() };
                let access = access.or_else(|| fulfilment::demonstration_access(product, &values));
                let usage = vec![nothing_used()];
                found.push(InstanceInfo { instance_id: id.clone(), access, usage });
            }
            Some(Status::Active | Status::Frozen) => {
                found.push(InstanceInfo { instance_id: id.clone(), access, usage });
            }
            // Where there is no "processing", nobody knows the id yet.
            Some(Status::Creating) => creating = call.may_answer_processing,
            Some(Status::Released) | None => continue,
        }
        // One for the whole answer: instances of a seller are encrypted alike.
        encrypt_type = encrypt_type.or(product.map(Product::encrypt_type));
    }
    let outcome = match (found.is_empty(), creating) {
        (false, _) => Outcome::success(),
        (true, true) => Outcome::refusal(ResultCode::PROCESSING, "the instances are still being created"),
        (true, false) => Outcome::refusal(ResultCode::UNKNOWN_INSTANCE, "none of the instance ids exists"),
    };
    Ok(outcome.with(Detail::Instances { found, encrypt_type: encrypt_type.unwrap_or_default() }))
}

/// What has been used of an instance, or of a package by each on-demand instance. Where usage is charged something must
/// be told, also before anything was used (spec 1-basic-v2 §4.2).
fn usage_of(tx: &Tx<'_>, instance: &InstanceRow) -> Result<Vec<UsageInfo>, StoreError> {
    if instance.kind != Kind::Saas || instance.environment == Environment::Test {
        return Ok(Vec::new());
    }
    let told = |total: UsageTotal| UsageInfo {
        related_instance_id: total.used_by,
        usage_value: usage::told(total.total),
        statistical_time: total.statistical_time,
    };
    let mut usage: Vec<_> = tx.usage_totals(instance.row)?.into_iter().map(told).collect();
    if usage.is_empty() && usage::check::must_be_told(instance.charging_mode.as_deref()) {
        usage.push(nothing_used());
    }
    Ok(usage)
}

fn nothing_used() -> UsageInfo {
    UsageInfo { related_instance_id: None, usage_value: 0.into(), statistical_time: Timestamp::now() }
}

/// What it takes to ask an application.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) questions: &'a Pool,
    pub(super) tallies: &'a Arc<Tallies>,
}

/// Whether a change is possible at the next renewal.
pub(super) fn check_change(
    store: &Store,
    asker: Asker<'_>,
    conversation: &Conversation,
    call: &Call,
    instance_id: &str,
    product_info: &serde_json::Value,
) -> Result<Outcome, StoreError> {
    if call.environment == Environment::Test {
        return Ok(Outcome::success());
    }
    let settings = &conversation.settings;
    let Some(instance) = store.read(|tx| tx.instance(call.environment, call.kind, instance_id))? else {
        return Ok(Outcome::refusal(ResultCode::UNKNOWN_INSTANCE, "instance id does not exist"));
    };
    if let Verdict::Refuse(code, message) = instance.life.decide(&Request::CheckChange, Timestamp::now(), settings.life)
    {
        return Ok(Outcome::refusal(code, message));
    }
    let Some(product) = settings.product_of(&instance) else {
        log::error!("ALERT {}: no [[product]] entry matches the instance's product", conversation.title());
        alert::raise(Alarm::NoProduct {
            product_kind: instance.kind.to_string(),
            product_id: instance.life.product_id.clone(),
            sku_code: instance.life.sku_code.clone(),
        });
        return Ok(Outcome::refusal(ResultCode::INTERNAL, "internal error"));
    };
    Ok(match product.application().filter(|_| product.asks_about_changes()) {
        Some(application) => {
            let event = events::check_change(call, &instance, product_info, &Uuid::new_v4().to_string());
            ask(asker, conversation, application.clone(), event)
        }
        None => Outcome::success(),
    })
}

/// Asks the product's application, in a pool of its own, and answers in time whatever it does.
fn ask(asker: Asker<'_>, conversation: &Conversation, application: Application, event: Event) -> Outcome {
    /// A question that nobody waits for any more may run to its own end.
    static NO_STOP: AtomicBool = AtomicBool::new(false);

    let (give, answer) = sync_channel(1);
    let tallies = Arc::clone(asker.tallies);
    let asked = asker.questions.try_run(move || {
        let begun = Instant::now();
        let answer = application.call(&event, &NO_STOP);
        tallies.hooks.note(event.kind, &answer, begun.elapsed());
        // The one who asked may have run out of time.
        let _ = give.send(answer);
    });
    let left = conversation.wait_until().saturating_duration_since(Instant::now());
    let answer = if asked { answer.recv_timeout(left).ok() } else { None };
    match answer {
        Some(Ok(Answer::Ready(_))) => Outcome::success(),
        Some(Ok(Answer::Refused { message, .. })) => {
            let message = if message.is_empty() { "the change is not possible".to_owned() } else { message };
            Outcome::refusal(conversation.settings.change_check_refusal, message)
        }
        Some(Ok(Answer::Pending)) => Outcome::refusal(ResultCode::INTERNAL, "not decided yet, please call again"),
        Some(Err(error)) => {
            log::warn!("{}: the application could not be asked: {error}", conversation.title());
            Outcome::refusal(ResultCode::INTERNAL, "internal error")
        }
        None => {
            let why = if asked { "has not answered in time" } else { "has too many questions open" };
            log::warn!("{}: the application {why}", conversation.title());
            Outcome::refusal(ResultCode::INTERNAL, "not decided yet, please call again")
        }
    }
}
