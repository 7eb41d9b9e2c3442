//! Calls are found in whichever stretch of the journal they stand.

use proptest::prelude::*;

use super::by_order::{begin, found, of, of_none, on};
use super::*;
use crate::store::pages::Next;

/// The rows of one stretch.
const STRETCH: i64 = 1 << 11;

/// Gives the next call a number that is greater by so many, as a restore does.
fn skip(tx: &Tx<'_>, numbers: i64) -> Result<(), StoreError> {
    tx.execute("skip", "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'exchange'", [numbers]).map(drop)
}

/// Numbers, by a look at every row, newest first.
fn there(tx: &Tx<'_>, which: &str, of: &str) -> Vec<i64> {
    let sql = format!(
        "SELECT exchange.id FROM exchange NOT INDEXED LEFT JOIN operation ON operation.id = +exchange.operation \
         LEFT JOIN instance ON instance.id = operation.instance WHERE {which} ORDER BY exchange.id DESC"
    );
    tx.all("list", &sql, [of], |row| row.get(0)).unwrap()
}

fn of_operation(tx: &Tx<'_>, operation: i64, limit: i64) -> Vec<i64> {
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let piece = tx.exchanges_of_operation(operation, before, limit).unwrap();
        listed.extend(piece.rows.iter().map(|line| line.id));
        before = match piece.next {
            Next::End => return listed,
            Next::More(next) | Next::Further(next) => Some(next),
        };
    }
}

/// Every way to look for calls finds what is there.
fn check(tx: &Tx<'_>, orders: &[&str], instances: &[&str], operations: &[i64]) {
    for limit in [1, 3, 1000] {
        for order in orders {
            let expected = there(tx, "exchange.order_id = ?1", order);
            assert_eq!(found(tx, Some(order), None, limit).unwrap(), [expected.clone(), expected], "{order}");
        }
        for instance in instances {
            let expected = there(tx, "coalesce(instance.instance_id, exchange.instance_id) = ?1", instance);
            assert_eq!(found(tx, None, Some(instance), limit).unwrap(), [expected.clone(), expected], "{instance}");
        }
        for operation in operations {
            let expected = there(tx, "exchange.operation = CAST(?1 AS INTEGER)", &operation.to_string());
            assert_eq!(of_operation(tx, *operation, limit), expected, "{operation}");
        }
    }
}

/// The numbers of the earlier calls about an instance, received from and until these seconds, before a number.
fn earlier(tx: &Tx<'_>, about: &InstanceRow, from: i64, until: i64, before: i64) -> Vec<i64> {
    let (from, until) = (at(from), at(until));
    let wanted = EarlierCalls { family: "basic-v2", activity: "newInstance", from, until, before, most: 1000 };
    let lines = tx.earlier_calls(about, wanted).unwrap().into_iter().map(|call| call.request_line);
    let mut numbers: Vec<i64> = lines.map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn calls_are_found_at_both_ends_of_a_stretch_and_beyond_empty_ones() {
    let scratch = Scratch::new();
    let record = |tx: &Tx<'_>| {
        let (instance, creation) = create(tx, "CS1")?;
        let mut numbers = Vec::new();
        // At the end of the first stretch, at the beginning of the second, and behind 48 without a call.
        for skipped in [STRETCH - 3, 0, 0, 48 * STRETCH, 0] {
            skip(tx, skipped)?;
            let second = numbers.len() as i64;
            let line = tx.next_exchange()?.to_string();
            let new = NewExchange { received_at: at(second), request_line: line, ..on(Some("CS1")) };
            numbers.push(tx.insert_answered_exchange(&new, &of(creation, true, None))?);
        }
        assert_eq!(numbers[..3], [STRETCH - 1, STRETCH, STRETCH + 1]);
        check(tx, &["CS1"], &[&instance.instance_id], &[creation]);

        assert_eq!(of_operation(tx, creation, 2).len(), 5);
        assert_eq!(earlier(tx, &instance, 0, 4, i64::MAX), numbers);
        assert_eq!(earlier(tx, &instance, 1, 3, i64::MAX), numbers[1..=3]);
        assert_eq!(earlier(tx, &instance, 0, 4, numbers[1]), numbers[..1]);
        assert_eq!(earlier(tx, &instance, 2, 2, i64::MAX), numbers[2..=2]);
        assert!(earlier(tx, &instance, 5, 9, i64::MAX).is_empty());

        // Those that only name the instance stand in an index of their own.
        let id = Some(instance.instance_id.clone());
        for (skipped, environment) in [
            (STRETCH - 2 - numbers[4] % STRETCH, Environment::Real),
            (0, Environment::Real),
            (0, Environment::Test),
            (STRETCH, Environment::Real),
        ] {
            skip(tx, skipped)?;
            let line = tx.next_exchange()?.to_string();
            let (received_at, instance_id) = (at(5), id.clone());
            let new = NewExchange { received_at, request_line: line, instance_id, environment, ..on(None) };
            numbers.push(tx.insert_answered_exchange(&new, &of_none())?);
        }
        assert_eq!((numbers[5] % STRETCH, numbers[6] % STRETCH), (STRETCH - 1, 0));
        check(tx, &["CS1"], &[&instance.instance_id], &[creation]);
        let test_call = numbers.remove(7);
        assert_eq!(earlier(tx, &instance, 0, 9, i64::MAX), numbers, "without {test_call}");
        assert_eq!(earlier(tx, &instance, 5, 5, test_call), numbers[5..7]);
        Ok(())
    };
    scratch.open().write(None, record).unwrap();
}

