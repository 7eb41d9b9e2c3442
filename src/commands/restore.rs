//! `koogate restore`: puts a copy in the place of the database, and tells what the copy cannot know.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::backup::origin;
use super::output;
use crate::config::Config;
use crate::fulfilment::adopt::{self, Adopted};
use crate::fulfilment::event::Event;
use crate::gap::{self, Finding, Gap, told};
use crate::store::snapshot::{self, Copy, Origin};
use crate::store::{SCHEMA_VERSION, Store, StoreError, Tx};
use crate::view;

/// What KooGallery does by itself, whatever was lost (spec 1-basic-v2 §7, 2-basic-v1 §9, 4-license §6, 3-kit §6.3).
const BY_ITSELF: &str = "KooGallery calls again by itself only where it has no success: purchases and upgrades every hour, up to \
    three times, then it refunds; renewals, freezes and releases for about an hour, some of them not at all; calls about \
    licence codes every two minutes, up to 60 times; the others of licences and of tenants never. What has failed stands in 卖家中心 > \
    应用工具 > 生产接口消息; mend and press 重新启动. What had its success before the loss is not called again: compare \
    `koogate instance list` with the orders in the seller console.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The copy
    #[arg(required_unless_present_any = ["report", "adopt"])]
    file: Option<PathBuf>,
    /// Litestream has rebuilt it: that it looks like the file of a running koogate is no fault
    #[arg(long, requires = "file")]
    replica: bool,
    /// Restore nothing, and tell what KooGallery and your application may know that the copy does not: FILE, or without it the copy that was restored last 缺口报告
    #[arg(long)]
    report: bool,
    /// With --report: what is left of the lost database; by default the file that a restore has set aside
    #[arg(long, requires = "report", value_name = "DATABASE")]
    lost: Option<PathBuf>,
    /// With --report: what your application has been told, one operationId or one event (JSON) a line; "-" is stdin
    #[arg(long, requires = "report", value_name = "EVENTS")]
    events: Option<PathBuf>,
    /// Restore nothing, and take the purchases over from your application that the restored copy does not know: its events
    /// instance.create, one JSON object a line; "-" is stdin. It is told each of them again, with the same operationId 补录
    #[arg(long, value_name = "EVENTS", conflicts_with_all = ["file", "report"])]
    adopt: Option<PathBuf>,
    /// With --report: one JSON object a line
    #[arg(long, requires = "report")]
    json: bool,
}

pub(super) fn run(config: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let config = super::load(config)?;
    match (&args.file, &args.adopt) {
        (_, Some(events)) => adopt(&config, events),
        (Some(file), None) if !args.report => restore(&config, file, origin(args.replica)),
        _ => report(&config, args),
    }
}

fn restore(config: &Config, file: &Path, origin: Origin) -> anyhow::Result<ExitCode> {
    let progress = output::progress(None, "checking and copying");
    let restored = snapshot::restore(file, &config.database.path, &config.keys.sealing, origin);
    progress.finish_and_clear();
    let (restored, database) = (restored?, config.database.path.display());
    match &restored.replaced {
        Some(aside) if !aside.exists() => output::line(&format!(
            "{database} is {} now; there was no database, but something that had belonged to one: it is kept as {}-wal or \
             {}-journal",
            file.display(),
            aside.display(),
            aside.display()
        ))?,
        Some(aside) => output::line(&format!(
            "{database} is {} now; the database that was there is kept as {}",
            file.display(),
            aside.display()
        ))?,
        None => output::line(&format!("{database} is {} now", file.display()))?,
    }
    if restored.copy.schema_version < SCHEMA_VERSION {
        let found = restored.copy.schema_version;
        output::line(&format!("The copy has schema version {found}; the database has version {SCHEMA_VERSION} now."))?;
    }
    let since = restored.copy.snapshot_at.or(restored.copy.newest_exchange_at);
    output::line(&format!(
        "What was answered after {} may be missing: `koogate restore --report` tells what is known of it.\n\
         备份之后的调用可能缺失，请运行 koogate restore --report 查看。",
        output::time_or_dash(since)
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Exit code 1 where a purchase could not be taken over.
fn adopt(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    let text = String::from_utf8(super::read_file(file)?).ok();
    let text = text.with_context(|| format!("{} is not UTF-8", file.display()))?;
    let events = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(index, line)| {
        serde_json::from_str::<Event>(line).with_context(|| format!("{}:{}: no event", file.display(), index + 1))
    });
    // All or nothing of what can be read.
    let events = events.collect::<anyhow::Result<Vec<_>>>()?;
    super::closing(super::open(config)?, |store| {
        let mut is_done = true;
        for event in events {
            let told = event.clone();
            let adopted = store.write(None, move |tx| adopt::adopt(tx, &told, Timestamp::now()))?;
            let id = event.instance_id.as_deref().unwrap_or("–");
            is_done &= !matches!(adopted, Adopted::OrderHas(_) | Adopted::Unfit(_));
            output::line(&match adopted {
                Adopted::Adopted => format!("instance {id} is taken over; your application is told of it again"),
                Adopted::Known => format!("instance {id} is known"),
                Adopted::NoPurchase => format!("{} {}: no purchase, left out", event.name(), event.operation_id),
                Adopted::OrderHas(other) => format!(
                    "instance {id} is not taken over: its order has another one here, {other}. Decide in your application \
                     which of them the buyer keeps; KooGallery knows the one that the seller console shows"
                ),
                Adopted::Unfit(problem) => format!("instance {id} is not taken over: {problem}"),
            })?;
        }
        Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_FAILED) })
    })
}

