//! What `koogate check` looks at: configuration, files and whose they are, the disk, the running server, certificate, database, work in
//! the background, what is sold, the way from outside, KooGallery. Every finding that is not good says the mend. How findings
//! are printed is the command's matter.

mod account;
mod alerts;
mod clock;
mod copies;
mod place;
mod process;
mod public;
mod sells;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::certificates::{self, Loaded};
use crate::config::{Config, Endpoint};
use crate::open_api::error::OpenApiError;
use crate::open_api::{OpenApi, Patience};
use crate::permissions;
use crate::settings::Settings;
use crate::store::{self, OpenError, Role, Store};
use crate::usage::pusher::LATE;

/// An order that every site tells every seller, for tests (spec 5-open-api §4).
const PROBE_ORDER: &str = "MOCKPERIODYEARNEW";

/// KooGallery has so long to answer.
const PROBE_TIME: Duration = Duration::from_secs(15);

/// Rejections are told for so long. After 21 days there is nothing to mend any more: KooGallery takes no older usage.
const REJECTED_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Error,
}

impl Level {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How good it is.
    pub level: Level,
    /// What was looked at.
    pub subject: &'static str,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub mend: Option<String>,
}

/// Where findings go.
type Tell<'t> = &'t mut dyn FnMut(&Finding) -> anyhow::Result<()>;

/// What a finding is about, as it is printed.
type Subject = &'static str;

/// The same with a word for each level.
struct Sink<'t>(Tell<'t>);

impl<'t> Sink<'t> {
    fn new(tell: Tell<'t>) -> Self {
        Self(tell)
    }

    fn ok(&mut self, subject: Subject, text: String) -> anyhow::Result<()> {
        (self.0)(&good(subject, text))
    }

    fn warning(&mut self, subject: Subject, text: impl Into<String>, mend: impl Into<String>) -> anyhow::Result<()> {
        let (level, text, mend) = (Level::Warning, text.into(), Some(mend.into()));
        (self.0)(&Finding { level, subject, text, mend })
    }

    fn error(&mut self, subject: Subject, text: impl Into<String>, mend: impl Into<String>) -> anyhow::Result<()> {
        (self.0)(&bad(subject, text.into(), &mend.into()))
    }
}

/// How it is looked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only at this machine: nobody else is called.
    pub offline: bool,
    /// PEM certificates that are trusted besides the public CAs where somebody is called.
    pub extra_roots: Vec<u8>,
}

/// Looks at everything, and tells each finding at once.
///
/// # Errors
/// Only what `tell` fails with.
pub fn run(path: &Path, options: &Options, tell: Tell<'_>) -> anyhow::Result<()> {
    let Some((config, settings)) = configuration(path, tell)? else { return Ok(()) };
    files(path, &config, tell)?;
    let pid = process::running(&config.database.path);
    let unit = process::unit(pid);
    let user = unit.as_ref().and_then(|unit| unit.user.as_deref());
    let account = account::find(&config, pid, user);
    let to = &mut Sink::new(tell);
    account::look(path, &config, &account, pid.is_some(), to)?;
    place::look(&config, to)?;
    process::look(&config, pid, unit.as_ref(), to)?;
    certificate(&config, to.0)?;
    sells::commands(&config, &account, to)?;
    sells::admin(&config, to)?;
    let store = database(&config, to.0)?;
    clock::look(store.as_ref(), to)?;
    if let Some(store) = &store {
        copies::look(&config, store, to.0)?;
        work(store, to.0)?;
        usage(store, to.0)?;
        sells::stocks(&config, store, to)?;
        alerts::look(store, &settings, to.0)?;
    }
    if !options.offline {
        outside(&config, &settings, store.as_ref(), &options.extra_roots, to)?;
    }
    let Some(store) = store else { return Ok(()) };
    let tell = &mut *to.0;
    match store.close() {
        Ok(()) => Ok(()),
        Err(error) => tell(&bad("database", format!("it could not be closed: {error}"), "see the disk")),
    }
}

/// Everything for which somebody else is called.
fn outside(
    config: &Config,
    settings: &Settings,
    store: Option<&Store>,
    roots: &[u8],
    to: &mut Sink<'_>,
) -> anyhow::Result<()> {
    sells::hooks(config, roots, to)?;
    sells::login(config, roots, to)?;
    public::look(config, store, roots, to)?;
    match (store, &settings.open_api) {
        (Some(store), Some(open_api)) if koogallery(store, open_api, to.0)? => Ok(()),
        (_, Some(_)) => clock::compare(config, roots, to),
        (_, None) => {
            let text =
                "[open_api] is not configured: orders are not read, usage and online licences not sent".to_owned();
            to.ok("koogallery", text)?;
            clock::compare(config, roots, to)
        }
    }
}

