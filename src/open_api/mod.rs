//! The client of KooGallery's open API: one typed function for each call, and what must hold for all of them.
//!
//! What is written and read is pure and lives in `protocol::open_api`. Here are hosts and their order, time limits,
//! repetition, the pause when KooGallery has too many calls, and the lock: more than five refusals of an access key in a row
//! lock it at KooGallery, so after one nothing is called for a while, restarts included (spec 5-open-api §2). Work that
//! must not get lost (orders, usage records, uploads) is made durable by its owners; this repeats only what somebody
//! waits for.

mod calls;
pub mod error;
mod gate;
mod lock;
mod metrics;
#[cfg(test)]
mod tests;
mod transport;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use ureq::http::Request;

use self::error::{Again, OpenApiError};
use self::gate::{Closed, Gate};
use self::lock::Lock;
pub use self::metrics::{CallCount, OpenApiMetrics};
pub use self::transport::BadCertificates;
use self::transport::{HttpReply, Sender, TIMEOUT};
use crate::address::Address;
use crate::backoff::{self, Backoff};
use crate::config::{self, Endpoint, MultipartPayload};
use crate::protocol::open_api::aksk::{self, Unsigned};
use crate::protocol::open_api::reply::{self, Reply, Standing};
use crate::store::{OpenApiRefusalRow, Store, StoreError};

/// A call that somebody waits for is made so often at most, with these pauses between (spec 5-open-api §2).
const ATTEMPTS: u32 = 5;
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), slowest: Duration::from_secs(60) };

/// Background work waits for its place so long: beyond, its thread has better things to do, and it comes back later.
const PLACE_WITHIN: Duration = Duration::from_secs(1);
const COME_BACK_AFTER: Duration = Duration::from_secs(5);

/// How long a call may take in all.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// One attempt: its owner makes the next one, durably.
    Once,
    /// Attempts until then, for somebody who waits.
    Until(Instant),
}

/// Calls KooGallery. Shared by all threads.
pub struct OpenApi {
    settings: config::OpenApi,
    /// Scheme and host, and the host alone; the first first.
    hosts: Vec<(String, String)>,
    sender: Sender,
    gate: Gate,
    lock: Lock,
    /// What stands for the body in the signature of an upload.
    upload_payload: Mutex<UploadPayload>,
    /// Held while it is found out.
    probing_upload: Mutex<()>,
    /// By how much this machine's clock was ahead of KooGallery's at the last reply.
    clock_difference: Mutex<Option<SignedDuration>>,
    metrics: OpenApiMetrics,
}

/// What stands for the body in the signature of an upload. No document says what KooGallery takes, and every refusal
/// brings the key nearer to its lock; so it is found out by one upload at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UploadPayload {
    /// Not known: the unsigned payload is tried, then the hash.
    Untried,
    /// The unsigned payload was refused; the hash is tried, once.
    TriedUnsigned,
    /// The unsigned payload, because KooGallery took it, or because it refused both: then it is the key.
    Unsigned,
    /// The hash, because it is configured, or because KooGallery took nothing else.
    Hash,
}

/// What a call says.
struct Call<'a> {
    /// The word for it, in messages and metrics.
    name: &'static str,
    method: &'static str,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    /// A refused signature means a wrong key.
    locks: bool,
}

impl OpenApi {
    /// From the configuration.
    ///
    /// # Errors
    /// When the certificates that are to be trusted cannot be read.
    pub fn new(settings: &config::OpenApi) -> Result<Self, BadCertificates> {
        let origins: Vec<String> = match &settings.endpoint {
            Endpoint::Site(site) => site.hosts().iter().map(|host| format!("https://{host}")).collect(),
            Endpoint::Other(origin) => vec![origin.clone()],
        };
        Self::at(settings, origins)
    }

    fn at(settings: &config::OpenApi, origins: Vec<String>) -> Result<Self, BadCertificates> {
        let is_local = |origin: &String| Address::parse(origin).is_ok_and(|address| address.is_local);
        let sender = Sender::new(settings.trusted_certificates.as_deref(), origins.iter().all(is_local))?;
        let upload_payload = match settings.multipart_payload {
            MultipartPayload::Unsigned => UploadPayload::Untried,
            MultipartPayload::Hash => UploadPayload::Hash,
        };
        let host = |origin: String| {
            let host = origin.split_once("://").map(|(_, host)| host.to_owned()).unwrap_or_default();
            (origin, host)
        };
        Ok(Self {
            settings: settings.clone(),
            hosts: origins.into_iter().map(host).collect(),
            sender,
            gate: Gate::default(),
            lock: Lock::default(),
            upload_payload: Mutex::new(upload_payload),
            probing_upload: Mutex::default(),
            clock_difference: Mutex::default(),
            metrics: OpenApiMetrics::default(),
        })
    }

    /// What the configuration says.
    pub fn settings(&self) -> &config::OpenApi {
        &self.settings
    }

    /// How many calls were made, and what became of them.
    pub fn metrics(&self) -> &OpenApiMetrics {
        &self.metrics
    }

