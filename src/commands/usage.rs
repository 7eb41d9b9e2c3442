//! `koogate usage`: reports of what on-demand instances have used, and the records made of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use super::{EXIT_FAILED, output};
use crate::store::{Store, UsageFilter, UsageRow, Withdrawal};
use crate::usage::desk::{self, Recorded};
use crate::usage::{RawReport, Report, State, advice, file};
use crate::view;

/// Reports recorded, or records made due, in one commit: a running server answers between two of them.
const AT_ONCE: usize = 500;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Report what an instance has used in some time 上报用量
    ///
    /// The running server sends it at the next full hour. A report may be repeated: it counts once.
    Record(RecordArgs),
    /// List usage records, newest first
    List {
        /// Those that KooGallery does not have yet
        #[arg(long, group = "state")]
        waiting: bool,
        /// Those that KooGallery has
        #[arg(long, group = "state")]
        accepted: bool,
        /// Those that KooGallery does not want, with what to do about it
        #[arg(long, group = "state")]
        rejected: bool,
        /// Of this on-demand instance
        #[arg(long, value_name = "ID")]
        instance: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Have the running server send everything that waits now, not at the next full hour 立即推送
    Push,
    /// Take out a record that KooGallery has marked as abnormal, or that was not sent yet, to report its time anew
    Reject {
        /// Its number, as `list` shows it
        metering_sn: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// The on-demand instance
    #[arg(long, value_name = "ID", required_unless_present = "csv")]
    instance: Option<String>,
    /// From, with its offset: 2026-01-15T08:00:00Z
    #[arg(long, value_name = "TIME", required_unless_present = "csv")]
    begin: Option<String>,
    /// To; not later than now, but for a minute that is allowed for clocks
    #[arg(long, value_name = "TIME", required_unless_present = "csv")]
    end: Option<String>,
    /// How much in this time alone, with at most 4 decimals
    #[arg(long, value_name = "NUMBER", required_unless_present = "csv", allow_hyphen_values = true)]
    value: Option<String>,
    /// The package instance to deduct it from, for packages that stop when used up
    #[arg(long, value_name = "ID")]
    package: Option<String>,
    /// Many at once: a file with instance_id,begin_time,end_time,usage_value,relate_pkg_instance ("-": stdin)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["instance", "begin", "end", "value", "package"])]
    csv: Option<PathBuf>,
}

pub(super) fn run(config: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let mut all_well = true;
    match command {
        Command::Record(args) => match &args.csv {
            Some(path) => {
                let lines = file::read(&super::read_file(path)?)?;
                super::with_store(config, |store| {
                    all_well = record_all(store, lines)?;
                    Ok(())
                })?;
            }
            None => super::with_store(config, |store| record_one(store, args))?,
        },
        Command::List { waiting, accepted, rejected, instance, limit, json } => {
            let states = [(*waiting, State::Waiting), (*accepted, State::Accepted), (*rejected, State::Rejected)];
            let state = states.into_iter().find(|(wanted, _)| *wanted).map(|(_, state)| state);
            let filter = UsageFilter { state, instance_id: instance.clone() };
            super::with_store(config, |store| list(store, &filter, *limit, *json))?;
        }
        Command::Push => super::with_store(config, push)?,
        Command::Reject { metering_sn } => super::with_store(config, |store| reject(store, metering_sn))?,
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn record_one(store: &Store, args: &RecordArgs) -> anyhow::Result<()> {
    let report = Report::read(&RawReport {
        instance_id: args.instance.as_deref().unwrap_or_default(),
        begin_time: args.begin.as_deref().unwrap_or_default(),
        end_time: args.end.as_deref().unwrap_or_default(),
        usage_value: args.value.as_deref().unwrap_or_default(),
        relate_pkg_instance: args.package.as_deref().unwrap_or_default(),
    });
    for outcome in desk::record(store, vec![report])? {
        let Recorded { metering_sn, state, due_at, repeated } = outcome?;
        output::line(&match (repeated, state) {
            (true, state) => format!("{metering_sn} was recorded before and is {state}"),
            (false, _) => format!("{metering_sn} is recorded and due at {}", output::time(due_at)),
        })?;
    }
    Ok(())
}

/// Records what is good and tells of every line that is not; returns whether all were good.
fn record_all(store: &Store, lines: Vec<file::Line>) -> anyhow::Result<bool> {
    let progress = output::progress(Some(lines.len() as u64), "lines read:");
    let (mut new, mut repeated, mut refused) = (0, 0, 0);
    let mut lines = lines.into_iter();
    loop {
        let part: Vec<_> = lines.by_ref().take(AT_ONCE).collect();
        if part.is_empty() {
            break;
        }
        progress.inc(part.len() as u64);
        let (numbers, reports): (Vec<_>, Vec<_>) = part.into_iter().map(|line| (line.number, line.report)).unzip();
        for (number, outcome) in numbers.into_iter().zip(desk::record(store, reports)?) {
            match outcome {
                Ok(recorded) if recorded.repeated => repeated += 1,
                Ok(_) => new += 1,
                Err(fault) => {
                    refused += 1;
                    progress.suspend(|| eprintln!("line {number}: {}", output::harmless(&fault.to_string())));
                }
            }
        }
    }
    progress.finish_and_clear();
    output::line(&format!("{new} recorded, {repeated} were there already, {refused} refused"))?;
    Ok(refused == 0)
}

fn list(store: &Store, filter: &UsageFilter, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.usage_records(filter, None, limit))?;
    let mut header = vec!["metering_sn", "instance", "from", "to", "value", "package", "state", "sent"];
    let with_reason = rows.iter().any(|row| row.state == State::Rejected);
    header.extend(with_reason.then_some(["code", "what to do"]).into_iter().flatten());
    let table = rows.iter().map(|row| cells(row, with_reason));
    output::listing(json, &header, table, rows.iter().map(view::usage::to_json))
}

fn cells(row: &UsageRow, with_reason: bool) -> Vec<String> {
    let mut cells = vec![
        row.metering_sn.clone(),
        row.instance_id.clone(),
        output::time(row.window.begin),
        output::time(row.window.end),
        row.value.to_string(),
        output::or_dash(row.package.as_deref()),
        match row.state {
            State::Waiting => format!("waiting, due {}", output::time(row.due_at)),
            settled => settled.to_string(),
        },
        row.sent.to_string(),
    ];
    if with_reason {
        let code = row.result_code.as_deref();
        cells.push(output::or_dash(code));
        cells.push(output::or_dash(code.map(advice::what_to_do)));
    }
    cells
}

fn push(store: &Store) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let hastened = desk::push(store, now)?;
    let counts = store.read(|tx| tx.usage_counts(now, now))?;
    output::line(&format!("{hastened} records were made due; {} wait to be sent by the running server", counts.due))
}

fn reject(store: &Store, metering_sn: &str) -> anyhow::Result<()> {
    let number = metering_sn.to_owned();
    match store.write(None, move |tx| tx.withdraw_usage(&number, Timestamp::now()))? {
        Withdrawal::Done => output::line(&format!("{metering_sn} counts no more; report its time anew")),
        Withdrawal::Already => output::line(&format!("{metering_sn} was rejected before")),
        Withdrawal::OnItsWay => bail!(
            "{metering_sn} has been sent and KooGallery has not said whether it has it; wait until it is accepted or \
             rejected"
        ),
        Withdrawal::Unknown => bail!("there is no usage record {metering_sn:?}"),
    }
}
