//! Usage records: what is taken, what overlaps, what is sent and what counts.

use super::*;
use crate::instance::Change;
use crate::usage::desk;
use crate::usage::judge::{Rejection, Verdict};
use crate::usage::{RawReport, Report, State as UsageState, UsageFault, Window};

/// A day into the tests' time.
const NOW: i64 = 86_400;

/// Calls every function that has a statement of its own.
pub(super) fn run_usage(tx: &Tx<'_>) -> Result<(), StoreError> {
    let (used, _) = create(tx, "CS-used")?;
    let (package, _) = create(tx, "CS-package")?;
    tx.set_charging_mode(used.row, "ON_DEMAND")?;
    let sent = report("i-CS-used", (0, 3600), "1.5", "i-CS-package");
    assert_eq!(tx.record_usage(&sent, "sn-1", at(NOW))?.map(|recorded| recorded.repeated), Ok(false));
    assert_eq!(tx.record_usage(&sent, "sn-2", at(NOW))?.map(|recorded| recorded.metering_sn), Ok("sn-1".into()));
    assert!(tx.record_usage(&report("no such", (0, 1), "1", ""), "sn-3", at(NOW))?.is_err());
    assert!(tx.next_usage_at()?.is_some());
    tx.hasten_usage(at(0), 10)?;
    let taken = tx.take_due_usage(at(NOW), 10, &[])?;
    tx.untake_usage(&taken)?;
    assert_eq!(tx.usage_counts(at(NOW), at(0))?, UsageCounts { waiting: 1, due: 1, accepted: 0, rejected: 0 });
    let expected = WaitingUsage { waiting: 1, due: 1, due_since: Some(at(NOW)) };
    assert_eq!(tx.waiting_usage(at(NOW))?, expected);
    assert_eq!(tx.waiting_usage(at(-1))?, WaitingUsage { due: 0, due_since: None, ..expected });
    assert!(tx.settle_usage(taken[0].row, &Verdict::Accepted, at(NOW))?);
    assert_eq!(tx.withdraw_usage("sn-1", at(NOW))?, Withdrawal::Done);
    tx.usage_totals(package.row)?;
    tx.usage_records(&UsageFilter::default(), None, 10)?;
    assert_eq!(tx.purge_usage(at(NOW + 1), at(NOW + 23 * 86_400), 10)?, 1);
    Ok(())
}

fn report(instance: &str, (begin, end): (i64, i64), value: &str, package: &str) -> Report {
    let (begin_time, end_time) = (at(begin).to_string(), at(end).to_string());
    Report::read(&RawReport {
        instance_id: instance,
        begin_time: &begin_time,
        end_time: &end_time,
        usage_value: value,
        relate_pkg_instance: package,
    })
    .unwrap()
}

fn rejected(code: &str) -> Verdict {
    Verdict::Rejected(Rejection { code: code.to_owned(), message: "Failed".to_owned(), data: Some("[]".to_owned()) })
}

