//! `koogate backup` and `verify`: copies of the database.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output;
use crate::store::SCHEMA_VERSION;
use crate::store::snapshot::{self, Origin, Verified};

/// Said wherever a copy is made: without the key it is worth little.
const KEY_REMINDER: &str = "Keep the sealing key (keys.sealing_key) too, in another place: without it nobody can read the passwords in the \
     copy, and koogate does not start from it.\n没有密封密钥 sealing_key，备份无法使用：请将密钥另行保存。";

/// Arguments of `koogate backup`.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The file to write; an older copy there is replaced in one step. Without it: the snapshot beside the database
    file: Option<PathBuf>,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `koogate verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The copy
    file: PathBuf,
    /// Litestream has rebuilt it: that it looks like the file of a running koogate is no fault
    #[arg(long)]
    replica: bool,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// Where a copy comes from, as `--replica` says.
pub(super) fn origin(is_replica: bool) -> Origin {
    if is_replica { Origin::Replica } else { Origin::Copy }
}

pub(super) fn backup(config: &Path, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let config = super::load(config)?;
    let file = args.file.clone().unwrap_or_else(|| config.database.snapshot_path());
    if std::path::absolute(&file)? == std::path::absolute(&config.database.path)? {
        anyhow::bail!("{} is the database itself", file.display());
    }
    let progress = output::progress(None, "copying and checking");
    let taken = super::open(&config).and_then(|store| {
        let taken = snapshot::take(&store, &file);
        store.close()?;
        Ok(taken?)
    });
    progress.finish_and_clear();
    tell(&file, &taken?, args.json)?;
    if !args.json {
        output::line(KEY_REMINDER)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(config: &Path, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let config = super::load(config)?;
    let progress = output::progress(None, "checking");
    let verified = snapshot::verify(&args.file, &config.keys.sealing, origin(args.replica));
    progress.finish_and_clear();
    tell(&args.file, &verified?, args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(file: &Path, verified: &Verified, json: bool) -> anyhow::Result<()> {
    if json {
        return output::line(
            &serde_json::json!({
                "file": file.display().to_string(),
                "schemaVersion": verified.schema_version,
                "snapshotAt": verified.snapshot_at.map(output::time),
                "newestExchangeAt": verified.newest_exchange_at.map(|at| format!("{at:.3}")),
                "exchanges": verified.exchanges,
                "instances": verified.instances,
                "bytes": verified.bytes,
            })
            .to_string(),
        );
    }
    let taken = match verified.snapshot_at {
        Some(at) => format!("taken {}", output::time(at)),
        None => "a database, not a snapshot".to_owned(),
    };
    let newest = output::time_or_dash(verified.newest_exchange_at);
    output::line(&format!(
        "{} is whole: {taken}, newest call {newest}, {} exchanges, {} instances, {} bytes",
        file.display(),
        verified.exchanges,
        verified.instances,
        verified.bytes
    ))?;
    if verified.schema_version < SCHEMA_VERSION {
        output::line(&format!(
            "It has schema version {}, this koogate's is {SCHEMA_VERSION}: `koogate restore` brings it there.",
            verified.schema_version
        ))?;
    }
    Ok(())
}
