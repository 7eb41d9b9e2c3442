//! The key pairs of the kit: from the first one of `init` to its successor, while calls come in under both.

use std::os::unix::fs::PermissionsExt;

use super::FIXED;
use crate::harness::{Koogate, Scratch, eventually, files_in, text};

const KIT_KEY: &str = "kit-access-key-1";

/// The configuration with these private keys.
fn configure(scratch: &Scratch, private_keys: &str) {
    let toml = std::fs::read_to_string(scratch.path("base.toml")).unwrap();
    let kit = format!("[keys]\nkit = \"{KIT_KEY}\"\nkit_private_keys = [{private_keys}]\n");
    std::fs::write(scratch.path("koogate.toml"), toml.replace("[keys]\n", &kit)).unwrap();
}

/// A folder whose first key pair `init` has made; the pair's public key.
fn prepare() -> (Scratch, String) {
    let scratch = Scratch::new(FIXED);
    std::fs::rename(scratch.path("koogate.toml"), scratch.path("base.toml")).unwrap();
    scratch.run_ok(&["init"]);
    configure(&scratch, "\"kit-private.pem\"");
    let public_key = std::fs::read_to_string(scratch.path("kit-public.txt")).unwrap();
    (scratch, public_key.trim_end().to_owned())
}

fn reload(koogate: &Koogate) {
    let said = || koogate.log_text().matches("the configuration was reloaded").count();
    let before = said();
    koogate.signal("HUP");
    eventually(|| (said() > before).then_some(()), || koogate.log_text());
}

/// Whether client secrets under this public key are opened, as KooGallery sees it.
fn is_accepted(scratch: &Scratch, koogate: &Koogate, public_key: &str) -> bool {
    std::fs::write(scratch.path("console.txt"), public_key).unwrap();
    let url = format!("http://{}/saasproduce", koogate.address);
    let output = scratch.run(&["simulate", "--to", &url, "--kit", "--kit-public-key", "console.txt", "--json"]);
    let out = text(&output.stdout);
    // Nothing but the secret may be wrong.
    let failed: Vec<_> = out.lines().filter(|line| !line.contains("\"passed\"")).collect();
    assert!(failed.iter().all(|line| line.contains("pplication")), "{failed:#?}");
    assert_eq!(output.status.success(), failed.is_empty(), "{failed:#?}");
    failed.is_empty()
}

#[test]
fn a_key_pair_is_replaced_while_orders_use_the_old_one() {
    let (scratch, old) = prepare();
    let koogate = scratch.serve();
    let told = scratch.run_ok(&["key", "rotate"]);
    let mode = std::fs::metadata(scratch.path("kit-private-2.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(told.contains("kit_private_keys = [\"kit-private.pem\", \"kit-private-2.pem\"]"), "{told}");
    let new = told.lines().find(|line| line.starts_with("MII")).unwrap();
    let public_key = |name: &str| std::fs::read_to_string(scratch.path(name)).unwrap();
    assert_eq!(public_key("kit-public-2.txt"), format!("{new}\n"));
    assert_eq!(public_key("kit-public.txt"), format!("{old}\n"));
    let written = told.lines().skip_while(|line| *line != "Written:").skip(1).map(str::trim);
    let written: Vec<_> = written.take_while(|line| !line.is_empty()).collect();
    assert!(written.len() == 2 && written[1].ends_with("kit-public-2.txt"), "{told}");
    // Nothing has changed for the server, nor for what is shown to be in use.
    assert!(is_accepted(&scratch, &koogate, &old) && !is_accepted(&scratch, &koogate, new));
    assert_eq!(scratch.run_ok(&["key", "show"]), format!("kit-private.pem\n{old}\n\n"));

    configure(&scratch, "\"kit-private.pem\", \"kit-private-2.pem\"");
    reload(&koogate);
    assert!(is_accepted(&scratch, &koogate, &old) && is_accepted(&scratch, &koogate, new));
    let shown = scratch.run_json(&["key", "show", "--json"]);
    let expected = [("kit-private.pem", old.as_str()), ("kit-private-2.pem", new)];
    for (shown, (file, public_key)) in shown.iter().zip(expected) {
        assert_eq!(*shown, serde_json::json!({"file": file, "publicKey": public_key}));
    }

    configure(&scratch, "\"kit-private-2.pem\"");
    reload(&koogate);
    assert!(!is_accepted(&scratch, &koogate, &old) && is_accepted(&scratch, &koogate, new));
    let told = scratch.run_ok(&["key", "rotate"]);
    assert!(told.contains("[\"kit-private-2.pem\", \"kit-private-3.pem\"]"), "{told}");
}

#[test]
fn without_a_key_of_the_kit_there_is_nothing_to_show_or_replace() {
    let scratch = Scratch::new(FIXED);
    let before = files_in(&scratch.path("."));
    for (args, said) in [
        (&["key", "show"][..], "names no kit_private_keys"),
        (&["key", "rotate"], "names no kit_private_keys"),
        (&["simulate", "--to", "http://127.0.0.1:1/", "--kit"], "no keys.kit"),
    ] {
        let output = scratch.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(files_in(&scratch.path(".")), before);
    let output = scratch.run(&["simulate", "--to", "http://127.0.0.1:1/", "--kit", "--generation", "v2"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn what_is_no_public_key_is_told_before_anything_is_called() {
    let (scratch, public_key) = prepare();
    std::fs::write(scratch.path("console.txt"), &public_key[..80]).unwrap();
    let simulate = ["simulate", "--to", "http://127.0.0.1:1/", "--kit", "--kit-public-key", "console.txt"];
    let output = scratch.run(&simulate);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the public key is no RSA key"), "{}", text(&output.stderr));
}
