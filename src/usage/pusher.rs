//! Sends the usage records that are due: the thread between the table and KooGallery.
//!
//! One batch after the other: taken and counted, sent, settled in one commit. A crash between two of these steps leaves
//! records waiting that may have arrived; they are sent again under the same `metering_sn`, by which KooGallery knows them.
//!
//! What one answer means for each record is `judge`'s matter. Here is what it means for the next call: pauses, smaller
//! batches where a whole one came to nothing, and that no record holds up the others.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::batch::{self, Form, Record};
use super::judge::{Pushed, Verdict, Verdicts, judge};
use crate::alert::Alarm;
use crate::backoff::{self, Backoff};
use crate::config::UsageInterface;
use crate::dispatch::Dispatcher;
use crate::fault;
use crate::open_api::OpenApi;
use crate::open_api::error::{Again, OpenApiError};
use crate::pool::Pool;
use crate::protocol::open_api::reply::Standing;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How often the table is looked at. What is reported within this time shares a call.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Pauses while somebody has to mend something first.
const TROUBLE: Backoff = Backoff { first: Duration::from_secs(300), slowest: Duration::from_secs(3600) };

/// Usage that waits so long beyond its time is worth an alert: KooGallery collects in the first quarter of an hour, and
/// wants reports within two hours (spec 5-open-api §6.4 rule 2).
pub const LATE: SignedDuration = SignedDuration::from_hours(2);

/// The alert is repeated after this time.
const ALERT_EVERY: Duration = Duration::from_secs(3600);

/// After so many failures in a row that KooGallery had a part in, the batch itself may be the reason: it is made smaller.
const DOUBTED_AFTER: u32 = 3;

/// So many records that came to nothing alone are left out for the others' sake, at most.
const MOST_LEFT_OUT: usize = 100;

/// The running pusher.
pub struct Pusher {
    pool: Pool,
    stop: Arc<Stop>,
}

#[derive(Default)]
struct Stop {
    stopping: AtomicBool,
    sleeper: Mutex<()>,
    woken: Condvar,
}

impl Pusher {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(store: Arc<Store>, dispatcher: Arc<Dispatcher>, backoff: Backoff) -> std::io::Result<Self> {
        let (pool, stop) = (Pool::start("usage", 1)?, Arc::new(Stop::default()));
        let state = State::default();
        let mut push = Push { store, dispatcher, stop: Arc::clone(&stop), backoff, state, alerted: None };
        // The pool is new and has a free worker.
        pool.try_run(move || push.run());
        Ok(Self { pool, stop })
    }

    /// Sends no more and waits for the call that runs, for `grace` at most. What it sent is sent again at the next start.
    pub fn stop(self, grace: Duration) {
        self.stop.stopping.store(true, Ordering::SeqCst);
        // With the lock: whoever is about to sleep has either seen the mark or sleeps by now.
        let sleeper = self.stop.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.woken.notify_all();
        drop(sleeper);
        if self.pool.stop(grace) > 0 {
            log::warn!("a push of usage records still runs; it is made again at the next start");
        }
    }
}

impl Stop {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps for `time`, or until the stop.
    fn sleep(&self, time: Duration) {
        let sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.woken.wait_timeout_while(sleeper, time, |()| !self.is_stopping()));
    }
}

/// What a round comes to.
enum Round {
    /// Nothing is due.
    Idle,
    /// A batch is settled.
    Settled,
    /// Nothing more for so long.
    Pause(Duration),
}

/// What is to be done after a call.
enum Sent {
    /// Store these.
    Settle(Vec<Verdict>),
    /// Send the halves.
    Halve,
    /// Everything waits, for so long; who is to blame?
    Pause(Duration, Blame),
}

/// Why a call came to nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// Nothing came to where records are taken: no attempt.
    Unsent,
    /// Nobody knows. It may be something in the batch.
    Unknown,
}

/// What was learnt under one configuration; all of it may be lost.
#[derive(Default)]
struct State {
    /// In a row.
    failures: u32,
    /// KooGallery takes fewer at a time than the configuration says.
    most: Option<usize>,
    /// The next batch has so many only.
    smaller: Option<usize>,
    /// Rows that failed alone: the others go first.
    left_out: VecDeque<i64>,
}

/// The thread.
struct Push {
    store: Arc<Store>,
    dispatcher: Arc<Dispatcher>,
    stop: Arc<Stop>,
    backoff: Backoff,
    state: State,
    /// When usage that is late was last told.
    alerted: Option<Instant>,
}

