//! Everything is run with the canaries, by an application that quotes what it was told, and everything is searched for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use jiff::Timestamp;
use koogate::admin::ROUTES;
use koogate::sealing::SealingKey;
use koogate::secret::Secret;
use koogate::store::{NewTenant, Role, Settings, Store};
use serde_json::json;

use super::*;
use crate::harness::{Application, Koogate, eventually, files_in, new_instance, nonce, send, text};
use crate::kit_call::{self, V1, V2, auth, encrypted, private_key, public_key};
use crate::koogallery::KooGallery;
use crate::login::Browser;
use crate::login::centre::Centre;
use crate::page::crawl::crawl;
use crate::page::visitor::Visitor;
use crate::shop::{Shop, instance_id};
use crate::token_get::{Get, call_with, decrypted, encrypted as encrypted_member, expire, purchase};

/// The application of all products. It fails at first, and quotes what it knows: the event, its secret, and what it was
/// about to answer.
fn quoting_application() -> Application {
    let attempts: Mutex<HashMap<String, usize>> = Mutex::default();
    Application::start(move |event| {
        let access = json!({ "frontEndUrl": "https://a/", "userName": USER_NAME.value, "password": PASSWORD.value });
        let file = json!({ "fileName": "a.lic", "content": BASE64.encode(FILE_LICENSE.value.as_bytes()) });
        let answer = match (event["event"].as_str(), event["kind"].as_str()) {
            (Some("license.issue"), Some("license-online")) => json!({ "status": "ready", "license": file }),
            (Some("license.issue"), _) => json!({ "status": "ready", "license": TEXT_LICENSE.value }),
            (Some("instance.create"), Some("saas")) => json!({ "status": "ready", "access": access }),
            _ => json!({ "status": "ready" }),
        };
        let id = event["operationId"].as_str().unwrap().to_owned();
        let mut attempts = attempts.lock().unwrap();
        let attempt = *attempts.entry(id).and_modify(|attempt| *attempt += 1).or_insert(0);
        let has_secrets = answer != json!({ "status": "ready" });
        match (attempt, attempts.len() % 3) {
            (0, _) => return (500, format!("whsec_{} {} cannot store {event}", HOOK.value, HOOK_BYTES.value)),
            (1, 0) if has_secrets => {
                let wrong = json!({
                    "status": PASSWORD.value, "access": { "frontEndUrl": PASSWORD.value, "password": [PASSWORD.value] },
                    "license": { "content": TEXT_LICENSE.value }, "resultCode": PASSWORD.value,
                });
                return (200, wrong.to_string());
            }
            (1, 1) if has_secrets => {
                return (200, format!("{{\"password\":\"{}\" {}", PASSWORD.value, TEXT_LICENSE.value));
            }
            (1, _) if has_secrets => {
                let access = json!({ "frontEndUrl": "https://a/", "userName": PASSWORD.value.repeat(20) });
                return (
                    200,
                    json!({ "status": "ready", "access": access, "license": [TEXT_LICENSE.value] }).to_string(),
                );
            }
            _ => {}
        }
        (200, answer.to_string())
    })
}

/// A program that does the same on stderr, and leaves its environment and command line in a file.
const PROGRAM: &str = "#!/bin/sh\ntr '\\0' '\\n' < /proc/self/environ >> environment\n\
    tr '\\0' ' ' < /proc/self/cmdline >> environment\nevent=$(cat)\nif ! [ -e once ]; then touch once; echo \"$event\" >&2; exit 1; fi\n\
    echo '{\"status\":\"ready\",\"access\":{\"frontEndUrl\":\"https://a/\",\"userName\":\"cnry-user-name-61f0\",\"password\":\"cnry+password/7c=d2\"}}'\n";

/// Where the sealing key comes from.
const VARIABLE: &str = "KOOGATE_CANARY_SEALING";

const APP: &str = "APP";

