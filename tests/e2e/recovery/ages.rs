//! Copies that go out of date or rot are told: by the log, `readyz`, the metrics and `koogate check`.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::harness::{KEY, Koogate, Scratch, eventually, files_in, new_instance, text};
use crate::shop::FIXED;

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"admin-token-0123456789\"\n";
const TOKEN: Option<&str> = Some("admin-token-0123456789");
const SNAPSHOT: &str = "koogate.snapshot.db";

fn configure(scratch: &Scratch, database: &str) {
    scratch.configure(&[KEY], &format!("{ADMIN}[database]\n{database}\n"), FIXED);
}

fn scratch_with(database: &str) -> Scratch {
    let scratch = Scratch::new("");
    configure(&scratch, database);
    scratch
}

fn ready(koogate: &Koogate) -> (u16, String) {
    let answer = koogate.admin("GET", "/readyz", None, "");
    (answer.status, text(&answer.body))
}

fn metric(koogate: &Koogate, name: &str) -> u64 {
    let body = text(&koogate.admin("GET", "/metrics", TOKEN, "").body);
    let line = body.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{body}"));
    line.split(' ').next_back().unwrap().parse().unwrap()
}

fn flip_a_byte(file: &std::path::Path) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let place = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place).unwrap();
}

#[test]
fn a_snapshot_that_cannot_be_taken_any_more_is_told_until_it_can() {
    let scratch = scratch_with("snapshot_every = \"1s\"");
    // A start without a database does not begin anew beside a snapshot.
    scratch.serve().stop();
    let _there_or_not = fs::remove_file(scratch.path(SNAPSHOT));
    // Nothing can take the place of a folder with something in it.
    fs::create_dir_all(scratch.path(SNAPSHOT).join("x")).unwrap();
    let koogate = scratch.serve();
    koogate.wait_for_log("ALERT no snapshot could be taken");
    let told =
        eventually(|| Some(ready(&koogate)).filter(|(status, _)| *status == 503), || format!("{:?}", ready(&koogate)));
    assert!(told.1.starts_with("not ready: no verified snapshot for "), "{told:?}");
    assert!(metric(&koogate, "koogate_snapshot_age_seconds") >= 3);
    // It is the copies that are bad, not the service.
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    let output = scratch.run(&["check"]);
    assert!(text(&output.stdout).contains("error    snapshot"), "{}", text(&output.stdout));
    fs::remove_dir_all(scratch.path(SNAPSHOT)).unwrap();
    eventually(|| (ready(&koogate).0 == 200).then_some(()), || format!("{:?}", ready(&koogate)));
    assert!(text(&scratch.run(&["check"]).stdout).contains("ok       snapshot"));
}

#[test]
fn a_series_that_does_not_go_on_is_told_too() {
    let scratch = scratch_with("snapshots = { directory = \"series\", every = \"1s\", keep = 3 }");
    fs::write(scratch.path("series"), "in the way").unwrap();
    let koogate = scratch.serve();
    let told =
        eventually(|| Some(ready(&koogate)).filter(|(status, _)| *status == 503), || format!("{:?}", ready(&koogate)));
    assert!(told.1.contains("copy of the series [database.snapshots]"), "{told:?}");
    assert!(koogate.log_text().contains("ALERT the series of snapshots could not be continued"));
    assert!(metric(&koogate, "koogate_snapshot_series_age_seconds") >= 3);
    assert!(text(&scratch.run(&["check"]).stdout).contains("warning  snapshot      there is no copy of the series"));
    fs::remove_file(scratch.path("series")).unwrap();
    eventually(|| (ready(&koogate).0 == 200).then_some(()), || format!("{:?}", ready(&koogate)));
}

#[test]
fn check_tells_since_when_calls_are_missing_from_the_snapshot() {
    let scratch = scratch_with("snapshot_every = \"24h\"");
    let koogate = scratch.serve();
    eventually(|| scratch.path(SNAPSHOT).exists().then_some(()), || koogate.log_text());
    let found = || text(&scratch.run(&["check"]).stdout);
    assert!(found().contains("no call is missing from it"), "{}", found());
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    assert!(found().contains("the next one will have the calls since 20"), "{}", found());
    koogate.kill();
    configure(&scratch, "snapshot_every = \"1s\"");
    eventually(|| found().contains("it lacks the calls since 20").then_some(()), found);
}

#[test]
fn a_copy_of_the_series_that_rots_is_found_in_its_turn() {
    let scratch = scratch_with("snapshots = { directory = \"series\", every = \"1s\", keep = 100 }");
    let koogate = scratch.serve();
    let series = || if scratch.path("series").exists() { files_in(&scratch.path("series")) } else { Vec::new() };
    let first = eventually(|| series().iter().find(|name| name.ends_with("Z.db")).cloned(), || koogate.log_text());
    flip_a_byte(&scratch.path("series").join(&first));
    koogate.wait_for_log("ALERT a copy of the series was whole when it was written and is not any more");
    assert!(koogate.log_text().contains(&first));
}