#[test]
fn an_empty_journal_has_no_calls_of_anything() {
    let scratch = Scratch::new();
    let look = |tx: &Tx<'_>| {
        check(tx, &["CS1"], &["i-CS1"], &[1]);
        Ok(())
    };
    scratch.open().read(look).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_a_look_at_every_row_finds_in_whichever_stretch_it_stands(
        begun_by in prop::collection::vec(0..4_usize, 3),
        // Close to the end of a stretch.
        numbered_from in STRETCH - 30..STRETCH + 1,
        // The order it names, its operation, whether it names an instance, and whether it waits; how many numbers are skipped.
        calls in prop::collection::vec(
            (0..4_usize, 0..4_usize, any::<bool>(), any::<bool>(), prop_oneof![9 => Just(0), 1 => 0..5 * STRETCH]),
            0..40,
        ),
        purged in 0..20_i64,
    ) {
        const ORDERS: [Option<&str>; 4] = [None, Some("CS0"), Some("CS1"), Some("CS2")];
        let scratch = Scratch::new();
        let record = move |tx: &Tx<'_>| {
            let (instance, creation) = create(tx, "CS0")?;
            let (other, other_creation) = create(tx, "CS2")?;
            let mut operations = vec![creation, other_creation];
            for (at, order) in begun_by.iter().enumerate() {
                let row = if at == 0 { other.row } else { instance.row };
                operations.push(begin(tx, row, &at.to_string(), 0, ORDERS[*order])?);
            }
            skip(tx, numbered_from)?;
            for &(order, operation, names_instance, waits, skipped) in &calls {
                skip(tx, skipped)?;
                let mut new = on(ORDERS[order]);
                new.instance_id = names_instance.then(|| instance.instance_id.clone());
                let operation = operations[1..].get(operation);
                let answered = operation.map_or_else(of_none, |operation| of(*operation, true, None));
                if waits {
                    let id = tx.insert_exchange(&new)?;
                    tx.answer_exchange(id, &answered)?;
                } else {
                    tx.insert_answered_exchange(&new, &answered)?;
                }
            }
            let first = "DELETE FROM exchange WHERE id IN (SELECT id FROM exchange ORDER BY id LIMIT ?1)";
            tx.execute("purge", first, [purged])?;
            let orders: Vec<&str> = ORDERS.into_iter().flatten().collect();
            check(tx, &orders, &[&instance.instance_id, &other.instance_id], &operations);
            Ok(())
        };
        scratch.open().write(None, record).unwrap();
    }
}