fn configuration(application: &Application, koogallery: &KooGallery) -> String {
    let secret = format!("secret = \"whsec_{}\"\n", HOOK.value);
    let kinds = ["saas", "license", "license-online", "license-code"];
    let products = kinds.map(|kind| application.product(&format!("kind = \"{kind}\"\n{secret}"))).concat();
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n[jobs]\nfirst_retry = \"10ms\"\nslowest_retry = \"50ms\"\n\
         [database.snapshots]\ndirectory = \"series\"\nevery = \"1m\"\n\
         [keys]\nbasic = [\"{}\", {{ file = \"old.key\" }}]\nlicense = \"{}\"\nkit = \"{}\"\n\
         kit_private_keys = [\"current.pem\", \"former.pem\"]\nsealing_key = {{ env = \"{VARIABLE}\" }}\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = {{ file = \"admin.token\" }}\n\
         [login]\napp_id = \"{APP}\"\napplication_url = \"https://app.example.com/sso\"\nsecret = \"{}\"\nlocal_centres = true\n\
         {}\n\
         [alerts]\nheartbeat_url = \"http://127.0.0.1:9/{}\"\n\
         webhooks = [{{ kind = \"dingtalk\", url = \"http://127.0.0.1:9/{}\", secret = \"{}\" }}]\n\
         [[product]]\nproduct_id = \"STOCK\"\nfulfilment = \"stock\"\nstock = \"accounts\"\n\
         [[product]]\nproduct_id = \"GENERATED\"\nfulfilment = \"fixed\"\ngenerate_password = true\n\
         access = {{ front_end_url = \"https://a/\", user_name = \"{}\" }}\n\
         [[product]]\nproduct_id = \"PROGRAM\"\nfulfilment = \"command\"\ncommand = [\"./program\"]\n\
         [[product]]\nkind = \"license\"\nproduct_id = \"STOCK\"\nfulfilment = \"stock\"\nstock = \"codes\"\n{products}",
        BASIC.value,
        LICENSE.value,
        KIT.value,
        TOKEN.value,
        koogallery.toml(),
        HEARTBEAT.value,
        ROBOT.value,
        ROBOT_SECRET.value,
        USER_NAME.value,
    )
}

/// The folder with everything in it that was given, none of it open to others.
fn folder(application: &Application, koogallery: &KooGallery) -> Scratch {
    let scratch = kit_call::folder(FIXED);
    let write = |name: &str, text: &str| std::fs::write(scratch.path(name), text).unwrap();
    write("koogate.toml", &configuration(application, koogallery));
    write("old.key", OLD_BASIC.value);
    write("admin.token", ADMIN.value);
    write("program", PROGRAM);
    let user = "user_name,password,front_end_url,admin_url,memo";
    let row = |password: &str| format!("{},{password},https://a/,,\n", STOCK_USER.value);
    write("accounts.csv", &format!("{user}\n{}{}", row(STOCK_PASSWORD.value), row(SPARE_PASSWORD.value)));
    write("codes.csv", &format!("license\n{}\n", STOCK_LICENSE.value));
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(scratch.path("program"), mode(0o700)).unwrap();
    scratch
}

/// A tenant whose authentication centre is on this machine, as no call could tell it.
fn know_centre(scratch: &Scratch, centre: &Centre) {
    let (path, snapshot) = (scratch.path("koogate.db"), scratch.path("koogate.snapshot.db"));
    let settings = Settings { path, snapshot, commit_batch: 512 };
    let store = Store::open(&settings, Role::Command, Arc::new(SealingKey::from_hex(SEALING.value).unwrap())).unwrap();
    let domain = centre.domain_name();
    let known = store.write(None, move |tx| {
        let new = NewTenant { tenant_id: "t-1", tenant_code: "code", name: "Tenant", domain_name: Some(&domain) };
        let row = tx.put_tenant(&new, Timestamp::now())?;
        tx.put_application(row, APP, "client", &Secret::new(CLIENT_SECRET.value.to_owned()), Timestamp::now())
    });
    known.unwrap();
    store.close().unwrap();
}

