//! Who is told what, and when.

use proptest::prelude::*;

use super::*;

const WAIT: SignedDuration = SignedDuration::from_secs(20);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn stock(name: &str) -> Alarm {
    Alarm::StockEmpty { stock: name.to_owned() }
}

fn found(alarm: Alarm) -> Vec<Found> {
    vec![Found { alarm, since: None }]
}

fn look(ledger: &mut Ledger, found: Vec<Found>, second: i64) {
    ledger.looked(found, |kind| kind == Kind::StockEmpty, at(second));
}

fn record_all(ledger: &mut Ledger) {
    record_at(ledger, 0);
}

/// Writes what has changed; how much it was.
fn record_at(ledger: &mut Ledger, second: i64) -> usize {
    let rows: Vec<_> = ledger.unrecorded().iter().map(|entry| (entry.key(), 1)).collect();
    let count = rows.len();
    ledger.recorded(rows, at(second));
    count
}

#[test]
fn what_stands_is_written_once_and_its_figures_now_and_then() {
    let mut ledger = Ledger::default();
    let mut written = Vec::new();
    for minute in 0..30 {
        let free = if minute < 15 { 100 - minute } else { 1 };
        let disk = Alarm::DiskLow { free: u64::try_from(free).unwrap(), wanted: 256 };
        look(&mut ledger, [found(stock("a")), found(disk)].concat(), minute * 60);
        let count = record_at(&mut ledger, minute * 60);
        written.extend((count > 0).then_some((minute, count)));
    }
    assert_eq!(written, [(0, 2), (10, 1), (20, 1)]);
}

/// Tells what is due; what it was.
fn tell(ledger: &mut Ledger, webhook: &str, second: i64) -> Vec<Why> {
    let due = ledger.due(webhook, WAIT, at(second));
    ledger.told(webhook, &due, at(second));
    due.iter().map(|due| due.why).collect()
}

#[test]
fn an_alarm_is_told_once_then_ever_more_rarely_and_when_it_is_over() {
    let mut ledger = Ledger::default();
    let mut told = Vec::new();
    for minute in 0..60 * 60 {
        let second = minute * 60;
        look(&mut ledger, found(stock("a")), second);
        told.extend(tell(&mut ledger, "w", second + 30).into_iter().map(|why| (minute, why)));
    }
    let again: Vec<_> = told.iter().map(|(minute, _)| *minute).collect();
    assert_eq!(again, [0, 10, 70, 70 + 24 * 60, 70 + 48 * 60]);
    assert!(told[0].1 == Why::New && told[1..].iter().all(|(_, why)| *why == Why::Again));
    look(&mut ledger, vec![], 300_000);
    assert_eq!(tell(&mut ledger, "w", 300_000), [Why::Over]);
    assert_eq!(tell(&mut ledger, "w", 400_000), []);
    record_all(&mut ledger);
    ledger.tidy(&["w".to_owned()], at(400_000));
    assert_eq!(ledger.entries().count(), 0);
}

#[test]
fn what_comes_within_the_wait_goes_together() {
    let mut ledger = Ledger::default();
    ledger.met(stock("a"), 1, at(0));
    assert_eq!(ledger.due("w", WAIT, at(19)), []);
    ledger.met(stock("b"), 1, at(19));
    assert_eq!(ledger.due("w", WAIT, at(20)).len(), 2);
}

#[test]
fn what_comes_and_goes_is_told_as_one() {
    let mut ledger = Ledger::default();
    let mut told = Vec::new();
    for minute in 0..9 {
        look(&mut ledger, if minute % 2 == 0 { found(stock("a")) } else { vec![] }, minute * 60);
        told.extend(tell(&mut ledger, "w", minute * 60 + 30));
    }
    // Minute 0: new; minute 1: over. It is back in minute 2, and its next end is not believed at once.
    assert_eq!(told, [Why::New, Why::Over]);
    look(&mut ledger, vec![], 9 * 60);
    assert_eq!(tell(&mut ledger, "w", 19 * 60), [Why::Over]);
}

