//! From a whole request to a durable answer: verify, identify, decide, work, record, answer.
//!
//! This is the one place where the pure core meets the store. The dispatcher knows no family by name and no activity: a
//! [`Family`] reads and writes the wire, `script` holds what one transaction does, and what takes longer is a job.
//!
//! A call makes one or more passes through the script. Each pass is a transaction that looks the operation up, does what
//! can be done and either answers or waits for somebody else's work ([`Waiters`]). Only what is on disk is answered.

mod conversation;
mod directory;
mod events;
mod nonces;
mod patience;
mod queries;
mod refused;
mod script;
mod secrets;
mod waiters;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use refused::{RefusalClass, Refused, RefusedCalls};
pub use waiters::Waiters;

use crate::alert::{self, Alarm};
use crate::fault;
use crate::http::{Reply, Request, To};
use crate::metrics::calls::Answered;
use crate::metrics::tallies::Tallies;
use crate::operation::{self, Environment};
use crate::pool::Pool;
use crate::protocol::call::{BadCall, Call, Intent, Outcome, SIMULATE_AGENT};
use crate::protocol::key::AccessKey;
use crate::protocol::kit::calls::DirectorySync;
use crate::protocol::result_code::ResultCode;
use crate::protocol::signature::SignatureRefusal;
use crate::protocol::{self, Family, Received};
use crate::settings::Settings;
use crate::store::{AnswerBytes, NewExchange, NewJob, ORDER_QUERY, Store, StoreError, Subject};
use crate::trouble::Trouble;
use conversation::{Belongs, Conversation, Row, Told, is_failure};
use nonces::Nonces;
use patience::Patience;
use queries::Asker;
use script::{AfterCommit, Pass, Step};
use secrets::Permits;

/// So many questions to applications may be open at once.
pub const QUESTIONS: usize = 8;

/// Turns requests into answers. Shared by all connections.
pub struct Dispatcher {
    store: Arc<Store>,
    settings: RwLock<Arc<Settings>>,
    waiters: Arc<Waiters>,
    wake_jobs: Box<dyn Fn() + Send + Sync>,
    nonces: Nonces,
    refused: RefusedCalls,
    /// Where applications are asked what KooGallery waits for.
    questions: Pool,
    /// How many client secrets are opened at a time.
    decryptions: Permits,
    /// Commits that took longer than an answer may.
    delays: Mutex<Trouble>,
    patience: Patience,
    tallies: Arc<Tallies>,
}

