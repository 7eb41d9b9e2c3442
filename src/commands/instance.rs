//! `koogate instance`: what was sold.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::output;
use crate::access::{Access, AccessParts};
use crate::config::Config;
use crate::fulfilment::answer::Handout;
use crate::fulfilment::ready::{self, Marked};
use crate::instance::Status;
use crate::operation::Environment;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::{InstanceFilter, JobRow, Store};
use crate::view;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List instances and authorisation codes, newest first
    List {
        /// In this status: creating, active, frozen or released
        #[arg(long)]
        status: Option<Status>,
        /// Of this order
        #[arg(long, value_name = "ORDER-ID")]
        order: Option<String>,
        /// Test instances instead of real ones
        #[arg(long)]
        test: bool,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one instance with its history and its jobs
    Show {
        /// Its id
        instance_id: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say that an instance is ready: finishes a creation that waits for the operator or the application 确认开通
    Ready(ReadyArgs),
    /// Try again at once what failed or waits for its next attempt 重试
    Retry {
        /// Its id
        instance_id: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ReadyArgs {
    /// Its id
    instance_id: String,
    /// Where the buyer goes
    #[arg(long, value_name = "URL")]
    front_end_url: Option<String>,
    /// Where the buyer's administrator goes
    #[arg(long, value_name = "URL", requires = "front_end_url")]
    admin_url: Option<String>,
    /// First account
    #[arg(long, requires = "front_end_url")]
    user_name: Option<String>,
    /// File with its password ("-": stdin), so that it stands in no shell history
    #[arg(long, value_name = "FILE", requires = "front_end_url")]
    password_file: Option<PathBuf>,
    /// Anything else the buyer should read
    #[arg(long, requires = "front_end_url")]
    memo: Option<String>,
}

pub(super) fn run(path: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let config = super::load(path)?;
    super::closing(super::open(&config)?, |store| {
        match command {
            Command::List { status, order, test, limit, json } => {
                let environment = Environment::of_test_flag(*test);
                let filter =
                    InstanceFilter { status: *status, order_id: order.clone(), environment: Some(environment) };
                list(store, &filter, *limit, *json)?;
            }
            Command::Show { instance_id, json } => show(store, instance_id, *json)?,
            Command::Ready(args) => ready(&config, store, args)?,
            Command::Retry { instance_id } => retry(store, instance_id)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(store: &Store, filter: &InstanceFilter, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.instances(filter, None, limit))?;
    let header = ["instance", "status", "expires", "order", "product", "created"];
    let table = rows.iter().map(|row| {
        vec![
            row.instance_id.clone(),
            row.life.status.to_string(),
            output::time_or_dash(row.life.expire_time),
            output::or_dash(row.order_id.as_deref()),
            output::or_dash(row.life.product_id.as_deref()),
            output::time(row.created_at),
        ]
    });
    output::listing(json, &header, table, rows.iter().map(view::instance::listed))
}

fn show(store: &Store, instance_id: &str, json: bool) -> anyhow::Result<()> {
    let all = store.read(|tx| {
        let instances = tx.instances_named(instance_id)?;
        instances
            .into_iter()
            .map(|row| Ok((tx.history(row.row)?, tx.jobs_of(row.row)?, row)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    if all.is_empty() {
        bail!("there is no instance {instance_id}");
    }
    for (history, jobs, row) in all {
        if json {
            output::line(&view::instance::shown(&row, &history, &jobs).to_string())?;
            continue;
        }
        output::line(&format!("instance  {} ({}, {})", row.instance_id, row.environment.as_str(), row.kind))?;
        output::line(&format!(
            "status    {}, expires {}",
            row.life.status,
            output::time_or_dash(row.life.expire_time)
        ))?;
        let (order, line) = (output::or_dash(row.order_id.as_deref()), output::or_dash(row.order_line_id.as_deref()));
        output::line(&format!("order     {order}, line {line}"))?;
        output::line(&format!("product   {}", output::or_dash(row.life.product_id.as_deref())))?;
        output::line(&format!("access    {}", output::or_dash(row.front_end_url.as_deref())))?;
        let entries = history.iter().map(|entry| {
            let cause = match (entry.exchange, entry.job) {
                (Some(exchange), _) => format!("exchange {exchange}"),
                (None, Some(job)) => format!("job {job}"),
                (None, None) => String::new(),
            };
            vec![
                output::time(entry.at),
                entry.change.clone(),
                entry.status.clone(),
                output::time_or_dash(entry.expire_time),
                cause,
                entry.note.clone().unwrap_or_default(),
            ]
        });
        output::listing(false, &["at", "change", "status", "expires", "cause", "note"], entries, [])?;
        job_lines(&jobs)?;
    }
    Ok(())
}

/// Prints jobs, if there are any.
pub(super) fn job_lines(jobs: &[JobRow]) -> anyhow::Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let lines = jobs.iter().map(|job| {
        vec![
            job.row.to_string(),
            job.task.clone(),
            job.state.clone(),
            job.attempt.to_string(),
            output::time(job.run_at),
            job.last_error.clone().unwrap_or_default(),
        ]
    });
    output::listing(false, &["job", "task", "state", "attempts", "next", "last error"], lines, [])
}

fn ready(config: &Config, store: &Store, args: &ReadyArgs) -> anyhow::Result<()> {
    let password = match &args.password_file {
        Some(file) => Some(Secret::new(read_password(file)?)),
        None => None,
    };
    let access = match &args.front_end_url {
        Some(front_end_url) => Some(Access::accept(AccessParts {
            front_end_url: front_end_url.clone(),
            admin_url: args.admin_url.clone(),
            user_name: args.user_name.clone().map(Secret::new),
            password,
            memo: args.memo.clone(),
        })?),
        None => None,
    };
    let (id, settings) = (args.instance_id.clone(), Settings::new(config)?);
    let note = "koogate instance ready";
    let handout = Handout { access, license: None };
    match store.write(None, move |tx| ready::mark_ready(tx, &settings, &id, handout.clone(), note))? {
        Marked::Ready(_) => output::line(&format!("instance {} is active", args.instance_id)),
        Marked::Already => bail!("instance {} is active already; nothing was changed", args.instance_id),
        Marked::Is(status) => bail!("instance {} is {status}, not creating; nothing was changed", args.instance_id),
        Marked::Unfit(problem) => bail!("{problem}; nothing was changed"),
        Marked::Unknown => bail!("there is no instance {}", args.instance_id),
    }
}

fn retry(store: &Store, instance_id: &str) -> anyhow::Result<()> {
    let id = instance_id.to_owned();
    let retried = store.write(None, move |tx| {
        let mut retried = None;
        for instance in tx.instances_named(&id)? {
            *retried.get_or_insert(0) += tx.retry_jobs(instance.row, Timestamp::now())?;
        }
        Ok(retried)
    })?;
    match retried {
        None => bail!("there is no instance {instance_id}"),
        Some(0) => bail!("instance {instance_id} has nothing to try again"),
        Some(count) => output::line(&format!("jobs of instance {instance_id} that are due now: {count}")),
    }
}

fn read_password(file: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(super::read_file(file)?).ok().context("the password is not UTF-8")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
