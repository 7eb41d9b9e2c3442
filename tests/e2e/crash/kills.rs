//! kill -9 from outside, at random instants, under several clients that keep a ledger of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Ask, KEY, check_journal};
use crate::harness::{Answer, Application, PATIENCE, Scratch, new_instance, renewal, status_change};
use crate::shop::LATER;
use crate::token_get::{expire, purchase, renew};

/// Unless the environment variable `KOOGATE_KILLS` says otherwise.
const KILLS: u32 = 15;

const CLIENTS: usize = 4;

/// What was asked, and the first success that was received for it.
type Ledger = Vec<(Ask, Answer)>;

/// Where the server is, and whether the test goes on.
struct Scene {
    address: Mutex<Option<SocketAddr>>,
    over: AtomicBool,
}

impl Scene {
    fn set_address(&self, address: Option<SocketAddr>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls until there is a success, wherever the server is by then.
    fn succeed(&self, ask: &Ask) -> Answer {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.address().and_then(|address| ask.send(address).ok()) {
                Some(answer) if ask.is_satisfied_by(&answer) => return answer,
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
        panic!("no success for {ask:?}");
    }

    /// Sells instances until the test is over, by turns in either generation; repeats an old call after each.
    fn sell(&self, client: usize) -> Ledger {
        let mut ledger = Ledger::new();
        let mut sold = 0;
        while !self.over.load(Ordering::SeqCst) {
            sold += 1;
            let order = format!("CS-{client}-{sold}");
            let in_v1 = sold % 2 == 0;
            let creation = if in_v1 { Ask::Get(purchase(&order)) } else { Ask::Post(new_instance(&order)) };
            let created = self.succeed(&creation);
            let id = created.json()["instanceId"].as_str().unwrap().to_owned();
            ledger.push((creation, created));
            let renewed = format!("{order}-R");
            let changes = if in_v1 {
                [renew(&id, &renewed, LATER), expire(&id, &order)].map(Ask::Get)
            } else {
                [renewal(&id, &renewed, 2099), status_change(&id, "FREEZE")].map(Ask::Post)
            };
            for change in changes {
                let answer = self.succeed(&change);
                ledger.push((change, answer));
            }
            self.repeat(&ledger[random(ledger.len())]);
        }
        ledger
    }

    fn repeat(&self, (ask, answer): &(Ask, Answer)) {
        assert_eq!(self.succeed(ask).verbatim(), answer.verbatim(), "{ask:?}");
    }
}

/// From 0 to below `end`.
fn random(end: usize) -> usize {
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    usize::try_from(low % u64::try_from(end).unwrap()).unwrap()
}

#[test]
fn kills_at_random_instants_lose_nothing_acknowledged_and_create_nothing_twice() {
    let kills = std::env::var("KOOGATE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let application = Application::ready();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], "", &application.product(""));
    let scene = Scene { address: Mutex::new(None), over: AtomicBool::new(false) };
    let ledgers: Vec<Ledger> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let scene = &scene;
                    move || scene.sell(client)
                })
            })
            .collect();
        for _ in 0..kills {
            let koogate = scratch.serve();
            scene.set_address(Some(koogate.address));
            thread::sleep(Duration::from_millis(20 + u64::try_from(random(230)).unwrap()));
            // Calls in flight lose their server; no new one goes to a port that may be somebody else's.
            scene.set_address(None);
            koogate.kill();
        }
        let koogate = scratch.serve();
        scene.set_address(Some(koogate.address));
        scene.over.store(true, Ordering::SeqCst);
        let ledgers: Vec<Ledger> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        for entry in ledgers.iter().flatten() {
            scene.repeat(entry);
        }
        scratch.run_ok(&["backup", "copy.db"]);
        scratch.run_ok(&["verify", "copy.db"]);
        ledgers
    });
    let acknowledged: Ledger = ledgers.into_iter().flatten().collect();
    check_instances(&scratch, &acknowledged);
    check_operations(&application);
    check_journal(&scratch, acknowledged.iter().map(|(ask, _)| (ask.activity(), ask.wants())));
}

/// Each order has exactly one instance: the one that was acknowledged.
fn check_instances(scratch: &Scratch, acknowledged: &Ledger) {
    let mut instances: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for instance in scratch.run_json(&["instance", "list", "--limit", "1000000", "--json"]) {
        instances.entry(instance["orderId"].as_str().unwrap().to_owned()).or_default().push(instance);
    }
    let mut sold = 0;
    for (ask, answer) in acknowledged.iter().filter(|(ask, _)| ask.activity() == "newInstance") {
        let of_order = &instances[ask.order()];
        assert_eq!(of_order.len(), 1, "{of_order:?}");
        assert_eq!(of_order[0]["instanceId"], answer.json()["instanceId"]);
        assert_eq!(of_order[0]["status"], "frozen");
        sold += 1;
    }
    assert_eq!(instances.len(), sold);
}

/// The application may see an operation several times, but under one operationId, and no operationId for two things.
fn check_operations(application: &Application) {
    let mut by_operation: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for event in application.events() {
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let what = (text("instanceId"), text("event"));
        assert_eq!(all.entry(text("operationId")).or_insert_with(|| what.clone()), &what);
        by_operation.entry(what).or_default().insert(text("operationId"));
    }
    for (what, operation_ids) in &by_operation {
        assert_eq!(operation_ids.len(), 1, "{what:?}: {operation_ids:?}");
    }
}