/// Works on a fresh database with one instance `i-CS1`.
fn with_instance(work: impl Fn(&Tx<'_>, &InstanceRow) -> Result<(), StoreError> + Send + 'static) {
    let scratch = Scratch::new();
    let store = scratch.open();
    let done = store.write(None, move |tx| {
        let (instance, _) = create(tx, "CS1")?;
        let instance = tx.apply(&instance, &Change::Ready, Cause::default(), at(0))?;
        work(tx, &instance)
    });
    done.unwrap();
}

/// The totals of an instance: who used it, how many ten-thousandths, up to which second.
fn totals(tx: &Tx<'_>, row: i64) -> Vec<(Option<String>, i64, i64)> {
    let all = tx.usage_totals(row).unwrap();
    all.into_iter().map(|one| (one.used_by, one.total, one.statistical_time.as_second() - at(0).as_second())).collect()
}

#[test]
fn a_repeat_gives_back_its_record_and_another_value_of_the_same_time_does_not() {
    with_instance(|tx, instance| {
        let first = report("i-CS1", (0, 100), "2.50", "");
        let recorded = tx.record_usage(&first, "sn-1", at(NOW))?.unwrap();
        assert_eq!((recorded.state, recorded.repeated, recorded.due_at), (UsageState::Waiting, false, at(NOW)));
        for settled in [None, Some(Verdict::Accepted)] {
            if let Some(verdict) = settled {
                let row = tx.take_due_usage(at(NOW), 1, &[])?[0].row;
                assert!(tx.settle_usage(row, &verdict, at(NOW))?);
                assert!(!tx.settle_usage(row, &rejected("011"), at(NOW))?, "what is settled stays as it is");
            }
            let again = tx.record_usage(&first, "sn-2", at(NOW + 1))?.unwrap();
            assert_eq!((again.metering_sn.as_str(), again.repeated), ("sn-1", true));
            let other = tx.record_usage(&report("i-CS1", (0, 100), "2.6", ""), "sn-2", at(NOW))?;
            assert!(matches!(other, Err(UsageFault::Overlap { .. })), "{other:?}");
        }
        assert_eq!(totals(tx, instance.row), [(None, 25_000, 100)]);
        Ok(())
    });
}

#[test]
fn what_is_rejected_counts_no_more_and_its_time_may_be_reported_anew() {
    with_instance(|tx, instance| {
        let (package, _) = create(tx, "CS-package")?;
        let window = (0, 3600);
        for (sn, end) in [("sn-1", 3600), ("sn-2", 7200)] {
            let report = report("i-CS1", (end - 3600, end), "1.25", "i-CS-package");
            assert!(tx.record_usage(&report, sn, at(NOW))?.is_ok());
        }
        let id = || Some("i-CS1".to_owned());
        assert_eq!(totals(tx, package.row), [(id(), 25_000, 7200)]);
        let taken = tx.take_due_usage(at(NOW), 1, &[])?;
        assert_eq!((taken[0].metering_sn.as_str(), taken[0].sent), ("sn-1", 1), "the oldest first");
        assert!(tx.settle_usage(taken[0].row, &rejected("013"), at(NOW))?);
        assert_eq!(totals(tx, instance.row), [(None, 12_500, 7200)]);
        assert_eq!(totals(tx, package.row), [(id(), 12_500, 7200)]);
        let filter = UsageFilter { state: Some(UsageState::Rejected), instance_id: None };
        let listed = tx.usage_records(&filter, None, 10)?;
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].result_code.as_deref(), listed[0].data.as_deref()), (Some("013"), Some("[]")));
        // The same report again: the instance was in a wrong state, and is in the right one now.
        let again = tx.record_usage(&report("i-CS1", window, "1.25", "i-CS-package"), "sn-3", at(NOW))?.unwrap();
        assert_eq!((again.metering_sn.as_str(), again.repeated), ("sn-3", false));
        assert_eq!(totals(tx, package.row), [(id(), 25_000, 7200)]);
        Ok(())
    });
}

#[test]
fn only_what_was_never_sent_or_was_accepted_can_be_taken_out() {
    with_instance(|tx, instance| {
        for (sn, end) in [("sn-1", 100), ("sn-2", 200)] {
            assert!(tx.record_usage(&report("i-CS1", (end - 100, end), "1", ""), sn, at(NOW))?.is_ok());
        }
        let taken = tx.take_due_usage(at(NOW), 1, &[])?;
        assert_eq!(tx.withdraw_usage("sn-1", at(NOW))?, Withdrawal::OnItsWay);
        tx.settle_usage(taken[0].row, &Verdict::Accepted, at(NOW))?;
        for (sn, expected) in [
            ("sn-1", Withdrawal::Done),
            ("sn-1", Withdrawal::Already),
            ("sn-2", Withdrawal::Done),
            ("sn-3", Withdrawal::Unknown),
        ] {
            assert_eq!(tx.withdraw_usage(sn, at(NOW))?, expected, "{sn}");
        }
        assert_eq!(totals(tx, instance.row), [(None, 0, 200)]);
        assert_eq!(tx.take_due_usage(at(NOW), 10, &[])?, []);
        Ok(())
    });
}

/// Every order of arrival of windows on a small grid, against the plain comparison with all that are there.
#[test]
fn the_neighbours_find_every_overlap() {
    with_instance(|tx, _| {
        let mut windows: Vec<(i64, i64)> = (0..7).flat_map(|begin| (begin..7).map(move |end| (begin, end))).collect();
        let mut seed = 1_u64;
        for round in 0..60 {
            let order = format!("CS-{round}");
            create(tx, &order)?;
            // Any shuffle will do.
            for place in (1..windows.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                windows.swap(place, (seed >> 33) as usize % (place + 1));
            }
            let mut there: Vec<Window> = Vec::new();
            for (number, &window) in windows.iter().enumerate() {
                let report = report(&format!("i-{order}"), window, "1", "");
                let free = !there.iter().any(|other| other.overlaps(report.window));
                let outcome = tx.record_usage(&report, &format!("{order}-{number}"), at(NOW))?;
                assert_eq!(outcome.is_ok(), free, "{window:?} beside {there:?}: {outcome:?}");
                there.extend(free.then_some(report.window));
            }
            assert!((2..windows.len()).contains(&there.len()), "{there:?}");
        }
        Ok(())
    });
}

