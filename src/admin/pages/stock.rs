//! Stocks: what is left, and adding to one.

use data_encoding::BASE64;

use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::config::Fulfilment;
use crate::http::Reply;
use crate::kind::Kind;
use crate::page::stock::{self, Stock};
use crate::page::trouble::Trouble;
use crate::page::{form, place, text, words};
use crate::stock_import;
use crate::store::{StockEntry, StoreError};

/// `GET /stock`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let stocks = stocks(visit)?;
    Ok(visit.page(Some(place::STOCK), &stock::TITLE, |view| stock::body(view, &stocks)))
}

/// Those that hold something, and those that a product takes from.
fn stocks(visit: &Visit<'_>) -> Result<Vec<Stock>, StoreError> {
    let counts = visit.context.store.read(|tx| tx.stocks())?;
    let mut stocks: Vec<_> = counts
        .into_iter()
        .map(|count| Stock { name: count.stock, unused: count.unused, taken: count.taken, low_from: None })
        .collect();
    for product in visit.context.dispatcher.settings().products() {
        let Fulfilment::Stock { name, low_stock } = &product.fulfilment else { continue };
        let low = i64::from(*low_stock);
        match stocks.iter_mut().find(|stock| stock.name == *name) {
            Some(stock) => stock.low_from = Some(stock.low_from.map_or(low, |before| before.max(low))),
            None => stocks.push(Stock { name: name.clone(), unused: 0, taken: 0, low_from: Some(low) }),
        }
    }
    stocks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(stocks)
}

fn found(visit: &Visit<'_>) -> Result<Stock, Fault> {
    let name = visit.path("stock");
    stocks(visit)?.into_iter().find(|stock| stock.name == name).ok_or_else(|| Trouble::NotFound.into())
}

/// What products take from a stock; `None`: nobody does.
fn kind_of(visit: &Visit<'_>, stock: &str) -> Option<Kind> {
    let settings = visit.context.dispatcher.settings();
    settings.products().find(|product| stock_import::takes_from(product, stock)).map(|product| product.kind)
}

/// `GET /stock/{stock}`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let stock = found(visit)?;
    let after = list::place(visit)?;
    let piece = visit.context.store.read(|tx| tx.unused_entries(&stock.name, after, ROWS))?;
    let path = format!("/stock/{}", form::segment(&stock.name));
    let next = list::continued(visit, &piece.next, |more| form::address(&path, more));
    let title = text("库存详情", "A stock");
    Ok(visit.page(Some(place::STOCK), &title, |view| stock::one(view, &stock, &piece.rows, &next)))
}

/// `POST /stock/{stock}/reveal`: shows one entry, and records that it was shown.
pub(in crate::admin) fn reveal(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row: i64 = visit.field("entry").and_then(|entry| entry.parse().ok()).ok_or(Trouble::NotFound)?;
    let name = visit.path("stock").to_owned();
    let deed = Deed::new(visit, "reveal", name.clone()).with(format!("stock entry {row}"));
    let wanted = name.clone();
    let entry = visit.context.store.write(None, move |tx| {
        let found = tx.unused_entry(row)?.filter(|(stock, _)| *stock == wanted);
        if found.is_some() {
            deed.record(tx)?;
        }
        Ok(found)
    })?;
    // Somebody has it meanwhile.
    let Some((_, entry)) = entry else { return Err(list::changed_meanwhile()) };
    let title = words(format!("库存条目 {row}"), format!("Stock entry {row}"));
    Ok(visit.page(Some(place::STOCK), &title, |view| stock::revealed(view, &name, &entry)))
}

/// `POST /stock/{stock}/import`: what is pasted is read and counted; nothing is added yet.
pub(in crate::admin) fn ask_import(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let stock = visit.path("stock");
    // Browsers send each line's end as two characters, and the same entry must be the same whichever way it comes.
    let csv = visit.field("csv").unwrap_or_default().replace("\r\n", "\n");
    if csv.len() > stock::MOST_BYTES {
        let (zh, en) = (
            "内容过大，未导入任何内容；请使用命令 koogate stock import。",
            "Nothing was added: it is too much for a page. Use koogate stock import.",
        );
        return Err(list::conflict(zh, en));
    }
    let entries = read(visit, stock, csv.as_bytes())?;
    let known = visit.context.store.read(|tx| {
        let mut known = 0;
        for entry in &entries {
            known += usize::from(tx.has_stock(stock, entry)?);
        }
        Ok(known)
    })?;
    // The page that asks carries the entries along, unreadable for whoever sees it.
    let sealed = visit.context.store.sealing().seal(&sealed_in(stock), csv.as_bytes()).map_err(StoreError::from)?;
    let sealed = BASE64.encode(&sealed);
    let title = words("导入库存", "Import into a stock");
    Ok(visit
        .page(Some(place::STOCK), &title, |view| stock::import_question(view, stock, entries.len(), known, &sealed)))
}

/// `POST /stock/{stock}/add`: what `koogate stock import` does.
pub(in crate::admin) fn add(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (stock, store) = (visit.path("stock"), &visit.context.store);
    let unreadable = || {
        Fault::from(Trouble::BadRequest(words(
            "导入内容无法识别，请重新粘贴。",
            "The entries cannot be read: paste them again.",
        )))
    };
    let sealed = BASE64.decode(visit.field("entries").unwrap_or_default().as_bytes()).map_err(|_| unreadable())?;
    let csv = store.sealing().open(&sealed_in(stock), &sealed).map_err(|_| unreadable())?;
    let entries = read(visit, stock, csv.expose())?;
    let deed = Deed::new(visit, "import", stock).with(format!("{} entries", entries.len()));
    store.write(None, move |tx| deed.record(tx))?;
    let added = stock_import::add(store, stock, &entries, |_| {})?;
    // Creations that found the stock empty are retried by KooGallery or by their jobs.
    visit.context.bell.ring();
    let message = stock::imported(stock, added, entries.len() - added);
    Ok(visit.go_on(&format!("/stock/{}", form::segment(stock)), list::done(message)))
}

fn read(visit: &Visit<'_>, stock: &str, csv: &[u8]) -> Result<Vec<StockEntry>, Fault> {
    let kind = kind_of(visit, stock).ok_or(Trouble::NotFound)?;
    stock_import::read(csv, kind)
        .map_err(|error| list::conflict(format!("未导入任何内容：{error}"), format!("Nothing was added: {error}.")))
}

fn sealed_in(stock: &str) -> String {
    format!("page.stock_import:{stock}")
}
