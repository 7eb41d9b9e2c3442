//! The running server: everything is built, started, stopped and joined here, and nowhere else.
//!
//! The order of the end: no new connections, requests in flight are answered, attempts of jobs end, a last snapshot, the
//! WAL moves into the database, the lock is given back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::admin::{self, AdminSite};
use crate::alert::keeper::{self, AlertKeeper};
use crate::backoff::Backoff;
use crate::certificates::{self, CertificateError, Keeper};
use crate::check;
use crate::codes::CodeDesk;
use crate::config::{self, Config};
use crate::dispatch::{Dispatcher, QUESTIONS, Waiters};
use crate::health::{CallError, Caller, Health, Subjects, Watchdog};
use crate::http::{Door, DoorError, DoorSettings, Tls};
use crate::jobs::{self, JobBell, JobRunner};
use crate::login::{self, LoginDesk};
use crate::open_files;
use crate::settings::{Settings, SettingsError};
use crate::site::PublicSite;
use crate::snapshots::SnapshotKeeper;
use crate::snapshots::age::Ages;
use crate::store::{self, OpenError, Role, Store, StoreError};
use crate::supervisor::Supervisor;
use crate::usage::pusher::Pusher;

/// Requests in flight have so long at the end, beyond their own time for an answer.
const DOOR_GRACE: Duration = Duration::from_secs(1);

/// Attempts of jobs have so long at the end.
const JOB_GRACE: Duration = Duration::from_secs(5);

/// The admin listener's connections. On half of them licensed software may wait for KooGallery, on a quarter whoever asks
/// for orders.
const ADMIN_CONNECTIONS: usize = 64;

/// The running server.
pub struct Server {
    public: Door,
    admin: Option<Door>,
    login: Option<Arc<LoginDesk>>,
    dispatcher: Arc<Dispatcher>,
    jobs: JobRunner,
    usage: Pusher,
    snapshots: SnapshotKeeper,
    alerts: AlertKeeper,
    store: Arc<Store>,
    certificates: Option<Keeper>,
    watchdog: Watchdog,
    config: Config,
}

