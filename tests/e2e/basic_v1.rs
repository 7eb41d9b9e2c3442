//! V1 basic end to end: a whole life with a retry at every step, and what the merchant's application is told of it.

mod credentials;
mod generations;
mod made_again;
mod reading;
mod secrets;
mod supervision;
mod test_calls;

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Application, KEY, Koogate, eventually, ready_answer};
use crate::shop::{FIXED, FUTURE, FUTURE_SHOWN, Gate, IMPATIENT, LATER, LATER_SHOWN, PAST, PATIENT, Shop, instance_id};
use crate::token_get::{Get, call, encrypted, expire, purchase, query, refund, release, renew, status, upgrade};

/// So many duplicates at the same time.
const CROWD: usize = 8;

#[test]
fn a_life_with_a_retry_at_every_step_does_everything_once_and_in_order() {
    let shop = Shop::open("");
    let bought = shop.get_thrice(&purchase("CS1"));
    let id = instance_id(&bought);
    let expect = |status: &str, expires: &str| {
        let shown = shop.instance(&id);
        assert_eq!((&shown["status"], &shown["expireTime"]), (&json!(status), &json!(expires)));
    };
    expect("active", FUTURE_SHOWN);

    shop.get_thrice(&renew(&id, "CS2", LATER));
    expect("active", LATER_SHOWN);
    shop.get_thrice(&expire(&id, "CS1"));
    expect("frozen", LATER_SHOWN);
    // A renewal of a frozen instance unfreezes it.
    shop.get_thrice(&renew(&id, "CS3", "21011231235959"));
    expect("active", "2101-12-31T23:59:59Z");
    // The next expiry carries the same ids.
    shop.get_thrice(&expire(&id, "CS1"));
    expect("frozen", "2101-12-31T23:59:59Z");
    shop.get_thrice(&status(&id, "NORMAL"));
    shop.get_thrice(&status(&id, "FREEZE"));
    shop.get_thrice(&status(&id, "NORMAL"));
    shop.get_thrice(&status(&id, "FREEZE"));
    expect("frozen", "2101-12-31T23:59:59Z");
    shop.get_thrice(&upgrade(&id, "CS4"));
    expect("frozen", "2101-12-31T23:59:59Z");
    shop.get_thrice(&status(&id, "UNFREEZE"));
    // The refund of a renewal sets the earlier date, and a late retry of the renewal does not bring the later one back.
    shop.get_thrice(&refund(&id, "CS5", LATER));
    expect("active", LATER_SHOWN);
    shop.get_thrice(&renew(&id, "CS3", "21011231235959"));
    expect("active", LATER_SHOWN);
    let released = shop.get_thrice(&release(&id, "CS1"));

    check_after_release(&shop, &id, &bought, &released);
    let events = [
        "create", "renew", "freeze", "renew", "freeze", "unfreeze", "freeze", "unfreeze", "freeze", "upgrade",
        "unfreeze", "renew", "release",
    ];
    let events = events.map(|name| format!("instance.{name}"));
    shop.told_only(&id, &events.each_ref().map(String::as_str));
    assert_eq!(shop.count("instance"), 1);
}

/// Whatever comes after the release changes nothing.
fn check_after_release(shop: &Shop, id: &str, bought: &Answer, released: &Answer) {
    let history = shop.history(id);
    assert_eq!(call(&shop.koogate, &purchase("CS1")).verbatim(), bought.verbatim(), "never created again");
    assert_eq!(call(&shop.koogate, &release(id, "CS-refund")).verbatim(), released.verbatim());
    for done in [renew(id, "CS2", LATER), refund(id, "CS5", LATER), upgrade(id, "CS4")] {
        shop.get("000000", &done);
    }
    for new in [
        renew(id, "CS9", LATER),
        renew(id, "CS2", "21021231235959"),
        expire(id, "CS1"),
        status(id, "FREEZE"),
        status(id, "NORMAL"),
        upgrade(id, "CS9"),
        query(id),
    ] {
        shop.get("000003", &new);
    }
    assert_eq!((shop.status(id), shop.history(id)), ("released".to_owned(), history));
}

