//! Keeps the snapshot beside the database fresh while the server runs, and the dated series where one is configured.
//!
//! A copy is proved when it is written. Disks forget: once a day the snapshot is proved again, and with each copy that the
//! series gets, another one of it, in turn, so that all of them are read before they are needed.

pub mod age;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::age::{Ages, minutes};
use crate::alert::{self, Alarm, beijing};
use crate::backoff;
use crate::config::{Database, OpenApi, SnapshotSeries};
use crate::store::snapshot::{self, Origin, SnapshotError};
use crate::store::{Store, StoreError, Tx};
use crate::trouble::Trouble;

/// Rows are purged at most so many at a time, so that no answer waits long for the purge: the calls of one day lie side by
/// side, but the places of their instances in the indexes do not, and each is a page to be written.
const PURGE_BATCH: i64 = 50;

/// The pause between two steps of a purge, as often as the step took: so much of the writer's time is left to answers.
const PURGE_PAUSE: u32 = 4;

/// No pause is longer, or a disk that stalls once would stop the purge.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Rows of test calls are kept for so long.
const KEEP_TESTS: Duration = Duration::from_secs(3 * 24 * 3600);

/// How often the snapshot is proved again that nothing has changed since.
const DRILL_EVERY: Duration = Duration::from_secs(24 * 3600);

/// KooGallery calls more often: after a longer silence the clock is doubted where it decides what is purged.
const QUIET: Duration = Duration::from_secs(30 * 86_400);

/// How often is purged.
const PURGE_EVERY: Duration = Duration::from_secs(3600);

/// So long is purged at a time; then snapshots have their turn. After `keep_exchanges` was shortened there may be hours of it.
const PURGE_AT_MOST: Duration = Duration::from_secs(60);

/// The running keeper.
pub struct SnapshotKeeper {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl SnapshotKeeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(store: Arc<Store>, settings: Database, ages: Arc<Ages>) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let mut keeper = Keeper::new(store, settings, ages, stopped);
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || keeper.run())?;
        Ok(Self { stop, thread })
    }

    /// Takes a last snapshot if anything has changed, and joins.
    pub fn stop(self) {
        // A full channel means that it has been told already.
        let _ = self.stop.try_send(());
        if self.thread.join().is_err() {
            log::error!("the snapshot thread had panicked");
        }
    }
}

struct Keeper {
    store: Arc<Store>,
    settings: Database,
    stopped: Receiver<()>,
    ages: Arc<Ages>,
    /// The version of the database when the last snapshot began.
    covered: Option<i64>,
    /// The copy of the series that was proved again last.
    drilled: Option<PathBuf>,
    purge_clock: PurgeClock,
    trouble: Trouble,
    /// It was told to stop.
    stopping: bool,
}

/// The time that ages are counted from when rows are purged. By a clock that is years ahead everything is old, so it begins
/// a month after the call that was the newest at the start, at the latest, and runs no faster than time.
struct PurgeClock {
    began_with: Timestamp,
    at: Instant,
}

impl PurgeClock {
    fn start(store: &Store) -> Self {
        let now = Timestamp::now();
        let began_with = match store.read(|tx| tx.newest_exchange_at()) {
            Ok(newest) => newest.map_or(now, |newest| now.min(backoff::after(newest, QUIET))),
            Err(error) => {
                log::error!("nothing is purged before the next start: {error}");
                Timestamp::MIN
            }
        };
        Self { began_with, at: Instant::now() }
    }

    fn now(&self) -> Timestamp {
        backoff::after(self.began_with, self.at.elapsed()).min(Timestamp::now())
    }
}

impl Keeper {
    fn new(store: Arc<Store>, settings: Database, ages: Arc<Ages>, stopped: Receiver<()>) -> Self {
        let (purge_clock, trouble) = (PurgeClock::start(&store), Trouble::default());
        let (covered, drilled, stopping) = (None, None, false);
        Self { store, settings, stopped, ages, covered, drilled, purge_clock, trouble, stopping }
    }

