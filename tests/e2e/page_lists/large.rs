//! A database that has grown: every page answers, and a filter without an index goes back in bounded steps. That no statement
//! walks a table is held by the plans of the store's own tests.

use rusqlite::Connection;

use super::{next_of, page, row_names, sections};
use crate::harness::{KEY, Scratch};
use crate::page::visitor::Visitor;
use crate::shop::FIXED;

/// Rows that a merchant has after years, by SQL: calls of which only the first failed, instances, jobs, usage.
const FILL: &str = "
PRAGMA synchronous = OFF;
BEGIN;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
INSERT INTO instance (environment, kind, instance_id, status, order_id, expire_time, front_end_url, created_at)
SELECT 'real', 'saas', printf('i-%05d', n), CASE n % 10 WHEN 0 THEN 'frozen' ELSE 'active' END, 'CS' || n, 1800000000000 + n, 'https://a', n FROM n;
INSERT INTO operation (identity, operation_id, instance, state, content_digest, first_exchange, created_at, order_id)
SELECT 'o' || id, 'o' || id, id, 'done', x'00', id, id, order_id FROM instance ORDER BY id;
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 150000)
INSERT INTO exchange (received_at, duration_us, environment, family, activity, peer, access_key, request_line, request_body, order_id, result_code, operation, through_operation)
SELECT 1700000000000 + n * 1000, n % 1000, 'real', 'basic-v2', 'newInstance', 'p', 'k', 'POST /', x'7b7d', 'CS' || (1 + n % 20000), CASE n WHEN 1 THEN '000005' ELSE '000000' END, 1 + n % 20000, 1 FROM n;
INSERT INTO job (instance, operation, state, task, event_sealed, run_at, created_at, finished_at, last_error)
SELECT id, id, CASE id % 20 WHEN 0 THEN 'dead' ELSE 'done' END, 'instance.create', x'00', id, id, id, 'made up' FROM instance;
INSERT INTO usage_record (metering_sn, instance, begin_time, end_time, record_time, usage_value, state, due_at, finished_at)
SELECT 'sn' || id, id, 1700000000000 + id, 1700000000000 + id, 1700000000000 + id, '1', 'accepted', 0, id FROM instance;
COMMIT;
";

#[test]
fn a_database_that_has_grown_is_shown_as_a_small_one_is() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), FIXED);
    scratch.serve().stop();
    let database = Connection::open(scratch.path("koogate.db")).unwrap();
    database.execute_batch(FILL).unwrap();
    drop(database);
    let koogate = scratch.serve();
    let mut visitor = Visitor::logged_in(&koogate);
    for (target, rows) in [
        ("/exchanges", 50),
        ("/exchanges?order=CS77", 8),
        ("/exchanges?instance=i-00077", 8),
        ("/exchanges?since=2023-11-15T06%3A14&until=2023-11-15T06%3A15", 50),
        ("/instances", 50),
        ("/instances?status=active", 50),
        ("/instances?text=i-0007", 10),
        ("/jobs", 50),
        ("/jobs?state=all&task=instance.create", 50),
        ("/usage", 50),
        ("/usage?instance=i-00077", 1),
        ("/usage?state=accepted", 50),
    ] {
        assert_eq!(row_names(&page(&mut visitor, target)).len(), rows, "{target}");
    }
    page(&mut visitor, "/traffic");
    // The one that failed is the oldest of all: found in steps.
    let (mut target, mut steps) = ("/exchanges?result=failed".to_owned(), 0);
    let found = loop {
        let html = page(&mut visitor, &target);
        match row_names(&html) {
            rows if !rows.is_empty() => break rows,
            _ => target = next_of(&html).expect("a link that leads further back"),
        }
        assert!(html.contains("20,000 records were looked through"), "{html}");
        steps += 1;
    };
    assert_eq!((found, steps), (vec!["1".to_owned()], 7));
}