#[test]
fn the_application_is_told_order_buyer_and_parameters_of_the_purchase() {
    let application = Application::ready();
    for (size, order) in [("1", "CS1"), ("2", "CS2")] {
        let shop = Shop::with_products(Application::ready(), "", &application.product(""));
        let parameters = r#"[{"name":"emailDomainName","value":"测试.com"},{"name":"idNum","value":007}]"#;
        let parameters = parameters.replace("007", "110101199003074477");
        let bought = purchase(order)
            .with("mobilePhone", &encrypted(KEY, size, "13800138000"))
            .with("email", &encrypted(KEY, size, "buyer@example.com"))
            .with("userId", "u-1")
            .with("userName", "iam user")
            .with("amount", "10")
            .with("diskSize", "50")
            .with("bandWidth", "5")
            .with("trialFlag", "1")
            .with("saasExtendParams", &data_encoding::BASE64.encode(parameters.as_bytes()));
        let id = instance_id(&shop.get_thrice(&bought));
        let event = application.events().pop().unwrap();
        assert_eq!((&event["event"], &event["instanceId"]), (&json!("instance.create"), &json!(id)));
        assert_eq!((&event["kind"], &event["test"]), (&json!("saas"), &json!(false)));
        let expected = json!({
            "orderId": order, "orderLineId": null, "orderType": "TRIAL", "chargingMode": "PERIOD",
            "periodType": "year", "periodNumber": 1, "quantity": 10, "diskSize": 50, "bandWidth": 5,
            "amount": "12.78", "expireTime": FUTURE_SHOWN,
        });
        assert_eq!(event["order"], expected);
        let expected = json!({
            "customerId": "68cbc86abc2018ab880d92f36422fa0e", "customerName": "测试 客户+A&B=", "userId": "u-1",
            "userName": "iam user", "mobilePhone": "13800138000", "email": "buyer@example.com",
        });
        assert_eq!(event["buyer"], expected, "encrypted with size {size}");
        let expected = json!({ "emailDomainName": "测试.com", "idNum": "110101199003074477" });
        assert_eq!(event["parameters"], expected);
        let expected = json!({ "productId": "00301-666666-0--0", "skuCode": "sku-1", "name": null });
        assert_eq!(event["product"], expected);
    }
    assert_eq!(application.events().len(), 2);
}

#[test]
fn the_application_is_told_scene_and_totals_of_the_changes() {
    let shop = Shop::open("");
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    let trial = renew(&id, "CS2", LATER).with("trialToFormal", "1").with("productId", "P-formal");
    let on_demand = Get::new("refreshInstance", &[("instanceId", &id), ("orderId", "CS3"), ("trialToFormal", "2")]);
    let calls = [
        trial.with("orderAmount", "100"),
        renew(&id, "CS2", LATER).with("periodType", "month").with("periodNumber", "3").with("orderAmount", "0.000"),
        refund(&id, "CS2", LATER),
        upgrade(&id, "CS4"),
        on_demand,
    ];
    for call in &calls {
        shop.get_thrice(call);
    }
    shop.told_only(
        &id,
        &[
            "instance.create",
            "instance.renew",
            "instance.renew",
            "instance.renew",
            "instance.upgrade",
            "instance.renew",
        ],
    );
    let events = shop.application.events();
    let told = |event: &Value| {
        json!([
            event["change"]["scene"],
            event["order"]["orderType"],
            event["order"]["orderId"],
            event["change"]["expireTime"]
        ])
    };
    assert_eq!(told(&events[1]), json!(["TRIAL_TO_FORMAL", "TRIAL_TO_FORMAL", "CS2", LATER_SHOWN]));
    assert_eq!(events[1]["product"]["productId"], "P-formal");
    assert_eq!(events[1]["change"]["previousExpireTime"], FUTURE_SHOWN);
    assert_eq!(told(&events[2]), json!(["RENEWAL", "RENEW", "CS2", LATER_SHOWN]));
    assert_eq!((&events[2]["order"]["periodType"], &events[2]["order"]["periodNumber"]), (&json!("month"), &json!(3)));
    assert_eq!(told(&events[3]), json!(["UNSUBSCRIBE_RENEWAL_PERIOD", "UNSUBSCRIBE", "CS2", LATER_SHOWN]));
    assert_eq!(events[3]["order"]["amount"], "-12.78");
    let upgrade = &events[4];
    assert_eq!((&upgrade["order"]["quantity"], &upgrade["order"]["diskSize"]), (&json!(20), &json!(100)));
    assert_eq!((&upgrade["order"]["orderType"], &upgrade["product"]["skuCode"]), (&json!("CHANGE"), &json!("sku-2")));
    assert_eq!(upgrade["change"]["previousProduct"]["productId"], "P-formal");
    // A trial that became on-demand has no end any more.
    assert_eq!(told(&events[5]), json!(["TRIAL_TO_FORMAL", "TRIAL_TO_FORMAL", "CS3", null]));
    assert_eq!(shop.instance(&id)["expireTime"], Value::Null);
}

#[test]
fn a_refund_never_unfreezes_and_a_date_that_has_passed_does_not_either() {
    let shop = Shop::with_products(Application::ready(), "", FIXED);
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    shop.get("000000", &expire(&id, "CS1"));
    shop.get_thrice(&refund(&id, "CS2", LATER));
    shop.get_thrice(&renew(&id, "CS3", PAST));
    assert_eq!(shop.status(&id), "frozen");
    shop.get_thrice(&renew(&id, "CS4", FUTURE));
    assert_eq!(shop.status(&id), "active");
}

