//! A KooGallery to be called: the open API on a loopback socket, programmed and observed by tests. It checks what it gets
//! with code of its own, so that a mistake of koogate's client is not repeated here; how it misbehaves is up to the test.

mod behaviour;
mod certificates;
mod gateway;
mod licenses;
mod orders;
mod reply;
mod signature;
mod state;
mod tests;
mod uploads;
mod usage;
mod wire;

use std::sync::{Arc, MutexGuard};
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

use self::state::{Shared, State};
use self::wire::{Door, Request};
use crate::harness::{Gate, eventually};

const ACCESS_KEY_ID: &str = "AKTESTVECTOR00000001";
pub const SECRET_ACCESS_KEY: &str = "sk-test-vector-not-a-real-secret-0001";

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
        Self { shared: Arc::new(Shared::new(door.address.port())), door, tls: None }
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

    /// The access key with which usage must be signed: that of scratch configurations, unless a test says otherwise.
    pub fn expect_access_key(&self, access_key: &str) {
        access_key.clone_into(&mut self.state().usage.access_key);
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
        self.state().calls.iter().filter(|call| call.route == route).count()
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
