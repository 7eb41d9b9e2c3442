//! The journal: filter, pieces, detail, duplicates, what was refused, and the export.

use rusqlite::Connection;
use serde_json::json;

use super::{bare, confirm, next_of, page, row_names, sections};
use crate::harness::{Application, KEY, Scratch, instance_call, new_instance, query, status_change, text};
use crate::page::visitor::Visitor;
use crate::shop::{FIXED, Shop, look_up};

#[test]
fn every_list_shows_what_real_calls_have_made() {
    let shop = Shop::with(Application::ready(), &sections(), "");
    let id = shop.buy("CS/1 云%");
    shop.expect("000000", &status_change(&id, "FREEZE"));
    shop.expect("000003", &query("nobody's"));
    let mut visitor = Visitor::logged_in(&shop.koogate);
    let journal = page(&mut visitor, "/exchanges");
    for shown in ["newInstance", "updateInstanceStatus", "000003", "CS/1 云%", "/exchanges?order=CS%2F1%20%E4%BA%91%25"]
    {
        assert!(journal.contains(shown), "{shown}: {journal}");
    }
    let instances = page(&mut visitor, "/instances?status=frozen");
    assert_eq!(row_names(&instances), std::slice::from_ref(&id));
    let detail = page(&mut visitor, "/instances/1");
    for shown in [id.as_str(), "instance.create", "instance.freeze", "https://app.example.com/", "frozen"] {
        assert!(detail.contains(shown), "{shown}: {detail}");
    }
    assert!(!detail.contains("p-1"), "the password is not shown: {detail}");
    for (target, shown) in [
        ("/jobs?state=all", "instance.freeze"),
        ("/jobs", "There is no job."),
        ("/refused", "None was refused since the start."),
        ("/licenses", "No licence is like this."),
        ("/orders", "No order is kept."),
        ("/stock", "There is no stock"),
        ("/tenants", "There is no tenant."),
        ("/usage", "No record is like this."),
        ("/traffic", "3 calls, 1 of them failed."),
    ] {
        let html = page(&mut visitor, target);
        assert!(html.contains(shown), "{target}: {shown}: {html}");
    }
    // Ids hold anything: each link leads to what it names.
    let of_order = page(&mut visitor, "/exchanges?order=CS%2F1%20%E4%BA%91%25");
    assert_eq!(row_names(&of_order), ["1"]);
    assert_eq!(row_names(&page(&mut visitor, "/instances?text=CS%2F1%20%E4%BA%91%25")), [id]);
    assert_eq!(row_names(&page(&mut visitor, "/instances?text=%25")), Vec::<String>::new());
}

#[test]
fn a_duplicate_tells_the_first_call_and_what_differs_even_when_the_first_is_purged() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), FIXED);
    let koogate = scratch.serve();
    let first = new_instance("CS1");
    assert_eq!(koogate.call(&first).code(), "000000");
    let mut same = first.clone();
    same["businessId"] = "b-2".into();
    koogate.call(&same);
    let mut other = first.clone();
    other["orderLineId"] = first["orderLineId"].clone();
    other["customerName"] = "<b>云</b>".into();
    koogate.call(&other);
    let mut visitor = Visitor::logged_in(&koogate);
    let second = page(&mut visitor, "/exchanges/2");
    assert!(second.contains("Why it was a duplicate") && second.contains("href=\"/exchanges/1\""), "{second}");
    assert!(second.contains("Its content is that of the first call."), "{second}");
    let third = page(&mut visitor, "/exchanges/3");
    for shown in ["<bdi>customerName</bdi>", "&lt;b&gt;云&lt;/b&gt;", "Members that differ"] {
        assert!(third.contains(shown), "{shown}: {third}");
    }
    // All calls of the operation are listed with each.
    assert!(["1", "2", "3"].iter().all(|id| second.contains(&format!("href=\"/exchanges/{id}\""))));
    koogate.stop();
    let database = Connection::open(scratch.path("koogate.db")).unwrap();
    database.execute_batch("DELETE FROM exchange WHERE id = 1; UPDATE meta SET exchanges_purged = 1;").unwrap();
    drop(database);
    let koogate = scratch.serve();
    let mut visitor = Visitor::logged_in(&koogate);
    let second = page(&mut visitor, "/exchanges/2");
    assert!(bare(&second).contains("purged since"), "{second}");
    assert_eq!(visitor.get("/exchanges/1").status, 404);
    assert_eq!(visitor.get("/exchanges/none").status, 404);
}

