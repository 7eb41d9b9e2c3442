//! Client secrets and personal data: opened with the right key, told to the application, and in the clear nowhere else.

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::retries::Moody;
use crate::harness::{Application, KEY, Koogate, Scratch, eventually, files_in, text};
use crate::kit_call::{
    KIT_KEY, KIT_KEYS, SILENT, TENANT, V1, V2, application, auth, encrypted, encrypted_in_forms, five, folder,
    foreign_ciphertexts, private_key, public_key, single_org, tenant,
};
use crate::shop::Shop;

/// Found nowhere by chance.
const SECRET: &str = "Zq7-client-secret";
const PERSONAL: [&str; 9] = [
    "Zq7-display-name",
    "Zq7-position",
    "Zq7-staff-number",
    "Zq7-mobile",
    "Zq7@mail.example",
    "Zq7-work-place",
    "Zq7-entry-date",
    "Zq7-extension",
    "Zq7-unknown-member",
];

/// A user full of personal data.
fn person(name: &str) -> Value {
    let [display, position, staff, mobile, email, place, date, extension, unknown] = PERSONAL;
    json!({
        "userName": name, "name": display, "orgCode": "10000", "position": position, "employeeCode": staff,
        "role": "admin", "enable": "true", "mobile": mobile, "email": email, "employeeType": 1,
        "extension": { "workPlace": place, "entryDate": date, "accountSet": { "ids": [extension] } }, "other": unknown,
    })
}

/// The client secrets that were told.
fn secrets(application: &Application, count: usize) -> Vec<Value> {
    application.wait_for(count).iter().map(|event| event["change"]["clientSecret"].clone()).collect()
}

/// Whatever of a private key may not leave its file.
fn lines_of_keys() -> Vec<String> {
    let lines = |name: &str| private_key(name).lines().skip(3).step_by(7).map(str::to_owned).collect::<Vec<_>>();
    [lines("pkcs8"), lines("pkcs1")].concat()
}

#[test]
fn secrets_under_either_key_and_in_each_form_are_opened_whoever_encrypted_them() {
    let shop = Shop::with_kit();
    let mut expected = Vec::new();
    let foreign = foreign_ciphertexts();
    for tool in ["OpenSSL", "JDK", "WebCrypto"] {
        assert!(foreign.iter().any(|one| one.made_by.starts_with(tool)), "none made by {tool}");
    }
    for (number, one) in foreign.iter().enumerate() {
        shop.sync("000000", &application("i-1", &format!("app-{number}"), &one.ciphertext));
        expected.push(json!(one.text));
        assert_eq!(secrets(&shop.application, number + 1)[number], one.text, "{}", one.made_by);
    }
    for key in ["pkcs8", "pkcs1"] {
        for text in ["s", "一个秘密 with \"quotes\" and \\", &"x".repeat(300)] {
            for ciphertext in encrypted_in_forms(&public_key(key), text) {
                // Line by line, as some encoders print it.
                let lines: Vec<_> =
                    ciphertext.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
                shop.sync("000000", &application("i-1", "app-x", &lines.join("\r\n")));
                expected.push(json!(text));
            }
        }
    }
    assert_eq!(secrets(&shop.application, expected.len()), expected);
}

#[test]
fn a_key_pair_made_today_by_openssl_works_with_what_openssl_encrypts() {
    let openssl = |scratch: &Scratch, args: &[&str], input: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(scratch.path("")).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().ok()?;
        std::io::Write::write_all(&mut child.stdin.take()?, input.as_bytes()).ok()?;
        let output = child.wait_with_output().ok()?;
        assert!(output.status.success(), "openssl {args:?}");
        Some(output.stdout)
    };
    let application_ = Application::ready();
    let products = application_.product("");
    let scratch = folder(&products);
    let make = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out", "current.pem"];
    if openssl(&scratch, &make, "").is_none() {
        eprintln!("no openssl here: only the stored ciphertexts were tried");
        return;
    }
    scratch.configure(&[KEY], KIT_KEYS, &products);
    let shop = Shop { koogate: scratch.serve(), application: application_, scratch };
    openssl(&shop.scratch, &["pkey", "-in", "current.pem", "-pubout", "-out", "public.pem"], "").unwrap();
    for (count, (digest, mask)) in [("sha256", "sha256"), ("sha256", "sha1"), ("sha1", "sha1")].into_iter().enumerate()
    {
        let options = [format!("rsa_oaep_md:{digest}"), format!("rsa_mgf1_md:{mask}")];
        let mut args = vec!["pkeyutl", "-encrypt", "-pubin", "-inkey", "public.pem"];
        for option in ["rsa_padding_mode:oaep", &options[0], &options[1]] {
            args.extend(["-pkeyopt", option]);
        }
        let ciphertext = BASE64.encode(&openssl(&shop.scratch, &args, "机密-secret").unwrap());
        shop.sync_by(V1, "000000", &application("i-1", "app-1", &ciphertext));
        assert_eq!(secrets(&shop.application, count + 1)[count], "机密-secret");
    }
}

