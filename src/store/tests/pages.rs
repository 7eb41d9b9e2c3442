//! The lists of the status page: what they find is what is there, in pieces as at once, and each comes from an index.

use super::*;
use crate::instance::{Change, Status};
use crate::store::pages::{
    ExchangeSearch, InstanceSearch, JobsShown, LOOKED_THROUGH, LicenseSearch, Next, Outcome, Piece, UsageSearch,
};
use crate::usage::State as UsageState;

/// Follows a list to its end, in pieces of `limit`; and how many pieces were cut short for having looked at enough.
fn follow<R, P: Copy>(mut piece: impl FnMut(Option<P>) -> Piece<R, P>) -> (Vec<R>, usize) {
    let (mut all, mut after, mut cut) = (Vec::new(), None, 0);
    for _ in 0..10_000 {
        let Piece { rows, next } = piece(after);
        all.extend(rows);
        after = match next {
            Next::End => return (all, cut),
            Next::More(place) => Some(place),
            Next::Further(place) => {
                cut += 1;
                Some(place)
            }
        };
    }
    panic!("the list has no end");
}

/// Calls on a few orders and instances, in both worlds, with a clock that was set back once.
fn journal(store: &Store) {
    store
        .write(None, |tx| {
            let (instance, operation) = create(tx, "CS1")?;
            for number in 0..240_i64 {
                let second = if number < 120 { number * 2 } else { number };
                let environment = Environment::of_test_flag(number % 5 == 0);
                let order = format!("CS{}", number % 3);
                let mut new = call(&order, at(second), environment);
                new.family = if number % 2 == 0 { "basic-v2" } else { "basic-v1" };
                new.activity = (number % 7 != 0).then_some("queryInstance");
                let about_operation = number % 11 == 0;
                new.instance_id = (number % 4 == 0).then(|| instance.instance_id.clone());
                let answered = Answered {
                    operation: about_operation.then_some(operation),
                    instance_id: about_operation.then_some(instance.instance_id.as_str()),
                    result_code: ["000000", "000004", "000005", "000100"][usize::try_from(number % 4).unwrap()],
                    answer: None,
                    replayed: false,
                    difference: None,
                    duration_us: number,
                };
                match number % 13 {
                    0 => tx.insert_exchange(&new)?,
                    _ => tx.insert_answered_exchange(&new, &answered)?,
                };
            }
            Ok(())
        })
        .unwrap();
}

fn searches() -> Vec<ExchangeSearch> {
    let mut all = Vec::new();
    let outcomes = [None, Some(Outcome::Failed), Some(Outcome::Unanswered), Some(Outcome::Code("000100".to_owned()))];
    for (order, instance) in [(None, None), (Some("CS1"), None), (None, Some("i-CS1")), (Some("CS2"), Some("i-CS1"))] {
        for outcome in &outcomes {
            for environment in [None, Some(Environment::Real), Some(Environment::Test)] {
                for (since, until) in
                    [(None, None), (Some(at(30)), None), (Some(at(30)), Some(at(200))), (None, Some(at(90)))]
                {
                    for family in [None, Some("basic-v1")] {
                        all.push(ExchangeSearch {
                            order_id: order.map(str::to_owned),
                            instance_id: instance.map(str::to_owned),
                            outcome: outcome.clone(),
                            family: family.map(str::to_owned),
                            activity: family.map(|_| "queryInstance".to_owned()),
                            environment,
                            since,
                            until,
                        });
                    }
                }
            }
        }
    }
    all
}

