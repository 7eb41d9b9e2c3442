//! A minimal seller's server, correct unless told otherwise: every generation at one address under one key, all in
//! memory, on tiny_http. `reading` says what each activity asks for, `state` does it, `fields` encrypts; `kit` is the
//! joint-operation kit.
//!
//! Its rules are written down a second time on purpose, by hand and from the specification: what judges koogate must not
//! be judged by koogate's own code. Only signatures and time are borrowed; they have vectors of their own.

mod fields;
mod kit;
mod reading;
mod state;

use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use koogate::kind::Kind;
use koogate::protocol::auth_token::{self, AuthTokenRules};
use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::protocol::query::Query;
use koogate::protocol::result_code::ResultCode;
use koogate::protocol::signature::{SignatureParameters, SignatureRefusal, SignatureRules, verify_v2};
use koogate::secret::Secret;
use koogate::simulate::{Observed, ObservedDirectory, Observer};
use serde_json::{Map, Value, json};
use state::State;

pub use kit::kit;
use tiny_http::{Header, Method, Response, Server};

/// What is broken about a seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NoResultMsg,
    NumericResultCode,
    WrongBodySign,
    NoBodySign,
    LowerCasedBodySign,
    OtherStatusOnError,
    Redirect,
    ByteOrderMark,
    TextHtml,
    LongMemo,
    NoFrontEndUrl,
    TextUsage,
    NewInstanceOnRetry,
    InstancePerParallelCall,
    OneInstanceForAll,
    OtherAnswerOnRetry,
    TestCallsUnknown,
    AcceptsStale,
    AcceptsFuture,
    AcceptsAnyKey,
    AcceptsUnsigned,
    AcceptsNoNonce,
    AcceptsRepeatedNonce,
    RawSignatureOnly,
    UnknownSceneTaken,
    BadDateTaken,
    MissingMemberTaken,
    ManyIdsTaken,
    ThirdFreezeSwallowed,
    ThirdFreezeRefused,
    RenewalAdds,
    RenewalDoesNotUnfreeze,
    LateRenewalApplied,
    CancellationTakenForRetry,
    CreatedAgainAfterRelease,
    ReleaseOnce,
    UnknownInstanceTaken,
    NeverReady,
    HangsUp,
    // V1 and L1.
    AcceptsUnsalted,
    AcceptsNoTimeStamp,
    RepeatedGetRefused,
    LostPlusRefused,
    PlainPassword,
    ShortKey,
    WrongEncryptType,
    EncryptedAgainOnRetry,
    NoAppInfo,
    BadExtendParamsTaken,
    AnswersProcessing,
    NewDatesIgnored,
    OneInstanceForAllProducts,
    SecondExpirySwallowed,
    RefundUnread,
    OtherLicenseOnRetry,
    // L2 and LO.
    RefusesUnderAnotherKey,
    UnknownCodeRefused,
    SecondRequestRefused,
    EndlessLicenseTaken,
    TestLicensePending,
    // The kit.
    BasicFormulaTaken,
    BlanksLeftOut,
    NothingDecrypted,
    DecryptsFirst,
    OneDigestKnown,
    FirstSecretKept,
    InstanceRequired,
    ParentRequired,
    RemovedOnce,
    NothingRemoved,
    TestCallsWrite,
    FlagsUnread,
    NumbersOnly,
    ListsOnly,
    QuotedNamesOnly,
    UnknownPathTaken,
    NoDepartments,
}

/// How a seller creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    AtOnce,
    /// Answers "not yet" until it has been asked for the instance this often, or, where there is no query, bought.
    AfterQueries(u32),
}

/// The members of a call.
type Call = Map<String, Value>;

pub struct Seller {
    pub url: String,
    state: Arc<Mutex<State>>,
    server: Arc<Server>,
}

/// A key of other interfaces of the seller.
pub fn other_key() -> AccessKey {
    AccessKey::new("other".to_owned(), Secret::new("66666666-7777-8888-9999-000000000000".to_owned()))
}

pub fn key() -> AccessKey {
    AccessKey::new("basic".to_owned(), Secret::new("11111111-2222-3333-4444-555555555555".to_owned()))
}