#[test]
fn pieces_and_filters_show_each_call_once_while_calls_arrive() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), FIXED);
    let koogate = scratch.serve();
    for number in 0..120 {
        // Every third is about what nobody knows, and is answered 000003.
        let body = if number % 3 == 0 { query("none") } else { new_instance(&format!("CS{number}")) };
        koogate.call(&body);
    }
    let mut visitor = Visitor::logged_in(&koogate);
    for (filter, expected) in
        [("", 120), ("?result=failed", 40), ("?result=000000", 80), ("?environment=real&since=2020-01-01T00%3A00", 120)]
    {
        let (mut target, mut seen) = (format!("/exchanges{filter}"), Vec::new());
        loop {
            let html = page(&mut visitor, &target);
            seen.extend(row_names(&html));
            koogate.call(&new_instance("CSlater"));
            match next_of(&html) {
                Some(next) => target = next,
                None => break,
            }
        }
        let old: Vec<i64> = seen.iter().map(|id| id.parse().unwrap()).filter(|id| *id <= 120).collect();
        assert!(old.is_sorted_by(|a, b| a > b), "{filter}: {old:?}");
        assert_eq!(old.len(), expected, "{filter}");
    }
    assert_eq!(row_names(&page(&mut visitor, "/exchanges?order=CS1")).len(), 1);
    assert!(row_names(&page(&mut visitor, "/exchanges?until=2020-01-01T00%3A00")).is_empty());
    for wrong in ["?after=nonsense", "?since=yesterday", "?environment=other", "?order=a&order=b", "?unknown=1"] {
        assert_eq!(visitor.get(&format!("/exchanges{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn what_was_never_answered_and_what_a_restore_has_lost_are_shown() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), FIXED);
    let koogate = scratch.serve();
    koogate.call(&new_instance("CS1"));
    koogate.stop();
    let database = Connection::open(scratch.path("koogate.db")).unwrap();
    database
        .execute_batch(
            "INSERT INTO restore (restored_at, last_exchange, skipped) VALUES (1790000000000, 1, 1000000); \
             INSERT INTO exchange (id, received_at, environment, family, peer, access_key, request_line, request_body) \
             VALUES (1000002, CAST(strftime('%s', 'now') AS INTEGER) * 1000, 'test', 'basic-v2', '127.0.0.1', 'k', 'POST /<x>?authToken=zzz', x'ff00');",
        )
        .unwrap();
    drop(database);
    let koogate = scratch.serve();
    let mut visitor = Visitor::logged_in(&koogate);
    let journal = page(&mut visitor, "/exchanges");
    assert_eq!(row_names(&journal), ["1000002", "1"]);
    // A filter without an index looks beyond the numbers that were left out.
    assert_eq!(row_names(&page(&mut visitor, "/exchanges?family=basic-v2")), ["1000002", "1"]);
    assert!(journal.contains("A gap that a restore has left") && journal.contains("no answer"), "{journal}");
    let detail = page(&mut visitor, "/exchanges/1000002");
    assert!(detail.contains("There was no answer") && detail.contains("POST /&lt;x&gt;?authToken=***"), "{detail}");
    assert_eq!(row_names(&page(&mut visitor, "/exchanges?result=unanswered")), ["1000002"]);
    assert_eq!(row_names(&page(&mut visitor, "/exchanges?environment=test")), ["1000002"]);
    // Between calls that stand on one side of it there is no gap.
    assert!(!page(&mut visitor, "/exchanges?environment=test").contains("A gap"), "{journal}");
}

#[test]
fn what_was_refused_has_its_class_and_what_to_do() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), FIXED);
    let koogate = scratch.serve();
    let _ = koogate.try_call("99999999-2222-3333-4444-555555555555", &new_instance("CS1")).unwrap();
    let mut visitor = Visitor::logged_in(&koogate);
    let refused = page(&mut visitor, "/refused");
    for shown in
        ["127.0.0.1", ">signature<", "the signature fits none of the configured access keys", "The access keys differ"]
    {
        assert!(refused.contains(shown), "{shown}: {refused}");
    }
    assert!(row_names(&page(&mut visitor, "/exchanges")).is_empty(), "what is refused is not in the journal");
}

#[test]
fn an_export_has_the_filters_calls_is_recorded_and_holds_no_formula() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), FIXED);
    let koogate = scratch.serve();
    koogate.call(&new_instance("=1+1"));
    koogate.call(&new_instance("CS2"));
    koogate.call(&instance_call("queryInstance", "none", json!({})));
    let mut visitor = Visitor::logged_in(&koogate);
    let answer = confirm(&mut visitor, "/export/exchanges?result=000000", "/export/exchanges", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Content-Type"), Some("text/csv; charset=utf-8"));
    assert!(answer.header("Content-Disposition").unwrap().starts_with("attachment; filename=\"koogate-exchanges-"));
    let sheet = text(&answer.body);
    let mut lines = sheet.lines();
    assert!(lines.next().unwrap().starts_with("\u{feff}id,receivedAt,"), "{sheet}");
    assert!(lines.next().unwrap().starts_with("2,"), "{sheet}");
    assert!(lines.next().unwrap().contains(",'=1+1,"), "{sheet}");
    assert_eq!(lines.next(), None, "{sheet}");
    assert_eq!(visitor.post("/export/exchanges", &[]).status, 403, "only with the form's token");
    let recorded: String = look_up(&scratch, "SELECT action || ' ' || subject || ' ' || detail FROM operator_action");
    assert_eq!(recorded, "export exchanges ?result=000000");
}
