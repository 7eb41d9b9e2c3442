//! The command line: one file per command. A command reads its arguments, calls the library and prints; what it does
//! lives elsewhere.

mod backup;
mod exchange;
mod init;
mod instance;
mod logging;
pub(crate) mod output;
mod serve;
mod simulate;
mod stock;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::store::{self, Role, Store};

/// The command failed, or found what it was asked to look for wrong. (2, wrong usage, is clap's.)
pub const EXIT_FAILED: u8 = 1;

/// The seller's side of Huawei Cloud KooGallery (华为云云商店) in one binary and one SQLite file.
///
/// KooGallery sells your SaaS; koogate verifies its calls, opens, renews, freezes, upgrades and releases instances in
/// your application, and answers in the exact form KooGallery checks.
///
/// First steps: `koogate serve --demo` shows everything on made-up keys; `koogate init` prepares a folder for real use.
#[derive(Debug, Parser)]
#[command(name = "koogate", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "koogate.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve KooGallery's calls
    Serve(serve::Args),
    /// Write a configuration, keys and secrets to start from
    Init(init::Args),
    /// Play KooGallery's debugging cases against a seller's server, koogate or any other
    Simulate(simulate::Args),
    /// Look into the journal of calls
    #[command(subcommand)]
    Exchange(exchange::Command),
    /// Look after the instances that were sold
    #[command(subcommand)]
    Instance(instance::Command),
    /// Fill and count stocks of ready-made accounts
    #[command(subcommand)]
    Stock(stock::Command),
    /// Write a complete copy of the database, beside a running server too
    Backup(backup::BackupArgs),
    /// Prove that a copy of the database is whole
    Verify(backup::VerifyArgs),
    /// Put a copy in the place of the database
    Restore(backup::RestoreArgs),
}

/// Runs a command.
///
/// # Errors
/// What went wrong, with its causes; [`report`] prints it.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = cli.config;
    logging::start(&cli.command);
    match cli.command {
        Command::Serve(args) => serve::run(&config, &args),
        Command::Init(args) => init::run(&args),
        Command::Simulate(args) => simulate::run(&config, &args),
        Command::Exchange(command) => exchange::run(&config, &command),
        Command::Instance(command) => instance::run(&config, &command),
        Command::Stock(command) => stock::run(&config, &command),
        Command::Backup(args) => backup::backup(&config, &args),
        Command::Verify(args) => backup::verify(&config, &args),
        Command::Restore(args) => backup::restore(&config, &args),
    }
}

/// Prints why a command failed. A closed pipe (`koogate exchange list | head`) is no failure.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("koogate: {error:#}");
    ExitCode::from(EXIT_FAILED)
}

fn load(config: &Path) -> anyhow::Result<Config> {
    Config::load(config).map_err(|errors| {
        let missing = !config.exists();
        let hint = if missing { "\n`koogate init` writes one to start from" } else { "" };
        anyhow::anyhow!("the configuration has errors\n{errors}{hint}")
    })
}

/// Opens the database of a configuration for a command.
fn open(config: &Config) -> anyhow::Result<Store> {
    let settings = store::Settings { path: config.database.path.clone(), commit_batch: config.database.commit_batch };
    Store::open(&settings, Role::Command, Arc::new(config.keys.sealing.clone())).context("database")
}

/// Opens the database for a command, lets it work, and closes it.
fn with_store<T>(config: &Path, work: impl FnOnce(&Config, &Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let config = load(config)?;
    let store = open(&config)?;
    let result = work(&config, &store);
    store.close().context("closing the database")?;
    result
}
