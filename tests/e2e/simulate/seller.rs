//! A minimal seller's server, correct unless told otherwise: V2 basic interfaces, all in memory, on tiny_http.
//!
//! Its rules are written down a second time on purpose, by hand and from the specification: what judges koogate must not
//! be judged by koogate's own code. Only signatures and time are borrowed; they have vectors of their own.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use koogate::kind::Kind;
use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::protocol::query::Query;
use koogate::protocol::result_code::ResultCode;
use koogate::protocol::signature::{SignatureParameters, SignatureRules, verify_v2};
use koogate::protocol::time;
use koogate::secret::Secret;
use koogate::simulate::{Observed, Observer};
use serde_json::{Map, Value, json};
use tiny_http::{Header, Response, Server};

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
}

/// How a seller creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    AtOnce,
    /// Answers `000004` until it has been asked for the instance this often.
    AfterQueries(u32),
}

pub struct Seller {
    pub url: String,
    state: Arc<Mutex<State>>,
    server: Arc<Server>,
}

pub fn key() -> AccessKey {
    AccessKey::new("basic".to_owned(), Secret::new("11111111-2222-3333-4444-555555555555".to_owned()))
}

impl Seller {
    pub fn start(fault: Option<Fault>, creation: Creation) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let url = format!("http://{}/saasproduce", server.server_addr().to_ip().unwrap());
        let state = Arc::new(Mutex::new(State { fault, creation: Some(creation), ..State::default() }));
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

    /// How many real instances there have ever been.
    pub fn instances(&self) -> usize {
        self.state.lock().unwrap().instances.len()
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
        let state = self.state.lock().unwrap();
        let instance = state.instances.get(instance_id)?;
        Some(Observed { status: instance.status.to_owned(), expire_time: instance.expires })
    }
}

fn serve(mut request: tiny_http::Request, fault: Option<Fault>, state: &Mutex<State>) {
    let mut body = Vec::new();
    request.as_reader().read_to_end(&mut body).unwrap();
    let raw_query = request.url().split_once('?').map_or("", |(_, query)| query).to_owned();
    if fault == Some(Fault::HangsUp) {
        return drop(request.into_writer());
    }
    let answer =
        authenticate(&raw_query, &body, fault, state).unwrap_or_else(|code| refusal(code, "not authenticated"));
    let answer = if answer == Value::Null { act(&body, fault, state) } else { answer };
    // A test must not fail because the other side has gone.
    let _ = request.respond(response(answer, fault));
}

/// `Null` when the call is authentic, so that it is acted on.
fn authenticate(query: &str, body: &[u8], fault: Option<Fault>, state: &Mutex<State>) -> Result<Value, &'static str> {
    let query = Query::parse(query).map_err(|_| "000002")?;
    let mut parameters = SignatureParameters::from_query(&query);
    let mut rules = SignatureRules::default();
    match fault {
        Some(Fault::AcceptsAnyKey) => return Ok(Value::Null),
        Some(Fault::AcceptsUnsigned) if parameters.signature.is_none() => return Ok(Value::Null),
        Some(Fault::AcceptsStale) => rules.window_ms = 600_000,
        Some(Fault::AcceptsFuture) => rules.reject_future = false,
        Some(Fault::AcceptsNoNonce) if parameters.nonce.is_none() => return Ok(Value::Null),
        Some(Fault::RawSignatureOnly) => rules.candidates.truncate(1),
        _ => {}
    }
    if parameters.nonce == Some("") {
        parameters.nonce = None;
    }
    let now = Timestamp::now().as_millisecond();
    verify_v2(&[key()], &parameters, body, now, &rules)
        .map_err(|refusal| if refusal.result_code() == ResultCode::AUTHENTICATION { "000001" } else { "000002" })?;
    let nonce = parameters.nonce.unwrap_or_default().to_owned();
    if !state.lock().unwrap().nonces.insert(nonce) && fault != Some(Fault::AcceptsRepeatedNonce) {
        return Err("000001");
    }
    Ok(Value::Null)
}

fn act(body: &[u8], fault: Option<Fault>, state: &Mutex<State>) -> Value {
    let Ok(Value::Object(call)) = serde_json::from_slice(body) else { return refusal("000002", "not a JSON object") };
    if fault == Some(Fault::InstancePerParallelCall) && call.get("activity") == Some(&json!("newInstance")) {
        return create_with_a_race(&call, state);
    }
    state.lock().unwrap().act(&call).unwrap_or_else(|code| refusal(code, "refused"))
}

