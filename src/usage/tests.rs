//! Reports, rules, due times, bodies and files.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::batch::{Form, Record, body, halves};
use super::check::{Facts, Known, Neighbour, check, due_at};
use super::file::{Line, UsageFileError};
use super::intake::{Intake, IntakeFault};
use super::*;
use crate::kind::Kind;
use crate::protocol::canonical_json::{Nulls, render};

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn raw<'a>(begin_time: &'a str, end_time: &'a str, usage_value: &'a str) -> RawReport<'a> {
    RawReport { instance_id: "i-1", begin_time, end_time, usage_value, relate_pkg_instance: "" }
}

fn report(begin: &str, end: &str) -> Report {
    Report::read(&raw(begin, end, "1.5")).unwrap()
}

fn facts() -> Facts {
    let ordered_at = instant("2026-01-01T00:00:00.9Z");
    Facts { charging_mode: Some("ON_DEMAND".to_owned()), ordered_at, released_at: None, total: 0 }
}

/// A clock at 2026-01-15T12:00:00Z.
fn verdict(report: &Report, instance: Known, package: Known, neighbours: &[Neighbour]) -> Option<UsageFault> {
    check(report, &instance, &package, neighbours, instant("2026-01-15T12:00:00Z")).err()
}

#[test]
fn times_have_an_offset_and_whole_seconds() {
    let expected = Window { begin: instant("2026-01-15T08:00:00Z"), end: instant("2026-01-15T09:00:00Z") };
    for (begin, end) in [
        ("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z"),
        ("2026-01-15T16:00:00+08:00", "2026-01-15T17:00:00.000+08:00"),
        ("20260115T080000Z", "20260115T090000Z"),
    ] {
        assert_eq!(report(begin, end).window, expected, "{begin}");
    }
    for text in ["2026-01-15T08:00:00", "2026-01-15", "20260115080000", "1768464000", "yesterday"] {
        let fault = Report::read(&raw(text, "2026-01-15T09:00:00Z", "1")).unwrap_err();
        assert_eq!(fault, UsageFault::Time { name: "beginTime", text: text.to_owned() });
    }
    let fault = Report::read(&raw("2026-01-15T08:00:00Z", "2026-01-15T08:00:00.5Z", "1")).unwrap_err();
    assert!(matches!(fault, UsageFault::Fraction { name: "endTime", .. }));
}

#[test]
fn a_report_that_makes_no_sense_in_itself_is_refused() {
    let (begin, end) = ("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z");
    let good = raw(begin, end, "1");
    for (raw, expected) in [
        (RawReport { instance_id: "", ..good }, UsageFault::Missing("instanceId")),
        (RawReport { begin_time: "", ..good }, UsageFault::Missing("beginTime")),
        (RawReport { usage_value: "", ..good }, UsageFault::Missing("usageValue")),
        (RawReport { instance_id: &"i".repeat(65), ..good }, UsageFault::LongId("instanceId")),
        (RawReport { relate_pkg_instance: &"p".repeat(65), ..good }, UsageFault::LongId("relatePkgInstance")),
        (
            RawReport { begin_time: end, end_time: begin, ..good },
            UsageFault::Backwards { begin: instant(end), end: instant(begin) },
        ),
        (
            RawReport { usage_value: "1e3", ..good },
            UsageFault::Value { text: "1e3".to_owned(), fault: QuantityFault::Form },
        ),
    ] {
        assert_eq!(Report::read(&raw), Err(expected));
    }
    assert_eq!(report(begin, begin).window.begin, instant(begin), "no length is a length");
}

#[test]
fn only_real_on_demand_instances_have_usage() {
    let report = report("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z");
    let charged = |mode: Option<&str>| Known::Saas(Facts { charging_mode: mode.map(str::to_owned), ..facts() });
    let verdict = |known| verdict(&report, known, Known::No, &[]);
    assert!(matches!(verdict(Known::No), Some(UsageFault::UnknownInstance(_))));
    assert!(matches!(verdict(Known::Test), Some(UsageFault::TestInstance(_))));
    assert!(matches!(verdict(Known::Other(Kind::License)), Some(UsageFault::NotSaas { .. })));
    for mode in ["PERIOD", "ONE_TIME", "ON_DEMAND_PKG"] {
        let fault = verdict(charged(Some(mode))).map(|fault| fault.to_string()).unwrap_or_default();
        assert!(fault.contains(mode) && fault.contains("not ON_DEMAND"), "{fault}");
    }
    for mode in [Some("ON_DEMAND"), Some("something new"), None] {
        assert_eq!(verdict(charged(mode)), None, "{mode:?}");
    }
}

