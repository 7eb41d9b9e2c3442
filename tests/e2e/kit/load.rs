//! Much at once: crowds of callers and very long lists, beside calls that must not wait for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::Application;
use crate::kit_call::{
    GENERATIONS, TENANT, V1, V2, all_org, application, auth, call, department, encrypted, public_key, single_org, user,
};
use crate::shop::{PATIENT, Shop, freeze, query, unfreeze};

/// So many callers bring client secrets at the same time.
const CROWD: usize = 24;

#[test]
fn a_storm_of_client_secrets_starves_nobody_and_none_is_lost() {
    let shop = Shop::with_kit_and(Application::ready(), "", None);
    let id = shop.buy("CS1");
    let secret = encrypted(&public_key("pkcs1"), "s");
    let calm = AtomicBool::new(false);
    let taken: usize = thread::scope(|scope| {
        let (shop, calm, secret, id) = (&shop, &calm, &secret, &id);
        let storm = |caller: usize| {
            let mut taken = 0;
            for number in 0.. {
                if calm.load(Ordering::SeqCst) && taken > 0 {
                    break;
                }
                // Each is a new credential, so that the table shows which were taken.
                let sync = application(id, &format!("app-{caller}-{number}"), secret);
                let answer = call(&shop.koogate, GENERATIONS[number % 2], &sync);
                match answer.code().as_str() {
                    "000000" => taken += 1,
                    // Too many at a time: the buyer is told and tries again.
                    "000005" => assert!(answer.json()["resultMsg"].as_str().unwrap().contains("busy")),
                    other => panic!("{other}: {}", shop.koogate.log_text()),
                }
            }
            taken
        };
        let storms: Vec<_> = (0..CROWD).map(|caller| scope.spawn(move || storm(caller))).collect();
        for _ in 0..10 {
            shop.expect("000000", &freeze(id));
            shop.expect("000000", &query(id));
            shop.expect("000000", &unfreeze(id));
        }
        calm.store(true, Ordering::SeqCst);
        storms.into_iter().map(|storm| storm.join().unwrap()).sum()
    });
    assert!(taken >= CROWD);
    assert_eq!(shop.tenant(TENANT)["applications"].as_array().unwrap().len(), taken);
    let expected = 1 + 20 + taken;
    assert_eq!(shop.application.wait_for(expected).len(), expected, "each is told");
}

#[test]
fn five_hundred_users_and_twenty_thousand_departments_are_kept_whole_while_others_are_answered() {
    let shop = Shop::with_kit_and(Application::ready(), PATIENT, None);
    let id = shop.buy("CS1");
    let users: Vec<Value> = (0..500).map(|number| user(&format!("user-{number}-用户"))).collect();
    // Children first: the parent of each comes later or has come.
    let code = |number: u32| format!("{:05}", number * 7_919 % 20_000);
    let row = |number: u32| department(&code(number), &format!("部门 {number}"), &code(number / 10));
    let departments: Vec<Value> = (0..20_000).rev().map(row).collect();
    let calls = [
        (V1, auth(&id, "app-1", json!(json!(users).to_string()))),
        (V2, auth(&id, "app-2", json!(users))),
        (V1, all_org(&id, json!(null)).without("orgInfoList").with("orgInfo", json!(departments).to_string())),
        (V2, all_org(&id, json!(departments))),
    ];
    for (generation, sync) in &calls {
        let answered = thread::scope(|scope| {
            let long = scope.spawn(|| shop.sync_by(*generation, "000000", sync));
            let mut answered = 0;
            loop {
                let last = long.is_finished();
                shop.expect("000000", &query(&id));
                shop.sync("000000", &single_org("i-2", "1", "a", ""));
                answered += 1;
                if last {
                    long.join().unwrap();
                    break answered;
                }
            }
        });
        println!("{generation:?} {}: {answered} rounds of others meanwhile", sync.0);
    }
    assert_eq!((shop.count("user"), shop.count("department")), (1_000, 20_001));
    let kept = shop.departments(TENANT);
    assert!(kept.iter().all(|row| row[4] == false && !row[2].is_null()));
    let told = shop.application.wait_for(1 + 4);
    let lengths = |member: &str| -> Vec<usize> {
        let length = |event: &Value| event["change"][member].as_array().map(Vec::len).filter(|length| *length > 1);
        told.iter().filter_map(length).collect()
    };
    assert!(lengths("users").starts_with(&[500]));
    eventually_told(&shop, 20_000);
    assert!(shop.scratch.run_json(&["tenant", "departments", TENANT, "--json"]).len() == 200, "a listing has an end");
}

/// Waits until the last full list has reached the application.
fn eventually_told(shop: &Shop, length: usize) {
    crate::harness::eventually(
        || {
            let is_long = |event: &&Value| event["change"]["departments"].as_array().map(Vec::len) == Some(length);
            (shop.application.events().iter().filter(is_long).count() == 2).then_some(())
        },
        || shop.koogate.log_text(),
    );
}
