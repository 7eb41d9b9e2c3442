//! From the record to KooGallery: what is sent when, and what becomes of it.

mod deaths;
mod load;
mod outages;
mod refusals;
mod rejections;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{age, hour, on_demand, told};
use crate::harness::{Application, KEY, eventually, text};
use crate::koogallery::{Instance, KooGallery, Record, Route};
use crate::shop::{FIXED, Shop, as_test, instance_id, new_item};

pub const TOKEN: &str = "admin-token-0123456789";
pub const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"admin-token-0123456789\"\n";

/// A shop that pushes to a KooGallery, and an on-demand instance three days old that both know.
pub struct Scene {
    pub shop: Shop,
    pub mock: KooGallery,
    pub used: String,
}

impl Scene {
    /// With further lines for `[open_api]`.
    pub fn open(lines: &str) -> Self {
        Self::at(KooGallery::start(), lines)
    }

    /// At a KooGallery that may be down.
    pub fn at(mock: KooGallery, lines: &str) -> Self {
        let sections = format!("{}{lines}\n{ADMIN}", mock.toml());
        Self::with(mock, &sections)
    }

    /// With these sections.
    pub fn with(mock: KooGallery, sections: &str) -> Self {
        let shop = Shop::with_products(Application::ready(), sections, FIXED);
        let used = buy(&shop, &mock, "CS1");
        age(&shop);
        Self { shop, mock, used }
    }

    /// Reports a time for the instance, so many hours ago.
    pub fn report(&self, ago: i64, value: &str) -> String {
        self.report_all(&[report(&self.used, ago, value)]).remove(0)
    }

