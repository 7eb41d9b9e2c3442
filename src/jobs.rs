//! The durable jobs: events that the merchant's application must get, tried until it has answered.
//!
//! One scheduler thread claims what is due, a pool of workers of its own calls the application, so that slow
//! applications hold up nobody's answer. A claimed job carries a lease; a job whose process died is taken up again at the
//! next start. Every attempt carries the same operationId. A job that has an order to read reads it first (`order`); jobs
//! that call KooGallery instead are in `upload`; what becomes of leases when the machine's clock is set, in `clock`.

mod clock;
mod order;
mod upload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::clock::StepWatch;
use crate::backoff::{self, Backoff};
use crate::config;
use crate::dispatch::{Dispatcher, Waiters};
use crate::fault;
use crate::fulfilment::answer::Answer;
use crate::fulfilment::event::{Event, EventName};
use crate::fulfilment::{self, AttemptResult, completion, ordered};
use crate::kind::Kind;
use crate::operation::Environment;
use crate::pool::Pool;
use crate::store::{InstanceRow, JobRow, ORDER_QUERY, Store, StoreError, Subject, Tx, UPLOAD};
use crate::trouble::Trouble;

/// How often the table is looked at without being told: for retries that became due and for jobs that a command put back.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Programs that are ended at a stop have so long to go.
const PROGRAM_GRACE: Duration = Duration::from_secs(4);

/// How often a result is offered to a disk that did not take it.
const RECORD_EVERY: Duration = Duration::from_millis(200);

/// A lease outlasts the longest attempt by this; only a process that hangs is outlived by it.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

/// Tells the scheduler that a job was committed.
#[derive(Default)]
pub struct JobBell {
    rung: Mutex<bool>,
    changed: Condvar,
}

/// The running scheduler and its workers.
pub struct JobRunner {
    shared: Arc<Shared>,
    scheduler: JoinHandle<()>,
}