#[test]
fn a_record_is_due_at_the_full_hour_and_sooner_when_hastened() {
    with_instance(|tx, _| {
        // at(0) is a full hour; 800 seconds into it.
        assert_eq!(at(0).as_second() % 3600, 0);
        for (sn, end) in [("sn-1", 800), ("sn-2", 900)] {
            assert!(tx.record_usage(&report("i-CS1", (end - 100, end), "1", ""), sn, at(1000))?.is_ok());
        }
        assert_eq!((tx.next_usage_at()?, tx.take_due_usage(at(3599), 10, &[])?), (Some(at(3600)), Vec::new()));
        assert_eq!(
            [tx.hasten_usage(at(1000), 1)?, tx.hasten_usage(at(1000), 9)?, tx.hasten_usage(at(1000), 9)?],
            [1, 1, 0]
        );
        let taken = tx.take_due_usage(at(1000), 10, &[])?;
        assert_eq!(taken.len(), 2);
        let again = tx.take_due_usage(at(1060), 10, &[])?;
        assert_eq!(again.iter().map(|record| record.sent).collect::<Vec<_>>(), [2, 2], "each attempt counts");
        tx.untake_usage(&again)?;
        let again = tx.take_due_usage(at(1060), 10, &[])?;
        assert_eq!(again.iter().map(|record| record.sent).collect::<Vec<_>>(), [2, 2], "unless nothing arrived");
        assert!(!tx.settle_usage(again[0].row, &Verdict::Again, at(1060))?);
        let others = tx.take_due_usage(at(1060), 1, &[again[0].row])?;
        assert_eq!(others.iter().map(|record| record.row).collect::<Vec<_>>(), [again[1].row], "the others go first");
        Ok(())
    });
}

/// An application whose clock is a little ahead reports right at the full hour. Its record is neither sent nor told to have
/// been reported before its time is over, hurried or not.
#[test]
fn what_is_over_by_the_applications_clock_only_waits_until_it_is() {
    with_instance(|tx, _| {
        let recorded = tx.record_usage(&report("i-CS1", (0, 3600), "1", ""), "sn-1", at(3595))?.unwrap();
        assert_eq!(recorded.due_at, at(3600));
        assert!(tx.record_usage(&report("i-CS1", (3600, 3650), "1", ""), "sn-2", at(3595))?.is_ok());
        assert_eq!(tx.hasten_usage(at(3595), 9)?, 0);
        assert_eq!(tx.take_due_usage(at(3599), 10, &[])?, []);
        let taken = tx.take_due_usage(at(3600), 10, &[])?;
        let times: Vec<_> = taken.iter().map(|record| (record.window.end, record.record_time)).collect();
        assert_eq!(times, [(at(3600), at(3600))]);
        assert_eq!((tx.hasten_usage(at(3649), 9)?, tx.hasten_usage(at(3650), 9)?), (0, 1));
        assert_eq!(tx.take_due_usage(at(3650), 10, &[])?.len(), 2);
        Ok(())
    });
}

#[test]
fn a_purge_leaves_what_a_report_could_overlap_and_the_totals() {
    with_instance(|tx, instance| {
        for (sn, end) in [("sn-1", 100), ("sn-2", 200), ("sn-3", 300)] {
            assert!(tx.record_usage(&report("i-CS1", (end - 100, end), "1", ""), sn, at(NOW))?.is_ok());
        }
        let taken = tx.take_due_usage(at(NOW), 2, &[])?;
        tx.settle_usage(taken[0].row, &Verdict::Accepted, at(NOW))?;
        tx.settle_usage(taken[1].row, &rejected("011"), at(NOW))?;
        // Whatever age the configuration names.
        assert_eq!(tx.purge_usage(at(NOW + 10), at(NOW + 22 * 86_400), 10)?, 0);
        assert_eq!(tx.purge_usage(at(NOW), at(NOW + 400 * 86_400), 10)?, 0);
        let purge = || tx.purge_usage(at(NOW + 10), at(NOW + 23 * 86_400), 1);
        assert_eq!([purge()?, purge()?, purge()?], [1, 1, 0], "what waits stays");
        assert_eq!(totals(tx, instance.row), [(None, 20_000, 300)]);
        Ok(())
    });
}

