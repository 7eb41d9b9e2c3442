//! koogate passes what it would have others pass, as a process and whatever it sells.

use koogate::init::KeyPair;
use serde_json::json;

use crate::harness::{Application, SEALING_KEY, Scratch, ready_answer, text};

const BASIC: &str = "basic = \"basic-access-key\"\n";
const LICENSE: &str = "license = \"license-access-key\"\n";

/// Serves products of these kinds under these keys and plays a generation against them; what was printed.
fn check_accepted(keys: &str, kinds: &[&str], lines: &str, generation: &str) {
    check_accepted_with(keys, kinds, lines, &["--generation", generation, "--real"]);
}

/// The same with these arguments of `simulate`.
fn check_accepted_with(keys: &str, kinds: &[&str], lines: &str, played: &[&str]) {
    let application = Application::start(|event| {
        let license = json!({"status": "ready", "license": format!("L-{}", event["operationId"])}).to_string();
        (200, if event["event"] == "license.issue" { license } else { ready_answer(event) })
    });
    let products = kinds.iter().map(|kind| application.product(&format!("kind = \"{kind}\"\n{lines}")));
    let scratch = Scratch::new("");
    // The configuration of the kit names it.
    std::fs::write(scratch.path("kit-private.pem"), KeyPair::generate().unwrap().private_key.as_bytes()).unwrap();
    let sealing = format!("sealing_key = \"{SEALING_KEY}\"\n");
    let toml = format!("[server]\nlisten = \"127.0.0.1:0\"\n[keys]\n{keys}{sealing}{}", products.collect::<String>());
    std::fs::write(scratch.path("koogate.toml"), toml).unwrap();
    let koogate = scratch.serve();
    let url = format!("http://{}/saasproduce", koogate.address);
    let output = scratch.run(&[&["simulate", "--to", &url], played].concat());
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{kinds:?} {played:?}: {out}\n{err}\n{}", koogate.log_text());
    let last = out.lines().last().unwrap_or_default();
    assert!(last.ends_with("passed: KooGallery would accept this server") && !last.contains("warned"), "{out}");
}

const KIT: &str = "kit = \"kit-access-key\"\nkit_private_keys = [\"kit-private.pem\"]\n";

#[test]
fn the_kit_beside_the_basic_interfaces_and_beside_all() {
    let keys = format!("{BASIC}{KIT}");
    for played in [&["--kit"][..], &["--kit", "--real"], &["--kit=v1", "--real"], &["--kit=v2", "--real"]] {
        check_accepted_with(&keys, &["saas"], "", played);
    }
    let keys = format!("{BASIC}{LICENSE}{KIT}");
    let kinds = ["saas", "license", "license-code", "license-online"];
    check_accepted_with(&keys, &kinds, "", &["--kit", "--real"]);
    // The kit does not get in the others' way.
    check_accepted(&keys, &kinds, "", "v2");
}

#[test]
fn each_kind_alone_under_the_one_key_it_needs() {
    check_accepted(BASIC, &["saas"], "", "v2");
    check_accepted(BASIC, &["saas"], "", "v1");
    check_accepted(BASIC, &["saas"], "encrypt_type = \"2\"\n", "v1");
    for key in [BASIC, LICENSE] {
        check_accepted(key, &["license"], "", "license");
        check_accepted(key, &["license-online"], "", "license-online");
    }
    check_accepted(LICENSE, &["license-code"], "", "license-code");
}

#[test]
fn all_kinds_at_one_address() {
    let both = format!("{BASIC}{LICENSE}");
    let kinds = ["saas", "license", "license-code", "license-online"];
    for generation in ["v2", "v1", "license", "license-code", "license-online"] {
        check_accepted(&both, &kinds, "", generation);
    }
}

#[test]
fn an_application_that_is_asked_before_a_call_is_answered() {
    for (kind, generation) in [("saas", "v1"), ("license", "license"), ("license-online", "license-online")] {
        check_accepted(&format!("{BASIC}{LICENSE}"), &[kind], "accept = \"after\"\n", generation);
    }
}
