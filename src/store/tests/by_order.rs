//! The calls of an order: what a listing finds is what names it, whichever way a row is found, and repeats cost no index.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::store::pages::{ExchangeSearch, LOOKED_THROUGH, Next, Outcome};

/// A call of an operation: a first one or a repeat.
pub(super) fn of(operation: i64, replayed: bool, difference: Option<&str>) -> Answered<'static> {
    Answered {
        operation: Some(operation),
        instance_id: None,
        result_code: "000000",
        answer: None,
        replayed,
        difference: difference.map(str::to_owned),
        duration_us: 1,
    }
}

/// A call that belongs to none.
pub(super) fn of_none() -> Answered<'static> {
    Answered { operation: None, result_code: "000002", ..of(0, false, None) }
}

pub(super) fn on(order: Option<&str>) -> NewExchange {
    NewExchange { order_id: order.map(str::to_owned), ..call("", at(0), Environment::Real) }
}

/// An operation begun by a call with this number, which names this order.
pub(super) fn begin(
    tx: &Tx<'_>,
    instance: i64,
    name: &str,
    first: i64,
    order: Option<&str>,
) -> Result<i64, StoreError> {
    let new = NewOperation {
        identity: &Identity::new(Environment::Real, Kind::Saas, "renew", [name]),
        operation_id: name.to_owned(),
        instance,
        state: State::Done,
        content_digest: [0; 16],
        first_exchange: first,
        order_id: order,
    };
    tx.insert_operation(&new, at(0))
}

/// What both listings find of an order, an instance, or both, in pieces of this size; each in its order, newest first.
pub(super) fn found(
    tx: &Tx<'_>,
    order: Option<&str>,
    instance: Option<&str>,
    limit: i64,
) -> Result<[Vec<i64>; 2], StoreError> {
    let (order_id, instance_id) = (order.map(str::to_owned), instance.map(str::to_owned));
    let mut filter = ExchangeFilter { order_id, instance_id, ..ExchangeFilter::default() };
    let (order_id, instance_id) = (filter.order_id.clone(), filter.instance_id.clone());
    let search = ExchangeSearch { order_id, instance_id, ..ExchangeSearch::default() };
    let mut listed = Vec::new();
    loop {
        let rows = tx.exchanges(&filter, limit)?;
        listed.extend(rows.iter().map(|row| row.id));
        let Some(last) = rows.last() else { break };
        filter.after = Some((last.received_at, last.id));
    }
    let (mut searched, mut place) = (Vec::new(), None);
    loop {
        let piece = tx.search_exchanges(&search, place, limit)?;
        searched.extend(piece.rows.iter().map(|line| line.id));
        place = match piece.next {
            Next::End => return Ok([listed, searched]),
            Next::More(next) | Next::Further(next) => Some(next),
        };
    }
}

/// What is there of an order, by a look at every row.
fn there(tx: &Tx<'_>, order: &str, instance: Option<&str>) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT id FROM exchange NOT INDEXED WHERE order_id = ?1 AND (?2 IS NULL OR instance_id = ?2) \
               ORDER BY id DESC";
    tx.all("list", sql, (order, instance), |row| row.get(0))
}

#[track_caller]
fn check(tx: &Tx<'_>, order: &str, instance: Option<&str>) {
    let expected = there(tx, order, instance).unwrap();
    for limit in [1, 2, 1000] {
        let found = found(tx, Some(order), instance, limit).unwrap();
        assert_eq!(found, [expected.clone(), expected.clone()], "{order} {instance:?} in pieces of {limit}");
    }
}

/// Both listings of an order find what is there.
#[track_caller]
pub(super) fn check_in(store: &Store, order: &str) {
    let order = order.to_owned();
    store
        .read(move |tx| {
            check(tx, &order, None);
            Ok(())
        })
        .unwrap();
}

/// A repeat of an operation that names this order.
pub(super) fn repeat(tx: &Tx<'_>, order: &str, operation: i64) -> Result<i64, StoreError> {
    tx.insert_answered_exchange(&on(Some(order)), &of(operation, true, None))
}