fn centre() -> Centre {
    Centre::start(|seen| {
        let is_token = seen.form.contains_key("grant_type");
        let tokens = json!({ "access_token": ACCESS.value, "token_type": "Bearer", "refresh_token": REFRESH.value });
        let user = json!({ "userName": "zhangsan01", "email": CENTRE_EMAIL.value, "role": "admin", "tenant": "t-1" });
        // It refuses what is sent for the second time, and quotes it.
        match seen.form.get("code").is_some_and(|code| code.ends_with("-bad")) {
            true => (400, json!({ "error": "invalid_grant", "error_description": format!("{:?}", seen.form) })).into(),
            false => (200, if is_token { tokens } else { user }).into(),
        }
    })
}

/// What was written or said, by where.
type Traces = Vec<(String, Vec<u8>)>;

struct Everything {
    shop: Shop,
    traces: Traces,
    /// Beside the table: the generated password, parts of private keys.
    more: Vec<Vec<u8>>,
}

impl Everything {
    /// Runs a command, which may fail.
    fn run(&mut self, args: &[&str]) {
        let output = self.shop.scratch.command(args).env(VARIABLE, SEALING.value).output().unwrap();
        assert!(output.status.code().is_some(), "{args:?} was ended by a signal");
        self.traces.push((format!("stdout of {args:?}"), output.stdout));
        self.traces.push((format!("stderr of {args:?}"), output.stderr));
    }

    fn until_done(&self, call: impl Fn() -> crate::harness::Answer) -> crate::harness::Answer {
        let answer = || Some(call()).filter(|answer| answer.code() == "000000");
        eventually(answer, || self.shop.koogate.log_text())
    }

    fn get(&self, key: &str, get: &Get) -> crate::harness::Answer {
        self.until_done(|| call_with(&self.shop.koogate, key, get))
    }
}

/// Calls of all families, until each has done what it is for.
fn sell(everything: &mut Everything, koogallery: &KooGallery) {
    let bought = purchase("CS1")
        .with("mobilePhone", &encrypted_member(BASIC.value, "1", PHONE.value))
        .with("email", &encrypted_member(BASIC.value, "2", EMAIL.value));
    let id = instance_id(&everything.get(BASIC.value, &bought));
    everything.get(BASIC.value, &bought.clone().with("skuCode", "other"));
    everything.get(OLD_BASIC.value, &purchase("CS2").with("productId", "STOCK"));
    everything.get(BASIC.value, &purchase("CS3").with("productId", "PROGRAM"));
    let generated = everything.get(BASIC.value, &purchase("CS4").with("productId", "GENERATED")).json();
    let size = generated["encryptType"].as_str().unwrap();
    let password = decrypted(BASIC.value, size, generated["appInfo"]["password"].as_str().unwrap());
    everything.more.push(password.into_bytes());
    everything.get(BASIC.value, &expire(&id, "CS1"));
    // Refused: a wrong date, a wrong token, a wrong key, no call at all.
    let koogate = &everything.shop.koogate;
    call_with(koogate, BASIC.value, &bought.with("expireTime", "never"));
    koogate.get(&purchase("CS9").target("wrong"));
    let _ = koogate.try_call("another-key-altogether", &new_instance("CS9"));
    let _ = koogate.post("/saasproduce", json!({ "password": PASSWORD.value }).to_string().as_bytes());

    koogallery.put_order(json!({
        "orderId": "CS5", "orderType": "NEW", "createTime": "20220726064736",
        "orderLine": [{
            "orderLineId": "CS5-000001", "chargingMode": "PERIOD", "periodType": "year", "periodNumber": 1,
            "expireTime": "20991231235959", "productInfo": [{ "productId": "P", "skuCode": "S", "linearValue": 1 }],
        }],
        "buyerInfo": { "customerId": "c-1", "mobilePhone": ORDER_PHONE.value, "email": ORDER_EMAIL.value },
    }));
    everything.until_done(|| everything.shop.koogate.call_with(BASIC.value, &new_instance("CS5")));

    let get_license = |order: &str, product: &str| {
        let parameters = [("customerId", "c"), ("businessId", &nonce()), ("orderId", order), ("productId", product)];
        Get::new("getLicense", &parameters)
    };
    everything.get(LICENSE.value, &get_license("CS6", "P"));
    everything.get(LICENSE.value, &get_license("CS7", "STOCK"));
    let online = everything.until_done(|| everything.shop.koogate.call_with(LICENSE.value, &new_instance("CS8")));
    let request = json!({
        "activity": "getLicenseAsync", "instanceId": instance_id(&online), "eventId": "E1",
        "effectiveTime": "2026-01-01 00:00:00 z", "testFlag": "0",
    });
    everything.shop.koogate.call_with(LICENSE.value, &request);
    let uploaded = || (everything.shop.count("license WHERE content_sealed IS NOT NULL") == 3).then_some(());
    eventually(uploaded, || everything.shop.koogate.log_text());
}

