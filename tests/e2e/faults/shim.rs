//! The C file that puts faults under an unmodified koogate (`tests/shim/faults.c`), and its control file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::harness::{Ended, Koogate, Scratch};

/// Faults for one server: none, until there are rules.
pub struct Shim {
    folder: TempDir,
    platter: bool,
}

impl Shim {
    /// Without faults.
    pub fn new() -> Self {
        let shim = Self { folder: tempfile::tempdir().unwrap(), platter: false };
        shim.rules("");
        shim
    }

    /// The same, and the server's disk forgets at a power cut whatever no sync has confirmed.
    pub fn with_platter() -> Self {
        let shim = Self { platter: true, ..Self::new() };
        std::fs::create_dir(shim.platter()).unwrap();
        shim
    }

    /// Puts these rules in force, one a line, in place of others; `hits` and the count of calls begin anew.
    pub fn rules(&self, rules: &str) {
        let (next, hits) = (self.folder.path().join("next"), self.hits_file());
        if hits.exists() {
            std::fs::remove_file(hits).unwrap();
        }
        std::fs::write(&next, rules).unwrap();
        std::fs::rename(next, self.control()).unwrap();
    }

    /// The calls that met a fault since the rules were set: what, the how-manieth, and the file.
    pub fn hits(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.hits_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// `koogate` with these arguments on top of the shim.
    pub fn command(&self, scratch: &Scratch, args: &[&str]) -> Command {
        let mut command = scratch.command(args);
        command.env("LD_PRELOAD", library()).env("KOOGATE_SHIM", self.control());
        if self.platter {
            command.env("KOOGATE_SHIM_PLATTER", self.platter());
        }
        command
    }

    /// Starts the server on top of the shim.
    pub fn serve(&self, scratch: &Scratch) -> Koogate {
        self.try_serve(scratch).unwrap_or_else(|ended| panic!("koogate did not start:\n{}", ended.log))
    }

    /// The same where a fault may be in the way.
    pub fn try_serve(&self, scratch: &Scratch) -> Result<Koogate, Ended> {
        let configuration = std::fs::read_to_string(scratch.path("koogate.toml")).unwrap();
        Koogate::start(self.command(scratch, &["serve"]), configuration.contains("[admin]"))
    }

    /// Leaves of the database's files what a power cut leaves: what was synced. The server must be dead.
    pub fn cut_power(&self, scratch: &Scratch) {
        for name in ["koogate.db", "koogate.db-wal", "koogate.db-shm", "koogate.db-journal", "koogate.db.lock"] {
            let (file, synced) = (scratch.path(name), self.platter().join(name));
            if file.exists() {
                std::fs::remove_file(&file).unwrap();
            }
            if synced.exists() {
                std::fs::copy(synced, file).unwrap();
            }
        }
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("rules")
    }

    fn hits_file(&self) -> PathBuf {
        self.folder.path().join("rules.hits")
    }

    fn platter(&self) -> PathBuf {
        self.folder.path().join("platter")
    }
}

/// The compiled shim: once for all tests of a run.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/faults.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Under a name of this process first: another run may be using the old one.
        let (made, library) = (folder.join(format!("faults-{}.so", std::process::id())), folder.join("faults.so"));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(&compiler);
        command
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Wshadow", "-o"])
            .arg(&made)
            .arg(source)
            .arg("-ldl");
        let output = command.output().unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(made, &library).unwrap();
        library
    })
}
