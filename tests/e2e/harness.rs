//! What the end-to-end tests share: the real binary on a scratch folder, signed calls over raw sockets, and a merchant's
//! application that a test programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::protocol::signature::sign_v2;
use koogate::secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin_api::document::document;

/// The access key of every scratch configuration.
pub const KEY: &str = "11111111-2222-3333-4444-555555555555";

/// The sealing key of every scratch configuration.
pub const SEALING_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Nothing here takes so long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An access key as the library takes it.
pub fn access_key(text: &str) -> AccessKey {
    AccessKey::new("test".to_owned(), Secret::new(text.to_owned()))
}

/// A folder with a configuration, in which koogate runs and commands are tried.
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// With these product entries (TOML) and further sections.
    pub fn new(products: &str) -> Self {
        let scratch = Self { folder: tempfile::tempdir().unwrap() };
        scratch.configure(&[KEY], "", products);
        scratch
    }

    /// Writes the configuration anew: basic keys, then more lines (whole sections), then product entries.
    pub fn configure(&self, keys: &[&str], sections: &str, products: &str) {
        let server = if sections.contains("[server]") { "" } else { "[server]\nlisten = \"127.0.0.1:0\"\n" };
        let jobs =
            if sections.contains("[jobs]") { "" } else { "[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1s\"\n" };
        let keys = serde_json::to_string(keys).unwrap();
        let text =
            format!("{server}{jobs}[keys]\nbasic = {keys}\nsealing_key = \"{SEALING_KEY}\"\n{sections}\n{products}\n");
        std::fs::write(self.path("koogate.toml"), text).unwrap();
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `koogate` with these arguments in the folder, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koogate"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        for name in [
            "RUST_LOG",
            "KOOGATE_FAULT",
            "KOOGATE_FAULT_DELAY",
            "KOOGATE_FAULT_PACE",
            "KOOGATE_FAULT_AMOUNT",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; its stdout.
    pub fn run_ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "koogate {args:?}: {}\n{out}\n{err}", output.status);
        out
    }

    /// Runs a command that prints JSON lines.
    pub fn run_json(&self, args: &[&str]) -> Vec<Value> {
        self.run_ok(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts the server.
    pub fn serve(&self) -> Koogate {
        self.serve_with(&[])
    }

    /// Starts the server with environment variables (fault points).
    pub fn serve_with(&self, environment: &[(&str, &str)]) -> Koogate {
        self.try_serve_with(environment).unwrap_or_else(|ended| panic!("koogate did not start:\n{}", ended.log))
    }

    /// The same where the server may end before it serves: a fault point, or something in its way.
    pub fn try_serve_with(&self, environment: &[(&str, &str)]) -> Result<Koogate, Ended> {
        let mut command = self.command(&["serve"]);
        command.envs(environment.iter().copied());
        let configuration = std::fs::read_to_string(self.path("koogate.toml")).unwrap_or_default();
        Koogate::start(command, configuration.contains("[admin]"))
    }

    /// What `instance show` tells of the one instance of this id.
    pub fn instance(&self, instance_id: &str) -> Value {
        let mut shown = self.run_json(&["instance", "show", instance_id, "--json"]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        shown.remove(0)
    }

    /// Waits until an instance, as `instance show` tells it, is as wanted.
    pub fn wait_for_instance(&self, instance_id: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(
            || Some(self.instance(instance_id)).filter(&is_wanted),
            || format!("{:#}", self.instance(instance_id)),
        )
    }
}

/// A server that ended before it served.
pub struct Ended {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it said.
    pub log: String,
}

/// A running server; killed when dropped.
pub struct Koogate {
    child: Child,
    /// The public listener.
    pub address: SocketAddr,
    /// The admin listener, if there is one.
    pub admin: Option<SocketAddr>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Koogate {
    /// Starts one and waits until it serves; `has_admin` says that it will have an admin listener too.
    pub fn start(mut command: Command, has_admin: bool) -> Result<Self, Ended> {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = mpsc::channel();
        let (lines, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut public = None;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let address = |mark: &str| -> Option<SocketAddr> {
                    let rest = line.split_once(mark)?.1;
                    rest[..rest.find(['/', ' ']).unwrap_or(rest.len())].parse().ok()
                };
                if let Some(address) = address("serves http://").or_else(|| address("serves https://")) {
                    public = Some(address);
                    let _ = found.send((address, None));
                }
                if let (Some(public), Some(admin)) = (public, address("admin API on http://")) {
                    let _ = found.send((public, Some(admin)));
                }
                lines.lock().unwrap().push(line);
            }
        });
        let mut started = address.recv_timeout(PATIENCE);
        if started.is_ok() && has_admin {
            started = address.recv_timeout(PATIENCE);
        }
        let Ok((public, admin)) = started else {
            let _ = child.kill();
            let status = child.wait().unwrap();
            reader.join().unwrap();
            let log = log.lock().unwrap().join("\n");
            return Err(Ended { code: status.code(), log });
        };
        Ok(Self { child, address: public, admin, log, reader: Some(reader) })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_died(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// kill -9, as losing power would for the process.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the process ends by itself; its exit code, `None` after a signal.
    pub fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "koogate does not end:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it with SIGTERM and expects a clean end.
    pub fn stop(mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0), "{}", self.log_text());
        self.reader.take().unwrap().join().unwrap();
        self.log_text()
    }

    /// The log so far.
    pub fn log_text(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for a line in the log.
    pub fn wait_for_log(&self, part: &str) {
        eventually(|| self.log_text().contains(part).then_some(()), || format!("no {part:?} in\n{}", self.log_text()));
    }

    /// A signed call with the scratch key: V2, fresh stamp and nonce.
    pub fn call(&self, body: &Value) -> Answer {
        self.call_with(KEY, body)
    }

    /// The same with another key.
    pub fn call_with(&self, key: &str, body: &Value) -> Answer {
        let answer = self.try_call(key, body).unwrap();
        assert_eq!(answer.status, 200);
        let sign = answer.header("Body-Sign").expect("Body-Sign");
        body_sign::verify_header(&access_key(key), "Body-Sign", sign, &answer.body).unwrap();
        answer
    }

    /// The same where the server may die before it answers.
    pub fn try_call(&self, key: &str, body: &Value) -> std::io::Result<Answer> {
        let body = body.to_string();
        let query = Signed::now(key, body.as_bytes()).query();
        self.post(&format!("/saasproduce?{query}"), body.as_bytes())
    }

    /// POST with exactly this target and body.
    pub fn post(&self, target: &str, body: &[u8]) -> std::io::Result<Answer> {
        send(self.address, "POST", target, &[], body)
    }

    /// GET on the public listener.
    pub fn get(&self, target: &str) -> Answer {
        send(self.address, "GET", target, &[], b"").unwrap()
    }

    /// A request to the admin listener, with or without a bearer token. The answer must be one that docs/openapi.yaml
    /// describes.
    pub fn admin(&self, method: &str, target: &str, token: Option<&str>, body: &str) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
        let address = self.admin.expect("an admin listener");
        let answer = send(address, method, target, &headers, body.as_bytes()).unwrap();
        document().check(method, target, &answer);
        answer
    }

    /// Calls until there is an answer that satisfies KooGallery, as it does.
    pub fn call_until_success(&self, body: &Value) -> Answer {
        let (mut body, mut last) = (body.clone(), String::new());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let answer = self.call(&body);
            if answer.code() == "000000" {
                return answer;
            }
            last = text(&answer.body);
            if !body["businessId"].is_null() {
                body["businessId"] = format!("b-{}", nonce()).into();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no success but {last}:\n{}", self.log_text());
    }
}

impl Drop for Koogate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The parts of a V2 signature, each of which a test may spoil.
pub struct Signed {
    pub timestamp: String,
    pub nonce: String,
    pub signature: String,
}

impl Signed {
    /// Fresh and right.
    pub fn now(key: &str, body: &[u8]) -> Self {
        Self::at(key, body, now_ms(), &nonce())
    }

    /// Right, with this stamp and nonce.
    pub fn at(key: &str, body: &[u8], timestamp_ms: i64, nonce: &str) -> Self {
        let timestamp = timestamp_ms.to_string();
        let signature = sign_v2(&access_key(key), &timestamp, nonce, body);
        Self { timestamp, nonce: nonce.to_owned(), signature }
    }

    /// As a query string.
    pub fn query(&self) -> String {
        format!("signature={}&timestamp={}&nonce={}", self.signature, self.timestamp, self.nonce)
    }
}

/// A text that no other call of this run has.
pub fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:x}-{}-{}", now_ms(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Unix milliseconds.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// An HTTP answer with the exact bytes of its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its exact spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", text(&self.body)))
    }

    /// The result code.
    pub fn code(&self) -> String {
        self.json()["resultCode"].as_str().expect("resultCode").to_owned()
    }

    /// What "verbatim" means: status, Content-Type, Body-Sign and body.
    pub fn verbatim(&self) -> (u16, Option<String>, Option<String>, String) {
        let header = |name| self.header(name).map(str::to_owned);
        (self.status, header("Content-Type"), header("Body-Sign"), text(&self.body))
    }
}