fn is_meant(search: &ExchangeSearch, row: &ExchangeRow) -> bool {
    let is = |wanted: &Option<String>, has: Option<&str>| wanted.as_deref().is_none_or(|wanted| has == Some(wanted));
    let code = row.result_code.as_deref();
    let outcome = match &search.outcome {
        None => true,
        Some(Outcome::Failed) => code.is_some_and(|code| !["000000", "000004"].contains(&code)),
        Some(Outcome::Unanswered) => code.is_none(),
        Some(Outcome::Code(wanted)) => code == Some(wanted),
    };
    outcome
        && is(&search.order_id, row.order_id.as_deref())
        && is(&search.instance_id, row.instance_id.as_deref())
        && is(&search.family, Some(&row.family))
        && is(&search.activity, row.activity.as_deref())
        && search.environment.is_none_or(|wanted| row.environment == wanted.as_str())
        && search.since.is_none_or(|since| row.received_at >= since)
        && search.until.is_none_or(|until| row.received_at < until)
}

#[test]
fn a_search_finds_in_pieces_what_a_look_at_every_call_finds() {
    let scratch = Scratch::new();
    let store = scratch.open();
    journal(&store);
    let all = store.read(|tx| tx.exchanges(&ExchangeFilter::default(), 1000)).unwrap();
    assert_eq!(all.len(), 241);
    let mut found_any = 0;
    for search in searches() {
        let mut expected: Vec<_> = all.iter().filter(|row| is_meant(&search, row)).map(|row| row.id).collect();
        expected.sort_unstable();
        for limit in [7, 1000] {
            let (found, cut) = follow(|after| store.read(|tx| tx.search_exchanges(&search, after, limit)).unwrap());
            let mut ids: Vec<_> = found.iter().map(|line| line.id).collect();
            ids.sort_unstable();
            assert_eq!((&ids, cut), (&expected, 0), "{search:?} in pieces of {limit}");
            found_any += usize::from(!ids.is_empty());
        }
    }
    assert!(found_any > 200, "{found_any}");
}

#[test]
fn calls_that_come_while_somebody_turns_pages_are_neither_skipped_nor_shown_twice() {
    let scratch = Scratch::new();
    let store = scratch.open();
    journal(&store);
    for search in [
        ExchangeSearch::default(),
        ExchangeSearch { since: Some(at(0)), ..ExchangeSearch::default() },
        ExchangeSearch { order_id: Some("CS1".to_owned()), ..ExchangeSearch::default() },
    ] {
        let before = store.read(|tx| tx.search_exchanges(&search, None, 1000)).unwrap().rows;
        let (found, _) = follow(|after| {
            let piece = store.read(|tx| tx.search_exchanges(&search, after, 10)).unwrap();
            let call = call("CS1", at(100_000), Environment::Real);
            store.write(None, move |tx| tx.insert_exchange(&call)).unwrap();
            piece
        });
        assert_eq!(found, before);
    }
}

/// Fills the journal with so many calls that succeeded, but the first, which failed.
fn fill(store: &Store, calls: i64) {
    store
        .write(None, move |tx| {
            let sql = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
                       INSERT INTO exchange (received_at, duration_us, environment, family, peer, access_key, \
                       request_line, order_id, result_code) SELECT ?2 + n * 100, n % 100, 'real', 'basic-v2', 'p', 'k', \
                       'POST /', 'CS1', CASE n WHEN 1 THEN '000005' ELSE '000000' END FROM number";
            tx.execute("fill", sql, (calls, millis(at(0))))
        })
        .unwrap();
}

#[test]
fn a_rare_call_far_back_is_found_in_steps_each_of_which_is_bounded() {
    let scratch = Scratch::new();
    let store = scratch.open();
    fill(&store, 3 * LOOKED_THROUGH + 500);
    let failed = ExchangeSearch { outcome: Some(Outcome::Failed), ..ExchangeSearch::default() };
    let of_order = ExchangeSearch { order_id: Some("CS1".to_owned()), ..failed.clone() };
    let of_time = ExchangeSearch { since: Some(at(0)), ..failed.clone() };
    for search in [failed, of_order, of_time] {
        let (found, cut) = follow(|after| store.read(|tx| tx.search_exchanges(&search, after, 50)).unwrap());
        assert_eq!((found.len(), found[0].id, cut), (1, 1, 3), "{search:?}");
    }
    // Beside numbers that a restore has left out, or the purge has taken.
    store
        .write(None, |tx| {
            tx.execute("thin out", "UPDATE exchange SET id = id + 5000000 WHERE id > 1000", [])?;
            tx.execute("thin out", "DELETE FROM exchange WHERE id BETWEEN 2 AND 900", [])
        })
        .unwrap();
    let failed = ExchangeSearch { outcome: Some(Outcome::Failed), ..ExchangeSearch::default() };
    let (found, cut) = follow(|after| store.read(|tx| tx.search_exchanges(&failed, after, 50)).unwrap());
    assert_eq!((found.len(), found[0].id), (1, 1));
    assert!(cut <= 4, "{cut}");
}

