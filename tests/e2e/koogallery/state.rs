//! What the mock knows, and how a request goes through it: noted, checked, answered, and delivered as planned.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::behaviour::{Behaviour, Delivery, Plan};
use super::gateway::{self, Gateway};
use super::licenses::Licenses;
use super::orders::Orders;
use super::reply::Reply;
use super::signature::KeyPair;
use super::uploads::Uploads;
use super::usage::Usage;
use super::wire::Request;
use super::{ACCESS_KEY_ID, Call, Route, SECRET_ACCESS_KEY};
use crate::harness::Gate;

/// What the threads of connections share with the test.
pub struct Shared {
    pub state: Mutex<State>,
}

/// All that is known.
pub struct State {
    pub gateway: Gateway,
    pub plan: Plan,
    pub calls: Vec<Call>,
    pub orders: Orders,
    pub licenses: Licenses,
    pub usage: Usage,
    pub uploads: Uploads,
    /// Connections to close before anything is read.
    pub turned_away: usize,
    /// Where calls hang.
    pub gates: Vec<Gate>,
    pub stopping: bool,
}

impl Shared {
    /// For a mock on this port.
    pub fn new(port: u16) -> Self {
        let key = KeyPair { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: SECRET_ACCESS_KEY.to_owned() };
        let state = State {
            gateway: Gateway::new(key, port),
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
        Self { state: Mutex::new(state) }
    }

    /// The state.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whether a new connection is closed at once.
    pub fn turns_away_connection(&self) -> bool {
        let mut state = self.lock();
        let away = state.turned_away > 0;
        state.turned_away = state.turned_away.saturating_sub(1);
        away
    }

    /// Answers a request, and says how the answer goes out.
    pub fn handle(&self, request: Request) -> (Reply, Delivery) {
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
