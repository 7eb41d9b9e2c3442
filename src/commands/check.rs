//! `koogate check`: the doctor's findings, each with its mend.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::output;
use crate::check::{self, Finding, Level};

/// Arguments of `koogate check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look at this machine only: nobody else is called
    #[arg(long)]
    offline: bool,
    /// PEM file of certificates to trust besides the public ones where somebody is called
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Exit code 1 where there is an error; a warning is none.
pub(super) fn run(config: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let mut has_error = false;
    let extra_roots = match &args.ca {
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => Vec::new(),
    };
    let options = check::Options { offline: args.offline, extra_roots };
    // Each when it is found: some of the looks wait for others.
    check::run(config, &options, &mut |finding| {
        has_error |= finding.level == Level::Error;
        output::line(&if args.json { json_line(finding) } else { text_line(finding) })
    })?;
    Ok(if has_error { ExitCode::from(super::EXIT_FAILED) } else { ExitCode::SUCCESS })
}

fn text_line(finding: &Finding) -> String {
    let mend = finding.mend.as_ref().map(|mend| format!("\n{:23}→ {}", "", output::harmless(mend)));
    let (level, text) = (finding.level.as_str(), output::harmless(&finding.text));
    format!("{level:8} {:13} {text}{}", finding.subject, mend.unwrap_or_default())
}

fn json_line(finding: &Finding) -> String {
    let Finding { level, subject, text, mend } = finding;
    json!({ "level": level.as_str(), "subject": subject, "text": text, "mend": mend }).to_string()
}