#[test]
fn the_time_lies_between_order_and_release_and_is_over_and_not_too_old() {
    let at = |begin, end, facts| verdict(&report(begin, end), Known::Saas(facts), Known::No, &[]);
    let released = || Facts { released_at: Some(instant("2026-01-10T10:00:00Z")), ..facts() };
    // Up to now by any clock that is not wrong, but not beyond.
    assert_eq!(at("2026-01-15T11:00:00Z", "2026-01-15T12:01:00Z", facts()), None);
    assert!(matches!(at("2026-01-15T11:00:00Z", "2026-01-15T12:01:01Z", facts()), Some(UsageFault::Future { .. })));
    assert_eq!(at("2026-01-10T09:00:00Z", "2026-01-10T10:00:00Z", released()), None);
    let late = at("2026-01-10T10:00:00Z", "2026-01-10T10:00:01Z", released());
    assert!(matches!(late, Some(UsageFault::AfterRelease { .. })));
    // In the second in which it was ordered.
    assert_eq!(at("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", facts()), None);
    let early = at("2025-12-31T23:59:59Z", "2026-01-01T01:00:00Z", facts());
    assert!(matches!(early, Some(UsageFault::BeforeOrder { .. })));
    let old = || Facts { ordered_at: instant("2025-01-01T00:00:00Z"), ..facts() };
    assert_eq!(at("2025-12-25T12:00:00Z", "2025-12-25T13:00:00Z", old()), None);
    let too_old = at("2025-12-25T11:59:59Z", "2025-12-25T13:00:00Z", old());
    assert!(matches!(too_old, Some(UsageFault::TooOld { .. })));
    // It would be too old at the hour at which it is sent.
    let now = instant("2026-01-15T12:30:00Z");
    let long = report("2025-12-25T12:45:00Z", "2026-01-15T12:20:00Z");
    assert!(matches!(check(&long, &Known::Saas(old()), &Known::No, &[], now), Err(UsageFault::TooOld { .. })));
}

#[test]
fn a_package_is_a_package() {
    let report = Report { package: Some("p-1".to_owned()), ..report("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z") };
    let package = |mode: Option<&str>| Known::Saas(Facts { charging_mode: mode.map(str::to_owned), ..facts() });
    let verdict = |known| verdict(&report, Known::Saas(facts()), known, &[]);
    for known in
        [Known::No, Known::Test, Known::Other(Kind::License), package(Some("ON_DEMAND")), package(Some("PERIOD"))]
    {
        assert!(matches!(verdict(known.clone()), Some(UsageFault::Package { .. })), "{known:?}");
    }
    assert_eq!(verdict(package(Some("ON_DEMAND_PKG"))), None);
    assert_eq!(verdict(package(None)), None);
    let itself = Report { package: Some("i-1".to_owned()), ..report.clone() };
    let unknown = Known::Saas(Facts { charging_mode: None, ..facts() });
    let fault = check(&itself, &unknown, &unknown, &[], instant("2026-01-15T12:00:00Z"));
    assert!(matches!(fault, Err(UsageFault::Package { .. })));
}

#[test]
fn a_time_counts_once_and_the_sum_has_bounds() {
    let other = Neighbour {
        metering_sn: "sn-1".to_owned(),
        window: report("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z").window,
        value: "7".parse().unwrap(),
    };
    let at = |begin, end| verdict(&report(begin, end), Known::Saas(facts()), Known::No, std::slice::from_ref(&other));
    assert_eq!(at("2026-01-15T09:00:00Z", "2026-01-15T10:00:00Z"), None, "they only touch");
    assert_eq!(at("2026-01-15T08:00:00Z", "2026-01-15T08:00:00Z"), None);
    for (begin, end) in [
        ("2026-01-15T08:59:59Z", "2026-01-15T10:00:00Z"),
        ("2026-01-15T07:00:00Z", "2026-01-15T08:00:01Z"),
        ("2026-01-15T07:00:00Z", "2026-01-15T11:00:00Z"),
        ("2026-01-15T08:30:00Z", "2026-01-15T08:30:00Z"),
    ] {
        let fault = at(begin, end).map(|fault| fault.to_string()).unwrap_or_default();
        assert!(fault.contains("sn-1") && fault.contains('7'), "{begin}: {fault}");
    }
    let full = Facts { total: i64::MAX - 14_999, ..facts() };
    let fault = verdict(&report("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z"), Known::Saas(full), Known::No, &[]);
    assert_eq!(fault, Some(UsageFault::TotalTooLarge));
}

