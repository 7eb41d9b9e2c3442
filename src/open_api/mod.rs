//! The client of KooGallery's open API: one typed function for each call, and what must hold for all of them.
//!
//! What is written and read is pure and lives in `protocol::open_api`. Here are hosts and their order, time limits,
//! repetition, the pause when KooGallery has too many calls, and the lock: more than five refusals of an access key in a row
//! lock it at KooGallery, so after one nothing is called for a while, restarts included (spec 5-open-api §2). Work that
//! must not get lost (orders, usage records, uploads) is made durable by its owners; this repeats only what somebody
//! waits for.

pub mod error;
mod gate;
mod lock;
mod metrics;
mod transport;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value};
use ureq::http::Request;
use uuid::Uuid;

use self::error::{Again, OpenApiError};
use self::gate::{Closed, Gate};
use self::lock::Lock;
pub use self::metrics::{CallCount, OpenApiMetrics};
pub use self::transport::BadCertificates;
use self::transport::{HttpReply, Sender, TIMEOUT};
use crate::backoff::{self, Backoff};
use crate::config::{self, Endpoint, MultipartPayload, UsageInterface};
use crate::license::License;
use crate::protocol::key::AccessKey;
use crate::protocol::open_api::aksk::{self, Unsigned};
use crate::protocol::open_api::license::{self, CodeInfo, SoftwareUsage};
use crate::protocol::open_api::order::{self, Order};
use crate::protocol::open_api::reply::{self, Reply, Standing};
use crate::protocol::open_api::upload::{self, Upload};
use crate::protocol::open_api::usage_signature;
use crate::store::{OpenApiRefusalRow, Store, StoreError};

/// A call that somebody waits for is made so often at most, with these pauses between (spec 5-open-api §2).
const ATTEMPTS: u32 = 5;
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), slowest: Duration::from_secs(60) };