impl Seller {
    pub fn start(fault: Option<Fault>, creation: Creation) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let url = format!("http://{}/saasproduce", server.server_addr().to_ip().unwrap());
        let state = Arc::new(Mutex::new(State::new(fault, creation)));
        // As many threads as the simulator has, so that parallel calls really meet.
        for _ in 0..8 {
            let (server, state) = (Arc::clone(&server), Arc::clone(&state));
            std::thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    serve(request, fault, &state);
                }
            });
        }
        Self { url, state, server }
    }

    /// From now on [`Fault::InstancePerParallelCall`] lets calls meet, or no longer.
    pub fn race(&self, racing: bool) {
        self.state.lock().unwrap().racing = racing.then(Meeting::default);
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.server_addr().to_ip().unwrap()
    }

    /// Restarts it as one that keeps everything in memory.
    pub fn forget_everything(&self) {
        self.state.lock().unwrap().forget_everything();
    }

    /// How many real instances there have ever been.
    pub fn instances(&self) -> usize {
        self.state.lock().unwrap().count()
    }
}

impl Drop for Seller {
    fn drop(&mut self) {
        for _ in 0..8 {
            self.server.unblock();
        }
    }
}

impl Observer for Seller {
    fn instance(&self, _kind: Kind, instance_id: &str) -> Option<Observed> {
        self.state.lock().unwrap().observed(instance_id)
    }

    fn directory(&self, tenant_id: &str, _app_id: &str) -> Option<ObservedDirectory> {
        Some(self.state.lock().unwrap().directories.get(tenant_id).cloned().unwrap_or_default())
    }
}

fn serve(mut request: tiny_http::Request, fault: Option<Fault>, state: &Mutex<State>) {
    let mut body = Vec::new();
    request.as_reader().read_to_end(&mut body).unwrap();
    let raw_query = request.url().split_once('?').map_or("", |(_, query)| query).to_owned();
    if fault == Some(Fault::HangsUp) {
        return drop(request.into_writer());
    }
    if let Some((_, path)) = request.url().split_once("/produceAPI/") {
        let done = kit::answer(&request, path, &body, fault, state);
        let answer = done.map_or_else(|code| refusal(code, "refused"), |()| state::success());
        // As below.
        return drop(request.respond(response(answer, fault)));
    }
    let called = match request.method() {
        Method::Get => token_call(&raw_query, fault, state),
        _ => signed_call(&raw_query, &body, fault, state),
    };
    let answer = called.map_or_else(|code| refusal(code, "refused"), |call| act(&call, fault, state));
    // A test must not fail because the other side has gone.
    let _ = request.respond(response(answer, fault));
}

/// The members of an authentic POST.
fn signed_call(query: &str, body: &[u8], fault: Option<Fault>, state: &Mutex<State>) -> Result<Call, &'static str> {
    authenticate(query, body, fault, state)?;
    match serde_json::from_slice(body) {
        Ok(Value::Object(call)) => Ok(call),
        _ => Err("000002"),
    }
}

fn authenticate(query: &str, body: &[u8], fault: Option<Fault>, state: &Mutex<State>) -> Result<(), &'static str> {
    let query = Query::parse(query).map_err(|_| "000002")?;
    let mut parameters = SignatureParameters::from_query(&query);
    let mut rules = SignatureRules::default();
    match fault {
        Some(Fault::AcceptsAnyKey) => return Ok(()),
        Some(Fault::AcceptsUnsigned) if parameters.signature.is_none() => return Ok(()),
        Some(Fault::AcceptsStale) => rules.window_ms = 600_000,
        Some(Fault::AcceptsFuture) => rules.reject_future = false,
        Some(Fault::AcceptsNoNonce) if parameters.nonce.is_none() => return Ok(()),
        Some(Fault::RawSignatureOnly) => rules.candidates.truncate(1),
        _ => {}
    }
    if parameters.nonce == Some("") {
        parameters.nonce = None;
    }
    let now = Timestamp::now().as_millisecond();
    verify_v2(&[key()], &parameters, body, now, &rules).map_err(|refusal| code_of(&refusal))?;
    let nonce = parameters.nonce.unwrap_or_default().to_owned();
    if !state.lock().unwrap().is_new(nonce) && fault != Some(Fault::AcceptsRepeatedNonce) {
        return Err("000001");
    }
    Ok(())
}

fn code_of(refusal: &SignatureRefusal) -> &'static str {
    if refusal.result_code() == ResultCode::AUTHENTICATION { "000001" } else { "000002" }
}

