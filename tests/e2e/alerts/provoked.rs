//! Every alarm, brought about and heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use koogate::alert::beijing;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::{Listener, OFTEN, folder, taken, write};
use crate::faults::shim::Shim;
use crate::harness::{Application, Koogate, Scratch, new_instance, ready_answer, status_change};
use crate::koogallery::{Behaviour, KooGallery, Reply, Route};
use crate::shop::{FIXED, FUTURE, instance_id, renewal};

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";
const MANUAL: &str = "[[product]]\nfulfilment = \"manual\"\n";
const HOUR_MS: i64 = 3_600_000;

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64.encode(der))
}

fn serve(scratch: &Scratch) -> Koogate {
    scratch.serve_with(&[OFTEN])
}

/// On top of the shim, looking as often.
fn serve_on(shim: &Shim, scratch: &Scratch) -> Koogate {
    let mut command = shim.command(scratch, &["serve"]);
    command.env(OFTEN.0, OFTEN.1);
    Koogate::start(command, false).unwrap_or_else(|ended| panic!("koogate did not start:\n{}", ended.log))
}

#[test]
fn a_dead_job_is_told_and_so_is_its_end() {
    let listener = Listener::start();
    let refuses = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&refuses);
    let application = Application::start(move |event| match asked.load(Ordering::SeqCst) {
        true => (200, json!({ "status": "refused", "resultCode": "000105", "message": "never" }).to_string()),
        false => (200, ready_answer(event)),
    });
    let scratch = folder(&listener, "", &application.product(""));
    let koogate = serve(&scratch);
    koogate.call(&new_instance("CS-1"));
    let alert = listener.wait_for(&koogate, "job-dead", "new");
    assert_eq!(taken(&alert), json!({ "kind": "job-dead", "subject": "1", "severity": "urgent" }));
    let what = alert["what"]["en"].as_str().unwrap();
    let id = what.rsplit(' ').next().unwrap();
    assert!(what.starts_with("job 1 (instance.create, ") && what.contains("koogate instance retry "), "{what}");
    refuses.store(false, Ordering::SeqCst);
    scratch.run_ok(&["instance", "retry", id]);
    listener.wait_for(&koogate, "job-dead", "over");
    koogate.stop();
}

#[test]
fn an_order_near_its_refund_and_an_instance_that_waits_are_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", MANUAL);
    let koogate = serve(&scratch);
    koogate.call(&new_instance("CS-1"));
    listener.wait_for(&koogate, "instance-waiting", "new");
    koogate.stop();
    assert_eq!(listener.count("creation-open", "new"), 0);
    write(&scratch, &format!("UPDATE operation SET created_at = created_at - 2 * {HOUR_MS}"));
    let koogate = serve(&scratch);
    let alert = listener.wait_for(&koogate, "creation-open", "new");
    assert!(alert["what"]["en"].as_str().unwrap().starts_with("order CS-1 (instance "), "{alert}");
    koogate.stop();
}

#[test]
fn failed_orders_of_the_month_are_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", MANUAL);
    let koogate = serve(&scratch);
    for order in ["CS-1", "CS-2", "CS-3"] {
        koogate.call(&new_instance(order));
    }
    koogate.stop();
    // Not in the first hours of a month: then what was ordered four hours ago belongs to the last one.
    let now = Timestamp::now();
    let begins = now.duration_since(beijing::month(now).1) < SignedDuration::from_hours(48);
    let ahead = if begins { 72 * HOUR_MS } else { 0 };
    write(&scratch, &format!("UPDATE operation SET created_at = created_at + {ahead} - 4 * {HOUR_MS}"));
    let shim = Shim::new();
    shim.rules(&format!("clock {ahead}\n"));
    let koogate = serve_on(&shim, &scratch);
    let alert = listener.wait_for(&koogate, "orders-failed", "new");
    assert_eq!(alert["severity"], "urgent");
    assert!(alert["what"]["en"].as_str().unwrap().contains(": 3 failed orders in "), "{alert}");
    koogate.stop();
}

#[test]
fn test_calls_that_stay_away_are_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    assert_eq!(koogate.call(&crate::shop::as_test(new_instance("CS-1"))).code(), "000000");
    koogate.stop();
    assert_eq!(crate::shop::count(&scratch, "test_call_calendar WHERE calls = 1 AND failures = 0"), 1);
    let now = Timestamp::now();
    let rows: Vec<String> = (0..8)
        .map(|back| {
            let at = now.as_millisecond() - 30 * HOUR_MS - back * 12 * HOUR_MS;
            let half = beijing::half_day(Timestamp::from_millisecond(at).unwrap());
            format!("({half}, 5, 0, {at})")
        })
        .collect();
    write(
        &scratch,
        &format!("DELETE FROM test_call_calendar; INSERT INTO test_call_calendar VALUES {}", rows.join(", ")),
    );
    let shim = Shim::new();
    let koogate = serve_on(&shim, &scratch);
    // It has been up for fourteen hours then, and none has come for forty-four.
    shim.rules(&format!("clock {}\n", 14 * HOUR_MS));
    listener.wait_for(&koogate, "test-calls-away", "new");
    koogate.stop();
}