#[test]
fn what_has_happened_is_told_again_only_if_it_happens_again() {
    let mut ledger = Ledger::default();
    ledger.met(Alarm::CallFailed, 1, at(0));
    assert_eq!(tell(&mut ledger, "w", 30), [Why::New]);
    assert_eq!(tell(&mut ledger, "w", 86_000), []);
    ledger.met(Alarm::CallFailed, 1, at(86_000));
    assert_eq!(tell(&mut ledger, "w", 86_000), [Why::Again]);
    ledger.fade(at(86_000 + 86_401));
    assert_eq!(tell(&mut ledger, "w", 200_000), [], "nobody needs to know that nothing happened");
}

#[test]
fn what_becomes_graver_is_told_at_once() {
    let failed = |count| Alarm::OrdersFailed { product_id: None, count, month: "2027-01".to_owned() };
    let mut ledger = Ledger::default();
    ledger.met(failed(1), 1, at(0));
    assert_eq!(tell(&mut ledger, "w", 30), [Why::New]);
    ledger.met(failed(1), 0, at(60));
    assert_eq!(tell(&mut ledger, "w", 60), []);
    ledger.met(failed(2), 0, at(120));
    assert_eq!(tell(&mut ledger, "w", 120), [Why::Again]);
}

#[test]
fn a_restart_tells_nothing_twice_and_ends_what_only_the_process_knew() {
    let mut ledger = Ledger::default();
    ledger.met(stock("a"), 1, at(0));
    ledger.met(Alarm::ReloadFailed, 1, at(0));
    assert_eq!(tell(&mut ledger, "w", 30), [Why::New, Why::New]);
    let entries = ledger.entries().cloned().collect();
    let mut resumed = Ledger::resume(entries, at(60));
    look(&mut resumed, found(stock("a")), 60);
    assert_eq!(tell(&mut resumed, "w", 60), [Why::Over]);
    assert_eq!(tell(&mut resumed, "new webhook", 90), [Why::New]);
}

#[test]
fn urgent_ones_come_first_and_what_is_over_last() {
    let mut ledger = Ledger::default();
    ledger.met(Alarm::StockLow { stock: "b".to_owned(), left: 1 }, 1, at(0));
    ledger.met(stock("a"), 1, at(5));
    ledger.met(Alarm::DatabaseUnwritable, 1, at(6));
    ledger.told("w", &ledger.due("w", WAIT, at(60)), at(60));
    ledger.over(Kind::DatabaseUnwritable, at(61));
    ledger.met(Alarm::CallFailed, 1, at(61));
    let due = ledger.due("w", WAIT, at(700));
    let kinds: Vec<_> = due.iter().map(|due| due.key.0).collect();
    assert_eq!(kinds, [Kind::StockEmpty, Kind::CallFailed, Kind::StockLow, Kind::DatabaseUnwritable]);
}

proptest! {
    /// However alarms come and go: of one alarm nobody hears more than a message in ten minutes but for its end, and
    /// memory is bounded.
    #[test]
    fn nobody_is_flooded(steps in prop::collection::vec((0_u8..4, any::<bool>()), 1..400)) {
        let mut ledger = Ledger::default();
        let (mut last, mut second) = (BTreeMap::new(), 0);
        for (name, stands) in steps {
            second += 30;
            let name = name.to_string();
            look(&mut ledger, if stands { found(stock(&name)) } else { vec![] }, second);
            let due = ledger.due("w", WAIT, at(second));
            for due in due.iter().filter(|due| due.why != Why::Over) {
                let before = last.insert(due.key.1.clone(), second);
                prop_assert!(before.is_none_or(|before| second - before >= 600), "{due:?}");
            }
            ledger.told("w", &due, at(second));
            record_all(&mut ledger);
            ledger.tidy(&["w".to_owned()], at(second));
            prop_assert!(ledger.entries().count() <= 4);
        }
    }

    #[test]
    fn there_are_never_more_than_the_most_of_a_kind(count in 0_usize..2 * MOST_OF_A_KIND) {
        let mut ledger = Ledger::default();
        (0..count).for_each(|number| ledger.met(stock(&number.to_string()), 1, at(0)));
        prop_assert!(ledger.entries().count() <= MOST_OF_A_KIND);
        ledger.met(Alarm::DatabaseUnwritable, 1, at(0));
        prop_assert!(ledger.entries().any(|entry| entry.alarm == Alarm::DatabaseUnwritable));
    }
}