impl JobBell {
    /// Rings.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits for a ring, for `time` at most.
    fn wait(&self, time: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, time, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// How an attempt ends.
enum Attempt {
    /// So.
    Ends(AttemptResult),
    /// Without an application: koogate itself makes what was bought.
    Fulfil,
    /// Its end is recorded already.
    Ended,
}

/// What scheduler and workers share.
struct Shared {
    store: Arc<Store>,
    dispatcher: Arc<Dispatcher>,
    waiters: Arc<Waiters>,
    bell: Arc<JobBell>,
    pool: Pool,
    limits: config::Jobs,
    /// No more jobs are taken.
    stopping: AtomicBool,
    /// Programs that still run are ended.
    abandoning: AtomicBool,
}

impl JobRunner {
    /// Puts back what the last process left running and starts.
    ///
    /// # Errors
    /// When the table cannot be written or a thread cannot be started.
    pub fn start(
        store: Arc<Store>,
        dispatcher: Arc<Dispatcher>,
        waiters: Arc<Waiters>,
        bell: Arc<JobBell>,
        limits: config::Jobs,
    ) -> Result<Self, StartError> {
        let put_back = store.write(None, |tx| tx.release_leases(Timestamp::now(), true))?;
        if put_back > 0 {
            log::info!("{put_back} jobs of the last run are taken up again");
        }
        store.write(None, |tx| tx.hasten_order_jobs(Timestamp::now()))?;
        let slowest = limits.slowest_retry;
        let mended = store.write(None, move |tx| {
            let now = Timestamp::now();
            tx.mend_times_of_jobs(now, clock::latest_due(now, slowest))
        })?;
        if mended > 0 {
            log::warn!("{mended} jobs have times of a clock that was wrong; they are due at once");
        }
        upload::hasten(&store, &dispatcher.settings())?;
        let pool = Pool::start("job", limits.workers).map_err(StartError::Thread)?;
        let (stopping, abandoning) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { store, dispatcher, waiters, bell, pool, limits, stopping, abandoning });
        let scheduling = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("jobs".to_owned());
        let scheduler = builder.spawn(move || schedule(&scheduling)).map_err(StartError::Thread)?;
        Ok(Self { shared, scheduler })
    }

    /// Other settings are in force: what waited for them is tried at once.
    pub fn settings_changed(&self) {
        let orders = self.shared.store.write(None, |tx| tx.hasten_order_jobs(Timestamp::now())).map(drop);
        let uploads = upload::hasten(&self.shared.store, &self.shared.dispatcher.settings());
        match orders.and(uploads) {
            Ok(()) => self.shared.bell.ring(),
            Err(error) => log::error!("jobs that wait for KooGallery could not be made due: {error}"),
        }
    }

    /// Takes no more jobs, lets attempts that run end within `grace`, then ends programs. An attempt that cannot be
    /// ended is abandoned: it is made again at the next start, with the same operationId.
    pub fn stop(self, grace: Duration) {
        let Self { shared, scheduler } = self;
        shared.stopping.store(true, Ordering::SeqCst);
        shared.bell.ring();
        // The scheduler first: after it nothing begins any more.
        if scheduler.join().is_err() {
            log::error!("the job scheduler had panicked (bug)");
        }
        if shared.pool.stop(grace) == 0 {
            return;
        }
        shared.abandoning.store(true, Ordering::SeqCst);
        let abandoned = shared.pool.stop(PROGRAM_GRACE);
        if abandoned > 0 {
            log::warn!("{abandoned} attempts still run and will be made again at the next start");
        }
    }
}

/// The job runner cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The job table cannot be written.
    #[error("cannot take up the jobs of the last run: {0}")]
    Store(#[from] StoreError),
    /// A thread cannot be started.
    #[error("cannot start a job thread: {0}")]
    Thread(std::io::Error),
}

fn schedule(shared: &Arc<Shared>) {
    let mut watch = StepWatch::new(Timestamp::now(), Instant::now());
    let mut trouble = Trouble::default();
    while !shared.stopping.load(Ordering::SeqCst) {
        match follow_clock(shared, &mut watch).and_then(|now| claim(shared, now)) {
            Ok(jobs) => {
                if let Some(over) = trouble.over(Instant::now()) {
                    log::info!("jobs are claimed again, after {:.0?}", over.lasted);
                }
                for job in jobs {
                    let working = Arc::clone(shared);
                    // Only the scheduler hands work to this pool, and no more than it has free workers.
                    if !shared.pool.try_run(move || attempt(&working, &job)) {
                        log::error!("a claimed job found no worker (bug); it is taken up again when its lease ends");
                    }
                }
            }
            Err(error) if trouble.met(Instant::now()) => log::error!("jobs cannot be claimed: {error}; trying on"),
            Err(_) => {}
        }
        shared.bell.wait(LOOK_EVERY);
    }
}

/// The time by the clock, after leases have been moved along with it if it was set.
fn follow_clock(shared: &Shared, watch: &mut StepWatch) -> Result<Timestamp, StoreError> {
    let now = Timestamp::now();
    if let Some(step) = watch.look(now, Instant::now()) {
        shared.store.write(None, move |tx| tx.move_jobs(step, now))?;
        log::warn!(
            "the machine's clock was set by {:.0} s; jobs and their leases were moved along",
            step.as_secs_f64()
        );
        watch.dealt_with();
    }
    Ok(now)
}

/// Takes as many due jobs as there are free workers.
fn claim(shared: &Shared, now: Timestamp) -> Result<Vec<JobRow>, StoreError> {
    let free = shared.pool.free();
    if shared.store.read(|tx| tx.has_lapsed_lease(now))? {
        let put_back = shared.store.write(None, move |tx| tx.release_leases(now, false))?;
        log::warn!("{put_back} jobs whose attempt never ended are taken up again");
    }
    if free == 0 || shared.store.read(|tx| tx.next_job_at())?.is_none_or(|at| at > now) {
        return Ok(Vec::new());
    }
    let longest = shared.dispatcher.settings().longest_attempt() + LEASE_MARGIN;
    let lease_until = backoff::after(now, longest);
    let most = i64::try_from(free).unwrap_or(i64::MAX);
    let jobs = shared.store.write(None, move |tx| tx.claim_jobs(now, lease_until, most))?;
    fault::point("claimed");
    Ok(jobs)
}

/// Makes one attempt and records what came of it.
fn attempt(shared: &Shared, job: &JobRow) {
    let begun = Begun::now();
    let end = catch_unwind(AssertUnwindSafe(|| match job.task.as_str() {
        UPLOAD => Attempt::Ends(upload::upload(&shared.store, &shared.dispatcher.settings(), job)),
        ORDER_QUERY => order::keep(shared, job),
        _ => tell(shared, job),
    }));
    let panicked = || Attempt::Ends(AttemptResult::Failed("internal error (a panic; see the log)".to_owned()));
    let end = end.unwrap_or_else(|_| panicked());
    fault::point("attempted");
    let (row, number) = (job.row, job.attempt);
    let recorded = insist(shared, &format!("job {row}: the result of attempt {number}"), || {
        let retry = retry_of(&shared.limits, job, begun);
        match &end {
            Attempt::Ends(result) => {
                let result = result.clone();
                shared
                    .store
                    .write(None, move |tx| completion::record(tx, row, number, result.clone(), retry, Timestamp::now()))
            }
            Attempt::Fulfil => {
                let settings = shared.dispatcher.settings();
                let attempt = (row, number);
                shared.store.write(None, move |tx| ordered::fulfil(tx, &settings, attempt, retry, Timestamp::now()))
            }
            Attempt::Ended => Ok(()),
        }
    });
    fault::point("recorded");
    if recorded {
        job.subject.operation().into_iter().for_each(|operation| shared.waiters.ended(operation));
    }
    // The next job of the same instance may run now.
    shared.bell.ring();
}

/// Records a result, again and again while the disk does not take it: the application has done its part, and should not
/// have to do it again. `false` when it cannot be recorded, or the server stops first; then the attempt is made again.
fn insist(shared: &Shared, what: &str, record: impl Fn() -> Result<(), StoreError>) -> bool {
    let mut trouble = Trouble::default();
    loop {
        match record() {
            Ok(()) => return true,
            Err(error) if error.may_pass() && !shared.stopping.load(Ordering::SeqCst) => {
                if trouble.met(Instant::now()) {
                    log::error!("{what} could not be recorded: {error}; trying on");
                }
                std::thread::sleep(RECORD_EVERY);
            }
            Err(error) => {
                log::error!("{what} could not be recorded: {error}");
                return false;
            }
        }
    }
}

/// Reads the job's order, where there is one to read, and tells the application.
fn tell(shared: &Shared, job: &JobRow) -> Attempt {
    match &job.order {
        None => call_application(shared, job),
        Some(wanted) => match order::read_first(shared, job, wanted) {
            order::Next::GoOn(job) => call_application(shared, &job),
            order::Next::Stop(end) => end,
        },
    }
}

fn call_application(shared: &Shared, job: &JobRow) -> Attempt {
    let failed = |problem: &str| Attempt::Ends(AttemptResult::Failed(problem.to_owned()));
    let (event, instance) = match shared.store.read(|tx| event_and_instance(tx, job)) {
        Ok(found) => found,
        Err(error) => return failed(&error.to_string()),
    };
    let settings = shared.dispatcher.settings();
    // A directory is told before anything is bought, too; everything else is about an instance.
    let Some(product) = settings.product_of_directory(instance.as_ref()) else {
        return failed("no [[product]] entry matches the instance's product any more");
    };
    let event_name = event.name();
    let Some(application) = product.application() else {
        let creates = event_name == EventName::InstanceCreate;
        return if creates { Attempt::Fulfil } else { failed("the instance's product has no application any more") };
    };
    let event = event.with_attempt(job.attempt);
    let begun = Instant::now();
    let answer = application.call(&event, &shared.abandoning);
    shared.dispatcher.tallies().hooks.note(product.entry().kind, &answer, begun.elapsed());
    Attempt::Ends(match answer {
        // Before it is accepted: what KooGallery would not take is told to the application, not to the buyer.
        Ok(Answer::Ready(handout)) => {
            let complete = match instance {
                Some(instance) if event_name == EventName::InstanceCreate => {
                    completion::complete(&settings, &instance, handout)
                }
                Some(instance) => fulfilment::check(&instance, &handout).map(|()| handout),
                None => Ok(handout),
            };
            complete.map_or_else(AttemptResult::Failed, AttemptResult::Ready)
        }
        Ok(Answer::Pending) => AttemptResult::Pending,
        // It is logged and listed, as errors are.
        Ok(Answer::Refused { result_code, message }) => {
            let message = fulfilment::blanked(&message, &event.private_values());
            AttemptResult::Refused { code: result_code, message }
        }
        Err(error) => AttemptResult::Failed(error.to_string()),
    })
}

/// What is to be told, and the instance it is about, if there is one.
fn event_and_instance(tx: &Tx<'_>, job: &JobRow) -> Result<(Event, Option<InstanceRow>), StoreError> {
    let event = fulfilment::stored_event(tx, job)?;
    let instance = match (job.subject, &event.instance_id) {
        (Subject::Operation { instance, .. }, _) => tx.instance_by_row(instance)?,
        (Subject::Tenant(_), Some(id)) => tx.instance(Environment::Real, Kind::Saas, id)?,
        (Subject::Tenant(_) | Subject::Order, _) => None,
    };
    Ok((event, instance))
}

/// When an attempt began. The clock may be set while it runs.
#[derive(Clone, Copy)]
struct Begun {
    clock: Timestamp,
    at: Instant,
}

impl Begun {
    fn now() -> Self {
        Self { clock: Timestamp::now(), at: Instant::now() }
    }
}

/// When a failed attempt is made again; `None`: never, the job is dead.
fn retry_of(limits: &config::Jobs, job: &JobRow, begun: Begun) -> completion::Retry {
    let before = begun.clock.duration_since(job.trying_since.unwrap_or(begun.clock));
    let age = Duration::try_from(before).unwrap_or_default() + begun.at.elapsed();
    let now = Timestamp::now();
    let backoff = Backoff { first: limits.first_retry, slowest: limits.slowest_retry };
    let pause = backoff.pause(job.attempt, backoff::jitter());
    completion::Retry {
        failed_at: (age + pause <= limits.give_up_after).then(|| backoff::after(now, pause)),
        pending_at: backoff::after(now, limits.slowest_retry),
    }
}
