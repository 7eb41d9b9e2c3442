//! The program: parses the command line, runs the command, maps its end to an exit code.

use std::process::ExitCode;

use clap::Parser;
use koogate::commands::{self, Cli};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => commands::report(&error),
    }
}