/// The joint-operation kit, in both generations, and logins.
fn join(everything: &Everything) {
    let koogate = &everything.shop.koogate;
    let secret = encrypted(&public_key("pkcs8"), CLIENT_SECRET.value);
    let person = json!([{
        "userName": "zhangsan01", "name": PERSON.value, "orgCode": "1", "role": "admin", "enable": "true",
        "mobile": PERSON_PHONE.value, "email": PERSON_EMAIL.value,
    }]);
    for generation in [V1, V2] {
        for sync in kit_call::five("i-1") {
            let sync = match sync.0 {
                "applicationSync" => sync.with("clientSecret", secret.as_str()),
                "authSync" => auth("i-1", "app-1", person.clone()),
                _ => sync,
            };
            kit_call::call_with(koogate, generation, KIT.value, &sync);
            kit_call::call_with(koogate, generation, KIT.value, &sync.as_test());
            if sync.0 == "authSync" {
                // Refused, for what stands where it does not belong.
                kit_call::call_with(koogate, generation, KIT.value, &sync.with("flag", PERSON.value));
            }
        }
    }
    let done = || (everything.shop.count("job WHERE tenant IS NOT NULL AND state <> 'done'") == 0).then_some(());
    eventually(done, || koogate.log_text());

    let bad = format!("{}-bad", CODE.value);
    assert_eq!(Browser::default().log_in(koogate, "t-1", &bad).status, 400);
    let handed_over = Browser::default().log_in(koogate, "t-1", CODE.value);
    assert_eq!(handed_over.status, 302, "{}", text(&handed_over.body));
    assert_eq!(everything.shop.count("login_session WHERE refresh_token_sealed IS NOT NULL"), 1);
}

/// What the status page shows to who is logged in and has nothing revealed.
fn visit(everything: &mut Everything) {
    let mut visitor = Visitor::new(&everything.shop.koogate);
    let answers = [visitor.log_in("cnry-wrong-token"), visitor.log_in(ADMIN.value)];
    assert_eq!(answers[1].status, 303);
    let pages = crawl(&mut visitor, 50).into_iter().map(|page| (page.target, page.answer));
    for (target, answer) in answers.map(|answer| ("/login".to_owned(), answer)).into_iter().chain(pages) {
        let head: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        everything.traces.push((format!("page {target}"), [head.join("\n").as_bytes(), &answer.body].concat()));
    }
}

