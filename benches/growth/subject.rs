//! A database of a certain size, and the koogate that serves it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::machine;
use crate::{fill, rows};

/// The binary under test; another one, of before a change, where `KOOGATE_BINARY` names it.
fn koogate() -> Command {
    Command::new(std::env::var_os("KOOGATE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_koogate").into()))
}

/// The token of the admin listener.
pub const TOKEN: &str = "bench-token-0123456789";

/// What is waited for longest: the snapshot of the largest database.
const PATIENCE: Duration = Duration::from_secs(1200);

/// A folder with a database.
pub struct Subject {
    /// How many exchanges were filled in.
    pub exchanges: u64,
    folder: TempDir,
    pub server: Option<Server>,
}

/// A running koogate; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it is called.
    pub address: SocketAddr,
    admin: SocketAddr,
    /// From the start of the process to the first answer.
    pub ready_after: Duration,
    log: Arc<Mutex<Vec<(Instant, String)>>>,
    began: Instant,
}

/// Sums of koogate's own metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Commits {
    pub count: f64,
    pub seconds: f64,
    pub works: f64,
}

impl Subject {
    /// A database of so many exchanges, made by koogate and filled while it is stopped.
    pub fn make(exchanges: u64) -> Self {
        let folder = machine::scratch();
        let mut subject = Self { exchanges, folder, server: None };
        subject.start(None);
        subject.stop();
        let begun = Instant::now();
        fill::fill(&subject.database(), exchanges);
        eprintln!("filled in {exchanges} exchanges: {:.1} s, {} MiB", begun.elapsed().as_secs_f64(), subject.mib(""));
        subject
    }

    pub fn instances(&self) -> u64 {
        self.exchanges / rows::PER_INSTANCE
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("koogate.db")
    }

    /// Bytes of the database, or of what stands beside it under its name and a suffix.
    pub fn bytes(&self, suffix: &str) -> u64 {
        fs::metadata(self.folder.path().join(format!("koogate.db{suffix}"))).map_or(0, |file| file.len())
    }

    pub fn mib(&self, suffix: &str) -> u64 {
        self.bytes(suffix) >> 20
    }

    /// Keeps a copy of the database, which must be closed, to begin with it again.
    pub fn keep(&self) {
        fs::copy(self.database(), self.folder.path().join("kept")).unwrap();
    }

    /// Begins with the kept copy again: an answer more is a row more, and a small database does not stay small.
    pub fn begin_again(&mut self) {
        self.server = None;
        for name in ["koogate.db-wal", "koogate.db-shm", "koogate.db.lock", "koogate.snapshot.db"] {
            let _ = fs::remove_file(self.folder.path().join(name));
        }
        fs::copy(self.folder.path().join("kept"), self.database()).unwrap();
        self.start(None);
        self.server().wait_for("holds");
    }