    fn run(&mut self) {
        let (mut snapshot_at, mut purge_at) = (Instant::now(), Instant::now());
        let mut drill_at = Instant::now() + DRILL_EVERY;
        // A server that is restarted again and again must not push the old copies out of the series.
        let mut series_at = Instant::now() + self.settings.snapshots.as_ref().map_or(Duration::ZERO, until_next);
        loop {
            let now = Instant::now();
            if now >= drill_at {
                self.drill();
                drill_at = now + DRILL_EVERY;
            }
            if now >= snapshot_at {
                self.refresh();
                snapshot_at = now + self.settings.snapshot_every;
            }
            if let Some(series) = self.settings.snapshots.clone().filter(|_| now >= series_at) {
                self.add_to_series(&series);
                series_at = now + series.every;
            }
            if now >= purge_at {
                let is_all = self.purge();
                purge_at = if is_all { now + PURGE_EVERY } else { Instant::now() + PURGE_AT_MOST };
            }
            let series = self.settings.snapshots.as_ref().map(|_| series_at);
            let next = snapshot_at.min(purge_at).min(series.unwrap_or(snapshot_at));
            self.rest(next.saturating_duration_since(Instant::now()));
            if self.stopping {
                return self.refresh();
            }
        }
    }

    /// Does nothing for so long, unless it is told to stop.
    fn rest(&mut self, time: Duration) {
        self.stopping |= !matches!(self.stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    }

    /// Writes the snapshot if anything was committed since the last one.
    fn refresh(&mut self) {
        // Commands that work beside the server change the database, too. A version that cannot be read covers nothing.
        let (version, looked) = (self.store.version().ok(), Instant::now());
        let target = self.settings.snapshot_path();
        if version.is_some() && self.covered == version && target.exists() {
            return self.ages.snapshot_still_holds_all(looked);
        }
        match snapshot::take(&self.store, &target) {
            Ok(verified) => {
                log::info!("snapshot {} holds {} exchanges", target.display(), verified.exchanges);
                self.covered = version;
                self.ages.snapshot_holds_all(looked, looked.elapsed());
                self.trouble.over(Instant::now());
            }
            Err(error) if !self.trouble.met(Instant::now()) => log::error!("again no snapshot: {error}"),
            Err(error) => {
                let behind = minutes(self.ages.snapshot().behind);
                log::error!(
                    "ALERT no snapshot could be taken; the last one stays as it is, and lacks what has happened for up \
                     to {behind}: {error}"
                );
            }
        }
    }

    /// Proves the snapshot again; one that is not what it was is taken anew at once.
    fn drill(&mut self) {
        let target = self.settings.snapshot_path();
        match snapshot::verify_aside(&target, self.store.sealing(), Origin::Copy) {
            Ok(_) => self.ages.drill_passed(),
            Err(error) => {
                log::error!(
                    "ALERT the snapshot was whole when it was written and is not any more, is the disk failing? {error}"
                );
                alert::raise(Alarm::CopyDamaged);
                self.covered = None;
                self.refresh();
            }
        }
    }

    /// Proves the next one of the series again.
    fn drill_series(&mut self, series: &SnapshotSeries) {
        let copies = series_of(&series.directory).unwrap_or_default();
        let after_last = copies.iter().find(|copy| Some(*copy) > self.drilled.as_ref());
        let Some(next) = after_last.or(copies.first()) else { return };
        match snapshot::verify_aside(next, self.store.sealing(), Origin::Copy) {
            Ok(_) => self.ages.drill_passed(),
            Err(error) => {
                log::error!("ALERT a copy of the series was whole when it was written and is not any more: {error}");
                alert::raise(Alarm::CopyDamaged);
            }
        }
        self.drilled = Some(next.clone());
    }

    fn add_to_series(&mut self, series: &SnapshotSeries) {
        let began = Instant::now();
        self.drill_series(series);
        let name = format!("koogate-{}.db", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
        let taken = std::fs::create_dir_all(&series.directory)
            .map_err(|source| SnapshotError::File { doing: "cannot create", path: series.directory.clone(), source })
            .and_then(|()| snapshot::take(&self.store, &series.directory.join(&name)))
            .and_then(|_| drop_oldest(&series.directory, &name, series.keep));
        match taken {
            Ok(()) => self.ages.series_goes_on(began, began.elapsed()),
            Err(error) => log::error!("ALERT the series of snapshots could not be continued: {error}"),
        }
    }

    /// Purges in small steps, each its own piece of work; `false` when it has not come to its end.
    fn purge(&mut self) -> bool {
        let now = self.purge_clock.now();
        let before = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let (real, test) = (before(self.settings.keep_exchanges), before(KEEP_TESTS.min(self.settings.keep_exchanges)));
        let heartbeats = before(OpenApi::LONGEST_HEARTBEAT_STALE);
        let half_day = beijing::half_day(real);
        let until = Instant::now() + PURGE_AT_MOST;
        self.purge_all("old exchanges", until, move |tx| tx.purge_exchanges(real, test, PURGE_BATCH))
            && self.purge_all("old events of tenants", until, move |tx| tx.purge_tenant_jobs(real, PURGE_BATCH))
            && self.purge_all("old heartbeats", until, move |tx| tx.purge_heartbeats(heartbeats, PURGE_BATCH))
            && self.purge_all("old orders", until, move |tx| tx.purge_orders(real, PURGE_BATCH))
            && self.purge_all("old usage records", until, move |tx| tx.purge_usage(real, now, PURGE_BATCH))
            && self.purge_all("alerts that have ended", until, move |tx| tx.purge_alerts(real, PURGE_BATCH))
            && self.purge_all("old actions of operators", until, move |tx| tx.purge_operator_actions(real, PURGE_BATCH))
            && self.purge_all("old half days of test calls", until, move |tx| tx.purge_test_call_calendar(half_day))
            && self.purge_all("expired login sessions", until, move |tx| tx.purge_login_sessions(now, PURGE_BATCH))
    }

    /// Purges until a step finds nothing; `false` when the time was over before, or it was told to stop. One kind that
    /// cannot be purged keeps no other from it.
    fn purge_all(
        &mut self,
        what: &str,
        until: Instant,
        step: impl Fn(&Tx<'_>) -> Result<usize, StoreError> + Copy + Send + 'static,
    ) -> bool {
        let mut removed = 0;
        let is_all = loop {
            let begun = Instant::now();
            if self.stopping || begun >= until {
                break false;
            }
            match self.store.write(None, step) {
                Ok(0) => break true,
                Ok(rows) => removed += rows,
                Err(error) => {
                    log::error!("{what} could not be purged: {error}");
                    break true;
                }
            }
            self.rest((begun.elapsed() * PURGE_PAUSE).min(LONGEST_PAUSE));
        };
        if removed > 0 {
            log::info!("purged {removed} {what}");
        }
        is_all
    }
}

/// How long until the next one of a series is due.
fn until_next(series: &SnapshotSeries) -> Duration {
    let newest = series_of(&series.directory).unwrap_or_default().pop();
    let written = newest.and_then(|path| std::fs::metadata(path).ok()?.modified().ok());
    let age = written.and_then(|at| at.elapsed().ok());
    age.map_or(Duration::ZERO, |age| series.every.saturating_sub(age))
}

/// Removes the oldest snapshots of the series beyond `keep`, never the one just taken. Those that are dated later than
/// that one go first: the clock was wrong when they were taken, and their order says nothing.
fn drop_oldest(directory: &Path, newest: &str, keep: usize) -> Result<(), SnapshotError> {
    let failed = |doing: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| SnapshotError::File { doing, path, source }
    };
    let newest = directory.join(newest);
    let series = series_of(directory).map_err(failed("cannot list", directory))?;
    let surplus = series.len().saturating_sub(keep);
    let (past, future): (Vec<_>, Vec<_>) = series.into_iter().filter(|path| *path != newest).partition(|p| *p < newest);
    for path in future.iter().chain(&past).take(surplus) {
        std::fs::remove_file(path).map_err(failed("cannot remove", path))?;
    }
    Ok(())
}

/// The snapshots of a series, oldest first: their names sort by time. Other files are left alone.
///
/// # Errors
/// When the folder cannot be read.
pub fn series_of(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut series: Vec<PathBuf> = std::fs::read_dir(directory)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("koogate-") && name.ends_with("Z.db")
        })
        .collect();
    series.sort();
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::SealingKey;
    use crate::store::{self, Role};