/// What the admin listener tells, with the token and without.
fn ask(everything: &mut Everything, ids: &[(&str, String)]) {
    let address = everything.shop.koogate.admin.unwrap();
    let bearer = format!("Bearer {}", ADMIN.value);
    for route in ROUTES {
        let mut target = route.path.to_owned();
        for (name, id) in ids {
            target = target.replace(&format!("{{{name}}}"), id);
        }
        for bearer in [bearer.as_str(), "Bearer wrong"] {
            if target.ends_with("/refresh") {
                // It is asked who the user is, and tells it.
                continue;
            }
            let answer =
                send(address, route.method.as_str(), &target, &[("Authorization", bearer)], b"{\"x\":1}").unwrap();
            let head: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let answered = [head.join("\n").as_bytes(), &answer.body].concat();
            everything.traces.push((format!("{} {target}", route.method), answered));
        }
    }
}

/// Configurations in which secrets stand in the wrong clothes; the server is reloaded with each, and commands read it.
fn break_configuration(everything: &mut Everything, good: &str) {
    let basic = format!("\"{}\"", BASIC.value);
    for (right, wrong) in [
        (basic.clone(), format!("\"{} with a blank\"", BASIC.value)),
        (basic.clone(), format!("{{ env = \"{}\" }}", BASIC.value)),
        (basic.clone(), format!("{{ value = {basic} }}")),
        (basic.clone(), format!("[{basic}]")),
        (basic.clone(), format!("\"{}", BASIC.value)),
        (basic, BASIC.value.to_owned()),
        (format!("\"{}\"", TOKEN.value), format!("\"{}\\u0001\"", TOKEN.value)),
        (format!("whsec_{}", HOOK.value), HOOK.value.to_owned()),
        (format!("whsec_{}", HOOK.value), format!("whsec_!{}", HOOK.value)),
        (format!("{{ env = \"{VARIABLE}\" }}"), format!("\"{}0\"", SEALING.value)),
        (format!("{{ env = \"{VARIABLE}\" }}"), format!("\"0{}\"", &SEALING.value[1..])),
    ] {
        assert!(good.contains(&right), "{right}");
        std::fs::write(everything.shop.scratch.path("koogate.toml"), good.replace(&right, &wrong)).unwrap();
        let said = |koogate: &Koogate| koogate.log_text().matches("was not reloaded").count();
        let before = said(&everything.shop.koogate);
        everything.shop.koogate.signal("HUP");
        let koogate = &everything.shop.koogate;
        eventually(|| (said(koogate) > before).then_some(()), || format!("{wrong}\n{}", koogate.log_text()));
        everything.run(&["check"]);
    }
    std::fs::write(everything.shop.scratch.path("koogate.toml"), good).unwrap();
}

fn look_at_everything(everything: &mut Everything, ids: &[(&str, String)]) {
    let id = |name: &str| ids.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (instance, license) = (id("instanceId"), id("licenseId"));
    let here = format!("http://{}/saasproduce", everything.shop.koogate.address);
    let numbers: Vec<String> = (1..=everything.shop.count("exchange")).map(|number| number.to_string()).collect();
    let shown: Vec<Vec<&str>> = [
        "exchange list --limit 1000",
        "exchange export",
        "exchange export --form csv",
        "exchange export --form csv out.csv",
        "instance list",
        "order list",
        "order show CS5",
        "license list",
        "stock list",
        "stock import accounts accounts.csv",
        "stock import codes codes.csv",
        "tenant list",
        "tenant show t-1",
        "usage list",
        "key show",
        "check --offline",
        "config show",
        "support-bundle bundle.tar.gz --offline",
        "backup copy.db",
        "verify copy.db",
        "verify series",
        "restore copy.db",
    ]
    .map(|line| line.split(' ').collect())
    .to_vec();
    for args in shown {
        everything.run(&args);
        if matches!(args.get(1), Some(&("list" | "show"))) || args[0] == "check" {
            everything.run(&[&args[..], &["--json"]].concat());
        }
    }
    for tenant in ["t-1", kit_call::TENANT] {
        for what in ["show", "users", "departments"] {
            everything.run(&["tenant", what, tenant, "--json"]);
            everything.run(&["tenant", what, tenant]);
        }
    }
    for instance in [&instance, &id("failing")] {
        everything.run(&["instance", "show", instance, "--json"]);
        everything.run(&["instance", "show", instance]);
    }
    everything.run(&["license", "show", &license, "--json"]);
    everything.run(&["license", "show", &license]);
    for number in &numbers {
        everything.run(&["exchange", "show", number]);
    }
    unpack(everything);
    everything.run(&["simulate", "--to", &here, "--json"]);
    everything.run(&["simulate", "--to", &here, "--generation", "v1"]);
}

