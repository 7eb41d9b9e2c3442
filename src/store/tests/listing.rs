//! What a listing of the journal shows is what a look at every row finds, in its order, piece by piece.

use proptest::prelude::*;

use super::*;

const CODES: [&str; 4] = ["000000", "000004", "000001", "000005"];

/// Of a listing, the numbers, read in pieces.
fn listed(tx: &Tx<'_>, filter: &ExchangeFilter, limit: i64) -> Result<Vec<i64>, StoreError> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let rows = tx.exchanges(&ExchangeFilter { after, ..filter.clone() }, limit)?;
        let Some(last) = rows.last() else { return Ok(listed) };
        after = Some((last.received_at, last.id));
        listed.extend(rows.iter().map(|row| row.id));
    }
}

/// The same by a look at every row.
fn there(tx: &Tx<'_>, filter: &ExchangeFilter) -> Result<Vec<i64>, StoreError> {
    let numbers: Vec<i64> =
        tx.all("list", "SELECT id FROM exchange NOT INDEXED ORDER BY id DESC", [], |row| row.get(0))?;
    let mut rows =
        numbers.into_iter().map(|id| Ok(tx.exchange(id)?.unwrap())).collect::<Result<Vec<_>, StoreError>>()?;
    let result = filter.result.as_deref();
    rows.retain(|row| {
        let code = row.result_code.as_deref();
        let fits = match result {
            None => true,
            Some("failed") => code.is_some_and(|code| code != "000000" && code != "000004"),
            wanted => code == wanted,
        };
        fits && filter.since.is_none_or(|since| row.received_at >= since)
            && filter.until.is_none_or(|until| row.received_at < until)
            && filter.environment.is_none_or(|environment| row.environment == environment)
    });
    let is_by_time = filter.since.is_some()
        || filter.until.is_some()
        || filter.environment == Some("test")
        || result.is_some_and(|result| result != "000000" && result != "000004");
    if is_by_time {
        rows.sort_by_key(|row| std::cmp::Reverse((row.received_at, row.id)));
    }
    Ok(rows.into_iter().map(|row| row.id).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_shows_what_a_look_at_every_row_finds(
        // When it came, by a clock that is set now and then; what was answered, if anything; whether it is a test.
        calls in prop::collection::vec((0..8_i64, prop::option::of(0..4_usize), any::<bool>()), 0..30),
        since in prop::option::of(0..8_i64),
        until in prop::option::of(0..8_i64),
        environment in prop::option::of(any::<bool>()),
    ) {
        let scratch = Scratch::new();
        let look = move |tx: &Tx<'_>| {
            for &(second, code, is_test) in &calls {
                let environment = if is_test { Environment::Test } else { Environment::Real };
                let id = tx.insert_exchange(&call("CS", at(second), environment))?;
                if let Some(code) = code {
                    tx.answer_exchange(id, &Answered { result_code: CODES[code], ..answered() })?;
                }
            }
            for result in [None, Some("failed"), Some("000009")].into_iter().chain(CODES.map(Some)) {
                let filter = ExchangeFilter {
                    result: result.map(str::to_owned),
                    since: since.map(at),
                    until: until.map(at),
                    environment: environment.map(|is_test| if is_test { "test" } else { "real" }),
                    ..ExchangeFilter::default()
                };
                let expected = there(tx, &filter)?;
                for limit in [1, 3, 100] {
                    assert_eq!(listed(tx, &filter, limit)?, expected, "{filter:?} in pieces of {limit}");
                }
            }
            Ok(())
        };
        scratch.open().write(None, look).unwrap();
    }
}

#[test]
fn only_what_failed_stands_in_the_index_of_what_failed() {
    let scratch = Scratch::new();
    let indexed = |tx: &Tx<'_>| -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT id FROM exchange INDEXED BY exchange_failed WHERE result_code NOT IN ('000000', '000004')";
        tx.all("list", sql, [], |row| row.get(0))
    };
    let look = move |tx: &Tx<'_>| {
        let calls = CODES.map(|code| {
            let answered = Answered { result_code: code, ..answered() };
            tx.insert_answered_exchange(&call("CS", at(0), Environment::Real), &answered).unwrap()
        });
        tx.insert_exchange(&call("CS", at(0), Environment::Real))?;
        assert_eq!(indexed(tx)?, calls[2..]);
        Ok(())
    };
    scratch.open().write(None, look).unwrap();
}

fn answered() -> Answered<'static> {
    Answered {
        operation: None,
        instance_id: None,
        result_code: "000000",
        answer: None,
        replayed: false,
        difference: None,
        duration_us: 1,
    }
}