/// The numbers in the index of orders.
fn indexed(tx: &Tx<'_>) -> BTreeSet<i64> {
    let sql =
        "SELECT id FROM exchange INDEXED BY exchange_by_order WHERE order_id IS NOT NULL AND through_operation = 0";
    tx.all("list", sql, [], |row| row.get(0)).unwrap().into_iter().collect()
}

#[test]
fn every_call_that_names_an_order_is_listed_once_whatever_became_of_it() {
    let scratch = Scratch::new();
    scratch
        .open()
        .write(None, |tx| {
            // Begins to wait, before there is an operation, and is answered later.
            let (instance, creation) = create(tx, "CS1")?;
            tx.answer_exchange(1, &of(creation, false, None))?;
            let plain = tx.insert_answered_exchange(&on(Some("CS1")), &of(creation, true, None))?;
            let mut named = on(Some("CS1"));
            named.instance_id = Some(instance.instance_id.clone());
            let named = tx.insert_answered_exchange(&named, &of(creation, true, None))?;
            let differs = Some(r#"{"orderId":["CS1","CS2"]}"#);
            let other = tx.insert_answered_exchange(&on(Some("CS2")), &of(creation, true, differs))?;
            // While an operation is open or fails, nobody says how its calls differ.
            let unsaid = tx.insert_answered_exchange(&on(Some("CS2")), &of(creation, false, None))?;
            let refused = tx.insert_answered_exchange(&on(Some("CS1")), &of_none())?;
            let waiting = tx.insert_exchange(&on(Some("CS1")))?;
            tx.insert_answered_exchange(&on(None), &of(creation, true, Some("{}")))?;
            // Done at once: the first call is recorded after its operation.
            let at_once = begin(tx, instance.row, "a", tx.next_exchange()?, Some("CS2"))?;
            let first = tx.insert_answered_exchange(&on(Some("CS2")), &of(at_once, false, None))?;
            // Begun by a call that names no order, and taken over without a call.
            let nameless = begin(tx, instance.row, "b", tx.next_exchange()?, None)?;
            tx.insert_answered_exchange(&on(None), &of(nameless, false, None))?;
            let late = tx.insert_answered_exchange(&on(Some("CS2")), &of(nameless, true, Some("{}")))?;
            let taken_over = begin(tx, instance.row, "c", 0, Some("CS2"))?;
            let retried = tx.insert_answered_exchange(&on(Some("CS2")), &of(taken_over, true, None))?;
            let strange = tx.insert_answered_exchange(&on(Some("CS1")), &of(taken_over, true, None))?;

            assert_eq!(indexed(tx), BTreeSet::from([1, other, unsaid, refused, waiting, late, strange]));
            assert_eq!(there(tx, "CS1", None)?, [strange, waiting, refused, named, plain, 1]);
            assert_eq!(there(tx, "CS2", None)?, [retried, late, first, unsaid, other]);
            for order in ["CS1", "CS2", "CS3", ""] {
                check(tx, order, None);
                check(tx, order, Some(&instance.instance_id));
            }
            // The first call of the creation goes, what repeated it stays; a repeat comes after that.
            tx.execute("age", "UPDATE exchange SET received_at = received_at - 1000 WHERE id = 1", [])?;
            assert_eq!(tx.purge_exchanges(at(0), at(0), 10)?, 1);
            let again = tx.insert_answered_exchange(&on(Some("CS1")), &of(creation, true, None))?;
            assert_eq!(there(tx, "CS1", None)?, [again, strange, waiting, refused, named, plain]);
            check(tx, "CS1", None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_repeat_of_the_same_order_is_in_no_index_of_orders() {
    let scratch = Scratch::new();
    scratch
        .open()
        .write(None, |tx| {
            let (_, creation) = create(tx, "CS1")?;
            for _ in 0..100 {
                tx.insert_answered_exchange(&on(Some("CS1")), &of(creation, true, None))?;
            }
            assert_eq!(indexed(tx), BTreeSet::from([1]));
            check(tx, "CS1", None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_rare_call_among_very_many_repeats_is_found_in_bounded_steps() {
    let scratch = Scratch::new();
    scratch
        .open()
        .write(None, |tx| {
            let (instance, creation) = create(tx, "CS1")?;
            let renewal = begin(tx, instance.row, "a", 0, Some("CS1"))?;
            // Of both operations and of none, by turns; only the very first call has failed.
            let sql = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
                       INSERT INTO exchange (received_at, environment, family, peer, access_key, request_line, order_id, \
                       operation, result_code, through_operation) SELECT ?2 + n, 'real', 'basic-v2', 'p', 'k', 'POST /', \
                       'CS1', CASE n % 3 WHEN 1 THEN ?3 WHEN 2 THEN ?4 END, CASE n WHEN 0 THEN '000005' ELSE '000000' END, \
                       n % 3 > 0 FROM number";
            tx.execute("fill", sql, (2 * LOOKED_THROUGH + 500, millis(at(0)), creation, renewal))?;
            let outcome = Some(Outcome::Failed);
            let search = ExchangeSearch { order_id: Some("CS1".to_owned()), outcome, ..ExchangeSearch::default() };
            let (mut place, mut found, mut steps) = (None, Vec::new(), 0);
            loop {
                let piece = tx.search_exchanges(&search, place, 50)?;
                found.extend(piece.rows.iter().map(|line| line.id));
                steps += 1;
                place = match piece.next {
                    Next::End => break,
                    Next::More(next) | Next::Further(next) => Some(next),
                };
            }
            assert_eq!((found, steps), (vec![2], 3));
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_file_itself_refuses_a_row_that_would_be_found_nowhere() {
    let scratch = Scratch::new();
    scratch
        .open()
        .write(None, |tx| {
            let (_, creation) = create(tx, "CS1")?;
            let id = tx.insert_answered_exchange(&on(Some("CS1")), &of(creation, true, None))?;
            for lost in ["operation = NULL", "order_id = NULL", "through_operation = 2"] {
                let sql = format!("UPDATE exchange SET {lost} WHERE id = ?1");
                assert!(tx.execute("lose", &sql, [id]).is_err(), "{lost}");
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_by_order_finds_what_a_look_at_every_row_finds(
        begun_by in prop::collection::vec(0..4_usize, 3),
        // The order it names, its operation, whether it waits, is a repeat, differs.
        calls in prop::collection::vec((0..4_usize, 0..4_usize, any::<bool>(), any::<bool>(), any::<bool>()), 0..40),
        purged in 0..20_i64,
    ) {
        const ORDERS: [Option<&str>; 4] = [None, Some("CS0"), Some("CS1"), Some("CS2")];
        let scratch = Scratch::new();
        let record = move |tx: &Tx<'_>| {
            let (instance, _) = create(tx, "CS0")?;
            let begin = |(at, order): (usize, &usize)| begin(tx, instance.row, &at.to_string(), 0, ORDERS[*order]);
            let operations = begun_by.iter().enumerate().map(begin).collect::<Result<Vec<_>, _>>()?;
            for &(order, operation, waits, replayed, differs) in &calls {
                let mut new = on(ORDERS[order]);
                new.instance_id = differs.then(|| instance.instance_id.clone());
                let answered = match operations.get(operation) {
                    Some(operation) => of(*operation, replayed, (replayed && differs).then_some("{}")),
                    None => of_none(),
                };
                if waits {
                    let id = tx.insert_exchange(&new)?;
                    tx.answer_exchange(id, &answered)?;
                } else {
                    tx.insert_answered_exchange(&new, &answered)?;
                }
            }
            tx.execute("purge", "DELETE FROM exchange WHERE id <= ?1", [purged])?;
            for order in ORDERS.into_iter().flatten() {
                check(tx, order, None);
                check(tx, order, Some(&instance.instance_id));
            }
            Ok(())
        };
        scratch.open().write(None, record).unwrap();
    }
}
