//! The thread behind the board: each minute it looks what stands, keeps the table in step, has messages sent, and says that
//! all is well where it is.
//!
//! Its memory is what counts, so that an alarm about the database goes out while nothing can be written; the table is how a
//! restart knows what was told. A message that was sent and not recorded before a crash is sent again.

mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::board::{self, Note};
use super::judge::{self, Certificate, Machine, Rules};
use super::ledger::{Due, Entry, Key, Ledger};
use super::standing::StandingQuery;
use super::wire::Outlet;
use super::{Kind, ledger, message, sender};
use crate::backoff::Backoff;
use crate::check;
use crate::dispatch::Dispatcher;
use crate::fault;
use crate::health::Health;
use crate::http::Tls;
use crate::settings::Settings;
use crate::snapshots::age::{Age, Ages};
use crate::store::{Store, Tx, WebhookRow};
use crate::usage::pusher::LATE;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What is new waits this part of it for what comes soon after: 20 s.
const WAIT: u32 = 3;

/// Between two rounds it rests this part of a look, 1 s.
const REST: u32 = 60;

/// A commit may take so long; what is not recorded then is recorded later.
const RECORD_WITHIN: Duration = Duration::from_secs(10);

/// After a failure a webhook has a pause of half a look, 30 s; it doubles up to so many looks, an hour.
const LONGEST_PAUSE: u32 = 60;

/// So many alerts are in one message to software, which is told each of them.
const IN_ONE_MESSAGE: usize = 200;

/// A log of the database that is larger, in MiB, is not moved as it should be.
const WAL_LIMIT: u64 = 512;

/// Sizes are told in steps of so many MiB.
const STEP: u64 = 16;

/// So much room on the disk is wanted besides that for two more copies of the database, in MiB.
const DISK_WANTED: u64 = 256;

/// What nobody else writes to the log when it begins.
const LOGGED_HERE: [Kind; 7] = [
    Kind::CreationOpen,
    Kind::OrdersFailed,
    Kind::TestCallsAway,
    Kind::DiskLow,
    Kind::WalGrows,
    Kind::ClockOff,
    Kind::RestoreGap,
];

/// What is looked at.
pub struct Subjects {
    /// The database.
    pub store: Arc<Store>,
    /// The settings in force.
    pub dispatcher: Arc<Dispatcher>,
    /// The watchdog's verdict.
    pub health: Arc<Health>,
    /// How old the copies are.
    pub ages: Arc<Ages>,
    /// The certificate that is shown, where HTTPS is spoken.
    pub tls: Option<Arc<Tls>>,
}

/// The running keeper.
pub struct AlertKeeper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl AlertKeeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(subjects: Subjects) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let every = fault::pace("alerts", LOOK_EVERY);
        // Not on the thread, which may be late: the server is up.
        let up_since = Timestamp::now();
        let thread = std::thread::Builder::new().name("alerts".to_owned()).spawn(move || {
            Keeper {
                subjects,
                stopped,
                every,
                ledger: Ledger::default(),
                webhooks: BTreeMap::new(),
                up_since,
                is_resumed: false,
                heart_fails: false,
            }
            .run();
        })?;
        Ok(Self { stop, thread })
    }

    /// Records what is left, and joins; a call under way ends within its time.
    pub fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        board::nudge();
        if self.thread.join().is_err() {
            log::error!("the thread of the alerts had panicked");
        }
    }
}

struct Keeper {
    subjects: Subjects,
    stopped: Arc<AtomicBool>,
    every: Duration,
    ledger: Ledger,
    webhooks: BTreeMap<String, WebhookRow>,
    up_since: Timestamp,
    /// What earlier processes recorded has been read.
    is_resumed: bool,
    heart_fails: bool,
}

impl Keeper {
    fn run(mut self) {
        let mut look_at = Instant::now();
        loop {
            let left = look_at.saturating_duration_since(Instant::now());
            let patience = if self.has_news() { left.min(self.wait() / 4) } else { left };
            board::rest(self.every / REST);
            let notes = board::take(patience);
            self.resume();
            let now = Timestamp::now();
            for note in notes {
                match note {
                    Note::Met(alarm, times) => self.ledger.met(alarm, times, now),
                    Note::Over(kind) => self.ledger.over(kind, now),
                }
            }
            if self.stopped.load(Ordering::SeqCst) {
                return self.record();
            }
            if Instant::now() >= look_at {
                self.look();
                look_at = Instant::now() + self.every;
            }
            self.record();
            self.tell();
        }
    }

