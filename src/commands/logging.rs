//! The log: one line an event on stderr, with UTC time. `RUST_LOG` chooses what is logged.

use std::io::Write;

use jiff::Timestamp;

use super::Command;
use super::output::harmless;

/// Starts the log: everything from "info" up for the server, only warnings for other commands.
pub(super) fn start(command: &Command) {
    let level = match command {
        Command::Serve(args) if args.is_demo() => "error",
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level));
    // A line for each handshake that fails, and strangers would fill the disk; the door tells of them at a bound rate.
    if !std::env::var("RUST_LOG").is_ok_and(|filter| filter.contains("rustls")) {
        builder.filter_module("rustls", log::LevelFilter::Off);
    }
    // The HTTP client writes whole addresses there, and those of webhooks are secrets.
    builder.filter_module("ureq::run", log::LevelFilter::Off);
    let started = builder
        .format(|out, record| {
            // What comes from outside may hold line ends: nothing may look like a line of its own.
            let message = harmless(&record.args().to_string());
            writeln!(out, "{:.3} {:<5} {} {message}", Timestamp::now(), record.level(), record.target())
        })
        .try_init();
    if started.is_err() {
        eprintln!("koogate: the log was started already");
    }
}
