//! Who is compared: koogate, the axum peer of this crate's neighbour, and whatever lies under `peers/` with the scripts
//! `prepare` and `start`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::ClientConfig;

use crate::harness::line;
use crate::harness::server::{KOOGATE, configure};
use crate::process::Process;

/// The one that all others are compared with.
pub const OURS: &str = "koogate";

/// Something that can be started.
#[derive(Clone)]
pub struct Peer {
    pub name: String,
    program: Program,
    /// It speaks HTTPS, and nothing else.
    pub tls: bool,
}

#[derive(Clone)]
enum Program {
    Koogate,
    Axum { binary: PathBuf, mode: &'static str },
    Scripts { folder: PathBuf, target: PathBuf },
}

/// Why a peer is not there.
pub struct LeftOut {
    pub name: String,
    pub reason: String,
}

/// Who can take part here, and who cannot.
pub struct Prepared {
    pub peers: Vec<Peer>,
    pub left_out: Vec<LeftOut>,
    /// What they are made of, in the words of their `prepare`.
    pub versions: Vec<String>,
}

/// koogate, and all peers that can be prepared here.
pub fn prepare(with_peers: bool) -> Prepared {
    let koogate = |tls| Peer { name: OURS.to_owned(), program: Program::Koogate, tls };
    let (mut peers, mut left_out) = (vec![koogate(false), koogate(true)], Vec::new());
    let mut versions = vec![run(Command::new("rustc").arg("--version")).unwrap_or_default()];
    if !with_peers {
        return Prepared { peers, left_out, versions };
    }
    match build_axum() {
        Ok(binary) => {
            versions.push(axum_versions());
            for (name, mode, tls) in [
                ("axum, group commit", "group-commit", false),
                ("axum, group commit", "group-commit", true),
                ("axum, a commit each", "one-commit", false),
            ] {
                let program = Program::Axum { binary: binary.clone(), mode };
                peers.push(Peer { name: name.to_owned(), program, tls });
            }
        }
        Err(reason) => left_out.push(LeftOut { name: "axum".to_owned(), reason }),
    }
    for folder in script_folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let target = targets().join(&name);
        fs::create_dir_all(&target).unwrap();
        match run(Command::new(folder.join("prepare")).arg(&target)) {
            Ok(version) => {
                versions.push(version);
                peers.push(Peer { name, program: Program::Scripts { folder, target }, tls: false });
            }
            Err(reason) => left_out.push(LeftOut { name, reason }),
        }
    }
    Prepared { peers, left_out, versions }
}

impl Peer {
    /// Starts it in a folder.
    pub fn start(&self, folder: &Path, identity: &Identity) -> Result<Process, String> {
        let mut command = match &self.program {
            Program::Koogate => {
                configure(folder, 512);
                if self.tls {
                    identity.write_into_configuration(folder);
                }
                let mut command = Command::new(KOOGATE);
                command.arg("serve");
                command
            }
            Program::Axum { binary, mode } => {
                let mut command = Command::new(binary);
                command.args([mode, "0"]);
                if self.tls {
                    let (certificate, key) = identity.write(folder);
                    command.args([certificate, key]);
                }
                command
            }
            Program::Scripts { folder, target } => {
                let mut command = Command::new(folder.join("start"));
                command.arg(target).arg(free_port().to_string());
                command
            }
        };
        command.current_dir(folder);
        Process::start(command)
    }

    /// A script of the peer's that counts the rows of its journal, where the file is none of SQLite's.
    pub fn counter(&self) -> Option<Command> {
        let Program::Scripts { folder, target } = &self.program else { return None };
        let script = folder.join("count");
        script.exists().then(|| {
            let mut command = Command::new(script);
            command.arg(target);
            command
        })
    }
}

/// A certificate that all servers use, and the client that knows it.
pub struct Identity {
    certificate: String,
    key: String,
    pub client: Arc<ClientConfig>,
}

impl Identity {
    /// ECDSA P-256, signed by itself.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let client = line::client_config(made.cert.der().clone());
        let certificate = pem("CERTIFICATE", made.cert.der());
        Self { certificate, key: pem("PRIVATE KEY", &made.signing_key.serialize_der()), client }
    }

    fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, &self.certificate).unwrap();
        fs::write(&key, &self.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        (certificate, key)
    }

    fn write_into_configuration(&self, folder: &Path) {
        let (certificate, key) = self.write(folder);
        let file = folder.join("koogate.toml");
        let mut text = fs::read_to_string(&file).unwrap();
        let (certificate, key) = (certificate.display(), key.display());
        text.push_str(&format!("[server.tls]\ncertificate = \"{certificate}\"\nprivate_key = \"{key}\"\n"));
        fs::write(&file, text).unwrap();
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Below `target/`, where everything lies that is built for the comparison.
pub fn targets() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("compare")
}

fn build_axum() -> Result<PathBuf, String> {
    let target = targets().join("axum");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // From here cargo finds .cargo/config.toml: SQLite is compiled for it as for koogate.
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg("benches/compare/peers/axum/Cargo.toml").arg("--target-dir").arg(&target);
    run(&mut cargo)?;
    Ok(target.join("release/compare-axum"))
}

fn axum_versions() -> String {
    let lock = include_str!("peers/axum/Cargo.lock");
    let version = |name: &&str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
        format!("{name} {}", rest.split('"').next().unwrap())
    };
    ["axum", "hyper", "tokio", "rusqlite", "tokio-rustls"].iter().map(version).collect::<Vec<_>>().join(", ")
}

fn script_folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/peers");
    let mut folders: Vec<PathBuf> = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("prepare").exists() && folder.join("start").exists());
    folders.sort();
    folders
}

/// Runs a command; the last line of its output, or what went wrong.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    eprintln!("{name} …");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let last = |bytes: &[u8], count| {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join(" / ")
    };
    if output.status.success() {
        Ok(last(&output.stdout, 1))
    } else {
        Err(format!("{name}: {}", last(&output.stderr, 3)))
    }
}

/// A port outside the range from which the kernel takes those of clients.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], *port))).is_ok();
    (21_000..30_000).find(is_free).unwrap()
}
