//! Usage records, sending what waits, and taking one out.

use jiff::SignedDuration;

use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::trouble::Trouble;
use crate::page::usage::{self, Asked};
use crate::page::{form, place, words};
use crate::store::Withdrawal;
use crate::store::pages::UsageSearch;
use crate::usage::desk;

/// `GET /usage`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let text = |name: &str| visit.text(name).unwrap_or_default();
    let search = UsageSearch { state: visit.parsed("state")?, instance_id: visit.text("instance").map(str::to_owned) };
    let asked = Asked { state: text("state"), instance: text("instance") };
    let after = list::place(visit)?;
    let now = visit.now;
    let month = now.checked_sub(SignedDuration::from_hours(30 * 24)).unwrap_or(now);
    let (piece, waiting, counts) = visit.context.store.read(|tx| {
        Ok((tx.search_usage(&search, after, ROWS)?, tx.waiting_usage(now)?, tx.usage_counts(now, month)?))
    })?;
    let next = list::continued(visit, &piece.next, |more| {
        let own = [("state", text("state")), ("instance", text("instance"))];
        form::address("/usage", &own.iter().chain(more).copied().collect::<Vec<_>>())
    });
    Ok(visit.page(Some(place::USAGE), &usage::TITLE, |view| {
        usage::body(view, &asked, &waiting, &counts, &piece.rows, &next)
    }))
}

/// `GET /usage/push`
pub(in crate::admin) fn ask_push(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let waiting = visit.context.store.read(|tx| tx.waiting_usage(visit.now))?;
    let title = words("立即发送用量", "Send usage now");
    Ok(visit.page(Some(place::USAGE), &title, |view| usage::push_question(view, &waiting)))
}

/// `POST /usage/push`: what `koogate usage push` does.
pub(in crate::admin) fn push(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (store, now) = (&visit.context.store, visit.now);
    let deed = Deed::new(visit, "push", "usage");
    store.write(None, move |tx| deed.record(tx))?;
    let hastened = desk::push(store, now)?;
    let waiting = store.read(|tx| tx.waiting_usage(now))?;
    Ok(visit.go_on("/usage", list::done(usage::pushed(hastened, waiting.due))))
}

/// `GET /usage/{meteringSn}/withdraw`
pub(in crate::admin) fn ask_withdraw(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let metering_sn = visit.path("meteringSn");
    let title = words("撤回用量记录", "Take out a usage record");
    Ok(visit.page(Some(place::USAGE), &title, |view| usage::withdraw_question(view, metering_sn)))
}

/// `POST /usage/{meteringSn}/withdraw`: what `koogate usage reject` does.
pub(in crate::admin) fn withdraw(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let (metering_sn, now) = (visit.path("meteringSn").to_owned(), visit.now);
    let deed = Deed::new(visit, "withdraw", metering_sn.clone());
    let withdrawn = visit.context.store.write(None, move |tx| {
        let withdrawn = tx.withdraw_usage(&metering_sn, now)?;
        if withdrawn == Withdrawal::Done {
            deed.record(tx)?;
        }
        Ok(withdrawn)
    })?;
    match withdrawn {
        Withdrawal::Done => {
            let message = words("记录已撤回，可重新上报该时段", "The record counts no more: report its time anew");
            Ok(visit.go_on("/usage", list::done(message)))
        }
        Withdrawal::Already => Err(list::changed_meanwhile()),
        Withdrawal::OnItsWay => Err(list::conflict(
            "该记录已发送，KooGallery 尚未答复；请等到其被接收或拒收。未执行任何操作。",
            "It has been sent and KooGallery has not said whether it has it: wait until it is accepted or rejected. Nothing was \
             done.",
        )),
        Withdrawal::Unknown => Err(Trouble::NotFound.into()),
    }
}