/// One request on a connection of its own.
pub fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    send_over(stream, &address.to_string(), method, target, headers, body)
}

/// The same to this host over a connection that is there, and ends with the answer.
pub fn send_over(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes, method == "HEAD")
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no whole answer"))
}

fn parse(bytes: &[u8], head_only: bool) -> Option<Answer> {
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..split]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let length: usize = headers.iter().find(|(name, _)| name == "Content-Length")?.1.parse().ok()?;
    let body = bytes[split + 4..].to_vec();
    (body.len() == if head_only { 0 } else { length }).then_some(Answer { status, headers, body })
}

/// The body of a newInstance call; `businessId` is new each time.
pub fn new_instance(order: &str) -> Value {
    json!({
        "activity": "newInstance", "businessId": format!("b-{}", nonce()), "orderId": order,
        "orderLineId": format!("{order}-000001"), "testFlag": "0",
    })
}

/// A merchant's application on loopback: `answer` gets every event and gives status and body.
pub struct Application {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    thread: Option<JoinHandle<()>>,
}

/// A request as the application got it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The body, read.
    pub event: Value,
}

/// An address at which nothing listens yet: connections are refused, and nobody else gets the port.
pub struct ClosedDoor {
    socket: socket2::Socket,
    address: SocketAddr,
}

