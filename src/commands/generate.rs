//! `koogate completions` and `koogate man`: what packages carry beside the program, made from the command line's own
//! definition, so that they never tell anything else.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::{Generator, Shell};

use super::Cli;

/// Print what lets a shell complete koogate's commands and options 命令行补全
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write a manual page for each command into a folder 手册页
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder, which must exist
    folder: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.set_bin_name("koogate");
    command.build();
    let mut script = Vec::new();
    args.shell.try_generate(&command, &mut script).context("cannot write the completions")?;
    std::io::stdout().write_all(&script).context("cannot print the completions")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
