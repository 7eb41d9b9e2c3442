//! `koogate check`: what it finds, and that it costs a wrong key one call. What is sold and the machine are in `machine`, the way
//! from outside in `way`.

mod machine;
mod way;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{KEY, Scratch, text};
use crate::koogallery::KooGallery;
use crate::shop::FIXED;

/// What `koogate check --json` finds, by subject: the last word of each.
fn found(scratch: &Scratch, subject: &str) -> Value {
    all(scratch, &[]).into_iter().rfind(|line| line["subject"] == subject).unwrap_or_default()
}

/// Everything it finds with these arguments besides.
fn all(scratch: &Scratch, args: &[&str]) -> Vec<Value> {
    let output = scratch.run(&[&["check", "--json"], args].concat());
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has_error = lines.iter().any(|line| line["level"] == "error");
    assert_eq!(output.status.code(), Some(i32::from(has_error)), "{lines:#?}");
    for line in lines.iter().filter(|line| line["level"] == "error") {
        assert!(line["mend"].is_string(), "an error without a mend: {line}");
    }
    lines
}

/// The level and the text of what was found on a subject.
fn on<'l>(lines: &'l [Value], subject: &str) -> Vec<(&'l str, &'l str)> {
    let of_subject = lines.iter().filter(|line| line["subject"] == subject);
    of_subject.map(|line| (line["level"].as_str().unwrap(), line["text"].as_str().unwrap())).collect()
}

/// A folder whose database is there.
fn scratch(koogallery: &KooGallery) -> Scratch {
    let scratch = Scratch::new(FIXED);
    scratch.configure(&[KEY], &koogallery.toml(), FIXED);
    scratch.serve().stop();
    scratch
}

#[test]
fn everything_is_well() {
    let koogallery = KooGallery::start();
    let scratch = scratch(&koogallery);
    for subject in ["configuration", "database", "work", "usage", "koogallery"] {
        assert_eq!(found(&scratch, subject)["level"], "ok", "{subject}: {}", found(&scratch, subject));
    }
    let shown = scratch.run_ok(&["check"]);
    assert!(shown.contains("accepts the access key"), "{shown}");
    let subjects: BTreeSet<_> = shown.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    for subject in [
        "account",
        "address",
        "certificate",
        "clock",
        "configuration",
        "database",
        "disk",
        "file-system",
        "files",
        "koogallery",
        "server",
        "snapshot",
        "usage",
        "work",
    ] {
        assert!(subjects.contains(subject), "{subject}: {shown}");
    }
}

#[test]
fn what_is_wrong_in_the_file_is_told_and_nothing_else_looked_at() {
    let scratch = Scratch::new(FIXED);
    std::fs::write(scratch.path("koogate.toml"), "[serve]\n").unwrap();
    let finding = found(&scratch, "configuration");
    assert_eq!(finding["level"], "error");
    assert!(found(&scratch, "database").is_null());
}

#[test]
fn a_wrong_secret_costs_one_call_however_often_is_checked() {
    let koogallery = KooGallery::start();
    let scratch = scratch(&koogallery);
    let wrong = koogallery.toml().replace("sk-test", "sk-wrong");
    scratch.configure(&[KEY], &wrong, FIXED);
    let first = found(&scratch, "koogallery");
    assert!(first["text"].as_str().unwrap().contains("APIGW.0301"), "{first}");
    for _ in 0..8 {
        let again = found(&scratch, "koogallery");
        assert!(again["text"].as_str().unwrap().contains("nothing is called before"), "{again}");
    }
    assert_eq!(koogallery.calls().len(), 1);
    // Another secret is tried at once.
    scratch.configure(&[KEY], &koogallery.toml(), FIXED);
    assert_eq!(found(&scratch, "koogallery")["level"], "ok");
    assert!(!koogallery.locked());
}

#[test]
fn a_wrong_clock_is_told_from_a_wrong_key() {
    let koogallery = KooGallery::start();
    let scratch = scratch(&koogallery);
    koogallery.shift_clock(jiff::SignedDuration::from_mins(20));
    let finding = found(&scratch, "koogallery");
    assert!(finding["text"].as_str().unwrap().contains("behind KooGallery's"), "{finding}");
    assert_eq!(found(&scratch, "clock"), Value::Null, "the second check calls nobody");
}

#[test]
fn the_log_and_the_metrics_tell_a_refused_key() {
    let koogallery = KooGallery::start();
    let scratch = Scratch::new(FIXED);
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n";
    scratch.configure(&[KEY], &(koogallery.toml().replace("sk-test", "sk-wrong") + admin), FIXED);
    let koogate = scratch.serve();
    let metrics = || text(&koogate.admin("GET", "/metrics", Some("0123456789abcdef"), "").body);
    assert!(metrics().contains("koogate_open_api_locked 0\n"), "{}", metrics());
    // Another process is refused; the server knows.
    assert_eq!(found(&scratch, "koogallery")["level"], "error");
    assert!(metrics().contains("koogate_open_api_locked 1\n"), "{}", metrics());
    koogate.stop();
}