/// Another configuration cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A product's application.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The key of the database cannot change under it.
    #[error("keys.sealing_key is not the key the database was made with")]
    SealingKey,
    /// The certificate of the public listener.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A product's application.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The certificate of the public listener.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The jobs.
    #[error(transparent)]
    Jobs(#[from] jobs::StartError),
    /// A listener.
    #[error("{}: {source}", .0, source = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    Door(#[source] DoorError),
    /// The watchdog's call of the public listener.
    #[error("the watchdog cannot call the public listener: {0}")]
    Watchdog(CallError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Server {
    /// Builds and starts everything; when it returns, requests are served. From then on the supervisor hears that the
    /// process is alive, and the process ends with [`EXIT_UNHEALTHY`](crate::health::EXIT_UNHEALTHY) when it is not.
    ///
    /// # Errors
    /// What is in the way, in words that say the mend.
    pub fn start(config: &Config, supervisor: Supervisor) -> Result<Self, StartError> {
        open_files::make_room(open_files::needed(
            config.server.max_connections + ADMIN_CONNECTIONS,
            config.jobs.workers + QUESTIONS + login::AT_ONCE,
        ));
        let settings = Arc::new(Settings::new(config)?);
        let certificates =
            config.server.tls.as_ref().map(|files| Keeper::start(files, Timestamp::now())).transpose()?;
        let tls = certificates.as_ref().map(|keeper| Arc::clone(keeper.tls()));
        let database = store::Settings {
            path: config.database.path.clone(),
            snapshot: config.database.snapshot_path(),
            commit_batch: config.database.commit_batch,
        };
        let sealing = Arc::new(config.keys.sealing.clone());
        let store = Arc::new(Store::open(&database, Role::Server, sealing)?);
        if let Some(doubt) = check::clock_doubt(&store, Timestamp::now()) {
            // The keeper of the alerts looks for it, too.
            log::error!("ALERT {doubt}: set the clock (NTP)");
        }
        let ages = Arc::new(Ages::new(&config.database));
        let (waiters, bell) = (Arc::new(Waiters::default()), Arc::new(JobBell::default()));
        let ring = {
            let bell = Arc::clone(&bell);
            move || bell.ring()
        };
        let dispatcher = Dispatcher::new(Arc::clone(&store), settings, Arc::clone(&waiters), Box::new(ring));
        let dispatcher = Arc::new(dispatcher.map_err(StartError::Thread)?);
        let desk = |login: &config::Login| {
            LoginDesk::start(login.clone(), &config.server.base_path, Arc::clone(&store), Arc::clone(&dispatcher))
        };
        let login = config.login.as_ref().map(desk).transpose().map_err(StartError::Thread)?.map(Arc::new);
        // The listeners first: where one cannot be opened, nothing has happened yet.
        let health = Arc::new(Health::new(Watchdog::pace(&supervisor)));
        let site = PublicSite::new(Arc::clone(&dispatcher), config.server.base_path.clone(), Arc::clone(&health))
            .with_login(login.clone());
        let door = public_door(config, tls.clone());
        let (of_public, of_admin) = (Arc::clone(&door.counters), Arc::default());
        let public = Door::open(door, Arc::new(site)).map_err(StartError::Door)?;
        let admin = match &config.admin {
            Some(admin) => {
                let context = admin::Context {
                    dispatcher: Arc::clone(&dispatcher),
                    health: Arc::clone(&health),
                    store: Arc::clone(&store),
                    waiters: Arc::clone(&waiters),
                    bell: Arc::clone(&bell),
                    login: login.clone(),
                    tls,
                    codes: CodeDesk::default(),
                    orders: admin::OrderDesk::default(),
                    ages: Arc::clone(&ages),
                    metrics: admin::MetricsDesk::new([
                        (config.server.max_connections, of_public),
                        (ADMIN_CONNECTIONS, Arc::clone(&of_admin)),
                    ]),
                };
                let site = AdminSite::new(context, &admin.token, admin.host_names.clone());
                let door = DoorSettings {
                    listen: admin.listen,
                    name: "admin",
                    max_connections: ADMIN_CONNECTIONS,
                    max_body: 1 << 20,
                    for_anybody: false,
                    counters: of_admin,
                    ..DoorSettings::default()
                };
                Some(Door::open(door, Arc::new(site)).map_err(StartError::Door)?)
            }
            None => None,
        };
        let jobs = JobRunner::start(Arc::clone(&store), Arc::clone(&dispatcher), waiters, bell, config.jobs.clone())?;
        let backoff = Backoff { first: config.jobs.first_retry, slowest: config.jobs.slowest_retry };
        let usage = Pusher::start(Arc::clone(&store), Arc::clone(&dispatcher), backoff).map_err(StartError::Thread)?;
        let alerts = keeper::Subjects {
            store: Arc::clone(&store),
            dispatcher: Arc::clone(&dispatcher),
            health: Arc::clone(&health),
            ages: Arc::clone(&ages),
            tls: certificates.as_ref().map(|keeper| Arc::clone(keeper.tls())),
        };
        let snapshots =
            SnapshotKeeper::start(Arc::clone(&store), config.database.clone(), ages).map_err(StartError::Thread)?;
        let alerts = AlertKeeper::start(alerts).map_err(StartError::Thread)?;
        let subjects = Subjects {
            health,
            caller: Caller::new(public.local_addr(), certificates.is_some()).map_err(StartError::Watchdog)?,
            counters: public.counters(),
            max_connections: config.server.max_connections,
            store: Arc::clone(&store),
            supervisor,
        };
        let watchdog = Watchdog::start(subjects).map_err(StartError::Thread)?;
        let config = config.clone();
        Ok(Self {
            public,
            admin,
            login,
            dispatcher,
            jobs,
            usage,
            snapshots,
            alerts,
            store,
            certificates,
            watchdog,
            config,
        })
    }

    /// Where KooGallery's calls are answered.
    pub fn address(&self) -> SocketAddr {
        self.public.local_addr()
    }

    /// Where the admin API is, if it is configured.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Door::local_addr)
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What keeps the certificate in step with its files, where HTTPS is spoken: somebody must have it look.
    pub fn certificates(&self) -> Option<&Keeper> {
        self.certificates.as_ref()
    }

    /// Puts another configuration's products, keys, certificate and protocol settings in force, all or nothing; returns
    /// the sections that differ and need a restart.
    ///
    /// # Errors
    /// When a product's application cannot be set up, the certificate cannot be loaded, or the sealing key is another one;
    /// then the old ones stay.
    pub fn reload(&self, config: &Config) -> Result<Vec<&'static str>, ReloadError> {
        if config.keys.sealing != self.config.keys.sealing {
            return Err(ReloadError::SealingKey);
        }
        let settings = Settings::new(config)?;
        if let (Some(keeper), Some(files)) = (&self.certificates, &config.server.tls) {
            keeper.adopt(files, certificates::load(files)?, Timestamp::now()).map_err(CertificateError::from)?;
        }
        self.dispatcher.replace_settings(Arc::new(settings));
        self.jobs.settings_changed();
        let (old, new) = (&self.config, config);
        let answers_alike = (old.server.listen, &old.server.base_path, old.server.max_connections, old.server.max_body)
            == (new.server.listen, &new.server.base_path, new.server.max_connections, new.server.max_body);
        let differing = [
            ("[server] listen, base_path, max_connections and max_body", !answers_alike),
            ("[server.tls], which has come or gone", old.server.tls.is_some() != new.server.tls.is_some()),
            ("[database]", old.database != new.database),
            ("[jobs]", old.jobs != new.jobs),
            ("[admin]", old.admin != new.admin),
            ("[login]", old.login != new.login),
        ];
        Ok(differing.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect())
    }

    /// Stops everything in order and leaves one database file.
    ///
    /// # Errors
    /// When the last checkpoint fails; nothing is lost then, the WAL stays beside the file.
    pub fn stop(self) -> Result<(), StoreError> {
        let Self { public, admin, login, dispatcher, jobs, usage, snapshots, alerts, store, watchdog, .. } = self;
        let begun = Timestamp::now();
        watchdog.stopping();
        let grace = dispatcher.settings().answer_within + DOOR_GRACE;
        let unanswered = public.close(grace) + admin.map_or(0, |admin| admin.close(DOOR_GRACE));
        if unanswered > 0 {
            log::warn!("{unanswered} requests were not answered in time for the stop");
        }
        login.iter().for_each(|login| login.stop(DOOR_GRACE));
        dispatcher.stop(DOOR_GRACE);
        jobs.stop(JOB_GRACE);
        usage.stop(JOB_GRACE);
        snapshots.stop();
        alerts.stop();
        let counts = store.commits();
        log::info!(
            "stopped after {:#}; {} pieces of work in {} commits",
            Timestamp::now().duration_since(begun),
            counts.works,
            counts.commits
        );
        let closed = store.close();
        watchdog.end();
        closed
    }
}

fn public_door(config: &Config, tls: Option<Arc<Tls>>) -> DoorSettings {
    DoorSettings {
        listen: config.server.listen,
        tls,
        max_connections: config.server.max_connections,
        max_body: config.server.max_body,
        ..DoorSettings::default()
    }
}