    fn wait(&self) -> Duration {
        self.every / WAIT
    }

    fn pauses(&self) -> Backoff {
        Backoff { first: self.every / 2, slowest: self.every * LONGEST_PAUSE }
    }

    /// Whether something waits for what comes soon after it.
    fn has_news(&self) -> bool {
        let (now, wait) = (Timestamp::now(), signed(self.wait() * 2));
        self.ledger.entries().any(|entry| now.duration_since(entry.noticed).abs() < wait)
    }

    fn settings(&self) -> Arc<Settings> {
        self.subjects.dispatcher.settings()
    }

    /// Reads what was recorded, once the database can be read.
    fn resume(&mut self) {
        if self.is_resumed {
            return;
        }
        let now = Timestamp::now();
        let since = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        let limit = i64::try_from(ledger::MOST).unwrap_or(i64::MAX);
        let read = self.subjects.store.read(|tx| {
            let mut rows = tx.ended_alerts(since, limit)?;
            // Those that stand come last, and count where both are there.
            rows.reverse();
            rows.extend(tx.standing_alerts(limit)?);
            let entries = rows.into_iter().map(|row| rows::entry(tx, row)).collect::<Result<Vec<_>, _>>()?;
            Ok((entries, tx.alert_webhooks()?))
        });
        match read {
            Ok((entries, webhooks)) => {
                let unrecorded = std::mem::take(&mut self.ledger);
                self.ledger = Ledger::resume(entries.into_iter().flatten().collect(), now);
                for entry in unrecorded.entries().filter(|entry| entry.ended.is_none()) {
                    self.ledger.met(entry.alarm.clone(), entry.times, now);
                }
                self.webhooks = webhooks.into_iter().map(|row| (row.webhook.clone(), row)).collect();
                self.is_resumed = true;
            }
            Err(error) => log::error!("the recorded alerts cannot be read: {error}"),
        }
    }

    fn look(&mut self) {
        let (settings, now) = (self.settings(), Timestamp::now());
        let rules = Rules { stocks: settings.stocks(), usage_late: LATE };
        let query = StandingQuery::new(now, rules.stocks.iter().map(|(stock, _)| stock.clone()).collect());
        let standing = match self.subjects.store.read(|tx| tx.standing(&query)) {
            Ok(standing) => Some(standing),
            Err(error) => {
                log::error!("what stands wrong cannot be read: {error}");
                None
            }
        };
        let machine = self.machine(&settings, now);
        let found = judge::judge(standing.as_ref(), &machine, &rules, now);
        let known: Vec<Key> = self.ledger.entries().filter(|entry| entry.ended.is_none()).map(Entry::key).collect();
        for found in &found {
            let kind = found.alarm.kind();
            if LOGGED_HERE.contains(&kind) && !known.contains(&(kind, found.alarm.subject())) {
                log::warn!("ALERT {}; {}", found.alarm.what().en, kind.mend().en);
            }
        }
        let was_read = standing.is_some();
        self.ledger.looked(found, |kind| judge::covers(kind, was_read), now);
        self.ledger.fade(now);
        let labels: Vec<String> = settings.alerts.webhooks.iter().map(|webhook| webhook.label.clone()).collect();
        self.ledger.tidy(&labels, now);
        let is_well = was_read && machine.is_well();
        if let Some(heartbeat) = settings.alerts.heartbeat.as_ref().filter(|_| is_well) {
            self.beat(heartbeat);
        }
    }

    fn beat(&mut self, heartbeat: &sender::Heartbeat) {
        match heartbeat.beat() {
            Ok(()) if self.heart_fails => {
                log::info!("alerts.heartbeat_url is heard again");
                self.heart_fails = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !self.heart_fails {
                    log::warn!("alerts.heartbeat_url cannot be called: {error}; trying on");
                }
                self.heart_fails = true;
            }
        }
    }

