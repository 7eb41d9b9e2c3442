//! The gateway before KooGallery: which call a request is, whether it is signed right, and the lock after failures.

use jiff::{SignedDuration, Timestamp};

use super::Route;
use super::signature::{KeyPair, Payload, Signable, verify};
use super::wire::Request;

/// Every path but one begins so.
const BASE: &str = "/api/mkp-openapi-public/global";

/// So many failures in a row are forgiven.
const FORGIVEN: usize = 5;

const LOCK: SignedDuration = SignedDuration::from_mins(5);

/// What it remembers.
pub struct Gateway {
    key: KeyPair,
    port: u16,
    failures: usize,
    locked_until: Option<Timestamp>,
    /// At any time so far.
    pub was_locked: bool,
    /// How far its clock is from the machine's.
    pub shift: SignedDuration,
    pub upload_payload: Payload,
}

impl Gateway {
    /// For calls with this key to this port.
    pub fn new(key: KeyPair, port: u16) -> Self {
        Self {
            key,
            port,
            failures: 0,
            locked_until: None,
            was_locked: false,
            shift: SignedDuration::ZERO,
            upload_payload: Payload::Unsigned,
        }
    }

    /// The time here.
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + self.shift
    }

    /// Why a request is refused, if it is; counts it.
    pub fn refuse(&mut self, route: Route, request: &Request) -> Option<String> {
        let now = self.now();
        if self.locked_until.is_some_and(|until| now < until) {
            return Some("the key is locked".to_owned());
        }
        let refused = self.check(route, request, now).err();
        self.failures = if refused.is_some() { self.failures + 1 } else { 0 };
        if self.failures > FORGIVEN {
            self.failures = 0;
            self.locked_until = Some(now + LOCK);
            self.was_locked = true;
        }
        refused
    }

    fn check(&self, route: Route, request: &Request, now: Timestamp) -> Result<(), String> {
        let (host, port) = (request.header("host").unwrap_or_default(), self.port);
        if host != format!("127.0.0.1:{port}") && host != format!("localhost:{port}") {
            return Err(format!("Host is {host:?}"));
        }
        let kind = request.header("content-type");
        let fits = match route {
            Route::OrderQuery => request.body.is_empty(),
            Route::Upload => kind.is_some_and(|kind| kind.starts_with("multipart/form-data;")),
            _ => kind.is_some_and(|kind| kind.starts_with("application/json")),
        };
        if !fits {
            return Err(format!("Content-Type is {kind:?}"));
        }
        let payload = if route == Route::Upload { self.upload_payload } else { Payload::Declared };
        let Request { method, path, query, headers, body } = request;
        verify(&self.key, Signable { method, path, query, headers, body }, payload, now)
    }
}

/// Which call a request is.
pub fn route(request: &Request) -> Route {
    let path = request.path.as_str();
    if path == "/rest/marketplace/v1/isv/usage-data" && request.method == "POST" {
        return Route::OldUsageData;
    }
    let Some(path) = path.strip_prefix(BASE) else { return Route::Unknown };
    match (request.method.as_str(), path) {
        ("GET", "/v1/order/query") => Route::OrderQuery,
        ("POST", "/v1/license/activate") => Route::ActivateV1,
        ("POST", "/v2/license/activate") => Route::ActivateV2,
        ("POST", "/v1/license/heartbeat") => Route::Heartbeat,
        ("POST", "/v2/license/software-usage-info") => Route::SoftwareUsage,
        ("POST", "/v1/isv/usage-data") => Route::UsageData,
        ("POST", _) if event_id(&request.path).is_some() => Route::Upload,
        _ => Route::Unknown,
    }
}

/// The event that the path of an upload names, still encoded.
pub fn event_id(path: &str) -> Option<&str> {
    let id = path.strip_prefix(BASE)?.strip_prefix("/v1/market-event/")?.strip_suffix("/file")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}
