//! A whole market for tests that last: a merchant with every kind of product, KooGallery to be called, and buyers of every
//! family who call until they are satisfied and tell a ledger what they were answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::Ledger;
use crate::harness::{Answer, Application, Koogate, PATIENCE, Scratch, Signed, eventually, nonce, ready_answer, send};
use crate::kit_call::{GENERATIONS, Generation, Sync, private_key};
use crate::koogallery::{Instance, KooGallery};
use crate::orders;
use crate::shop::{LATER, instance_id, retry};
use crate::token_get::{Get, assert_signed, purchase};

/// Keys of its own: a port that a dead server left may be another test's server by the time of the retry.
const BASIC: &str = "cccccccc-5555-6666-7777-444444444444";
const LICENSE: &str = "dddddddd-5555-6666-7777-444444444444";
const KIT: &str = "kit-key-of-the-market-0123";

/// Of the local API.
const TOKEN: &str = "admin-token-of-the-market";

/// Products that are handed out of stocks.
pub(super) const ACCOUNTS: &str = "STOCK-OF-ACCOUNTS";
pub(super) const CODES: &str = "STOCK-OF-CODES";

/// How the application is at its worst: it takes so many milliseconds, and one answer in so many is none.
const SLOWEST: usize = 20;
const FAILS_ONE_IN: usize = 15;

/// The merchant, KooGallery, and the folder that koogate runs in.
pub struct Market {
    pub scratch: Scratch,
    pub application: Application,
    pub mock: KooGallery,
    /// The on-demand instance whose usage is reported.
    pub used: String,
}

impl Market {
    /// Opens one: everything is configured, the stocks are filled, and one on-demand instance is sold and three days old.
    /// `sections` may hold any but those for keys, jobs, orders and the admin listener.
    pub fn open(stock: usize, sections: &str) -> Self {
        let application = Application::start(|event| {
            std::thread::sleep(Duration::from_millis(random(SLOWEST) as u64));
            if random(FAILS_ONE_IN) == 0 { (500, String::new()) } else { (200, answer_of_application(event)) }
        });
        let mock = KooGallery::start();
        mock.expect_access_key(BASIC);
        let scratch = Scratch::new("");
        std::fs::write(scratch.path("kit.pem"), private_key("pkcs8")).unwrap();
        let keys = format!("license = \"{LICENSE}\"\nkit = \"{KIT}\"\nkit_private_keys = [\"kit.pem\"]\n");
        let jobs = "[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1s\"\n";
        let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n");
        let stocked = |kind: &str, id: &str| {
            format!("[[product]]\nproduct_id = \"{id}\"\nkind = \"{kind}\"\nfulfilment = \"stock\"\nstock = \"{id}\"\n")
        };
        let kinds = ["saas", "license", "license-code", "license-online"];
        let told = kinds.map(|kind| application.product(&format!("kind = \"{kind}\""))).concat();
        let products = format!("{}{}{told}", stocked("saas", ACCOUNTS), stocked("license", CODES));
        scratch.configure(&[BASIC], &format!("{keys}{jobs}{}{admin}{sections}", mock.toml()), &products);
        let mut market = Self { scratch, application, mock, used: String::new() };
        market.fill(stock, 0);
        market.used = market.sell_on_demand();
        market
    }

    /// Fills both stocks with so many entries, which are numbered from here on.
    pub fn fill(&self, count: usize, from: usize) {
        self.scratch.run_ok(&["stock", "import", ACCOUNTS, &self.write_accounts(count, from)]);
        let codes: String = (from..from + count).map(|number| format!("CODE-{number}\n")).collect();
        std::fs::write(self.scratch.path("codes.csv"), format!("license\n{codes}")).unwrap();
        self.scratch.run_ok(&["stock", "import", CODES, "codes.csv"]);
    }

    /// Writes a file with so many accounts, which are numbered from here on; its name.
    pub fn write_accounts(&self, count: usize, from: usize) -> String {
        let line = |number: usize| format!("user-{number},password-{number},https://app.example.com/stock-{number}\n");
        let lines: String = (from..from + count).map(line).collect();
        let file = "accounts.csv";
        std::fs::write(self.scratch.path(file), format!("user_name,password,front_end_url\n{lines}")).unwrap();
        file.to_owned()
    }

