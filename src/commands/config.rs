//! `koogate config show`: every value in effect and where it comes from. Secrets are masked, always.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::output;
use crate::config::{Origin, Setting, Value};

/// The subcommands of `koogate config`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show every value in effect and where it comes from; secrets are masked 查看生效的配置
    Show(ShowArgs),
}

/// Arguments of `koogate config show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(path: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Show(args) = command;
    let settings = super::load(path)?.settings;
    let rows = settings.iter().map(|setting| {
        let Setting { key, value, origin } = setting;
        vec![key.clone(), value.to_string(), told(path, origin)]
    });
    output::listing(args.json, &["key", "value", "from"], rows, settings.iter().map(|setting| object(path, setting)))?;
    Ok(ExitCode::SUCCESS)
}

/// Where a value comes from, in words.
fn told(path: &Path, origin: &Origin) -> String {
    let path = path.display();
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::Line(line) => format!("{path}:{line}"),
        Origin::Environment(name, line) => format!("environment {name} ({path}:{line})"),
        Origin::File(file, line) => format!("file {} ({path}:{line})", file.display()),
    }
}

/// A setting as a program sees it. `value` is the text of a TOML value; null where there is none or it is a secret.
pub(crate) fn object(path: &Path, setting: &Setting) -> Json {
    let Setting { key, value, origin } = setting;
    let text = match value {
        Value::Text(text) => Some(text.as_str()),
        Value::Secret | Value::Nothing => None,
    };
    let (from, line) = match origin {
        Origin::Default => ("default", None),
        Origin::Line(line) => ("line", Some(line)),
        Origin::Environment(_, line) => ("environment", Some(line)),
        Origin::File(_, line) => ("file", Some(line)),
    };
    let name = match origin {
        Origin::Environment(name, _) => Some(name.clone()),
        Origin::File(file, _) => Some(file.display().to_string()),
        Origin::Default | Origin::Line(_) => None,
    };
    json!({
        "key": key, "value": text, "secret": *value == Value::Secret, "isSet": *value != Value::Nothing,
        "origin": from, "name": name, "file": line.map(|_| path.display().to_string()), "line": line,
    })
}
