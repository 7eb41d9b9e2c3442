//! `koogate support-bundle`: one archive that a merchant can send to somebody, with what is needed to see what is the matter and
//! without secrets, personal data and bodies of calls. What is in it is told by a file of its own.
//!
//! Texts that may quote somebody go through [`scrub`]; ids become labels under the sealing key, equal where the ids are equal,
//! unless the merchant wants them in it.

mod scrub;
mod system;

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::check::{self, Finding};
use crate::config::{self, Config, Origin, Setting};
use crate::store::{SCHEMA_VERSION, Store, StoreError};
pub use scrub::scrub;

/// Calls are counted so far back.
const COUNTED: SignedDuration = SignedDuration::from_hours(60 * 24);

/// So many failed jobs are told.
const FAILED_JOBS: i64 = 200;

/// What goes into a bundle.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Names and contents, in order.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// How it is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'o> {
    /// Ids of instances as they are.
    pub with_ids: bool,
    /// The findings of `koogate check`, which the caller has had made.
    pub findings: &'o [Finding],
}

impl Contents {
    /// Gathers everything that can be had; what cannot is told in its place.
    pub fn gather(path: &Path, config: &Config, store: Option<&Store>, options: Options<'_>) -> Self {
        let mut contents = Self::default();
        let now = Timestamp::now();
        contents.json_lines("config.jsonl", config.settings.iter().map(|setting| shown(setting, path)));
        contents.json_lines("check.jsonl", options.findings.iter().map(finding));
        contents.json("system.json", &system::facts(config));
        if let Some(store) = store {
            contents.told("database.json", database(store));
            contents.told("calls.json", calls(store, now));
            contents.told("jobs.json", jobs(store, options.with_ids));
        }
        contents.add("server.txt", system::of_server(config).into_bytes());
        contents.add("log.txt", system::log().into_bytes());
        let readme = readme(&contents, now, options.with_ids);
        contents.files.insert(0, ("README.txt", readme.into_bytes()));
        contents
    }

    /// Writes it as `.tar.gz`: everything below a folder of this name.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn write(&self, folder: &str, to: impl Write) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
        for (name, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(Timestamp::now().as_second()).unwrap_or(0));
            archive.append_data(&mut header, format!("{folder}/{name}"), content.as_slice())?;
        }
        archive.into_inner()?.finish()?.flush()
    }

    fn add(&mut self, name: &'static str, content: Vec<u8>) {
        self.files.push((name, content));
    }

    fn json(&mut self, name: &'static str, value: &Value) {
        self.add(name, format!("{value:#}\n").into_bytes());
    }

    fn json_lines(&mut self, name: &'static str, lines: impl Iterator<Item = Value>) {
        self.add(name, lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes());
    }

    fn told(&mut self, name: &'static str, value: Result<Value, StoreError>) {
        self.json(name, &value.unwrap_or_else(|error| json!({ "cannotBeRead": error.to_string() })));
    }
}

/// What each file is, for whoever opens the bundle and for whoever decides whether to send it.
fn about(name: &str) -> &'static str {
    match name {
        "config.jsonl" => "every value in effect and where it comes from; secrets, user names and memos are masked",
        "check.jsonl" => "what koogate check finds",
        "system.json" => "versions, the system, the sizes of koogate's files",
        "database.json" => "how many rows each table has",
        "calls.json" => "how many calls there were in 60 days, by day, family, activity and result",
        "jobs.json" => "jobs by state; the failed ones, with errors reduced to koogate's own words",
        "server.txt" => "the running server's metrics and how many calls it refused, by reason",
        "log.txt" => "the end of the unit's log, reduced to koogate's own words",
        _ => "this text",
    }
}