    fn machine(&self, settings: &Settings, now: Timestamp) -> Machine {
        let Subjects { store, health, ages, tls, .. } = &self.subjects;
        let too_old = |age: Age| age.is_too_old().then_some(age.limit.as_secs() / 60);
        let certificate = tls.as_ref().map(|tls| {
            let identity = tls.identity();
            let name = identity.names().first().cloned().unwrap_or_default();
            Certificate { name, from: identity.not_before(), until: identity.not_after() }
        });
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |found| found.len() >> 20);
        let mut log = store.path().as_os_str().to_owned();
        log.push("-wal");
        // In steps: a figure that changes with each look would be recorded with each look.
        let step = |mebibytes: u64| mebibytes - mebibytes % STEP;
        let wanted = fault::amount("disk", DISK_WANTED) + 2 * size(store.path());
        Machine {
            up_for: now.duration_since(self.up_since),
            database_fails: store.fault().is_some(),
            wal: step(size(std::path::Path::new(&log))),
            wal_limit: WAL_LIMIT,
            disk: free_space(store.path()).map(|free| (step(free), wanted)),
            snapshot_old: too_old(ages.snapshot()),
            series_old: ages.series().and_then(too_old),
            clock_ahead: settings.open_api.as_ref().and_then(|api| api.clock_difference()).map(|off| off.as_secs()),
            clock_doubtful: check::clock_doubt(store, now).is_some(),
            certificate,
            is_ill: !health.is_good(),
        }
    }

    /// Writes what has changed, if it can be written now.
    fn record(&mut self) {
        let changed = self.ledger.unrecorded();
        if changed.is_empty() || !self.is_resumed {
            return;
        }
        let keys: Vec<Key> = changed.iter().map(Entry::key).collect();
        let deadline = Some(Instant::now() + RECORD_WITHIN);
        let recorded =
            self.subjects.store.write(deadline, move |tx| changed.iter().map(|entry| rows::write(tx, entry)).collect());
        match recorded {
            Ok(rows) => self.ledger.recorded(keys.into_iter().zip::<Vec<i64>>(rows), Timestamp::now()),
            Err(error) => log::debug!("alerts could not be recorded yet: {error}"),
        }
    }

    fn tell(&mut self) {
        let settings = self.settings();
        let wait = signed(self.wait());
        for webhook in &settings.alerts.webhooks {
            let now = Timestamp::now();
            let paused = self.webhooks.get(&webhook.label).and_then(|row| row.not_before);
            // A clock that was set back must not make the pause longer than it may be.
            let longest = signed(self.pauses().slowest * 2);
            if paused.is_some_and(|until| now < until && until.duration_since(now) < longest) {
                continue;
            }
            let mut due = self.ledger.due(&webhook.label, wait, now);
            if due.is_empty() {
                continue;
            }
            if webhook.outlet == Outlet::Generic {
                due.truncate(IN_ONE_MESSAGE);
            }
            let message = message::compose(&due, &settings.alerts.languages);
            let sent = webhook.send(&message, &due, now);
            fault::point("alert-sent");
            self.sent(webhook, &due, sent);
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    fn sent(&mut self, webhook: &sender::Webhook, due: &[Due], sent: Result<(), String>) {
        let now = Timestamp::now();
        let (label, kind, pauses) = (&webhook.label, webhook.outlet.as_str(), self.pauses());
        let row = self.webhooks.entry(label.clone()).or_insert_with(|| WebhookRow {
            webhook: label.clone(),
            kind: kind.to_owned(),
            delivered_at: None,
            failing_since: None,
            failures: 0,
            not_before: None,
            last_error: None,
        });
        match sent {
            Ok(()) => {
                if row.failures > 0 {
                    log::info!("the {kind} webhook of [alerts] takes messages again");
                }
                (row.delivered_at, row.failing_since, row.failures) = (Some(now), None, 0);
                (row.not_before, row.last_error) = (None, None);
                self.ledger.told(label, due, now);
            }
            Err(error) => {
                // Never an alert: that would be one more message that cannot be delivered.
                if row.failures == 0 {
                    log::warn!("the {kind} webhook of [alerts] did not take a message, trying on: {error}");
                }
                row.failing_since.get_or_insert(now);
                row.failures += 1;
                let failures = u32::try_from(row.failures).unwrap_or(u32::MAX);
                let pause = pauses.pause(failures, crate::backoff::jitter());
                row.not_before = Some(crate::backoff::after(now, pause));
                row.last_error = Some(error);
            }
        }
        let row = row.clone();
        let labels: Vec<String> = self.settings().alerts.webhooks.iter().map(|webhook| webhook.label.clone()).collect();
        let record = move |tx: &Tx<'_>| {
            tx.put_alert_webhook(&row)?;
            tx.keep_alert_webhooks(&labels)
        };
        if let Err(error) = self.subjects.store.write(Some(Instant::now() + RECORD_WITHIN), record) {
            log::debug!("the state of a webhook could not be recorded: {error}");
        }
        self.record();
    }
}

/// Free space for an ordinary user where a file is, in MiB.
fn free_space(file: &std::path::Path) -> Option<u64> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = rustix::fs::statvfs(folder.unwrap_or(std::path::Path::new("."))).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize) >> 20)
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}
