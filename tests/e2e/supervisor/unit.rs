//! The systemd unit and what the documents say of it agree with each other and with the program.

use std::process::Command;
use std::time::Duration;

use crate::harness::text;

const UNIT: &str = include_str!("../../../packaging/koogate.service");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// The values of a setting of the unit.
fn values(name: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

fn value(name: &str) -> &'static str {
    let found = values(name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0]
}

fn time(name: &str) -> Duration {
    let text = value(name);
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = if unit == "min" { 60 } else { 1 };
    Duration::from_secs(digits.parse::<u64>().unwrap() * seconds)
}

#[test]
fn what_the_unit_starts_and_where_is_what_the_documents_install() {
    let (program, arguments) = value("ExecStart").split_once(' ').unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_koogate")).args(arguments.split(' ')).arg("--help").output().unwrap();
    assert!(help.status.success(), "{arguments}: {}", text(&help.stderr));
    let folder = value("WorkingDirectory");
    assert_eq!(folder, format!("/var/lib/{}", value("StateDirectory")));
    let user = value("User");
    for said in [
        format!("install -m 755 target/release/koogate {program}"),
        "install -m 644 packaging/koogate.service /etc/systemd/system/koogate.service".to_owned(),
        format!("useradd --system --home-dir {folder} --create-home {user}"),
        format!("sudo -u {user} koogate init {folder}"),
    ] {
        assert!(OPERATIONS.contains(&said), "docs/operations.md does not say: {said}");
    }
    assert_eq!(value("ExecReload"), "/bin/kill -HUP $MAINPID");
}

#[test]
fn the_unit_leaves_the_process_the_time_it_takes() {
    // The watchdog inside ends the process after twelve looks of ten seconds, and says why: it is to come first.
    assert!(time("WatchdogSec") > Duration::from_secs(150));
    // The longest answer_within, the attempts' and the usage push's grace, and a snapshot.
    assert!(time("TimeoutStopSec") > Duration::from_secs(15 + 2 + 5 + 5 + 30));
    assert!(time("TimeoutStartSec") >= Duration::from_secs(600));
    assert_eq!((value("Type"), value("NotifyAccess"), value("Restart")), ("notify", "main", "always"));
}

#[test]
fn what_the_documents_loosen_is_in_the_unit() {
    let section = OPERATIONS.split("### The unit\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let named = section.split('`').skip(1).step_by(2).filter_map(|text| text.split_once('=')).map(|(name, _)| name);
    // It adds to a list, and a service without it may write nowhere but to its own folder.
    let named: Vec<&str> = named.filter(|name| *name != "ReadWritePaths").collect();
    let settings: Vec<&str> =
        named.into_iter().filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase())).collect();
    assert!(settings.len() >= 5, "{settings:?}");
    for name in settings {
        assert!(!values(name).is_empty(), "{name} is in docs/operations.md and not in packaging/koogate.service");
    }
}

#[test]
#[ignore = "needs systemd-analyze (Debian: systemd): .ci/run runs it where it is installed"]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("koogate.service");
    // It looks whether the program is there.
    let here = UNIT.replace("/usr/local/bin/koogate", env!("CARGO_BIN_EXE_koogate"));
    std::fs::write(&file, here).unwrap();
    let analyze = |args: &[&str]| Command::new("systemd-analyze").args(args).arg(&file).output();
    let verified = analyze(&["verify"]).expect("systemd-analyze; install systemd");
    assert!(verified.status.success() && verified.stderr.is_empty(), "{}", text(&verified.stderr));
    let exposure = analyze(&["security", "--offline=true", "--threshold=20"]).unwrap();
    assert!(exposure.status.success(), "more exposed than 2.0 of 10:\n{}", text(&exposure.stdout));
}
