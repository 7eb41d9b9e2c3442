//! The restore drill: the folder is lost, and a new machine has the snapshot and the sealing key.

use std::fs;

use rusqlite::Connection;

use crate::harness::{Answer, Application, KEY, Koogate, SEALING_KEY, Scratch, eventually, new_instance, renewal};
use crate::shop::{instance_id, retry};
use crate::token_get::{self, decrypted, purchase};

const SNAPSHOT: &str = "koogate.snapshot.db";

fn folder(application: &Application) -> Scratch {
    let scratch = Scratch::new("");
    fs::write(scratch.path("sealing.key"), format!("{SEALING_KEY}\n")).unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1s\"\n\
         [database]\nsnapshot_every = \"1s\"\n\
         [keys]\nbasic = \"{KEY}\"\nsealing_key = {{ file = \"sealing.key\" }}\n{}",
        application.product("")
    );
    fs::write(scratch.path("koogate.toml"), text).unwrap();
    scratch
}

fn calls_in(file: &std::path::Path) -> i64 {
    let database = Connection::open(file).unwrap();
    database.query_row("SELECT count(*) FROM exchange", [], |row| row.get(0)).unwrap()
}

fn expect(koogate: &Koogate, body: &serde_json::Value) -> Answer {
    let answer = koogate.call(body);
    assert_eq!(answer.code(), "000000", "{}", koogate.log_text());
    answer
}

#[test]
fn everything_up_to_the_snapshot_is_answered_verbatim_on_a_new_machine_and_work_goes_on() {
    let application = Application::ready();
    let lost = folder(&application);
    let koogate = lost.serve();
    let mut acknowledged = Vec::new();
    for order in ["CS1", "CS2", "CS3"] {
        let body = new_instance(order);
        let answer = expect(&koogate, &body);
        let renewed = renewal(&instance_id(&answer), &format!("{order}-R"), 2099);
        acknowledged.push((body, answer));
        acknowledged.push((renewed.clone(), expect(&koogate, &renewed)));
    }
    let encrypted = token_get::call(&koogate, &purchase("CS4"));
    let has_all = || (lost.path(SNAPSHOT).exists() && calls_in(&lost.path(SNAPSHOT)) == 7).then_some(());
    eventually(has_all, || koogate.log_text());
    // After the last snapshot, and lost with the machine.
    expect(&koogate, &new_instance("CS5"));
    koogate.kill();

    let new = folder(&application);
    fs::copy(lost.path(SNAPSHOT), new.path("from-elsewhere.db")).unwrap();
    drop(lost);
    assert!(new.run_ok(&["verify", "from-elsewhere.db"]).contains("7 exchanges"));
    new.run_ok(&["restore", "from-elsewhere.db"]);
    let koogate = new.serve();
    for (body, answer) in &acknowledged {
        assert_eq!(koogate.call(&retry(body)).verbatim(), answer.verbatim(), "{body}");
    }
    let again = token_get::call(&koogate, &purchase("CS4"));
    assert_eq!(again.verbatim(), encrypted.verbatim());
    let password = again.json()["appInfo"]["password"].as_str().unwrap().to_owned();
    assert_eq!(decrypted(KEY, "1", &password), "p-1");
    expect(&koogate, &new_instance("CS6"));
    koogate.stop();
    // No number of the lost calls is given again, and the journal proves itself all the same.
    let exchanges = new.run_json(&["exchange", "list", "--order", "CS6", "--json"]);
    assert!(exchanges[0]["id"].as_i64() > Some(1_000_007), "{exchanges:?}");
    new.run_ok(&["verify", "koogate.db"]);
    new.run_ok(&["verify", SNAPSHOT]);
}

#[test]
fn a_copy_of_a_restored_database_is_whole_and_can_be_restored_again() {
    let application = Application::ready();
    let scratch = folder(&application);
    let koogate = scratch.serve();
    let first = expect(&koogate, &new_instance("CS1"));
    koogate.stop();
    for round in 1..=3 {
        let told = scratch.run_ok(&["restore", SNAPSHOT]);
        assert!(told.contains("koogate restore --report"), "{told}");
        let koogate = scratch.serve();
        assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim(), "{round}");
        koogate.stop();
        scratch.run_ok(&["verify", SNAPSHOT]);
    }
    assert_eq!(crate::shop::count(&scratch, "restore"), 3);
}