impl ClosedDoor {
    pub fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { socket, address }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A product entry that leads to it, with further lines.
    pub fn product(&self, lines: &str) -> String {
        product(self.address, lines)
    }

    /// Opens it: from now on an application answers there.
    pub fn open(self, answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> Application {
        self.socket.listen(128).unwrap();
        let listener = std::net::TcpListener::from(self.socket);
        Application::serve(tiny_http::Server::from_listener(listener, None).unwrap(), answer)
    }
}

fn product(application: SocketAddr, lines: &str) -> String {
    format!("[[product]]\nfulfilment = \"http\"\nurl = \"http://{application}/koogate\"\n{lines}\n")
}

impl Application {
    /// Starts one.
    pub fn start(answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::serve(tiny_http::Server::http("127.0.0.1:0").unwrap(), answer)
    }

    fn serve(server: tiny_http::Server, answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> Self {
        let server = Arc::new(server);
        let address = server.server_addr().to_ip().unwrap();
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let (serving, seen, answer) = (Arc::clone(&server), Arc::clone(&deliveries), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                let mut body = String::new();
                // A koogate that is killed meanwhile leaves half a request: no event.
                let whole = request.as_reader().read_to_string(&mut body).is_ok();
                let Some(event) = whole.then(|| serde_json::from_str::<Value>(&body).ok()).flatten() else { continue };
                let headers = request.headers().iter().map(|header| {
                    (header.field.as_str().as_str().to_ascii_lowercase(), header.value.as_str().to_owned())
                });
                let (target, headers) = (request.url().to_owned(), headers.collect());
                seen.lock().unwrap().push(Delivery { target, headers, body, event: event.clone() });
                let answer = Arc::clone(&answer);
                // Of its own, so that a slow answer holds up no other.
                std::thread::spawn(move || {
                    let (status, body) = answer(&event);
                    let _ = request.respond(tiny_http::Response::from_string(body).with_status_code(status));
                });
            }
        });
        Self { server, address, deliveries, thread: Some(thread) }
    }