#[test]
fn every_billing_item_of_an_on_demand_order_gets_an_instance_of_its_own() {
    let shop = Shop::open("");
    for (number, mode) in [Some("0"), Some("5"), None].into_iter().enumerate() {
        let item = |product: &str| {
            let call = purchase(&format!("CS{number}")).with("productId", product).without("expireTime");
            mode.map_or_else(|| call.clone().without("chargingMode"), |mode| call.clone().with("chargingMode", mode))
        };
        let (one, two) = (shop.get_thrice(&item("P1")), shop.get_thrice(&item("P2")));
        assert_ne!(instance_id(&one), instance_id(&two));
        assert_eq!(call(&shop.koogate, &item("P1")).verbatim(), one.verbatim());
    }
    assert_eq!((shop.count("instance"), shop.application.events().len()), (6, 6));
    // Of a period order the product plays no part.
    let one = shop.get("000000", &purchase("CS9"));
    let other = purchase("CS9").with("productId", "P2");
    assert_eq!(call(&shop.koogate, &other).verbatim(), one.verbatim());
}

#[test]
fn a_creation_that_takes_long_is_000005_until_it_is_ready_and_then_the_same_instance() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        slow.pass();
        (200, ready_answer(event))
    });
    let shop = Shop::with(application, IMPATIENT, "");
    for _ in 0..2 {
        let answer = shop.get("000005", &purchase("CS1")).json();
        assert_eq!(answer.as_object().unwrap().len(), 2, "no instance yet: {answer}");
    }
    let id: String = crate::shop::look_up(&shop.scratch, "SELECT instance_id FROM instance");
    for call in [renew(&id, "CS2", LATER), expire(&id, "CS1"), upgrade(&id, "CS3")] {
        shop.get("000005", &call);
    }
    gate.open();
    eventually(|| (shop.status(&id) == "active").then_some(()), || shop.koogate.log_text());
    assert_eq!(instance_id(&shop.get_thrice(&purchase("CS1"))), id);
    shop.told_only(&id, &["instance.create"]);
}

#[test]
fn an_upgrade_is_000005_until_the_application_has_made_it_and_changes_nothing_before() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        if event["event"] == "instance.upgrade" {
            slow.pass();
        }
        (200, ready_answer(event))
    });
    let shop = Shop::with(application, IMPATIENT, "");
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    for _ in 0..2 {
        shop.get("000005", &upgrade(&id, "CS2"));
    }
    assert_eq!(shop.instance(&id)["skuCode"], "sku-1");
    gate.open();
    shop.scratch.wait_for_instance(&id, |instance| instance["skuCode"] == "sku-2");
    shop.get_thrice(&upgrade(&id, "CS2"));
    // V2's word for the activity is taken too, and means the same operation.
    let other_word = upgrade(&id, "CS2").with("activity", "upgradeInstance");
    shop.get_thrice(&other_word);
    shop.told_only(&id, &["instance.create", "instance.upgrade"]);
}

#[test]
fn an_application_that_answers_pending_finishes_the_purchase_over_the_api() {
    let application = Application::start(|_| (200, "{\"status\":\"pending\"}".to_owned()));
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef\"\n";
    let shop = Shop::with(application, &format!("{IMPATIENT}{admin}"), "");
    shop.get("000005", &purchase("CS1"));
    let id: String = crate::shop::look_up(&shop.scratch, "SELECT instance_id FROM instance");
    let body = r#"{"status":"ready","access":{"frontEndUrl":"https://app.example.com/","userName":"u"}}"#;
    let target = format!("/api/v1/instances/{id}/ready");
    assert_eq!(shop.koogate.admin("POST", &target, Some("0123456789abcdef"), body).status, 200);
    assert_eq!(instance_id(&shop.get_thrice(&purchase("CS1"))), id);
}

#[test]
fn parallel_duplicates_of_every_call_are_one_operation_with_one_answer() {
    for accept in ["at-once", "after"] {
        let shop = Shop::with(Application::ready(), PATIENT, &format!("accept = \"{accept}\""));
        let id = instance_id(&crowd(&shop.koogate, &purchase("CS1")));
        let calls = [
            renew(&id, "CS2", LATER),
            expire(&id, "CS1"),
            status(&id, "NORMAL"),
            upgrade(&id, "CS3"),
            release(&id, "CS1"),
        ];
        for call in &calls {
            crowd(&shop.koogate, call);
        }
        let events =
            ["create", "renew", "freeze", "unfreeze", "upgrade", "release"].map(|name| format!("instance.{name}"));
        shop.told_only(&id, &events.each_ref().map(String::as_str));
        assert_eq!((shop.count("instance"), shop.count("operation")), (1, 6));
    }
}

/// Makes the same call from several threads at once, as retries; all must succeed alike.
pub fn crowd(koogate: &Koogate, get: &Get) -> Answer {
    let answers: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CROWD).map(|_| scope.spawn(|| call(koogate, &get.again()))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(answers[0].code(), "000000", "{}", answers[0].json());
    for answer in &answers {
        assert_eq!(answer.verbatim(), answers[0].verbatim());
    }
    answers[0].clone()
}
