//! Alarms of what happened and may not happen again, brought about and heard.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use super::{Listener, OFTEN, folder, taken, write};
use crate::faults::shim::Shim;
use crate::harness::{
    Application, KEY, Koogate, SEALING_KEY, Scratch, eventually, files_in, new_instance, ready_answer,
};
use crate::kit_call::{self, KIT_KEYS, SILENT, V2};
use crate::koogallery::{Behaviour, KooGallery, Reply, Route};
use crate::licenses::LICENSE_KEY;
use crate::shop::{FIXED, as_test, instance_id, query, refresh};
use crate::token_get;

const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\n";
const HOUR_MS: i64 = 3_600_000;

fn serve(scratch: &Scratch) -> Koogate {
    scratch.serve_with(&[OFTEN])
}

#[test]
fn a_test_call_that_fails_is_told_and_what_simulate_does_wrong_on_purpose_is_not() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    let to = format!("http://{}/saasproduce", koogate.address);
    scratch.run_ok(&["simulate", "--to", &to]);
    assert!(crate::shop::count(&scratch, "exchange WHERE environment = 'test' AND result_code = '000002'") > 0);
    assert_eq!(crate::shop::count(&scratch, "test_call_calendar"), 0);
    assert_eq!(koogate.call(&as_test(new_instance("CS-1"))).code(), "000000");
    let wrong = as_test(refresh("huaweitest123456", "CS-2", "RENEWAL", "not a time"));
    assert_eq!(koogate.call(&wrong).code(), "000002");
    let alert = listener.wait_for(&koogate, "test-call-failed", "new");
    let expected = json!({ "kind": "test-call-failed", "subject": "refreshInstance", "severity": "urgent" });
    assert_eq!(taken(&alert), expected);
    assert_eq!(alert["what"]["en"], "a test call of refreshInstance was answered 000002");
    // What simulate did came before, and would have been told before or with it.
    assert_eq!(listener.count("test-call-failed", "new"), 1);
    assert_eq!(crate::shop::count(&scratch, "test_call_calendar WHERE failures > 0"), 1);
    koogate.stop();
}

#[test]
fn a_product_that_cannot_hand_out_what_it_should_is_told() {
    let listener = Listener::start();
    let long = "u".repeat(80);
    let products = format!(
        "[[product]]\nfulfilment = \"fixed\"\naccess = {{ front_end_url = \"https://a.example.com\", user_name = \"{long}\" }}\n"
    );
    let scratch = folder(&listener, "", &products);
    let koogate = serve(&scratch);
    assert_eq!(token_get::call(&koogate, &token_get::purchase("CS-1")).code(), "000005");
    listener.wait_for(&koogate, "misconfigured", "new");
    koogate.stop();
}

#[test]
fn access_data_that_have_no_room_in_an_answer_are_told() {
    let listener = Listener::start();
    let long = "p".repeat(80);
    let application = Application::start(move |event| (200, ready_answer(event).replace("p-1", &long)));
    let scratch = folder(&listener, "", &application.product(""));
    let koogate = serve(&scratch);
    let id = instance_id(&koogate.call_until_success(&new_instance("CS-1")));
    assert_eq!(koogate.call(&query(&id)).code(), "000000");
    assert_eq!(token_get::call(&koogate, &token_get::query(&id)).code(), "000000");
    let alert = listener.wait_for(&koogate, "access-no-room", "new");
    assert_eq!(alert["subject"], id.as_str());
    koogate.stop();
}

