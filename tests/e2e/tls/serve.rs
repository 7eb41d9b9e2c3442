//! The real server on HTTPS: its files, what happens when they change, and what the operator is told.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use koogate::protocol::body_sign;
use rustls::ClientConfig;
use serde_json::Value;

use super::peer::{Authority, Pair, VERSIONS, client, secure, shown, tcp, try_secure};
use crate::door_client::get;
use crate::harness::{
    Answer, Application, Gate, KEY, Koogate, Scratch, Signed, access_key, new_instance, ready_answer, send_over, text,
};
use crate::shop::FIXED;

const TLS: &str = "[server]\nlisten = \"127.0.0.1:0\"\n\
                   [server.tls]\ncertificate = \"fullchain.pem\"\nprivate_key = \"privkey.pem\"\n";

pub const TOKEN: &str = "0123456789abcdef";
const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n";

/// A folder that is configured for HTTPS with this certificate.
pub fn scratch(pair: &Pair, products: &str) -> Scratch {
    let scratch = Scratch::new(products);
    scratch.configure(&[KEY], &format!("{TLS}{ADMIN}"), products);
    write(&scratch, "fullchain.pem", &pair.certificate);
    write(&scratch, "privkey.pem", &pair.private_key);
    scratch
}

fn write(scratch: &Scratch, name: &str, text: &str) {
    fs::write(scratch.path(name), text).unwrap();
    fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A signed call over HTTPS; its answer's signature is checked, under a name with its capitals.
pub fn call(koogate: &Koogate, config: &Arc<ClientConfig>, body: &Value) -> Answer {
    let body = body.to_string();
    let target = format!("/saasproduce?{}", Signed::now(KEY, body.as_bytes()).query());
    let answer =
        send_over(secure(koogate.address, config), "localhost", "POST", &target, &[], body.as_bytes()).unwrap();
    let sign = answer.header("Body-Sign").expect("Body-Sign, spelled so");
    body_sign::verify_header(&access_key(KEY), "Body-Sign", sign, &answer.body).unwrap();
    answer
}

fn findings(scratch: &Scratch) -> Vec<(String, String)> {
    let shown = scratch.run(&["check", "--json"]);
    let of_certificate = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| line[name].as_str().unwrap().to_owned();
        (line["subject"] == "certificate").then(|| (word("level"), word("text")))
    };
    text(&shown.stdout).lines().filter_map(of_certificate).collect()
}

