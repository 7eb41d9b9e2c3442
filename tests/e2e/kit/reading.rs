//! Tolerance: what KooGallery and its relatives write in several ways, and test calls, which leave nothing behind.

use serde_json::{Value, json};

use crate::harness::Application;
use crate::kit_call::{
    GENERATIONS, KIT_KEY, Sync, TENANT, V2, all_org, application, auth, encrypted, five, post, public_key, single_org,
    tenant, user, x_sign,
};
use crate::shop::Shop;

/// The last event of this name, once the application has it.
fn last(application: &Application, count: usize) -> Value {
    application.wait_for(count).pop().unwrap()["change"].clone()
}

#[test]
fn lists_are_read_as_arrays_as_json_text_and_with_bare_names() {
    let shop = Shop::with_kit();
    let users = json!([user("a"), user("b")]);
    let departments = json!([
        { "orgCode": "1", "orgName": "产品部", "parentCode": "265789314" },
        { "orgCode": "2", "orgName": "b:c, {d:1}", "parentCode": null },
    ]);
    let bare = r#"[{orgCode:"1", orgName:"产品部", parentCode:"265789314" }, {orgCode:"2",orgName:"b:c, {d:1}"}]"#;
    let v1 = departments.to_string().replace("orgName", "name");
    let older = departments.to_string().replace("orgName", "OrgName");
    let (mut count, mut seen) = (0, [Vec::new(), Vec::new()]);
    for generation in GENERATIONS {
        for list in [users.clone(), users.to_string().into(), format!(" {users}\n").into()] {
            shop.sync_by(generation, "000000", &auth("i-1", "app-1", list));
            count += 1;
            seen[0].push(last(&shop.application, count));
        }
        let lists =
            [departments.clone(), departments.to_string().into(), bare.into(), v1.clone().into(), older.clone().into()];
        for list in lists {
            for member in ["orgInfo", "orgInfoList"] {
                let sync = all_org("i-1", json!(null)).without("orgInfoList").with(member, list.clone());
                shop.sync_by(generation, "000000", &sync);
                count += 1;
                seen[1].push(last(&shop.application, count));
            }
        }
    }
    assert_eq!((seen[0].len(), seen[1].len()), (6, 20));
    for kind in &seen {
        assert!(kind.iter().all(|change| *change == kind[0]), "{kind:#?}");
    }
    assert_eq!(seen[1][0]["departments"][1]["orgName"], "b:c, {d:1}");
    for nothing in ["[", "{}", "x", "\"[]\"", "[{1:1}]"] {
        shop.sync("000002", &auth("i-1", "app-1", nothing.into()));
        shop.sync("000002", &all_org("i-1", nothing.into()));
    }
}

#[test]
fn the_sample_of_a_v1_user_and_the_flat_one_of_v2_are_the_same_user() {
    let shop = Shop::with_kit();
    let v1 = r#"[{"userName":"zhangsan01","name":"张三","position":"系统管理员","orgCode":"123456789","role":"admin","enable":"true","employeeCode":"","mobile":"","email":"","extension":{"entryDate":"2022-11-9","employeeType":"4","workPlace":"南京","accounts":[{"id":7}]}}]"#;
    let v2 = json!([{
        "userName": "zhangsan01", "name": "张三", "position": "系统管理员", "orgCode": 123_456_789, "role": "admin",
        "enable": true, "entryDate": "2022-11-9", "employeeType": 4, "workPlace": "南京",
        "extension": "{accounts:[{id:7}]}",
    }]);
    for (number, list) in [json!(v1), v2].into_iter().enumerate() {
        shop.sync_by(GENERATIONS[number], "000000", &auth("i-1", "app-1", list));
    }
    let events = shop.application.wait_for(2);
    assert_eq!(events[0]["change"], events[1]["change"]);
    let expected = json!([{
        "userName": "zhangsan01", "name": "张三", "orgCode": "123456789", "position": "系统管理员",
        "employeeCode": null, "employeeType": 4, "role": "admin", "enabled": true, "mobile": null, "email": null,
        "workPlace": "南京", "entryDate": "2022-11-9", "extension": { "accounts": [{ "id": 7 }] },
    }]);
    assert_eq!(events[0]["change"]["users"], expected);
}

