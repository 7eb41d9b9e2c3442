//! Once and verbatim: retries, parallel duplicates and late repeats get the same bytes and have one effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Application, KEY, Koogate, eventually, new_instance, ready_answer};
use crate::shop::{
    FIXED, FUTURE, FUTURE_SHOWN, Gate, IMPATIENT, LATER, PATIENT, Shop, freeze, instance_id, query, release, renewal,
    retry, unfreeze, upgrade, with,
};

/// The key a merchant changes to.
const NEW_KEY: &str = "99999999-8888-7777-6666-555555555555";

/// So many duplicates at the same time.
const CROWD: usize = 32;

#[test]
fn a_retry_after_success_gets_the_same_bytes() {
    let shop = Shop::open("");
    let first = shop.expect("000000", &new_instance("CS1"));
    for _ in 0..3 {
        assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
    }
    assert_eq!(shop.application.events().len(), 1);
}

#[test]
fn a_retry_of_new_instance_has_another_business_id_and_gets_the_instance_of_the_first() {
    let shop = Shop::open("");
    let first = new_instance("CS1");
    let id = instance_id(&shop.expect("000000", &first));
    assert_eq!(id, first["businessId"]);
    let again = retry(&first);
    assert_ne!(again["businessId"], first["businessId"]);
    assert_eq!(instance_id(&shop.expect("000000", &again)), id);
}

#[test]
fn every_kind_of_operation_is_replayed_verbatim() {
    check_replay(Shop::open(""), &|shop| shop);
}

#[test]
fn every_kind_of_operation_is_replayed_verbatim_after_a_restart() {
    check_replay(Shop::open(""), &|shop| {
        shop.restarted(|koogate| {
            koogate.stop();
        })
    });
}

#[test]
fn every_kind_of_operation_is_replayed_verbatim_after_kill_9() {
    check_replay(Shop::open(""), &|shop| shop.restarted(Koogate::kill));
}

/// Makes one call of every kind and retries each twice, with `between` in between; at the end the ones that are told
/// apart by more than the instance's status once more.
fn check_replay(mut shop: Shop, between: &dyn Fn(Shop) -> Shop) {
    let create = new_instance("CS1");
    let id = create["businessId"].as_str().unwrap().to_owned();
    let calls = [create, renewal(&id, "CS2", FUTURE), freeze(&id), unfreeze(&id), upgrade(&id, "CS3"), release(&id)];
    let mut answers = Vec::new();
    for call in &calls {
        let first = shop.expect("000000", call);
        shop = between(shop);
        for _ in 0..2 {
            assert_eq!(shop.koogate.call(&retry(call)).verbatim(), first.verbatim(), "{call}");
        }
        answers.push(first);
    }
    for index in [0, 1, 4, 5] {
        let again = shop.koogate.call(&retry(&calls[index]));
        assert_eq!(again.verbatim(), answers[index].verbatim(), "{}", calls[index]);
    }
    // A kill may make koogate tell the application once more, always as the same operation.
    let told = || {
        let events = shop.application.events();
        let pairs: BTreeSet<_> = events.iter().map(|e| (text(e, "event"), text(e, "operationId"))).collect();
        pairs.into_iter().map(|(event, _)| event).collect::<Vec<_>>()
    };
    let kinds = ["create", "freeze", "release", "renew", "unfreeze", "upgrade"].map(|kind| format!("instance.{kind}"));
    eventually(|| (told() == kinds).then_some(()), || format!("{:?}", told()));
    assert_eq!(shop.history(&id), ["created", "ready", "renewed", "frozen", "unfrozen", "upgraded", "released"]);
    assert_eq!(shop.count("operation"), 6);
    assert_eq!(shop.count("exchange WHERE replayed"), 2 * 6 + 4);
}

#[test]
fn thirty_two_parallel_duplicates_are_one_creation_with_one_answer() {
    let shop = Shop::open("");
    let answers = crowd(&shop.koogate, &new_instance("CS1"));
    assert_all_alike(&answers, "000000");
    assert_eq!(shop.application.events().len(), 1);
    assert_eq!(shop.scratch.run_json(&["instance", "list", "--json"]).len(), 1);
}