    /// One that makes everything ready at once.
    pub fn ready() -> Self {
        Self::start(|event| (200, ready_answer(event)))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A product entry that leads to it, with further lines.
    pub fn product(&self, lines: &str) -> String {
        product(self.address, lines)
    }

    /// The events it got.
    pub fn events(&self) -> Vec<Value> {
        self.deliveries.lock().unwrap().iter().map(|delivery| delivery.event.clone()).collect()
    }

    /// The same with all that came with them.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    /// The names of the events about an instance, in the order they came.
    pub fn names_for(&self, instance_id: &str) -> Vec<String> {
        let of_instance = |event: &&Value| event["instanceId"] == instance_id;
        self.events().iter().filter(of_instance).map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until it got so many.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        eventually(
            || Some(self.events()).filter(|events| events.len() >= count),
            || format!("only {:?}", self.events()),
        )
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// "Ready", with access data for a creation.
pub fn ready_answer(event: &Value) -> String {
    let id = event["instanceId"].as_str().unwrap_or_default();
    let access =
        json!({ "frontEndUrl": format!("https://app.example.com/{id}"), "userName": "admin", "password": "p-1" });
    let create = event["event"] == "instance.create";
    if create {
        json!({ "status": "ready", "access": access }).to_string()
    } else {
        "{\"status\":\"ready\"}".to_owned()
    }
}

/// Waits for something to come true; looks often and gives up only when it must hang.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>, complaint: impl Fn() -> String) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{}", complaint());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes as text, for messages.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The sizes of the files in a folder, for tests that want nothing left behind.
pub fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The body of a call about an instance, with further members.
pub fn instance_call(activity: &str, instance_id: &str, members: Value) -> Value {
    let mut body = json!({ "activity": activity, "instanceId": instance_id, "testFlag": "0" });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The body of a renewal until the first day of a year, UTC.
pub fn renewal(instance_id: &str, order: &str, year: u16) -> Value {
    let members = json!({
        "scene": "RENEWAL", "orderId": order, "orderLineId": format!("{order}-000001"),
        "expireTime": format!("{year}0101000000"),
    });
    instance_call("refreshInstance", instance_id, members)
}

/// The body of a freeze (`FREEZE`) or its end (`UNFREEZE`).
pub fn status_change(instance_id: &str, status: &str) -> Value {
    instance_call("updateInstanceStatus", instance_id, json!({ "status": status }))
}

/// The body of an upgrade.
pub fn upgrade(instance_id: &str, order: &str) -> Value {
    let members = json!({ "orderId": order, "orderLineId": format!("{order}-000001") });
    instance_call("upgradeInstance", instance_id, members)
}

/// The body of a release.
pub fn release(instance_id: &str) -> Value {
    instance_call("releaseInstance", instance_id, json!({}))
}

/// The body of a query for one instance.
pub fn query(instance_id: &str) -> Value {
    instance_call("queryInstance", instance_id, json!({}))
}

/// Holds up whoever passes until it is opened.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Waits until it is open.
    pub fn pass(&self) {
        let (open, opened) = &*self.0;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }

    /// Opens it for good.
    pub fn open(&self) {
        let (open, opened) = &*self.0;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}
