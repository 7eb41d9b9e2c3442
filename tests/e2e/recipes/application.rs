//! A recipe by itself: deliveries as koogate makes them, and such as koogate would never make.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use koogate::fulfilment::answer::Answer as Told;
use koogate::fulfilment::event::Event;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tempfile::TempDir;

use super::toolchain::Recipe;
use crate::harness::{nonce, now_ms};

pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A Java machine on a busy machine takes its time. Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a recipe keeps when it is ended and started again.
pub struct Home {
    folder: TempDir,
    seats: u32,
}

impl Home {
    pub fn new(seats: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hook.secret"), format!("{SECRET}\n")).unwrap();
        Self { folder, seats }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The one value of a query in the recipe's database.
    pub fn look_up<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let database = rusqlite::Connection::open(self.path("shop.db")).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The events it was told, one a line.
    pub fn events(&self) -> String {
        self.look_up("SELECT group_concat(event, char(10)) FROM (SELECT event FROM operation ORDER BY rowid)")
    }

    /// How many accounts there are, and how many operations are kept.
    pub fn rows(&self) -> (i64, i64) {
        // PHP's makes its tables when it first needs them.
        if self.look_up::<i64>("SELECT count(*) FROM sqlite_master") == 0 {
            return (0, 0);
        }
        (self.look_up("SELECT count(*) FROM account"), self.look_up("SELECT count(*) FROM operation"))
    }
}

/// A process of a recipe with all its children; killed when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub fn start(mut command: Command, home: &Home, name: &str, environment: &[(&str, String)]) -> Self {
        let log = home.path(&format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        command.current_dir(home.folder.path()).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        command.env("DATABASE", home.path("shop.db")).env("HOOK_SECRET_FILE", home.path("hook.secret"));
        command.env("ADMIN_TOKEN_FILE", home.path("admin.token")).env("SEATS", home.seats.to_string());
        command.env_remove("KOOGATE_ADMIN").envs(environment.iter().map(|(name, value)| (name, value)));
        // PHP's server has children, and what is killed is all of them.
        let child = command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    /// kill -9, as losing power would.
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// A recipe that listens.
pub struct Application {
    process: Running,
    pub address: SocketAddr,
}

impl Application {
    pub fn start(recipe: &Recipe, home: &Home, environment: &[(&str, String)]) -> Self {
        // Another program may take the port before the recipe does; then the recipe ends and gets another one.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let environment = [environment, &[("PORT", address.port().to_string())]].concat();
            let mut process = Running::start((recipe.server)(), home, "server", &environment);
            let until = Instant::now() + PATIENCE;
            loop {
                if process.child.try_wait().unwrap().is_some() {
                    assert!(process.log().to_lowercase().contains("in use"), "it ended:\n{}", process.log());
                    break;
                }
                if TcpStream::connect(address).is_ok() {
                    return Self { process, address };
                }
                assert!(Instant::now() < until, "it does not listen:\n{}", process.log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("no port is to be had");
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Delivers an event as koogate does; status and body of the answer.
    fn deliver(&self, event: &Value) -> (u16, String) {
        let body = event.to_string();
        self.post(&Signed::now(event["operationId"].as_str().unwrap(), &body), &body)
    }

    /// Delivers an event that must be answered.
    fn told(&self, event: &Value) -> String {
        let (status, text) = self.deliver(event);
        assert_eq!(status, 200, "{event}: {text}\n{}", self.log());
        text
    }

    fn post(&self, signed: &Signed, body: &str) -> (u16, String) {
        let url = format!("http://{}/koogate", self.address);
        let mut request = ureq::post(url).config().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        for (name, value) in &signed.0 {
            request = request.header(*name, value);
        }
        let mut answer = request.header("content-type", "application/json").send(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }
}

/// The headers of a delivery, each of which a test may spoil.
struct Signed(Vec<(&'static str, String)>);

impl Signed {
    fn now(id: &str, body: &str) -> Self {
        Self::at(id, now_ms() / 1000, body)
    }

    fn at(id: &str, seconds: i64, body: &str) -> Self {
        let signature = Webhook::new(SECRET).unwrap().sign(id, seconds, body.as_bytes()).unwrap();
        let time = seconds.to_string();
        Self(vec![("webhook-id", id.to_owned()), ("webhook-timestamp", time), ("webhook-signature", signature)])
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.0.iter_mut().find(|(known, _)| *known == name).unwrap().1 = value.to_owned();
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self
    }
}

fn creation(operation: &str, instance: &str) -> Value {
    json!({ "event": "instance.create", "operationId": operation, "attempt": 1, "test": false, "kind": "saas",
            "instanceId": instance, "parameters": {} })
}

/// Every event of docs/events.md, in the order it is told there: koogate takes the answer, and a repeat gets the same one.
pub fn answers_as_documented(recipe: &Recipe) {
    let home = Home::new(10);
    let application = Application::start(recipe, &home, &[]);
    let documents = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let blocks = documents.split("\n```json\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    let mut seen = 0;
    for block in blocks.filter(|block| block.contains("\"operationId\"")) {
        let event: Event = serde_json::from_str(block).unwrap();
        let answer = application.told(&serde_json::from_str(block).unwrap());
        match Told::parse(event.name(), answer.as_bytes()) {
            Ok(Told::Ready(handout)) => {
                let is_create = event.name().as_str() == "instance.create";
                assert_eq!(handout.access.is_some(), is_create, "{block}: {answer}");
            }
            other => panic!("{block}: {answer}: {other:?}"),
        }
        // The next attempt differs in its number.
        let again = serde_json::to_value(event.with_attempt(9)).unwrap();
        assert_eq!(application.told(&again), answer, "{block}");
        seen += 1;
    }
    assert_eq!(seen, 12, "docs/events.md was read wrong");
    let told = |column: &str| home.look_up::<String>(&format!("SELECT {column} FROM account"));
    assert_eq!((told("status"), told("expires")), ("released".to_owned(), "2028-11-23T15:59:59Z".to_owned()));
    assert_eq!(home.look_up::<i64>("SELECT quantity FROM account"), 20);
    // A code of KooGallery's is first heard of when something happens to it.
    let mut freeze = json!({ "event": "instance.freeze", "operationId": "l2", "attempt": 1, "test": false,
        "kind": "license-code", "instanceId": "PL0001", "parameters": {},
        "instance": { "status": "frozen", "expireTime": null } });
    application.told(&freeze);
    assert_eq!(home.look_up::<String>("SELECT status FROM account WHERE instance_id = 'PL0001'"), "frozen");
    // An account that should be there and is not is for the operator; so is an event that nobody knows.
    (freeze["kind"], freeze["operationId"], freeze["instanceId"]) = ("saas".into(), "gone".into(), "gone".into());
    assert_eq!(application.deliver(&freeze).0, 500);
    freeze["event"] = "instance.release".into();
    application.told(&freeze);
    freeze["event"] = "instance.something".into();
    freeze["operationId"] = "unknown".into();
    assert_eq!(application.deliver(&freeze).0, 500, "{}", application.log());
}

/// Parallel deliveries, later ones, and some after a kill -9: one account, the same bytes.
pub fn has_one_effect_and_one_answer_for_an_operation(recipe: &Recipe) {
    let event = creation("op-1", "a b/c?d");
    let first_deliveries = |application: &Application| -> Vec<String> {
        std::thread::scope(|scope| {
            let deliveries: Vec<_> = (0..8).map(|_| scope.spawn(|| application.told(&event))).collect();
            deliveries.into_iter().map(|delivery| delivery.join().unwrap()).collect()
        })
    };
    // Several times: who makes the database is a race, and the rest happens once in the life of an application.
    for _ in 0..4 {
        let home = Home::new(10);
        first_deliveries(&Application::start(recipe, &home, &[]));
        assert_eq!(home.rows(), (1, 1));
    }
    let home = Home::new(10);
    let application = Application::start(recipe, &home, &[]);
    let answers = first_deliveries(&application);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(answers[0].contains("https://app.example.com/a%20b%2Fc%3Fd\""), "{}", answers[0]);
    assert_eq!(home.rows(), (1, 1));
    // Another operation about the same instance, as after a restore of koogate: the same account.
    let mut other = event.clone();
    other["operationId"] = "op-2".into();
    let access = |text: &str| serde_json::from_str::<Value>(text).unwrap()["access"].clone();
    assert_eq!(access(&application.told(&other)), access(&answers[0]));
    let mut test = creation("op-3", "test");
    test["test"] = true.into();
    application.told(&test);
    assert_eq!(home.rows(), (1, 2), "a test call has an effect");
    drop(application);
    let application = Application::start(recipe, &home, &[]);
    assert_eq!(application.told(&event), answers[0], "it forgot");
    assert_eq!(home.rows(), (1, 2));
}

/// 401, and no effect, unless the signature is koogate's, over these bytes, and of now.
pub fn believes_nobody_but_koogate(recipe: &Recipe) {
    let home = Home::new(10);
    let application = Application::start(recipe, &home, &[]);
    let id = nonce();
    let body = creation(&id, "wanted").to_string();
    let now = now_ms() / 1000;
    let right = || Signed::now(&id, &body);
    let signature = right().0[2].1.clone();
    let foreign = Webhook::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let foreign = foreign.sign(&id, now, body.as_bytes()).unwrap();
    let refused = [
        ("another secret", right().with("webhook-signature", &foreign)),
        ("another id", right().with("webhook-id", "another")),
        ("another time", right().with("webhook-timestamp", &(now - 1).to_string())),
        ("another body", Signed::now(&id, &body.replace("wanted", "stolen"))),
        ("an old time", Signed::at(&id, now - 600, &body)),
        ("a time to come", Signed::at(&id, now + 600, &body)),
        ("no time", right().with("webhook-timestamp", "soon")),
        ("another version", right().with("webhook-signature", &signature.replace("v1,", "v1a,"))),
        ("half a signature", right().with("webhook-signature", &signature[..20])),
        ("no comma", right().with("webhook-signature", "v1")),
        ("no id", right().without("webhook-id")),
        ("no timestamp", right().without("webhook-timestamp")),
        ("no signature", right().without("webhook-signature")),
    ];
    for (what, signed) in refused {
        let (status, text) = application.post(&signed, &body);
        assert_eq!(status, 401, "{what}: {text}\n{}", application.log());
    }
    assert_eq!(home.rows(), (0, 0));
    // While a secret is changed there are two signatures; one of them is right.
    let both = format!("{foreign} {signature}");
    let (status, text) = application.post(&Signed::at(&id, right().0[1].1.parse().unwrap(), &body), &body);
    assert_eq!(status, 200, "{text}");
    let second = right();
    let both = format!("{both} {}", second.0[2].1);
    assert_eq!(application.post(&second.with("webhook-signature", &both), &body).0, 200);
}