/// What is in the support bundle, which is compressed: nothing is found in it before.
fn unpack(everything: &mut Everything) {
    let packed = std::fs::read(everything.shop.scratch.path("bundle.tar.gz")).unwrap();
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut unpacked).unwrap();
    let told = text(&unpacked);
    for part in ["README.txt", "\"lastError\": \"", "keys.sealing_key", "\"subject\":\"database\""] {
        assert!(told.contains(part), "no {part} in the bundle");
    }
    everything.traces.push(("the support bundle".to_owned(), unpacked));
}

/// Files of the folder and those below it, but for what was given.
fn files(scratch: &Scratch, traces: &mut Traces) {
    const GIVEN: [&str; 8] =
        ["koogate.toml", "old.key", "admin.token", "program", "accounts.csv", "codes.csv", "current.pem", "former.pem"];
    for name in files_in(&scratch.path("")).into_iter().filter(|name| !GIVEN.contains(&name.as_str())) {
        if scratch.path(&name).is_dir() {
            for inner in files_in(&scratch.path(&name)) {
                traces.push((format!("{name}/{inner}"), std::fs::read(scratch.path(&name).join(inner)).unwrap()));
            }
        } else {
            traces.push((name.clone(), std::fs::read(scratch.path(&name)).unwrap()));
        }
    }
}

/// Lines of a private key in PEM, and the bytes they stand for. The first dozen are the public key, and no secret.
fn parts_of_private_keys() -> Vec<Vec<u8>> {
    let lines = ["pkcs8", "pkcs1"]
        .map(|name| private_key(name).lines().skip(13).step_by(6).take(4).map(str::to_owned).collect::<Vec<_>>());
    let lines = lines.concat();
    let bytes = lines.iter().map(|line| BASE64.decode(line.as_bytes()).unwrap());
    lines.iter().map(|line| line.clone().into_bytes()).chain(bytes).collect()
}

fn every_sealed_column_is_filled(scratch: &Scratch) {
    for canary in CANARIES {
        let Home::Sealed(columns) = canary.home else { continue };
        for (table, column) in columns.iter().map(|column| column.split_once('.').unwrap()) {
            let rows = crate::shop::count(scratch, &format!("{table} WHERE {column}_sealed IS NOT NULL"));
            assert!(rows > 0, "nothing was sealed in {table}.{column}");
        }
    }
}

