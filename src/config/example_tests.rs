//! The example configuration is the reference: it loads, it holds the defaults, and it holds every key there is.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../config.example.toml");
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const KEY: &str = "de305d54-75b4-431b-adb2-eb6b9e546014";
const LICENSE_KEY: &str = "11111111-75b4-431b-adb2-eb6b9e546014";

/// The example with keys in place of what a merchant fills in.
fn filled_in(example: &str) -> String {
    example
        .replace("basic = \"CHANGE-ME\"", &format!("basic = {KEY:?}"))
        .replace("license = \"CHANGE-ME\"", &format!("license = {LICENSE_KEY:?}"))
        .replace("kit = \"CHANGE-ME\"", &format!("kit = {LICENSE_KEY:?}"))
        .replace("kit-private.pem", &pem_file())
        .replace("ca.pem", &pem_file())
        .replace("{ file = \"open-api.secret\" }", "\"0123456789abcdef0123456789abcdef\"")
        .replace("{ file = \"sealing.key\" }", &format!("{HEX:?}"))
        .replace("{ file = \"admin.token\" }", "\"0123456789abcdef\"")
        .replace("{ file = \"login.secret\" }", "\"0123456789abcdef0123456789abcdef\"")
        .replace("{ file = \"robot.url\" }", "\"https://oapi.dingtalk.com/robot/send?access_token=0\"")
        .replace("{ file = \"robot.secret\" }", "\"SEC0123456789\"")
        .replace("{ file = \"heartbeat.url\" }", "\"https://hc-ping.com/0\"")
        .replace("{ file = \"hook.secret\" }", "\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"")
}

/// A file for the owner alone, in place of a private key: what is in it does not count here.
fn pem_file() -> String {
    static FILE: std::sync::OnceLock<tempfile::NamedTempFile> = std::sync::OnceLock::new();
    FILE.get_or_init(|| tempfile::NamedTempFile::new().unwrap()).path().display().to_string()
}

/// The example with everything switched on that is off: lines that begin with `#` and no blank.
fn switched_on(example: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c != ' ' && c != '#') => rest.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(on).collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Result<Config, ConfigErrors> {
    Config::from_toml(&filled_in(text), Path::new(""))
}

#[test]
fn the_example_lacks_nothing_but_the_access_key() {
    let text = EXAMPLE.replace("{ file = \"sealing.key\" }", &format!("{HEX:?}"));
    let errors = Config::from_toml(&text, Path::new("")).unwrap_err().errors;
    assert_eq!(errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), ["keys.basic"]);
    assert!(matches!(errors[0].problem, Problem::Secret(SecretProblem::Placeholder { .. })));
}

#[test]
fn the_example_holds_the_defaults() {
    let example = read(EXAMPLE).unwrap();
    assert_eq!(example.server, Server::default());
    assert_eq!(example.database, Database::default());
    assert_eq!(example.signature, Signature::default());
    assert_eq!(example.lifecycle, Lifecycle::default());
    assert_eq!(example.jobs, Jobs::default());
    assert_eq!(example.admin, None);
    assert_eq!(example.login, None);
    assert_eq!(example.open_api, None);
    assert_eq!(example.alerts, None);

    let bare = "[[product]]\nproduct_id = 'OFFI461867333479178240'\nfulfilment = 'http'\n\
                url = 'http://127.0.0.1:3000/koogate'\n\
                [[product]]\nproduct_id = 'EXAMPLE-STOCK'\nfulfilment = 'stock'\nstock = 'accounts'\n\
                [keys]\nbasic = \"CHANGE-ME\"\nsealing_key = { file = \"sealing.key\" }\n";
    let bare = read(bare).unwrap();
    assert_eq!(example.products[0], bare.products[0]);
    assert_eq!(example.products[2], bare.products[1]);
    let Fulfilment::Fixed { generate_password, .. } = example.products[3].fulfilment else { panic!() };
    assert!(!generate_password);
}

#[test]
fn what_is_switched_off_in_the_example_holds_the_defaults_too() {
    let example = read(&switched_on(EXAMPLE)).unwrap();
    assert_eq!(example.database.snapshots, Some(SnapshotSeries::default()));
    let admin = example.admin.unwrap();
    assert_eq!((admin.listen, admin.host_names), (Admin::default_listen(), Vec::new()));
    let login = example.login.unwrap();
    assert_eq!(login.login_page, Login::default_login_page());
    assert_eq!(login.token_lifetime, Login::DEFAULT_TOKEN_LIFETIME);
    assert_eq!(login.session_lifetime, Login::DEFAULT_SESSION_LIFETIME);
    assert!(!login.local_centres);
    let open_api = example.open_api.unwrap();
    assert_eq!(open_api.order_query, OrderQuery::Auto);
    assert_eq!(open_api.usage_interface, UsageInterface::New);
    assert_eq!(open_api.usage_batch_size, OpenApi::DEFAULT_USAGE_BATCH_SIZE);
    assert_eq!(open_api.multipart_payload, MultipartPayload::Unsigned);
    assert_eq!(open_api.heartbeat_fresh, OpenApi::DEFAULT_HEARTBEAT_FRESH);
    assert_eq!(open_api.heartbeat_stale, OpenApi::DEFAULT_HEARTBEAT_STALE);
    assert_eq!(example.alerts.unwrap().language, AlertLanguage::default());
    assert_eq!(example.warnings, []);
}

#[test]
fn every_key_there_is_stands_in_the_example() {
    // A key that cannot exist makes each section tell the keys it knows.
    const PROBE: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    let document: toml::Table = filled_in(&switched_on(EXAMPLE)).parse().unwrap();
    let mut present = BTreeSet::new();
    let mut probed = toml::Value::Table(document);
    visit_sections(&mut probed, "", &mut |path, section| {
        present.extend(section.keys().map(|key| format!("{path}{key}")));
        section.insert(PROBE.to_owned(), true.into());
    });
    let text = toml::to_string(&probed).unwrap();

    let mut known = BTreeSet::new();
    for error in Config::from_toml(&text, Path::new("")).unwrap_err().errors {
        let Problem::UnknownKey { known: keys, .. } = error.problem else { panic!("{}: {}", error.key, error.problem) };
        let path: String = error.key.trim_end_matches(PROBE).replace(|c: char| "[]0123456789".contains(c), "");
        known.extend(keys.iter().map(|key| format!("{path}{key}")));
    }
    assert!(known.contains("product.access.memo") && known.contains("database.snapshots.keep"), "{known:?}");
    assert_eq!(known.difference(&present).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Calls `visit` with every table and its path, but not with those that say where a secret is.
fn visit_sections(value: &mut toml::Value, path: &str, visit: &mut impl FnMut(&str, &mut toml::Table)) {
    match value {
        toml::Value::Table(table) => {
            visit(path, table);
            for (key, value) in table.iter_mut() {
                visit_sections(value, &format!("{path}{key}."), visit);
            }
        }
        toml::Value::Array(elements) => elements.iter_mut().for_each(|element| visit_sections(element, path, visit)),
        _ => {}
    }
}
