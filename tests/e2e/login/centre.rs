//! A tenant's authentication centre on loopback.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::harness::eventually;

/// A request as the centre got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and target.
    pub request: String,
    pub authorization: Option<String>,
    /// The pairs of its form.
    pub form: BTreeMap<String, String>,
}

/// What the centre answers: status, body, and where it redirects to.
pub struct Reply(pub u16, pub String, pub Option<String>);

impl From<(u16, Value)> for Reply {
    fn from((status, body): (u16, Value)) -> Self {
        Self(status, body.to_string(), None)
    }
}

/// The centre.
pub struct Centre {
    server: Arc<tiny_http::Server>,
    seen: Arc<Mutex<Vec<Seen>>>,
    thread: Option<JoinHandle<()>>,
}

/// The user of all tests.
pub fn zhang_san() -> Value {
    json!({
        "id": "20201029190841785-CB37", "userName": "zhangsan01", "name": "张三", "email": "a@example.com", "mobile": "",
        "role": "admin", "organizationName": "产品部", "organizationCode": "0001", "tenant": "t-1",
    })
}

impl Centre {
    /// One that gives the tokens access-1 and refresh-1 for the first code or token, then access-2 …, and tells of
    /// `zhang_san`.
    pub fn good() -> Self {
        let given = AtomicUsize::new(0);
        Self::start(move |seen| match seen.form.contains_key("grant_type") {
            true => {
                let number = given.fetch_add(1, Ordering::SeqCst) + 1;
                (
                    200,
                    json!({
                        "access_token": format!("access-{number}"), "token_type": "Bearer", "expires_in": 7200,
                        "scope": "get_user_info", "refresh_token": format!("refresh-{number}"),
                    }),
                )
                    .into()
            }
            false => (200, zhang_san()).into(),
        })
    }

    /// One that answers token requests so, and userinfo with `zhang_san`.
    pub fn with_tokens(token: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen| match seen.form.contains_key("grant_type") {
            true => token(seen),
            false => (200, zhang_san()).into(),
        })
    }

    /// One that answers userinfo so.
    pub fn with_user(user: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen| match seen.form.contains_key("grant_type") {
            true => (200, json!({ "access_token": "access-1" })).into(),
            false => user(seen),
        })
    }

    /// One that answers everything so.
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let (serving, answer) = (Arc::clone(&server), Arc::new(answer));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                let one = note(&mut request);
                noted.lock().unwrap().push(one.clone());
                let answer = Arc::clone(&answer);
                // Of its own, so that a slow answer holds up no other.
                std::thread::spawn(move || {
                    let Reply(status, body, location) = answer(&one);
                    let mut response = tiny_http::Response::from_string(body).with_status_code(status);
                    if let Some(location) = location {
                        response.add_header(tiny_http::Header::from_bytes("Location", location).unwrap());
                    }
                    let _ = request.respond(response);
                });
            }
        });
        Self { server, seen, thread: Some(thread) }
    }

    /// As tenantSync tells it.
    pub fn domain_name(&self) -> String {
        format!("http://{}", self.server.server_addr().to_ip().unwrap())
    }

    /// What it was asked.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until it was asked so often.
    pub fn wait_for(&self, count: usize) {
        eventually(|| (self.seen().len() >= count).then_some(()), || format!("only {:?}", self.seen()));
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn note(request: &mut tiny_http::Request) -> Seen {
    let mut body = String::new();
    let _ = request.as_reader().read_to_string(&mut body);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let header = request.headers().iter().find(|header| header.field.equiv("Authorization"));
    Seen {
        request: format!("{} {}", request.method(), request.url()),
        authorization: header.map(|header| header.value.as_str().to_owned()),
        form: pairs.map(|(name, value)| (decoded(name), decoded(value))).collect(),
    }
}
