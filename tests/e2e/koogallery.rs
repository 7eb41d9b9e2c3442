//! A KooGallery to be called: the open API on a loopback socket, programmed and observed by tests. It checks what it gets
//! with code of its own, so that a mistake of koogate's client is not repeated here; how it misbehaves is up to the test.

mod behaviour;
mod certificates;
mod gateway;
mod licenses;
mod orders;
mod reply;
mod signature;
mod tests;
mod uploads;
mod usage;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use serde_json::Value;

pub use self::behaviour::Behaviour;
pub use self::certificates::Certificate;
pub use self::licenses::License;
pub use self::reply::Reply;
pub use self::signature::Payload;
pub use self::uploads::Upload;
pub use self::usage::{Failed, Instance, Judgement, Record};

use self::behaviour::{Delivery, Plan};
use self::gateway::Gateway;
use self::licenses::Licenses;
use self::orders::Orders;
use self::signature::KeyPair;
use self::uploads::Uploads;
use self::usage::Usage;
use self::wire::{Door, Request};
use crate::harness::{Gate, eventually};

const ACCESS_KEY_ID: &str = "AKTESTVECTOR00000001";
const SECRET_ACCESS_KEY: &str = "sk-test-vector-not-a-real-secret-0001";

/// A call of the open API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    OrderQuery,
    ActivateV1,
    ActivateV2,
    Heartbeat,
    SoftwareUsage,
    UsageData,
    /// Without signature and metering_sn.
    OldUsageData,
    Upload,
    Unknown,
}

/// A request as the mock got it.
#[derive(Debug, Clone)]
pub struct Call {
    pub route: Route,
    /// By the mock's clock.
    pub at: Timestamp,
    /// By a clock that no test moves.
    pub received: Instant,
    pub request: Request,
    /// The body, if it is JSON.
    pub json: Value,
    /// Why the gateway refuses it; `None` for a call that is signed right.
    pub refused: Option<String>,
}

/// A KooGallery; its threads end when it is dropped.
pub struct KooGallery {
    shared: Arc<Shared>,
    door: Door,
    tls: Option<(Arc<ServerConfig>, String)>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    gateway: Gateway,
    plan: Plan,
    calls: Vec<Call>,
    orders: Orders,
    licenses: Licenses,
    usage: Usage,
    uploads: Uploads,
    /// Connections to close before anything is read.
    turned_away: usize,
    /// Where calls hang.
    gates: Vec<Gate>,
    stopping: bool,
}

impl KooGallery {
    /// One that answers over plain HTTP.
    pub fn start() -> Self {
        let mock = Self::down();
        mock.come_up();
        mock
    }

    /// One that answers over HTTPS.
    pub fn start_tls(certificate: Certificate) -> Self {
        let mut mock = Self::down();
        mock.tls = Some(certificates::make(certificate));
        mock.come_up();
        mock
    }