#[test]
fn parallel_duplicates_wait_for_a_slow_application_and_get_its_one_answer() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        slow.pass();
        (200, ready_answer(event))
    });
    let shop = Shop::with(application, PATIENT, "");
    let answers = thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd(&shop.koogate, &new_instance("CS1")));
        // All have arrived, and none is answered before the application is.
        eventually(
            || (shop.count("exchange WHERE result_code IS NULL") == CROWD as i64).then_some(()),
            || shop.koogate.log_text(),
        );
        gate.open();
        crowd.join().unwrap()
    });
    assert_all_alike(&answers, "000000");
    assert_eq!(shop.application.events().len(), 1);
}

#[test]
fn parallel_duplicates_that_cannot_wait_any_longer_are_told_processing_and_the_one_instance() {
    let gate = Arc::new(Gate::default());
    let slow = Arc::clone(&gate);
    let application = Application::start(move |event| {
        slow.pass();
        (200, ready_answer(event))
    });
    let shop = Shop::with(application, IMPATIENT, "");
    let answers = crowd(&shop.koogate, &new_instance("CS1"));
    assert_all_alike(&answers, "000004");
    gate.open();
    let id = instance_id(&answers[0]);
    eventually(|| (shop.status(&id) == "active").then_some(()), || shop.koogate.log_text());
    assert_eq!(instance_id(&shop.expect("000000", &new_instance("CS1"))), id);
    assert_eq!(shop.application.events().len(), 1);
}

#[test]
fn parallel_duplicates_of_a_fixed_fulfilment_get_one_instance_with_one_password() {
    let product = FIXED.to_owned() + "generate_password = true\n";
    let shop = Shop::with_products(Application::ready(), "", &product);
    let answers = crowd(&shop.koogate, &new_instance("CS1"));
    assert_all_alike(&answers, "000000");
    assert_eq!(shop.count("instance"), 1);
    let id = instance_id(&answers[0]);
    let password = || shop.koogate.call(&query(&id)).json()["info"][0]["appInfo"]["password"].clone();
    let first = password();
    assert_eq!(first.as_str().map(str::len), Some(16));
    assert_eq!(password(), first);
}

#[test]
fn parallel_duplicates_of_every_change_are_one_change_with_one_answer() {
    for accept in ["at-once", "after"] {
        let shop = Shop::with(Application::ready(), PATIENT, &format!("accept = \"{accept}\""));
        let id = shop.buy("CS1");
        for change in [renewal(&id, "CS2", FUTURE), freeze(&id), unfreeze(&id), upgrade(&id, "CS3"), release(&id)] {
            assert_all_alike(&crowd(&shop.koogate, &change), "000000");
        }
        let events =
            ["create", "renew", "freeze", "unfreeze", "upgrade", "release"].map(|kind| format!("instance.{kind}"));
        shop.told(&id, &events.each_ref().map(String::as_str));
        assert_eq!(shop.history(&id), ["created", "ready", "renewed", "frozen", "unfrozen", "upgraded", "released"]);
        assert_eq!(shop.count("exchange"), 1 + 5 * CROWD as i64);
    }
}

#[test]
fn a_changed_key_gets_an_answer_of_its_own_once_and_verbatim_from_then_on() {
    let shop = Shop::open("");
    let product = shop.application.product("");
    let old = shop.expect("000000", &new_instance("CS1"));

    shop.reload(&[NEW_KEY, KEY], "", &product);
    let new = shop.koogate.call_with(NEW_KEY, &new_instance("CS1"));
    assert_eq!((new.code(), instance_id(&new)), ("000000".to_owned(), instance_id(&old)));
    assert_ne!(new.header("Body-Sign"), old.header("Body-Sign"));

    let check = |koogate: &Koogate| {
        for _ in 0..2 {
            assert_eq!(koogate.call_with(NEW_KEY, &new_instance("CS1")).verbatim(), new.verbatim());
            assert_eq!(koogate.call_with(KEY, &new_instance("CS1")).verbatim(), old.verbatim());
        }
    };
    check(&shop.koogate);
    let shop = shop.restarted(Koogate::kill);
    check(&shop.koogate);
    assert_eq!(shop.count("answer"), 2, "one for each key, however often they ask");
    assert_eq!(shop.application.events().len(), 1);
}

