//! The journal, one call of it, and its export.

use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::operation::Environment;
use crate::page::exchange::{self, Shown};
use crate::page::exchanges::{self, Asked, PARAMETERS};
use crate::page::trouble::Trouble;
use crate::page::{place, words};
use crate::store::pages::{ExchangeSearch, Next, Outcome};
use crate::store::{StoreError, Tx};
use crate::view::sheet;

/// An export ends after so many rows,
const MOST_ROWS: usize = 10_000;

/// or when it has so many bytes,
const MOST_BYTES: usize = 16 << 20;

/// or when so many pieces of the journal were looked through.
const MOST_PIECES: usize = 100;

/// So many calls of an operation are listed with one of them.
const CALLS: i64 = 50;

/// `GET /exchanges`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (asked, search) = read(|name| visit.text(name))?;
    let after = list::place(visit)?;
    let (piece, restores) =
        visit.context.store.read(|tx| Ok((tx.search_exchanges(&search, after, ROWS)?, tx.restores()?)))?;
    let next = list::continued(visit, &piece.next, |more| asked.address("/exchanges", more));
    Ok(visit.page(Some(place::EXCHANGES), &exchanges::TITLE, |view| {
        exchanges::body(view, &asked, &piece.rows, &restores, &next)
    }))
}

/// `GET /exchanges/{exchange}`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let id = list::number(visit, "exchange")?;
    let shown = visit.context.store.read(|tx| look_up(tx, id))?.ok_or(Trouble::NotFound)?;
    Ok(page_of(visit, &shown))
}

/// `POST /exchanges/{exchange}/reveal`: shows a sealed body, and records that it was shown.
pub(in crate::admin) fn reveal(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let id = list::number(visit, "exchange")?;
    let deed = Deed::new(visit, "reveal", format!("exchange {id}")).with("personal data of the request");
    let shown = visit.context.store.write(None, move |tx| {
        let Some(shown) = look_up(tx, id)? else { return Ok(None) };
        // What has no body is shown as that, and is not asked for again.
        let body = tx.sealed_request(id)?.map(|body| body.expose().clone());
        deed.record(tx)?;
        Ok(Some(Shown { revealed: shown.row.request_sealed.then(|| body.unwrap_or_default()), ..shown }))
    })?;
    Ok(page_of(visit, &shown.ok_or(Trouble::NotFound)?))
}

fn page_of(visit: &Visit<'_>, shown: &Shown) -> Reply {
    let id = shown.row.id;
    let title = words(format!("调用 {id}"), format!("Exchange {id}"));
    visit.page(Some(place::EXCHANGES), &title, |view| exchange::body(view, shown))
}

fn look_up(tx: &Tx<'_>, id: i64) -> Result<Option<Shown>, StoreError> {
    let Some(row) = tx.exchange(id)? else { return Ok(None) };
    let (operation, calls) = match row.operation {
        Some(operation) => (tx.operation_line(operation)?, Some(tx.exchanges_of_operation(operation, None, CALLS)?)),
        None => (None, None),
    };
    let first = row.first_exchange.filter(|first| *first > 0);
    let has_first = match first {
        Some(first) => tx.request_of(first)?.is_some(),
        None => false,
    };
    let calls = calls.map_or_else(Default::default, |piece| (piece.rows, piece.next != Next::End));
    Ok(Some(Shown { row, operation, has_first, calls, revealed: None }))
}

/// `GET /export/exchanges`: what would be exported.
pub(in crate::admin) fn ask_export(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (asked, _) = read(|name| visit.text(name))?;
    let title = words("导出调用记录", "Export exchanges");
    Ok(visit
        .page(Some(place::EXCHANGES), &title, |view| exchanges::export_question(view, &asked, MOST_ROWS, MOST_BYTES)))
}

/// `POST /export/exchanges`: a sheet of the calls that the filter finds, bounded in every way.
pub(in crate::admin) fn export(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (asked, search) = read(|name| visit.field(name))?;
    let deed = Deed::new(visit, "export", "exchanges").with(asked.address("", &[]));
    let store = &visit.context.store;
    store.write(None, move |tx| deed.record(tx))?;
    // Spreadsheets on Chinese Windows take a file without this mark for GBK.
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let failed = |error: csv::Error| Fault::internal(error.to_string());
    writer.write_record(sheet::COLUMNS).map_err(failed)?;
    let (mut rows, mut bytes, mut after) = (0, 0, None);
    let mut is_whole = false;
    for _ in 0..MOST_PIECES {
        // Each piece in a view of its own, so that none is held long.
        let piece = store.read(|tx| tx.search_exchanges(&search, after, ROWS))?;
        for line in &piece.rows {
            let Some(row) = store.read(|tx| tx.exchange(line.id))? else { continue };
            let record = sheet::record(&row);
            bytes += record.iter().map(String::len).sum::<usize>();
            writer.write_record(record).map_err(failed)?;
            rows += 1;
        }
        match piece.next {
            Next::End => is_whole = true,
            Next::More(place) | Next::Further(place) => after = Some(place),
        }
        if is_whole || rows >= MOST_ROWS || bytes >= MOST_BYTES {
            break;
        }
    }
    if !is_whole {
        let mut note = sheet::COLUMNS.map(|_| String::new());
        note[0] = "…".to_owned();
        note[1] =
            "not all: koogate exchange export has no bounds / 未完：请使用命令 koogate exchange export".to_owned();
        writer.write_record(note).map_err(failed)?;
    }
    let sheet = writer.into_inner().map_err(|error| Fault::internal(error.to_string()))?;
    let name = format!("koogate-exchanges-{}.csv", visit.now.strftime("%Y%m%dT%H%M%SZ"));
    let reply = Reply::new(200, "text/csv; charset=utf-8", sheet);
    let reply = reply.with_header("Content-Disposition", format!("attachment; filename=\"{name}\""));
    Ok(reply.with_header("Cache-Control", "no-store").with_header("X-Content-Type-Options", "nosniff"))
}

/// What is asked for: as the address says it, and as the store takes it.
fn read<'v>(value: impl Fn(&str) -> Option<&'v str>) -> Result<(Asked, ExchangeSearch), Fault> {
    let given = PARAMETERS.iter().filter_map(|name| Some((*name, value(name)?.to_owned())));
    let asked = Asked { parameters: given.collect() };
    let text = |name: &str| value(name).map(str::to_owned);
    let environment = match value("environment") {
        None => None,
        Some("real") => Some(Environment::Real),
        Some("test") => Some(Environment::Test),
        Some(_) => {
            return Err(Trouble::BadRequest(words(
                "参数 environment 无效。",
                "The parameter environment is real or test.",
            ))
            .into());
        }
    };
    let outcome = value("result").map(|result| match result {
        "failed" => Outcome::Failed,
        "unanswered" => Outcome::Unanswered,
        code => Outcome::Code(code.to_owned()),
    });
    let minute = |name: &str| list::minute(value(name), name);
    let search = ExchangeSearch {
        order_id: text("order"),
        instance_id: text("instance"),
        outcome,
        family: text("family"),
        activity: text("activity"),
        environment,
        since: minute("since")?,
        until: minute("until")?,
    };
    Ok((asked, search))
}