    /// Whether the access key was refused lately, and is not used for now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn locked(&self, store: &Store) -> Result<Option<OpenApiRefusalRow>, StoreError> {
        lock::locked_until(store, &self.settings.credentials, Timestamp::now())
    }

    /// By how much this machine's clock was ahead of KooGallery's at the last reply; `None`: nobody told.
    pub fn clock_difference(&self) -> Option<SignedDuration> {
        *self.clock_difference.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with this machine's clock, where KooGallery minds.
    pub fn clock_fault(&self) -> Option<String> {
        self.clock_difference().filter(|difference| difference.abs() > lock::CLOCK_TOLERANCE).map(lock::clock)
    }

    /// Makes a call, and, where somebody waits, makes it again as long as that makes sense.
    fn call(&self, store: &Store, call: &Call<'_>, patience: Patience) -> Result<Map<String, Value>, OpenApiError> {
        let now = Instant::now();
        let (place_by, deadline) = match patience {
            Patience::Once => (now + PLACE_WITHIN, now + TIMEOUT),
            Patience::Until(deadline) => (deadline, deadline),
        };
        for attempt in 1.. {
            let result = self.attempt(store, call, place_by, deadline);
            self.metrics.count(call.name, &result);
            let Err(error) = result else { return result };
            let wait = match error.again() {
                Again::Later => BACKOFF.pause(attempt, backoff::jitter()),
                Again::NotBefore(until) => {
                    Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()
                }
                Again::Never => return Err(error),
            };
            let is_last = attempt >= ATTEMPTS || matches!(patience, Patience::Once);
            if is_last || Instant::now() + wait >= deadline {
                return Err(error);
            }
            std::thread::sleep(wait);
        }
        // The loop has no other end than its returns.
        Err(crowded())
    }

    /// Makes a call once: at the first host that can be reached. It may wait for its place until `place_by`.
    fn attempt(
        &self,
        store: &Store,
        call: &Call<'_>,
        place_by: Instant,
        deadline: Instant,
    ) -> Result<Map<String, Value>, OpenApiError> {
        let _pass = self.gate.enter(place_by).map_err(|closed| match closed {
            Closed::Throttled(left) => OpenApiError::Throttled { until: backoff::after(Timestamp::now(), left) },
            Closed::Crowded => crowded(),
        })?;
        self.lock.check(store, &self.settings.credentials, Timestamp::now())?;
        let mut last = crowded();
        for (origin, host) in &self.hosts {
            match self.send(call, origin, host, deadline) {
                Ok(reply) => return self.judge(store, call, host, reply),
                Err(error @ OpenApiError::NoConnection { .. }) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Signs and sends a call.
    fn send(&self, call: &Call<'_>, origin: &str, host: &str, deadline: Instant) -> Result<HttpReply, OpenApiError> {
        let Call { method, path, query, headers, body, .. } = *call;
        let unsigned = Unsigned { method, host, path, query, headers, body };
        let signing = aksk::sign(&self.settings.credentials, &unsigned, Timestamp::now());
        let pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", aksk::encoded(name), aksk::encoded(value))).collect();
        let separator = if pairs.is_empty() { "" } else { "?" };
        let mut request =
            Request::builder().method(method).uri(format!("{origin}{path}{separator}{}", pairs.join("&")));
        for (name, value) in headers.iter().copied().chain(signing.iter().map(|(name, value)| (*name, value.as_str())))
        {
            request = request.header(name, value);
        }
        let broken =
            |error: ureq::http::Error| OpenApiError::Broken { host: host.to_owned(), reason: error.to_string() };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(crowded());
        }
        self.sender.send(request.body(body).map_err(broken)?, host, left)
    }

    /// What a reply comes to, for the caller and for the calls after it.
    fn judge(
        &self,
        store: &Store,
        call: &Call<'_>,
        host: &str,
        reply: HttpReply,
    ) -> Result<Map<String, Value>, OpenApiError> {
        let difference = reply.date.and_then(|date| lock::difference(&date, Timestamp::now()));
        *self.clock_difference.lock().unwrap_or_else(PoisonError::into_inner) = difference;
        let refusal = match reply::read(reply.status, &reply.body) {
            Reply::Done(members) => {
                self.key_accepted(store);
                self.gate.succeeded();
                return Ok(members);
            }
            Reply::Unreadable { shown } => return Err(OpenApiError::Unreadable { host: host.to_owned(), shown }),
            Reply::Refused(refusal) => refusal,
        };
        let (mut advice, mut not_before) = (String::new(), None);
        match refusal.standing() {
            Standing::Signature if call.locks => {
                self.gate.refused();
                let (credentials, now) = (&self.settings.credentials, Timestamp::now());
                let (mend, until) = self.lock.refused(store, credentials, &refusal, difference, now);
                (advice, not_before) = (mend, Some(until));
            }
            Standing::Signature => {}
            Standing::Throttled => {
                let pause = self.gate.throttled(backoff::jitter());
                not_before = Some(backoff::after(Timestamp::now(), pause));
                log::warn!("KooGallery has too many calls: {refusal}; the next one is made after {pause:.1?}");
            }
            Standing::Temporary | Standing::Permanent => {}
        }
        if refusal.is_beyond_gateway() {
            // Only what lies behind the gateway knows such a code: the key was right.
            self.key_accepted(store);
            if refusal.standing() != Standing::Throttled {
                self.gate.succeeded();
            }
        }
        if refusal.is("0102") {
            advice = "; the first key of keys.basic is not the one bound to the basic interface".to_owned();
        }
        Err(OpenApiError::Refused { call: call.name, refusal: Box::new(refusal), advice, not_before })
    }

    fn key_accepted(&self, store: &Store) {
        self.gate.accepted();
        self.lock.accepted(store, &self.settings.credentials);
    }
}

/// No place came free in time.
fn crowded() -> OpenApiError {
    let pause = backoff::varied(COME_BACK_AFTER, backoff::jitter());
    OpenApiError::Crowded { until: backoff::after(Timestamp::now(), pause) }
}

/// Without the credentials.
impl fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApi").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
