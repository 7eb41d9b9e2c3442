//! The admin listener: health, and the local API for the merchant's own software. Never on the public listener.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dispatch::{Dispatcher, Waiters};
use crate::fulfilment::answer::{Answer, Handout};
use crate::fulfilment::completion;
use crate::fulfilment::event::EventName;
use crate::http::{Handler, Method, Reply, Request};
use crate::instance::Status;
use crate::kind::Kind;
use crate::login::{Asked, LoginDesk};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// What the admin door hands requests to.
pub struct AdminSite {
    dispatcher: Arc<Dispatcher>,
    store: Arc<Store>,
    waiters: Arc<Waiters>,
    login: Option<Arc<LoginDesk>>,
    token: ring::hmac::Key,
    expected: ring::hmac::Tag,
}

impl AdminSite {
    /// `token` is the bearer token that the API asks for.
    pub fn new(dispatcher: Arc<Dispatcher>, store: Arc<Store>, waiters: Arc<Waiters>, token: Secret<String>) -> Self {
        // Compared by their tags under a key of the token itself: in constant time, whatever the lengths.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, token.expose().as_bytes());
        let expected = ring::hmac::sign(&key, token.expose().as_bytes());
        Self { dispatcher, store, waiters, login: None, token: key, expected }
    }

    /// With the login helper, where it is wanted.
    pub fn with_login(self, login: Option<Arc<LoginDesk>>) -> Self {
        Self { login, ..self }
    }

    fn is_authorised(&self, request: &Request) -> bool {
        let header = request.header("Authorization").unwrap_or_default();
        let given = header.strip_prefix("Bearer ").unwrap_or_default();
        ring::hmac::verify(&self.token, given.as_bytes(), self.expected.as_ref()).is_ok()
    }

    /// `POST /api/v1/instances/{id}/ready`: the application reports that a creation it answered "pending" is finished.
    fn instance_ready(&self, instance_id: &str, body: &[u8]) -> Reply {
        let handout = match read_handout(body) {
            Ok(handout) => handout,
            Err(problem) => return problem_reply(400, &problem),
        };
        let (id, settings) = (instance_id.to_owned(), self.dispatcher.settings());
        let note = "reported by the application";
        let result = self.store.write(None, move |tx| mark_ready(tx, &settings, &id, handout.clone(), note));
        match result {
            Ok(Marked::Ready(operations)) => {
                for operation in operations {
                    self.waiters.ended(operation);
                }
                json_reply(200, &json!({ "instanceId": instance_id, "status": "active" }))
            }
            Ok(Marked::Already) => json_reply(200, &json!({ "instanceId": instance_id, "status": "active" })),
            Ok(Marked::Unfit(problem)) => problem_reply(400, &problem),
            Ok(Marked::Unknown) => problem_reply(404, "no such instance"),
            Ok(Marked::Is(status)) => problem_reply(409, &format!("the instance is {status}")),
            Err(error) => {
                log::error!("instance {instance_id:?} could not be marked ready: {error}");
                problem_reply(500, "internal error, see the log")
            }
        }
    }

    /// `GET /api/v1/refused`: the requests that were turned away lately, newest first, and how many there were in all.
    fn refused(&self) -> Reply {
        let refused = self.dispatcher.refused();
        let last: Vec<Value> = refused
            .last()
            .into_iter()
            .rev()
            .map(|one| {
                let at = format!("{:.3}", one.at);
                json!({ "at": at, "peer": one.peer, "family": one.family, "reason": one.reason })
            })
            .collect();
        json_reply(200, &json!({ "total": refused.total(), "last": last }))
    }

    /// `POST /api/v1/login/{sid}/refresh` and `/end`: the application renews or ends a login session.
    fn login(&self, rest: &str, request: &Request) -> Reply {
        match (&self.login, Asked::parse(rest)) {
            (Some(login), Some((sid, asked))) if request.method == Method::Post => {
                login.answer_application(sid, asked, request)
            }
            (Some(_), Some(_)) => problem_reply(405, "POST only").with_header("Allow", "POST"),
            (Some(_), None) => problem_reply(404, "not found"),
            (None, _) => problem_reply(404, "there is no [login] section in the configuration"),
        }
    }

