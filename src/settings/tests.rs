//! What a configuration comes to: which keys verify, which entry an instance belongs to, and who is waited for.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::config::{Config, PrivateKeyFile};
use crate::instance::{Instance, Status};
use crate::operation::Environment;
use crate::secret::Secret;

/// A configuration with further lines in `[keys]`, and further sections.
fn config(keys: &str, sections: &str) -> Config {
    let text = format!("[keys]\nbasic = 'basic-key'\nsealing_key = '{}'\n{keys}\n{sections}", "00".repeat(32));
    Config::from_toml(&text, Path::new("")).unwrap()
}

fn settings(sections: &str) -> Settings {
    Settings::new(&config("license = 'license-key'", sections)).unwrap()
}

/// The settings with one product entry that has these lines.
fn one_product(lines: &str) -> Settings {
    settings(&format!("[[product]]\n{lines}\n"))
}

fn product(settings: &Settings) -> &Product {
    settings.products.first().unwrap()
}

fn instance(kind: Kind, product_id: Option<&str>, sku_code: Option<&str>) -> InstanceRow {
    let told = |text: Option<&str>| text.map(str::to_owned);
    let (product_id, sku_code) = (told(product_id), told(sku_code));
    InstanceRow {
        row: 1,
        environment: Environment::Real,
        kind,
        instance_id: "i".to_owned(),
        life: Instance { status: Status::Active, status_serial: 1, expire_time: None, product_id, sku_code },
        order_id: None,
        order_line_id: None,
        charging_mode: None,
        front_end_url: None,
        encrypts_credentials: false,
        terms: None,
        terms_serial: 0,
        created_at: Timestamp::UNIX_EPOCH,
        ready_at: None,
        released_at: None,
    }
}

#[test]
fn a_key_verifies_calls_of_its_own_interface_and_is_named_by_a_label_that_does_not_tell_it() {
    let config = config("license = ['license-new', 'license-old']", "[[product]]\nfulfilment = 'manual'\n");
    let keyring = Settings::new(&config).unwrap().keyring;
    let signs = |key: &AccessKey, secret: &str| {
        let expected = AccessKey::new(String::new(), Secret::new(secret.to_owned()));
        assert!(!key.id().is_empty() && !secret.contains(key.id()), "{key:?}");
        key.verify(b"data", &expected.sign(b"data"))
    };
    let agree = |keys: &[AccessKey], secrets: &[&str]| {
        keys.len() == secrets.len() && keys.iter().zip(secrets).all(|(key, secret)| signs(key, secret))
    };
    assert!(agree(keyring.basic(), &["basic-key"]));
    assert!(agree(keyring.license(), &["license-new", "license-old"]));
    assert!(agree(keyring.license_then_basic(), &["license-new", "license-old", "basic-key"]));
    assert!(agree(keyring.kit(), &[]));
}

#[test]
fn the_private_keys_of_the_kit_are_ready_to_open_secrets() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/kit_oaep.json")).unwrap();
    let file = |pem: &str| {
        let pem = Secret::new(pem.to_owned());
        PrivateKeyFile { name: "kit.pem".to_owned(), path: "kit.pem".into(), pem }
    };
    let mut config = config("", "[[product]]\nfulfilment = 'manual'\n");
    assert!(Settings::new(&config).unwrap().kit_private_keys.is_empty());
    config.keys.kit_private_keys = vec![file(vectors["keys"]["pkcs8"]["private"].as_str().unwrap())];
    assert_eq!(Settings::new(&config).unwrap().kit_private_keys.len(), 1);
    config.keys.kit_private_keys.push(file("no key"));
    assert!(matches!(Settings::new(&config), Err(SettingsError::KitPrivateKeys(_))));
}

#[test]
fn the_first_entry_of_a_kind_that_matches_wins() {
    let settings = settings(concat!(
        "[[product]]\nproduct_id = 'P1'\nsku_code = 'S1'\nfulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\ntimeout = '1s'\n",
        "[[product]]\nproduct_id = 'P1'\nfulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\ntimeout = '90s'\n",
        "[[product]]\nkind = 'license'\nfulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\ntimeout = '3s'\n",
    ));
    let seconds = |product: Option<&Product>| product.map(|product| product.entry().timeout.as_secs());
    for (kind, product_id, sku_code, expected) in [
        (Kind::Saas, Some("P1"), Some("S1"), Some(1)),
        (Kind::Saas, Some("P1"), Some("S2"), Some(90)),
        (Kind::Saas, Some("P1"), None, Some(90)),
        (Kind::Saas, Some("P2"), None, None),
        (Kind::Saas, None, None, None),
        (Kind::License, Some("P1"), None, Some(3)),
    ] {
        assert_eq!(seconds(settings.product_for(kind, product_id, sku_code)), expected, "{product_id:?} {sku_code:?}");
        assert_eq!(seconds(settings.product_of(&instance(kind, product_id, sku_code))), expected);
    }
    assert!(settings.sells(Kind::Saas) && settings.sells(Kind::License) && !settings.sells(Kind::LicenseCode));
    assert_eq!(settings.longest_attempt(), Duration::from_secs(90));
}

