//! The processes that are measured: koogate itself, the door alone, and axum with koogate's dispatcher.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use koogate::http::{Door, DoorSettings, Reply, Request};
use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::secret::Secret;

use super::calls::KEY;

/// Makes this program the door without a database.
pub const DOOR_ARGUMENT: &str = "serve-fixed-answer";

/// The binary under test.
pub const KOOGATE: &str = env!("CARGO_BIN_EXE_koogate");

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it is called.
    pub address: SocketAddr,
}

impl Server {
    /// koogate on a folder.
    pub fn koogate(folder: &Path, commit_batch: usize, flush_delay: Option<Duration>) -> Self {
        configure(folder, commit_batch);
        let mut command = Command::new(KOOGATE);
        command.current_dir(folder).arg("serve");
        if let Some(delay) = flush_delay {
            command.env("KOOGATE_FAULT_DELAY", format!("commit:{}", delay.as_millis()));
        }
        Self::start(command)
    }

    /// The door in front of a handler that always answers the same.
    pub fn door() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(DOOR_ARGUMENT);
        Self::start(command)
    }

    /// axum in front of koogate's dispatcher, if it has been built.
    pub fn axum(folder: &Path) -> Option<Self> {
        let program = std::env::var_os("KOOGATE_PEER").map(PathBuf::from);
        let program = program.unwrap_or_else(|| Path::new(KOOGATE).with_file_name("peer-axum"));
        if !program.exists() {
            eprintln!("no {}: build benches/peer-axum for the comparison with axum", program.display());
            return None;
        }
        configure(folder, 512);
        let mut command = Command::new(program);
        command.current_dir(folder).arg("koogate.toml");
        Some(Self::start(command))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = address_in(&mut log).unwrap_or_else(|| panic!("{command:?} did not start"));
        // Whatever it says later must not fill the pipe; what matters is shown.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok).filter(|line| !line.contains("INFO")) {
                eprintln!("{line}");
            }
        });
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the start of the process to the first answer.
pub fn time_to_ready(folder: &Path) -> Duration {
    let begun = Instant::now();
    let server = Server::koogate(folder, 512, None);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    let taken = begun.elapsed();
    assert_eq!(&answer, b"HTTP/1.1 200");
    taken
}

/// The handler's part of [`Server::door`]: an answer of the size of a creation's.
pub fn serve_fixed_answer() {
    let key = AccessKey::new("bench".to_owned(), Secret::new(KEY.to_owned()));
    let body = br#"{"resultCode":"000000","resultMsg":"success","instanceId":"11111111-2222-3333-4444-555555555555"}"#;
    let sign = body_sign::header_value(&key, body);
    let handler = move |_: Request| Reply::new(200, "application/json", *body).with_header("Body-Sign", sign.clone());
    let door = Door::open(DoorSettings::default(), Arc::new(handler)).unwrap();
    eprintln!("serves http://{}/", door.local_addr());
    loop {
        std::thread::park();
    }
}

/// Fixed fulfilment, and no snapshot but the first, so that no round has one and another not.
pub fn configure(folder: &Path, commit_batch: usize) {
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[database]
snapshot_every = "1d"
commit_batch = {commit_batch}
[keys]
basic = "{KEY}"
sealing_key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
[[product]]
fulfilment = "fixed"
access = {{ front_end_url = "https://app.example.com/{{instanceId}}", admin_url = "https://app.example.com/admin" }}
"#
    );
    let file = folder.join("koogate.toml");
    fs::write(&file, text).unwrap();
    // It holds a key; koogate warns where others could read it.
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn address_in(log: &mut BufReader<ChildStderr>) -> Option<SocketAddr> {
    let mut line = String::new();
    while log.read_line(&mut line).unwrap() > 0 {
        if let Some((_, rest)) = line.split_once("serves http://") {
            return rest[..rest.find('/')?].parse().ok();
        }
        eprint!("{line}");
        line.clear();
    }
    None
}