    fn sell_on_demand(&self) -> String {
        let koogate = self.scratch.serve();
        let addresses = Addresses::of(&koogate);
        let call = Call::Get(BASIC, purchase("CS-USED").with("chargingMode", "0").without("expireTime"));
        let answer = eventually(
            || Some(call.send(addresses).unwrap()).filter(|answer| answer.code() == "000000"),
            || koogate.log_text(),
        );
        koogate.stop();
        let id = instance_id(&answer);
        self.mock.put_instance(&id, Instance::ON_DEMAND);
        let database = rusqlite::Connection::open(self.scratch.path("koogate.db")).unwrap();
        database.execute("UPDATE instance SET created_at = created_at - ?1", [3 * 86_400_000_i64]).unwrap();
        database.close().unwrap();
        id
    }
}

fn answer_of_application(event: &Value) -> String {
    if event["event"] != "license.issue" {
        return ready_answer(event);
    }
    // Every attempt makes another licence: only one of them may ever be seen.
    let license = format!("L-{}-{}-{}", event["operationId"].as_str().unwrap(), event["attempt"], nonce());
    json!({ "status": "ready", "license": license }).to_string()
}

/// From 0 to below `end`.
pub fn random(end: usize) -> usize {
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    usize::try_from(low % u64::try_from(end).unwrap()).unwrap()
}

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    public: SocketAddr,
    admin: SocketAddr,
}

impl Addresses {
    pub fn of(koogate: &Koogate) -> Self {
        Self { public: koogate.address, admin: koogate.admin.unwrap() }
    }
}

