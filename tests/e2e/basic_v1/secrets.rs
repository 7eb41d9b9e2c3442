//! No secret of a V1 or licence call shows up where people or copies of files could see it.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

use crate::harness::{Application, KEY, Scratch, nonce, text};
use crate::shop::{Shop, instance_id};
use crate::token_get::{Get, call_with, encrypted, purchase, query};

const LICENSE_KEY: &str = "77777777-aaaa-bbbb-cccc-dddddddddddd";
const PASSWORD: &str = "canary-password-1";
const USER_NAME: &str = "canary-user-name";
const PHONE: &str = "13812345678";
const EMAIL: &str = "canary@example.com";
const LICENSE: &str = "CANARY-LICENSE-TEXT";
const FILE: &str = "canary-file-content";

fn application() -> Application {
    Application::start(|event| {
        let file = format!("{{\"fileName\":\"a.lic\",\"content\":\"{}\"}}", BASE64.encode(FILE.as_bytes()));
        let license = match (event["event"].as_str(), event["kind"].as_str()) {
            (Some("license.issue"), Some("license-online")) => file,
            _ => format!("\"{LICENSE}\""),
        };
        let access =
            format!("{{\"frontEndUrl\":\"https://a/\",\"userName\":\"{USER_NAME}\",\"password\":\"{PASSWORD}\"}}");
        (200, format!("{{\"status\":\"ready\",\"access\":{access},\"license\":{license}}}"))
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The files of the database, whatever SQLite calls them.
fn database_files(scratch: &Scratch) -> Vec<(String, Vec<u8>)> {
    let folder = scratch.path("koogate.db");
    let names = crate::harness::files_in(folder.parent().unwrap_or(Path::new(".")));
    let of_database = names.into_iter().filter(|name| name.contains(".db"));
    of_database.map(|name| (name.clone(), std::fs::read(scratch.path(&name)).unwrap())).collect()
}

#[test]
fn no_password_phone_licence_or_key_is_in_a_log_a_listing_the_database_or_a_backup() {
    let application = application();
    let entry = |kind: &str| application.product(&format!("kind = \"{kind}\""));
    let products = ["saas", "license", "license-online", "license-code"].map(entry).concat();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], "", &products);
    let configuration = std::fs::read_to_string(scratch.path("koogate.toml")).unwrap();
    let with_license = configuration.replacen("[keys]\n", &format!("[keys]\nlicense = \"{LICENSE_KEY}\"\n"), 1);
    std::fs::write(scratch.path("koogate.toml"), with_license).unwrap();
    let shop = Shop { koogate: scratch.serve_with(&[("RUST_LOG", "trace")]), application, scratch };

    let bought =
        purchase("CS1").with("mobilePhone", &encrypted(KEY, "1", PHONE)).with("email", &encrypted(KEY, "2", EMAIL));
    let id = instance_id(&shop.get_thrice(&bought));
    shop.get("000000", &query(&id));
    // A repeat that differs, a call that fails and a forged one are shown with what was received.
    shop.get("000000", &bought.again().with("email", &encrypted(KEY, "1", EMAIL)).with("skuCode", "other"));
    shop.get("000002", &bought.clone().with("expireTime", "never"));
    shop.koogate.get(&bought.target("wrong"));
    let get_license = Get::new(
        "getLicense",
        &[("customerId", "c"), ("businessId", &nonce()), ("orderId", "CS2"), ("productId", "P")],
    );
    let licensed = call_with(&shop.koogate, LICENSE_KEY, &get_license);
    assert_eq!((licensed.code().as_str(), licensed.json()["license"].as_str()), ("000000", Some(LICENSE)));
    let online = shop.koogate.call_with(LICENSE_KEY, &crate::harness::new_instance("CS3"));
    let request = serde_json::json!({
        "activity": "getLicenseAsync", "instanceId": instance_id(&online), "eventId": "E1",
        "effectiveTime": "2026-01-01 00:00:00 z", "testFlag": "0",
    });
    assert_eq!(shop.koogate.call_with(LICENSE_KEY, &request).code(), "000004");

    let mut places = database_files(&shop.scratch);
    assert!(places.len() > 1, "the log of the database is there while it is open");
    shop.scratch.run_ok(&["backup", "copy.db"]);
    let license_id = instance_id(&licensed);
    let commands: [&[&str]; 12] = [
        &["exchange", "list", "--limit", "1000"],
        &["exchange", "list", "--limit", "1000", "--json"],
        &["exchange", "export"],
        &["instance", "list"],
        &["instance", "show", &id],
        &["instance", "show", &id, "--json"],
        &["instance", "show", &license_id],
        &["license", "list"],
        &["license", "list", "--json"],
        &["license", "show", "1"],
        &["license", "show", "2", "--json"],
        &["stock", "list"],
    ];
    for command in commands {
        places.push((format!("{command:?}"), shop.scratch.run_ok(command).into_bytes()));
    }
    for number in 1..=shop.count("exchange") {
        let number = number.to_string();
        for json in [&["--json"][..], &[]] {
            let show = [&["exchange", "show", &number][..], json].concat();
            places.push((format!("{show:?}"), shop.scratch.run_ok(&show).into_bytes()));
        }
    }
    let Shop { koogate, scratch, .. } = shop;
    places.push(("the log".to_owned(), koogate.stop().into_bytes()));
    places.extend(database_files(&scratch));
    assert!(places.iter().any(|(name, _)| name == "copy.db"));
    for secret in [PASSWORD, USER_NAME, PHONE, EMAIL, LICENSE, FILE, KEY, LICENSE_KEY] {
        let bytes = secret.as_bytes();
        for shape in [secret.to_owned(), BASE64.encode(bytes), HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)] {
            for (name, content) in &places {
                assert!(!contains(content, shape.as_bytes()), "{secret} as {shape} in {name}: {}", text(content));
            }
        }
    }
    let log = &places.iter().find(|(name, _)| name == "the log").unwrap().1;
    assert!(contains(log, b"CS1"), "the log was looked at: {}", text(log));
    let exported = &places.iter().find(|(name, _)| name.contains("export")).unwrap().1;
    assert!(contains(exported, b"***"), "the journal shows that something stood there: {}", text(exported));
}