    /// The running server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Starts koogate, which begins with a snapshot and purges then what is older than so many days.
    pub fn start(&mut self, keep_days: Option<i64>) {
        self.configure(keep_days.unwrap_or(400));
        let began = Instant::now();
        let mut command = koogate();
        command.current_dir(self.folder.path()).arg("serve");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (mut admin, mut address) = (None, None);
        for line in lines.by_ref() {
            admin = admin.or_else(|| after(&line, "admin API on http://"));
            address = address.or_else(|| after(&line, "serves http://"));
            if line.contains("WARN") || line.contains("ERROR") {
                eprintln!("{line}");
            }
            if admin.is_some() && address.is_some() {
                break;
            }
        }
        let (address, admin) = (address.expect("koogate did not start"), admin.unwrap());
        assert!(get(address, "/healthz", &[]).0.starts_with("HTTP/1.1 200"));
        let ready_after = began.elapsed();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines {
                // A disk that stalls is told once for each call: the tables count those.
                if line.contains("ALERT") {
                    eprintln!("{line}");
                }
                kept.lock().unwrap().push((Instant::now(), line));
            }
        });
        self.server = Some(Server { child, address, admin, ready_after, log, began });
    }

    /// Ends koogate as systemd does; how long that took.
    pub fn stop(&mut self) -> Duration {
        let mut server = self.server.take().unwrap();
        let begun = Instant::now();
        kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
        assert!(server.child.wait().unwrap().success());
        begun.elapsed()
    }

    /// Runs a command beside the server; how long it took.
    pub fn command(&self, arguments: &[&str]) -> Duration {
        let begun = Instant::now();
        let ran = koogate().current_dir(self.folder.path()).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        begun.elapsed()
    }

    fn configure(&self, keep_days: i64) {
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
[database]
snapshot_every = "1d"
keep_exchanges = "{keep_days}d"
[keys]
basic = "{}"
sealing_key = "{}"
[admin]
listen = "127.0.0.1:0"
token = "{TOKEN}"
[[product]]
fulfilment = "fixed"
access = {{ front_end_url = "https://app.example.com/{{instanceId}}", admin_url = "https://app.example.com/admin" }}
"#,
            rows::KEY,
            rows::SEALING_KEY
        );
        let file = self.folder.path().join("koogate.toml");
        fs::write(&file, text).unwrap();
        // It holds a key; koogate warns where others could read it.
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When a line with this text was logged first, since the start.
    pub fn logged(&self, text: &str) -> Option<Duration> {
        let log = self.log.lock().unwrap();
        log.iter().find(|(_, line)| line.contains(text)).map(|(at, _)| at.duration_since(self.began))
    }

    /// The same of the last such line, and how many there were.
    pub fn logged_last(&self, text: &str) -> Option<(Duration, usize)> {
        let log = self.log.lock().unwrap();
        let lines = || log.iter().filter(|(_, line)| line.contains(text));
        lines().next_back().map(|(at, _)| (at.duration_since(self.began), lines().count()))
    }

    /// How many rows of a kind the log says were purged.
    pub fn purged(&self, what: &str) -> usize {
        let log = self.log.lock().unwrap();
        let count = |line: &str| line.split_once("purged ")?.1.strip_suffix(what)?.parse::<usize>().ok();
        log.iter().filter_map(|(_, line)| count(line)).sum()
    }

    /// Waits until a line with this text is logged; since the start.
    pub fn wait_for(&self, text: &str) -> Duration {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.logged(text) {
                return at;
            }
            assert!(begun.elapsed() < PATIENCE, "never logged: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A page or an answer of the admin listener, and how long it took.
    pub fn admin(&self, target: &str, headers: &[(&str, &str)]) -> (String, String, Duration) {
        let begun = Instant::now();
        let (head, body) = get(self.admin, target, headers);
        (head, body, begun.elapsed())
    }

    /// Posts a form to the admin listener.
    pub fn post(&self, target: &str, cookie: &str, form: &str) -> String {
        let headers = format!(
            "Cookie: {cookie}\r\nOrigin: http://{}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n",
            self.admin,
            form.len()
        );
        exchange(self.admin, &format!("POST {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n{form}", self.admin)).0
    }

    /// How commits have gone since the start.
    pub fn commits(&self) -> Commits {
        let bearer = format!("Bearer {TOKEN}");
        let page = self.admin("/metrics", &[("Authorization", &bearer)]).1;
        let of = |name: &str| {
            let mut lines = page.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(found, _)| *found == name).map_or(0.0, |(_, value)| value.parse().unwrap())
        };
        Commits {
            count: of("koogate_commit_duration_seconds_count"),
            seconds: of("koogate_commit_duration_seconds_sum"),
            works: of("koogate_committed_works_total"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn after(line: &str, text: &str) -> Option<SocketAddr> {
    let rest = line.split_once(text)?.1;
    rest.split(['/', ' ']).next()?.trim_end_matches(',').parse().ok()
}

/// Head and body of an answer.
fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> (String, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    exchange(address, &format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n"))
}

fn exchange(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    loop {
        let mut chunk = [0; 16 << 10];
        let count = stream.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if count == 0 || body.len() >= length.unwrap_or(0) {
                return (head.to_owned(), body.to_owned());
            }
        }
        assert!(count > 0, "{address} closed the connection");
    }
}