#[test]
fn nothing_that_koogate_writes_or_says_holds_a_secret() {
    let (application, koogallery, centre) = (quoting_application(), KooGallery::start(), centre());
    let scratch = folder(&application, &koogallery);
    let environment = [(VARIABLE, SEALING.value), ("RUST_LOG", "trace,rustls=trace")];
    scratch.serve_with(&environment).stop();
    know_centre(&scratch, &centre);
    for name in ["accounts", "codes"] {
        let mut import = scratch.command(&["stock", "import", name, &format!("{name}.csv")]);
        assert!(import.env(VARIABLE, SEALING.value).status().unwrap().success());
    }
    let koogate = scratch.serve_with(&environment);
    let good = std::fs::read_to_string(scratch.path("koogate.toml")).unwrap();
    let shop = Shop { koogate, application, scratch };
    let mut everything = Everything { shop, traces: Vec::new(), more: parts_of_private_keys() };
    sell(&mut everything, &koogallery);
    join(&everything);

    let look = |sql: &str| crate::shop::look_up::<String>(&everything.shop.scratch, sql);
    let ids = [
        ("instanceId", look("SELECT instance_id FROM instance WHERE order_id = 'CS5'")),
        ("failing", look("SELECT instance_id FROM instance WHERE order_id = 'CS1'")),
        ("licenseId", "1".to_owned()),
        ("tenantId", kit_call::TENANT.to_owned()),
        ("orderId", "CS5".to_owned()),
        ("sid", look("SELECT sid FROM login_session")),
        ("code", "PL-1".to_owned()),
    ];
    every_sealed_column_is_filled(&everything.shop.scratch);
    // While it runs, with its log of the database.
    files(&everything.shop.scratch, &mut everything.traces);
    look_at_everything(&mut everything, &ids);
    ask(&mut everything, &ids);
    visit(&mut everything);
    break_configuration(&mut everything, &good);

    let Everything { shop, mut traces, more } = everything;
    let Shop { koogate, scratch, application } = shop;
    traces.push(("the log".to_owned(), koogate.stop().into_bytes()));

    files(&scratch, &mut traces);
    assert_eq!(leaks(&traces, &more), Vec::<String>::new());

    // It was looked for where it would have been: what is known to be there is there.
    let trace = |name: &str| text(&traces.iter().find(|(known, _)| known == name).unwrap().1);
    let log = trace("the log");
    for part in ["cannot store", "TRACE", "ureq", "was not reloaded", "CS1"] {
        assert!(log.contains(part), "no {part} in the log");
    }
    let environment = trace("environment");
    assert!(environment.contains("KOOGATE_EVENT") && environment.contains("./program"), "{environment}");
    for name in ["koogate.db", "koogate.db-wal", "koogate.snapshot.db", "copy.db", "out.csv", "GET /metrics"] {
        assert!(traces.iter().any(|(known, content)| known == name && !content.is_empty()), "{name} was not looked at");
    }
    let told = json!(application.events()).to_string();
    for canary in [PHONE, EMAIL, ORDER_PHONE, ORDER_EMAIL, CLIENT_SECRET, PERSON, PERSON_PHONE, PERSON_EMAIL] {
        assert!(told.contains(canary.value), "{} has never reached the application", canary.value);
    }
}

/// Which canaries are where.
fn leaks(traces: &Traces, more: &[Vec<u8>]) -> Vec<String> {
    let table = CANARIES.iter().map(|canary| canary.value.as_bytes().to_vec()).filter(|value| !value.is_empty());
    let values: Vec<_> = table.chain(more.iter().cloned()).collect();
    let of_values = values.iter().flat_map(|value| forms(value).into_iter().map(|form| (form, text(value))));
    let (forms, owners): (Vec<_>, Vec<_>) = of_values.unzip();
    let search = Search::new(forms);
    let mut leaks = Vec::new();
    for (name, content) in traces {
        for (number, at) in search.in_bytes(content) {
            let around = &content[at.saturating_sub(60)..content.len().min(at + 100)];
            leaks.push(format!("{} in {name}: …{}…", owners[number], text(around).escape_debug()));
        }
    }
    leaks
}

#[test]
fn a_leak_is_seen_wherever_it_is() {
    let encoded = BASE64.encode(format!("?{}", PASSWORD.value).as_bytes());
    for leak in [PASSWORD.value, &encoded, "cnry%2Bpassword%2F7c%3Dd2", "second-canary"] {
        let traces =
            vec![("one".to_owned(), b"nothing".to_vec()), ("two".to_owned(), format!("…{leak}…").into_bytes())];
        let found = leaks(&traces, &[b"second-canary".to_vec()]);
        assert!(found.len() == 1 && found[0].contains(" in two: "), "{leak}: {found:?}");
    }
    assert_eq!(leaks(&vec![("clean".to_owned(), b"nothing".to_vec())], &[]), Vec::<String>::new());
}
