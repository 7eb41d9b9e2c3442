//! Instances, one of them, and marking one ready.

use super::list::{self, Deed, ROWS};
use super::visit::{Fault, Visit};
use crate::access::{Access, AccessParts};
use crate::fulfilment::answer::Handout;
use crate::fulfilment::ready::{Marked, mark_ready};
use crate::http::Reply;
use crate::instance::Status;
use crate::operation::Environment;
use crate::page::instance::{self, Shown};
use crate::page::instances::{self, Asked};
use crate::page::trouble::Trouble;
use crate::page::{form, place, text, words};
use crate::secret::Secret;
use crate::store::pages::InstanceSearch;
use crate::store::{StoreError, Tx};

/// So many operations of an instance are listed.
const OPERATIONS: i64 = 100;

/// `GET /instances`
pub(in crate::admin) fn list(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let search = InstanceSearch {
        text: visit.text("text").map(str::to_owned),
        status: visit.parsed("status")?,
        kind: visit.parsed("kind")?,
        environment: environment(visit)?,
    };
    let value = |name: &str| visit.text(name).unwrap_or_default();
    let asked =
        Asked { text: value("text"), status: value("status"), kind: value("kind"), environment: value("environment") };
    let after = list::place(visit)?;
    let (piece, too_many) = visit.context.store.read(|tx| {
        let too_many = search.text.as_deref().map(|text| tx.has_too_many_like(text)).transpose()?;
        Ok((tx.search_instances(&search, after, ROWS)?, too_many == Some(true)))
    })?;
    let next = list::continued(visit, &piece.next, |more| {
        let own = ["text", "status", "kind", "environment"].map(|name| (name, value(name)));
        form::address("/instances", &own.iter().chain(more).copied().collect::<Vec<_>>())
    });
    Ok(visit.page(Some(place::INSTANCES), &instances::TITLE, |view| {
        instances::body(view, &asked, too_many, &piece.rows, &next)
    }))
}

/// The parameter `environment`.
pub(super) fn environment(visit: &Visit<'_>) -> Result<Option<Environment>, Fault> {
    match visit.text("environment") {
        None => Ok(None),
        Some("real") => Ok(Some(Environment::Real)),
        Some("test") => Ok(Some(Environment::Test)),
        Some(_) => {
            let message = words("参数 environment 只能是 real 或 test。", "The parameter environment is real or test.");
            Err(Trouble::BadRequest(message).into())
        }
    }
}

/// `GET /instances/{instance}`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row = list::number(visit, "instance")?;
    let shown = visit.context.store.read(|tx| look_up(tx, row))?.ok_or(Trouble::NotFound)?;
    Ok(page_of(visit, &shown))
}

/// `POST /instances/{instance}/reveal`: shows user name and password, and records that they were shown.
pub(in crate::admin) fn reveal(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row = list::number(visit, "instance")?;
    let deed = Deed::new(visit, "reveal", "").with("user name and password");
    let shown = visit.context.store.write(None, move |tx| {
        let Some(shown) = look_up(tx, row)? else { return Ok(None) };
        deed.clone().about(&shown.row.instance_id).record(tx)?;
        Ok(Some(Shown { is_revealed: true, ..shown }))
    })?;
    Ok(page_of(visit, &shown.ok_or(Trouble::NotFound)?))
}

fn page_of(visit: &Visit<'_>, shown: &Shown) -> Reply {
    let title = text("实例详情", "Instance");
    visit.page(Some(place::INSTANCES), &title, |view| instance::body(view, shown))
}

fn look_up(tx: &Tx<'_>, row: i64) -> Result<Option<Shown>, StoreError> {
    let Some(instance) = tx.instance_by_row(row)? else { return Ok(None) };
    Ok(Some(Shown {
        history: tx.history(row)?,
        jobs: tx.jobs_of(row)?,
        operations: tx.operations_on(row, OPERATIONS)?,
        licenses: tx.licenses_of(row)?,
        access: tx.access_of(&instance)?,
        is_revealed: false,
        row: instance,
    }))
}

/// `GET /instances/{instance}/ready`: the form.
pub(in crate::admin) fn ask_ready(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row = list::number(visit, "instance")?;
    let instance = visit.context.store.read(|tx| tx.instance_by_row(row))?.ok_or(Trouble::NotFound)?;
    if instance.life.status != Status::Creating {
        return Err(list::changed_meanwhile());
    }
    let title = words("确认实例已开通", "Mark an instance ready");
    Ok(visit.page(Some(place::INSTANCES), &title, |view| instance::ready_form(view, &instance)))
}

/// `POST /instances/{instance}/ready`: what `koogate instance ready` does.
pub(in crate::admin) fn ready(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let row = list::number(visit, "instance")?;
    let field = |name: &str| visit.field(name).map(str::to_owned);
    let parts = AccessParts {
        front_end_url: field("front_end_url").unwrap_or_default(),
        admin_url: field("admin_url"),
        user_name: field("user_name").map(Secret::new),
        password: field("password").map(Secret::new),
        memo: field("memo"),
    };
    let is_empty = parts == AccessParts::default();
    let unfit =
        |problem: String| list::conflict(format!("未执行任何操作：{problem}"), format!("Nothing was done: {problem}."));
    let access = if is_empty { None } else { Some(Access::accept(parts).map_err(|fault| unfit(fault.to_string()))?) };
    let (settings, handout) = (visit.context.dispatcher.settings(), Handout { access, license: None });
    let deed = Deed::new(visit, "ready", "");
    let marked = visit.context.store.write(None, move |tx| {
        let Some(instance) = tx.instance_by_row(row)? else { return Ok(Marked::Unknown) };
        if instance.life.status != Status::Creating {
            return Ok(Marked::Is(instance.life.status));
        }
        // Ids are one's own only within a kind and an environment; which of several is finished is not to be guessed.
        let named = tx.instances_named(&instance.instance_id)?;
        if named.iter().filter(|named| named.life.status == Status::Creating).count() > 1 {
            return Ok(Marked::Unfit("several instances of this id are being created".to_owned()));
        }
        let marked = mark_ready(tx, &settings, &instance.instance_id, handout.clone(), "the status page")?;
        if matches!(marked, Marked::Ready(_)) {
            deed.clone().about(&instance.instance_id).record(tx)?;
        }
        Ok(marked)
    })?;
    match marked {
        Marked::Ready(operations) => {
            operations.into_iter().for_each(|operation| visit.context.waiters.ended(operation))
        }
        Marked::Already | Marked::Is(_) => return Err(list::changed_meanwhile()),
        Marked::Unfit(problem) => return Err(unfit(problem)),
        Marked::Unknown => return Err(Trouble::NotFound.into()),
    }
    let message = words("实例已标记为使用中", "The instance is active");
    Ok(visit.go_on(&format!("/instances/{row}"), list::done(message)))
}
