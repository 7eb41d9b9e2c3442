//! `koogate license`: licences of all families, and making one by hand.

mod codes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::instance::job_lines;
use super::output;
use crate::config::Config;
use crate::fulfilment::by_hand::{self, Issued};
use crate::kind::Kind;
use crate::license::{Form, License};
use crate::operation::Environment;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::store::{LICENSE_STATES, LicenseFilter, Store};
use crate::view;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List licences and authorisation codes, newest first
    List {
        /// In this state: requested, refused, issued or uploaded
        #[arg(long, value_parser = LICENSE_STATES)]
        state: Option<String>,
        /// Of this kind: license, license-code or license-online
        #[arg(long)]
        kind: Option<Kind>,
        /// Of test instances instead of real ones
        #[arg(long)]
        test: bool,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one licence with its jobs
    Show {
        /// Its number, as `list` shows it
        license: i64,
        /// As a JSON object
        #[arg(long, conflicts_with = "out")]
        json: bool,
        /// Write the licence itself into this file ("-": stdout); nothing is overwritten
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Give the licence that was asked for, where you make it yourself 签发授权码
    ///
    /// What was given cannot be replaced: the same request must always lead to the same licence.
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Issue {
        /// Its number, as `list` shows it
        license: i64,
        /// File with the licence as a text ("-": stdin); the line end after it does not count
        #[arg(long, value_name = "FILE", group = "what")]
        text: Option<PathBuf>,
        /// The licence is this file
        #[arg(long, value_name = "FILE", group = "what")]
        file: Option<PathBuf>,
    },
    /// Activate authorisation codes at KooGallery 激活授权码
    ///
    /// Before a product is released, this and a heartbeat must succeed once for a test code of the console.
    Activate {
        /// The codes, up to 100
        #[arg(required = true)]
        codes: Vec<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ask KooGallery how an authorisation code stands 查询授权码
    Heartbeat {
        /// The code
        code: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(path: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let config = super::load(path)?;
    super::closing(super::open(&config)?, |store| {
        match command {
            Command::List { state, kind, test, limit, json } => {
                let environment = Environment::of_test_flag(*test);
                list(store, &LicenseFilter { state: state.clone(), kind: *kind, environment }, *limit, *json)?;
            }
            Command::Show { license, json, out } => show(store, *license, *json, out.as_deref())?,
            Command::Issue { license, text, file } => {
                issue(&config, store, *license, &read(text.as_deref(), file.as_deref())?)?;
            }
            Command::Activate { codes, json } => codes::activate(&config, store, codes, *json)?,
            Command::Heartbeat { code, json } => codes::heartbeat(&config, store, code, *json)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(store: &Store, filter: &LicenseFilter, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.licenses(filter, None, limit))?;
    let header = ["license", "kind", "instance or code", "status", "expires", "state", "device", "asked for", "issued"];
    let table = rows.iter().map(|row| {
        let license = row.license.as_ref();
        vec![
            license.map_or_else(|| "–".to_owned(), |license| license.row.to_string()),
            row.kind.to_string(),
            row.instance_id.clone(),
            row.status.to_string(),
            output::time_or_dash(row.expire_time),
            output::or_dash(license.map(|license| license.state.as_str())),
            output::or_dash(license.and_then(|license| license.device_fingerprint.as_deref())),
            output::time_or_dash(license.map(|license| license.requested_at)),
            output::time_or_dash(license.and_then(|license| license.issued_at)),
        ]
    });
    output::listing(json, &header, table, rows.iter().map(view::license::listed))
}

fn show(store: &Store, number: i64, json: bool, out: Option<&Path>) -> anyhow::Result<()> {
    let found = store.read(|tx| {
        let Some((row, license, jobs)) = tx.licensed_with_jobs(number)? else { return Ok(None) };
        let content = if out.is_some() { tx.license_content(&license)? } else { None };
        Ok(Some((row, license, jobs, content)))
    })?;
    let Some((row, license, jobs, content)) = found else { bail!("there is no licence {number}") };
    if let Some(out) = out {
        return write(&content.with_context(|| format!("licence {number} is {}, not made yet", license.state))?, out);
    }
    if json {
        return output::line(&view::license::shown(&row, &jobs).to_string());
    }
    output::line(&format!("license   {number} ({}), {}", row.kind, license.state))?;
    output::line(&format!(
        "instance  {}, {}, expires {}",
        row.instance_id,
        row.status,
        output::time_or_dash(row.expire_time)
    ))?;
    let (from, until) = (output::time_or_dash(license.effective_time), output::time_or_dash(license.expire_time));
    output::line(&format!("holds     from {from} until {until}"))?;
    let (event, device) =
        (output::or_dash(license.event_id.as_deref()), output::or_dash(license.device_fingerprint.as_deref()));
    output::line(&format!("request   event {event}, device {device}"))?;
    let issued = output::time_or_dash(license.issued_at);
    let form = license.file_name.as_ref().map_or_else(|| "a text".to_owned(), |name| format!("the file {name}"));
    let form = license.issued_at.map(|_| form);
    output::line(&format!("issued    {issued}, {}", output::or_dash(form.as_deref())))?;
    output::line(&format!("uploaded  {}", output::time_or_dash(license.uploaded_at)))?;
    job_lines(&jobs)
}

fn read(text: Option<&Path>, file: Option<&Path>) -> anyhow::Result<License> {
    if let Some(path) = file {
        let name = path.file_name().and_then(|name| name.to_str()).context("the file has no name in UTF-8")?;
        return Ok(License::file(name, Secret::new(super::read_file(path)?))?);
    }
    // clap asks for one of the two.
    let bytes = super::read_file(text.unwrap_or(Path::new("-")))?;
    let text = String::from_utf8(bytes).ok().context("the licence is not UTF-8 text; give it with --file")?;
    Ok(License::text(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))?)
}

fn issue(config: &Config, store: &Store, number: i64, license: &License) -> anyhow::Result<()> {
    let (settings, license) = (Settings::new(config)?, license.clone());
    match store.write(None, move |tx| by_hand::issue(tx, &settings, number, &license, "koogate license issue"))? {
        Issued::Done(Kind::License, _) => output::line(&format!("licence {number} is issued, its instance is active")),
        Issued::Done(..) => output::line(&format!("licence {number} is issued; its upload is a job")),
        Issued::Already => bail!("licence {number} was issued before; nothing was changed"),
        Issued::Unknown => bail!("there is no licence {number}"),
        Issued::Unfit(problem) => bail!("{problem}; nothing was changed"),
        Issued::Is(status) => bail!("the instance of licence {number} is {status}; nothing was changed"),
    }
}

fn write(license: &License, out: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let bytes = match license.form() {
        Form::Text(text) => text.expose().as_bytes(),
        Form::File { content, .. } => content.expose(),
    };
    if out == Path::new("-") {
        return std::io::stdout().lock().write_all(bytes).context("cannot write to stdout");
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = file.with_context(|| format!("cannot create {}", out.display()))?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", out.display()))
}