fn seconds_left(koogate: &Koogate) -> i64 {
    let metrics = text(&koogate.admin("GET", "/metrics", Some(TOKEN), "").body);
    let line = metrics.lines().find_map(|line| line.strip_prefix("koogate_certificate_expires_seconds "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[test]
fn koogallery_is_answered_in_both_versions_and_plays_its_cases() {
    let authority = Authority::new();
    let scratch = scratch(&authority.issue(&["shop.example.com"]), FIXED);
    let koogate = scratch.serve();
    let log = koogate.log_text();
    assert!(log.contains(" serves https://127.0.0.1:") && !log.contains("plain HTTP"), "{log}");
    assert!(log.contains("the certificate is for shop.example.com and 2 more names, valid until 2999-01-01T00:00:00Z"));
    for (index, version) in VERSIONS.into_iter().enumerate() {
        let answer = call(&koogate, &authority.client(version, &[]), &new_instance(&format!("CS-TLS-{index}")));
        assert_eq!((answer.status, answer.code().as_str()), (200, "000000"));
    }
    assert!(seconds_left(&koogate) > 86_400);
    fs::write(scratch.path("ca.pem"), authority.pem()).unwrap();
    let to = format!("https://{}/saasproduce", koogate.address);
    scratch.run_ok(&["simulate", "--to", &to, "--ca", "ca.pem"]);
    assert!(!koogate.stop().contains("ALERT"));
}

#[test]
fn a_certificate_that_is_replaced_is_shown_without_a_restart_and_half_a_replacement_is_not() {
    let authority = Authority::new();
    let scratch = scratch(&authority.issue(&["shop.example.com"]), FIXED);
    let koogate = scratch.serve();
    let mut open = client(koogate.address, &authority.usual());
    let old = shown(open.inner());
    let next = authority.issue(&["shop.example.com", "new.example.com"]);
    write(&scratch, "fullchain.pem", &next.certificate);
    // At once by a reload; by itself soon.
    koogate.signal("HUP");
    koogate.wait_for_log("ALERT the configuration was not reloaded, the old one stays: server.tls.private_key: ");
    koogate.wait_for_log("the certificate was not replaced, the old one stays for now: server.tls.private_key: ");
    assert_eq!(shown(&secure(koogate.address, &authority.usual())), old);
    write(&scratch, "privkey.pem", &next.private_key);
    koogate.wait_for_log("the certificate was replaced: it is for shop.example.com and 3 more names");
    assert_ne!(shown(&secure(koogate.address, &authority.usual())), old);
    assert!(try_secure(koogate.address, &authority.usual(), "new.example.com").is_ok());
    open.send(get("/healthz"));
    assert_eq!(open.answer().text(), "ok\n");
    let log = koogate.stop();
    assert_eq!(log.matches("was not replaced, the old one stays for now").count(), 1, "{log}");
}

#[test]
fn a_reload_takes_other_files_and_new_ones_at_once() {
    let authority = Authority::new();
    let scratch = scratch(&authority.issue(&["one.example.com"]), FIXED);
    let koogate = scratch.serve();
    let second = authority.issue(&["two.example.com"]);
    write(&scratch, "other.pem", &second.certificate);
    write(&scratch, "other.key", &second.private_key);
    let sections = TLS.replace("fullchain.pem", "other.pem").replace("privkey.pem", "other.key") + ADMIN;
    scratch.configure(&[KEY], &sections, FIXED);
    koogate.signal("HUP");
    koogate.wait_for_log("the configuration was reloaded");
    assert!(try_secure(koogate.address, &authority.usual(), "two.example.com").is_ok());
    assert!(try_secure(koogate.address, &authority.usual(), "one.example.com").is_err());
    // Without HTTPS altogether it would be another listener.
    scratch.configure(&[KEY], ADMIN, FIXED);
    koogate.signal("HUP");
    koogate.wait_for_log("[server.tls], which has come or gone");
    assert!(try_secure(koogate.address, &authority.usual(), "two.example.com").is_ok());
    koogate.stop();
}

#[test]
fn what_strangers_send_is_logged_at_the_doors_bound_rate_only() {
    let authority = Authority::new();
    let scratch = scratch(&authority.issue(&["shop.example.com"]), FIXED);
    let koogate = scratch.serve_with(&[("RUST_LOG", "info")]);
    for _ in 0..100 {
        let mut socket = tcp(koogate.address);
        // A message that is no beginning of a handshake, of which rustls would warn.
        socket.write_all(b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00").unwrap();
        socket.read_to_end(&mut Vec::new()).unwrap();
    }
    koogate.wait_for_log("refused a http call from 127.0.0.1: a malformed TLS handshake");
    let log = koogate.stop();
    assert!(log.matches("a malformed TLS handshake").count() < 50 && !log.contains(" rustls::"), "{log}");
}

#[test]
fn an_expired_certificate_is_shown_and_everybody_is_told() {
    let authority = Authority::new();
    let scratch = scratch(&authority.issue_until(&["shop.example.com"], (2021, 1, 1)), FIXED);
    let koogate = scratch.serve();
    let said = "the certificate for shop.example.com has expired: it was valid until 2021-01-01T00:00:00Z";
    koogate.wait_for_log(&format!("ALERT {said}"));
    assert!(seconds_left(&koogate) < 0);
    assert_eq!(findings(&scratch), [("error".to_owned(), said.to_owned())]);
    // It is refused by the client, not by the server.
    let error = try_secure(koogate.address, &authority.usual(), "localhost").unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    koogate.stop();
}

#[test]
fn the_doctor_looks_at_the_certificate() {
    let authority = Authority::new();
    let scratch = scratch(&authority.issue(&["shop.example.com"]), FIXED);
    let found = findings(&scratch);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == "ok" && found[0].1.starts_with("for shop.example.com, localhost, 127.0.0.1; "), "{found:?}");
    assert!(found[0].1.ends_with(" days left; certificates in its file: 2"), "{found:?}");

    let other = authority.issue(&["shop.example.com"]);
    write(&scratch, "privkey.pem", &other.private_key);
    let found = findings(&scratch);
    assert!(found[0].0 == "error" && found[0].1.ends_with("is not that of the certificate"), "{found:?}");
    let Err(ended) = scratch.try_serve_with(&[]) else { panic!("it started") };
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("server.tls.private_key: ") && ended.log.contains("is not that of the certificate"));

    let leaf = other.certificate.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    write(&scratch, "fullchain.pem", leaf);
    fs::set_permissions(scratch.path("privkey.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = findings(&scratch);
    let levels: Vec<&str> = found.iter().map(|(level, _)| level.as_str()).collect();
    assert_eq!(levels, ["warning", "warning", "ok"], "{found:?}");
    assert!(found[0].1.contains("stands alone") && found[1].1.contains("chmod 640"), "{found:?}");
}

#[test]
fn a_stop_answers_what_has_begun() {
    let (gate, authority) = (Gate::default(), Authority::new());
    let held = gate.clone();
    let application = Application::start(move |event| {
        held.pass();
        (200, ready_answer(event))
    });
    let scratch = scratch(&authority.issue(&["shop.example.com"]), &application.product(""));
    let mut koogate = scratch.serve();
    let (idle, half_open) = (secure(koogate.address, &authority.usual()), tcp(koogate.address));
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| call(&koogate, &authority.usual(), &new_instance("CS-STOP")));
        application.wait_for(1);
        koogate.signal("TERM");
        koogate.wait_for_log("stopping");
        gate.open();
        let answer = calling.join().unwrap();
        assert_eq!((answer.code().as_str(), answer.header("Connection")), ("000000", Some("close")));
    });
    assert_eq!(koogate.wait(), Some(0));
    drop((idle, half_open));
}

#[test]
fn the_certificates_key_is_in_no_log_however_much_is_logged_and_however_broken_its_file_is() {
    let authority = Authority::new();
    let pair = authority.issue(&["localhost"]);
    let scratch = scratch(&pair, FIXED);
    let koogate = scratch.serve_with(&[("RUST_LOG", "trace,rustls=trace")]);
    call(&koogate, &authority.usual(), &new_instance("CS1"));
    let key = &pair.private_key;
    let broken = [key.replace("BEGIN", "BEGUN"), key.replace('\n', ""), key[..key.len() / 2].to_owned()];
    let mut said = Vec::new();
    for (number, broken) in broken.iter().enumerate() {
        write(&scratch, "privkey.pem", broken);
        koogate.signal("HUP");
        let told = || koogate.log_text().matches("ALERT the configuration was not reloaded").count() > number;
        crate::harness::eventually(|| told().then_some(()), || format!("{broken}\n{}", koogate.log_text()));
        let checked = scratch.run(&["check"]);
        said.extend([checked.stdout, checked.stderr]);
    }
    said.push(koogate.stop().into_bytes());
    assert!(text(&said[said.len() - 1]).contains("rustls"), "it was logged");
    let lines: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = data_encoding::BASE64.decode(lines.as_bytes()).unwrap();
    // The private number of a P-256 key in PKCS#8; the public key comes behind it.
    let number = &der[36..68];
    assert!(crate::canaries::is_in(number, lines.as_bytes()), "it is found where it stands");
    assert!(!said.iter().any(|said| crate::canaries::is_in(number, said)));
}