#[test]
fn numbers_may_be_texts_and_an_empty_instance_may_be_empty_null_or_absent() {
    let shop = Shop::with_silent_kit("");
    let calls = |sync: &Sync| {
        let numbers = sync.clone().with("testFlag", "0");
        let numbers = if sync.1["flag"].is_null() { numbers } else { numbers.with("flag", "1") };
        let stamp = |value: Value| sync.clone().with("timeStamp", value);
        [
            numbers.clone().with("instanceId", json!(null)),
            numbers.with("instanceId", ""),
            sync.clone().without("instanceId").without("testFlag"),
            sync.clone().with("orderId", json!(null)).with("unknown", json!({ "a": [null] })),
            stamp("no time at all".into()),
        ]
    };
    for generation in GENERATIONS {
        for sync in five("") {
            for call in calls(&sync) {
                shop.sync_by(generation, "000000", &call);
            }
        }
    }
    assert_eq!(shop.directory_sizes(), [1, 1, 1, 1, 2]);
    assert_eq!(shop.tenant(TENANT)["bindings"][0]["instanceId"], "");
    // Ids may come as numbers, and are not trimmed.
    shop.sync("000000", &tenant("").with("tenantId", 77));
    assert_eq!(shop.tenant("77")["tenantId"], "77");
    shop.sync("000000", &single_org("", "1", "a", "").with("orgCode", json!(10_000)).with("tenantId", 77));
    shop.sync("000000", &single_org("", " 10000", "b", "").with("tenantId", 77));
    assert_eq!(shop.departments("77").len(), 2);
}

#[test]
fn a_body_with_a_member_twice_is_signed_as_it_was_sent_and_the_last_counts() {
    let shop = Shop::with_silent_kit("");
    let body = String::from_utf8(tenant("i-2").bytes()).unwrap().replacen('{', "{\"instanceId\":\"i-1\",", 1);
    let stamp = crate::harness::now_ms().to_string();
    let sign = x_sign(KIT_KEY, "nonce-1", &stamp, body.as_bytes());
    let headers = [("x-sign", sign), ("x-timestamp", stamp), ("x-nonce", "nonce-1".to_owned())];
    let answer = post(&shop.koogate, &tenant("").path(V2), &headers, body.as_bytes());
    assert_eq!(answer.code(), "000000", "{}", answer.json());
    assert_eq!(shop.tenant(TENANT)["bindings"][0]["instanceId"], "i-2");
}

#[test]
fn test_calls_succeed_as_often_as_they_come_and_leave_nothing_behind() {
    let shop = Shop::with_kit();
    for generation in GENERATIONS {
        for instance in ["", "515fe784e1a34419b21c975701a682a8"] {
            for sync in five(instance) {
                for flag in [json!(1), json!("1")] {
                    let sync = sync.clone().with("testFlag", flag);
                    shop.sync_by(generation, "000000", &sync);
                    shop.sync_by(generation, "000000", &sync.without("instanceId"));
                }
                if sync.0 != "allOrgSync" {
                    shop.sync_by(generation, "000000", &sync.clone().flag(0).as_test());
                }
            }
        }
    }
    let calls = shop.count("exchange WHERE environment = 'test' AND result_code = '000000'");
    assert_eq!(calls, 2 * 2 * (5 * 4 + 4));
    assert_eq!((shop.directory_sizes(), shop.count("job")), ([0; 5], 0));

    // Nor do they touch what is there.
    for sync in five("i-1") {
        shop.sync("000000", &sync);
    }
    let (sizes, before) = (shop.directory_sizes(), shop.tenant(TENANT)["applications"].clone());
    for sync in five("i-1") {
        let sync = if sync.0 == "allOrgSync" { sync.with("orgInfoList", json!([])) } else { sync.flag(0) };
        shop.sync("000000", &sync.as_test());
    }
    assert_eq!((shop.directory_sizes(), &shop.tenant(TENANT)["applications"]), (sizes, &before));
    assert_eq!(shop.application.wait_for(5).len(), 5, "nobody is told of tests");
}

#[test]
fn test_calls_are_checked_like_real_ones_and_their_secrets_really_opened() {
    let shop = Shop::with_silent_kit("");
    for generation in GENERATIONS {
        let good = encrypted(&public_key("pkcs8"), "typed-by-the-seller");
        shop.sync_by(generation, "000000", &application("", "app", &good).as_test());
        let stranger = encrypted(&public_key("too_small"), "x");
        for bad in ["garbage", "AAAA", "测试", &stranger, &good[4..]] {
            let answer = shop.sync_by(generation, "000101", &application("", "app", bad).as_test());
            assert_eq!(answer.json()["resultMsg"], "clientSecret cannot be decrypted", "always the same");
        }
        // Nothing is opened where nothing is to be kept.
        shop.sync_by(generation, "000000", &application("", "app", "garbage").flag(0).as_test());
        shop.sync_by(generation, "000002", &application("", "app", &good).without("clientId").as_test());
        // A seller may have typed any domain; a real call with it is refused.
        let strange = tenant("").with("domainName", "user@evil.example");
        shop.sync_by(generation, "000000", &strange.clone().as_test());
        shop.sync_by(generation, "000002", &strange);
    }
    let log = shop.koogate.log_text();
    assert!(log.contains("(a test): client secret of 19 characters opened by key 1"), "{log}");
    assert!(!log.contains("typed-by-the-seller"));
}
