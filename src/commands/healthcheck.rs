//! `koogate healthcheck`: asks the running server's public listener whether it is well, for scripts and monitors.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::output;
use crate::health::Caller;

/// Whoever calls by a timer must have the answer before the next turn.
const WITHIN: Duration = Duration::from_secs(5);

/// Arguments of `koogate healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// One line, and exit code 0 where all is well.
pub(super) fn run(config: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let server = super::load(config)?.server;
    let caller = Caller::new(server.listen, server.tls.is_some())?;
    let begun = Instant::now();
    let problem = match caller.ask(WITHIN) {
        Ok(true) => None,
        Ok(false) => Some("it answers that it is not well; its log says why".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let (url, took) = (caller.url(), begun.elapsed().as_millis());
    output::line(&match (&problem, args.json) {
        (_, true) => json!({ "healthy": problem.is_none(), "url": url, "ms": took, "problem": problem }).to_string(),
        (None, false) => format!("healthy: {url} answered within {took} ms"),
        (Some(problem), false) => format!("unhealthy: {url}: {problem}"),
    })?;
    Ok(if problem.is_none() { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_FAILED) })
}
