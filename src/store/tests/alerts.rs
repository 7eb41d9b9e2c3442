//! What stands wrong, and what is kept of alerts.

use super::*;
use crate::alert::beijing;
use crate::alert::standing::{FailedOrders, Standing, StandingQuery};
use crate::protocol::result_code::ResultCode;
use crate::store::{AlertRow, ToldRow, WebhookRow};

fn query(now: Timestamp) -> StandingQuery {
    StandingQuery::new(now, vec!["accounts".to_owned()])
}

/// Every statement of alerts once.
pub(super) fn run_alerts(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.standing(&query(at(0)))?;
    tx.count_test_call(7, true, at(0))?;
    tx.count_test_call(7, false, at(1))?;
    tx.purge_test_call_calendar(7)?;
    tx.restore_looked_at(at(0))?;
    let alert = AlertRow {
        row: 0,
        kind: "job-dead".to_owned(),
        subject: "1".to_owned(),
        alarm: "{}".to_owned(),
        since: at(0),
        last_met: at(0),
        times: 1,
        ended_at: None,
    };
    let row = tx.insert_alert(&alert)?;
    assert_eq!(tx.insert_alert(&alert)?, row, "it stands once");
    let alert = AlertRow { row, ended_at: Some(at(2)), ..alert };
    assert_eq!(tx.standing_alerts(10)?.len(), 1);
    tx.update_alert(&alert)?;
    assert_eq!(tx.standing_alerts(10)?, []);
    assert_eq!(tx.ended_alerts(at(0), 10)?, [alert]);
    let told = ToldRow { alert: row, webhook: "w".to_owned(), told_at: at(1), times: 1, end_told: false };
    tx.put_told(&told)?;
    let told = ToldRow { times: 2, end_told: true, ..told };
    tx.put_told(&told)?;
    assert_eq!(tx.told_of_alert(row)?, [told]);
    let webhook = WebhookRow {
        webhook: "w".to_owned(),
        kind: "generic".to_owned(),
        delivered_at: None,
        failing_since: Some(at(0)),
        failures: 1,
        not_before: Some(at(60)),
        last_error: Some("no".to_owned()),
    };
    tx.put_alert_webhook(&webhook)?;
    assert_eq!(tx.alert_webhooks()?, [webhook]);
    tx.keep_alert_webhooks(&[])?;
    assert_eq!(tx.alert_webhooks()?, []);
    assert_eq!(tx.purge_alerts(at(3), 10)?, 1);
    tx.add_operator_action("127.0.0.1", "retry", "i-1", None, at(0))?;
    assert_eq!(tx.operator_actions(None, 10)?.len(), 1);
    assert_eq!(tx.purge_operator_actions(at(1), 10)?, 1);
    Ok(())
}

#[test]
fn an_order_is_open_for_three_hours_and_has_failed_from_then_on() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| create(tx, "CS1").map(drop)).unwrap();
    let standing = |seconds| -> Standing { store.read(|tx| tx.standing(&query(at(seconds)))).unwrap() };
    let hours = 3600;
    let open = standing(3 * hours - 1).open_orders;
    assert_eq!((open.len(), open[0].refund_at), (1, at(3 * hours)));
    let failed = [FailedOrders { product_id: None, count: 1 }];
    assert_eq!((standing(3 * hours - 1).failed_orders, standing(3 * hours).open_orders), (vec![], vec![]));
    assert_eq!(standing(3 * hours).failed_orders, failed);
    assert_eq!(standing(40 * 86_400).failed_orders, [], "another month");
    // Done, but too late: KooGallery has refunded it. Done in time: it never happened.
    let done = |operation, seconds| {
        let success = Some((ResultCode::SUCCESS, "success"));
        store.write(None, move |tx| tx.set_operation(operation, State::Done, success, at(seconds))).unwrap();
    };
    done(1, 3 * hours + 1);
    assert_eq!(standing(4 * hours).failed_orders, failed);
    let second = store.write(None, |tx| Ok(create(tx, "CS2")?.1)).unwrap();
    assert_eq!(standing(4 * hours).failed_orders[0].count, 2);
    done(second, 3 * hours);
    assert_eq!(standing(4 * hours).failed_orders, failed);
}

#[test]
fn test_calls_are_counted_in_half_days_and_are_no_orders() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let half = beijing::half_day(at(0));
    store
        .write(None, move |tx| {
            tx.count_test_call(half, false, at(0))?;
            tx.count_test_call(half, true, at(5))?;
            tx.count_test_call(half + 1, false, at(9))
        })
        .unwrap();
    let calls = store.read(|tx| tx.test_call_calendar(half)).unwrap();
    let told: Vec<_> = calls.iter().map(|day| (day.half_day - half, day.calls, day.failures, day.last)).collect();
    assert_eq!(told, [(0, 2, 1, at(5)), (1, 1, 0, at(9))]);
}