fn configuration(path: &Path, tell: Tell<'_>) -> anyhow::Result<Option<(Config, Settings)>> {
    const SUBJECT: &str = "configuration";
    let mend = "config.example.toml shows every key; `koogate init` writes a first file";
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            for error in &errors.errors {
                let place = error.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let key = if error.key.is_empty() { String::new() } else { format!("{}: ", error.key) };
                tell(&bad(SUBJECT, format!("{place}{key}{}", error.problem), mend))?;
            }
            return Ok(None);
        }
    };
    for warning in &config.warnings {
        tell(&Finding { level: Level::Warning, subject: SUBJECT, text: warning.to_string(), mend: None })?;
    }
    match Settings::new(&config) {
        Ok(settings) => {
            tell(&good(SUBJECT, format!("{} is complete", path.display())))?;
            Ok(Some((config, settings)))
        }
        Err(error) => {
            tell(&bad(SUBJECT, error.to_string(), mend))?;
            Ok(None)
        }
    }
}

fn files(path: &Path, config: &Config, tell: Tell<'_>) -> anyhow::Result<()> {
    const SUBJECT: &str = "files";
    let remarks = permissions::remarks(path, config);
    if remarks.is_empty() {
        return tell(&good(SUBJECT, "no other user can read or change the database and its copies".to_owned()));
    }
    let level = Level::Warning;
    remarks.into_iter().try_for_each(|text| tell(&Finding { level, subject: SUBJECT, text, mend: None }))
}

fn certificate(config: &Config, tell: Tell<'_>) -> anyhow::Result<()> {
    const SUBJECT: &str = "certificate";
    let Some(files) = &config.server.tls else {
        let text = "[server.tls] is not configured: koogate speaks HTTP, and a proxy HTTPS to KooGallery";
        return tell(&good(SUBJECT, text.to_owned()));
    };
    let Loaded { identity, exposed, .. } = match certificates::load(files) {
        Ok(loaded) => loaded,
        Err(error) => return tell(&bad(SUBJECT, error.to_string(), "docs/operations.md, HTTPS, says what is needed")),
    };
    let now = Timestamp::now();
    for remark in certificates::remarks(&identity, now) {
        let level = if remark.is_grave { Level::Error } else { Level::Warning };
        tell(&Finding { level, subject: SUBJECT, text: remark.text, mend: Some(remark.mend.to_owned()) })?;
    }
    if let Some(text) = exposed {
        tell(&Finding { level: Level::Warning, subject: SUBJECT, text, mend: None })?;
    }
    if identity.not_after() < now {
        return Ok(());
    }
    let days = identity.not_after().duration_since(now).as_hours() / 24;
    let (names, chain) = (identity.names().join(", "), identity.chain_length());
    tell(&good(SUBJECT, format!("for {names}; {days} days left; certificates in its file: {chain}")))
}

/// Opens the database beside a running server; one that is not there is not made.
fn database(config: &Config, tell: Tell<'_>) -> anyhow::Result<Option<Store>> {
    const SUBJECT: &str = "database";
    let path = &config.database.path;
    if !path.try_exists().unwrap_or(true) && !config.database.snapshot_path().exists() {
        let text = format!("{} is not there yet", path.display());
        let mend = Some("`koogate serve` makes it at its first start; KooGallery is not called before".to_owned());
        tell(&Finding { level: Level::Warning, subject: SUBJECT, text, mend })?;
        return Ok(None);
    }
    let settings = store::Settings {
        path: path.clone(),
        snapshot: config.database.snapshot_path(),
        commit_batch: config.database.commit_batch,
    };
    match Store::open(&settings, Role::Command, Arc::new(config.keys.sealing.clone())) {
        Ok(store) => {
            let mend = "stop koogate and restore the newest good copy: docs/operations.md, Backup, verify, restore";
            match store.examine() {
                Ok(problems) if problems.is_empty() => {
                    let key = "no copy of it can be read without the key, keep that in another place";
                    let text = format!("{} opens with this sealing key and is whole; {key}", path.display());
                    tell(&good(SUBJECT, text))?;
                }
                Ok(problems) => {
                    tell(&bad(SUBJECT, format!("{} is damaged: {}", path.display(), problems.join("; ")), mend))?;
                }
                Err(error) => tell(&bad(SUBJECT, error.to_string(), mend))?,
            }
            Ok(Some(store))
        }
        Err(error @ OpenError::Older { .. }) => {
            let mend = Some("docs/operations.md, Upgrading and going back".to_owned());
            tell(&Finding { level: Level::Warning, subject: SUBJECT, text: error.to_string(), mend })?;
            Ok(None)
        }
        Err(error) => {
            tell(&bad(SUBJECT, error.to_string(), "docs/operations.md says what to do with a damaged database"))?;
            Ok(None)
        }
    }
}

/// Before the first koogate: a time by a clock that is not set.
const NEVER_BEFORE: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Why this machine's clock cannot be right, judged by what is recorded.
pub fn clock_doubt(store: &Store, now: Timestamp) -> Option<String> {
    if now < NEVER_BEFORE {
        return Some(format!("this machine's clock says {now:.0}; KooGallery's calls cannot be verified by it"));
    }
    let newest = store.read(|tx| tx.newest_exchange_at()).ok().flatten()?;
    let ahead = newest.duration_since(now);
    (ahead > SignedDuration::from_mins(1)).then(|| {
        let ahead = ahead.as_secs();
        format!("this machine's clock says {now:.0}, {ahead} s before the last call that was recorded")
    })
}