#[test]
fn a_low_stock_and_an_empty_one_are_told() {
    let listener = Listener::start();
    let products = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\nlow_stock = 1\n";
    let scratch = folder(&listener, "", products);
    let csv = "user_name,password,front_end_url\na,p,https://a.example.com\nb,q,https://a.example.com\n";
    std::fs::write(scratch.path("accounts.csv"), csv).unwrap();
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let koogate = serve(&scratch);
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000000");
    let alert = listener.wait_for(&koogate, "stock-low", "new");
    assert_eq!(alert["what"]["en"], "stock accounts: 1 left");
    assert_eq!(koogate.call(&new_instance("CS-2")).code(), "000000");
    listener.wait_for(&koogate, "stock-empty", "new");
    std::fs::write(scratch.path("accounts.csv"), csv.replace("p,", "r,").replace("q,", "s,")).unwrap();
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    listener.wait_for(&koogate, "stock-empty", "over");
    koogate.stop();
}

#[test]
fn an_instance_that_is_frozen_though_paid_is_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    let id = instance_id(&koogate.call(&new_instance("CS-1")));
    assert_eq!(koogate.call(&renewal(&id, "CS-2", FUTURE)).code(), "000000");
    assert_eq!(koogate.call(&status_change(&id, "FREEZE")).code(), "000000");
    let alert = listener.wait_for(&koogate, "frozen-though-paid", "new");
    assert_eq!(alert["subject"], id.as_str());
    assert_eq!(koogate.call(&status_change(&id, "UNFREEZE")).code(), "000000");
    listener.wait_for(&koogate, "frozen-though-paid", "over");
    koogate.stop();
}

#[test]
fn a_product_that_nobody_has_configured_is_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", "[[product]]\nproduct_id = \"OTHER\"\nfulfilment = \"manual\"\n");
    let koogate = serve(&scratch);
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000005");
    let alert = listener.wait_for(&koogate, "no-product", "new");
    assert!(alert["what"]["en"].as_str().unwrap().starts_with("no [[product]] entry matches kind saas"), "{alert}");
    koogate.stop();
}

#[test]
fn a_snapshot_that_is_too_old_is_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "[database]\nsnapshot_every = \"1s\"\n", FIXED);
    let shim = Shim::new();
    let koogate = serve_on(&shim, &scratch);
    shim.rules("rename * 1+ EIO\n");
    // There is something that the snapshot lacks.
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000000");
    listener.wait_for(&koogate, "snapshot-old", "new");
    shim.rules("");
    listener.wait_for(&koogate, "snapshot-old", "over");
    koogate.stop();
}

#[test]
fn a_series_of_snapshots_that_does_not_go_on_is_told() {
    let listener = Listener::start();
    let series = "[database.snapshots]\ndirectory = \"series\"\nevery = \"1s\"\n";
    let scratch = folder(&listener, series, FIXED);
    std::fs::write(scratch.path("series"), "in the way").unwrap();
    let koogate = serve(&scratch);
    listener.wait_for(&koogate, "series-old", "new");
    std::fs::remove_file(scratch.path("series")).unwrap();
    listener.wait_for(&koogate, "series-old", "over");
    koogate.stop();
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    let listener = Listener::start();
    let now = Timestamp::now().as_second();
    let day = |days: i64| {
        let date = jiff::tz::Offset::UTC.to_datetime(Timestamp::from_second(now + days * 86_400).unwrap()).date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8)
    };
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (day(-80), day(5));
    let certificate = params.self_signed(&key).unwrap();
    let tls = "[server]\nlisten = \"127.0.0.1:0\"\n[server.tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n";
    let scratch = folder(&listener, tls, FIXED);
    std::fs::write(scratch.path("c.pem"), pem("CERTIFICATE", certificate.der())).unwrap();
    std::fs::write(scratch.path("k.pem"), pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    let koogate = serve(&scratch);
    let alert = listener.wait_for(&koogate, "certificate-ends", "new");
    let expected = json!({ "kind": "certificate-ends", "subject": "shop.example.com", "severity": "urgent" });
    assert_eq!(taken(&alert), expected);
    koogate.stop();
}