/// The database that goes on: the copy itself, or what was restored from it.
enum Base {
    Copy(Box<Copy>),
    Store(Box<Store>),
}

impl Base {
    fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self {
            Self::Copy(copy) => copy.read(work),
            Self::Store(store) => store.read(work),
        }
    }
}

/// Exit code 1 where somebody has to do something, or nobody could tell whether.
fn report(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let told = args.events.as_deref().map(read_told).transpose()?;
    let (base, gap, aside) = match &args.file {
        Some(file) => {
            let verified = snapshot::verify(file, &config.keys.sealing, origin(args.replica))?;
            let gap = Gap {
                copy_at: verified.snapshot_at,
                last_exchange: verified.last_exchange,
                last_exchange_at: verified.newest_exchange_at,
                restored_at: None,
            };
            let lost = config.database.path.exists().then(|| config.database.path.clone());
            (Base::Copy(Box::new(Copy::open(file, false, &config.keys.sealing)?)), gap, lost)
        }
        None => {
            let store = super::open(config)?;
            let Some(restore) = store.read(|tx| tx.last_restore())? else {
                store.close()?;
                bail!(
                    "no copy has ever taken the place of {}; `koogate restore --report FILE` tells about one that might",
                    config.database.path.display()
                );
            };
            let gap = Gap {
                copy_at: restore.copy_at,
                last_exchange: restore.last_exchange,
                last_exchange_at: restore.last_exchange_at,
                restored_at: Some(restore.restored_at),
            };
            let aside = restore.replaced.map(|name| config.database.path.with_file_name(name));
            (Base::Store(Box::new(store)), gap, aside.filter(|aside| aside.exists()))
        }
    };
    let told_of = find(config, args, &base, &gap, aside.as_deref(), told.as_deref());
    if let Base::Store(store) = base {
        if told_of.is_ok() {
            let now = jiff::Timestamp::now();
            store.write(None, move |tx| tx.restore_looked_at(now)).context("noting that the report was read")?;
        }
        store.close().context("closing the database")?;
    }
    let (findings, lost) = told_of?;
    tell(config, args, &gap, &findings, &lost)?;
    let is_mendable = findings.iter().any(|finding| finding.mend.is_some());
    let is_known = lost.is_at_hand || args.events.is_some();
    Ok(if is_mendable || !is_known { ExitCode::from(super::EXIT_FAILED) } else { ExitCode::SUCCESS })
}

fn read_told(file: &Path) -> anyhow::Result<Vec<told::Told>> {
    let text = String::from_utf8(super::read_file(file)?).ok();
    let text = text.with_context(|| format!("{} is not UTF-8", file.display()))?;
    told::read(&text).with_context(|| file.display().to_string())
}

/// What could be learnt from the lost database.
struct Lost {
    /// It can be read.
    is_at_hand: bool,
    /// In words.
    text: String,
}