fn readme(contents: &Contents, now: Timestamp, with_ids: bool) -> String {
    let files =
        contents.files.iter().map(|(name, content)| format!("{name:14} {:>8} bytes  {}\n", content.len(), about(name)));
    let ids = match with_ids {
        true => "Ids of instances are in it as they are (--with-ids).",
        false => "Ids are replaced by labels that only the sealing key's owner can tell; equal ids have equal labels.",
    };
    format!(
        "A support bundle of koogate {}, made at {now:.0}.\n\n{}\nThere are no keys, tokens, passwords, personal data and bodies of \
         calls in it. {ids}\nLook through it before you send it: it names your domain, your products and the paths of files.\n",
        env!("CARGO_PKG_VERSION"),
        files.collect::<String>(),
    )
}

/// As `koogate config show --json` has it, but for what may be about a person.
fn shown(setting: &Setting, path: &Path) -> Value {
    let Setting { key, value, origin } = setting;
    let is_personal = [".user_name", ".memo", ".access_key_id", ".command"].iter().any(|end| key.ends_with(end));
    let text = match value {
        config::Value::Text(_) if is_personal => "***".to_owned(),
        other => other.to_string(),
    };
    let from = match origin {
        Origin::Default => "default".to_owned(),
        Origin::Line(line) => format!("{}:{line}", path.display()),
        Origin::Environment(name, _) => format!("environment {name}"),
        Origin::File(file, _) => format!("file {}", file.display()),
    };
    json!({ "key": key, "value": text, "from": from })
}

/// Findings are koogate's own words, with names of files and hosts; what others have said in them goes.
fn finding(found: &Finding) -> Value {
    let check::Finding { level, subject, text, mend } = found;
    // What KooGallery and the disk have said is quoted there.
    let quotes = matches!(*subject, "koogallery" | "work" | "usage");
    let text = if quotes { scrub(text) } else { text.clone() };
    json!({ "level": level.as_str(), "subject": subject, "text": text, "mend": mend })
}

fn database(store: &Store) -> Result<Value, StoreError> {
    let rows = store.read(|tx| tx.table_counts())?;
    let rows: serde_json::Map<String, Value> =
        rows.into_iter().map(|(table, rows)| (table.to_owned(), rows.into())).collect();
    Ok(json!({ "schemaVersion": store.version()?, "knows": SCHEMA_VERSION, "rows": rows }))
}

fn calls(store: &Store, now: Timestamp) -> Result<Value, StoreError> {
    let since = now.checked_sub(COUNTED).unwrap_or(Timestamp::MIN);
    let counts = store.read(|tx| tx.call_counts(since))?;
    let object = |count: crate::store::CallCount| {
        json!({
            "day": count.day, "environment": count.environment, "family": count.family, "activity": count.activity,
            "resultCode": count.result_code, "calls": count.calls, "replayed": count.replayed, "slowestUs": count.slowest_us,
        })
    };
    Ok(counts.into_iter().map(object).collect())
}

fn jobs(store: &Store, with_ids: bool) -> Result<Value, StoreError> {
    let (counts, failed) = store.read(|tx| Ok((tx.job_counts()?, tx.failed_jobs(FAILED_JOBS)?)))?;
    let time = |ms: i64| Timestamp::from_millisecond(ms).map(|at| format!("{at:.0}")).unwrap_or_default();
    let counts: Vec<Value> = counts
        .into_iter()
        .map(|count| {
            json!({
                "state": count.state, "task": count.task, "jobs": count.jobs, "mostAttempts": count.most_attempts,
                "oldest": time(count.oldest_ms),
            })
        })
        .collect();
    let instance = |id: Option<String>| id.map(|id| if with_ids { id } else { store.sealing().label(&id) });
    let failed: Vec<Value> = failed
        .into_iter()
        .map(|job| {
            json!({
                "job": job.id, "state": job.state, "task": job.task, "attempts": job.attempt,
                "instance": instance(job.instance_id), "created": time(job.created_ms),
                "lastError": job.last_error.as_deref().map(scrub),
            })
        })
        .collect();
    Ok(json!({ "counts": counts, "failed": failed }))
}