#[test]
fn private_keys_are_rotated_by_a_reload() {
    let only = |file: &str| format!("kit = \"{KIT_KEY}\"\nkit_private_keys = [\"{file}\"]\n");
    let scratch = folder(SILENT);
    scratch.configure(&[KEY], &only("former.pem"), SILENT);
    let shop = Shop { koogate: scratch.serve(), application: Application::ready(), scratch };
    let [new, old] = ["pkcs8", "pkcs1"].map(|key| application("i-1", key, &encrypted(&public_key(key), "s")));
    shop.sync("000101", &new);
    shop.sync("000000", &old);
    shop.reload(&[KEY], KIT_KEYS, SILENT);
    shop.sync("000000", &new);
    shop.sync("000000", &old);
    shop.reload(&[KEY], &only("current.pem"), SILENT);
    shop.sync("000000", &new);
    shop.sync("000101", &old);
    // A removal needs no key.
    shop.sync("000000", &old.clone().flag(0));
    assert_eq!(shop.count("application"), 1);

    // A key that cannot be used is not put in force, and the old one stays.
    std::fs::write(shop.scratch.path("current.pem"), private_key("too_small")).unwrap();
    shop.koogate.signal("HUP");
    shop.koogate.wait_for_log("private key number 1 has");
    shop.sync("000000", &new);
}

#[test]
fn keys_that_cannot_be_used_keep_koogate_from_starting_and_it_says_why() {
    let scratch = folder(SILENT);
    std::fs::write(scratch.path("small.pem"), private_key("too_small")).unwrap();
    std::fs::write(scratch.path("public.pem"), public_key("pkcs8")).unwrap();
    std::fs::write(scratch.path("empty.pem"), "").unwrap();
    for (keys, expected) in [
        ("kit_private_keys = [\"small.pem\"]", "bits; KooGallery takes keys of 3072 bits or more"),
        ("kit_private_keys = [\"current.pem\", \"small.pem\"]", "private key number 2 has"),
        ("kit_private_keys = [\"public.pem\"]", "private key number 1 is no unencrypted RSA key in PEM"),
        ("kit_private_keys = [\"empty.pem\"]", "kit_private_keys"),
        ("kit_private_keys = [\"absent.pem\"]", "kit_private_keys[0]"),
        ("kit_private_keys = []", "kit_private_keys"),
        ("kit_private_keys = \"current.pem\"", "a list of files"),
        ("", "kit_private_keys"),
    ] {
        scratch.configure(&[KEY], &format!("kit = \"{KIT_KEY}\"\n{keys}\n"), SILENT);
        let ended = scratch.try_serve_with(&[]).err().unwrap_or_else(|| panic!("started with {keys:?}"));
        assert!(ended.code.is_some_and(|code| code != 0) && ended.log.contains(expected), "{keys}: {}", ended.log);
        let leaks = [private_key("too_small"), public_key("pkcs8")].concat();
        assert!(leaks.lines().all(|line| line.len() < 40 || !ended.log.contains(line)), "{}", ended.log);
    }
}