#[test]
fn a_licence_to_be_made_by_hand_is_told_until_it_is() {
    let listener = Listener::start();
    let products = "[[product]]\nkind = \"license-online\"\nfulfilment = \"manual\"\n";
    let scratch = Scratch::new(products);
    let keys = format!("[keys]\nbasic = \"{KEY}\"\nlicense = \"{LICENSE_KEY}\"\nsealing_key = \"{SEALING_KEY}\"\n");
    let text = format!("{SERVER}{keys}{}{products}", listener.section());
    std::fs::write(scratch.path("koogate.toml"), text).unwrap();
    let koogate = serve(&scratch);
    let bought = koogate.call_with(LICENSE_KEY, &new_instance("CS-1"));
    let request = json!({
        "activity": "getLicenseAsync", "instanceId": instance_id(&bought), "eventId": "E1", "deviceFingerprint": "D1",
        "effectiveTime": "2026-10-27 10:30:15 z", "expireTime": "2099-12-31 23:59:59 z", "testFlag": "0",
    });
    assert_eq!(koogate.call_with(LICENSE_KEY, &request).code(), "000004");
    let alert = listener.wait_for(&koogate, "license-waiting", "new");
    assert_eq!(alert["subject"], "1");
    std::fs::write(scratch.path("device.lic"), "licence").unwrap();
    scratch.run_ok(&["license", "issue", "1", "--file", "device.lic"]);
    listener.wait_for(&koogate, "license-waiting", "over");
    koogate.stop();
}

#[test]
fn an_order_that_koogallery_does_not_tell_is_told() {
    let (listener, mock) = (Listener::start(), KooGallery::start());
    mock.always(Route::OrderQuery, Behaviour::Instead(Reply::result(401, "MKT.0150")));
    let application = Application::ready();
    let sections = format!("{}order_query = \"auto\"\n", mock.toml());
    let scratch = folder(&listener, &sections, &application.product(""));
    let koogate = serve(&scratch);
    let id = instance_id(&koogate.call_until_success(&new_instance("CS-1")));
    let alert = listener.wait_for(&koogate, "order-unread", "new");
    assert_eq!(alert["subject"], id.as_str());
    koogate.stop();
}

#[test]
fn a_client_secret_that_cannot_be_opened_is_told() {
    let listener = Listener::start();
    let scratch = kit_call::folder(SILENT);
    scratch.configure(&[KEY], &format!("{KIT_KEYS}{}", listener.section()), SILENT);
    let koogate = serve(&scratch);
    let sync = kit_call::application("i-1", "app-1", "bm8gc2VjcmV0");
    assert_eq!(kit_call::call(&koogate, V2, &sync).code(), "000101");
    let alert = listener.wait_for(&koogate, "secret-unreadable", "new");
    assert_eq!(alert["subject"], "app-1");
    koogate.stop();
}

#[test]
fn a_call_that_could_not_be_carried_out_is_told() {
    let listener = Listener::start();
    let server = format!("{SERVER}answer_within = \"1s\"\n");
    let scratch = folder(&listener, &server, FIXED);
    let koogate = scratch.serve_with(&[OFTEN, ("KOOGATE_FAULT_DELAY", "commit:1500")]);
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000005");
    listener.wait_for(&koogate, "call-failed", "new");
    koogate.kill();
}

#[test]
fn whoever_is_turned_away_with_usage_is_told() {
    let (listener, mock) = (Listener::start(), KooGallery::start());
    mock.expect_access_key("99999999-2222-3333-4444-555555555555");
    let scratch = folder(&listener, &mock.toml(), FIXED);
    let koogate = serve(&scratch);
    koogate.call(&new_instance("CS-1"));
    koogate.stop();
    let begin = jiff::Timestamp::now().as_millisecond() / 1000 * 1000 - HOUR_MS;
    write(
        &scratch,
        &format!(
            "INSERT INTO usage_record (metering_sn, instance, begin_time, end_time, record_time, usage_value, due_at) \
             VALUES ('sn-1', 1, {begin}, {begin}, {begin}, '1', {begin})"
        ),
    );
    let koogate = serve(&scratch);
    listener.wait_for(&koogate, "usage-stuck", "new");
    koogate.stop();
}