impl Dispatcher {
    /// `wake_jobs` is called when a job has been committed; `waiters` is told when one has ended.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(
        store: Arc<Store>,
        settings: Arc<Settings>,
        waiters: Arc<Waiters>,
        wake_jobs: Box<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        let (settings, nonces, refused) = (RwLock::new(settings), Nonces::default(), RefusedCalls::default());
        let questions = Pool::start("question", QUESTIONS)?;
        // Each takes milliseconds of a core: half of the cores stay for the answers.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decryptions = Permits::new((cores / 2).max(1));
        let (delays, patience, tallies) = (Mutex::default(), Patience::default(), Arc::default());
        Ok(Self {
            store,
            settings,
            waiters,
            wake_jobs,
            nonces,
            refused,
            questions,
            decryptions,
            delays,
            patience,
            tallies,
        })
    }

    /// Lets questions to applications end, for `grace` at most.
    pub fn stop(&self, grace: Duration) {
        self.questions.stop(grace);
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other settings in force: a call sees all of the old ones or all of the new ones.
    pub fn replace_settings(&self, settings: Arc<Settings>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The calls that were turned away lately.
    pub fn refused(&self) -> &RefusedCalls {
        &self.refused
    }

    /// What calls and applications came to.
    pub fn tallies(&self) -> &Arc<Tallies> {
        &self.tallies
    }

    /// Answers a request to the production address. It is of `family`, or, where that does not verify it, of `other`.
    pub fn answer(&self, family: &'static dyn Family, other: Option<&'static dyn Family>, request: Request) -> Reply {
        let settings = self.settings();
        let now = Timestamp::now();
        let header = |name: &str| request.header(name);
        let received = Received { query: request.query(), header: &header, body: &request.body };
        let verify = |family| protocol::verify(family, &received, &settings.keyring, now, &settings.rules);
        let by_other = |refusal| {
            let other = other.and_then(|other| verify(other).ok().map(|verified| (other, verified)));
            other.ok_or(refusal)
        };
        let verified = verify(family).map(|verified| (family, verified)).or_else(by_other);
        let (family, verified) = match verified {
            Ok(verified) => verified,
            Err(refusal) => {
                let class = RefusalClass::of(&refusal);
                self.refused.note(family.name(), class, request.peer, &reason(family, &settings, &refusal), now);
                let message = if refusal.result_code() == ResultCode::AUTHENTICATION {
                    "authentication failed".to_owned()
                } else {
                    refusal.to_string()
                };
                return unrecorded(family, None, &settings, &Outcome::refusal(refusal.result_code(), message));
            }
        };
        if settings.nonce_replay_check
            && let Some(nonce) = verified.nonce()
            && !self.nonces.is_new(verified.key().id(), nonce, now, settings.rules.signature.window_ms)
        {
            self.refused.note(family.name(), RefusalClass::Replay, request.peer, "the nonce was used before", now);
            let message = "authentication failed: the nonce was used before";
            let outcome = Outcome::refusal(ResultCode::AUTHENTICATION, message);
            return unrecorded(family, Some(verified.key()), &settings, &outcome);
        }
        let key = verified.key().clone();
        let read = family.read(&verified, &settings.rules);
        let started = request.received;
        let is_simulated = request.header("User-Agent").is_some_and(|agent| agent.starts_with(SIMULATE_AGENT));
        let (call, bad) = match read {
            Ok(call) => (Some(call), None),
            Err(bad) => (None, Some(bad)),
        };
        let exchange = new_exchange(family, request, key.id(), call.as_ref(), bad.as_ref(), now);
        // Here and not in the transaction: the writer is one thread for all.
        let operation = call.as_ref().filter(|call| call.intent.is_operation());
        let content_digest = operation.map(|call| operation::content_digest(&call.content)).unwrap_or_default();
        let conversation =
            Conversation { family, settings, key, started, exchange, call, content_digest, is_simulated };
        for remark in conversation.call.iter().flat_map(|call| &call.remarks) {
            log::warn!("{}: {remark}", conversation.title());
        }
        self.converse(&Arc::new(conversation), bad)
    }

    /// Answers a request to the production address that asks for nothing: an address check, or a method no family has.
    pub fn answer_nothing_asked(&self, family: &'static dyn Family, request: &Request) -> Reply {
        if !request.query().is_empty() {
            let reason = "no call of this method is supported";
            self.refused.note(family.name(), RefusalClass::UnknownCall, request.peer, reason, Timestamp::now());
        }
        unrecorded(
            family,
            None,
            &self.settings(),
            &Outcome::refusal(ResultCode::PARAMETER, "no call of this method is known"),
        )
    }

    /// Everything after authentication. `bad` is set when the request could not be read.
    fn converse(&self, conversation: &Arc<Conversation>, bad: Option<BadCall>) -> Reply {
        let (mut row, mut waited) = (None, false);
        let answered = match (&conversation.call, bad) {
            (Some(call), _) => match &call.intent {
                Intent::Create { .. } | Intent::Change { .. } | Intent::Issue { .. } => {
                    self.operate(conversation, &mut row, &mut waited)
                }
                Intent::Sync(sync) => self.sync(conversation, call, sync),
                Intent::Notify => self.note_announcement(conversation, call),
                Intent::Query { instance_ids } => self.query(conversation, call, instance_ids),
                Intent::CheckChange { instance_id, product_info } => {
                    let asker = Asker { questions: &self.questions, tallies: &self.tallies };
                    queries::check_change(&self.store, asker, conversation, call, instance_id, product_info)
                        .and_then(|outcome| self.record(conversation, outcome, None))
                }
            },
            (None, bad) => {
                let reason = bad.map(|bad| bad.reason).unwrap_or_default();
                log::warn!("{}: 000002: {reason}", conversation.title());
                self.record(conversation, Outcome::refusal(ResultCode::PARAMETER, reason), None)
            }
        };
        let told = answered.unwrap_or_else(|error| self.fail(conversation, row, &error));
        self.tallies.calls.note(&Answered {
            family: conversation.exchange.family,
            activity: conversation.exchange.activity,
            is_test: conversation.exchange.environment == Environment::Test,
            result: told.code.as_str(),
            replayed: told.replayed,
            waited,
            took: conversation.started.elapsed(),
        });
        if conversation.is_test_of_koogallery() && is_failure(told.code) {
            let activity = conversation.exchange.activity.unwrap_or("?").to_owned();
            log::error!("ALERT {}: KooGallery's test call was answered {}", conversation.title(), told.code);
            alert::raise(Alarm::TestCallFailed { activity, result: told.code.as_str().to_owned() });
        }
        Reply::from(told.bytes).to(To::Friend)
    }

    /// The answer when nothing could be done: it promises nothing, and KooGallery calls again. It is recorded where the
    /// disk is not the trouble; where it is, an answer without a record is better than none.
    fn fail(&self, conversation: &Arc<Conversation>, row: Option<Row>, error: &StoreError) -> Told {
        let outcome = Outcome::refusal(ResultCode::INTERNAL, "internal error");
        let recorded = match error {
            StoreError::TimedOut | StoreError::Closed | StoreError::Overloaded(_) | StoreError::Commit(_) => None,
            _ => self.record(conversation, outcome.clone(), row).ok(),
        };
        let how = if recorded.is_some() { "" } else { " without a record" };
        let title = conversation.title();
        match error {
            // The writer has alerted somebody when commits began to fail.
            StoreError::Commit(_) => log::error!("{title}: answered 000005{how}: {error}"),
            // Somebody knows, and a refusal that is to cost nothing writes no line.
            StoreError::Overloaded(_) if !self.is_first_delay() => {}
            StoreError::TimedOut if !self.is_first_delay() => {
                log::error!("{title}: answered 000005{how}: {error}");
            }
            _ => {
                log::error!("ALERT {title}: answered 000005{how}: {error}{}", error.disk_mend());
                alert::raise(Alarm::CallFailed);
            }
        }
        recorded.unwrap_or_else(|| {
            self.tallies.unrecorded.add();
            conversation.prepare(&outcome).into()
        })
    }

    /// Whether nobody has been told within a while that the disk is too slow.
    fn is_first_delay(&self) -> bool {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner).met(Instant::now())
    }

    /// Makes passes through the script until there is an answer. `row` is the call's row once it is written; `waited` is
    /// set when it waits for work in the background.
    fn operate(
        &self,
        conversation: &Arc<Conversation>,
        row: &mut Option<Row>,
        waited: &mut bool,
    ) -> Result<Told, StoreError> {
        let (most, wait_until) = (conversation.settings.most_waiting, conversation.wait_until());
        let mut pass = Pass { exchange: None, waited_for: None, may_wait: true };
        loop {
            let (script, waiters) = (Arc::clone(conversation), Arc::clone(&self.waiters));
            let step = self.patience.write(&self.store, conversation, move |tx| {
                // Only readable calls come here; the type of the conversation cannot say so.
                let call = script.call.as_ref().ok_or(StoreError::Closed)?;
                script::run(tx, &script, call, &waiters, pass, Timestamp::now())
            })?;
            fault::point("pass");
            match step {
                Step::Answer { told, then } => {
                    self.tell(then);
                    return Ok(told);
                }
                Step::Wait { exchange, operation, ended, then } => {
                    self.tell(then);
                    *waited = true;
                    let waiting = self.patience.for_application(most);
                    let in_time = ended.wait_until(if waiting.is_some() { wait_until } else { Instant::now() });
                    let may_wait = in_time && Instant::now() < wait_until;
                    pass = Pass { exchange: Some(exchange), waited_for: Some(operation), may_wait };
                    *row = Some(Row { number: exchange, is_written: true });
                }
            }
        }
    }

    /// Applies a directory call, or, where it is a test, only checks it.
    fn sync(&self, conversation: &Arc<Conversation>, call: &Call, sync: &DirectorySync) -> Result<Told, StoreError> {
        let client_secret = match secrets::open(&self.decryptions, conversation, call, sync) {
            Ok(client_secret) => client_secret,
            Err((code, message)) => return self.record(conversation, Outcome::refusal(code, message), None),
        };
        if call.environment == Environment::Test {
            return self.record(conversation, Outcome::success(), None);
        }
        let script = Arc::clone(conversation);
        let (told, has_job) = self.patience.write(&self.store, conversation, move |tx| {
            // Only directory calls come here; the type of the conversation cannot say so.
            let Some(Intent::Sync(sync)) = script.call.as_ref().map(|call| &call.intent) else {
                return Err(StoreError::Closed);
            };
            let has_job = directory::apply(tx, &script.settings, sync, client_secret.as_ref(), Timestamp::now())?;
            let prepared = script.prepare(&Outcome::success());
            script.record(tx, &prepared, None, &Belongs::default())?;
            Ok((prepared.into(), has_job))
        })?;
        if has_job {
            (self.wake_jobs)();
        }
        Ok(told)
    }

    /// An order was announced: it is read in the background and kept.
    fn note_announcement(&self, conversation: &Arc<Conversation>, call: &Call) -> Result<Told, StoreError> {
        let Some(order) = conversation.order_wanted(call, None) else {
            return self.record(conversation, Outcome::success(), None);
        };
        let script = Arc::clone(conversation);
        let told = self.patience.write(&self.store, conversation, move |tx| {
            if !tx.is_order_announced(&order.order_id)? {
                let (subject, task, order) = (Subject::Order, ORDER_QUERY, Some(order.clone()));
                tx.insert_job(&NewJob { subject, task, order, event: None, change: None }, Timestamp::now())?;
            }
            let prepared = script.prepare(&Outcome::success());
            script.record(tx, &prepared, None, &Belongs::default())?;
            Ok(prepared.into())
        })?;
        (self.wake_jobs)();
        Ok(told)
    }

    fn tell(&self, then: AfterCommit) {
        for operation in then.ended {
            self.waiters.ended(operation);
        }
        if then.jobs {
            (self.wake_jobs)();
        }
    }

    /// Records a call that is no operation together with its answer.
    fn record(&self, conversation: &Arc<Conversation>, outcome: Outcome, row: Option<Row>) -> Result<Told, StoreError> {
        let script = Arc::clone(conversation);
        self.patience.write(&self.store, conversation, move |tx| {
            let prepared = script.prepare(&outcome);
            script.record(tx, &prepared, row, &Belongs::default())?;
            Ok(prepared.into())
        })
    }
}