#[test]
fn facts_about_the_instance_are_those_of_its_row() {
    with_instance(|tx, instance| {
        let test = NewInstance {
            environment: Environment::Test,
            kind: Kind::Saas,
            instance_id: "i-test",
            order_id: None,
            order_line_id: None,
            product_id: None,
            sku_code: None,
            expire_time: None,
            charging_mode: Some("ON_DEMAND"),
            encrypts_credentials: false,
            terms: None,
            is_ready: false,
        };
        tx.insert_instance(&test, Cause::default(), at(0))?;
        let license =
            NewInstance { environment: Environment::Real, kind: Kind::License, instance_id: "i-code", ..test };
        tx.insert_instance(&license, Cause::default(), at(0))?;
        let fault = |id: &str, window, package: &str| {
            tx.record_usage(&report(id, window, "1", package), "sn", at(NOW)).map(|outcome| outcome.err())
        };
        assert!(matches!(fault("i-none", (0, 1), "")?, Some(UsageFault::UnknownInstance(_))));
        assert!(matches!(fault("i-test", (0, 1), "")?, Some(UsageFault::TestInstance(_))));
        assert!(matches!(fault("i-code", (0, 1), "")?, Some(UsageFault::NotSaas { kind: Kind::License, .. })));
        assert!(matches!(fault("i-CS1", (0, 1), "i-test")?, Some(UsageFault::Package { .. })));
        tx.set_charging_mode(instance.row, "PERIOD")?;
        assert!(matches!(fault("i-CS1", (0, 1), "")?, Some(UsageFault::NotOnDemand { .. })));
        tx.set_charging_mode(instance.row, "ON_DEMAND")?;
        let row = tx.instance_by_row(instance.row)?.unwrap();
        assert_eq!(row.charging_mode.as_deref(), Some("ON_DEMAND"));
        let released = tx.apply(&row, &Change::Release, Cause::default(), at(50))?;
        assert_eq!(
            (released.released_at, tx.instance_by_row(row.row)?.unwrap().released_at),
            (Some(at(50)), Some(at(50)))
        );
        assert!(matches!(fault("i-CS1", (0, 51), "")?, Some(UsageFault::AfterRelease { .. })));
        assert_eq!(fault("i-CS1", (0, 50), "")?, None);
        Ok(())
    });
}

#[test]
fn a_request_to_the_local_api_is_answered_record_by_record() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let hour = |ago: i64| Timestamp::from_second(Timestamp::now().as_second() - 3600 * ago).unwrap();
    let before = hour(10);
    store
        .write(None, move |tx| {
            let new = NewInstance {
                environment: Environment::Real,
                kind: Kind::Saas,
                instance_id: "i-1",
                order_id: None,
                order_line_id: None,
                product_id: None,
                sku_code: None,
                expire_time: None,
                charging_mode: Some("ON_DEMAND"),
                encrypts_credentials: false,
                terms: None,
                is_ready: false,
            };
            tx.insert_instance(&new, Cause::default(), before).map(drop)
        })
        .unwrap();
    let one = |id: &str, begin: i64, value: &str| {
        let (begin, end) = (hour(begin), hour(begin - 1));
        format!(r#"{{"instanceId":"{id}","beginTime":"{begin}","endTime":"{end}","usageValue":{value}}}"#)
    };
    let (first, again) = (one("i-1", 5, "2.50"), one("i-1", 4, "\"0.1\""));
    let list = [&first, &one("i-2", 5, "1"), "{}", &one("i-1", 5, "1e1"), &again, &again].map(str::to_owned).join(",");
    let commits = store.commits().commits;
    let answer = desk::answer(&store, format!(r#"{{"records":[{list}]}}"#).as_bytes()).unwrap();
    assert_eq!((answer.refused, store.commits().commits - commits), (3, 1));
    let records = answer.body["records"].as_array().unwrap();
    let errors: Vec<bool> = records.iter().map(|record| record.get("error").is_some()).collect();
    assert_eq!(errors, [false, true, true, true, false, false], "{records:?}");
    assert_eq!(records[4], records[5], "a repeat in the same request");
    let alone = desk::answer(&store, first.as_bytes()).unwrap();
    assert_eq!((&alone.body, &alone.body["state"], alone.refused), (&records[0], &"waiting".into(), 0));
    assert!(desk::answer(&store, b"[]").is_err());
    assert_eq!(rows(&store, "usage_record"), 2);
}