/// A call, of any family, with the key it is signed with.
#[derive(Debug, Clone)]
pub enum Call {
    Post(&'static str, Value),
    Get(&'static str, Get),
    Kit(Generation, Sync),
    /// A report of usage to the local API.
    Report(Value),
}

impl Call {
    /// Sends it, signed anew and as KooGallery repeats it. An error: the server died. An answer with another key's
    /// signature comes from another test's server, and panics.
    pub fn send(&self, to: Addresses) -> std::io::Result<Answer> {
        self.send_noting(to).map(|(_, answer)| answer)
    }

    /// The same, with the request line under which the journal has the call.
    fn send_noting(&self, to: Addresses) -> std::io::Result<(String, Answer)> {
        let (key, method, target, headers, body) = match self {
            Self::Post(key, body) => {
                let body = retry(body).to_string().into_bytes();
                let target = format!("/saasproduce?{}", Signed::now(key, &body).query());
                (Some(*key), "POST", target, Vec::new(), body)
            }
            Self::Get(key, get) => (Some(*key), "GET", get.again().target(key), Vec::new(), Vec::new()),
            Self::Kit(generation, sync) => {
                (Some(KIT), "POST", sync.path(*generation), sync.headers(*generation, KIT), sync.bytes())
            }
            Self::Report(report) => {
                let headers = vec![("Authorization", format!("Bearer {TOKEN}"))];
                (None, "POST", "/api/v1/usage".to_owned(), headers, report.to_string().into_bytes())
            }
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let address = if key.is_some() { to.public } else { to.admin };
        let answer = send(address, method, &target, &headers, &body)?;
        if let Some(key) = key {
            assert_signed(key, &answer);
        }
        Ok((format!("{method} {target}"), answer))
    }

    /// The order, if it buys.
    pub fn order_of_creation(&self) -> Option<&str> {
        match self {
            Self::Post(_, body) if body["activity"] == "newInstance" => body["orderId"].as_str(),
            Self::Get(_, get) if ["newInstance", "getLicense"].contains(&get.value("activity")) => {
                Some(get.value("orderId"))
            }
            _ => None,
        }
    }

    /// Whether the answer is what the caller wants.
    pub fn is_satisfied_by(&self, answer: &Answer) -> bool {
        match self {
            Self::Report(_) => answer.status == 200,
            _ => answer.code() == "000000",
        }
    }
}

/// The scene on which buyers meet a server that comes and goes.
pub struct Scene<'m> {
    pub market: &'m Market,
    pub ledger: Ledger,
    place: Mutex<Place>,
    changed: Condvar,
    over: AtomicBool,
    sold: AtomicUsize,
    answered: AtomicU64,
    /// What every order of this scene begins with.
    name: String,
}

#[derive(Default)]
struct Place {
    server: Option<Addresses>,
    /// Calls under way.
    under_way: usize,
}

impl<'m> Scene<'m> {
    /// Without a server, with a name that makes its orders its own.
    pub fn new(market: &'m Market, name: &str) -> Self {
        let (place, changed, over, sold, answered) = Default::default();
        let name = name.to_owned();
        Self { market, ledger: Ledger::default(), place, changed, over, sold, answered, name }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Buyers call this server from now on.
    pub fn serve(&self, koogate: &Koogate) {
        self.place().server = Some(Addresses::of(koogate));
        self.changed.notify_all();
    }

    /// No new call is made: the port may be somebody else's soon.
    pub fn hold_calls(&self) {
        self.place().server = None;
    }

    /// Waits until every call under way has ended, in whatever way: the ledger has all that was answered then.
    pub fn settle(&self) {
        let (place, timeout) = self
            .changed
            .wait_timeout_while(self.place(), PATIENCE, |place| place.under_way > 0)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{} calls do not end", place.under_way);
    }

    /// The buyers end with what they have begun.
    pub fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Answers that buyers have got.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Makes a call, wherever the server is by then; what it is answered goes into the ledger. `None`: no answer.
    fn call(&self, call: &Call) -> Option<Answer> {
        let server = {
            let waited = self.changed.wait_timeout_while(self.place(), PATIENCE, |place| place.server.is_none());
            let mut place = waited.unwrap_or_else(PoisonError::into_inner).0;
            let server = place.server?;
            place.under_way += 1;
            server
        };
        let answered = call.send_noting(server).ok();
        if let Some((line, answer)) = &answered {
            self.answered.fetch_add(1, Ordering::Relaxed);
            if !matches!(call, Call::Report(_)) {
                self.ledger.heard(line, answer);
            }
            if call.is_satisfied_by(answer) {
                self.ledger.satisfied(call, answer);
            }
        }
        self.place().under_way -= 1;
        self.changed.notify_all();
        answered.map(|(_, answer)| answer)
    }

    /// Calls until there is a success. Whatever was said of an instance before must be true of it then.
    fn succeed(&self, call: &Call) -> Answer {
        let until = Instant::now() + 2 * PATIENCE;
        let mut provisional = None;
        while Instant::now() < until {
            let Some(answer) = self.call(call) else { continue };
            let said = |answer: &Answer| answer.json()["instanceId"].as_str().map(str::to_owned);
            if call.is_satisfied_by(&answer) {
                assert!(
                    provisional.is_none() || provisional == said(&answer),
                    "{call:?}: {provisional:?}, then {answer:?}"
                );
                return answer;
            }
            if answer.code() == "000004" {
                assert!(
                    provisional.is_none() || provisional == said(&answer),
                    "{call:?}: {provisional:?}, then {answer:?}"
                );
                provisional = said(&answer);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no success for {call:?}");
    }

    /// Buys and does what buyers do until the scene is closed.
    pub fn buy(&self) {
        const LIVES: [fn(&Scene<'_>, usize); 8] =
            [live_v2, live_v1, live_stock, live_l1, live_l2, live_lo, live_kit, live_usage];
        while !self.over.load(Ordering::SeqCst) {
            let number = self.sold.fetch_add(1, Ordering::SeqCst);
            LIVES[number % LIVES.len()](self, number);
        }
    }

    fn order(&self, number: usize) -> String {
        format!("CS-{}-{number}", self.name)
    }

    /// Takes an order in at KooGallery.
    fn place_order(&self, order: &str, order_type: &str, product: &str) {
        self.market.mock.put_order(orders::order(order, order_type, orders::product(product, "sku", 1)));
    }
}

fn post(body: Value) -> Call {
    Call::Post(BASIC, body)
}

fn live_v2(scene: &Scene<'_>, number: usize) {
    use crate::harness::{new_instance, release, renewal, status_change, upgrade};

    let order = scene.order(number);
    scene.place_order(&order, "NEW", "P1");
    let id = instance_id(&scene.succeed(&post(new_instance(&order))));
    let (renewed, upgraded) = (format!("{order}-R"), format!("{order}-U"));
    scene.succeed(&post(renewal(&id, &renewed, 2099)));
    scene.place_order(&upgraded, "CHANGE", "P2");
    scene.succeed(&post(upgrade(&id, &upgraded)));
    // Queries are answered afresh, and recorded like everything else.
    scene.succeed(&post(crate::harness::query(&id)));
    scene.succeed(&post(if number.is_multiple_of(3) { release(&id) } else { status_change(&id, "FREEZE") }));
}

fn live_v1(scene: &Scene<'_>, number: usize) {
    use crate::token_get::{expire, release, renew};

    let order = scene.order(number);
    let get = |get: Get| Call::Get(BASIC, get);
    let id = instance_id(&scene.succeed(&get(purchase(&order))));
    scene.succeed(&get(renew(&id, &format!("{order}-R"), LATER)));
    scene.succeed(&get(if number.is_multiple_of(3) { release(&id, &order) } else { expire(&id, &order) }));
}

fn live_stock(scene: &Scene<'_>, number: usize) {
    let order = scene.order(number);
    let account = scene.succeed(&Call::Get(BASIC, purchase(&order).with("productId", ACCOUNTS))).json();
    scene.ledger.handed_out(account["appInfo"]["frontEndUrl"].as_str().unwrap(), &order);
    let code = scene.succeed(&Call::Get(LICENSE, get_license(&order, CODES))).json();
    scene.ledger.handed_out(code["license"].as_str().unwrap(), &order);
}

fn get_license(order: &str, product: &str) -> Get {
    let business_id = format!("b-{}", nonce());
    let parameters = [
        ("businessId", business_id.as_str()),
        ("customerId", "c"),
        ("orderId", order),
        ("productId", product),
        ("expireTime", crate::shop::FUTURE),
    ];
    Get::new("getLicense", &parameters)
}

fn live_l1(scene: &Scene<'_>, number: usize) {
    let order = scene.order(number);
    let bought = scene.succeed(&Call::Get(LICENSE, get_license(&order, "P3"))).json();
    let id = bought["instanceId"].as_str().unwrap();
    scene.ledger.handed_out(bought["license"].as_str().unwrap(), &order);
    let about = |activity: &str, order: &str| {
        Call::Get(LICENSE, Get::new(activity, &[("instanceId", id), ("orderId", order), ("expireTime", LATER)]))
    };
    scene.succeed(&about("refreshLicense", &format!("{order}-R")));
    scene.succeed(&about("expireLicense", &order));
}

fn live_l2(scene: &Scene<'_>, number: usize) {
    let order = scene.order(number);
    let code = format!("PL-{order}");
    let of_code = |body: Value| {
        let mut body = body;
        body["license"] = code.as_str().into();
        body["testFlag"] = "0".into();
        Call::Post(LICENSE, body)
    };
    let line = format!("{order}-000001");
    scene.succeed(&of_code(json!({
        "activity": "refreshLicenseCode", "orderId": order, "orderLineId": line, "scene": "RENEWAL", "expireTime": LATER,
    })));
    let frozen = json!({ "activity": "updateLicenseCodeStatus", "status": "FREEZE" });
    let released = json!({ "activity": "releaseLicenseCode" });
    scene.succeed(&of_code(if number.is_multiple_of(3) { released } else { frozen }));
}

fn live_lo(scene: &Scene<'_>, number: usize) {
    use crate::harness::{new_instance, status_change};

    let order = scene.order(number);
    scene.place_order(&order, "NEW", "P4");
    let id = instance_id(&scene.succeed(&Call::Post(LICENSE, new_instance(&order))));
    let event = format!("E-{order}");
    scene.market.mock.put_event(&event, "CBC.0000");
    // It is answered with success when KooGallery has the licence.
    scene.succeed(&Call::Post(
        LICENSE,
        json!({
            "activity": "getLicenseAsync", "instanceId": id, "eventId": event, "deviceFingerprint": "D1",
            "effectiveTime": "2026-10-27 10:30:15 z", "expireTime": "2098-12-31 23:59:59 z", "testFlag": "0",
        }),
    ));
    scene.succeed(&Call::Post(LICENSE, status_change(&id, "FREEZE")));
}

fn live_kit(scene: &Scene<'_>, number: usize) {
    use crate::kit_call::{auth, encrypted, public_key, single_org, tenant, user};

    let (generation, name) = (GENERATIONS[number / 8 % 2], format!("{}-{number}", scene.name));
    let succeed = |sync: Sync| drop(scene.succeed(&Call::Kit(generation, sync)));
    succeed(tenant(&name));
    succeed(single_org(&name, &name, "开发部", ""));
    succeed(auth(&name, "app-1", json!([user(&name)])));
    succeed(crate::kit_call::application(&name, &format!("app-{name}"), &encrypted(&public_key("pkcs8"), "secret-1")));
    scene.ledger.synced(&name);
}

/// Reports seconds, each of which is one record.
fn live_usage(scene: &Scene<'_>, number: usize) {
    let end = jiff::Timestamp::now().as_second() - 3600;
    for second in 0..4 {
        // From the newest backwards, so that all of it is younger than the instance.
        let begin = i64::try_from(4 * number + second).unwrap();
        let at =
            |second: i64| jiff::Timestamp::from_second(scene.ledger.first_report(end) - second).unwrap().to_string();
        let times = json!({ "beginTime": at(begin + 1), "endTime": at(begin) });
        let report = json!({
            "instanceId": scene.market.used, "beginTime": times["beginTime"], "endTime": times["endTime"], "usageValue": "1.5",
        });
        let answer = scene.succeed(&Call::Report(report)).json();
        scene.ledger.reported(answer["meteringSn"].as_str().unwrap());
    }
}
