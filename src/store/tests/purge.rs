//! Purging the journal and what was told of tenants.

use super::*;

#[test]
fn old_calls_go_and_test_calls_go_earlier_and_the_journal_still_adds_up() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let purged = store
        .write(None, |tx| {
            for second in 0..10 {
                let environment = if second % 2 == 0 { Environment::Real } else { Environment::Test };
                tx.insert_exchange(&call(&format!("CS{second}"), at(second), environment))?;
            }
            tx.purge_exchanges(at(3), at(8), 500)
        })
        .unwrap();
    assert_eq!(purged, 6);
    let left: Vec<String> =
        store.read(|tx| tx.all("list", "SELECT order_id FROM exchange ORDER BY id", [], |row| row.get(0))).unwrap();
    assert_eq!(left, ["CS4", "CS6", "CS8", "CS9"]);
    assert_eq!(store.read(|tx| snapshot::examine(tx.connection)).unwrap(), Vec::<String>::new());
}

#[test]
fn a_purge_takes_no_more_than_asked_for_and_an_empty_one_writes_nothing() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store
        .write(None, |tx| {
            for _ in 0..7 {
                insert_call(tx, "CS")?;
            }
            Ok(())
        })
        .unwrap();
    let purge = |store: &Store| store.write(None, |tx| tx.purge_exchanges(at(1), at(1), 3)).unwrap();
    assert_eq!([purge(&store), purge(&store), purge(&store)], [3, 3, 1]);
    let version = store.version().unwrap();
    assert_eq!(purge(&store), 0);
    assert_eq!(store.version().unwrap(), version);
    assert_eq!(store.write(None, |tx| insert_call(tx, "CS")).unwrap(), 8, "numbers are never given twice");
}

#[test]
fn what_was_told_of_a_tenant_goes_with_age_unless_a_retry_of_something_before_it_needs_it() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let left = store
        .write(None, |tx| {
            for (tenant, states) in [("t-1", &["done", "done"][..]), ("t-2", &["done", "dead", "done", "waiting"])] {
                let subject = Subject::Tenant(tx.tenant_row(tenant, at(0))?);
                for (second, state) in (1..).zip(states) {
                    let job = NewJob { subject, task: "users.sync", order: None, event: Some("{}"), change: None };
                    let row = tx.insert_job(&job, at(0))?;
                    if *state != "waiting" {
                        tx.end_job(row, state, None, at(second))?;
                    }
                }
            }
            assert_eq!([tx.purge_tenant_jobs(at(2), 1)?, tx.purge_tenant_jobs(at(2), 500)?], [1, 1]);
            let left =
                "SELECT tenant_id || ' ' || state FROM job JOIN tenant ON tenant.id = job.tenant ORDER BY job.id";
            let young: Vec<String> = tx.all("list", left, [], |row| row.get(0))?;
            assert_eq!(young, ["t-1 done", "t-2 dead", "t-2 done", "t-2 waiting"]);
            // Revived and dead again, later than what follows it.
            let dead = tx.first("find", "SELECT id FROM job WHERE state = 'dead'", [], |row| row.get(0))?.unwrap();
            tx.end_job(dead, "dead", None, at(50))?;
            assert_eq!(tx.purge_tenant_jobs(at(50), 500)?, 1);
            let needed: Vec<String> = tx.all("list", left, [], |row| row.get(0))?;
            assert_eq!(needed, ["t-2 dead", "t-2 done", "t-2 waiting"]);
            tx.purge_tenant_jobs(at(51), 500)?;
            tx.all("list", left, [], |row| row.get::<_, String>(0))
        })
        .unwrap();
    assert_eq!(left, ["t-2 waiting"]);
}
