//! Databases of released schemas in `tests/fixtures`: how one is made, and how a test takes one out.
//!
//! `schema-N.db` was written by a real koogate of schema version N and stopped cleanly; every table has rows.
//! `schema-N.key` is its sealing key, `schema-N.json` holds calls of KooGallery that it had answered finally, with the
//! answers. What a release has once written stays as it is: nothing here overwrites a fixture.
//!
//! When a schema is new, its fixture is made by
//! `cargo test --test e2e -- --ignored make_the_fixture_of_this_schema`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use koogate::alert::Alarm;
use koogate::sealing::SealingKey;
use koogate::secret::Secret;

use koogate::store::{
    AlertRow, NewLoginSession, Role, SCHEMA_VERSION, Settings, Store, StoreError, ToldRow, Tx, WebhookRow,
};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Answer, Application, KEY, Koogate, SEALING_KEY, Scratch, new_instance, ready_answer, send};
use crate::kit_call::{self, KIT_KEYS, TENANT, V2, five};
use crate::koogallery::{Behaviour, KooGallery, License, Reply, Route};
use crate::licenses::LICENSE_KEY;
use crate::shop::{FUTURE, LATER, as_test, count, instance_id, look_up, release, renewal, retry, upgrade};
use crate::token_get::{self, Get, assert_signed, expire, purchase, renew};

/// Where the fixture of a schema is, with this ending.
pub fn path(version: i64, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/schema-{version}.{ending}"))
}

/// A folder with the database of a schema in it as `koogate.db`, and a configuration that fits; the merchant's
/// application is away.
pub fn take_out(version: i64) -> Scratch {
    let scratch = Scratch::new("");
    let key = std::fs::read_to_string(path(version, "key")).unwrap();
    configure(&scratch, key.trim(), "", &products(None));
    std::fs::copy(path(version, "db"), scratch.path("koogate.db")).unwrap();
    scratch
}

/// Makes every call again that a fixture had answered: each must get the same bytes.
pub fn replay_everything(version: i64, koogate: &Koogate) {
    let text = std::fs::read_to_string(path(version, "json")).unwrap();
    let calls: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(calls.len() > 10);
    for entry in &calls {
        let key = if entry["key"] == "basic" { KEY } else { LICENSE_KEY };
        let answer = Call::read(entry).make(koogate, key);
        assert_eq!(written(&answer), entry["answer"], "{entry}\n{}", koogate.log_text());
    }
}

/// A call of KooGallery, by POST or GET.
#[derive(Debug, Clone)]
enum Call {
    Post(Value),
    Get(Get),
}

impl Call {
    fn written(&self) -> Value {
        match self {
            Self::Post(body) => json!({ "post": body }),
            Self::Get(Get(parameters)) => json!({ "get": parameters }),
        }
    }

    fn read(entry: &Value) -> Self {
        match entry.get("post") {
            Some(body) => Self::Post(body.clone()),
            None => Self::Get(Get(serde_json::from_value(entry["get"].clone()).unwrap())),
        }
    }

    /// Makes it as KooGallery repeats it, with the key of its interface.
    fn make(&self, koogate: &Koogate, key: &str) -> Answer {
        let answer = match self {
            Self::Post(body) => koogate.call_with(key, &retry(body)),
            Self::Get(get) => send(koogate.address, "GET", &get.again().target(key), &[], b"").unwrap(),
        };
        assert_signed(key, &answer);
        answer
    }
}

/// An answer as it is kept beside a fixture: what "verbatim" means.
fn written(answer: &Answer) -> Value {
    let (status, content_type, body_sign, body) = answer.verbatim();
    json!({ "status": status, "contentType": content_type, "bodySign": body_sign, "body": body })
}

fn configure(scratch: &Scratch, sealing_key: &str, sections: &str, products: &str) {
    for (name, key) in [("current.pem", "pkcs8"), ("former.pem", "pkcs1")] {
        std::fs::write(scratch.path(name), kit_call::private_key(key)).unwrap();
    }
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"15s\"\n\
         [jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1h\"\n\
         [database]\nsnapshot_every = \"24h\"\n\
         [keys]\nbasic = \"{KEY}\"\nlicense = \"{LICENSE_KEY}\"\n{KIT_KEYS}sealing_key = \"{sealing_key}\"\n\
         {sections}\n{products}\n"
    );
    std::fs::write(scratch.path("koogate.toml"), text).unwrap();
}

