//! The koogate that is put under load: on a folder of its own, with or without HTTPS, with a disk as slow as wanted.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::calls::{self, KEY, Said};
use super::machine;

/// A running server; killed when dropped.
pub struct Victim {
    child: Child,
    folder: TempDir,
    pub address: SocketAddr,
    /// Lines of its log: what abuse must not fill a disk with.
    lines: Arc<AtomicU64>,
}

impl Victim {
    /// Starts one with everything at its default but the address. The delay is before each commit, in milliseconds.
    pub fn start(tls: bool, flush_delay: Option<u64>) -> Self {
        let folder = machine::scratch();
        let server_tls = if tls { certificate(&folder) } else { "" };
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
{server_tls}
[database]
snapshot_every = "1d"
[keys]
basic = "{KEY}"
sealing_key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
[[product]]
fulfilment = "fixed"
access = {{ front_end_url = "https://app.example.com/{{instanceId}}", admin_url = "https://app.example.com/admin" }}
"#
        );
        private(&folder, "koogate.toml", &text);
        // Another build, to be compared with.
        let program = std::env::var_os("KOOGATE_OVERLOADED").unwrap_or_else(|| env!("CARGO_BIN_EXE_koogate").into());
        let mut command = Command::new(program);
        command.current_dir(folder.path()).arg("serve").stdin(Stdio::null()).stderr(Stdio::piped());
        if let Some(delay) = flush_delay {
            command.env("KOOGATE_FAULT_DELAY", format!("commit:{delay}"));
        }
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log.by_ref().find_map(|line| {
            let rest = line.split_once("serves http")?.1.split_once("://")?.1;
            rest[..rest.find('/')?].parse().ok()
        });
        let lines = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lines);
        std::thread::spawn(move || log.for_each(|_| _ = counted.fetch_add(1, Ordering::Relaxed)));
        Self { child, folder, address: address.expect("koogate did not start"), lines }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets no commit reach the disk for so long: another process (this one) keeps the lock for writing. To those who
    /// call that is what a disk is that does not answer.
    pub fn stop_disk(&self, time: Duration) {
        let connection = rusqlite::Connection::open(self.folder.path().join("koogate.db")).unwrap();
        // The server lets go of the lock for a moment only: whoever sleeps in between does not get it.
        connection.busy_timeout(Duration::ZERO).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            assert!(Instant::now() < until, "{error}");
            std::thread::yield_now();
        }
        std::thread::sleep(time);
        connection.execute_batch("ROLLBACK").unwrap();
    }

    /// Lines it has logged since it serves.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes these calls on one connection, each after the answer to the one before.
pub fn all_succeed(address: SocketAddr, requests: Vec<Vec<u8>>) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    requests.iter().all(|request| {
        stream.write_all(request).unwrap();
        let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0, "the server closed the connection");
            bytes.extend_from_slice(&part[..count]);
            if let Some((said, _)) = calls::answer(&bytes) {
                return said == Said::Code(*b"000000");
            }
        }
    })
}

/// A certificate that signed itself; whoever shakes hands here looks at none.
fn certificate(folder: &TempDir) -> &'static str {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    private(folder, "certificate.pem", &pem("CERTIFICATE", params.self_signed(&key).unwrap().der()));
    private(folder, "key.pem", &pem("PRIVATE KEY", &key.serialize_der()));
    "[server.tls]\ncertificate = \"certificate.pem\"\nprivate_key = \"key.pem\""
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64_MIME.encode(der).trim_end())
}

/// koogate warns where others could read it.
fn private(folder: &TempDir, name: &str, text: &str) {
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