#[test]
fn somebody_is_told_of_a_directory_even_before_anything_is_sold() {
    let told = |settings: &Settings, instance: Option<&InstanceRow>| {
        settings.product_of_directory(instance).map(|product| product.entry().timeout.as_secs())
    };
    let named = "[[product]]\nproduct_id = 'P1'\nfulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\ntimeout = '1s'\n";
    let license = "[[product]]\nkind = 'license'\nfulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\ntimeout = '3s'\n";
    let catch_all = "[[product]]\nfulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\ntimeout = '2s'\n";
    let everything = settings(&[license, named, catch_all].concat());
    assert_eq!(told(&everything, None), Some(2), "an entry for any product");
    assert_eq!(told(&everything, Some(&instance(Kind::Saas, Some("P1"), None))), Some(1));
    assert_eq!(told(&settings(&[license, named].concat()), None), Some(1), "the first that sells SaaS");
    assert_eq!(told(&settings(license), None), None);
}

#[test]
fn the_application_is_waited_for_where_the_answer_depends_on_it() {
    let upgrade = Change::Upgrade { product_id: None, sku_code: None };
    let at_once = one_product("fulfilment = 'manual'");
    let after = one_product("fulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\naccept = 'after'");
    for change in [upgrade, Change::Ready, Change::License] {
        assert!(product(&at_once).waits_for_application(&change), "{change:?}");
        assert!(product(&after).waits_for_application(&change), "{change:?}");
    }
    for change in [Change::Freeze, Change::Unfreeze, Change::Release] {
        assert!(!product(&at_once).waits_for_application(&change), "{change:?}");
        assert!(product(&after).waits_for_application(&change), "{change:?}");
    }
}

#[test]
fn an_entry_has_the_application_and_the_answers_that_it_names() {
    let plain = one_product("fulfilment = 'manual'");
    assert!(product(&plain).application().is_none());
    assert!(!product(&plain).asks_about_changes());
    assert_eq!(product(&plain).encrypt_type(), EncryptType::Aes256);
    assert_eq!(product(&plain).test_calls(), TestCalls::Answer);

    let http = one_product(concat!(
        "fulfilment = 'http'\nurl = 'http://127.0.0.1:1/'\nchange_check = 'ask'\n",
        "test_calls = 'forward'\nencrypt_type = '2'",
    ));
    assert!(matches!(product(&http).application(), Some(Application::Http(_))));
    assert!(product(&http).asks_about_changes());
    assert_eq!(product(&http).encrypt_type(), EncryptType::Aes128);
    assert_eq!(product(&http).test_calls(), TestCalls::Forward);

    let command = one_product("fulfilment = 'command'\ncommand = ['/bin/true']");
    assert!(matches!(product(&command).application(), Some(Application::Command(_))));
}

#[test]
fn orders_are_read_where_the_open_api_is_configured_and_not_turned_off() {
    let open_api = |lines: &str| {
        settings(&format!(
            "[open_api]\naccess_key_id = 'AK'\nsecret_access_key = 'SK-SK-SK-SK-SK-SK'\n{lines}\n[[product]]\nfulfilment = 'manual'\n"
        ))
    };
    let mode = |settings: &Settings| settings.order_query().map(|(_, mode)| mode);
    assert_eq!(mode(&open_api("")), Some(OrderQuery::Auto));
    assert_eq!(mode(&open_api("order_query = 'required'")), Some(OrderQuery::Required));
    assert_eq!(mode(&open_api("order_query = 'off'")), None);
    assert_eq!(mode(&one_product("fulfilment = 'manual'")), None);
}

#[test]
fn the_rules_are_those_of_the_protocol_unless_configured() {
    let settings = one_product("fulfilment = 'manual'");
    assert_eq!(settings.rules.signature, SignatureRules::default());
    assert_eq!(settings.rules.auth_token.max_age_ms, None);
    assert!(settings.rules.body_sign_v2 && settings.nonce_replay_check && settings.life.refresh_unfreezes);
    assert!(!settings.rules.ignores_bad_extend_params && settings.rules.adopts_unknown_codes);
    assert_eq!(settings.rules.v1_expire_time_offset.seconds(), 0);
    assert_eq!(settings.rules.request_encrypt_type, EncryptType::Aes256);
    assert_eq!(settings.change_check_refusal, ResultCode::INTERNAL);
    assert_eq!(settings.answer_within, Duration::from_secs(4));
}

#[test]
fn every_rule_can_be_configured() {
    let settings = settings(concat!(
        "[signature]\ntimestamp_window = '5s'\nreject_future_timestamps = false\nnonce_replay_check = false\n",
        "payload_candidates = ['sorted-with-nulls', 'raw']\nbody_sign_v2 = false\nv1_max_age = '15m'\n",
        "[lifecycle]\nrefresh_unfreezes = 'never'\nchange_check_refusal_code = '000100'\n",
        "v1_expire_time_zone = 'UTC+8'\nextend_params_error = 'ignore'\nl2_unknown_code = 'reject'\n",
        "[[product]]\nkind = 'license'\nfulfilment = 'manual'\n",
        "[[product]]\nfulfilment = 'manual'\nencrypt_type = '2'\n",
    ));
    let candidates = vec![PayloadCandidate::SortedWithNulls, PayloadCandidate::Raw];
    assert_eq!(settings.rules.signature, SignatureRules { window_ms: 5_000, reject_future: false, candidates });
    assert_eq!(settings.rules.auth_token.max_age_ms, Some(900_000));
    assert!(!settings.rules.body_sign_v2 && !settings.nonce_replay_check && !settings.life.refresh_unfreezes);
    assert!(settings.rules.ignores_bad_extend_params && !settings.rules.adopts_unknown_codes);
    assert_eq!(settings.rules.v1_expire_time_offset.seconds(), 8 * 3600);
    assert_eq!(settings.rules.request_encrypt_type, EncryptType::Aes128, "that of the entry for SaaS");
    assert_eq!(settings.change_check_refusal, ResultCode::NO_RESOURCE);
}
