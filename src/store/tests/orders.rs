//! Orders that KooGallery told, and jobs that read one first.

use serde_json::{Value, json};

use super::*;
use crate::protocol::open_api::order::Order;

fn info(order: &str, order_type: &str) -> Value {
    json!({
        "orderId": order, "orderType": order_type, "createTime": "20220726064736",
        "buyerInfo": { "mobilePhone": "13800138000" },
    })
}

fn read(info: &Value) -> Order {
    Order::read(Some(info), info["orderId"].as_str().unwrap()).unwrap()
}

fn wanted(order: &str) -> OrderWanted {
    OrderWanted { order_id: order.to_owned(), order_line_id: Some("1".to_owned()), product_id: None }
}

/// Calls every function about orders that has a statement of its own.
pub(super) fn run_orders(tx: &Tx<'_>) -> Result<(), StoreError> {
    let (instance, operation) = create(tx, "CS9")?;
    let info = info("CS9", "NEW");
    tx.put_order(&read(&info), &info, at(0))?;
    tx.order("CS9")?;
    tx.orders(None, 10)?;
    let (subject, order) = (Subject::Order, Some(wanted("CS9")));
    let alone = tx.insert_job(&NewJob { subject, task: ORDER_QUERY, order, event: None, change: None }, at(0))?;
    assert!(tx.is_order_announced("CS9")?);
    tx.remove_job(alone)?;
    assert!(!tx.is_order_announced("CS9")?);
    tx.is_order_read_since("CS9", operation, at(0))?;
    tx.hasten_order_jobs(at(0))?;
    let product_id = Some("P1".to_owned());
    tx.describe(&instance, Described { product_id, ..Described::default() }, Cause::default(), at(0))?;
    let subject = Subject::Operation { instance: instance.row, operation };
    let (task, order) = ("instance.upgrade", Some(wanted("CS9")));
    tx.insert_job(&NewJob { subject, task, order, event: Some("{}"), change: None }, at(0))?;
    let job = tx.claim_jobs(at(1), at(60), 10)?.remove(0);
    tx.set_order_read(&job, "{}", None)?;
    tx.end_job(job.row, "done", None, at(1))?;
    tx.orders_told_before(instance.row, job.row + 1)?;
    assert_eq!([tx.purge_orders(at(0), 10)?, tx.purge_orders(at(1), 10)?], [0, 1]);
    tx.remove_job(job.row)
}

#[test]
fn the_newest_word_about_an_order_is_kept_and_stands_in_no_file_in_the_clear() {
    let scratch = Scratch::new();
    let store = scratch.open();
    for (order_type, second) in [("TRIAL", 1), ("NEW", 2)] {
        let info = info("CS1", order_type);
        store.write(None, move |tx| tx.put_order(&read(&info), &info, at(second))).unwrap();
    }
    let (row, kept) = store.read(|tx| tx.order("CS1")).unwrap().unwrap();
    assert_eq!((row.order_type.as_deref(), row.fetched_at), (Some("NEW"), at(2)));
    assert_eq!(kept, info("CS1", "NEW"));
    assert_eq!(store.read(|tx| tx.orders(None, 10)).unwrap(), [row]);
    assert_eq!(store.read(|tx| tx.order("CS2")).unwrap(), None);
    store.close().unwrap();
    let file = std::fs::read(scratch.path("koogate.db")).unwrap();
    assert!(!file.windows(11).any(|window| window == b"13800138000"));
}

#[test]
fn jobs_that_wait_for_an_order_can_be_made_due_and_the_others_stay_put_off() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let waiting = store
        .write(None, |tx| {
            for (name, order) in [("CS1", None), ("CS2", Some(wanted("CS2")))] {
                let (instance, operation) = create(tx, name)?;
                let subject = Subject::Operation { instance: instance.row, operation };
                let new = NewJob { subject, task: "instance.create", order, event: Some("{}"), change: None };
                tx.insert_job(&new, at(0))?;
            }
            for job in tx.claim_jobs(at(0), at(60), 10)? {
                tx.postpone_job(job.row, at(3600), "the key is wrong")?;
            }
            assert_eq!(tx.hasten_order_jobs(at(5))?, 1);
            tx.claim_jobs(at(5), at(60), 10)
        })
        .unwrap();
    let orders: Vec<_> = waiting.into_iter().map(|job| job.order).collect();
    assert_eq!(orders, [Some(wanted("CS2"))]);
}

#[test]
fn an_order_describes_an_instance_once_and_leaves_a_date_that_is_known() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let history = store
        .write(None, |tx| {
            let (instance, _) = create(tx, "CS1")?;
            let told = |end| Described {
                product_id: Some("P1".to_owned()),
                sku_code: None,
                charging_mode: Some("PERIOD".to_owned()),
                expire_time: Some(at(end)),
            };
            let once = tx.describe(&instance, told(10), Cause::default(), at(1))?;
            let twice = tx.describe(&once, told(20), Cause::default(), at(2))?;
            assert_eq!(twice.life.expire_time, Some(at(10)));
            let stored = tx.instance_by_row(instance.row)?.unwrap();
            assert_eq!((&stored.life, stored.charging_mode.as_deref()), (&twice.life, Some("PERIOD")));
            tx.history(instance.row)
        })
        .unwrap();
    let words: Vec<_> = history.iter().map(|entry| entry.change.as_str()).collect();
    assert_eq!(words, ["created", "described"]);
}

#[test]
fn an_order_that_is_told_after_all_ends_the_dead_job_of_its_announcement() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let announce = |id: &'static str| {
        let add = move |tx: &Tx<'_>| {
            let order = Some(wanted(id));
            let new = NewJob { subject: Subject::Order, task: ORDER_QUERY, order, event: None, change: None };
            let job = tx.insert_job(&new, at(0))?;
            tx.end_job(job, "dead", Some("no"), at(1))
        };
        store.write(None, add).unwrap();
    };
    ["CS1", "CS2"].into_iter().for_each(announce);
    assert_eq!(store.read(|tx| tx.troubled_jobs()).unwrap(), (2, 0));
    let info = info("CS1", "NEW");
    store.write(None, move |tx| tx.put_order(&read(&info), &info, at(2))).unwrap();
    assert_eq!(store.read(|tx| tx.troubled_jobs()).unwrap(), (1, 0));
}