    #[test]
    fn the_series_loses_its_oldest_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["koogate-20260101T000000Z.db", "koogate-20260102T000000Z.db", "koogate-20260103T000000Z.db"];
        for name in names.iter().chain(&["notes.txt", "a.db"]) {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        drop_oldest(folder.path(), names[2], 2).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["a.db", names[1], names[2], "notes.txt"]);
    }

    #[test]
    fn the_series_never_loses_what_was_just_taken_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["koogate-19700101T000000Z.db", "koogate-20260102T000000Z.db", "koogate-20990103T000000Z.db"];
        let left_of = |taken: &str, keep: usize| {
            names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
            drop_oldest(folder.path(), taken, keep).unwrap();
            series_of(folder.path())
                .unwrap()
                .iter()
                .map(|path| path.file_name().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(left_of(names[0], 1), [names[0]]);
        assert_eq!(left_of(names[1], 2), [names[0], names[1]]);
        assert_eq!(left_of(names[2], 2), [names[1], names[2]]);
    }

    #[test]
    fn a_restart_waits_until_the_next_of_the_series_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().to_owned();
        let series = SnapshotSeries { directory, every: Duration::from_secs(3600), keep: 2 };
        assert_eq!(until_next(&series), Duration::ZERO);
        std::fs::write(folder.path().join("koogate-20260101T000000Z.db"), "").unwrap();
        let left = until_next(&series);
        assert!(left > Duration::from_secs(3000) && left <= Duration::from_secs(3600), "{left:?}");
    }

    fn keeper(folder: &Path) -> Keeper {
        let sealing = Arc::new(SealingKey::from_hex(&"01".repeat(32)).unwrap());
        let settings = Database { path: folder.join("koogate.db"), ..Database::default() };
        let opened =
            store::Settings { path: settings.path.clone(), snapshot: settings.snapshot_path(), commit_batch: 1 };
        let store = Arc::new(Store::open(&opened, Role::Server, sealing).unwrap());
        let (ages, (_, stopped)) = (Arc::new(Ages::new(&settings)), sync_channel(1));
        Keeper::new(store, settings, ages, stopped)
    }

    #[test]
    fn a_snapshot_that_rots_while_nothing_changes_is_found_and_taken_anew() {
        use std::os::unix::fs::FileExt;

        let folder = tempfile::tempdir().unwrap();
        let mut keeper = keeper(folder.path());
        keeper.refresh();
        let snapshot = keeper.settings.snapshot_path();
        let whole = std::fs::read(&snapshot).unwrap();
        let file = std::fs::File::options().write(true).open(&snapshot).unwrap();
        file.write_all_at(&[whole[5000] ^ 1], 5000).unwrap();
        keeper.refresh();
        assert!(
            snapshot::verify(&snapshot, keeper.store.sealing(), Origin::Copy).is_err(),
            "nothing has changed, so it is not written"
        );
        keeper.drill();
        snapshot::verify(&snapshot, keeper.store.sealing(), Origin::Copy).unwrap();
    }
}
