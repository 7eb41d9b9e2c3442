//! No secret of a V1 or licence call shows up where people or copies of files could see it.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use serde_json::json;

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
const CODES: [&str; 2] = ["CANARY-CODE-GIVEN", "CANARY-CODE-IN-STOCK"];

const STOCK: &str =
    "[[product]]\nkind = \"license\"\nproduct_id = \"STOCK\"\nfulfilment = \"stock\"\nstock = \"codes\"\n";
const JOBS: &str = "[jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"1h\"\n";

/// Answers each event with what belongs to it and nothing more: one secret must not hide that another is not kept.
fn application() -> Application {
    Application::start(|event| {
        let access = json!({ "frontEndUrl": "https://a/", "userName": USER_NAME, "password": PASSWORD });
        let file = json!({ "fileName": "a.lic", "content": BASE64.encode(FILE.as_bytes()) });
        let answer = match (event["event"].as_str(), event["kind"].as_str()) {
            (Some("license.issue"), Some("license-online")) => json!({ "status": "ready", "license": file }),
            (Some("license.issue"), _) => json!({ "status": "ready", "license": LICENSE }),
            _ => json!({ "status": "ready", "access": access }),
        };
        (200, answer.to_string())
    })
}

/// The files of the database, whatever SQLite calls them.
fn database_files(scratch: &Scratch) -> Vec<(String, String)> {
    let folder = scratch.path("koogate.db");
    let names = crate::harness::files_in(folder.parent().unwrap_or(Path::new(".")));
    let of_database = names.into_iter().filter(|name| name.contains(".db"));
    of_database.map(|name| (name.clone(), text(&std::fs::read(scratch.path(&name)).unwrap()))).collect()
}

#[test]
fn no_password_phone_licence_or_key_is_in_a_log_a_listing_the_database_or_a_backup() {
    let application = application();
    let entry = |kind: &str| application.product(&format!("kind = \"{kind}\""));
    let products = ["saas", "license", "license-online", "license-code"].map(entry).concat();
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], JOBS, &format!("{STOCK}{products}"));
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
    let get_license = |order: &str, product: &str| {
        let parameters = [("customerId", "c"), ("businessId", &nonce()), ("orderId", order), ("productId", product)];
        call_with(&shop.koogate, LICENSE_KEY, &Get::new("getLicense", &parameters))
    };
    let licensed = get_license("CS2", "P");
    assert_eq!((licensed.code().as_str(), licensed.json()["license"].as_str()), ("000000", Some(LICENSE)));
    std::fs::write(shop.scratch.path("codes.csv"), format!("license\n{}\n", CODES.join("\n"))).unwrap();
    let imported = shop.scratch.run_ok(&["stock", "import", "codes", "codes.csv"]);
    assert_eq!(get_license("CS4", "STOCK").json()["license"], CODES[0]);
    let online = shop.koogate.call_with(LICENSE_KEY, &crate::harness::new_instance("CS3"));
    let request = json!({
        "activity": "getLicenseAsync", "instanceId": instance_id(&online), "eventId": "E1",
        "effectiveTime": "2026-01-01 00:00:00 z", "testFlag": "0",
    });
    assert_eq!(shop.koogate.call_with(LICENSE_KEY, &request).code(), "000004");

    let mut places = database_files(&shop.scratch);
    places.push(("the import".to_owned(), imported));
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
        &["license", "show", "3", "--json"],
        &["stock", "list"],
    ];
    for command in commands {
        places.push((format!("{command:?}"), shop.scratch.run_ok(command)));
    }
    for number in 1..=shop.count("exchange") {
        let number = number.to_string();
        for json in [&["--json"][..], &[]] {
            let show = [&["exchange", "show", &number][..], json].concat();
            places.push((format!("{show:?}"), shop.scratch.run_ok(&show)));
        }
    }
    let Shop { koogate, scratch, .. } = shop;
    places.push(("the log".to_owned(), koogate.stop()));
    places.extend(database_files(&scratch));
    assert!(places.iter().any(|(name, _)| name == "copy.db"));
    for secret in [PASSWORD, USER_NAME, PHONE, EMAIL, LICENSE, FILE, CODES[0], CODES[1], KEY, LICENSE_KEY] {
        let bytes = secret.as_bytes();
        for shape in [secret.to_owned(), BASE64.encode(bytes), HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)] {
            for (name, content) in &places {
                assert!(!content.contains(&shape), "{secret} as {shape} in {name}");
            }
        }
    }
    let log = &places.iter().find(|(name, _)| name == "the log").unwrap().1;
    assert!(log.contains("CS1"), "the log was looked at: {log}");
    let exported = &places.iter().find(|(name, _)| name.contains("export")).unwrap().1;
    assert!(exported.contains("***"), "the journal shows that something stood there: {exported}");
}
