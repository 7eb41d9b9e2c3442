//! The command line: one file per command. A command reads its arguments, calls the library and prints; what it does
//! lives elsewhere.

mod alert;
mod backup;
mod check;
mod config;
mod exchange;
mod generate;
mod healthcheck;
mod init;
mod instance;
mod key;
mod license;
mod logging;
mod order;
pub(crate) mod output;
mod restore;
mod serve;
mod simulate;
mod stock;
mod support_bundle;
mod tenant;
mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::fault;
use crate::store::{self, Role, Store};

/// The command failed, or found what it was asked to look for wrong. (2, wrong usage, is clap's.)
pub const EXIT_FAILED: u8 = 1;

/// The seller's side of Huawei Cloud KooGallery (华为云云商店) in one binary and one SQLite file.
///
/// KooGallery sells your SaaS; koogate verifies its calls, opens, renews, freezes, upgrades and releases instances in
/// your application, and answers in the exact form KooGallery checks.
///
/// First steps: `koogate serve --demo` shows everything on made-up keys; `koogate init` prepares a folder for real use.
///
/// 首次使用：先运行 `koogate serve --demo` 体验演示，再用 `koogate init` 生成正式配置。
#[derive(Debug, Parser)]
#[command(name = "koogate", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file 配置文件
    #[arg(long, global = true, value_name = "FILE", default_value = "koogate.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve KooGallery's calls 启动服务
    Serve(serve::Args),
    /// Write a configuration, keys and secrets to start from 初始化配置
    Init(init::Args),
    /// Look for what is wrong with configuration, database, work and KooGallery, and say the mend 检查
    Check(check::Args),
    /// Look at the configuration as koogate reads it 配置
    #[command(subcommand)]
    Config(config::Command),
    /// Write an archive for whoever helps you: no secrets, no personal data 生成支持信息包
    SupportBundle(support_bundle::Args),
    /// Ask the running server whether it is well: exit code 0 or 1, for scripts 健康检查
    Healthcheck(healthcheck::Args),
    /// Play KooGallery's debugging cases against a seller's server, koogate or any other 模拟调试
    Simulate(simulate::Args),
    /// Look into the journal of calls 接口调用记录
    #[command(subcommand)]
    Exchange(exchange::Command),
    /// Look after the instances that were sold 实例管理
    #[command(subcommand)]
    Instance(instance::Command),
    /// Look up what KooGallery tells of orders 订单
    #[command(subcommand)]
    Order(order::Command),
    /// Look after licences: which there are, and make one by hand 授权码管理
    #[command(subcommand)]
    License(license::Command),
    /// Fill and count stocks of ready-made accounts and licence codes 库存
    #[command(subcommand)]
    Stock(stock::Command),
    /// Look after the key pairs that open client secrets of joint-operation products 联营公私钥
    #[command(subcommand)]
    Key(key::Command),
    /// Look into the directory of joint-operation products: enterprises, users, departments 联营租户
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Report what on-demand instances have used, and see what became of it 按需用量
    #[command(subcommand)]
    Usage(usage::Command),
    /// Try the webhooks that alerts go to, and list what stands wrong 告警
    #[command(subcommand)]
    Alert(alert::Command),
    /// Write a complete copy of the database, beside a running server too 备份
    Backup(backup::BackupArgs),
    /// Prove that a copy of the database is whole 校验备份
    Verify(backup::VerifyArgs),
    /// Put a copy in the place of the database, which is kept under another name; or tell what the copy lacks 恢复备份
    Restore(restore::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Runs a command.
///
/// # Errors
/// What went wrong, with its causes; [`report`] prints it.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = cli.config;
    logging::start(&cli.command);
    keep_memory_private();
    match cli.command {
        Command::Serve(args) => serve::run(&config, &args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&config, &args),
        Command::Config(command) => config::run(&config, &command),
        Command::SupportBundle(args) => support_bundle::run(&config, &args),
        Command::Healthcheck(args) => healthcheck::run(&config, &args),
        Command::Simulate(args) => simulate::run(&config, &args),
        Command::Exchange(command) => exchange::run(&config, &command),
        Command::Instance(command) => instance::run(&config, &command),
        Command::Order(command) => order::run(&config, &command),
        Command::License(command) => license::run(&config, &command),
        Command::Stock(command) => stock::run(&config, &command),
        Command::Key(command) => key::run(&config, &command),
        Command::Tenant(command) => tenant::run(&config, &command),
        Command::Usage(command) => usage::run(&config, &command),
        Command::Alert(command) => alert::run(&config, &command),
        Command::Backup(args) => backup::backup(&config, &args),
        Command::Verify(args) => backup::verify(&config, &args),
        Command::Restore(args) => restore::run(&config, &args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
}

/// No core dump, and no debugger of the same user: keys and passwords stand in memory. (Of the superuser nothing can be kept.)
/// Programs that koogate starts are not concerned.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if fault::is_watched() {
        return;
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::warn!("cannot forbid core dumps of this process, which would hold keys: {error}");
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
    eprintln!("koogate: {}", told(error));
    ExitCode::from(EXIT_FAILED)
}

/// An error with its causes in one line. Most errors tell their cause in their own words; it is not told twice.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn load(config: &Path) -> anyhow::Result<Config> {
    Config::load(config).map_err(|errors| {
        let missing = !config.exists();
        let hint = if missing { "\n`koogate init` writes one to start from" } else { "" };
        anyhow::anyhow!("the configuration has errors\n{errors}{hint}")
    })
}

/// Opens the database of a configuration for a command. One that is not there is not made: the path may be wrong.
fn open(config: &Config) -> anyhow::Result<Store> {
    let path = &config.database.path;
    // Asks for the entry in the folder only and opens nothing.
    if !path.try_exists().with_context(|| format!("cannot look for {}", path.display()))? {
        anyhow::bail!("there is no database {}; `koogate serve` makes it at its first start", path.display());
    }
    open_or_create(config)
}

/// Opens the database of a configuration for a command that may come before the first start.
fn open_or_create(config: &Config) -> anyhow::Result<Store> {
    let settings = store::Settings {
        path: config.database.path.clone(),
        snapshot: config.database.snapshot_path(),
        commit_batch: config.database.commit_batch,
    };
    Store::open(&settings, Role::Command, Arc::new(config.keys.sealing.clone())).context("database")
}

/// Opens the database for a command, lets it work, and closes it.
fn with_store<T>(config: &Path, work: impl FnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let store = open(&load(config)?)?;
    closing(store, work)
}

/// What is in a file; `-` is stdin.
fn read_file(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).context("cannot read stdin")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Closes the database whatever the work comes to.
fn closing<T>(store: Store, work: impl FnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let result = work(&store);
    store.close().context("closing the database")?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_tells_its_cause_is_not_followed_by_it_again() {
        let cause = || std::io::Error::other("the disk is gone");
        let tells = anyhow::Error::from(store::OpenError::Thread(cause())).context("database");
        assert_eq!(told(&tells), "database: cannot start the writer thread: the disk is gone");
        let does_not = anyhow::Error::from(cause()).context("cannot read a.csv");
        assert_eq!(told(&does_not), "cannot read a.csv: the disk is gone");
    }
}