/// Entries for everything that is sold. Without an application its place is a closed port.
fn products(application: Option<&Application>) -> String {
    let to_application = |lines: &str| match application {
        Some(application) => application.product(lines),
        None => format!("[[product]]\nfulfilment = \"http\"\nurl = \"http://127.0.0.1:9/koogate\"\n{lines}\n"),
    };
    [
        "[[product]]\nproduct_id = \"STOCK\"\nfulfilment = \"stock\"\nstock = \"accounts\"\n".to_owned(),
        to_application("kind = \"license\""),
        to_application("kind = \"license-online\""),
        to_application("kind = \"license-code\""),
        to_application(""),
    ]
    .concat()
}

/// Makes everything ready but for freezes, which are tried again, and unfreezes, which it refuses.
fn application() -> Application {
    Application::start(|event| match event["event"].as_str().unwrap() {
        "license.issue" => (200, json!({ "status": "ready", "license": "LICENCE-OF-THE-FIXTURE" }).to_string()),
        "instance.freeze" => (500, "not today".to_owned()),
        "instance.unfreeze" => (200, json!({ "status": "refused", "message": "never" }).to_string()),
        _ => (200, ready_answer(event)),
    })
}

/// Makes the calls of the fixture and keeps the final answers.
struct Maker<'a> {
    koogate: &'a Koogate,
    calls: Vec<Value>,
}

impl Maker<'_> {
    fn post(&mut self, key: &'static str, body: Value) -> Answer {
        self.kept(key, Call::Post(body))
    }

    fn get(&mut self, key: &'static str, get: Get) -> Answer {
        self.kept(key, Call::Get(get))
    }

    fn kept(&mut self, key: &'static str, call: Call) -> Answer {
        let answer = call.make(self.koogate, key);
        assert_eq!(answer.code(), "000000", "{call:?}: {}\n{}", answer.json(), self.koogate.log_text());
        let mut entry = call.written();
        entry["key"] = if key == KEY { "basic" } else { "license" }.into();
        entry["answer"] = written(&answer);
        self.calls.push(entry);
        answer
    }
}

#[test]
#[ignore = "writes a file into the source, once for each schema"]
fn make_the_fixture_of_this_schema() {
    let file = path(SCHEMA_VERSION, "db");
    if file.exists() {
        return println!("{} is there; what a release has written stays as it is", file.display());
    }
    let (application, mock) = (application(), KooGallery::start());
    let scratch = Scratch::new("");
    let open_api = format!("{}order_query = \"off\"\n", mock.toml());
    configure(&scratch, SEALING_KEY, &open_api, &products(Some(&application)));
    std::fs::write(
        scratch.path("accounts.csv"),
        "user_name,password,front_end_url\na,p,https://a.example.com\nb,q,\
        https://a.example.com\n",
    )
    .unwrap();
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let koogate = scratch.serve();
    let calls = call_everything(&koogate);
    use_everything(&scratch, &mock);
    koogate.stop();
    write_by_hand(&scratch);
    let koogate = scratch.serve();
    koogate.wait_for_log("purged 1 old exchanges");
    koogate.stop();
    scratch.run_ok(&["backup", "copy.db"]);
    scratch.run_ok(&["restore", "copy.db"]);
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&crate::shop::query("nobody-knows-it")).code(), "000003");
    koogate.stop();

    let tables: Vec<String> = {
        let database = Connection::open(scratch.path("koogate.db")).unwrap();
        let mut names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    for table in &tables {
        assert!(count(&scratch, table) > 0, "no row in {table}");
    }
    std::fs::copy(scratch.path("koogate.db"), file).unwrap();
    std::fs::write(path(SCHEMA_VERSION, "key"), format!("{SEALING_KEY}\n")).unwrap();
    std::fs::write(path(SCHEMA_VERSION, "json"), serde_json::to_string_pretty(&calls).unwrap() + "\n").unwrap();
}