/// Why a request was refused, for the operator.
fn reason(family: &dyn Family, settings: &Settings, refusal: &SignatureRefusal) -> String {
    if *refusal == SignatureRefusal::NoKeyMatches && family.keys(&settings.keyring).is_empty() {
        return format!("no access key for {} calls is configured: see [keys]", family.name());
    }
    refusal.to_string()
}

/// A signed refusal of a request that leaves no record. Where no key has verified the request, the first of the family
/// signs, or else of the basic interfaces, or else of any, whatever key might have been meant (spec README §7.2).
fn unrecorded(family: &dyn Family, key: Option<&AccessKey>, settings: &Settings, outcome: &Outcome) -> Reply {
    let body = family.reply(None, outcome, &|_, text| text.to_owned());
    let keyring = &settings.keyring;
    let (first, basic) = (family.keys(keyring).first(), keyring.basic().first());
    let key = key.or(first).or(basic).or(keyring.license().first());
    let key = key.filter(|_| family.signs_replies(&settings.rules));
    let body_sign = key.map(|key| protocol::body_sign::header_value(key, &body)).unwrap_or_default();
    Reply::from(AnswerBytes { body, body_sign }).to(To::Stranger)
}

/// The journal's view of a request.
fn new_exchange(
    family: &dyn Family,
    request: Request,
    access_key: &str,
    call: Option<&Call>,
    bad: Option<&BadCall>,
    now: Timestamp,
) -> NewExchange {
    let test = call.map_or(bad.is_some_and(|bad| bad.test), |call| call.environment == Environment::Test);
    NewExchange {
        received_at: now,
        environment: if test { Environment::Test } else { Environment::Real },
        family: family.name(),
        activity: call.map_or(bad.and_then(|bad| bad.activity), |call| Some(call.activity)),
        peer: request.peer.to_string(),
        access_key: access_key.to_owned(),
        request_line: format!("{} {}", request.method, request.target),
        order_id: call.and_then(|call| call.order.as_ref()).map(|order| order.order_id.clone()),
        instance_id: call.and_then(|call| call.intent.instance_id()).map(str::to_owned),
        request_body: request.body,
        request_sealed: family.seals_requests(),
    }
}
