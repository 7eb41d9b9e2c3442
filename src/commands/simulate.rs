//! `koogate simulate`: the simulated KooGallery against a seller's server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{EXIT_FAILED, output};
use crate::protocol::key::AccessKey;
use crate::secret::Secret;
use crate::simulate::{self, Options, Target, report};

/// The environment variable that holds the access key, for servers that are not configured here.
const KEY_VARIABLE: &str = "KOOGATE_ACCESS_KEY";

/// Arguments of `koogate simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The production address: http or https
    #[arg(long, value_name = "URL")]
    to: String,
    /// File with the access key of the basic interfaces; otherwise the environment variable KOOGATE_ACCESS_KEY, otherwise
    /// the first key of the configuration
    #[arg(long, value_name = "FILE")]
    access_key_file: Option<PathBuf>,
    /// PEM file of certificates to trust besides the public ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Also play a life-cycle that is no test: it creates a real instance for a made-up order and releases it
    #[arg(long)]
    real: bool,
    /// With --real: seconds an instance may take to become ready
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    ready_within: u64,
    /// One JSON object a line instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let key = AccessKey::new("simulate".to_owned(), access_key(config, args)?);
    let roots = match &args.ca {
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => Vec::new(),
    };
    let target = Target::new(&args.to, key, &roots)?;
    let options =
        Options { real: args.real, ready_within: Duration::from_secs(args.ready_within), ..Options::default() };
    let progress = output::progress(None, "cases played:");
    let mut broken = None;
    let played = simulate::run(&target, &options, &mut |case| {
        progress.inc(1);
        if args.json && broken.is_none() {
            broken = output::line(&report::json_line(case)).err();
        }
    });
    progress.finish_and_clear();
    if let Some(error) = broken {
        return Err(error);
    }
    if !args.json {
        output::line(&report::table(&played, output::width()))?;
    }
    Ok(if played.is_success() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn access_key(config: &Path, args: &Args) -> anyhow::Result<Secret<String>> {
    let given = match &args.access_key_file {
        Some(file) => Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?),
        None => std::env::var(KEY_VARIABLE).ok(),
    };
    if let Some(key) = given {
        let key = key.trim_end_matches(['\r', '\n']).to_owned();
        if key.is_empty() {
            bail!("the access key is empty");
        }
        return Ok(Secret::new(key));
    }
    let config =
        super::load(config).context("no access key: give --access-key-file, KOOGATE_ACCESS_KEY or --config")?;
    config.keys.basic.into_iter().next().context("the configuration has no basic key")
}