impl Push {
    fn run(&mut self) {
        let (mut last, mut paused_until): (Option<Arc<Settings>>, Option<Instant>) = (None, None);
        while !self.stop.is_stopping() {
            let left = paused_until.map(|until| until.saturating_duration_since(Instant::now()));
            // A pause ends with the next look at the latest when the configuration is another one.
            self.stop.sleep(left.filter(|left| !left.is_zero()).map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY)));
            let settings = self.dispatcher.settings();
            if last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &settings)) {
                // Another configuration may have mended what was wrong.
                (self.state, self.alerted, paused_until) = (State::default(), None, None);
                last = Some(Arc::clone(&settings));
            }
            if paused_until.is_none_or(|until| Instant::now() >= until) {
                paused_until = self.push_due(&settings).map(|pause| Instant::now() + pause);
            }
        }
    }

    /// Sends all that is due, until something is in the way or the configuration is another one; returns for how long
    /// nothing more is tried then.
    fn push_due(&mut self, settings: &Arc<Settings>) -> Option<Duration> {
        let Some(open_api) = &settings.open_api else {
            self.tell_late("[open_api] is not configured");
            return None;
        };
        while !self.stop.is_stopping() && Arc::ptr_eq(settings, &self.dispatcher.settings()) {
            // A bug must not end the thread: who would notice before the money is missing?
            let round = catch_unwind(AssertUnwindSafe(|| self.round(settings, open_api)));
            match round {
                Ok(Ok(Round::Settled)) => {}
                Ok(Ok(Round::Idle)) => return None,
                Ok(Ok(Round::Pause(time))) => return Some(time),
                Ok(Err(error)) => return Some(self.later(&error.to_string())),
                Err(_) => return Some(self.trouble("pushing usage panicked (bug)")),
            }
        }
        None
    }

    /// Sends one batch.
    fn round(&mut self, settings: &Settings, open_api: &OpenApi) -> Result<Round, StoreError> {
        let now = Timestamp::now();
        if self.store.read(|tx| tx.next_usage_at())?.is_none_or(|at| at > now) {
            return Ok(Round::Idle);
        }
        // The access key of the basic interface is the same that signs its answers (spec README §4).
        let Some(key) = settings.keyring.basic().first() else {
            return Ok(Round::Pause(self.trouble("[keys] basic is missing, which signs them")));
        };
        let most = self.state.most.unwrap_or(open_api.settings().usage_batch_size);
        let size = self.state.smaller.map_or(most, |smaller| smaller.min(most));
        let left_out: Vec<i64> = self.state.left_out.iter().copied().collect();
        let batch = self.store.write(None, move |tx| tx.take_due_usage(now, size, &left_out))?;
        if batch.is_empty() {
            // All others have gone: those that were left out have their turn again, at the next look.
            self.state.left_out.clear();
            return Ok(Round::Idle);
        }
        let form = match open_api.settings().usage_interface {
            UsageInterface::New => Form::New,
            UsageInterface::Old => Form::Old,
        };
        let taken = batch.len();
        let mut parts = VecDeque::from([batch]);
        while let Some(part) = parts.pop_front() {
            let sent = open_api.push_usage(&self.store, key, &batch::body(&part, form));
            fault::point("usage-sent");
            match self.judge(&part, sent) {
                Sent::Settle(verdicts) => self.settle(&part, verdicts)?,
                Sent::Halve => {
                    // Each part is another attempt.
                    let again = |half: &[Record]| -> Vec<Record> {
                        half.iter().cloned().map(|record| Record { sent: record.sent + 1, ..record }).collect()
                    };
                    let (first, second) = batch::halves(&part);
                    [second, first]
                        .iter()
                        .filter(|half| !half.is_empty())
                        .for_each(|half| parts.push_front(again(half)));
                }
                Sent::Pause(time, blame) => {
                    if blame == Blame::Unknown && self.state.failures >= DOUBTED_AFTER {
                        self.doubt(&part);
                    } else if part.len() < taken {
                        // Of a batch that is being taken apart: go on here, not from the beginning.
                        self.state.smaller = Some(part.len());
                    } else if blame == Blame::Unsent {
                        self.store.write(None, move |tx| tx.untake_usage(&part))?;
                    }
                    return Ok(Round::Pause(time));
                }
            }
            if self.stop.is_stopping() {
                break;
            }
        }
        self.state.failures = 0;
        self.state.smaller = self.state.smaller.map(|smaller| smaller.saturating_mul(2)).filter(|size| *size < most);
        Ok(Round::Settled)
    }

    /// What becomes of a call, and what follows for the next ones.
    fn judge(&mut self, batch: &[Record], sent: Result<(), OpenApiError>) -> Sent {
        let error = match sent {
            Ok(()) => return self.verdicts(batch, Pushed::Accepted, Blame::Unknown),
            Err(error) => error,
        };
        let blame = if never_arrived(&error) { Blame::Unsent } else { Blame::Unknown };
        match (error.again(), error.refusal()) {
            // The client has said why.
            (Again::NotBefore(until), _) => {
                self.tell_late(&error.to_string());
                let pause = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
                Sent::Pause(pause, blame)
            }
            (Again::Never, Some(refusal)) => {
                let data = refusal.data.as_ref().map(ToString::to_string);
                let code = refusal.code.as_ref().map_or("", |code| code.as_str());
                let pushed = Pushed::Refused { code, message: &refusal.message, data: data.as_deref() };
                self.verdicts(batch, pushed, blame)
            }
            _ => self.verdicts(batch, Pushed::Unknown { why: &error.to_string() }, blame),
        }
    }

    fn verdicts(&mut self, batch: &[Record], pushed: Pushed<'_>, blame: Blame) -> Sent {
        match judge(batch, pushed) {
            Verdicts::Each(verdicts) => Sent::Settle(verdicts),
            Verdicts::Halve => Sent::Halve,
            Verdicts::Fewer => {
                self.state.most = Some(batch.len().div_ceil(2));
                log::warn!(
                    "{} usage records at a time are too many for KooGallery: set open_api.usage_batch_size",
                    batch.len()
                );
                Sent::Halve
            }
            Verdicts::Later { why } => Sent::Pause(self.later(&why), blame),
            // Whoever may not push, or signs wrong, is turned away before any record is looked at.
            Verdicts::Trouble { alert } => Sent::Pause(self.trouble(&alert), Blame::Unsent),
        }
    }

    fn settle(&self, batch: &[Record], verdicts: Vec<Verdict>) -> Result<(), StoreError> {
        let rejected = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Rejected(_))).count();
        let settled: Vec<(i64, Verdict)> = batch.iter().map(|record| record.row).zip(verdicts).collect();
        let now = Timestamp::now();
        self.store.write(None, move |tx| {
            settled.iter().try_for_each(|(row, verdict)| tx.settle_usage(*row, verdict, now).map(drop))
        })?;
        fault::point("usage-settled");
        if rejected > 0 {
            log::error!("ALERT KooGallery rejected {rejected} usage records; `koogate usage list --rejected` says why");
        }
        Ok(())
    }

    /// The pause after another failure.
    fn later(&mut self, why: &str) -> Duration {
        self.state.failures = self.state.failures.saturating_add(1);
        let pause = self.backoff.pause(self.state.failures, backoff::jitter());
        log::warn!("usage records could not be sent, next in {pause:.1?}: {why}");
        self.tell_late(why);
        pause
    }

    /// The pause until somebody has mended something.
    fn trouble(&mut self, alert: &str) -> Duration {
        self.state.failures = self.state.failures.saturating_add(1);
        let pause = TROUBLE.pause(self.state.failures, backoff::jitter());
        log::error!("ALERT usage records are not sent, next try in {pause:.0?} or after a reload: {alert}");
        crate::alert::raise(Alarm::UsageStuck);
        pause
    }

    /// This batch fails and fails. Either KooGallery does not work, or it cannot cope with a record in it: smaller batches
    /// tell, and a record that fails alone lets the others go first.
    fn doubt(&mut self, batch: &[Record]) {
        self.state.smaller = Some((batch.len() / 2).max(1));
        if let [alone] = batch {
            log::warn!("usage record {} alone could not be sent either: the others go first", alone.metering_sn);
            self.state.left_out.push_back(alone.row);
            if self.state.left_out.len() > MOST_LEFT_OUT {
                self.state.left_out.pop_front();
            }
        }
    }

    /// Usage that is not sent in time is not billed.
    fn tell_late(&mut self, why: &str) {
        if self.alerted.is_some_and(|at| at.elapsed() < ALERT_EVERY) {
            return;
        }
        let oldest = self.store.read(|tx| tx.next_usage_at()).ok().flatten();
        if let Some(oldest) = oldest.filter(|oldest| Timestamp::now().duration_since(*oldest) > LATE) {
            log::error!("ALERT usage records have been due since {oldest:.0} and could not be sent: {why}");
            self.alerted = Some(Instant::now());
        }
    }
}

/// Whether it is certain that nothing of a call came to where records are taken. After a throttled one it is not: who
/// knows which part of KooGallery had too many.
fn never_arrived(error: &OpenApiError) -> bool {
    use OpenApiError::{Crowded, Locked, NoConnection, NotConfigured, Refused, Store, Throttled};
    match error {
        NotConfigured | Locked { .. } | Throttled { .. } | Crowded { .. } | NoConnection { .. } | Store(_) => true,
        Refused { refusal, .. } => refusal.standing() == Standing::Signature,
        _ => false,
    }
}
