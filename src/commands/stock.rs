//! `koogate stock`: ready-made accounts and licence codes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;

use super::output;
use crate::stock_import;
use crate::store::{StockEntry, Store};
use crate::view;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add accounts or licence codes from a CSV file
    ///
    /// Accounts have the columns user_name,password,front_end_url,admin_url,memo, licence codes the column license. A
    /// line that KooGallery would not take stops the import before anything is added. What is in the stock already is
    /// left out, so a file can be imported twice.
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
    match command {
        Command::Import { stock, file } => {
            let config = super::load(config)?;
            let Some(product) = config.products.iter().find(|product| stock_import::takes_from(product, stock)) else {
                bail!("no [[product]] entry takes from a stock {stock:?}; add one, or mend the name");
            };
            let entries = stock_import::read(&super::read_file(file)?, product.kind)?;
            // A stock may be filled before the first start.
            super::closing(super::open_or_create(&config)?, |store| import(store, stock, &entries))?;
        }
        Command::List { json } => super::with_store(config, |store| list(store, *json))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn import(store: &Store, stock: &str, entries: &[StockEntry]) -> anyhow::Result<()> {
    let total = entries.len();
    let progress = output::progress(Some(total as u64), "entries read:");
    let added = stock_import::add(store, stock, entries, |count| progress.inc(count as u64))?;
    progress.finish_and_clear();
    let unused = store.read(|tx| tx.unused_stock(stock))?;
    output::line(&format!(
        "{added} entries added to stock {stock}, {} were there already; {unused} are unused now",
        total - added
    ))
}

fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let stocks = store.read(|tx| tx.stocks())?;
    let table = stocks.iter().map(|stock| vec![stock.stock.clone(), stock.unused.to_string(), stock.taken.to_string()]);
    let objects = stocks.iter().map(view::stock::listed);
    output::listing(json, &["stock", "unused", "taken"], table, objects)
}
