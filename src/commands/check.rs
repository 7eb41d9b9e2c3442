//! `koogate check`: the doctor's findings, each with its mend.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::output;
use crate::check::{self, Finding, Level};

/// Arguments of `koogate check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Exit code 1 where there is an error; a warning is none.
pub(super) fn run(config: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let mut has_error = false;
    // Each when it is found: one of the looks waits for KooGallery.
    check::run(config, &mut |finding| {
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