    /// Whether calls can be answered: the writer takes work and gets through with it.
    fn readyz(&self) -> Reply {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
        match self.store.write(Some(deadline), |_| Ok(())) {
            Ok(()) => Reply::new(200, TEXT, "ready\n"),
            Err(error) => Reply::new(503, TEXT, format!("not ready: {error}\n")),
        }
    }
}

impl Handler for AdminSite {
    fn handle(&self, request: Request) -> Reply {
        match (request.method.as_str(), request.path()) {
            ("GET" | "HEAD", "/healthz") => return Reply::new(200, TEXT, "ok\n"),
            ("GET" | "HEAD", "/readyz") => return self.readyz(),
            _ => {}
        }
        if !self.is_authorised(&request) {
            let reply = problem_reply(401, "a bearer token is needed: Authorization: Bearer <admin.token>");
            return reply.with_header("WWW-Authenticate", "Bearer");
        }
        if let ("GET", "/api/v1/refused") = (request.method.as_str(), request.path()) {
            return self.refused();
        }
        if let Some(rest) = request.path().strip_prefix("/api/v1/login/") {
            return self.login(rest, &request);
        }
        let instance_id =
            request.path().strip_prefix("/api/v1/instances/").and_then(|rest| rest.strip_suffix("/ready"));
        match instance_id.filter(|id| !id.is_empty() && !id.contains('/')) {
            Some(id) if request.method == Method::Post => {
                match percent_encoding::percent_decode_str(id).decode_utf8() {
                    Ok(id) => self.instance_ready(&id, &request.body),
                    Err(_) => problem_reply(404, "no such instance"),
                }
            }
            Some(_) => problem_reply(405, "POST only").with_header("Allow", "POST"),
            None => problem_reply(404, "not found"),
        }
    }
}

/// What became of marking an instance ready.
#[derive(Debug)]
pub enum Marked {
    /// It is active now; these operations ended.
    Ready(Vec<i64>),
    /// It was active before.
    Already,
    /// It stands elsewhere.
    Is(Status),
    /// What is handed out lacks something, or has no room in the interface that bought the instance.
    Unfit(String),
    /// There is none.
    Unknown,
}

/// Marks the one instance of this id that is being created as ready, as the operator or the application says. Without
/// access data it gets its product's own; a licence that is handed out in the reply must be there.
///
/// # Errors
/// When the rows cannot be written.
pub fn mark_ready(
    tx: &crate::store::Tx<'_>,
    settings: &Settings,
    instance_id: &str,
    handout: Handout,
    note: &str,
) -> Result<Marked, StoreError> {
    let named = tx.instances_named(instance_id)?;
    if let Some(instance) = named.iter().find(|instance| instance.life.status == Status::Creating) {
        if instance.kind == Kind::License && handout.license.is_none() {
            let problem = "the instance is a licence: it needs \"license\"; by hand: `koogate license issue`";
            return Ok(Marked::Unfit(problem.to_owned()));
        }
        let handout = match completion::complete(settings, instance, handout) {
            Ok(handout) => handout,
            Err(problem) => return Ok(Marked::Unfit(problem)),
        };
        let ended = completion::finish_creation(tx, instance, &handout, note, Timestamp::now())?;
        return Ok(Marked::Ready(ended));
    }
    Ok(match named.first().map(|instance| instance.life.status) {
        None => Marked::Unknown,
        Some(Status::Active) => Marked::Already,
        Some(status) => Marked::Is(status),
    })
}

const TEXT: &str = "text/plain; charset=utf-8";

fn read_handout(body: &[u8]) -> Result<Handout, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Handout::default());
    }
    match Answer::parse(EventName::InstanceCreate, body) {
        Ok(Answer::Ready(handout)) => Ok(handout),
        Ok(_) => Err("\"status\" must be \"ready\" here".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}

fn json_reply(status: u16, value: &Value) -> Reply {
    Reply::new(status, "application/json", value.to_string())
}

fn problem_reply(status: u16, problem: &str) -> Reply {
    json_reply(status, &json!({ "error": problem }))
}
