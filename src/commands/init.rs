//! `koogate init`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::output;

/// Arguments of `koogate init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write into; nothing in it is overwritten
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    output::line(&crate::init::init(&args.folder)?.to_string())?;
    Ok(ExitCode::SUCCESS)
}