fn find(
    config: &Config,
    args: &Args,
    base: &Base,
    gap: &Gap,
    aside: Option<&Path>,
    told: Option<&[told::Told]>,
) -> anyhow::Result<(Vec<Finding>, Lost)> {
    let (mut findings, lost) = match args.lost.as_deref().or(aside) {
        None => {
            let text = "The lost database is not at hand (--lost DATABASE): what is missing only your application can tell \
                        (--events FILE).";
            (Vec::new(), Lost { is_at_hand: false, text: text.to_owned() })
        }
        Some(file) => match compare(file, config, base, gap) {
            Ok(found) => {
                let mut text = format!(
                    "The lost database {} can be read; things that stand only there: {}.",
                    file.display(),
                    found.len()
                );
                if !found.is_empty() && snapshot::verify(file, &config.keys.sealing, Origin::Copy).is_ok() {
                    text += &format!("\nIt is whole: `koogate restore {}` loses less than the copy.", file.display());
                }
                (found, Lost { is_at_hand: true, text })
            }
            Err(error) if args.lost.is_some() => return Err(error),
            Err(error) => {
                let text = format!("The lost database {} tells nothing: {error:#}", file.display());
                (Vec::new(), Lost { is_at_hand: false, text })
            }
        },
    };
    if let Some(told) = told {
        let without_operation = base.read(|tx| tx.told_without_operation())?;
        for event in told {
            let instance = event.instance_id.as_deref();
            let known = base.read(|tx| tx.known_of_event(&event.operation_id, instance, &without_operation))?;
            findings.extend(gap::of_event(event, known));
        }
    }
    findings.extend(base.read(|tx| tx.open_jobs())?.iter().map(gap::of_job));
    Ok((findings, lost))
}

/// What the lost database has and the copy has not.
fn compare(file: &Path, config: &Config, base: &Base, gap: &Gap) -> anyhow::Result<Vec<Finding>> {
    let whole_path = |path: &Path| std::fs::canonicalize(path).ok();
    let is_in_place = whole_path(file).is_some_and(|file| Some(file) == whole_path(&config.database.path));
    let lost = Copy::open(file, is_in_place, &config.keys.sealing)?;
    if lost.read(|tx| tx.ancestry())? != base.read(|tx| tx.ancestry())? {
        bail!("it is another database than the copy was taken of");
    }
    let calls = lost.read(|tx| tx.calls_after(gap.last_exchange))?;
    let (there, here) = (lost.read(|tx| tx.standings())?, base.read(|tx| tx.standings())?);
    let calls = calls.iter().filter_map(gap::of_call);
    Ok(calls.chain(gap::of_instances(&there, &here)).collect())
}

fn tell(config: &Config, args: &Args, gap: &Gap, findings: &[Finding], lost: &Lost) -> anyhow::Result<()> {
    if args.json {
        let lines = std::iter::once(view::gap::head(gap)).chain(findings.iter().map(view::gap::finding));
        return lines.into_iter().try_for_each(|line| output::line(&line.to_string()));
    }
    let database = config.database.path.display();
    let (since, last) = (output::time_or_dash(gap.since()), output::time_or_dash(gap.last_exchange_at));
    let number = gap.last_exchange;
    output::line(&match (gap.restored_at, &args.file) {
        (Some(at), _) => format!(
            "{database} goes on since {} from a copy of {since}. The newest call in the copy is number {number} of {last}.\n\
             What happened from {since} to {} is missing.",
            output::time(at),
            output::time(at)
        ),
        (None, file) => format!(
            "{} is of {since}. Its newest call is number {number} of {last}.\n\
             What happens after {since} will be missing if it is restored.",
            file.as_deref().unwrap_or(Path::new("the copy")).display()
        ),
    })?;
    output::line(&format!("\n{}", lost.text))?;
    if let Some(events) = &args.events {
        let count = findings.iter().filter(|finding| finding.what == gap::What::Event).count();
        output::line(&format!(
            "Of the events in {} the copy does not know, or tells again: {count}.",
            events.display()
        ))?;
    }
    output::line("")?;
    let header = ["what", "id", "at", "name", "instance", "order", "result", "found"];
    let rows = findings.iter().map(|finding| {
        vec![
            finding.what.as_str().to_owned(),
            output::or_dash(finding.id.as_deref()),
            output::time_or_dash(finding.at),
            output::or_dash(finding.name.as_deref()),
            output::or_dash(finding.instance_id.as_deref()),
            output::or_dash(finding.order_id.as_deref()),
            output::or_dash(finding.result_code.as_deref()),
            finding.found.clone(),
        ]
    });
    output::listing(false, &header, rows, [])?;
    mends(findings)?;
    output::line(&format!("\n{BY_ITSELF}"))
}

/// Each mend once, with what it is for.
fn mends(findings: &[Finding]) -> anyhow::Result<()> {
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for finding in findings {
        let Some(mend) = finding.mend else { continue };
        let of = finding.instance_id.as_deref().or(finding.order_id.as_deref()).or(finding.id.as_deref());
        let of = of.unwrap_or("–");
        match told.iter_mut().find(|(known, _)| *known == mend) {
            Some((_, all)) if all.contains(&of) => {}
            Some((_, all)) => all.push(of),
            None => told.push((mend, vec![of])),
        }
    }
    for (mend, of) in told {
        output::line(&format!("\n{}\n  → {mend}", output::harmless(&of.join(", "))))?;
    }
    Ok(())
}
