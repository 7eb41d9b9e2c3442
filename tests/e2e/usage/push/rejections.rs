//! KooGallery refuses records: in whatever form it says so, those it means are rejected and no others.

use std::sync::Arc;

use super::*;
use crate::koogallery::{Behaviour, Failed, Judgement, Reply};

type Shape = fn(&[Failed]) -> Value;

/// Forms that the data may have; the documents do not say which.
const SHAPES: [Shape; 6] = [
    |failed| {
        failed.iter().map(|one| json!({ "metering_sn": one.record["metering_sn"], "error_code": one.code })).collect()
    },
    |failed| {
        let entries: Value = failed
            .iter()
            .map(|one| json!({ "record": one.record, "error": { "code": one.code, "msg": "x" } }))
            .collect();
        json!({ "failed_records": entries, "total": failed.len() })
    },
    |failed| {
        let entry = |one: &Failed| (one.record["metering_sn"].as_str().unwrap().to_owned(), json!(one.code));
        Value::Object(failed.iter().map(entry).collect())
    },
    |failed| {
        let mut codes = json!({});
        for one in failed {
            codes[one.code] = json!([one.record["metering_sn"]]);
        }
        codes
    },
    |failed| {
        let entry = |one: &Failed| {
            json!({ "instanceId": one.record["instance_id"], "beginTime": one.record["begin_time"],
                    "endTime": one.record["end_time"], "errorCode": one.code.parse::<u32>().unwrap() })
        };
        failed.iter().map(entry).collect()
    },
    |failed| {
        let entries: Value =
            failed.iter().map(|one| json!({ "meteringSn": one.record["metering_sn"], "code": one.code })).collect();
        json!(entries.to_string())
    },
];

#[test]
fn the_records_that_are_refused_are_found_in_data_of_many_forms() {
    let scene = Scene::open("");
    let closed = buy(&scene.shop, &scene.mock, "CS2");
    age(&scene.shop);
    scene.mock.put_instance(&closed, Instance::Refused("013"));
    for (hour, shape) in (3..).zip(SHAPES) {
        let all_or_nothing = hour % 2 == 0;
        scene.mock.judge_usage(Judgement { all_or_nothing, data: Arc::new(shape), ..Judgement::default() });
        let before = scene.calls();
        let numbers =
            scene.report_all(&[(&scene.used, "1"), (&closed, "2")].map(|(id, value)| report(id, hour, value)));
        scene.settled();
        let rejected = scene.record(&numbers[1]);
        assert_eq!((&rejected["state"], &rejected["resultCode"]), (&json!("rejected"), &json!("013")), "{hour}");
        assert!(rejected["data"].as_str().unwrap().contains("13"), "{rejected}");
        assert_eq!(scene.record(&numbers[0])["state"], "accepted", "{hour}");
        // What was not refused is sent once more, since nobody says that it was taken.
        assert_eq!(scene.calls() - before, 2, "{hour}");
    }
    let count = i64::try_from(SHAPES.len()).unwrap();
    assert_eq!((scene.mock.billed(&scene.used), scene.mock.billed(&closed)), (count * 10_000, 0));
    assert_eq!(told(&scene.shop, &closed)[0]["usageValue"].to_string(), "0");
    assert_eq!(told(&scene.shop, &scene.used)[0]["usageValue"].to_string(), count.to_string());
}

#[test]
fn of_a_call_refused_as_a_whole_the_one_at_fault_is_found_by_halving() {
    for reply in [
        Reply::code(500, "MKT.9001"),
        Reply::code(500, "MKT.9002"),
        Reply::code(500, "MKT. 9004"),
        Reply::code(200, "94060999"),
    ] {
        let scene = Scene::open("");
        let culprit = minutes(&scene.used, 100)[61]["beginTime"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let mark = culprit.strftime("\"begin_time\":\"%Y%m%dT%H%M%SZ\"").to_string();
        let told = reply.clone();
        scene.mock.decide(Route::UsageData, move |_, call| match text(&call.request.body).contains(&mark) {
            true => Behaviour::Instead(told.clone()),
            false => Behaviour::Normal,
        });
        let numbers = scene.report_all(&minutes(&scene.used, 100));
        scene.settled();
        assert_eq!((scene.count("accepted"), scene.count("rejected")), (99, 1), "{reply:?}");
        assert_eq!(scene.record(&numbers[61])["state"], "rejected");
        assert_eq!(scene.mock.billed(&scene.used), 99 * 15_000);
        // 100, and then two halves of each of 100, 50, 25, 13, 7, 4 and 2.
        assert!(scene.calls() <= 15, "{}", scene.calls());
        assert!(scene.mock.records().iter().all(|record| record.arrivals == 1));
    }
}

#[test]
fn batches_get_smaller_where_koogallery_takes_fewer() {
    let scene = Scene::open("usage_batch_size = 200");
    scene.mock.decide(Route::UsageData, |_, call| match call.json["usage_records"].as_array().unwrap().len() {
        0..=60 => Behaviour::Normal,
        _ => Behaviour::Instead(Reply::code(500, "MKT.9003")),
    });
    let numbers = scene.report_all(&minutes(&scene.used, 400));
    scene.settled();
    assert_billed_once(&scene.mock, &numbers);
    let sizes: Vec<_> = scene
        .mock
        .calls_of(Route::UsageData)
        .iter()
        .map(|call| call.json["usage_records"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [200, 100, 50, 50, 100, 50, 50, 50, 50, 50, 50]);
    assert!(scene.shop.koogate.log_text().contains("set open_api.usage_batch_size"));
}