#[test]
fn a_clock_that_is_off_and_a_key_that_is_refused_are_told() {
    let (listener, mock) = (Listener::start(), KooGallery::start());
    let scratch = folder(&listener, &format!("{}{ADMIN}", mock.toml()), FIXED);
    let koogate = serve(&scratch);
    let order =
        || koogate.admin("GET", "/api/v1/orders/MOCKPERIODYEARNEW?refresh=true", Some("a-token-of-the-tests"), "");
    mock.shift_clock(SignedDuration::from_mins(5));
    order();
    let alert = listener.wait_for(&koogate, "clock-off", "new");
    assert!(alert["what"]["en"].as_str().unwrap().contains(" s ahead of KooGallery's"), "{alert}");
    mock.shift_clock(SignedDuration::ZERO);
    order();
    listener.wait_for(&koogate, "clock-off", "over");
    mock.next(Route::OrderQuery, 1, Behaviour::Instead(Reply::gateway(401, "APIGW.0303", "no")));
    assert!(!scratch.run(&["order", "show", "--refresh", "MOCKPERIODYEARNEW"]).status.success());
    listener.wait_for(&koogate, "open-api-locked", "new");
    koogate.stop();
}

#[test]
fn a_disk_that_is_nearly_full_is_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = scratch.serve_with(&[OFTEN, ("KOOGATE_FAULT_AMOUNT", "disk:1000000000000")]);
    listener.wait_for(&koogate, "disk-low", "new");
    koogate.stop();
    let koogate = scratch.serve_with(&[OFTEN, ("KOOGATE_FAULT_AMOUNT", "disk:0")]);
    listener.wait_for(&koogate, "disk-low", "over");
    koogate.stop();
}

#[test]
fn a_database_that_cannot_be_written_is_told_all_the_same() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let shim = Shim::new();
    let koogate = serve_on(&shim, &scratch);
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000000");
    shim.rules("sync -wal 1+ EIO\n");
    assert_eq!(koogate.call(&new_instance("CS-2")).code(), "000005");
    listener.wait_for(&koogate, "database-unwritable", "new");
    shim.rules("");
    listener.wait_for(&koogate, "database-unwritable", "over");
    koogate.stop();
}

#[test]
fn rejected_and_overdue_usage_is_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    koogate.call(&new_instance("CS-1"));
    koogate.stop();
    let now = Timestamp::now().as_millisecond();
    let begin = now / 1000 * 1000 - 5 * HOUR_MS;
    write(
        &scratch,
        &format!(
            "INSERT INTO usage_record (metering_sn, instance, begin_time, end_time, record_time, usage_value, state, due_at, \
             result_code, finished_at) VALUES ('sn-1', 1, {begin}, {begin}, {begin}, '1', 'rejected', {begin}, '013', {now}); \
             INSERT INTO usage_record (metering_sn, instance, begin_time, end_time, record_time, usage_value, due_at) \
             VALUES ('sn-2', 1, {begin}, {begin}, {begin}, '1', {begin})"
        ),
    );
    let koogate = serve(&scratch);
    let alert = listener.wait_for(&koogate, "usage-rejected", "new");
    assert_eq!(alert["what"]["en"], "1 usage record was rejected within 24 h");
    listener.wait_for(&koogate, "usage-overdue", "new");
    koogate.stop();
}

#[test]
fn a_configuration_that_was_not_reloaded_is_told_until_one_is() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    let good = std::fs::read_to_string(scratch.path("koogate.toml")).unwrap();
    std::fs::write(scratch.path("koogate.toml"), format!("{good}\n[nonsense]\n")).unwrap();
    koogate.signal("HUP");
    listener.wait_for(&koogate, "reload-failed", "new");
    std::fs::write(scratch.path("koogate.toml"), good).unwrap();
    koogate.signal("HUP");
    listener.wait_for(&koogate, "reload-failed", "over");
    koogate.stop();
}

#[test]
fn a_restore_is_told_until_its_report_is_read() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    koogate.call(&new_instance("CS-1"));
    koogate.stop();
    scratch.run_ok(&["backup", "copy.db"]);
    scratch.run_ok(&["restore", "copy.db"]);
    let koogate = serve(&scratch);
    listener.wait_for(&koogate, "restore-gap", "new");
    scratch.run(&["restore", "--report"]);
    listener.wait_for(&koogate, "restore-gap", "over");
    koogate.stop();
}

#[test]
fn what_a_manual_product_needs_done_is_told_and_tests_are_not() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", MANUAL);
    let koogate = serve(&scratch);
    let test: Value = crate::shop::as_test(new_instance("CS-T"));
    assert_eq!(koogate.call(&test).code(), "000000");
    koogate.call(&new_instance("CS-1"));
    let waiting = listener.wait_for(&koogate, "instance-waiting", "new");
    let id = waiting["subject"].as_str().unwrap().to_owned();
    scratch.run_ok(&["instance", "ready", &id, "--front-end-url", "https://app.example.com"]);
    listener.wait_for(&koogate, "instance-waiting", "over");
    assert_eq!(koogate.call(&status_change(&id, "FREEZE")).code(), "000000");
    let alert = listener.wait_for(&koogate, "do-by-hand", "new");
    assert_eq!(alert["subject"], id.as_str());
    assert_eq!(listener.count("instance-waiting", "new"), 1);
    koogate.stop();
}
