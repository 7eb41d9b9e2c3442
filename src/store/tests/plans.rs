//! No statement becomes slower as the tables grow, but for the listings that a person asks for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use super::*;
use crate::instance::{Change, Status};
use crate::license::License;
use crate::protocol::open_api::license::CodeInfo;
use crate::protocol::result_code::ResultCode;
use crate::store::plans;

/// Statements that walk a table, and why they may.
const SCANNED: [(&str, &str); 4] = [
    ("number the exchange", "SQLite's own table has one row for each table that counts"),
    ("look when the last call came", "from its end, and one row is enough"),
    ("list the stock", "a person asks, and there are as many rows as accounts were bought"),
    ("list webhooks", "as many as the configuration names"),
];

/// Statements that sort what they have found, and why that is bounded however large the tables are.
const SORTED: [(&str, &str); 10] = [
    ("count the calls", "at most 20,000 of the newest"),
    ("count failed orders", "of one month, of those that have failed"),
    ("look for instances that wait", "those whose creation has not ended"),
    ("look for dead jobs", "those that are dead"),
    ("list jobs by their state", "one piece of a page"),
    ("search usage", "one piece of a page"),
    ("look how far to search usage", "reports of an instance for the same time"),
    ("list restores", "as often as somebody restored a copy"),
    ("list orders", "orders that were read in the same millisecond"),
    ("list users", "a person asks for those of one tenant"),
];

/// Statements that are not run here, because only a person asks for them or they belong to a start.
const NOT_TRIED: [&str; 9] = [
    // `koogate support-bundle`.
    "count the jobs",
    "count the rows",
    "list the failed jobs",
    // `koogate restore --report`.
    "list open jobs",
    "list the calls after the copy",
    "list told events",
    "look for newer calls",
    "look for the operation",
    "read which database it is",
];

/// Indexes that hold only what is unfinished: walking one of them walks no history.
const UNFINISHED: [&str; 6] = [
    "INDEX job_due",
    "INDEX job_running",
    "INDEX job_dead",
    "INDEX usage_record_due",
    "INDEX alert_standing",
    "INDEX license_requested",
];