fn work(store: &Store, tell: Tell<'_>) -> anyhow::Result<()> {
    const SUBJECT: &str = "work";
    match store.read(|tx| tx.troubled_jobs()) {
        Ok((0, 0)) => tell(&good(SUBJECT, "no job has failed".to_owned())),
        Ok((0, failing)) => tell(&Finding {
            level: Level::Warning,
            subject: SUBJECT,
            text: format!("{failing} jobs have failed and are tried again"),
            mend: Some("`koogate instance show ID` tells why".to_owned()),
        }),
        Ok((dead, failing)) => tell(&bad(
            SUBJECT,
            format!("{dead} jobs are dead, {failing} have failed and are tried again"),
            "mend what `koogate instance show ID` tells, then `koogate instance retry ID`",
        )),
        Err(error) => tell(&bad(SUBJECT, error.to_string(), "see the disk")),
    }
}

/// What was used and is not billed yet, or never will be.
fn usage(store: &Store, tell: Tell<'_>) -> anyhow::Result<()> {
    const SUBJECT: &str = "usage";
    let now = Timestamp::now();
    let since = now.checked_sub(REJECTED_WITHIN).unwrap_or(Timestamp::MIN);
    let (waiting, rejected) = match store.read(|tx| Ok((tx.waiting_usage(now)?, tx.usage_counts(now, since)?.rejected)))
    {
        Ok(found) => found,
        Err(error) => return tell(&bad(SUBJECT, error.to_string(), "see the disk")),
    };
    let late = waiting.due_since.filter(|since| now.duration_since(*since) > LATE);
    if let Some(since) = late {
        let text =
            format!("{} usage records are due, the first since {since:.0}; KooGallery wants them in time", waiting.due);
        let mend = "is the server running, is [open_api] configured? The log says why they could not be sent";
        tell(&bad(SUBJECT, text, mend))?;
    }
    if rejected > 0 {
        tell(&Finding {
            level: Level::Warning,
            subject: SUBJECT,
            text: format!("KooGallery rejected {rejected} usage records in the last 30 days"),
            mend: Some("`koogate usage list --rejected` says why and what to do about each".to_owned()),
        })?;
    }
    if late.is_none() && rejected == 0 {
        tell(&good(SUBJECT, format!("{} usage records wait, none is late or was rejected lately", waiting.waiting)))?;
    }
    Ok(())
}

/// `false`: KooGallery has told no time.
fn koogallery(store: &Store, open_api: &OpenApi, tell: Tell<'_>) -> anyhow::Result<bool> {
    const SUBJECT: &str = "koogallery";
    let asked = open_api.order(store, PROBE_ORDER, Patience::Until(Instant::now() + PROBE_TIME));
    let finding = match asked {
        // Whatever it says of the order: the key was accepted.
        Ok(_) => good(SUBJECT, format!("{} accepts the access key", host(open_api))),
        Err(OpenApiError::Order { .. }) => good(SUBJECT, format!("{} accepts the access key", host(open_api))),
        Err(error) => {
            let mend = match &error {
                OpenApiError::Locked { .. } => {
                    "check access_key_id and secret_access_key, and this machine's clock; a key \
                                                that is changed is tried at once"
                }
                OpenApiError::NoConnection { .. } => {
                    "is the network up, is HTTPS to it allowed, is a proxy needed (HTTPS_PROXY)?"
                }
                OpenApiError::Refused { .. } => {
                    "the code says what KooGallery objects to: docs/operations.md, Calls to KooGallery"
                }
                _ => "try again; if it stays, KooGallery has trouble",
            };
            bad(SUBJECT, error.to_string(), mend)
        }
    };
    tell(&finding)?;
    match open_api.clock_fault() {
        Some(fault) => tell(&bad("clock", fault, "run an NTP client: signatures hold for minutes only"))?,
        None => match open_api.clock_difference() {
            Some(_) => tell(&good("clock", format!("{:.0} UTC, as KooGallery's", Timestamp::now())))?,
            // It was not called: its own words say why, and they are not to be followed by a call of another kind.
            None => return Ok(matches!(finding.level, Level::Error)),
        },
    }
    Ok(true)
}

fn host(open_api: &OpenApi) -> &str {
    match &open_api.settings().endpoint {
        Endpoint::Site(site) => site.hosts().first().copied().unwrap_or_default(),
        Endpoint::Other(origin) => origin,
    }
}

fn good(subject: &'static str, text: String) -> Finding {
    Finding { level: Level::Ok, subject, text, mend: None }
}

fn bad(subject: &'static str, text: String, mend: &str) -> Finding {
    Finding { level: Level::Error, subject, text, mend: Some(mend.to_owned()) }
}
