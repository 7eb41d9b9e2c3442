//! `koogate key`: the RSA key pairs that open the kit's client secrets.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::output;
use crate::init;
use crate::settings;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the public keys of all configured private keys, in the form the seller console takes 公钥
    Show {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make the next key pair beside the one in use, and say how to change over; the server goes on undisturbed 轮换密钥
    Rotate,
}

pub(super) fn run(config: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show { json } => show(config, *json)?,
        Command::Rotate => {
            let keys = super::load(config)?.keys;
            output::line(&init::prepare_next(config, &keys.kit_private_keys)?.to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// No table: it would break the long lines that are to be pasted.
fn show(config: &Path, json: bool) -> anyhow::Result<()> {
    let keys = super::load(config)?.keys;
    if keys.kit_private_keys.is_empty() {
        bail!("[keys] names no kit_private_keys");
    }
    let public_keys = settings::kit_private_keys(&keys)?;
    for (file, public_key) in keys.kit_private_keys.iter().zip(public_keys.public_keys()) {
        if json {
            output::line(&json!({ "file": file.name, "publicKey": public_key }).to_string())?;
        } else {
            output::line(&format!("{}\n{public_key}\n", file.name))?;
        }
    }
    Ok(())
}