    /// One at which nothing listens yet.
    pub fn down() -> Self {
        let door = Door::new();
        let key = KeyPair { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: SECRET_ACCESS_KEY.to_owned() };
        let state = State {
            gateway: Gateway::new(key, door.address.port()),
            plan: Plan::default(),
            calls: Vec::new(),
            orders: Orders::default(),
            licenses: Licenses::default(),
            usage: Usage::default(),
            uploads: Uploads::default(),
            turned_away: 0,
            gates: Vec::new(),
            stopping: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }), door, tls: None }
    }

    /// Listens, again on the same port.
    pub fn come_up(&self) {
        self.door.open(&self.shared, self.tls.as_ref().map(|(config, _)| config));
    }

    /// Listens no more, and cuts the connections there are.
    pub fn go_down(&self) {
        self.door.close();
    }

    /// Where it is, for `endpoint`.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.door.address)
    }

    /// The section of a configuration that leads to it; further lines may follow.
    pub fn toml(&self) -> String {
        format!(
            "[open_api]\nendpoint = \"{}\"\naccess_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n",
            self.endpoint()
        )
    }

    /// The CA to trust, for `ca_file`.
    pub fn ca_pem(&self) -> &str {
        self.tls.as_ref().map(|(_, pem)| pem.as_str()).expect("a mock with TLS")
    }

    // --- What it does next ---

    /// Behaves so at the next calls of a route, behind what is planned for it already.
    pub fn next(&self, route: Route, count: usize, behaviour: Behaviour) {
        self.state().plan.next(route, count, &behaviour);
    }

    /// Behaves so at all further calls of a route for which no other is planned.
    pub fn always(&self, route: Route, behaviour: Behaviour) {
        self.decide(route, move |_, _| behaviour.clone());
    }

    /// Behaves as this says, which is given how many calls of the route there were, this one included. It must not ask
    /// the mock.
    pub fn decide(&self, route: Route, decision: impl FnMut(usize, &Call) -> Behaviour + Send + 'static) {
        self.state().plan.decide(route, Box::new(decision));
    }

    /// Closes the next connections before it reads anything.
    pub fn turn_away(&self, connections: usize) {
        self.state().turned_away = connections;
    }

    /// Moves its clock away from the machine's.
    pub fn shift_clock(&self, by: SignedDuration) {
        self.state().gateway.shift = by;
    }

    /// What an upload must have signed.
    pub fn expect_payload(&self, payload: Payload) {
        self.state().gateway.upload_payload = payload;
    }

    // --- What it knows ---

    /// Takes in an order: an `orderInfo`.
    pub fn put_order(&self, order_info: Value) {
        self.state().orders.put(order_info);
    }

    /// Takes in a license code, or changes what is known of it.
    pub fn put_license(&self, code: &str, license: License) {
        self.state().licenses.put(code, license);
    }

    /// Takes in an instance, or changes what is known of it.
    pub fn put_instance(&self, instance_id: &str, instance: Instance) {
        self.state().usage.put_instance(instance_id, instance);
    }

    /// Takes in an event that waits for an upload, and the code that an upload without fault gets.
    pub fn put_event(&self, event_id: &str, code: &'static str) {
        self.state().uploads.put_event(event_id, code);
    }

    /// How usage is judged where the documents leave it open.
    pub fn judge_usage(&self, judgement: Judgement) {
        self.state().usage.judgement = judgement;
    }

    // --- What it saw ---

    /// All calls so far, refused ones too.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The calls of a route.
    pub fn calls_of(&self, route: Route) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.route == route).collect()
    }

    /// How many there were.
    pub fn count(&self, route: Route) -> usize {
        self.calls_of(route).len()
    }

    /// Waits until a route was called so often. A call that is seen is processed already, unless it hangs.
    pub fn wait_for(&self, route: Route, count: usize) -> Vec<Call> {
        let look = || Some(self.calls_of(route)).filter(|calls| calls.len() >= count);
        eventually(look, || format!("not {count} calls of {route:?} but {:#?}", self.calls()))
    }

    /// Why calls were refused by the gateway; a test of a sound client finds nothing here.
    pub fn refusals(&self) -> Vec<String> {
        self.calls().into_iter().filter_map(|call| call.refused).collect()
    }

    /// Whether the key was locked at any time, by too many failures in a row.
    pub fn locked(&self) -> bool {
        self.state().gateway.was_locked
    }

    /// The usage records that arrived in calls signed right, each once.
    pub fn records(&self) -> Vec<Record> {
        self.state().usage.records.clone()
    }

    /// What is billed for an instance: the sum of the records taken, in ten-thousandths.
    pub fn billed(&self, instance_id: &str) -> i64 {
        self.state().usage.billed(instance_id)
    }

    /// The uploads that were taken.
    pub fn uploads(&self) -> Vec<Upload> {
        self.state().uploads.taken.clone()
    }

    /// The state of a license code: how activations changed it.
    pub fn license(&self, code: &str) -> License {
        self.state().licenses.get(code)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Drop for KooGallery {
    fn drop(&mut self) {
        self.door.close();
        // A test that failed may have left it poisoned.
        let mut state = self.shared.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.stopping = true;
        state.gates.iter().for_each(Gate::open);
        drop(state);
        let well = self.door.join();
        assert!(well || std::thread::panicking(), "a thread of the mock panicked");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whether a new connection is closed at once.
    fn turns_away_connection(&self) -> bool {
        let mut state = self.lock();
        let away = state.turned_away > 0;
        state.turned_away = state.turned_away.saturating_sub(1);
        away
    }

    /// Answers a request, and says how the answer goes out.
    fn handle(&self, request: Request) -> (Reply, Delivery) {
        let (mut reply, delivery) = self.process(request);
        let date = self.lock().gateway.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        reply.headers.extend([("Date".to_owned(), date), ("Server".to_owned(), "api-gateway".to_owned())]);
        (reply, delivery)
    }

    fn process(&self, request: Request) -> (Reply, Delivery) {
        let mut state = self.lock();
        let call = state.arrive(request);
        match state.plan.choose(&call) {
            Behaviour::Normal => (state.answer(&call), Delivery::Whole),
            Behaviour::Instead(reply) => (reply, Delivery::Whole),
            Behaviour::Despite(reply) => {
                state.answer(&call);
                (reply, Delivery::Whole)
            }
            Behaviour::OtherEnvelope => (state.answer(&call).in_other_envelope(), Delivery::Whole),
            Behaviour::Hang(gate) => {
                self.wait(state, &gate);
                (self.lock().answer(&call), Delivery::Whole)
            }
            Behaviour::HoldReply(gate) => {
                let reply = state.answer(&call);
                self.wait(state, &gate);
                (reply, Delivery::Whole)
            }
            Behaviour::Close => (Reply::html(500), Delivery::Nothing),
            Behaviour::LoseReply => (state.answer(&call), Delivery::Nothing),
            Behaviour::CutHead => (state.answer(&call), Delivery::HalfHead),
            Behaviour::CutBody => (state.answer(&call), Delivery::HalfBody),
            Behaviour::Flood(length) => (state.answer(&call), Delivery::Flood(length)),
            Behaviour::Endless => (state.answer(&call), Delivery::Endless),
            Behaviour::Drip(pause) => (state.answer(&call), Delivery::Drip(pause)),
        }
    }

    /// Waits without the lock; never once the mock is to end.
    fn wait(&self, mut state: MutexGuard<'_, State>, gate: &Gate) {
        if !state.stopping {
            state.gates.push(gate.clone());
            drop(state);
            gate.pass();
        }
    }
}

impl State {
    /// Checks and notes a request.
    fn arrive(&mut self, request: Request) -> Call {
        let route = gateway::route(&request);
        let refused = if route == Route::Unknown { None } else { self.gateway.refuse(route, &request) };
        let json = serde_json::from_slice(&request.body).unwrap_or_default();
        let call = Call { route, at: self.gateway.now(), received: Instant::now(), request, json, refused };
        self.calls.push(call.clone());
        call
    }

    /// The right answer, after doing what the call asks for.
    fn answer(&mut self, call: &Call) -> Reply {
        if let Some(why) = &call.refused {
            return Reply::gateway(401, "APIGW.0301", &format!("Incorrect IAM authentication information: {why}"));
        }
        match call.route {
            Route::OrderQuery => self.orders.query(&call.request.query),
            Route::ActivateV1 => self.licenses.activate_v1(&call.json, call.at),
            Route::ActivateV2 => self.licenses.activate_v2(&call.json, call.at),
            Route::Heartbeat => self.licenses.heartbeat(&call.json),
            Route::SoftwareUsage => self.licenses.software_usage(&call.json),
            Route::UsageData | Route::OldUsageData => self.usage.push(call),
            Route::Upload => self.uploads.take(&call.request),
            Route::Unknown => Reply::gateway(404, "APIGW.0101", "The API does not exist or has not been published"),
        }
    }
}