#[test]
fn the_calls_of_a_time_are_counted_and_looked_at_as_a_sample_that_stands_for_them() {
    let scratch = Scratch::new();
    let store = scratch.open();
    fill(&store, 9_999);
    let few = store.read(|tx| tx.calls_of_time(at(0), at(10))).unwrap();
    assert_eq!((few.calls, few.every, few.sample.len()), (99, 1, 99));
    assert_eq!(few.sample.iter().filter(|call| call.result_code.as_deref() != Some("000000")).count(), 1);
    let many = store.read(|tx| tx.calls_of_time(at(0), at(100_000))).unwrap();
    assert_eq!((many.calls, many.every, many.sample.len()), (9_999, 2, 4_999));
    let none = store.read(|tx| tx.calls_of_time(at(100_000), at(200_000))).unwrap();
    assert_eq!((none.calls, none.every, none.sample.len()), (0, 1, 0));
}

/// So many instances, of which every third has no expiry; every fifth stays in creation.
fn instances(store: &Store, count: i64) {
    store
        .write(None, move |tx| {
            for number in 0..count {
                let id = format!("{}-{number}", if number % 2 == 0 { "a" } else { "%_b" });
                let order = format!("CS{}", number / 4);
                let kind = if number % 7 == 0 { Kind::LicenseCode } else { Kind::Saas };
                let new = NewInstance {
                    environment: Environment::of_test_flag(number % 6 == 0),
                    kind,
                    instance_id: &id,
                    order_id: Some(&order),
                    order_line_id: None,
                    product_id: None,
                    sku_code: None,
                    expire_time: (number % 3 != 0).then(|| at(number % 10)),
                    charging_mode: None,
                    encrypts_credentials: false,
                    terms: None,
                    is_ready: false,
                };
                let row = tx.insert_instance(&new, Cause::default(), at(number))?;
                if number % 5 != 0 {
                    let row = tx.apply(&row, &Change::Ready, Cause::default(), at(number))?;
                    if number % 4 == 0 {
                        tx.apply(&row, &Change::Release, Cause::default(), at(number))?;
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn instances_are_found_by_status_and_expiry_and_by_the_beginning_of_an_id() {
    let scratch = Scratch::new();
    let store = scratch.open();
    instances(&store, 100);
    let all = store.read(|tx| tx.instances(&InstanceFilter::default(), None, 1000)).unwrap();
    let statuses = [None, Some(Status::Creating), Some(Status::Active), Some(Status::Frozen), Some(Status::Released)];
    for text in [None, Some("a-"), Some("a-1"), Some("%_b-3"), Some("CS2"), Some("_"), Some("A-")] {
        for status in statuses {
            for (kind, environment) in
                [(None, None), (Some(Kind::Saas), None), (Some(Kind::LicenseCode), Some(Environment::Real))]
            {
                let search = InstanceSearch { text: text.map(str::to_owned), status, kind, environment };
                let is_meant = |row: &&InstanceRow| {
                    let begins = |text: &str| {
                        row.instance_id.starts_with(text) || row.order_id.as_ref().unwrap().starts_with(text)
                    };
                    text.is_none_or(begins)
                        && status.is_none_or(|status| row.life.status == status)
                        && kind.is_none_or(|kind| row.kind == kind)
                        && environment.is_none_or(|environment| row.environment == environment)
                };
                let mut expected: Vec<_> = all.iter().filter(is_meant).collect();
                if text.is_none() && status.is_some_and(|status| status != Status::Released) {
                    expected.sort_by_key(|row| (row.life.expire_time.is_none(), row.life.expire_time, row.row));
                }
                let expected: Vec<_> = expected.iter().map(|row| row.row).collect();
                for limit in [1, 4, 1000] {
                    let (found, cut) =
                        follow(|after| store.read(|tx| tx.search_instances(&search, after, limit)).unwrap());
                    let found: Vec<_> = found.iter().map(|row| row.row).collect();
                    assert_eq!((&found, cut), (&expected, 0), "{search:?} in pieces of {limit}");
                }
            }
        }
    }
}

/// Jobs of many instances in all states.
fn jobs(tx: &Tx<'_>, count: i64) -> Result<(), StoreError> {
    for number in 0..count {
        let (instance, operation) = create(tx, &format!("CS{number}"))?;
        let task = if number % 2 == 0 { "instance.create" } else { "instance.freeze" };
        let subject = Subject::Operation { instance: instance.row, operation };
        let job = NewJob { subject, task, order: None, event: Some("{}"), change: None };
        let row = tx.insert_job(&job, at(number % 8))?;
        match number % 4 {
            0 => tx.end_job(row, "dead", Some("made up"), at(number))?,
            1 => tx.put_off_job(row, at(100 - number % 9), Some("made up"))?,
            2 => tx.end_job(row, "done", None, at(number))?,
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn jobs_are_listed_by_their_state_and_task() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| jobs(tx, 60)).unwrap();
    let (all, _) = follow(|after| store.read(|tx| tx.list_jobs(JobsShown::All, None, after, 1000)).unwrap());
    assert_eq!(all.len(), 60);
    assert!(all.iter().map(|job| job.row).is_sorted_by(|a, b| a > b));
    for shown in [JobsShown::All, JobsShown::Dead, JobsShown::Waiting, JobsShown::Failing, JobsShown::Running] {
        for task in [None, Some("instance.create"), Some("none")] {
            let is_meant = |job: &&JobRow| {
                let state = match shown {
                    JobsShown::All => true,
                    JobsShown::Dead => job.state == "dead",
                    JobsShown::Waiting => job.state == "waiting",
                    JobsShown::Failing => job.state == "waiting" && job.last_error.is_some(),
                    JobsShown::Running => job.state == "running",
                };
                state && task.is_none_or(|task| job.task == task)
            };
            let mut expected: Vec<_> = all.iter().filter(is_meant).collect();
            if matches!(shown, JobsShown::Waiting | JobsShown::Failing) {
                expected.sort_by_key(|job| (job.run_at, job.row));
            }
            let expected: Vec<_> = expected.iter().map(|job| job.row).collect();
            for limit in [3, 100] {
                let (found, _) = follow(|after| store.read(|tx| tx.list_jobs(shown, task, after, limit)).unwrap());
                let found: Vec<_> = found.iter().map(|job| job.row).collect();
                assert_eq!(found, expected, "{shown:?} {task:?} in pieces of {limit}");
            }
        }
    }
    let counts = store.read(|tx| {
        Ok((tx.count_dead_jobs(None)?, tx.count_dead_jobs(Some("instance.freeze"))?, tx.waiting_jobs_count()?))
    });
    assert_eq!(counts.unwrap(), (15, 0, 30));
}

#[test]
fn the_unused_entries_of_a_stock_are_listed_in_the_order_in_which_they_go() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store
        .write(None, |tx| {
            for number in 0..9 {
                tx.insert_stock("accounts", &StockEntry::Account(access(&format!("p-{number}"))), at(number))?;
            }
            tx.insert_stock("codes", &StockEntry::License(Secret::new("A-1".to_owned())), at(0))?;
            let (instance, _) = create(tx, "CS1")?;
            tx.take_account("accounts", &instance, at(10))
        })
        .unwrap();
    let (lines, _) = follow(|after| store.read(|tx| tx.unused_entries("accounts", after, 3)).unwrap());
    assert_eq!(lines.iter().map(|line| line.row).collect::<Vec<_>>(), (2..=9).collect::<Vec<_>>());
    let entry = |row| store.read(|tx| tx.unused_entry(row)).unwrap();
    assert_eq!(entry(2), Some(("accounts".to_owned(), StockEntry::Account(access("p-1")))));
    assert_eq!(entry(10), Some(("codes".to_owned(), StockEntry::License(Secret::new("A-1".to_owned())))));
    // The first is somebody's: what it holds is shown with the instance.
    assert_eq!((entry(1), entry(11)), (None, None));
    let has = |password| store.read(|tx| tx.has_stock("accounts", &StockEntry::Account(access(password)))).unwrap();
    assert_eq!((has("p-0"), has("p-9")), (true, false));
}

#[test]
fn a_sealed_request_is_opened_and_any_other_is_not() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let ids = store.write(None, |tx| {
        let open = call("CS1", at(0), Environment::Real);
        let sealed = NewExchange { request_sealed: true, request_body: b"{\"m\":1}".to_vec(), ..open.clone() };
        let empty = NewExchange { request_sealed: true, request_body: Vec::new(), ..open.clone() };
        Ok([tx.insert_exchange(&open)?, tx.insert_exchange(&sealed)?, tx.insert_exchange(&empty)?])
    });
    let opened =
        ids.unwrap().map(|id| store.read(|tx| tx.sealed_request(id)).unwrap().map(|body| body.expose().clone()));
    assert_eq!(opened, [None, Some(b"{\"m\":1}".to_vec()), None]);
}

/// Calls every function that has a statement of its own, for the test of the plans.
pub(super) fn run_pages(tx: &Tx<'_>, instance: &InstanceRow, operation: i64) -> Result<(), StoreError> {
    for search in searches() {
        tx.search_exchanges(&search, None, 10)?;
    }
    tx.exchanges_of_operation(operation, None, 10)?;
    tx.sealed_request(1)?;
    tx.calls_of_time(at(0), at(1))?;
    for status in [None, Some(Status::Active), Some(Status::Released)] {
        tx.search_instances(&InstanceSearch { status, ..InstanceSearch::default() }, None, 10)?;
    }
    assert!(!tx.has_too_many_like("i")?);
    tx.each_dead_job(None, |_, _| ())?;
    tx.each_dead_job(Some("instance.create"), |_, _| ())?;
    tx.search_instances(&InstanceSearch { text: Some("i".to_owned()), ..InstanceSearch::default() }, None, 10)?;
    tx.operations_on(instance.row, 10)?;
    tx.operation_line(operation)?;
    for shown in [JobsShown::All, JobsShown::Dead, JobsShown::Waiting, JobsShown::Failing, JobsShown::Running] {
        tx.list_jobs(shown, None, None, 10)?;
    }
    tx.job(1)?;
    tx.count_dead_jobs(None)?;
    tx.count_dead_jobs(Some("instance.create"))?;
    tx.waiting_jobs_count()?;
    tx.dead_jobs_of_tenant(1)?;
    tx.retry_order_query(1, at(0))?;
    tx.restores()?;
    tx.search_licenses(&LicenseSearch::default(), None, 10)?;
    for state in [None, Some(UsageState::Waiting), Some(UsageState::Accepted), Some(UsageState::Rejected)] {
        for instance_id in [None, Some("i-CS1".to_owned())] {
            tx.search_usage(&UsageSearch { state, instance_id }, None, 10)?;
        }
    }
    tx.unused_entries("accounts", None, 10)?;
    tx.unused_entry(1)?;
    tx.has_stock("accounts", &StockEntry::Account(access("q"))).map(drop)
}
