//! `koogate support-bundle`: one archive that tells what is the matter and nothing of anybody. That no secret is in it is seen where
//! everything is run with secrets (`canaries/everything`).

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::{Application, KEY, Scratch, eventually, new_instance, text};
use crate::shop::{FIXED, IMPATIENT};
use crate::supervisor::Reserved;

/// The files in it by name.
fn unpacked(scratch: &Scratch, name: &str) -> BTreeMap<String, String> {
    let packed = std::fs::File::open(scratch.path(name)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        files.insert(path.split_once('/').unwrap().1.to_owned(), content);
    }
    files
}

#[test]
fn it_holds_what_helps_and_ids_only_where_they_are_wanted() {
    let application = Application::start(|_| (500, "Zhang San has no account".to_owned()));
    let (scratch, reserved) = (Scratch::new(FIXED), Reserved::new());
    let admin = format!("{IMPATIENT}[admin]\nlisten = \"{}\"\ntoken = \"0123456789abcdef\"\n", reserved.address);
    scratch.configure(&[KEY], &admin, &application.product(""));
    let koogate = scratch.serve();
    // A call that is refused.
    koogate.post("/saasproduce?signature=x&timestamp=1&nonce=y", b"{}").unwrap();
    koogate.call(&new_instance("CS1"));
    let instance = &scratch.run_json(&["instance", "list", "--json"])[0]["instanceId"];
    let instance = instance.as_str().unwrap();
    eventually(
        || Some(()).filter(|()| scratch.run_ok(&["instance", "show", instance]).contains("no account")),
        || scratch.run_ok(&["instance", "show", instance]),
    );
    let said = scratch.run_ok(&["support-bundle", "one.tar.gz", "--offline"]);
    let files = unpacked(&scratch, "one.tar.gz");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "calls.json",
            "check.jsonl",
            "config.jsonl",
            "database.json",
            "jobs.json",
            "log.txt",
            "server.txt",
            "system.json"
        ]
    );
    // What it prints is what is in it.
    assert!(said.starts_with(files["README.txt"].trim_end()), "{said}");
    let read = |name: &str| -> Value { serde_json::from_str(&files[name]).unwrap() };
    assert_eq!(read("database.json")["rows"]["instance"], 1);
    assert_eq!(read("calls.json")[0]["activity"], "newInstance");
    let server = &files["server.txt"];
    assert!(server.contains("     1  basic-v2: ") && server.contains("\nkoogate_"), "{server}");
    let jobs = read("jobs.json");
    let failed = &jobs["failed"][0];
    assert!(failed["lastError"].as_str().unwrap().contains("500"), "{jobs:#}");
    let all: String = files.values().map(String::as_str).collect();
    for stranger in [instance, "Zhang", "CS1", KEY, "0123456789abcdef"] {
        assert!(!all.contains(stranger), "{stranger}: {all}");
    }
    scratch.run_ok(&["support-bundle", "two.tar.gz", "--offline", "--with-ids"]);
    let jobs: Value = serde_json::from_str(&unpacked(&scratch, "two.tar.gz")["jobs.json"]).unwrap();
    assert_eq!(jobs["failed"][0]["instance"], instance);
    // Nothing is written over.
    let again = scratch.run(&["support-bundle", "two.tar.gz", "--offline"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("cannot make two.tar.gz"), "{}", text(&again.stderr));
    koogate.stop();
}

#[test]
fn without_a_server_and_a_database_there_is_still_something_to_send() {
    let scratch = Scratch::new(FIXED);
    // The journal comes from a program; here from another of its name.
    let line = "2026-11-26T15:00:00.123Z WARN  koogate::jobs the application refused Zhang";
    std::fs::write(scratch.path("journalctl"), format!("#!/bin/sh\necho '{line}'\necho Zhang San\n")).unwrap();
    std::fs::set_permissions(scratch.path("journalctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", scratch.path("").display(), std::env::var("PATH").unwrap());
    let mut bundle = scratch.command(&["support-bundle", "one.tar.gz", "--offline"]);
    assert!(bundle.env("PATH", path).output().unwrap().status.success());
    let files = unpacked(&scratch, "one.tar.gz");
    assert!(files["check.jsonl"].contains("is not there yet") && files["server.txt"].contains("is not configured"));
    assert_eq!(files["log.txt"], "2026-11-26T15:00:00.123Z WARN koogate::jobs the application refused …\n");
}
