//! `koogate exchange`: the journal of calls.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::output;
use crate::store::{ExchangeFilter, ExchangeRow, Store};
use crate::view::{self, sheet};

/// Rows read at a time for an export.
const EXPORT_PAGE: i64 = 1000;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List calls, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one call: request, answer, what it meant, and why it was a repeat
    Show {
        /// Its number in the journal
        id: i64,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write calls to a file, oldest last
    Export {
        #[command(flatten)]
        filter: Filter,
        /// The file; nothing is overwritten. Without one: stdout
        file: Option<PathBuf>,
        /// The form
        #[arg(long, value_enum, default_value_t = Form::Json)]
        form: Form,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Form {
    /// One JSON object a line
    Json,
    /// Comma-separated values with a header line
    Csv,
}

/// Which calls.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only calls about this order
    #[arg(long, value_name = "ORDER-ID")]
    order: Option<String>,
    /// Only calls about this instance
    #[arg(long, value_name = "INSTANCE-ID")]
    instance: Option<String>,
    /// Only calls answered with this result code, or "failed": all but 000000 and 000004
    #[arg(long, value_name = "CODE")]
    result: Option<String>,
    /// Only calls received at or after this time (RFC 3339, such as 2026-11-23T08:00:00Z)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only calls received before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only test calls
    #[arg(long, conflicts_with = "real")]
    test: bool,
    /// Only real calls
    #[arg(long)]
    real: bool,
}

impl Filter {
    fn to_store(&self) -> ExchangeFilter {
        ExchangeFilter {
            order_id: self.order.clone(),
            instance_id: self.instance.clone(),
            result: self.result.clone(),
            since: self.since,
            until: self.until,
            environment: if self.test { Some("test") } else { self.real.then_some("real") },
            after: None,
        }
    }
}

pub(super) fn run(config: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    super::with_store(config, |store| {
        match command {
            Command::List { filter, limit, json } => list(store, filter, *limit, *json)?,
            Command::Show { id, json } => show(store, *id, *json)?,
            Command::Export { filter, file, form } => export(store, filter, file.as_deref(), *form)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(store: &Store, filter: &Filter, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.exchanges(&filter.to_store(), limit))?;
    let header = ["id", "received", "env", "activity", "order", "instance", "result", "repeat", "ms"];
    let table = rows.iter().map(|row| {
        vec![
            row.id.to_string(),
            output::time(row.received_at),
            row.environment.clone(),
            output::or_dash(row.activity.as_deref()),
            output::or_dash(row.order_id.as_deref()),
            output::or_dash(row.instance_id.as_deref()),
            output::or_dash(row.result_code.as_deref()),
            match (row.replayed, row.difference.is_some()) {
                (false, _) => String::new(),
                (true, false) => "yes".to_owned(),
                (true, true) => "differs".to_owned(),
            },
            row.duration_us.map_or_else(|| "–".to_owned(), |us| format!("{:.1}", view::exchange::us_to_ms(us))),
        ]
    });
    output::listing(json, &header, table, rows.iter().map(view::exchange::listed))
}

fn show(store: &Store, id: i64, json: bool) -> anyhow::Result<()> {
    let Some(row) = store.read(|tx| tx.exchange(id))? else { bail!("there is no exchange {id}, or it was purged") };
    if json {
        return output::line(&view::exchange::listed(&row).to_string());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    output::line(&format!("exchange     {}", row.id))?;
    output::line(&format!("received     {} from {}", output::time(row.received_at), row.peer))?;
    output::line(&format!("family       {} ({}), access key {}", row.family, row.environment, row.access_key))?;
    output::line(&format!("request      {}", view::exchange::without_token(&row.request_line)))?;
    if row.request_sealed {
        output::line("             (the body holds personal data and is sealed)")?;
    }
    if !row.request_body.is_empty() {
        output::line(&format!("             {}", text(&row.request_body)))?;
    }
    let answer = row.answer.as_deref().map_or_else(|| "none: koogate stopped before it answered".to_owned(), text);
    output::line(&format!("answer       {answer}"))?;
    if let Some(us) = row.duration_us {
        output::line(&format!("answered in  {:.1} ms", view::exchange::us_to_ms(us)))?;
    }
    if let Some(identity) = &row.identity {
        output::line(&format!("operation    {identity}"))?;
    }
    match (row.replayed, row.first_exchange.filter(|first| *first > 0)) {
        (true, Some(first)) => output::line(&format!("repeat of    exchange {first}: answered from the record"))?,
        (true, None) => output::line("repeat       answered from the record")?,
        (false, _) => {}
    }
    match row.difference.as_deref() {
        None => {}
        Some("{}") => output::line("differs      in content; the first request is no longer in the journal")?,
        Some(difference) => output::line(&format!("differs      [first, now]: {difference}"))?,
    }
    Ok(())
}

fn export(store: &Store, filter: &Filter, file: Option<&Path>, form: Form) -> anyhow::Result<()> {
    let out: Box<dyn Write> = match file {
        Some(path) => {
            // What was ordered and by whom is nobody else's business.
            let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            Box::new(std::io::BufWriter::new(file.with_context(|| format!("cannot create {}", path.display()))?))
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let mut sheet = Sheet::new(out, form)?;
    let progress = output::progress(None, "exchanges written:");
    let mut filter = filter.to_store();
    loop {
        let rows = store.read(|tx| tx.exchanges(&filter, EXPORT_PAGE))?;
        for row in &rows {
            sheet.write(row)?;
        }
        progress.inc(rows.len() as u64);
        match rows.last() {
            Some(last) => filter.after = Some((last.received_at, last.id)),
            None => break,
        }
    }
    progress.finish_and_clear();
    sheet.finish()
}

enum Sheet {
    Json(Box<dyn Write>),
    Csv(Box<csv::Writer<Box<dyn Write>>>),
}

impl Sheet {
    fn new(out: Box<dyn Write>, form: Form) -> anyhow::Result<Self> {
        Ok(match form {
            Form::Json => Self::Json(out),
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(sheet::COLUMNS)?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    fn write(&mut self, row: &ExchangeRow) -> anyhow::Result<()> {
        match self {
            Self::Json(out) => writeln!(out, "{}", view::exchange::listed(row))?,
            Self::Csv(writer) => writer.write_record(sheet::record(row))?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Json(mut out) => out.flush()?,
            Self::Csv(mut writer) => writer.flush()?,
        }
        Ok(())
    }
}