/// Calls of every interface.
fn call_everything(koogate: &Koogate) -> Vec<Value> {
    let mut maker = Maker { koogate, calls: Vec::new() };
    let v2 = instance_id(&maker.post(KEY, new_instance("CS-1")));
    maker.post(KEY, renewal(&v2, "CS-2", FUTURE));
    maker.post(KEY, upgrade(&v2, "CS-3"));
    let v1 = instance_id(&maker.get(KEY, purchase("CS-10")));
    maker.get(KEY, renew(&v1, "CS-11", LATER));
    maker.get(KEY, expire(&v1, "CS-10"));
    let from_stock = instance_id(&maker.get(KEY, purchase("CS-20").with("productId", "STOCK")));
    maker.post(KEY, release(&from_stock));
    for (order, mode) in [("CS-30", "0"), ("CS-31", "5")] {
        maker.get(KEY, purchase(order).with("chargingMode", mode).without("expireTime"));
    }
    let bought = [("businessId", "b"), ("customerId", "c"), ("orderId", "CS-40"), ("productId", "P")];
    maker.get(LICENSE_KEY, Get::new("getLicense", &bought));
    let online = instance_id(&maker.post(LICENSE_KEY, new_instance("CS-50")));
    maker.post(LICENSE_KEY, renewal(&online, "CS-51", FUTURE));
    maker.post(
        LICENSE_KEY,
        json!({
            "activity": "refreshLicenseCode", "license": "PL1", "orderId": "CS-60", "orderLineId": "CS-60-000001",
            "scene": "RENEWAL", "expireTime": FUTURE, "testFlag": "0",
        }),
    );
    // What has no final answer, or changes nothing.
    let code = |status: &str| json!({ "activity": "updateLicenseCodeStatus", "license": "PL2", "status": status, "testFlag": "0" });
    for status in ["FREEZE", "UNFREEZE"] {
        assert_eq!(koogate.call_with(LICENSE_KEY, &code(status)).code(), "000000");
    }
    let device = json!({
        "activity": "getLicenseAsync", "instanceId": online, "eventId": "E1", "deviceFingerprint": "D1",
        "effectiveTime": "2026-10-27 10:30:15 z", "expireTime": "2099-12-31 23:59:59 z", "testFlag": "0",
    });
    assert_eq!(koogate.call_with(LICENSE_KEY, &device).code(), "000004");
    assert_eq!(koogate.call(&as_test(new_instance("CS-70"))).code(), "000000");
    assert_eq!(koogate.call(&crate::shop::query("nobody-knows-it")).code(), "000003");
    assert_eq!(token_get::call(koogate, &token_get::query(&v1)).code(), "000000");
    for sync in five(&v2) {
        assert_eq!(kit_call::call(koogate, V2, &sync).code(), "000000", "{sync:?}");
    }
    maker.calls
}

/// Everything else that leaves rows.
fn use_everything(scratch: &Scratch, mock: &KooGallery) {
    mock.put_license("PL1", License::Alive("20260115083000".to_owned()));
    scratch.run_ok(&["license", "heartbeat", "PL1"]);
    scratch.run_ok(&["order", "show", "MOCKPERIODYEARNEW"]);
    mock.next(Route::OrderQuery, 1, Behaviour::Instead(Reply::gateway(401, "APIGW.0303", "no")));
    assert!(!scratch.run(&["order", "show", "MOCKONETIMENEW"]).status.success());
    let database = Connection::open(scratch.path("koogate.db")).unwrap();
    database.busy_timeout(crate::harness::PATIENCE).unwrap();
    // A report must not begin before the order.
    database.execute("UPDATE instance SET created_at = created_at - ?1", [3 * 86_400_000_i64]).unwrap();
    drop(database);
    let id = |order: &str| -> String {
        look_up(scratch, &format!("SELECT instance_id FROM instance WHERE order_id = '{order}'"))
    };
    let hour = |ago: i64| {
        let now = Timestamp::now().as_second();
        Timestamp::from_second(now - now.rem_euclid(3600) - 3600 * ago).unwrap().to_string()
    };
    let (used, package) = (id("CS-30"), id("CS-31"));
    for (begin, more) in [(5, &[][..]), (4, &["--package", package.as_str()])] {
        let (begin, end) = (hour(begin), hour(begin - 1));
        let mut args = vec!["usage", "record", "--instance", &used, "--begin", &begin, "--end", &end, "--value", "1.5"];
        args.extend(more);
        scratch.run_ok(&args);
    }
}

