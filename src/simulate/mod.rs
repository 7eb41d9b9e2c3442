//! The simulated KooGallery: plays the seller console's debugging cases, retries, duplicates and refusals against a
//! seller's server, any seller's, and judges every reply as KooGallery would.
//!
//! Here are the entry and the vocabulary. [`client`] moves bytes, `call` makes signed requests of what `wording` says in
//! each [`Generation`], `stage` plays and judges single calls, `cases` says what is played, [`report`] prints. What
//! KooGallery checks of a single reply is in [`crate::protocol::reply_checks`].

mod call;
mod cases;
pub mod client;
mod console;
mod generation;
mod kit;
pub mod probe;
pub mod rehearsal;
mod reply;
pub mod report;
mod stage;
mod wording;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::kind::Kind;
use crate::protocol::body_sign;
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::{Finding, Severity};
use crate::secret::Secret;
use call::Call;
use cases::Case;
use client::{Client, SetupError};
pub use generation::Generation;
pub use kit::{Kit, KitGenerations};
use stage::{Stage, World};

/// A product id of the documentation.
pub const PRODUCT: &str = "OFFI461867333479178240";

/// Larger than what proxies take unless told otherwise (nginx: 1 MiB).
pub const BIG_BODY: usize = 1_250_000;

/// The server under test.
#[derive(Debug)]
pub struct Target {
    client: Client,
    key: AccessKey,
    /// Other keys of the same seller.
    others: Vec<AccessKey>,
}

impl Target {
    /// The production address, and the access key bound to the interfaces that are played there. `extra_roots` are PEM
    /// certificates to trust besides the public CAs, for a server in preparation; empty for none.
    ///
    /// # Errors
    /// [`SetupError`] when the URL or the certificates are of no use.
    pub fn new(url: &str, key: AccessKey, extra_roots: &[u8]) -> Result<Self, SetupError> {
        Ok(Self { client: Client::new(url, extra_roots)?, key, others: Vec::new() })
    }

    /// Keys of other interfaces at the same address: they may sign refusals of calls that are nobody's, because nothing
    /// but its key tells whose such a call is (spec README §6, §7.2).
    #[must_use]
    pub fn with_other_keys(self, others: Vec<AccessKey>) -> Self {
        Self { others, ..self }
    }

    /// The key that has signed a reply, or should have.
    fn signer(&self, call: &Call, headers: &[(String, String)], body: &[u8]) -> &AccessKey {
        let header = headers.iter().find(|(name, _)| name == body_sign::HEADER_NAME);
        let has_signed = |key: &&AccessKey| {
            header.is_some_and(|(name, value)| body_sign::verify_header(key, name, value, body).is_ok())
        };
        let other = if call.is_genuine() { None } else { self.others.iter().find(has_signed) };
        other.unwrap_or(&self.key)
    }
}

/// What is played.
pub struct Options<'o> {
    /// Also play a life-cycle without `testFlag`: it creates real instances with made-up orders, and releases them.
    pub real: bool,
    /// The generation of the interfaces.
    pub generation: Generation,
    /// Play the calls of the joint-operation kit instead.
    pub kit: Option<&'o Kit>,
    /// The product of made-up orders, in calls that name one.
    pub product_id: &'o str,
    /// How long a real instance may take until it is ready.
    pub ready_within: Duration,
    /// Bytes of the largest body that is sent.
    pub big_body: usize,
    /// A look behind the replies, for whoever has one: what a freeze or a renewal did cannot be seen from outside.
    pub observer: Option<&'o dyn Observer>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            real: false,
            generation: Generation::default(),
            kit: None,
            product_id: PRODUCT,
            ready_within: Duration::from_secs(60),
            big_body: BIG_BODY,
            observer: None,
        }
    }
}

/// Tells what the seller's server has recorded about an instance.
pub trait Observer {
    /// The state of an instance of this kind, `None` when there is no such instance. Licence codes are instances too.
    fn instance(&self, kind: Kind, instance_id: &str) -> Option<Observed>;

    /// What is recorded of an enterprise, with its credentials for an application; `None` for an observer that does not
    /// look there.
    fn directory(&self, tenant_id: &str, app_id: &str) -> Option<ObservedDirectory>;
}

/// What an observer sees of an enterprise in a directory. Where nothing is recorded, nothing is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedDirectory {
    /// The domain it signs in at; `None` when it is not bound.
    pub domain: Option<String>,
    /// Its client secret, decrypted.
    pub client_secret: Option<Secret<String>>,
    /// Its users by name, and whether each may use the application.
    pub users: BTreeMap<String, bool>,
    /// Its departments by code, with their parents.
    pub departments: BTreeMap<String, Option<String>>,
}

/// What an observer sees of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `creating`, `active`, `frozen` or `released`.
    pub status: String,
    /// The expiry date, when there is one.
    pub expire_time: Option<Timestamp>,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to complain about.
    Passed,
    /// KooGallery would take it; there is something to mend.
    Warned,
    /// KooGallery would count a call as failed, or money or access is at risk.
    Failed,
    /// Not played: the server does not answer, or a case it builds on failed.
    Skipped,
}

/// One case that was played.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// A short fixed name such as `refresh-renewal`.
    pub name: &'static str,
    /// What the seller console calls it, in Chinese.
    pub title: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What is to be mended.
    pub findings: Vec<Finding>,
    /// How long all its calls took.
    pub elapsed: Duration,
}

/// All cases in the order played.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One entry for each case.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// How many cases ended this way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// Whether KooGallery would accept the server: something was played, nothing failed, nothing had to be skipped.
    pub fn is_success(&self) -> bool {
        !self.cases.is_empty() && self.count(Outcome::Failed) == 0 && self.count(Outcome::Skipped) == 0
    }
}

/// Plays all cases one after another and hands each result to `progress` as soon as it is known.
pub fn run(target: &Target, options: &Options<'_>, progress: &mut dyn FnMut(&CaseReport)) -> Report {
    let mut player = Player::new(target, options);
    player.play(&cases::all(options), progress);
    player.report
}

/// Plays cases against one target, which may build on each other.
struct Player<'r> {
    target: &'r Target,
    options: &'r Options<'r>,
    world: World,
    report: Report,
}

impl<'r> Player<'r> {
    fn new(target: &'r Target, options: &'r Options<'r>) -> Self {
        Self { target, options, world: World::new(), report: Report::default() }
    }

    fn play(&mut self, cases: &[Case], progress: &mut dyn FnMut(&CaseReport)) {
        for case in cases {
            if case.needs_instance && self.world.is_declined {
                continue;
            }
            let playable = !self.world.gave_up() && (!case.needs_instance || self.world.instance.is_some());
            let started = Instant::now();
            let findings = playable.then(|| {
                let mut stage = Stage::new(self.target, self.options, &mut self.world);
                (case.play)(&mut stage);
                stage.into_findings()
            });
            let outcome = match &findings {
                None => Outcome::Skipped,
                Some(findings) => outcome(findings),
            };
            let (findings, elapsed) = (findings.unwrap_or_default(), started.elapsed());
            self.add(CaseReport { name: case.name, title: case.title, outcome, findings, elapsed }, progress);
        }
    }

    fn add(&mut self, played: CaseReport, progress: &mut dyn FnMut(&CaseReport)) {
        progress(&played);
        self.report.cases.push(played);
    }
}

fn outcome(findings: &[Finding]) -> Outcome {
    match findings.iter().map(|finding| finding.severity).max() {
        None => Outcome::Passed,
        Some(Severity::Warn) => Outcome::Warned,
        Some(Severity::Fail) => Outcome::Failed,
    }
}