/// Looks, waits for company, and only then writes down: two calls that look at the same time both create.
fn create_with_a_race(call: &Map<String, Value>, state: &Mutex<State>) -> Value {
    let order = call.get("orderId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (known, meeting) = {
        let state = state.lock().unwrap();
        (state.orders.get(&order).cloned(), state.racing.clone())
    };
    if let Some(meeting) = meeting {
        meeting.meet();
    }
    let mut state = state.lock().unwrap();
    known.unwrap_or_else(|| {
        state.orders.remove(&order);
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
        headers.push(format!("{name}: {}", body_sign::header_value(&key(), signed)));
    }
    let headers = headers.iter().map(|line| Header::from_str(line).unwrap()).collect();
    let length = body.len();
    Response::new(status.into(), headers, std::io::Cursor::new(body), Some(length), None)
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    creation: Option<Creation>,
    nonces: HashSet<String>,
    /// Final answers of `newInstance` by order, test orders included.
    orders: HashMap<String, Value>,
    /// Final answers of refreshes and upgrades by identity.
    done: HashMap<String, Value>,
    instances: HashMap<String, Instance>,
    /// Set while creations are to meet.
    racing: Option<Meeting>,
}

struct Instance {
    status: &'static str,
    expires: Option<Timestamp>,
    /// While creating: how often it has been asked for.
    asked: u32,
    freezes: u32,
}

type Outcome = Result<Value, &'static str>;

fn success() -> Value {
    json!({"resultCode": "000000", "resultMsg": "success"})
}

impl State {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn act(&mut self, call: &Map<String, Value>) -> Outcome {
        let test = matches!(call.get("testFlag"), Some(flag) if *flag == json!("1") || *flag == json!(1));
        match call.get("activity").and_then(Value::as_str).unwrap_or_default() {
            "newInstance" => self.create(call, test),
            "queryInstance" => self.query(call, test),
            "refreshInstance" => self.refresh(call, test),
            "updateInstanceStatus" => self.set_status(call, test),
            "upgradeInstance" => self.upgrade(call, test),
            "releaseInstance" => self.release(call, test),
            "changeInstanceCheck" => {
                self.member(call, "instanceId")?;
                call.get("productInfo").filter(|info| info.is_object() || info.is_string()).ok_or("000002")?;
                Ok(success())
            }
            "orderNotify" => self.member(call, "orderId").map(|_| success()),
            _ => Err("000002"),
        }
    }

    fn member(&self, call: &Map<String, Value>, name: &str) -> Result<String, &'static str> {
        match call.get(name).and_then(Value::as_str).filter(|value| !value.is_empty()) {
            Some(value) => Ok(value.to_owned()),
            None if self.has(Fault::MissingMemberTaken) => Ok("assumed".to_owned()),
            None => Err("000002"),
        }
    }

    fn create(&mut self, call: &Map<String, Value>, test: bool) -> Outcome {
        let order = self.member(call, "orderId")?;
        self.member(call, "orderLineId")?;
        let mut instance_id = self.member(call, "businessId")?;
        if self.has(Fault::OneInstanceForAll) && !test {
            instance_id = "the-instance".to_owned();
        }
        if let Some(answer) = self.orders.get(&order).cloned() {
            let id = answer["instanceId"].as_str().unwrap_or_default();
            let released = self.instances.get(id).is_some_and(|instance| instance.status == "released");
            let again = self.has(Fault::NewInstanceOnRetry) || (self.has(Fault::CreatedAgainAfterRelease) && released);
            if !again {
                return Ok(self.repeated(answer));
            }
        }
        let mut answer = json!({"resultCode": "000000", "resultMsg": "success", "instanceId": instance_id});
        let at_once = test || self.creation == Some(Creation::AtOnce);
        let status = if at_once { "active" } else { "creating" };
        if !test {
            let instance = Instance { status, expires: None, asked: 0, freezes: 0 };
            self.instances.insert(instance_id, instance);
        }
        if !at_once {
            answer["resultCode"] = json!("000004");
        }
        self.orders.insert(order, answer.clone());
        Ok(answer)
    }

    /// The answer of a purchase that is known: while it is being created, that; then the final one.
    fn repeated(&self, mut answer: Value) -> Value {
        let id = answer["instanceId"].as_str().unwrap_or_default();
        if self.instances.get(id).is_none_or(|instance| instance.status != "creating") {
            answer["resultCode"] = json!("000000");
        }
        if self.has(Fault::OtherAnswerOnRetry) {
            answer["resultMsg"] = json!("already created");
        }
        answer
    }

    fn query(&mut self, call: &Map<String, Value>, test: bool) -> Outcome {
        let ids = self.member(call, "instanceId")?;
        let ids: Vec<&str> = ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        if ids.len() > 100 && !self.has(Fault::ManyIdsTaken) {
            return Err("000002");
        }
        if test {
            let info: Vec<Value> = ids.iter().map(|id| self.info(id)).collect();
            return Ok(json!({"resultCode": "000000", "resultMsg": "success", "info": info}));
        }
        let mut creating = false;
        let mut info = Vec::new();
        for id in ids {
            self.ask(id);
            match self.instances.get(id).map(|instance| instance.status) {
                Some("active" | "frozen") => info.push(self.info(id)),
                Some("creating") => creating = true,
                _ => {}
            }
        }
        let code = match (info.is_empty(), creating) {
            (false, _) => "000000",
            (true, true) => "000004",
            (true, false) => "000003",
        };
        Ok(json!({"resultCode": code, "resultMsg": "asked", "info": info}))
    }

    /// Finishes a creation that has been asked for often enough.
    fn ask(&mut self, id: &str) {
        let enough = match self.creation {
            Some(Creation::AfterQueries(enough)) if !self.has(Fault::NeverReady) => enough,
            _ => u32::MAX,
        };
        if let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.status == "creating") {
            instance.asked += 1;
            if instance.asked >= enough {
                instance.status = "active";
            }
        }
    }

    fn info(&self, id: &str) -> Value {
        let memo = "m".repeat(if self.has(Fault::LongMemo) { 1025 } else { 1024 });
        let value = if self.has(Fault::TextUsage) { json!("0") } else { json!(0.5) };
        let mut info = json!({
            "instanceId": id,
            "appInfo": {"frontEndUrl": "https://app.example.com", "userName": "u", "password": "p", "memo": memo},
            "usageInfo": [{"usageValue": value, "statisticalTime": time::print_milliseconds(Timestamp::now())}],
        });
        if self.has(Fault::NoFrontEndUrl) {
            info["appInfo"]["frontEndUrl"] = Value::Null;
        }
        info
    }

    fn refresh(&mut self, call: &Map<String, Value>, test: bool) -> Outcome {
        let id = self.member(call, "instanceId")?;
        let order = self.member(call, "orderId")?;
        self.member(call, "orderLineId")?;
        let scene = self.member(call, "scene")?;
        let scenes = ["TRIAL_TO_FORMAL", "RENEWAL", "UNSUBSCRIBE_RENEWAL_PERIOD", "RENEWAL_CHANGE"];
        if !scenes.contains(&scene.as_str()) && !self.has(Fault::UnknownSceneTaken) && scene != "assumed" {
            return Err("000002");
        }
        let wanted = self.member(call, "expireTime")?;
        let expires = match time::parse(&wanted) {
            Ok(expires) => expires,
            Err(_) if self.has(Fault::BadDateTaken) || wanted == "assumed" => Timestamp::UNIX_EPOCH,
            Err(_) => return Err("000002"),
        };
        if test {
            return self.test_call();
        }
        let identity = match self.fault {
            Some(Fault::CancellationTakenForRetry) => format!("{id} {order}"),
            _ => format!("{id} {order} {scene} {wanted}"),
        };
        if let Some(answer) = self.done.get(&identity).cloned()
            && !self.has(Fault::LateRenewalApplied)
        {
            return Ok(answer);
        }
        let (adds, unfreezes) = (self.has(Fault::RenewalAdds), !self.has(Fault::RenewalDoesNotUnfreeze));
        let instance = self.living(&id)?;
        instance.expires = Some(match instance.expires {
            Some(before) if adds => before + (expires.duration_since(Timestamp::now())),
            _ => expires,
        });
        if unfreezes && scene != "UNSUBSCRIBE_RENEWAL_PERIOD" {
            instance.status = "active";
        }
        self.done.insert(identity, success());
        Ok(success())
    }

    fn test_call(&self) -> Outcome {
        if self.has(Fault::TestCallsUnknown) { Err("000003") } else { Ok(success()) }
    }

    fn living(&mut self, id: &str) -> Result<&mut Instance, &'static str> {
        if self.has(Fault::UnknownInstanceTaken) {
            let instance = Instance { status: "active", expires: None, asked: 0, freezes: 0 };
            return Ok(self.instances.entry(id.to_owned()).or_insert(instance));
        }
        match self.instances.get_mut(id) {
            Some(instance) if instance.status == "creating" => Err("000005"),
            Some(instance) if instance.status != "released" => Ok(instance),
            _ => Err("000003"),
        }
    }

    fn set_status(&mut self, call: &Map<String, Value>, test: bool) -> Outcome {
        let id = self.member(call, "instanceId")?;
        let status = match self.member(call, "status")?.as_str() {
            "FREEZE" => "frozen",
            "UNFREEZE" | "assumed" => "active",
            _ => return Err("000002"),
        };
        if test {
            return self.test_call();
        }
        let fault = self.fault;
        let instance = self.living(&id)?;
        if status == "frozen" {
            instance.freezes += 1;
        }
        // The freeze, its retry, and then the one after the unfreeze.
        if status == "frozen" && instance.freezes == 3 {
            match fault {
                Some(Fault::ThirdFreezeSwallowed) => return Ok(success()),
                Some(Fault::ThirdFreezeRefused) => return Err("000005"),
                _ => {}
            }
        }
        instance.status = status;
        Ok(success())
    }

    fn upgrade(&mut self, call: &Map<String, Value>, test: bool) -> Outcome {
        let id = self.member(call, "instanceId")?;
        self.member(call, "orderId")?;
        self.member(call, "orderLineId")?;
        if test { self.test_call() } else { self.living(&id).map(|_| success()) }
    }

    fn release(&mut self, call: &Map<String, Value>, test: bool) -> Outcome {
        let id = self.member(call, "instanceId")?;
        if test {
            return self.test_call();
        }
        let once = self.has(Fault::ReleaseOnce);
        match self.instances.get_mut(&id) {
            None => Err("000003"),
            Some(instance) if instance.status == "released" && once => Err("000003"),
            Some(instance) => {
                instance.status = "released";
                Ok(success())
            }
        }
    }
}
