//! What the door's tests share: a door with an echo behind it, a client that speaks bytes, and a process of one's own
//! for what is counted per process.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use koogate::http::{Door, DoorSettings, Handler, Reply, Request, To};

/// A healthy client is served within this, whatever others do.
pub const PROMPT: Duration = Duration::from_secs(1);

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The handler of the tests. It remembers what it saw, and answers by path.
#[derive(Default)]
pub struct Echo {
    seen: Mutex<Vec<(String, Vec<u8>)>>,
    refused: Mutex<Vec<(IpAddr, &'static str)>>,
    gate: Mutex<bool>,
    gate_opened: Condvar,
}

impl Echo {
    /// Requests handed to the handler so far: target and body.
    pub fn seen(&self) -> Vec<(String, Vec<u8>)> {
        self.seen.lock().unwrap().clone()
    }

    /// Refusals reported so far.
    pub fn refused(&self) -> Vec<(IpAddr, &'static str)> {
        self.refused.lock().unwrap().clone()
    }

    /// Lets all requests for `/wait` go on.
    pub fn open_gate(&self) {
        *self.gate.lock().unwrap() = true;
        self.gate_opened.notify_all();
    }
}

impl Handler for Echo {
    fn handle(&self, request: Request) -> Reply {
        let echo = Reply::new(200, "text/plain", format!("{} {} ", request.method, request.target));
        match request.path() {
            "/quiet" => return Reply::new(200, "text/plain", request.body),
            "/large" => return Reply::new(200, "text/plain", vec![b'x'; request.query().parse().unwrap()]),
            "/friend" => return echo.to(To::Friend),
            "/panic" => panic!("the test asked for it"),
            "/broken" => return echo.with_header("Location", "/\r\nX-Injected: yes"),
            _ => self.seen.lock().unwrap().push((request.target.clone(), request.body.clone())),
        }
        if request.path() == "/wait" {
            let opened = self.gate.lock().unwrap();
            drop(self.gate_opened.wait_while(opened, |opened| !*opened).unwrap());
        }
        let mut echo = echo.with_header("Body-Sign", "sign");
        echo.body.extend(request.body);
        echo
    }

    fn refused(&self, peer: IpAddr, reason: &'static str) {
        self.refused.lock().unwrap().push((peer, reason));
    }
}

/// A door with its echo.
pub struct House {
    pub door: Door,
    pub echo: Arc<Echo>,
}

impl House {
    pub fn open(settings: DoorSettings) -> Self {
        let echo = Arc::new(Echo::default());
        Self { door: Door::open(settings, Arc::clone(&echo) as Arc<dyn Handler>).unwrap(), echo }
    }

    pub fn address(&self) -> SocketAddr {
        self.door.local_addr()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// A client that sends these bytes on a connection of its own.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = self.connect();
        client.send(bytes);
        client
    }

    /// Fails unless a client that behaves is served promptly, on a new connection.
    pub fn serves_a_healthy_client(&self) {
        let begun = Instant::now();
        let answer = self.send(post("/healthy", "how are you")).answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "POST /healthy how are you"));
        assert!(begun.elapsed() < PROMPT, "served only after {:?}", begun.elapsed());
    }

    /// Waits until no connection is open any more.
    pub fn becomes_empty(&self) {
        self.becomes_empty_but(0);
    }

    /// Waits until no more than so many are open.
    pub fn becomes_empty_but(&self, few: usize) {
        let counters = self.door.counters();
        eventually("connections are closed", || counters.now().open <= few);
    }
}

/// The default settings with the given changes.
pub fn settings(change: impl FnOnce(&mut DoorSettings)) -> DoorSettings {
    let mut settings = DoorSettings::default();
    change(&mut settings);
    settings
}

/// A well-formed GET.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A well-formed POST.
pub fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A connection, and what has been read from it.
pub struct Client<S = TcpStream>(BufReader<S>);

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// By its exact spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// No more will be sent; answers can still be read.
    pub fn finish(&mut self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    /// Over a connection that is there.
    pub fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub fn inner(&mut self) -> &mut S {
        self.0.get_mut()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.answer_head();
        self.read_body(&mut answer);
        answer
    }

    /// Reads what belongs to the head of an answer.
    pub fn read_body(&mut self, answer: &mut Answer) {
        let length = answer.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).unwrap();
    }

    /// Reads the head of an answer only.
    pub fn answer_head(&mut self) -> Answer {
        let status = self.line();
        let status = status.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no status line: {status:?}"));
        let status = status[..3].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "");
                return Answer { status, headers, body: Vec::new() };
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Whether the door has ended the connection, with nothing more to read. A reset counts: it is how a connection
    /// with unread bytes ends.
    pub fn is_ended(&mut self) -> bool {
        match self.0.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }

    /// Whether the connection was reset, and what had been answered with it.
    pub fn is_reset(&mut self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        self.0.fill_buf().is_err_and(|error| matches!(error.kind(), BrokenPipe | ConnectionReset))
    }

    /// An answer of this status, announced to be the last one, and the end.
    pub fn is_refused(&mut self, status: u16) {
        let answer = self.answer();
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("Connection"), Some("close"));
        assert!(self.is_ended());
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("not a whole line: {line:?}")).to_owned()
    }
}

/// Waits for what other threads bring about.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a test in a process of its own, where descriptors, threads and memory are nobody else's. `name` is the path of
/// the calling test.
pub fn alone(name: &str, test: impl FnOnce()) {
    const MARK: &str = "KOOGATE_TEST_ALONE";
    if env::var_os(MARK).is_some() {
        return test();
    }
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let output = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

/// Open descriptors of this process.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A figure of /proc/self/status: `VmRSS` (in KiB) or `Threads`.
pub fn process_figure(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
