//! `koogate config show`: every key with its value in effect and its origin, and no secret.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{KEY, SEALING_KEY, Scratch, text};
use crate::shop::FIXED;

/// What is shown of a key.
fn shown<'s>(settings: &'s [Value], key: &str) -> &'s Value {
    settings.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("{key}: {settings:#?}"))
}

#[test]
fn each_value_is_shown_with_its_origin_and_secrets_are_not() {
    let scratch = Scratch::new(FIXED);
    std::fs::write(scratch.path("basic.key"), "a-secret-in-a-file").unwrap();
    let toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[keys]\nbasic = [{{ file = \"basic.key\" }}, \"{KEY}\"]\n\
         sealing_key = {{ env = \"SEALING\" }}\n[[product]]\nproduct_id = \"A\"\nfulfilment = \"http\"\n\
         url = \"http://127.0.0.1:1/hook?key=in-the-url\"\n[[product]]\nfulfilment = \"command\"\n\
         command = [\"/bin/true\", \"--token=in-the-command\"]\naccess = {{ front_end_url = \"https://a.example\" }}\n"
    );
    std::fs::write(scratch.path("koogate.toml"), toml).unwrap();
    let run = |args: &[&str]| {
        let output = scratch.command(args).env("SEALING", SEALING_KEY).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let json = run(&["config", "show", "--json"]);
    let settings: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (key, value, origin, line) in [
        ("server.listen", "\"127.0.0.1:0\"", "line", Some(2)),
        ("server.answer_within", "\"4s\"", "default", None),
        ("lifecycle.refresh_unfreezes", "\"always\"", "default", None),
        ("signature.payload_candidates", "[\"raw\", \"sorted\", \"sorted-with-nulls\"]", "default", None),
        ("product[0].product_id", "\"A\"", "line", Some(7)),
        ("product[0].url", "\"http://127.0.0.1:1/hook?***\"", "line", Some(9)),
        ("product[1].command", "[\"/bin/true\", \"--token=***\"]", "line", Some(12)),
        ("product[1].access.front_end_url", "\"https://a.example\"", "line", Some(13)),
        ("product[1].timeout", "\"1m\"", "default", None),
    ] {
        let setting = shown(&settings, key);
        let found = (setting["value"].as_str(), setting["origin"].as_str(), setting["line"].as_u64());
        assert_eq!(found, (Some(value), Some(origin), line), "{key}");
    }
    for (key, origin, name) in [
        ("keys.basic[0]", "file", Some("basic.key")),
        ("keys.basic[1]", "line", None),
        ("keys.sealing_key", "environment", Some("SEALING")),
    ] {
        let setting = shown(&settings, key);
        assert!(setting["secret"] == true && setting["value"].is_null() && setting["origin"] == origin, "{setting}");
        assert!(setting["name"].as_str().is_none_or(|found| found.ends_with(name.unwrap())), "{setting}");
    }
    for key in ["admin", "login", "open_api", "keys.kit", "server.public_url"] {
        assert_eq!(shown(&settings, key)["isSet"], false, "{key}");
    }
    let table = run(&["config", "show"]);
    assert!(table.contains("environment SEALING (koogate.toml:5)"), "{table}");
    for secret in [KEY, SEALING_KEY, "a-secret-in-a-file", "in-the-url", "in-the-command"] {
        assert!(!json.contains(secret) && !table.contains(secret), "{secret}");
    }
}

/// The example is the list of all keys; here it is read with all that is off in it switched on.
#[test]
fn every_key_of_the_example_is_shown() {
    let example = include_str!("../../config.example.toml");
    let scratch = Scratch::new(FIXED);
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let switched_on: Vec<String> = example.lines().map(on).collect();
    let mut written = BTreeSet::new();
    let (mut section, mut entries) = (String::new(), BTreeMap::new());
    for line in &switched_on {
        if let Some(name) = line.strip_prefix("[[") {
            let name = name.trim_end_matches("]]");
            let count = entries.entry(name).and_modify(|count| *count += 1).or_insert(0);
            section = format!("{name}[{count}]");
        } else if let Some(name) = line.strip_prefix('[') {
            section = match name.trim_end_matches(']') {
                name if name.starts_with("product.") => {
                    name.replace("product", &format!("product[{}]", entries["product"]))
                }
                name => name.to_owned(),
            };
        } else if let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with(['#', ' '])) {
            let inline_table = value.starts_with('{') && !value.contains("file =");
            written.extend((!inline_table).then(|| format!("{section}.{key}")));
        }
    }
    assert!(written.len() > 60, "{written:?}");
    // Files in the place of secrets that are files there, and keys in the place of what is to be pasted.
    let secret = "0123456789abcdef0123456789abcdef";
    for name in ["ca.pem", "kit-private.pem"] {
        std::fs::write(scratch.path(name), secret).unwrap();
    }
    for line in example.lines().filter(|line| line.contains("file = \"")) {
        let name = line.split("file = \"").nth(1).unwrap().split('"').next().unwrap();
        let content = match name {
            "sealing.key" => SEALING_KEY.to_owned(),
            name if name.ends_with(".url") => "https://hooks.example.com/secret".to_owned(),
            "hook.secret" => "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz".to_owned(),
            _ => secret.to_owned(),
        };
        std::fs::write(scratch.path(name), content).unwrap();
    }
    let toml = switched_on.join("\n").replace("license = \"CHANGE-ME\"", "license = \"another-key-of-the-seller\"");
    std::fs::write(scratch.path("koogate.toml"), toml.replace("CHANGE-ME", KEY)).unwrap();
    let settings = scratch.run_json(&["config", "show", "--json"]);
    let shown: BTreeSet<String> =
        settings.iter().map(|setting| setting["key"].as_str().unwrap().replace("basic[0]", "basic")).collect();
    let missing: Vec<_> = written.difference(&shown).collect();
    assert_eq!(missing, Vec::<&String>::new(), "{shown:#?}");
}