#[test]
fn every_statement_on_the_way_of_an_answer_looks_up_an_index() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let seen = store
        .write(None, |tx| {
            run_everything(tx)?;
            Ok(plans::seen(tx))
        })
        .unwrap();
    let tried: BTreeSet<&str> = seen.iter().map(|(doing, ..)| *doing).collect();
    let all = statements();
    assert!(all.len() > 150, "the statements of the store are not found in its sources: {all:?}");
    let untried: Vec<_> = all.iter().filter(|doing| !tried.contains(&***doing)).map(|doing| &**doing).collect();
    let mut excused: Vec<_> = NOT_TRIED.to_vec();
    excused.sort_unstable();
    assert_eq!(untried, excused, "statements that this test does not run, and those that it need not");
    let (mut faults, mut needed) = (Vec::new(), BTreeSet::new());
    for (doing, sql, steps) in seen {
        for (fault, excuses) in steps.iter().filter_map(|step| fault(step)) {
            match excuses.iter().find(|(name, _)| *name == doing) {
                Some(_) => drop(needed.insert(doing)),
                None => faults.push(format!("{doing}: {fault}: {sql}\n{steps:#?}")),
            }
        }
        if doing == "look up the authorisation" {
            // The key begins with the tenant, so it would do: by walking all of the tenant's users.
            assert!(steps.iter().all(|step| step.contains("INDEX user_by_name")), "{doing}: {sql}\n{steps:#?}");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let excused: BTreeSet<&str> = SCANNED.iter().chain(&SORTED).map(|(doing, _)| *doing).collect();
    assert_eq!(needed, excused, "statements that need an excuse, and those that have one");
}

/// What is wrong with a step of a plan, and who may have it.
fn fault(step: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
    if step.contains("AUTOMATIC") {
        return Some(("an index is built for this statement alone", &[]));
    }
    if step.starts_with("USE TEMP B-TREE") {
        return Some(("rows are sorted", &SORTED));
    }
    let scanned = step.strip_prefix("SCAN ")?;
    let of_index = UNFINISHED.iter().any(|index| step.contains(index));
    // One row, or one for 2,048 calls, and what other parts of the statement have found, which have plans of their own.
    let small = ["CONSTANT", "meta", "restore", "json_each", "stretches"];
    let is_small = scanned.split(' ').next().is_some_and(|name| small.contains(&name)) || scanned.starts_with('(');
    (!of_index && !is_small).then_some(("a table is scanned", &SCANNED))
}

/// What the statements in the store's sources are called: the first argument of what prepares them.
fn statements() -> BTreeSet<String> {
    const PREPARE: [&str; 8] = ["first", "all", "execute", "insert", "prepare", "count", "waiting", "newest"];
    let mut found = BTreeSet::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for call in PREPARE.iter().flat_map(|name| code.split(&format!(".{name}(")).skip(1).collect::<Vec<_>>()) {
            let named = call.trim_start().strip_prefix('"').filter(|rest| rest.starts_with(char::is_lowercase));
            found.extend(named.map(|literal| literal.split('"').next().unwrap().to_owned()));
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.file_name().unwrap().to_str().unwrap() {
            "tests" => Vec::new(),
            _ if path.is_dir() => sources(&path),
            name if name.ends_with(".rs") => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// Calls every function that has a statement of its own.
fn run_everything(tx: &Tx<'_>) -> Result<(), StoreError> {
    let (instance, operation) = create(tx, "CS1")?;
    let identity = Identity::new(Environment::Real, Kind::Saas, "create", ["CS1"]);
    tx.operation_of(&identity, "k")?;
    tx.operation(operation)?;
    tx.operation_by_row(operation, "k")?;
    tx.open_operation_on(instance.row, Some(operation))?;
    tx.instance(Environment::Real, Kind::Saas, "i-CS1")?;
    tx.instance_by_row(instance.row)?;
    tx.instances_named("i-CS1")?;
    run_exchanges(tx, operation)?;
    run_jobs(tx, &instance, operation)?;
    super::orders::run_orders(tx)?;
    tx.set_access(&instance, &access("p"))?;
    tx.access_of(&instance)?;
    tx.insert_stock("accounts", &StockEntry::Account(access("q")), at(0))?;
    tx.take_account("accounts", &instance, at(0))?;
    run_licenses(tx, &instance, operation)?;
    tx.unused_stock("accounts")?;
    tx.stocks()?;
    tx.apply(&instance, &Change::Ready, Cause::default(), at(1))?;
    tx.history(instance.row)?;
    tx.changed_at(instance.row)?;
    let activity = "expireInstance";
    let wanted = EarlierCalls { family: "basic-v1", activity, from: at(0), until: at(9), before: i64::MAX, most: 10 };
    tx.earlier_calls(&instance, wanted)?;
    tx.instances(&InstanceFilter::default(), None, 10)?;
    let frozen = InstanceFilter { status: Some(Status::Frozen), ..InstanceFilter::default() };
    tx.instances(&frozen, None, 10)?;
    tx.instances(&InstanceFilter { order_id: Some("CS1".to_owned()), ..InstanceFilter::default() }, Some(9), 10)?;
    tx.set_operation(operation, State::Done, Some((ResultCode::SUCCESS, "success")), at(1))?;
    tx.finish_creations(instance.row, at(1))?;
    super::login::run_logins(tx)?;
    super::pages::run_pages(tx, &instance, operation)?;
    run_open_api(tx)?;
    super::usage::run_usage(tx)?;
    super::alerts::run_alerts(tx)?;
    run_directory(tx)
}

fn run_open_api(tx: &Tx<'_>) -> Result<(), StoreError> {
    let mut refusal =
        OpenApiRefusalRow { refusals: 1, refused_at: at(0), not_before: at(300), message: "wrong key".to_owned() };
    tx.put_open_api_refusal("key", &refusal)?;
    refusal.refusals = 2;
    tx.put_open_api_refusal("key", &refusal)?;
    assert_eq!(tx.open_api_refusal("key")?, Some(refusal));
    let mut row = HeartbeatRow { code: "PL1".to_owned(), said: Said::Info(CodeInfo::default()), checked_at: at(0) };
    tx.put_heartbeat(&row)?;
    row.said = Said::Refused { code: "92020005".to_owned(), message: "unknown".to_owned() };
    tx.put_heartbeat(&row)?;
    assert_eq!(tx.heartbeat("PL1")?, Some(row));
    tx.forget_refused_heartbeat("none")?;
    assert_eq!(tx.purge_heartbeats(at(1), 10)?, 1);
    tx.remove_open_api_refusal("key")?;
    assert_eq!(tx.open_api_refusal("key")?, None);
    Ok(())
}

/// Each of what a listing of the journal goes along.
fn filters() -> [ExchangeFilter; 7] {
    let all = ExchangeFilter::default;
    [
        all(),
        ExchangeFilter { order_id: Some("CS1".to_owned()), instance_id: Some("i-CS1".to_owned()), ..all() },
        ExchangeFilter { instance_id: Some("i-CS1".to_owned()), ..all() },
        ExchangeFilter { result: Some("failed".to_owned()), environment: Some("real"), ..all() },
        ExchangeFilter { environment: Some("test"), since: Some(at(0)), ..all() },
        ExchangeFilter { since: Some(at(0)), until: Some(at(1)), ..all() },
        ExchangeFilter { until: Some(at(1)), result: Some("000000".to_owned()), ..all() },
    ]
}

fn run_exchanges(tx: &Tx<'_>, operation: i64) -> Result<(), StoreError> {
    let answered = Answered {
        operation: Some(operation),
        instance_id: Some("i-CS1"),
        result_code: "000000",
        answer: None,
        replayed: false,
        difference: None,
        duration_us: 1,
    };
    let exchange = tx.insert_answered_exchange(&call("CS1", at(0), Environment::Real), &answered)?;
    tx.answer_exchange(exchange, &answered)?;
    let answer = AnswerBytes { body: b"{}".to_vec(), body_sign: String::new() };
    tx.insert_answer(operation, "k", &answer, None, exchange)?;
    let identity = Identity::new(Environment::Real, Kind::Saas, "create", ["CS1"]);
    assert_eq!(tx.operation_of(&identity, "k")?.and_then(|operation| operation.answer), Some(answer));
    tx.next_exchange()?;
    tx.newest_exchange_at()?;
    tx.request_of(exchange)?;
    tx.exchange(exchange)?;
    tx.calls_since(at(-10))?;
    for filter in filters() {
        tx.exchanges(&filter, 10)?;
        tx.exchanges(&ExchangeFilter { after: Some((at(0), 1)), ..filter }, 10)?;
    }
    tx.purge_exchanges(at(-10), at(-5), 500)?;
    Ok(())
}

fn run_licenses(tx: &Tx<'_>, instance: &InstanceRow, operation: i64) -> Result<(), StoreError> {
    let code = Secret::new("A-1".to_owned());
    tx.insert_stock("codes", &StockEntry::License(code.clone()), at(0))?;
    let new = NewLicense { instance: instance.row, operation, request: None };
    let license = tx.request_license(&new, at(0))?;
    tx.refuse_license(operation)?;
    assert_eq!(tx.request_license(&new, at(0))?, license, "asked for again after a refusal");
    assert_eq!(tx.take_license("codes", license, at(0))?, Some(code.clone()));
    let made = License::text(code).unwrap();
    assert!(tx.issue_license(license, &made, at(1))?);
    assert!(!tx.issue_license(license, &made, at(2))?, "what is issued stays as it is");
    let row = tx.license(license)?.unwrap();
    assert_eq!(tx.license_content(&row)?, Some(made));
    tx.licenses_of(instance.row)?;
    tx.licenses_in_use(instance.row, Some(operation))?;
    tx.license_uploaded(operation, at(3))?;
    tx.licensed_with_jobs(license)?;
    tx.licenses(&LicenseFilter { state: None, kind: None, environment: Environment::Real }, None, 10)?;
    Ok(())
}

fn run_jobs(tx: &Tx<'_>, instance: &InstanceRow, operation: i64) -> Result<(), StoreError> {
    let job = NewJob {
        subject: Subject::Operation { instance: instance.row, operation },
        task: "instance.create",
        order: None,
        event: Some("{}"),
        change: None,
    };
    tx.insert_job(&job, at(0))?;
    tx.next_job_at()?;
    let claimed = tx.claim_jobs(at(1), at(60), 10)?;
    assert_eq!(claimed.len(), 1);
    tx.running_job(claimed[0].row, 1)?;
    tx.event_of(&claimed[0])?;
    tx.is_overtaken_by_release(&claimed[0])?;
    tx.has_lapsed_lease(at(1))?;
    tx.move_jobs(SignedDuration::from_secs(1), at(1))?;
    tx.mend_times_of_jobs(at(1), at(9))?;
    tx.put_off_job(claimed[0].row, at(5), Some("made up"))?;
    tx.end_job(claimed[0].row, "dead", None, at(1))?;
    tx.retry_jobs(instance.row, at(2))?;
    tx.release_leases(at(2), true)?;
    tx.open_status_change(instance.row)?;
    tx.job_ends_before(operation, instance.row, at(9))?;
    tx.jobs_of(instance.row)?;
    tx.troubled_jobs()?;
    tx.numbers(at(3))?;
    tx.cancel_waiting_jobs(instance.row, "released", at(3))?;
    tx.postpone_job(claimed[0].row, at(5), "not yet")?;
    tx.hasten_uploads(at(4))?;
    tx.end_creation_jobs(instance.row, at(3))?;
    tx.end_issue_jobs(operation, at(3))?;
    Ok(())
}

fn run_directory(tx: &Tx<'_>) -> Result<(), StoreError> {
    let new = NewTenant { tenant_id: "t-1", tenant_code: "code", name: "name", domain_name: None };
    let tenant = tx.put_tenant(&new, at(0))?;
    let directory = Directory { tenant, instance_id: "i-CS1" };
    tx.bind_tenant(directory, Some("CS1"), at(0))?;
    tx.put_application(tenant, "a-1", "client", &Secret::new("secret".to_owned()), at(0))?;
    tx.client_of(tenant, "a-1")?;
    let details = Secret::new("{}".to_owned());
    let user = NewUser { user_name: "u-1", org_code: None, role: None, enabled: true, details: &details };
    tx.put_user(directory, "a-1", &user, at(0))?;
    tx.revoke_user(directory, "a-1", "u-1", at(0))?;
    tx.may_use(tenant, "a-1", "u-1")?;
    tx.put_department(directory, ("d-1", Some("name"), Some("d-0")), at(0))?;
    tx.put_parent(directory, "d-0", at(0))?;
    tx.mark_departments_stale(directory)?;
    tx.remove_stale_departments(directory)?;
    let job =
        NewJob { subject: Subject::Tenant(tenant), task: "users.sync", order: None, event: Some("{}"), change: None };
    tx.insert_job(&job, at(0))?;
    tx.hasten_tenant_jobs(tenant, at(0))?;
    for row in tx.jobs_of_tenant(tenant, 10)? {
        tx.end_job(row.row, "dead", None, at(0))?;
    }
    for row in tx.jobs_since_first_dead(tenant)? {
        tx.event_of(&row)?;
        tx.revive_tenant_job(&row, None, at(1))?;
    }
    tx.purge_tenant_jobs(at(9), 500)?;
    tx.tenant("t-1")?;
    tx.tenants(None, 10)?;
    tx.bindings_of(tenant)?;
    tx.applications_of(tenant)?;
    tx.users_of(tenant, None, 10)?;
    tx.departments_of(tenant, None, 10)?;
    tx.directory_size(tenant)?;
    tx.remove_user(directory, "a-1", "u-1")?;
    tx.remove_application(tenant, "a-1")?;
    tx.remove_department(directory, "d-1")?;
    tx.unbind_tenant(directory)
}