#[test]
fn the_old_key_verifies_while_it_is_listed_and_no_longer() {
    let shop = Shop::open("");
    let product = shop.application.product("");
    shop.reload(&[NEW_KEY, KEY], "", &product);
    assert_eq!(shop.koogate.call_with(KEY, &new_instance("CS1")).code(), "000000");
    shop.reload(&[NEW_KEY], "", &product);
    assert_eq!(shop.koogate.try_call(KEY, &new_instance("CS1")).unwrap().code(), "000001");
    assert_eq!(shop.koogate.call_with(NEW_KEY, &new_instance("CS1")).code(), "000000");
    assert_eq!(shop.application.events().len(), 1);
}

#[test]
fn the_same_operation_with_other_content_keeps_its_answer_and_the_difference_is_recorded_and_shown() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    let first = shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    let other = with(renewal(&id, "CS2", FUTURE), "productId", "P2");
    assert_eq!(shop.koogate.call(&other).verbatim(), first.verbatim());
    assert_eq!(shop.instance(&id)["productId"], Value::Null, "a repeat has no effect");

    let shown = shop.scratch.run_json(&["exchange", "show", "3", "--json"]).remove(0);
    assert_eq!(shown["difference"], json!({ "productId": [null, "P2"] }));
    assert_eq!((&shown["replayed"], &shown["firstExchange"]), (&json!(true), &json!(2)));
    let text = shop.scratch.run_ok(&["exchange", "show", "3"]);
    assert!(text.contains("repeat of    exchange 2"), "{text}");
    assert!(text.contains(r#"differs      [first, now]: {"productId":[null,"P2"]}"#), "{text}");
    assert!(shop.scratch.run_ok(&["exchange", "list"]).contains("differs"));
}

#[test]
fn a_repeat_that_differs_only_in_what_every_retry_changes_is_recorded_without_a_difference() {
    let shop = Shop::open("");
    let first = new_instance("CS1");
    shop.expect("000000", &first);
    shop.expect("000000", &retry(&first));
    let shown = shop.scratch.run_json(&["exchange", "show", "2", "--json"]).remove(0);
    assert_eq!((&shown["replayed"], &shown["difference"]), (&json!(true), &Value::Null));
}

#[test]
fn the_same_new_date_with_and_without_milliseconds_is_one_renewal() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    let first = shop.expect("000000", &renewal(&id, "CS2", FUTURE));
    let again = shop.koogate.call(&renewal(&id, "CS2", &format!("{FUTURE}000")));
    assert_eq!(again.verbatim(), first.verbatim());
    assert_eq!(shop.history(&id), ["created", "ready", "renewed"]);
    assert_eq!(shop.instance(&id)["expireTime"], FUTURE_SHOWN);
}

#[test]
fn processing_is_never_frozen_and_the_retry_gets_the_finished_work() {
    let (application, mend) = broken_application(500, "{}");
    let shop = Shop::with(application, IMPATIENT, "");
    let id = instance_id(&shop.expect("000004", &new_instance("CS1")));
    assert_eq!(instance_id(&shop.expect("000004", &new_instance("CS1"))), id);
    mend();
    eventually(|| (shop.status(&id) == "active").then_some(()), || shop.koogate.log_text());
    let done = shop.expect("000000", &new_instance("CS1"));
    assert_eq!(instance_id(&done), id);
    assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), done.verbatim());
}

#[test]
fn an_internal_error_is_never_frozen_and_the_retry_gets_the_finished_work() {
    let shop = Shop::open("");
    let id = shop.buy("CS1");
    let (application, mend) = broken_application(500, "{}");
    shop.reload(&[KEY], IMPATIENT, &application.product("accept = \"after\""));
    shop.expect("000005", &freeze(&id));
    shop.expect("000005", &freeze(&id));
    assert_eq!(shop.status(&id), "active", "a freeze that failed leaves the status");
    mend();
    eventually(|| (shop.status(&id) == "frozen").then_some(()), || shop.koogate.log_text());
    let done = shop.expect("000000", &freeze(&id));
    assert_eq!(shop.koogate.call(&freeze(&id)).verbatim(), done.verbatim());
    assert_eq!(operations(&application.events()).len(), 1, "one freeze, however often it was asked for");
}