#[test]
fn a_certificate_that_was_not_replaced_is_told_until_it_is() {
    let listener = Listener::start();
    let authority = crate::tls::peer::Authority::new();
    let [first, second] = ["one.example.com", "two.example.com"].map(|name| authority.issue(&[name]));
    let tls = format!("{SERVER}[server.tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n");
    let scratch = folder(&listener, &tls, FIXED);
    let put = |name: &str, text: &str| {
        std::fs::write(scratch.path(name), text).unwrap();
        std::fs::set_permissions(scratch.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("c.pem", &first.certificate);
    put("k.pem", &first.private_key);
    let koogate = serve(&scratch);
    put("c.pem", &second.certificate);
    listener.wait_for(&koogate, "certificate-not-replaced", "new");
    put("k.pem", &second.private_key);
    listener.wait_for(&koogate, "certificate-not-replaced", "over");
    koogate.stop();
}

#[test]
fn a_copy_that_rots_is_told() {
    let listener = Listener::start();
    let series = "[database.snapshots]\ndirectory = \"series\"\nevery = \"1s\"\nkeep = 100\n";
    let scratch = folder(&listener, series, FIXED);
    let koogate = serve(&scratch);
    let files = || if scratch.path("series").exists() { files_in(&scratch.path("series")) } else { Vec::new() };
    let first = eventually(|| files().into_iter().find(|name| name.ends_with("Z.db")), || koogate.log_text());
    let copy = scratch.path("series").join(first);
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    listener.wait_for(&koogate, "copy-damaged", "new");
    koogate.stop();
}

#[test]
fn a_recorded_answer_that_has_changed_on_the_disk_is_told() {
    let listener = Listener::start();
    // Without secrets the answer lies there in the clear.
    let open = "[[product]]\nfulfilment = \"fixed\"\naccess = { front_end_url = \"https://app.example.com/\" }\n";
    let scratch = folder(&listener, "", open);
    let koogate = serve(&scratch);
    let body = new_instance("CS-1");
    let id = instance_id(&koogate.call(&body));
    koogate.stop();
    let sql = "UPDATE answer SET body = CAST(replace(CAST(body AS TEXT), 'ID', 'other') AS BLOB)";
    write(&scratch, &sql.replace("ID", &id));
    let koogate = serve(&scratch);
    assert_eq!(koogate.call(&crate::shop::retry(&body)).code(), "000005");
    listener.wait_for(&koogate, "database-damaged", "new");
    koogate.stop();
}

#[test]
fn a_door_that_cannot_accept_is_told_and_so_is_its_end() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let shim = Shim::new();
    let mut command = shim.command(&scratch, &["serve"]);
    command.env(OFTEN.0, OFTEN.1);
    let koogate = Koogate::start(command, false).unwrap_or_else(|ended| panic!("{}", ended.log));
    shim.rules("accept socket 1+ EMFILE\n");
    // It stays in the backlog: nobody reads it before the door opens again.
    let waiting = std::net::TcpStream::connect(koogate.address).unwrap();
    listener.wait_for(&koogate, "connections-refused", "new");
    shim.rules("");
    // Trouble is over when it has not come back for a while: whoever comes next finds out.
    let over = || {
        koogate.get("/healthz");
        (listener.count("connections-refused", "over") > 0).then_some(())
    };
    eventually(over, || koogate.log_text());
    drop(waiting);
    koogate.stop();
}

#[test]
fn too_few_files_that_may_be_open_are_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let mut command = Command::new("sh");
    let script = "ulimit -n 64; exec \"$0\" serve";
    command.current_dir(scratch.path(".")).args(["-c", script, env!("CARGO_BIN_EXE_koogate")]).env(OFTEN.0, OFTEN.1);
    let koogate = Koogate::start(command, false).unwrap_or_else(|ended| panic!("{}", ended.log));
    let alert = listener.wait_for(&koogate, "files-short", "new");
    assert!(alert["what"]["en"].as_str().unwrap().starts_with("64 files may be open, "), "{alert}");
    koogate.stop();
}

#[test]
fn a_log_of_the_database_that_has_gone_is_told() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    let koogate = serve(&scratch);
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000000");
    koogate.kill();
    // What another program moves into the file is not lost, but nobody can see that.
    write(&scratch, "PRAGMA wal_checkpoint(TRUNCATE)");
    let _ = std::fs::remove_file(scratch.path("koogate.db-wal"));
    let koogate = serve(&scratch);
    listener.wait_for(&koogate, "wal-gone", "new");
    koogate.stop();
}
