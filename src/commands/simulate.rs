//! `koogate simulate`: the simulated KooGallery against a seller's server. The rehearsal before going live is in
//! `rehearse`.

mod rehearse;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{EXIT_FAILED, output};
use crate::config::Keys;
use crate::protocol::key::AccessKey;
use crate::secret::Secret;
use crate::settings::kit_private_keys;
use crate::simulate::{self, Generation, Kit, KitGenerations, Options, Target, report};

/// The environment variable that holds the access key, for servers that are not configured here.
const KEY_VARIABLE: &str = "KOOGATE_ACCESS_KEY";

/// Arguments of `koogate simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The production address: http or https; with --rehearse that of the configuration (server.public_url) otherwise
    #[arg(long, value_name = "URL", required_unless_present = "rehearse")]
    to: Option<String>,
    /// Rehearse going live 上线演练: the way to the address, every debugging case of all that the configuration sells, under
    /// its keys, and a restart in between. Debugging calls only (testFlag 1): nothing real is touched
    #[arg(long, conflicts_with_all = ["real", "generation", "kit", "kit_public_key", "access_key_file"])]
    rehearse: bool,
    /// With --rehearse: the command that restarts the server, for a shell; without it you are asked to do so
    #[arg(long, requires = "rehearse", value_name = "COMMAND")]
    restart_command: Option<String>,
    /// Which calls to play
    #[arg(long, value_enum, default_value_t, value_name = "GENERATION")]
    generation: Generation,
    /// Play the calls of the joint-operation kit instead 联营Kit: both generations, or one
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "both",
        conflicts_with = "generation",
        value_name = "GENERATION"
    )]
    kit: Option<KitGenerations>,
    /// With --kit: file with the public key that client secrets are encrypted under, the console's line or PEM; otherwise
    /// that of the configuration's first private key
    #[arg(long, requires = "kit", value_name = "FILE")]
    kit_public_key: Option<PathBuf>,
    /// File with the access key of these interfaces; otherwise the environment variable KOOGATE_ACCESS_KEY, otherwise the
    /// first key of the configuration: keys.basic for v1 and v2, keys.license for licences, keys.kit with --kit
    #[arg(long, value_name = "FILE")]
    access_key_file: Option<PathBuf>,
    /// PEM file of certificates to trust besides the public ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Also play a life-cycle that is no test: it creates real instances for made-up orders, or with --kit a made-up
    /// enterprise, and releases them
    #[arg(long)]
    real: bool,
    /// The product that the calls name
    #[arg(long, default_value = simulate::PRODUCT, value_name = "ID")]
    product_id: String,
    /// With --real: seconds an instance may take to become ready
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    ready_within: u64,
    /// One JSON object a line instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let roots = match &args.ca {
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => Vec::new(),
    };
    if args.rehearse {
        return rehearse::run(config, args, &roots);
    }
    let url = args.to.as_deref().context("no address: give --to")?;
    let (key, others) = access_keys(config, args)?;
    let target = Target::new(url, named(key), &roots)?.with_other_keys(others.into_iter().map(named).collect());
    let kit = args.kit.map(|generations| kit(config, args, generations)).transpose()?;
    let options = Options {
        real: args.real,
        generation: args.generation,
        kit: kit.as_ref(),
        product_id: &args.product_id,
        ready_within: Duration::from_secs(args.ready_within),
        ..Options::default()
    };
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

fn named(key: Secret<String>) -> AccessKey {
    AccessKey::new("simulate".to_owned(), key)
}

/// The key that signs the calls, and others of the same seller, as far as they are known.
fn access_keys(config: &Path, args: &Args) -> anyhow::Result<(Secret<String>, Vec<Secret<String>>)> {
    let given = match &args.access_key_file {
        Some(file) => Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?),
        None => std::env::var(KEY_VARIABLE).ok(),
    };
    if let Some(key) = given {
        let key = key.trim_end_matches(['\r', '\n']).to_owned();
        if key.is_empty() {
            bail!("the access key is empty");
        }
        return Ok((Secret::new(key), Vec::new()));
    }
    let Keys { basic, license, kit, .. } =
        super::load(config).context("no access key: give --access-key-file, KOOGATE_ACCESS_KEY or --config")?.keys;
    // The documents leave open which key L1 and LO use: the server takes the licence key first (spec README §4).
    let (preferred, others, names) = match args.generation {
        _ if args.kit.is_some() => (kit, [basic, license].concat(), "keys.kit"),
        Generation::V1 | Generation::V2 => (basic, license, "keys.basic"),
        Generation::LicenseCode => (license, basic, "keys.license"),
        Generation::License | Generation::LicenseOnline if license.is_empty() => (basic, license, "access key"),
        Generation::License | Generation::LicenseOnline => (license, basic, "access key"),
    };
    let mut preferred = preferred.into_iter();
    let key = preferred.next().with_context(|| format!("the configuration has no {names}"))?;
    Ok((key, preferred.chain(others).collect()))
}

/// The seller's kit: its public key, given or derived.
fn kit(config: &Path, args: &Args, generations: KitGenerations) -> anyhow::Result<Kit> {
    let public_key = match &args.kit_public_key {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => public_key(&super::load(config).context("no public key: give --kit-public-key or --config")?.keys)?,
    };
    Ok(Kit::new(&public_key, generations)?)
}

/// That of the first private key.
fn public_key(keys: &Keys) -> anyhow::Result<String> {
    let first = kit_private_keys(keys)?.public_keys().next();
    first.context("no public key: give --kit-public-key, or kit_private_keys in the configuration")
}
