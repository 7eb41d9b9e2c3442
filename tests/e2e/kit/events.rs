//! What the merchant's application is told of the directory: everything, once, in the order of each tenant, whatever
//! happens to it and to koogate meanwhile.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::retries::Moody;
use crate::harness::{Application, ClosedDoor, Koogate, eventually, ready_answer, send};
use crate::kit_call::{
    GENERATIONS, KIT_KEY, OTHER_TENANT, Sync, TENANT, V1, application, encrypted, five, public_key, single_org, tenant,
};
use crate::shop::{Gate, PATIENT, Shop, freeze, new_item};

/// What of events counts, without what differs in every run.
fn changes(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| json!([event["event"], event["change"]])).collect()
}

/// The codes of departments, names of users and ids of applications that were told, the first of each event, in order.
pub fn codes(events: &[Value]) -> Vec<String> {
    let change = |event: &Value| event["change"].clone();
    let first = |change: Value| {
        let named = [&change["departments"][0]["orgCode"], &change["users"][0]["userName"], &change["appId"]];
        named.into_iter().find_map(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    };
    events.iter().map(change).map(first).collect()
}

fn only(name: &str) -> Value {
    json!([{ "userName": name }])
}

#[test]
fn each_call_is_told_as_one_event_with_everything_it_said() {
    for generation in GENERATIONS {
        let shop = Shop::with_kit();
        let [tenant, application, auth, single, all] = five("i-1");
        let removals = [
            auth.clone().with("userList", only("zhangsan01")).flag(3),
            auth.clone().with("userList", only("zhangsan01")).flag(0),
            single.clone().flag(0),
            application.clone().without("clientSecret").flag(0),
            tenant.clone().without("orderId").flag(0),
        ];
        for sync in [tenant, application, auth, single, all].iter().chain(&removals) {
            shop.sync_by(generation, "000000", sync);
        }
        let told = shop.application.wait_for(10);
        let user = json!({
            "userName": "zhangsan01", "name": "张三", "orgCode": "10000", "position": "系统管理员",
            "employeeCode": "007", "employeeType": 4, "role": "admin", "enabled": true, "mobile": "13800138000",
            "email": "zhang@example.com", "workPlace": "南京", "entryDate": "2022-11-9", "extension": {},
        });
        let nothing_but = |name: &str| {
            let mut bare: Value = user
                .as_object()
                .unwrap()
                .keys()
                .map(|name| (name.clone(), Value::Null))
                .collect::<serde_json::Map<_, _>>()
                .into();
            bare["userName"] = name.into();
            bare["extension"] = json!({});
            bare
        };
        let users = |action: &str, user: Value| {
            let time = "2022-04-20T03:41:17.642Z";
            json!(["users.sync", {
                "action": action, "tenantId": TENANT, "appId": "app-1", "syncTime": time, "users": [user],
            }])
        };
        let departments = |action: &str, complete: bool, departments: Value| {
            json!(["departments.sync", {
                "action": action, "complete": complete, "tenantId": TENANT, "departments": departments,
            }])
        };
        let top = json!({ "orgCode": "10000", "orgName": "开发部", "parentCode": null });
        let child = json!({ "orgCode": "10001", "orgName": "测试部", "parentCode": "10000" });
        let expected = [
            json!(["tenant.sync", {
                "action": "upsert", "orderId": "CS1906666666ABCDE", "tenantId": TENANT, "tenantCode": "huawei",
                "name": "测试企业", "domainName": "https://example.tenantaccount.com",
            }]),
            json!(["application.sync", {
                "action": "upsert", "tenantId": TENANT, "appId": "app-1", "clientId": "client-of-app-1",
                "clientSecret": "secret-1",
            }]),
            users("upsert", user.clone()),
            departments("upsert", false, json!([top])),
            departments("upsert", true, json!([top, child])),
            users("revoke", nothing_but("zhangsan01")),
            users("remove", nothing_but("zhangsan01")),
            departments("remove", false, json!([{ "orgCode": "10000", "orgName": null, "parentCode": null }])),
            json!(["application.sync", {
                "action": "remove", "tenantId": TENANT, "appId": "app-1", "clientId": null, "clientSecret": null,
            }]),
            json!(["tenant.sync", {
                "action": "remove", "orderId": null, "tenantId": TENANT, "tenantCode": null, "name": null,
                "domainName": null,
            }]),
        ];
        assert_eq!(changes(&told), expected);
        for event in &told {
            let mut rest = event.as_object().unwrap().clone();
            let ids = [rest.remove("event"), rest.remove("change"), rest.remove("operationId")];
            assert!(ids.iter().all(Option::is_some), "{event}");
            let expected =
                json!({ "attempt": 1, "test": false, "kind": "saas", "instanceId": "i-1", "parameters": {} });
            assert_eq!(Value::from(rest), expected);
        }
        let mut operations: Vec<_> = told.iter().map(|event| event["operationId"].to_string()).collect();
        operations.sort();
        operations.dedup();
        assert_eq!(operations.len(), 10);
    }
}

#[test]
fn an_event_without_an_instance_says_so() {
    let shop = Shop::with_kit();
    for sync in five("") {
        shop.sync("000000", &sync);
    }
    assert!(shop.application.wait_for(5).iter().all(|event| event["instanceId"].is_null()));
}

#[test]
fn a_product_without_an_application_gets_the_tables_only() {
    let shop = Shop::with_silent_kit("");
    let id = shop.koogate.call(&new_item("CS1", "P1")).json()["instanceId"].as_str().unwrap_or("i-1").to_owned();
    for sync in five("i-1").into_iter().chain(five(&id)) {
        shop.sync("000000", &sync);
    }
    assert_eq!(shop.count("job"), 0);
    assert!(!shop.scratch.run(&["tenant", "retry", TENANT]).status.success(), "there is nothing to retry");
}

#[test]
fn the_application_of_the_instances_product_is_told_and_the_first_where_there_is_no_instance() {
    let (first, second) = (Application::ready(), Application::ready());
    let products = first.product("") + &second.product("");
    let products = products.replacen("[[product]]", "[[product]]\nproduct_id = \"P1\"", 1);
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    let id = |order: &str, product: &str| {
        shop.koogate.call_until_success(&new_item(order, product)).json()["instanceId"].as_str().unwrap().to_owned()
    };
    let (one, two) = (id("CS1", "P1"), id("CS2", "P2"));
    shop.sync("000000", &tenant(&one));
    shop.sync("000000", &tenant(&two));
    shop.sync("000000", &tenant("unknown"));
    shop.sync("000000", &tenant(""));
    let told = |application: &Application, count: usize| {
        let events = application.wait_for(count);
        let of = |event: &Value| (event["event"] == "tenant.sync").then(|| event["instanceId"].clone());
        events.iter().filter_map(of).collect::<Vec<_>>()
    };
    // An entry for certain products is none for what names no product.
    assert_eq!(told(&second, 4), [json!(two), json!("unknown"), json!(null)]);
    assert_eq!(told(&first, 2), [json!(one)]);
}

#[test]
fn where_every_entry_is_for_certain_products_the_first_is_told_of_what_names_none() {
    let application = Application::ready();
    let products = application.product("product_id = \"P1\"");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    // The credential is applied for and the login tried before anything is sold.
    for sync in five("") {
        shop.sync("000000", &sync);
    }
    assert_eq!(application.wait_for(5).len(), 5);
}

#[test]
fn a_tenants_events_are_told_again_in_order_with_one_operation_id_until_the_application_is_up() {
    let moody = Moody::start();
    moody.down.store(true, Ordering::SeqCst);
    let products = moody.application.product("");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    let calls: Vec<Sync> = (0..6).map(|number| single_org("i-1", &number.to_string(), "d", "")).collect();
    for sync in &calls {
        shop.sync("000000", sync);
        shop.sync("000000", &sync.clone().of(OTHER_TENANT));
    }
    // Nothing of a tenant overtakes what failed before it.
    eventually(
        || (moody.application.events().len() >= 6).then_some(()),
        || format!("{:?}", moody.application.events()),
    );
    assert!(codes(&moody.application.events()).iter().all(|code| code == "0"));
    let attempts = shop.tenant(TENANT)["jobs"].clone();
    let jobs = attempts.as_array().unwrap();
    assert!(jobs.len() == 6 && jobs[0]["attempts"].as_i64() > Some(0) && jobs[1]["attempts"] == 0, "{attempts}");
    moody.down.store(false, Ordering::SeqCst);
    eventually(|| (moody.done().len() == 12).then_some(()), || format!("{:?}", moody.done()));
    for tenant in [TENANT, OTHER_TENANT] {
        let of_tenant = |event: &&Value| event["change"]["tenantId"] == tenant;
        let done: Vec<Value> = moody.done().iter().filter(of_tenant).cloned().collect();
        assert_eq!(codes(&done), ["0", "1", "2", "3", "4", "5"]);
    }
    // One operation id for each event, and attempts that count.
    let mut operations: HashMap<String, Vec<Value>> = HashMap::new();
    for event in moody.application.events() {
        operations.entry(event["operationId"].to_string()).or_default().push(event);
    }
    assert_eq!(operations.len(), 12);
    for events in operations.values() {
        assert!(events.iter().zip(1..).all(|(event, attempt)| event["attempt"] == attempt), "{events:?}");
        assert!(events.iter().all(|event| event["change"] == events[0]["change"]));
    }
}

#[test]
fn events_survive_kill_9_and_keep_their_order_and_operation_ids() {
    let door = ClosedDoor::new();
    let products = door.product("");
    let mut shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    for round in 0..3 {
        for number in 0..5 {
            shop.sync("000000", &single_org("i-1", &format!("{}", round * 5 + number), "d", ""));
        }
        shop.sync("000000", &application("i-1", &format!("a{round}"), &encrypted(&public_key("pkcs1"), "s")));
        shop = shop.restarted(Koogate::kill);
    }
    let application = door.open(|event| (200, ready_answer(event)));
    eventually(|| (shop.count("job WHERE state <> 'done'") == 0).then_some(()), || shop.koogate.log_text());
    let expected: Vec<String> = (0..3)
        .flat_map(|round| (0..5).map(move |number| (round * 5 + number).to_string()).chain([format!("a{round}")]))
        .collect();
    assert_eq!(codes(&application.events()), expected);
    assert_eq!(application.events()[5]["change"]["clientSecret"], "s");

    // Killed at each passage of an attempt: told again, with the same id.
    for point in ["claimed", "attempted", "recorded"] {
        let before = application.events().len();
        shop = shop.restarted(Koogate::kill);
        let Shop { koogate, application: other, scratch } = shop;
        koogate.kill();
        let mut dying = scratch.serve_with(&[("KOOGATE_FAULT", point)]);
        let sync = single_org("i-1", point, "d", "");
        let headers = sync.headers(V1, KIT_KEY);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // It may die before it has answered.
        let _ = send(dying.address, "POST", &sync.path(V1), &headers, &sync.bytes());
        dying.wait();
        shop = Shop { koogate: scratch.serve(), application: other, scratch };
        eventually(|| (shop.count("job WHERE state <> 'done'") == 0).then_some(()), || shop.koogate.log_text());
        let events = application.events();
        assert!(
            events.len() > before
                && events[before..].iter().all(|event| event["operationId"] == events[before]["operationId"])
        );
    }
}

#[test]
fn calls_are_answered_while_the_application_hangs_and_other_tenants_and_instances_go_on() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        if event["change"]["tenantId"] == TENANT {
            slow.pass();
        }
        (200, ready_answer(event))
    });
    let shop = Shop::with_kit_and(application, PATIENT, None);
    let id = shop.buy("CS1");
    for generation in GENERATIONS {
        for sync in five(&id) {
            shop.sync_by(generation, "000000", &sync);
        }
    }
    shop.expect("000000", &freeze(&id));
    shop.sync("000000", &tenant(&id).of(OTHER_TENANT));
    // One of the tenant that hangs, and all of the others.
    let told = shop.application.wait_for(4);
    assert!(told.iter().any(|event| event["change"]["tenantId"] == OTHER_TENANT), "{told:?}");
    assert_eq!(told.iter().filter(|event| event["change"]["tenantId"] == TENANT).count(), 1);
    gate.open();
    shop.application.wait_for(13);
}

#[test]
fn an_application_that_works_on_it_is_asked_again_and_nothing_overtakes_it() {
    let patience = Arc::new(Mutex::new(3));
    let left = Arc::clone(&patience);
    let application = Application::start(move |event| {
        let mut left = left.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return (200, "{\"status\":\"pending\"}".to_owned());
        }
        (200, ready_answer(event))
    });
    let shop = Shop::with_kit_and(application, "", None);
    for code in ["1", "2"] {
        shop.sync("000000", &single_org("i-1", code, "d", ""));
    }
    assert_eq!(codes(&shop.application.wait_for(5)), ["1", "1", "1", "1", "2"]);
}
