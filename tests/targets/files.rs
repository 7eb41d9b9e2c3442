//! What the merchant writes: the configuration, CSV files, reports of usage, certificates and keys.

use std::path::Path;

use koogate::config::Config;
use koogate::http::Identity;
use koogate::protocol::kit::client_secret::PrivateKeys;
use koogate::settings::Settings;
use koogate::stock_file::{self, StockFile, StockFileError};
use koogate::usage::{file, intake};

use super::{split, text};

/// Stands for every secret in the corpus.
const CANARY: &str = "canary-0123456789abcdef";

/// A configuration, or errors that have a place and show no secret.
pub fn config(data: &[u8]) {
    let Some(text) = text(data) else { return };
    // Files and variables are the machine's: what they hold is none of the input.
    if text.contains("file") || text.contains("env") || text.contains("certificate") || text.contains("private_key") {
        return;
    }
    let shown = match Config::from_toml(text, Path::new("/nonexistent")) {
        Ok(config) => {
            let settings = Settings::new(&config);
            format!("{config:?} {:?}", settings.err().map(|error| error.to_string()))
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            let lines = text.lines().count().max(1) + 1;
            for error in &errors.errors {
                assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "line {:?} of {lines}", error.line);
            }
            let shown = errors.to_string();
            assert!(
                shown.lines().all(|line| line.starts_with("koogate.toml")) || text.contains(['"', '\'']),
                "{shown}"
            );
            shown
        }
    };
    if is_secret_only(text) {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

/// Whether the canary stands only where a secret belongs: in lines of the keys that hold one.
fn is_secret_only(text: &str) -> bool {
    text.contains(CANARY)
        && text.lines().filter(|line| line.contains(CANARY)).all(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            ["basic", "license", "kit", "sealing_key", "token", "secret", "password"].contains(&name.trim())
                && !name.contains(CANARY)
                && value.matches(CANARY).count() == 1
                && !value.contains(['{', '#'])
        })
        // A section decides what a key means.
        && text.lines().filter(|line| line.starts_with('[')).all(|line| ["[keys]", "[admin]"].contains(&line.trim()))
}

/// A list of what can be handed out, or an error that has a line and shows no value.
pub fn stock_csv(data: &[u8]) {
    let lines = data.split(|&byte| byte == b'\n' || byte == b'\r').count() as u64 + 1;
    match stock_file::read(data) {
        Ok(StockFile::Accounts(accounts)) => {
            assert!(!accounts.is_empty());
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let rows: String = accounts
                .iter()
                .map(|access| {
                    let secret = |value: Option<&koogate::secret::Secret<String>>| {
                        value.map_or_else(String::new, |value| quoted(value.expose()))
                    };
                    let plain = |value: Option<&str>| value.map_or_else(String::new, quoted);
                    let values = [
                        secret(access.user_name()),
                        secret(access.password()),
                        quoted(access.front_end_url()),
                        plain(access.admin_url()),
                        plain(access.memo()),
                    ];
                    values.join(",") + "\n"
                })
                .collect();
            let printed = format!("user_name,password,front_end_url,admin_url,memo\n{rows}");
            assert_eq!(
                stock_file::read(printed.as_bytes()),
                Ok(StockFile::Accounts(accounts)),
                "printed and read again"
            );
        }
        Ok(StockFile::Licenses(codes)) => assert!(!codes.is_empty()),
        Err(StockFileError::Shape(line) | StockFileError::Value(line, _) | StockFileError::License(line, _)) => {
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
        }
        Err(_) => {}
    }
}

/// Reports of usage, by file and by body: each is one or says what is wrong.
pub fn usage(data: &[u8]) {
    let count = data.split(|&byte| byte == b'\n' || byte == b'\r').count() as u64 + 1;
    if let Ok(lines) = file::read(data) {
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| (1..=count).contains(&line.number)), "{lines:?} of {count}");
        for report in lines.iter().filter_map(|line| line.report.as_ref().ok()) {
            assert!(report.window.begin <= report.window.end && !report.instance_id.is_empty());
        }
    }
    match intake::read(data) {
        Ok(intake::Intake::Many(reports)) => assert!((1..=intake::MOST).contains(&reports.len())),
        Ok(intake::Intake::One(_)) | Err(_) => {}
    }
    // A line of a file and a member of a body are read alike.
    assert_eq!(format!("{:?}", intake::read(data)), format!("{:?}", intake::read(data)));
}

/// A certificate and its key, or neither.
pub fn pem(data: &[u8]) {
    let (certificate, key) = split(data, 0);
    if let Ok(identity) = Identity::from_pem(certificate, key) {
        assert!(!identity.names().is_empty() && identity.chain_length() > 0);
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }
    if let Some(text) = text(data)
        && let Err(fault) = PrivateKeys::parse([text])
    {
        let shown = format!("{fault} {fault:?}");
        let shows = text.lines().any(|line| line.len() >= 32 && shown.contains(line));
        assert!(!shows, "a fault shows a line of the key");
    }
}
