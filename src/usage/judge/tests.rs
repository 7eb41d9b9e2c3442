//! Answers as they may come, for data whose shape is not documented.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::usage::Window;

/// Records `sn-0`, `sn-1` …, one an hour, sent for the first time.
fn batch(count: usize) -> Vec<Record> {
    let hour = |hour: usize| Timestamp::from_second(1_768_464_000 + 3600 * hour as i64).unwrap();
    (0..count)
        .map(|number| Record {
            row: number as i64,
            metering_sn: format!("sn-{number}"),
            instance_id: "i-1".to_owned(),
            product_id: None,
            window: Window { begin: hour(number), end: hour(number + 1) },
            record_time: hour(number + 1),
            value: "100".parse().unwrap(),
            package: None,
            sent: 1,
        })
        .collect()
}

fn refused<'a>(code: &'a str, data: Option<&'a str>) -> Pushed<'a> {
    Pushed::Refused { code, message: "Failed", data }
}

/// What becomes of each record of a batch of two: a code where it is rejected.
fn check(data: &str, expected: [&str; 2]) {
    let each = match judge(&batch(2), refused("94060999", Some(data))) {
        Verdicts::Each(each) => each,
        other => panic!("{data}: {other:?}"),
    };
    let shown = each.iter().map(|verdict| match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Again => "again",
        Verdict::Rejected(why) => why.code.as_str(),
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{data}");
}

#[test]
fn the_end_of_a_push_without_codes_of_records() {
    let two = batch(2);
    assert_eq!(judge(&two, Pushed::Accepted), Verdicts::Each(vec![Verdict::Accepted; 2]));
    assert!(matches!(judge(&two, Pushed::Unknown { why: "timeout" }), Verdicts::Later { .. }));
    for code in ["MKT.9001", "MKT. 9002", "9004", "CBC.0100", "MKT.0101", "MKT.0199", "94060999"] {
        assert_eq!(judge(&two, refused(code, None)), Verdicts::Halve, "{code}");
        let Verdicts::Each(each) = judge(&two[..1], refused(code, None)) else { panic!("{code}") };
        assert!(matches!(&each[..], [Verdict::Rejected(why)] if why.code == bare(code)), "{code}: {each:?}");
    }
    assert_eq!(judge(&two, refused("MKT.9003", None)), Verdicts::Fewer);
    assert!(matches!(judge(&two[..1], refused("MKT.9003", None)), Verdicts::Later { .. }));
    for code in ["MKT.0102", "CBC.0150", "MKT.0151", "MKT.0154", "APIGW.0301", "APIG.0101"] {
        let Verdicts::Trouble { alert } = judge(&two[..1], refused(code, None)) else { panic!("{code}") };
        assert!(alert.contains("Failed") && alert.contains("check") || alert.contains("[keys]"), "{alert}");
    }
    for code in ["MKT.0250", "MKT.0999", "APIGW.0308", "something else", ""] {
        assert!(matches!(judge(&two[..1], refused(code, None)), Verdicts::Later { .. }), "{code}");
    }
}

#[test]
fn codes_are_found_in_any_shape_that_names_its_records() {
    for data in [
        r#"[{"metering_sn":"sn-1","error_code":"013"}]"#,
        r#"{"failed":[{"meteringSn":"sn-1","code":13,"reason":"state"}]}"#,
        r#"{"usage_records":[{"instance_id":"i-1","begin_time":"20260115T090000Z","usage_value":"100","result":"013"}]}"#,
        r#"[{"instanceId":"i-1","beginTime":"20260115T090000Z","endTime":"20260115T100000Z","errorCode":"MKT.013"}]"#,
        r#"[{"record":{"metering_sn":"sn-1","usage_value":"100"},"error":{"code":"013"}}]"#,
        r#"[{"metering_sn":"sn-1","errors":[{"code":"013"}]}]"#,
        r#"{"sn-1":"013"}"#,
        r#"{"sn-1":{"error_code":"013","error_msg":"wrong state"}}"#,
        r#"{"013":["sn-1"]}"#,
        r#"{"013":[{"metering_sn":"sn-1"}]}"#,
        r#"[null,"013"]"#,
        r#"{"codes":["000","013"]}"#,
        r#"[{"code":"000"},{"code":"013"}]"#,
        r#""{\"sn-1\":\"013\"}""#,
        r#"[{"metering_sn":"sn-0","error_code":"000"},{"metering_sn":"sn-1","error_code":"013"}]"#,
        r#"{"a":{"metering_sn":"sn-0"},"b":{"metering_sn":"sn-1","code":"013"}}"#,
    ] {
        check(data, ["again", "013"]);
    }
    check(r#"[{"metering_sn":"sn-0","code":"001"},{"metering_sn":"sn-1","code":"012"}]"#, ["001", "012"]);
}

#[test]
fn what_ties_no_code_to_a_record_accuses_nobody() {
    for data in [
        "",
        "null",
        "[]",
        "not json",
        r#"{"error_code":"013"}"#,
        r#"["013"]"#,
        r#"[{"metering_sn":"sn-9","code":"013"}]"#,
        r#"[{"metering_sn":"sn-1","usage_value":"100"}]"#,
        r#"[{"instance_id":"i-1","begin_time":"20260115T093000Z","code":"013"}]"#,
    ] {
        assert_eq!(judge(&batch(2), refused("94060999", Some(data))), Verdicts::Halve, "{data}");
    }
    // Of one record alone any code is its own.
    for data in [r#"{"error_code":"013"}"#, r#"["013"]"#, r#""013""#, r#"{"x":{"y":["013"]}}"#] {
        let Verdicts::Each(each) = judge(&batch(1), refused("94060999", Some(data))) else { panic!("{data}") };
        assert!(matches!(&each[..], [Verdict::Rejected(why)] if why.code == "013"), "{data}: {each:?}");
    }
}

/// A count or an index among the data must not say that a record has arrived (005, 010), or what is wrong with it.
#[test]
fn a_number_is_a_code_only_where_it_is_called_one() {
    for data in [
        r#"{"total":5,"failed":1}"#,
        r#"{"index":5,"reason":"wrong"}"#,
        r#"[{"metering_sn":"sn-0","index":5,"reason":"wrong"}]"#,
        r#"[{"metering_sn":"sn-0","detail":{"line":10}}]"#,
        r#"[5]"#,
        r#"{"failed":[5]}"#,
    ] {
        let mut alone = batch(1);
        alone[0].sent = 2;
        let Verdicts::Each(each) = judge(&alone, refused("94060999", Some(data))) else { panic!("{data}") };
        assert!(matches!(&each[..], [Verdict::Rejected(why)] if why.code == "94060999"), "{data}: {each:?}");
    }
    for data in [r#"{"failed":[0,1]}"#, r#"[{"index":5},{"index":10}]"#, r#"[{"metering_sn":"sn-1","index":5}]"#] {
        assert_eq!(judge(&batch(2), refused("94060999", Some(data))), Verdicts::Halve, "{data}");
    }
    check(r#"[{"metering_sn":"sn-1","index":5,"code":13}]"#, ["again", "013"]);
    check(r#"{"codes":[0,13]}"#, ["again", "013"]);
    check(r#"{"sn-1":13}"#, ["again", "013"]);
}

#[test]
fn what_is_known_there_already_has_arrived() {
    check(r#"{"sn-0":"005","sn-1":"010"}"#, ["accepted", "010"]);
    let mut again = batch(2);
    again[1].sent = 2;
    let judged = judge(&again, refused("94060999", Some(r#"{"sn-0":"010","sn-1":"010"}"#)));
    let Verdicts::Each(each) = judged else { panic!("{judged:?}") };
    assert!(matches!(&each[..], [Verdict::Rejected(_), Verdict::Accepted]), "{each:?}");
}

#[test]
fn the_data_of_a_rejection_is_kept_within_bounds() {
    let data = format!(r#"{{"sn-0":"011","more":"{}"}}"#, "界".repeat(5000));
    let Verdicts::Each(each) = judge(&batch(2), refused("94060999", Some(&data))) else { panic!() };
    let Verdict::Rejected(why) = &each[0] else { panic!("{each:?}") };
    assert_eq!(why.data.as_ref().map(|data| data.chars().count()), Some(2000));
}

proptest! {
    #[test]
    fn any_data_is_taken_without_a_panic_and_judges_every_record(
        data in r#"[\[\]{},:" 0-9sn.-]{0,60}|.{0,60}"#, code in ".{0,12}", count in 1..5_usize,
    ) {
        for code in [code.as_str(), "94060999"] {
            if let Verdicts::Each(each) = judge(&batch(count), refused(code, Some(&data))) {
                prop_assert_eq!(each.len(), count);
            }
        }
    }

    /// Whatever else the data holds, a record is never rejected with a code that was told for another.
    #[test]
    fn each_record_gets_its_own_code(codes in proptest::collection::vec(proptest::option::of(0..5_usize), 2..20)) {
        let known = ["001", "003", "011", "012", "013"];
        let told: Vec<_> = codes.iter().enumerate().filter_map(|(number, code)| {
            let sn = format!("sn-{number}");
            code.map(|code| serde_json::json!({ "metering_sn": sn, "detail": { "code": known[code] } }))
        }).collect();
        let data = serde_json::json!({ "failed": told, "total": codes.len() }).to_string();
        match judge(&batch(codes.len()), refused("94060999", Some(&data))) {
            Verdicts::Each(each) => for (verdict, code) in each.iter().zip(&codes) {
                match (verdict, code) {
                    (Verdict::Again, None) => {}
                    (Verdict::Rejected(why), Some(code)) => prop_assert_eq!(&why.code, known[*code]),
                    other => prop_assert!(false, "{other:?}"),
                }
            },
            other => prop_assert!(codes.iter().all(Option::is_none), "{other:?}"),
        }
    }
}
