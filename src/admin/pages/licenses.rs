//! Licences, one of them, and giving one by hand.

use super::instances::environment;
use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::fulfilment::by_hand::{self, Issued};
use crate::http::Reply;
use crate::license::License;
use crate::page::licenses::{self, Asked};
use crate::page::trouble::Trouble;
use crate::page::{form, place, words};
use crate::secret::Secret;
use crate::store::pages::LicenseSearch;

/// `GET /licenses`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let text = |name: &str| visit.text(name).unwrap_or_default();
    let search = LicenseSearch {
        state: visit.text("state").map(str::to_owned),
        kind: visit.parsed("kind")?,
        environment: environment(visit)?,
    };
    let asked = Asked { state: text("state"), kind: text("kind"), environment: text("environment") };
    let after = list::place(visit)?;
    let piece = visit.context.store.read(|tx| tx.search_licenses(&search, after, ROWS))?;
    let next = list::continued(visit, &piece.next, |more| {
        let own = ["state", "kind", "environment"].map(|name| (name, text(name)));
        form::address("/licenses", &own.iter().chain(more).copied().collect::<Vec<_>>())
    });
    Ok(visit.page(Some(place::LICENSES), &licenses::TITLE, |view| licenses::body(view, &asked, &piece.rows, &next)))
}

/// `GET /licenses/{license}`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let number = list::number(visit, "license")?;
    let found = visit.context.store.read(|tx| tx.licensed_with_jobs(number))?;
    let (row, license, jobs) = found.ok_or(Trouble::NotFound)?;
    let title = words(format!("许可证 {number}"), format!("Licence {number}"));
    Ok(visit.page(Some(place::LICENSES), &title, |view| licenses::one(view, &row, &license, &jobs)))
}

/// `POST /licenses/{license}/issue`: what `koogate license issue --text` does.
pub(in crate::admin) fn issue(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let number = list::number(visit, "license")?;
    let unfit =
        |problem: String| list::conflict(format!("未签发：{problem}"), format!("Nothing was issued: {problem}."));
    // Browsers send each line's end as two characters.
    let text = visit.field("license").unwrap_or_default().replace("\r\n", "\n");
    let license = License::text(Secret::new(text.trim_end_matches('\n').to_owned()));
    let license = license.map_err(|fault| unfit(fault.to_string()))?;
    let (settings, deed) =
        (visit.context.dispatcher.settings(), Deed::new(visit, "issue", format!("licence {number}")));
    let issued = visit.context.store.write(None, move |tx| {
        let issued = by_hand::issue(tx, &settings, number, &license, "the status page")?;
        if matches!(issued, Issued::Done(..)) {
            deed.record(tx)?;
        }
        Ok(issued)
    })?;
    match issued {
        Issued::Done(_, operations) => {
            operations.into_iter().for_each(|operation| visit.context.waiters.ended(operation))
        }
        Issued::Already | Issued::Is(_) => return Err(list::changed_meanwhile()),
        Issued::Unfit(problem) => return Err(unfit(problem)),
        Issued::Unknown => return Err(Trouble::NotFound.into()),
    }
    visit.context.bell.ring();
    Ok(visit.go_on(&format!("/licenses/{number}"), list::done(words("许可证已签发", "The licence is issued"))))
}