/// What needs more than a call: a login, and a call so old that it is purged.
fn write_by_hand(scratch: &Scratch) {
    let (path, snapshot) = (scratch.path("koogate.db"), scratch.path("koogate.snapshot.db"));
    let settings = Settings { path, snapshot, commit_batch: 512 };
    let sealing = std::sync::Arc::new(SealingKey::from_hex(SEALING_KEY).unwrap());
    let store = Store::open(&settings, Role::Command, sealing).unwrap();
    store
        .write(None, |tx| {
            let tenant = tx.tenant(TENANT)?.unwrap();
            let token = Secret::new("refresh-token-of-the-fixture".to_owned());
            let new = NewLoginSession {
                sid: "00112233445566778899aabbccddeeff",
                tenant: tenant.row,
                app_id: "app-1",
                user_name: "zhangsan01",
                refresh_token: Some(&token),
                expires_at: "2099-01-01T00:00:00Z".parse().unwrap(),
            };
            tx.insert_login_session(&new, Timestamp::now())?;
            write_alerts(tx)
        })
        .unwrap();
    store.close().unwrap();
    let database = Connection::open(scratch.path("koogate.db")).unwrap();
    let sql = "UPDATE exchange SET received_at = received_at - 500 * 86400000 WHERE instance_id = 'nobody-knows-it'";
    assert_eq!(database.execute(sql, []).unwrap(), 1);
    database.close().unwrap();
}

/// An alert that has ended, of which a webhook was told, and something that an operator did.
fn write_alerts(tx: &Tx<'_>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let alarm = Alarm::StockLow { stock: "accounts".to_owned(), left: 1 };
    let alert = tx.insert_alert(&AlertRow {
        row: 0,
        kind: alarm.kind().as_str().to_owned(),
        subject: alarm.subject(),
        alarm: serde_json::to_string(&alarm).unwrap(),
        since: now,
        last_met: now,
        times: 1,
        ended_at: Some(now),
    })?;
    let webhook = "label-of-the-fixture".to_owned();
    tx.put_told(&ToldRow { alert, webhook: webhook.clone(), told_at: now, times: 1, end_told: true })?;
    tx.put_alert_webhook(&WebhookRow {
        webhook,
        kind: "generic".to_owned(),
        delivered_at: Some(now),
        failing_since: None,
        failures: 0,
        not_before: None,
        last_error: None,
    })?;
    tx.add_operator_action("127.0.0.1:4711", "retry", "i-1", None, now).map(drop)
}

/// SHA-256 of every fixture. A new schema adds a line; no line ever changes.
const RELEASED: [(i64, &str); 2] = [
    (1, "5f73f33a3f73da4e4f0346c990d1ccc6f62c289ba8f5c5dfe50564dd2943fc00"),
    (2, "c0cc6f3e08d8bf5af7268538375468c1bba3cd60a2a4478c32e94c5480f98e32"),
];

#[test]
fn a_released_schema_has_a_fixture_and_neither_ever_changes() {
    let versions: Vec<i64> = RELEASED.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, (1..=SCHEMA_VERSION).collect::<Vec<_>>(), "a schema without a fixture");
    for (version, expected) in RELEASED {
        let bytes = std::fs::read(path(version, "db")).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        assert_eq!(data_encoding::HEXLOWER.encode(digest.as_ref()), expected, "the fixture of version {version}");
        assert!(bytes.len() < 400_000, "the fixture of version {version} is large");
    }
    // What a new database is made of is what this version's koogate wrote into its fixture.
    let scratch = Scratch::new(crate::shop::FIXED);
    scratch.serve().stop();
    let schema = |file: &Path| -> Vec<(String, Option<String>)> {
        let database = Connection::open(file).unwrap();
        let mut all = database.prepare("SELECT type || ' ' || name, sql FROM sqlite_schema ORDER BY 1").unwrap();
        all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let released = take_out(SCHEMA_VERSION);
    let (found, expected) = (schema(&scratch.path("koogate.db")), schema(&released.path("koogate.db")));
    assert_eq!(found, expected, "schema.sql has changed, so its version must: with a step in src/store/migrate");
}