#[test]
fn a_record_is_due_at_the_first_full_hour_which_is_right_for_days_in_beijing_too() {
    for (end, due) in [
        ("2026-01-15T13:25:00Z", "2026-01-15T14:00:00Z"),
        ("2026-01-15T14:00:00Z", "2026-01-15T14:00:00Z"),
        ("2026-01-15T14:00:01Z", "2026-01-15T15:00:00Z"),
        ("2026-01-15T23:59:59Z", "2026-01-16T00:00:00Z"),
        ("1969-12-31T23:30:00Z", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(due_at(instant(end)), instant(due), "{end}");
    }
    // A daily sum up to midnight in Beijing, or to its last second, goes out in the first minutes of the next day there.
    for end in ["2026-01-16T00:00:00+08:00", "2026-01-15T23:59:59+08:00"] {
        assert_eq!(due_at(instant(end)), instant("2026-01-16T00:00:00+08:00"), "{end}");
    }
}

fn record() -> Record {
    Record {
        row: 1,
        metering_sn: "a1b2c3d4e5f60718293a4b5c6d7e8f90".to_owned(),
        instance_id: "7f141bf1-aec8-4859-8323-fb3a8ad50721".to_owned(),
        product_id: Some("OFFI1".to_owned()),
        window: report("20260115T080000Z", "20260115T090000Z").window,
        record_time: instant("2026-01-15T09:10:00Z"),
        value: "99.1234".parse().unwrap(),
        package: None,
        sent: 1,
    }
}

#[test]
fn the_body_is_that_of_the_specification() {
    let expected = concat!(
        r#"{"usage_records":[{"begin_time":"20260115T080000Z","end_time":"20260115T090000Z","#,
        r#""instance_id":"7f141bf1-aec8-4859-8323-fb3a8ad50721","metering_sn":"a1b2c3d4e5f60718293a4b5c6d7e8f90","#,
        r#""record_time":"20260115T091000Z","usage_value":"99.1234"}]}"#,
    );
    assert_eq!(body(&[record()], Form::New), expected);
    let old = concat!(
        r#"{"usage_records":[{"begin_time":"20260115T080000Z","end_time":"20260115T090000Z","#,
        r#""instance_id":"7f141bf1-aec8-4859-8323-fb3a8ad50721","product_id":"OFFI1","#,
        r#""record_time":"20260115T091000Z","relate_pkg_instance":"p-1","usage_value":"99.1234"}]}"#,
    );
    assert_eq!(body(&[Record { package: Some("p-1".to_owned()), ..record() }], Form::Old), old);
    let unknown = body(&[Record { product_id: None, ..record() }], Form::Old);
    assert!(!unknown.contains("product_id") && !unknown.contains("metering_sn"), "{unknown}");
}

#[test]
fn a_refused_batch_is_halved_down_to_single_records() {
    for count in 1..20 {
        let (mut open, mut alone, mut sent) = (vec![(0..count).collect::<Vec<_>>()], Vec::new(), 0);
        while let Some(batch) = open.pop() {
            sent += 1;
            match halves(&batch) {
                (one, []) => alone.extend_from_slice(one),
                (first, second) => open.extend([second.to_vec(), first.to_vec()]),
            }
        }
        assert_eq!((alone, sent), ((0..count).collect::<Vec<_>>(), 2 * count - 1));
    }
}

#[test]
fn every_documented_record_code_has_its_advice() {
    let undocumented = advice::what_to_do("008");
    for code in ["001", "002", "003", "004", "006", "007", "009", "010", "011", "012", "013", "MKT.9001", "0100"] {
        assert_ne!(advice::what_to_do(code), undocumented, "{code}");
    }
    assert!(advice::what_to_do("012").contains("report usage for the on-demand instance, not the package"));
    assert!(advice::what_to_do("WITHDRAWN").contains("taken out"));
}

#[test]
fn a_request_holds_a_list_or_one_report() {
    let one = r#"{"instanceId":"i-1","beginTime":"2026-01-15T08:00:00Z","endTime":"2026-01-15T09:00:00Z","usageValue":99.10,
                  "relatePkgInstance":null}"#;
    let expected = Report { value: "99.1".parse().unwrap(), ..report("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z") };
    assert_eq!(intake::read(one.as_bytes()), Ok(Intake::One(Ok(expected.clone()))));
    let text = one.replace("99.10", "\"99.1\"");
    let unknown = one.replace("usageValue", "usage_value");
    let float = one.replace("99.10", "9.91e1");
    let body = format!(r#"{{"records":[{one},{text},{unknown},{float},7]}}"#);
    let Ok(Intake::Many(all)) = intake::read(body.as_bytes()) else { panic!("{body}") };
    assert_eq!(all[..2], [Ok(expected.clone()), Ok(expected)]);
    assert!(matches!(&all[2], Err(UsageFault::Malformed(why)) if why.contains("usage_value")), "{all:?}");
    assert!(matches!(&all[3], Err(UsageFault::Value { fault: QuantityFault::Form, .. })), "{all:?}");
    assert!(matches!(&all[4], Err(UsageFault::Malformed(_))), "{all:?}");
}

#[test]
fn a_body_that_is_no_request_is_refused_as_a_whole() {
    for body in [
        "",
        "[]",
        "7",
        "{\"records\":7}",
        "{\"records\":[],\"more\":1}",
        "\u{0}",
        "{\"records\":[{}],\"records\":[{}]}",
    ] {
        assert!(matches!(intake::read(body.as_bytes()), Err(IntakeFault::Form(_))), "{body}");
    }
    assert_eq!(intake::read(b"{\"records\":[]}"), Err(IntakeFault::Empty));
    assert!(matches!(intake::read(b"\xff"), Err(IntakeFault::Form(_))));
    let many = |count: usize| format!("{{\"records\":[{}]}}", vec!["{}"; count].join(","));
    assert!(matches!(intake::read(many(1000).as_bytes()), Ok(Intake::Many(all)) if all.len() == 1000));
    assert_eq!(intake::read(many(1001).as_bytes()), Err(IntakeFault::TooMany(1001)));
}

#[test]
fn files_as_people_write_them_are_read_line_by_line() {
    let text = "\u{feff}usage_value, end_time,begin_time,instance_id\r\n1.5,2026-01-15T09:00:00Z,2026-01-15T08:00:00Z, i-1 \r\n\
                \r\nx,2026-01-15T09:00:00Z,2026-01-15T08:00:00Z,i-1\r\n1,2\r\n";
    let lines = file::read(text.as_bytes()).unwrap();
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4, 5]);
    assert_eq!(lines[0], Line { number: 2, report: Ok(report("2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z")) });
    assert!(matches!(lines[1].report, Err(UsageFault::Value { .. })), "{lines:?}");
    assert!(matches!(lines[2].report, Err(UsageFault::Malformed(_))), "{lines:?}");
    for (text, expected) in [
        ("", UsageFileError::MissingColumn("instance_id")),
        ("instance_id,begin_time,end_time\n", UsageFileError::MissingColumn("usage_value")),
        ("instance_id,begin_time,end_time,usage_value,x\n", UsageFileError::UnknownColumn("x".to_owned())),
        ("instance_id,instance_id\n", UsageFileError::RepeatedColumn("instance_id")),
        ("instance_id,begin_time,end_time,usage_value\n", UsageFileError::Empty),
    ] {
        assert_eq!(file::read(text.as_bytes()), Err(expected), "{text}");
    }
    assert_eq!(file::read(b"\xb5\xd8"), Err(UsageFileError::NotUtf8));
}