/// The path of a push of usage records.
const USAGE_PATH: &str = "/api/mkp-openapi-public/global/v1/isv/usage-data";
/// The same in the old interface.
const OLD_USAGE_PATH: &str = "/rest/marketplace/v1/isv/usage-data";

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
    /// What stands for the body of an upload is its hash: by the configuration, or because KooGallery took nothing else.
    hashes_uploads: AtomicBool,
    /// The hash was tried, in vain.
    tried_hash: AtomicBool,
    metrics: OpenApiMetrics,
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
        let is_local = matches!(settings.endpoint, Endpoint::Other(_));
        let sender = Sender::new(settings.trusted_certificates.as_deref(), is_local)?;
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
            hashes_uploads: AtomicBool::new(settings.multipart_payload == MultipartPayload::Hash),
            tried_hash: AtomicBool::new(false),
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

    /// Asks for an order; returns `orderInfo` as it came, and read.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn order(&self, store: &Store, order_id: &str, patience: Patience) -> Result<(Value, Order), OpenApiError> {
        // Without its line: the whole order is kept, and other lines of it may be asked for.
        let query = [("orderId", order_id)];
        let call = Call {
            name: "order query",
            method: "GET",
            path: order::PATH,
            query: &query,
            headers: &[],
            body: b"",
            locks: true,
        };
        let mut reply = self.call(store, &call, patience)?;
        let info = reply.remove("orderInfo");
        let fault = |fault| OpenApiError::Order { order_id: order_id.to_owned(), fault };
        let order = Order::read(info.as_ref(), order_id).map_err(fault)?;
        Ok((info.unwrap_or_default(), order))
    }

    /// Activates an authorisation code.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn activate(
        &self,
        store: &Store,
        code: &str,
        real_effect_time: Option<Timestamp>,
        patience: Patience,
    ) -> Result<CodeInfo, OpenApiError> {
        let body = license::activate(code, real_effect_time);
        let reply = self.post(store, "license activate", license::ACTIVATE_PATH, &body, patience)?;
        Ok(CodeInfo::of_activation(&reply))
    }

    /// Activates up to [`license::MOST`] codes.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn activate_list(
        &self,
        store: &Store,
        codes: &[String],
        real_effect_time: Option<Timestamp>,
        patience: Patience,
    ) -> Result<(), OpenApiError> {
        let body = license::activate_list(codes, real_effect_time);
        self.post(store, "license activate", license::ACTIVATE_LIST_PATH, &body, patience).map(drop)
    }

    /// Asks for the state of an authorisation code.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn heartbeat(&self, store: &Store, code: &str, patience: Patience) -> Result<CodeInfo, OpenApiError> {
        let body = license::heartbeat(code);
        let reply = self.post(store, "license heartbeat", license::HEARTBEAT_PATH, &body, patience)?;
        Ok(CodeInfo::of_heartbeat(&reply))
    }

    /// Asks for the state of up to [`license::MOST`] codes.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn heartbeat_list(
        &self,
        store: &Store,
        codes: &[String],
        patience: Patience,
    ) -> Result<Vec<(String, CodeInfo)>, OpenApiError> {
        let body = license::heartbeat_list(codes);
        let reply = self.post(store, "license heartbeat", license::HEARTBEAT_LIST_PATH, &body, patience)?;
        Ok(CodeInfo::of_heartbeats(&reply))
    }

    /// Tells who uses the software.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn software_usage(
        &self,
        store: &Store,
        usage: &[(String, Vec<SoftwareUsage>)],
        patience: Patience,
    ) -> Result<(), OpenApiError> {
        let body = license::software_usage(usage);
        self.post(store, "software usage", license::SOFTWARE_USAGE_PATH, &body, patience).map(drop)
    }

    /// Pushes usage records, in the interface that is configured. `body` is sent as it is; `key` is the access key of the
    /// basic interface.
    ///
    /// # Errors
    /// See [`OpenApiError`]; which of several records failed is in the refusal.
    pub fn push_usage(&self, store: &Store, key: &AccessKey, body: &str) -> Result<(), OpenApiError> {
        let name = "usage push";
        if self.settings.usage_interface == UsageInterface::Old {
            return self.post(store, name, OLD_USAGE_PATH, body, Patience::Once).map(drop);
        }
        let (ts, nonce) = (Timestamp::now().as_millisecond().to_string(), random_text());
        let signature = usage_signature::sign(key, &ts, &nonce, body);
        let headers =
            [("Content-Type", "application/json"), ("signature", signature.as_str()), ("ts", &ts), ("nonce", &nonce)];
        let call = Call {
            name,
            method: "POST",
            path: USAGE_PATH,
            query: &[],
            headers: &headers,
            body: body.as_bytes(),
            locks: true,
        };
        self.call(store, &call, Patience::Once).map(drop)
    }

    /// Uploads a licence for one of KooGallery's requests. Where KooGallery refuses the signature of an unsigned body, the
    /// signature over its hash is tried, once (spec 5-open-api §7).
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn upload(&self, store: &Store, event_id: &str, license: &License) -> Result<(), OpenApiError> {
        let upload = Upload::new(license, &format!("koogate-{}", random_text()));
        let hashes = self.hashes_uploads.load(Ordering::Relaxed);
        let may_try_hash = !hashes && !self.tried_hash.load(Ordering::Relaxed);
        let sent = self.send_upload(store, event_id, &upload, hashes, !may_try_hash);
        let refused = sent.as_ref().err().and_then(OpenApiError::refusal);
        if !may_try_hash || refused.is_none_or(|refusal| refusal.standing() != Standing::Signature) {
            return sent;
        }
        self.tried_hash.store(true, Ordering::Relaxed);
        let sent = self.send_upload(store, event_id, &upload, true, true);
        if sent.is_ok() {
            self.hashes_uploads.store(true, Ordering::Relaxed);
            log::warn!("KooGallery wants the hash of uploads signed: set open_api.multipart_payload = \"hash\"");
        }
        sent
    }

    fn send_upload(
        &self,
        store: &Store,
        event_id: &str,
        upload: &Upload,
        hashes: bool,
        locks: bool,
    ) -> Result<(), OpenApiError> {
        let hash = hashes.then(|| aksk::sha256_hex(&upload.body));
        let mut headers = vec![("Content-Type", upload.content_type.as_str())];
        headers.extend(hash.as_deref().map(|hash| ("X-Sdk-Content-Sha256", hash)));
        let (path, body) = (upload::path(event_id), &upload.body);
        let call =
            Call { name: "licence upload", method: "POST", path: &path, query: &[], headers: &headers, body, locks };
        self.call(store, &call, Patience::Once).map(drop)
    }

    /// Whether the access key was refused lately, and is not used for now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn locked(&self, store: &Store) -> Result<Option<OpenApiRefusalRow>, StoreError> {
        lock::locked_until(store, &self.settings.credentials, Timestamp::now())
    }

    fn post(
        &self,
        store: &Store,
        name: &'static str,
        path: &str,
        body: &str,
        patience: Patience,
    ) -> Result<Map<String, Value>, OpenApiError> {
        let headers = [("Content-Type", "application/json")];
        let body = body.as_bytes();
        self.call(
            store,
            &Call { name, method: "POST", path, query: &[], headers: &headers, body, locks: true },
            patience,
        )
    }

    /// Makes a call, and, where somebody waits, makes it again as long as that makes sense.
    fn call(&self, store: &Store, call: &Call<'_>, patience: Patience) -> Result<Map<String, Value>, OpenApiError> {
        let deadline = match patience {
            Patience::Once => Instant::now() + TIMEOUT,
            Patience::Until(deadline) => deadline,
        };
        for attempt in 1.. {
            let result = self.attempt(store, call, deadline);
            self.metrics.count(call.name, &result);
            let Err(error) = result else { return result };
            let wait = match error.again() {
                Again::Later => BACKOFF.pause(attempt, backoff::jitter()),
                // A locked key is no matter of seconds.
                Again::NotBefore(until) if matches!(error, OpenApiError::Throttled { .. }) => {
                    Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default()
                }
                Again::NotBefore(_) | Again::Never => return Err(error),
            };
            let is_last = attempt >= ATTEMPTS || matches!(patience, Patience::Once);
            if is_last || Instant::now() + wait >= deadline {
                return Err(error);
            }
            std::thread::sleep(wait);
        }
        // The loop has no other end than its returns.
        Err(OpenApiError::Crowded)
    }

    /// Makes a call once: at the first host that can be reached.
    fn attempt(&self, store: &Store, call: &Call<'_>, deadline: Instant) -> Result<Map<String, Value>, OpenApiError> {
        let _pass = self.gate.enter(deadline).map_err(|closed| match closed {
            Closed::Throttled(left) => OpenApiError::Throttled { until: backoff::after(Timestamp::now(), left) },
            Closed::Crowded => OpenApiError::Crowded,
        })?;
        self.lock.check(store, &self.settings.credentials, Timestamp::now())?;
        let mut last = OpenApiError::Crowded;
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
            return Err(OpenApiError::Crowded);
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
        let refusal = match reply::read(reply.status, &reply.body) {
            Reply::Done(members) => {
                self.accepted(store);
                return Ok(members);
            }
            Reply::Unreadable { shown } => return Err(OpenApiError::Unreadable { host: host.to_owned(), shown }),
            Reply::Refused(refusal) => refusal,
        };
        let mut advice = String::new();
        match refusal.standing() {
            Standing::Signature if call.locks => {
                self.gate.refused();
                let (credentials, now) = (&self.settings.credentials, Timestamp::now());
                advice = self.lock.refused(store, credentials, &refusal, reply.date.as_deref(), now);
            }
            Standing::Signature => {}
            Standing::Throttled => {
                let pause = self.gate.throttled(backoff::jitter());
                log::warn!("KooGallery has too many calls: {refusal}; the next one is made after {pause:.1?}");
            }
            // Only what lies behind the gateway knows such a code: the key was right.
            Standing::Permanent if refusal.is_beyond_gateway() => self.accepted(store),
            Standing::Temporary | Standing::Permanent => {}
        }
        if refusal.is("0102") {
            advice = "; the first key of keys.basic is not the one bound to the basic interface".to_owned();
        }
        Err(OpenApiError::Refused { call: call.name, refusal: Box::new(refusal), advice })
    }

    fn accepted(&self, store: &Store) {
        self.gate.accepted();
        self.lock.accepted(store, &self.settings.credentials);
    }
}

/// Without the credentials.
impl fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApi").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// A text that nobody has had before.
fn random_text() -> String {
    Uuid::new_v4().simple().to_string()
}
