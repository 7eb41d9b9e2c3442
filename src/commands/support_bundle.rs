//! `koogate support-bundle`: writes the archive and says what is in it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;

use super::output;
use crate::bundle::{Contents, Options};
use crate::check;

/// Arguments of `koogate support-bundle`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The archive to write, .tar.gz; koogate-support-TIME.tar.gz here unless given. It must not be there yet
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Leave ids of instances as they are, instead of labels
    #[arg(long)]
    with_ids: bool,
    /// Call nobody while `koogate check` looks
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let config = super::load(path)?;
    let name = format!("koogate-support-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    let mut options = OpenOptions::new();
    let to = options.write(true).create_new(true).mode(0o600).open(&file);
    let to = to.with_context(|| format!("cannot make {}", file.display()))?;
    let mut findings = Vec::new();
    let looked = check::Options { offline: args.offline, ..check::Options::default() };
    check::run(path, &looked, &mut |finding| {
        findings.push(finding.clone());
        Ok(())
    })?;
    // Without a database there is still something to tell.
    let store = super::open(&config).ok();
    let options = Options { with_ids: args.with_ids, findings: &findings };
    let contents = Contents::gather(path, &config, store.as_ref(), options);
    if let Some(store) = store {
        store.close().context("closing the database")?;
    }
    contents.write(&name, to).with_context(|| format!("cannot write {}", file.display()))?;
    // The first file tells what is in all of them.
    for (_, readme) in contents.files.iter().take(1) {
        output::line(String::from_utf8_lossy(readme).trim_end())?;
    }
    output::line(&format!("\nwritten: {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