proptest! {
    #[test]
    fn a_record_is_due_within_the_hour_and_never_before_its_end(second in -62_135_596_800_i64..253_402_200_000) {
        let end = Timestamp::from_second(second).unwrap();
        let due = due_at(end);
        prop_assert!(due >= end && due.duration_since(end) < SignedDuration::from_hours(1));
        prop_assert_eq!(due.as_second().rem_euclid(3600), 0);
        prop_assert_eq!(due_at(due), due);
    }

    #[test]
    fn bodies_are_sorted_and_compact_whatever_is_in_them(
        ids in proptest::collection::vec((r"\PC{1,8}", proptest::option::of(r"\PC{1,8}")), 1..5), old in any::<bool>(),
    ) {
        let records: Vec<Record> = ids
            .into_iter()
            .map(|(instance_id, package)| Record { instance_id, package, ..record() })
            .collect();
        let body = body(&records, if old { Form::Old } else { Form::New });
        // Without `preserve_order` a value is written with its members sorted, at every level.
        let sorted = serde_json::from_str::<serde_json::Value>(&body).unwrap().to_string();
        prop_assert_eq!(&sorted, &body);
        prop_assert_eq!(render(body.as_bytes(), Nulls::Keep), Some(body));
    }

    #[test]
    fn windows_overlap_as_sets_of_seconds_do(a in 0..9_i64, b in 0..9_i64, c in 1..9_i64, d in 1..9_i64) {
        let window = |from: i64, long: i64| Window {
            begin: Timestamp::from_second(from).unwrap(),
            end: Timestamp::from_second(from + long).unwrap(),
        };
        let (one, two) = (window(a, c), window(b, d));
        let shared = (a..a + c).any(|second| (b..b + d).contains(&second));
        prop_assert_eq!(one.overlaps(two), shared);
        prop_assert_eq!(two.overlaps(one), shared);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = file::read(&bytes);
        let _ = intake::read(&bytes);
    }
}