#[test]
fn secrets_and_personal_data_stand_nowhere_in_the_clear() {
    let moody = Moody::start();
    // The application quotes back what it was given, in its refusals too.
    moody.down.store(true, Ordering::SeqCst);
    let products = moody.application.product("");
    let shop = Shop::with_kit_and(
        Application::ready(),
        "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n",
        Some(&products),
    );
    let secret = encrypted(&public_key("pkcs8"), SECRET);
    let people = json!([person("zhangsan01"), person("lisi02")]);
    for (generation, list) in [(V1, json!(people.to_string())), (V2, people.clone())] {
        for sync in five("i-1") {
            let sync = if sync.0 == "authSync" { sync.with("userList", list.clone()) } else { sync };
            let sync = if sync.0 == "applicationSync" { sync.with("clientSecret", secret.as_str()) } else { sync };
            shop.sync_by(generation, "000000", &sync);
            shop.sync_by(generation, "000000", &sync.as_test());
        }
        // Lists that cannot be taken hold persons too.
        let mut bad = people.clone();
        bad[1]["enable"] = "Zq7-mobile".into();
        bad[0]["employeeType"] = "Zq7-staff-number".into();
        for bad in [bad, json!([person("a"), { "userName": [PERSONAL[0]] }]), json!({ "x": people }), json!([PERSONAL])]
        {
            for flag in [1, 3] {
                let answer =
                    crate::kit_call::call(&shop.koogate, generation, &auth("i-1", "app-1", bad.clone()).flag(flag));
                assert!(!text(&answer.body).contains("Zq7"), "{}", text(&answer.body));
            }
        }
        shop.sync_by(generation, "000002", &auth("i-1", "app-1", "[\"Zq7-mobile\" Zq7".into()));
    }
    // The application fails, and koogate reports what it said.
    eventually(|| (moody.application.events().len() >= 2).then_some(()), || shop.koogate.log_text());
    moody.down.store(false, Ordering::SeqCst);
    eventually(|| (moody.done().len() >= 10).then_some(()), || shop.koogate.log_text());
    let told = json!(moody.done()).to_string();
    let forwarded = |part: &&str| *part != "Zq7-unknown-member";
    assert!(told.contains(SECRET) && PERSONAL.iter().filter(|part| forwarded(part)).all(|part| told.contains(part)));

    shop.scratch.run_ok(&["backup", "copy.db"]);
    let numbers: Vec<String> = (1..=shop.count("exchange")).map(|number| number.to_string()).collect();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["exchange", "list"],
        vec!["exchange", "list", "--json"],
        vec!["exchange", "export"],
        vec!["exchange", "export", "--form", "csv"],
        vec!["tenant", "list", "--json"],
        vec!["tenant", "show", TENANT],
        vec!["tenant", "show", TENANT, "--json"],
        vec!["tenant", "users", TENANT],
        vec!["tenant", "users", TENANT, "--json"],
        vec!["tenant", "departments", TENANT, "--json"],
    ];
    for number in &numbers {
        commands.push(vec!["exchange", "show", number]);
        commands.push(vec!["exchange", "show", number, "--json"]);
    }
    for args in commands {
        let out = shop.scratch.run_ok(&args);
        assert!(!out.contains("Zq7") && !out.is_empty(), "{args:?}: {out}");
    }
    // The answer and the facts of a sealed call are there; only its body is not.
    let rows = shop.scratch.run_json(&["exchange", "list", "--json", "--limit", "1000"]);
    for row in &rows {
        let is_auth = row["activity"] == "authSync";
        assert_eq!(row["requestSealed"], is_auth, "{row}");
        assert_eq!(row["requestBody"].as_str().unwrap_or_default().is_empty(), is_auth, "{row}");
        assert!(row["answer"].as_str().is_some_and(|answer| answer.contains("resultCode")));
    }
    assert!(rows.iter().filter(|row| row["activity"] == "authSync").count() > 10);
    assert!(shop.scratch.run_ok(&["exchange", "export"]).contains("authSync"));

    let check = |scratch: &Scratch, log: &str| {
        let keys = lines_of_keys();
        let mut seen = 0;
        for name in files_in(&scratch.path("")) {
            let content = text(&std::fs::read(scratch.path(&name)).unwrap());
            assert!(!content.contains("Zq7"), "{name}");
            let is_given = name.ends_with(".pem") || name == "koogate.toml";
            assert!(is_given || keys.iter().all(|line| !content.contains(line)), "{name} holds a private key");
            assert!(is_given || !content.contains(KIT_KEY), "{name} holds the access key");
            seen += usize::from(name.ends_with(".db"));
        }
        assert!(seen >= 2, "the files are looked for in the wrong place");
        assert!(!log.contains("Zq7"), "{log}");
        assert!(keys.iter().all(|line| !log.contains(line)) && !log.contains(KIT_KEY), "{log}");
    };
    check(&shop.scratch, &shop.koogate.log_text());
    let Shop { koogate, scratch, .. } = shop;
    let log = koogate.stop();
    check(&scratch, &log);
}