#[test]
fn a_refusal_of_the_application_is_answered_as_it_said_and_the_retry_asks_it_again() {
    let refusal = json!({ "status": "refused", "resultCode": "000106", "message": "sold out" });
    let (application, mend) = broken_application(200, &refusal.to_string());
    let shop = Shop::with(application, PATIENT, "");
    assert_eq!(shop.expect("000106", &new_instance("CS1")).json()["resultMsg"], "sold out");
    shop.expect("000106", &new_instance("CS1"));
    mend();
    let id = shop.buy("CS1");
    assert_eq!(shop.history(&id), ["created", "ready"]);
    let events = shop.application.events();
    assert_eq!((events.len(), operations(&events).len()), (3, 1), "asked three times about one operation");
}

#[test]
fn an_empty_stock_is_answered_000100_and_the_retry_gets_what_was_filled_in() {
    let product = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\n";
    let shop = Shop::with_products(Application::ready(), "", product);
    shop.expect("000100", &new_instance("CS1"));
    shop.expect("000100", &new_instance("CS1"));
    let file = "user_name,password,front_end_url,admin_url,memo\nu1,p1,https://app.example.com/1,,\n";
    std::fs::write(shop.scratch.path("accounts.csv"), file).unwrap();
    shop.scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let done = shop.expect("000000", &new_instance("CS1"));
    assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), done.verbatim());
    assert_eq!(shop.count("stock_entry WHERE instance IS NOT NULL"), 1);
}

#[test]
fn the_operation_id_is_the_same_in_all_attempts_and_every_operation_has_its_own() {
    // Every event fails once before it is done.
    let seen: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let application = Application::start(move |event| {
        let mut seen = seen.lock().unwrap();
        let attempts = seen.entry(text(event, "operationId")).or_default();
        *attempts += 1;
        if *attempts < 2 { (503, "not now".to_owned()) } else { (200, ready_answer(event)) }
    });
    let shop = Shop::with(application, PATIENT, "accept = \"after\"");
    let id = shop.buy("CS1");
    let calls = [
        renewal(&id, "CS2", FUTURE),
        renewal(&id, "CS3", LATER),
        freeze(&id),
        unfreeze(&id),
        freeze(&id),
        upgrade(&id, "CS4"),
        release(&id),
    ];
    for call in &calls {
        shop.expect("000000", call);
    }
    let operations = operations(&shop.application.events());
    assert_eq!(operations.len(), 1 + calls.len());
    for (operation, attempts) in operations {
        let name = attempts[0].0.clone();
        let expected: Vec<_> = (1..=2).map(|attempt| (name.clone(), attempt)).collect();
        assert_eq!(attempts, expected, "{operation}");
    }
}

/// An application that gives this answer until it is mended.
fn broken_application(status: u16, answer: &str) -> (Application, impl Fn() + use<>) {
    let answer = Arc::new(Mutex::new(Some((status, answer.to_owned()))));
    let given = Arc::clone(&answer);
    let application =
        Application::start(move |event| given.lock().unwrap().clone().unwrap_or_else(|| (200, ready_answer(event))));
    (application, move || *answer.lock().unwrap() = None)
}

/// Event names and attempts by operationId.
fn operations(events: &[Value]) -> BTreeMap<String, Vec<(String, u64)>> {
    let mut operations: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in events {
        let attempt = (text(event, "event"), event["attempt"].as_u64().unwrap());
        operations.entry(text(event, "operationId")).or_default().push(attempt);
    }
    operations
}

/// Makes the same call from many threads at once, as retries.
fn crowd(koogate: &Koogate, body: &Value) -> Vec<Answer> {
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CROWD).map(|_| scope.spawn(|| koogate.call(&retry(body)))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

fn assert_all_alike(answers: &[Answer], code: &str) {
    assert_eq!(answers[0].code(), code, "{}", answers[0].json());
    for answer in answers {
        assert_eq!(answer.verbatim(), answers[0].verbatim());
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}
