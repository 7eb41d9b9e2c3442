//! `koogate stock`: ready-made accounts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::json;

use super::output;
use crate::config::Fulfilment;
use crate::stock_file;
use crate::store::Store;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add accounts from a CSV file with the columns user_name,password,front_end_url,admin_url,memo
    ///
    /// All of the file or nothing: a line that KooGallery would not take stops the import. Accounts that are in the stock
    /// already are left out, so a file can be imported twice.
    Import {
        /// The stock's name, as products refer to it
        stock: String,
        /// The file ("-": stdin)
        file: PathBuf,
    },
    /// Show what is left
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(config: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    super::with_store(config, |config, store| {
        match command {
            Command::Import { stock, file } => {
                let known = config
                    .products
                    .iter()
                    .any(|product| matches!(&product.fulfilment, Fulfilment::Stock { name, .. } if name == stock));
                if !known {
                    bail!("no [[product]] entry takes from a stock {stock:?}; add one, or mend the name");
                }
                import(store, stock, file)?;
            }
            Command::List { json } => list(store, *json)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn import(store: &Store, stock: &str, file: &Path) -> anyhow::Result<()> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).context("cannot read stdin")?;
        bytes
    } else {
        std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    let entries = stock_file::read(&bytes)?;
    let (name, total) = (stock.to_owned(), entries.len());
    let progress = output::progress(Some(total as u64), "accounts read:");
    let bar = progress.clone();
    let added = store.write(None, move |tx| {
        let now = Timestamp::now();
        let mut added = 0;
        for entry in &entries {
            added += usize::from(tx.insert_stock(&name, entry, now)?);
            bar.inc(1);
        }
        Ok(added)
    })?;
    progress.finish_and_clear();
    let unused = store.read(|tx| tx.unused_stock(stock))?;
    output::line(&format!(
        "{added} accounts added to stock {stock}, {} were there already; {unused} are unused now",
        total - added
    ))
}

fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let stocks = store.read(|tx| tx.stocks())?;
    let table = stocks.iter().map(|stock| vec![stock.stock.clone(), stock.unused.to_string(), stock.taken.to_string()]);
    let objects =
        stocks.iter().map(|stock| json!({ "stock": stock.stock, "unused": stock.unused, "taken": stock.taken }));
    output::listing(json, &["stock", "unused", "taken"], table, objects)
}