#[test]
fn what_the_application_quotes_of_a_person_or_a_secret_is_blanked_wherever_it_is_kept() {
    // One value an attempt, in failures and at last in a refusal.
    let quoted = std::sync::Mutex::new([&[SECRET], &PERSONAL[..8]].concat());
    let application = Application::start(move |event| {
        let mut quoted = quoted.lock().unwrap();
        let is_secret = event["event"] == "application.sync";
        if is_secret && quoted[0] == SECRET {
            return (500, format!("cannot store {}", quoted.remove(0)));
        }
        let value = if is_secret { None } else { quoted.pop() };
        match value {
            Some(value) if quoted.is_empty() => {
                (200, json!({ "status": "refused", "resultCode": "000100", "message": value }).to_string())
            }
            Some(value) => (500, format!("cannot store {value}")),
            None => (200, "{\"status\":\"ready\"}".to_owned()),
        }
    });
    let jobs = "[jobs]\nfirst_retry = \"10ms\"\nslowest_retry = \"10ms\"\n";
    let shop = Shop::with_kit_and(application, jobs, None);
    shop.sync("000000", &application_sync(SECRET));
    eventually(|| (shop.count("job WHERE attempt > 1") == 1).then_some(()), || shop.koogate.log_text());
    let list = json!([person("zhangsan01")]);
    shop.sync("000000", &auth("i-1", "app-1", list));
    let mut seen = String::new();
    eventually(
        || {
            seen.push_str(&shop.tenant(TENANT)["jobs"].to_string());
            (shop.count("job WHERE state = 'dead'") == 1).then_some(())
        },
        || shop.koogate.log_text(),
    );
    let log = shop.koogate.log_text();
    assert!(log.matches("cannot store ***").count() >= 8, "{log}");
    assert!(!log.contains("Zq7"), "{log}");
    let shown = shop.tenant(TENANT).to_string();
    assert!(!shown.contains("Zq7") && !seen.contains("Zq7"), "{seen}");
    assert!(shown.contains("***"), "{shown}");
}

fn application_sync(secret: &str) -> crate::kit_call::Sync {
    application("i-1", "app-1", &encrypted(&public_key("pkcs8"), secret))
}

#[test]
fn a_sealed_secret_survives_a_restart_and_a_changed_client_is_told_anew() {
    let moody = Moody::start();
    moody.down.store(true, Ordering::SeqCst);
    let products = moody.application.product("");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    for text in ["one", "two"] {
        shop.sync("000000", &application("i-1", "app-1", &encrypted(&public_key("pkcs1"), text)));
    }
    let shop = shop.restarted(|koogate: Koogate| drop(koogate.stop()));
    moody.down.store(false, Ordering::SeqCst);
    eventually(|| (moody.done().len() == 2).then_some(()), || shop.koogate.log_text());
    let told: Vec<_> = moody.done().iter().map(|event| event["change"]["clientSecret"].clone()).collect();
    assert_eq!(told, ["one", "two"]);
    assert_eq!(shop.count("application"), 1);
}

#[test]
fn what_the_calls_say_neither_forges_lines_of_the_log_nor_reaches_a_terminal() {
    let moody = Moody::start();
    moody.refuses.store(true, Ordering::SeqCst);
    let products = moody.application.product("");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    let evil = "x\n2026-01-01T00:00:00Z ERROR koogate forged\u{1b}[31m\u{7}";
    let secret = "garbage";
    let people = json!([person(evil), { "userName": "b", "orgCode": evil, "role": evil }]);
    let calls = [
        tenant(evil).with("name", evil).with("tenantCode", evil).with("orderId", evil),
        application(evil, evil, &encrypted(&public_key("pkcs8"), "s")).with("clientId", evil),
        auth(evil, evil, people.to_string().into()),
        single_org(evil, evil, evil, evil),
    ];
    for sync in calls {
        shop.sync_by(V1, "000000", &sync.clone().of(evil));
        shop.sync_by(V1, "000000", &sync.clone().of("honest"));
        shop.sync_by(V1, "000000", &sync.of(evil).as_test());
    }
    shop.sync_by(V1, "000101", &application(evil, evil, secret).of(evil));
    shop.sync_by(
        V1,
        "000002",
        &tenant(evil).of(evil).with("flag", evil).with("domainName", evil).with("timeStamp", evil),
    );
    let dead = || (shop.count("job WHERE state = 'dead'") == 8).then_some(());
    eventually(dead, || shop.koogate.log_text());
    let log = shop.koogate.log_text();
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{7}']), "{log}");
    for args in [
        &["tenant", "list"][..],
        &["tenant", "show", "honest"],
        &["tenant", "show", evil],
        &["tenant", "users", "honest"],
        &["tenant", "departments", "honest"],
        &["exchange", "list"],
        &["exchange", "show", "1"],
    ] {
        let out = shop.scratch.run_ok(args);
        assert!(!out.contains(['\u{1b}', '\u{7}']), "{args:?}: {out:?}");
        assert!(!out.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{args:?}: {out}");
    }
}