    /// Reports, all of which are recorded; their numbers.
    pub fn report_all(&self, reports: &[Value]) -> Vec<String> {
        let body = json!({ "records": reports }).to_string();
        let answer = self.shop.koogate.admin("POST", "/api/v1/usage", Some(TOKEN), &body);
        let answer = answer.json();
        let number = |entry: &Value| entry["meteringSn"].as_str().map(str::to_owned);
        let numbers = answer["records"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(number);
        numbers.map(|number| number.unwrap_or_else(|| panic!("{answer}"))).collect()
    }

    /// How many records are in a state.
    pub fn count(&self, state: &str) -> i64 {
        self.shop.count(&format!("usage_record WHERE state = '{state}'"))
    }

    /// Waits until nothing waits.
    pub fn settled(&self) {
        let complaint = || format!("{} wait\n{}", self.count("waiting"), self.shop.koogate.log_text());
        eventually(|| (self.count("waiting") == 0).then_some(()), complaint);
    }

    /// A record by its number, as `usage list` tells it.
    pub fn record(&self, sn: &str) -> Value {
        let all = self.shop.scratch.run_json(&["usage", "list", "--limit", "1000000", "--json"]);
        all.into_iter().find(|record| record["meteringSn"] == sn).unwrap()
    }

    /// The calls so far.
    pub fn calls(&self) -> usize {
        self.mock.count(Route::UsageData)
    }

    /// The log, once it has a line with this.
    pub fn wait_for_log(&self, part: &str) {
        self.shop.koogate.wait_for_log(part);
    }
}

/// An on-demand instance that KooGallery knows, too.
pub fn buy(shop: &Shop, mock: &KooGallery, order: &str) -> String {
    let id = instance_id(&shop.get("000000", &on_demand(order, "0")));
    mock.put_instance(&id, Instance::ON_DEMAND);
    id
}

/// A report of an hour.
pub fn report(instance: &str, ago: i64, value: &str) -> Value {
    json!({ "instanceId": instance, "beginTime": hour(ago), "endTime": hour(ago - 1), "usageValue": value })
}

/// Reports of so many minutes, the last of which is over for an hour: 1.5 each.
pub fn minutes(instance: &str, count: i64) -> Vec<Value> {
    let end: Timestamp = hour(1).parse().unwrap();
    let at = |minute: i64| (end - SignedDuration::from_mins(minute)).to_string();
    let report = |minute: i64| json!({ "instanceId": instance, "beginTime": at(minute + 1), "endTime": at(minute), "usageValue": "1.5" });
    (0..count).map(report).collect()
}

/// Each record has arrived under one number, and is billed.
pub fn assert_billed_once(mock: &KooGallery, numbers: &[String]) {
    assert_eq!(mock.refusals(), Vec::<String>::new());
    let arrived: BTreeMap<String, Record> =
        mock.records().into_iter().map(|record| (record.metering_sn.clone().unwrap(), record)).collect();
    assert_eq!((arrived.len(), mock.records().len()), (numbers.len(), numbers.len()));
    for number in numbers {
        assert!(arrived[number].taken, "{number}: {:?}", arrived[number]);
    }
}

#[test]
fn a_report_is_pushed_with_its_number_and_accepted() {
    let scene = Scene::open("");
    let package = instance_id(&scene.shop.get("000000", &on_demand("CS2", "5")));
    age(&scene.shop);
    scene.mock.put_instance(&package, Instance::Package);
    let mut with_package = report(&scene.used, 5, "0.2500");
    with_package["relatePkgInstance"] = package.clone().into();
    let numbers = scene.report_all(&[report(&scene.used, 4, "99.1234"), with_package]);
    let totals = || [&scene.used, &package].map(|id| told(&scene.shop, id));
    let before = totals();
    scene.settled();
    let calls = scene.mock.wait_for(Route::UsageData, 1);
    assert_eq!((calls.len(), scene.mock.locked()), (1, false));
    assert_billed_once(&scene.mock, &numbers);
    assert_eq!(scene.mock.billed(&scene.used), 993_734);
    let wire = |hour: &str| hour.parse::<Timestamp>().unwrap().strftime("%Y%m%dT%H%M%SZ").to_string();
    let expected = json!({
        "instance_id": scene.used, "begin_time": wire(&hour(5)), "end_time": wire(&hour(4)), "usage_value": "0.25",
        "metering_sn": numbers[1], "relate_pkg_instance": package,
        "record_time": wire(scene.record(&numbers[1])["recordTime"].as_str().unwrap()),
    });
    assert_eq!(scene.mock.records()[1].record, expected);
    let record = scene.record(&numbers[0]);
    assert_eq!(
        (&record["state"], &record["sent"], &record["resultCode"]),
        (&json!("accepted"), &json!(1), &Value::Null)
    );
    assert_eq!(totals(), before);
}

#[test]
fn a_record_goes_out_at_the_full_hour_or_when_the_operator_says_so() {
    let scene = Scene::open("");
    // A second that is no full hour.
    let now = Timestamp::now().as_second();
    let end = if now % 3600 == 0 { now - 1 } else { now };
    let due = Timestamp::from_second(end - end.rem_euclid(3600) + 3600).unwrap();
    let [begin, end] = [end - 60, end].map(|second| Timestamp::from_second(second).unwrap().to_string());
    let early = json!({ "instanceId": scene.used, "beginTime": begin, "endTime": end, "usageValue": "1" });
    let early = scene.report_all(&[early]).remove(0);
    let late = scene.report(20, "1");
    let accepted = |sn: &str| (scene.record(sn)["state"] == "accepted").then_some(());
    eventually(|| accepted(&late), || scene.shop.koogate.log_text());
    let waiting = scene.record(&early);
    if Timestamp::now() < due {
        assert_eq!(waiting["dueTime"], due.to_string());
        assert_eq!((&waiting["state"], &waiting["sent"], scene.calls()), (&json!("waiting"), &json!(0), 1));
    }
    scene.shop.scratch.run_ok(&["usage", "push"]);
    eventually(|| accepted(&early), || scene.shop.koogate.log_text());
    assert_billed_once(&scene.mock, &[early, late]);
}

#[test]
fn the_old_interface_gets_products_and_no_numbers() {
    let scene = Scene::open("usage_interface = \"old\"");
    let lost = crate::koogallery::Behaviour::LoseReply;
    scene.mock.next(Route::OldUsageData, 1, lost);
    let judgement = crate::koogallery::Judgement { repeat: Some("010"), ..Default::default() };
    scene.mock.judge_usage(judgement);
    let numbers = scene.report_all(&minutes(&scene.used, 3));
    scene.settled();
    let calls = scene.mock.calls_of(Route::OldUsageData);
    assert_eq!((calls.len(), scene.calls(), scene.mock.refusals()), (2, 0, Vec::new()));
    assert_eq!(calls[0].request.body, calls[1].request.body);
    for record in scene.mock.records() {
        assert!(record.taken && record.record["product_id"].is_string(), "{record:?}");
        assert_eq!(record.record.get("metering_sn"), None);
    }
    assert_eq!((scene.count("accepted"), scene.mock.billed(&scene.used)), (numbers.len() as i64, 45_000));
}

#[test]
fn usage_of_tests_stays_here_and_what_koogallery_does_not_know_is_rejected_with_advice() {
    let scene = Scene::open("");
    let test = instance_id(&scene.shop.expect("000000", &as_test(new_item("CS2", "P1"))));
    let body = report(&test, 3, "1").to_string();
    assert_eq!(scene.shop.koogate.admin("POST", "/api/v1/usage", Some(TOKEN), &body).status, 400);
    // Bought on another site, perhaps.
    let stranger = instance_id(&scene.shop.get("000000", &on_demand("CS3", "0")));
    age(&scene.shop);
    let numbers = scene.report_all(&[report(&stranger, 4, "1"), report(&scene.used, 4, "1")]);
    scene.settled();
    let rejected = scene.record(&numbers[0]);
    assert_eq!((&rejected["state"], &rejected["resultCode"]), (&json!("rejected"), &json!("001")));
    assert!(rejected["whatToDo"].as_str().unwrap().contains("bought on this site"), "{rejected}");
    assert_eq!(scene.record(&numbers[1])["state"], "accepted");
    scene.wait_for_log("ALERT KooGallery rejected 1 usage records");
    assert!(scene.mock.records().iter().all(|record| record.record["instance_id"] != test.as_str()));
    // What is mended is reported anew, under another number.
    scene.mock.put_instance(&stranger, Instance::ON_DEMAND);
    let again = scene.report_all(&[report(&stranger, 4, "1")]).remove(0);
    scene.settled();
    assert_ne!(again, numbers[0]);
    assert_eq!((scene.record(&again)["state"].as_str(), scene.mock.billed(&stranger)), (Some("accepted"), 10_000));
}

#[test]
fn without_open_api_records_wait_which_is_told_and_go_out_once_it_is_configured() {
    let scene = Scene::with(KooGallery::start(), ADMIN);
    let number = scene.report(3, "1");
    let metrics = || text(&scene.shop.koogate.admin("GET", "/metrics", Some(TOKEN), "").body);
    assert!(metrics().contains("koogate_usage_records{state=\"due\"} 1\n"), "{}", metrics());
    // Three hours pass.
    let database = rusqlite::Connection::open(scene.shop.scratch.path("koogate.db")).unwrap();
    database.busy_timeout(crate::harness::PATIENCE).unwrap();
    database.execute("UPDATE usage_record SET due_at = due_at - 10800000", []).unwrap();
    drop(database);
    scene.wait_for_log("ALERT usage records have been due since");
    assert!(scene.shop.koogate.log_text().contains("[open_api] is not configured"));
    let metrics = metrics();
    let oldest = metrics.split("\nkoogate_usage_oldest_due_seconds ").nth(1).unwrap().lines().next().unwrap();
    assert!((10_800..20_000).contains(&oldest.parse::<i64>().unwrap()), "{metrics}");
    let found = |subject: &str| {
        let lines = text(&scene.shop.scratch.run(&["check", "--json"]).stdout);
        let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["subject"] == subject).unwrap()
    };
    assert_eq!(found("usage")["level"], "error", "{}", found("usage"));
    assert_eq!((scene.record(&number)["sent"].as_i64(), scene.mock.calls().len()), (Some(0), 0));
    scene.shop.reload(&[KEY], &format!("{}{ADMIN}", scene.mock.toml()), FIXED);
    scene.settled();
    assert_billed_once(&scene.mock, &[number]);
    assert_eq!(found("usage")["level"], "ok");
}
