//! Sends the usage records that are due: the thread between the table and KooGallery.
//!
//! One batch after the other: taken and counted, sent, settled in one commit. A crash between two of these steps leaves
//! records waiting that may have arrived; they are sent again under the same `metering_sn`, by which KooGallery knows them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::batch::{self, Form, Record};
use super::judge::{Pushed, Verdict, Verdicts, judge};
use crate::backoff::{self, Backoff};
use crate::config::UsageInterface;
use crate::dispatch::Dispatcher;
use crate::fault;
use crate::open_api::OpenApi;
use crate::open_api::error::{Again, OpenApiError};
use crate::pool::Pool;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How often the table is looked at. What is reported within this time shares a call.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Pauses while somebody has to mend something first.
const TROUBLE: Backoff = Backoff { first: Duration::from_secs(300), slowest: Duration::from_secs(3600) };

/// Usage that waits so long beyond its time is worth an alert: KooGallery collects in the first quarter of an hour, and
/// wants reports within two (spec 5-open-api §6.4 rule 2).
const LATE: SignedDuration = SignedDuration::from_hours(2);

/// The alert is repeated after this time.
const ALERT_EVERY: Duration = Duration::from_secs(3600);

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
        let mut push =
            Push { store, dispatcher, stop: Arc::clone(&stop), backoff, failures: 0, most: None, alerted: None };
        // The pool is new and has a free worker.
        pool.try_run(move || push.run());
        Ok(Self { pool, stop })
    }

    /// Sends no more and waits for the call that runs, for `grace` at most. What it sent is sent again at the next start.
    pub fn stop(self, grace: Duration) {
        self.stop.stopping.store(true, Ordering::SeqCst);
        let _sleeper = self.stop.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.woken.notify_all();
        drop(_sleeper);
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

/// The thread's own state; all of it may be lost.
struct Push {
    store: Arc<Store>,
    dispatcher: Arc<Dispatcher>,
    stop: Arc<Stop>,
    backoff: Backoff,
    /// In a row.
    failures: u32,
    /// KooGallery takes fewer at a time than the configuration says.
    most: Option<usize>,
    /// When usage that is late was last told.
    alerted: Option<Instant>,
}

impl Push {
    fn run(&mut self) {
        let mut paused_by: Option<(Arc<Settings>, Instant)> = None;
        while !self.stop.is_stopping() {
            self.stop.sleep(LOOK_EVERY);
            let settings = self.dispatcher.settings();
            // Another configuration may have mended what was wrong.
            let still =
                |(paused, until): &(Arc<Settings>, Instant)| Arc::ptr_eq(paused, &settings) && Instant::now() < *until;
            if paused_by.as_ref().is_some_and(still) {
                continue;
            }
            let Some(open_api) = &settings.open_api else { continue };
            loop {
                match self.round(&settings, open_api) {
                    Ok(Round::Settled) if !self.stop.is_stopping() => {}
                    Ok(Round::Settled | Round::Idle) => break,
                    Ok(Round::Pause(time)) => {
                        paused_by = Some((Arc::clone(&settings), Instant::now() + time));
                        break;
                    }
                    Err(error) => {
                        log::error!("usage records cannot be taken or settled: {error}");
                        break;
                    }
                }
            }
        }
    }

    /// Sends one batch.
    fn round(&mut self, settings: &Settings, open_api: &OpenApi) -> Result<Round, StoreError> {
        let now = Timestamp::now();
        if self.store.read(|tx| tx.next_usage_at())?.is_none_or(|at| at > now) {
            return Ok(Round::Idle);
        }
        // The access key of the basic interface is the same that signs its answers (spec README §4).
        let Some(key) = settings.keyring.basic().first() else { return Ok(Round::Idle) };
        let most = self.most.unwrap_or(open_api.settings().usage_batch_size);
        let batch = self.store.write(None, move |tx| tx.take_due_usage(now, most))?;
        let form = match open_api.settings().usage_interface {
            UsageInterface::New => Form::New,
            UsageInterface::Old => Form::Old,
        };
        let mut parts = VecDeque::from([batch]);
        while let Some(part) = parts.pop_front() {
            if part.is_empty() {
                continue;
            }
            let sent = open_api.push_usage(&self.store, key, &batch::body(&part, form));
            fault::point("usage-sent");
            if sent.as_ref().is_err_and(|error| error.again() != Again::Never && !error.may_be_done()) {
                let records = part.clone();
                self.store.write(None, move |tx| tx.untake_usage(&records))?;
            }
            match self.judge(&part, sent) {
                Sent::Settle(verdicts) => self.settle(&part, verdicts)?,
                Sent::Halve => {
                    // Each part is another attempt.
                    let again = |half: &[Record]| {
                        half.iter().cloned().map(|record| Record { sent: record.sent + 1, ..record }).collect()
                    };
                    let (first, second) = batch::halves(&part);
                    parts.push_front(again(second));
                    parts.push_front(again(first));
                }
                Sent::Pause(time) => return Ok(Round::Pause(time)),
            }
            if self.stop.is_stopping() {
                break;
            }
        }
        self.failures = 0;
        Ok(Round::Settled)
    }

    /// What became of a call, and what follows for the next ones.
    fn judge(&mut self, batch: &[Record], sent: Result<(), OpenApiError>) -> Sent {
        let error = match sent {
            Ok(()) => return self.verdicts(batch, Pushed::Accepted),
            Err(error) => error,
        };
        match (error.again(), error.refusal()) {
            // The client has said why.
            (Again::NotBefore(until), _) => {
                self.tell_late(&error.to_string());
                Sent::Pause(Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default())
            }
            (Again::Never, Some(refusal)) => {
                let data = refusal.data.as_ref().map(ToString::to_string);
                let code = refusal.code.as_ref().map_or("", |code| code.as_str());
                self.verdicts(batch, Pushed::Refused { code, message: &refusal.message, data: data.as_deref() })
            }
            _ => self.verdicts(batch, Pushed::Unknown { why: &error.to_string() }),
        }
    }

    fn verdicts(&mut self, batch: &[Record], pushed: Pushed<'_>) -> Sent {
        match judge(batch, pushed) {
            Verdicts::Each(verdicts) => Sent::Settle(verdicts),
            Verdicts::Halve => Sent::Halve,
            Verdicts::Fewer => {
                self.most = Some(batch.len().div_ceil(2));
                log::warn!(
                    "KooGallery takes no {} usage records at a time: set open_api.usage_batch_size",
                    batch.len()
                );
                Sent::Halve
            }
            Verdicts::Later { why } => {
                self.failures = self.failures.saturating_add(1);
                let pause = self.backoff.pause(self.failures, backoff::jitter());
                log::warn!("usage records could not be sent, next in {pause:.1?}: {why}");
                self.tell_late(&why);
                Sent::Pause(pause)
            }
            Verdicts::Trouble { alert } => {
                self.failures = self.failures.saturating_add(1);
                let pause = TROUBLE.pause(self.failures, backoff::jitter());
                log::error!("ALERT usage records are not sent, next try in {pause:.0?}: {alert}");
                Sent::Pause(pause)
            }
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

/// What is to be done after a call.
enum Sent {
    /// Store these.
    Settle(Vec<Verdict>),
    /// Send the halves.
    Halve,
    /// Stop for so long.
    Pause(Duration),
}