/// The parameters of an authentic GET.
fn token_call(raw: &str, fault: Option<Fault>, state: &Mutex<State>) -> Result<Call, &'static str> {
    let query = Query::parse(raw).map_err(|_| "000002")?;
    let verdict = auth_token::verify(&[key()], &query, 0, &AuthTokenRules::default()).map(drop);
    let forgiven = match &verdict {
        Err(SignatureRefusal::MissingAuthToken) => Some(Fault::AcceptsUnsigned),
        Err(SignatureRefusal::MissingTimeStamp) => Some(Fault::AcceptsNoTimeStamp),
        Err(SignatureRefusal::NoKeyMatches) if is_unsalted(&query) => Some(Fault::AcceptsUnsalted),
        _ => None,
    };
    match verdict {
        Err(refusal) if fault != Some(Fault::AcceptsAnyKey) && (forgiven.is_none() || forgiven != fault) => {
            return Err(code_of(&refusal));
        }
        _ => {}
    }
    let has_lost_plus = raw.split_once("authToken=").is_some_and(|(_, token)| token.contains('+'));
    if fault == Some(Fault::LostPlusRefused) && has_lost_plus {
        return Err("000001");
    }
    if fault == Some(Fault::RepeatedGetRefused) && !state.lock().unwrap().is_new(raw.to_owned()) {
        return Err("000001");
    }
    Ok(query.pairs().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// Whether the token is made with the access key alone.
fn is_unsalted(query: &Query<'_>) -> bool {
    let mut pairs: Vec<_> = query.pairs().filter(|(name, _)| *name != "authToken").collect();
    pairs.sort_unstable();
    let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let token = data_encoding::BASE64.encode(&key().sign(joined.join("&").as_bytes()));
    query.first("authToken") == Some(token.as_str())
}

fn act(call: &Call, fault: Option<Fault>, state: &Mutex<State>) -> Value {
    if fault == Some(Fault::InstancePerParallelCall) && call.get("activity") == Some(&json!("newInstance")) {
        return create_with_a_race(call, state);
    }
    state.lock().unwrap().act(call).unwrap_or_else(|code| refusal(code, "refused"))
}

/// Looks, waits for company, and only then writes down: two calls that look at the same time both create.
fn create_with_a_race(call: &Call, state: &Mutex<State>) -> Value {
    let order = call.get("orderId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (known, meeting) = {
        let state = state.lock().unwrap();
        (state.answer_of(&order), state.racing.clone())
    };
    if let Some(meeting) = meeting {
        meeting.meet();
    }
    let mut state = state.lock().unwrap();
    known.unwrap_or_else(|| {
        state.forget(&order);
        state.act(call).unwrap_or_else(|code| refusal(code, "refused"))
    })
}

/// Lets the first to come wait for a second one.
#[derive(Clone, Default)]
struct Meeting(Arc<(Mutex<u32>, Condvar)>);

impl Meeting {
    fn meet(&self) {
        let (arrived, changed) = &*self.0;
        let mut arrived = arrived.lock().unwrap();
        *arrived += 1;
        changed.notify_all();
        // The bound only keeps a broken test from hanging.
        drop(changed.wait_timeout_while(arrived, Duration::from_secs(10), |arrived| *arrived < 2).unwrap());
    }
}

fn refusal(code: &str, message: &str) -> Value {
    json!({"resultCode": code, "resultMsg": message})
}

fn response(mut answer: Value, fault: Option<Fault>) -> Response<std::io::Cursor<Vec<u8>>> {
    match fault {
        Some(Fault::NoResultMsg) => drop(answer.as_object_mut().unwrap().remove("resultMsg")),
        Some(Fault::NumericResultCode) => answer["resultCode"] = json!(0),
        _ => {}
    }
    let mut body = answer.to_string().into_bytes();
    if fault == Some(Fault::ByteOrderMark) {
        body.splice(0..0, *b"\xef\xbb\xbf");
    }
    let failed = answer["resultCode"] != json!("000000");
    let status = match fault {
        Some(Fault::OtherStatusOnError) if failed => 500,
        Some(Fault::Redirect) => 302,
        _ => 200,
    };
    let content_type = if fault == Some(Fault::TextHtml) { "text/html" } else { "application/json" };
    let signed = if fault == Some(Fault::WrongBodySign) { b"{}".as_slice() } else { &body };
    let name = if fault == Some(Fault::LowerCasedBodySign) { "body-sign" } else { "Body-Sign" };
    let mut headers = vec![format!("Content-Type: {content_type}")];
    if fault != Some(Fault::NoBodySign) {
        let is_nobodys = fault == Some(Fault::RefusesUnderAnotherKey) && answer["resultCode"] == json!("000001");
        let signer = if is_nobodys { other_key() } else { key() };
        headers.push(format!("{name}: {}", body_sign::header_value(&signer, signed)));
    }
    let headers = headers.iter().map(|line| Header::from_str(line).unwrap()).collect();
    let length = body.len();
    Response::new(status.into(), headers, std::io::Cursor::new(body), Some(length), None)
}
