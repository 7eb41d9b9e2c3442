//! What the directory holds after calls of every kind, in any order and any number.

use serde_json::{Value, json};

use crate::harness::{Application, ClosedDoor};
use crate::kit_call::{
    GENERATIONS, OTHER_TENANT, TENANT, all_org, application, auth, department, encrypted, five, public_key, single_org,
    tenant, user,
};
use crate::shop::{Shop, look_up};

fn secret(text: &str) -> String {
    encrypted(&public_key("pkcs8"), text)
}

/// Everything the commands tell of an enterprise, but for when.
fn told(shop: &Shop, id: &str) -> Value {
    let mut shown = shop.tenant(id);
    for list in ["bindings", "applications"] {
        for row in shown[list].as_array_mut().unwrap() {
            row.as_object_mut().unwrap().retain(|name, _| !name.ends_with("At"));
        }
    }
    shown.as_object_mut().unwrap().remove("updatedAt");
    json!([shown, shop.users(id), shop.departments(id)])
}

#[test]
fn the_commands_tell_what_the_five_calls_said() {
    for generation in GENERATIONS {
        let shop = Shop::with_silent_kit("");
        for sync in five("i-1") {
            shop.sync_by(generation, "000000", &sync);
        }
        let expected = json!([
            {
                "tenantId": TENANT, "tenantCode": "huawei", "name": "测试企业",
                "domainName": "https://example.tenantaccount.com", "jobs": [],
                "bindings": [{ "instanceId": "i-1", "orderId": "CS1906666666ABCDE" }],
                "applications": [{ "appId": "app-1", "clientId": "client-of-app-1" }],
            },
            [["i-1", "app-1", "zhangsan01", "admin", true, true]],
            [["i-1", "10000", "开发部", null, false], ["i-1", "10001", "测试部", "10000", false]],
        ]);
        assert_eq!(told(&shop, TENANT), expected);
        let user = shop.tenant_lines("users", TENANT).remove(0);
        assert_eq!(user["orgCode"], "10000");
        let listed = shop.scratch.run_json(&["tenant", "list", "--json"]).remove(0);
        assert_eq!((&listed["users"], &listed["departments"]), (&json!(1), &json!(2)));
        for args in [["tenant", "list", ""], ["tenant", "show", TENANT], ["tenant", "users", TENANT]] {
            let args: Vec<_> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
            assert!(shop.scratch.run_ok(&args).contains(if args[1] == "users" { "zhangsan01" } else { TENANT }));
        }
        assert!(shop.scratch.run_ok(&["tenant", "departments", TENANT]).contains("测试部"));
        for command in ["show", "users", "departments", "retry"] {
            let output = shop.scratch.run(&["tenant", command, "nobody"]);
            assert!(!output.status.success(), "{command}");
        }
    }
}

#[test]
fn add_and_modify_are_one_and_the_last_word_counts() {
    let shop = Shop::with_silent_kit("");
    for flag in [2, 1, 2] {
        for sync in five("i-1").into_iter().take(4) {
            shop.sync("000000", &sync.flag(flag));
        }
    }
    assert_eq!(shop.directory_sizes(), [1, 1, 1, 1, 1]);
    let renamed = tenant("i-1").flag(2).with("name", "新名").with("domainName", "http://New.example.com:8443/x/");
    shop.sync("000000", &renamed.with("tenantCode", "new").with("orderId", ""));
    shop.sync("000000", &application("i-1", "app-1", &secret("s-2")).with("clientId", "client-2"));
    let moved = json!([user("zhangsan01"), { "userName": "zhangsan01", "orgCode": "", "enable": false }]);
    shop.sync("000000", &auth("i-1", "app-1", moved));
    shop.sync("000000", &single_org("i-1", "10000", "研发部", "1"));
    let expected = json!([
        {
            "tenantId": TENANT, "tenantCode": "new", "name": "新名", "domainName": "https://new.example.com:8443",
            "jobs": [], "bindings": [{ "instanceId": "i-1", "orderId": "CS1906666666ABCDE" }],
            "applications": [{ "appId": "app-1", "clientId": "client-2" }],
        },
        [["i-1", "app-1", "zhangsan01", "user", false, true]],
        [["i-1", "1", null, null, false], ["i-1", "10000", "研发部", "1", false]],
    ]);
    assert_eq!(told(&shop, TENANT), expected, "of two users of one name the last counts");
}

#[test]
fn flags_that_a_call_does_not_have_and_missing_members_change_nothing() {
    let shop = Shop::with_silent_kit("");
    for generation in GENERATIONS {
        for sync in five("i-1") {
            let name = sync.0;
            for flag in [json!(3), json!(4), json!(-1), json!("x"), json!(null), json!(""), json!([1]), json!(1.5)] {
                let has_flag = name != "allOrgSync" && !(name == "authSync" && flag == json!(3));
                if has_flag {
                    shop.sync_by(generation, "000002", &sync.clone().with("flag", flag));
                }
            }
            let needed: &[&str] = match name {
                "tenantSync" => &["tenantId", "tenantCode", "name", "domainName", "flag"],
                "applicationSync" => &["tenantId", "appId", "clientId", "clientSecret", "flag"],
                "authSync" => &["tenantId", "appId", "userList", "flag"],
                "singleOrgSync" => &["tenantId", "orgCode", "orgName", "flag"],
                _ => &["tenantId", "orgInfoList"],
            };
            for member in needed {
                let why = shop.sync_by(generation, "000002", &sync.clone().without(member));
                let message = why.json()["resultMsg"].as_str().unwrap().to_owned();
                assert!(message.contains(member), "{message}");
                shop.sync_by(generation, "000002", &sync.clone().with(member, ""));
                shop.sync_by(generation, "000002", &sync.clone().with(member, json!(null)));
            }
        }
    }
    for domain in ["evil@example.com", "example.com\\@evil.example", "ftp://example.com", "https://", " "] {
        shop.sync("000002", &tenant("i-1").with("domainName", domain));
    }
    // A list is taken as a whole or not at all.
    for bad in [json!({}), json!({ "userName": "" }), json!({ "userName": "b", "enable": "yes" }), json!("b")] {
        for flag in [0, 1, 2, 3] {
            let list = json!([user("a"), bad, user("c")]);
            if flag % 3 != 0 || bad["enable"].is_null() {
                shop.sync("000002", &auth("i-1", "app-1", list).flag(flag));
            }
        }
    }
    for bad in [json!({ "orgName": "x" }), json!({ "orgCode": "x" }), json!(["x"]), json!(null)] {
        shop.sync("000002", &all_org("i-1", json!([department("1", "a", ""), bad])));
    }
    assert_eq!(shop.directory_sizes(), [0; 5]);
}

#[test]
fn deletes_succeed_any_number_of_times_and_for_what_never_was() {
    for generation in GENERATIONS {
        let shop = Shop::with_silent_kit("");
        let [tenant, application, auth, single, _] = five("no-such-instance");
        let bare_tenant = tenant.without("tenantCode").without("name").without("domainName").without("orderId");
        let bare_application = application.without("clientId").without("clientSecret");
        let deletes = [
            bare_tenant,
            bare_application,
            auth.clone().with("userList", json!([{ "userName": "zhangsan01" }, { "userName": "nobody" }])),
            single.without("orgName").without("parentCode"),
        ];
        for _ in 0..2 {
            for delete in &deletes {
                shop.sync_by(generation, "000000", &delete.clone().flag(0));
            }
        }
        assert_eq!(shop.directory_sizes()[1..], [0; 4]);
        for sync in five("no-such-instance") {
            shop.sync_by(generation, "000000", &sync);
        }
        for _ in 0..2 {
            // A user and a department that stay.
            shop.sync("000000", &auth.clone().with("userList", json!([user("other")])));
            for delete in &deletes[1..] {
                shop.sync_by(generation, "000000", &delete.clone().flag(0));
            }
            assert_eq!(shop.directory_sizes(), [1, 1, 0, 1, 1]);
        }
        for _ in 0..2 {
            shop.sync_by(generation, "000000", &deletes[0].clone().flag(0));
            assert_eq!(shop.directory_sizes(), [1, 0, 0, 0, 0]);
        }
    }
}

#[test]
fn users_are_removed_by_flag_0_revoked_by_flag_3_and_come_back() {
    let shop = Shop::with_silent_kit("");
    let names = |names: &[&str]| json!(names.iter().map(|name| json!({ "userName": name })).collect::<Vec<_>>());
    let set =
        |app: &str, users: &[&str]| auth("i-1", app, json!(users.iter().map(|name| user(name)).collect::<Vec<_>>()));
    shop.sync("000000", &set("app-1", &["a", "b", "c"]));
    shop.sync("000000", &set("app-2", &["a", "b"]));
    shop.sync("000000", &auth("i-1", "app-1", names(&["a", "nobody"])).flag(3));
    shop.sync("000000", &auth("i-1", "app-1", names(&["b", "nobody"])).flag(0));
    let row = |app: &str, name: &str, authorised: bool| json!(["i-1", app, name, "admin", true, authorised]);
    let expected =
        [row("app-1", "a", false), row("app-2", "a", true), row("app-2", "b", true), row("app-1", "c", true)];
    assert_eq!(shop.users(TENANT), expected);
    assert_eq!(shop.scratch.run_json(&["tenant", "list", "--json"])[0]["users"], 3);
    assert!(shop.scratch.run_ok(&["tenant", "users", TENANT]).contains("revoked"));
    shop.sync("000000", &set("app-1", &["a"]).flag(2));
    assert_eq!(shop.users(TENANT)[0], row("app-1", "a", true));
    // User names are one enterprise's own.
    shop.sync("000000", &set("app-1", &["a"]).of(OTHER_TENANT));
    shop.sync("000000", &auth("i-1", "app-1", names(&["a"])).flag(0).of(OTHER_TENANT));
    assert_eq!((shop.users(TENANT).len(), shop.users(OTHER_TENANT).len()), (4, 0));
    shop.sync("000000", &auth("i-1", "app-1", json!([])));
    assert_eq!(shop.users(TENANT).len(), 4);
}

#[test]
fn several_instances_bind_one_tenant_and_unbinding_takes_only_what_is_theirs() {
    let shop = Shop::with_silent_kit("");
    // The credential phase, two purchases, and another enterprise with the same names.
    for (tenant_id, instance) in [(TENANT, ""), (TENANT, "i-1"), (TENANT, "i-2"), (OTHER_TENANT, "i-3")] {
        for sync in five(instance) {
            shop.sync("000000", &sync.of(tenant_id));
        }
    }
    assert_eq!(shop.directory_sizes(), [2, 4, 2, 4, 8]);
    let other = told(&shop, OTHER_TENANT);
    let instances = |shop: &Shop| {
        let of = |rows: Vec<Value>| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
        let mut departments = of(shop.departments(TENANT));
        departments.dedup();
        let bound = shop.tenant(TENANT)["bindings"].as_array().unwrap().clone();
        let bound: Vec<_> = bound.iter().map(|row| row["instanceId"].clone()).collect();
        assert_eq!((&of(shop.users(TENANT)), &departments), (&bound, &bound));
        let applications = shop.tenant(TENANT)["applications"].as_array().unwrap().len();
        (bound, applications)
    };
    assert_eq!(instances(&shop), (vec![json!(""), json!("i-1"), json!("i-2")], 1));
    shop.sync("000000", &tenant("i-1").flag(0));
    assert_eq!(instances(&shop), (vec![json!(""), json!("i-2")], 1));
    shop.sync("000000", &tenant("").flag(0));
    assert_eq!(instances(&shop), (vec![json!("i-2")], 1));
    shop.sync("000000", &tenant("i-2").flag(0));
    assert_eq!(instances(&shop), (vec![], 0));
    assert_eq!(told(&shop, OTHER_TENANT), other);
    // The enterprise itself stays known, and may bind again.
    assert_eq!(shop.tenant(TENANT)["name"], "测试企业");
    for sync in five("i-1") {
        shop.sync("000000", &sync);
    }
    assert_eq!(instances(&shop), (vec![json!("i-1")], 1));
}

#[test]
fn a_child_before_its_parent_makes_a_nameless_parent_that_a_later_call_names() {
    let shop = Shop::with_silent_kit("");
    shop.sync("000000", &single_org("i-1", "3", "c", "2"));
    let rows = [json!(["i-1", "2", null, null, false]), json!(["i-1", "3", "c", "2", false])];
    assert_eq!(shop.departments(TENANT), rows);
    shop.sync("000000", &single_org("i-1", "2", "b", "1"));
    let rows = [
        json!(["i-1", "1", null, null, false]),
        json!(["i-1", "2", "b", "1", false]),
        json!(["i-1", "3", "c", "2", false]),
    ];
    assert_eq!(shop.departments(TENANT), rows);
    // One that is its own parent, a ring, and a parent under another instance of the tenant.
    shop.sync("000000", &single_org("i-1", "4", "d", "4"));
    shop.sync("000000", &single_org("i-1", "1", "a", "3"));
    shop.sync("000000", &single_org("i-2", "5", "e", "2"));
    let [.., second, third] = &shop.departments(TENANT)[..] else { panic!() };
    assert_eq!((second, third), (&json!(["i-2", "2", null, null, false]), &json!(["i-2", "5", "e", "2", false])));
    assert_eq!(shop.departments(TENANT).len(), 6);
    // A name only, before anything else of its enterprise was told.
    assert_eq!((&shop.tenant(TENANT)["name"], &shop.tenant(TENANT)["bindings"]), (&Value::Null, &json!([])));
}

#[test]
fn a_removed_department_does_not_come_back_with_a_call_about_another() {
    let shop = Shop::with_silent_kit("");
    shop.sync("000000", &all_org("i-1", json!([department("1", "a", ""), department("2", "b", "1")])));
    shop.sync("000000", &single_org("i-1", "1", "a", "").flag(0));
    shop.sync("000000", &single_org("i-1", "9", "z", ""));
    let rows = [json!(["i-1", "2", "b", "1", false]), json!(["i-1", "9", "z", null, false])];
    assert_eq!(shop.departments(TENANT), rows);
}

#[test]
fn departments_missing_from_a_full_list_are_marked_removed_or_kept_as_it_is_set() {
    let first = json!([department("1", "a", ""), department("2", "b", "1"), department("3", "c", "2")]);
    let second = json!([department("1", "a", ""), department("4", "d", "2"), department("5", "e", "8")]);
    for setting in ["", "mark_stale", "delete", "keep"] {
        let section = format!("[lifecycle]\nall_org_missing = \"{setting}\"\n");
        let shop = Shop::with_silent_kit(if setting.is_empty() { "" } else { &section });
        shop.sync("000000", &all_org("i-2", first.clone()));
        let other = shop.departments(TENANT);
        shop.sync("000000", &all_org("i-1", first.clone()));
        let mut before = Vec::new();
        for repeated in [false, true, true] {
            shop.sync("000000", &all_org("i-1", second.clone()));
            let row = |code: &str, name: Value, parent: Value, stale: bool| json!(["i-1", code, name, parent, stale]);
            let one = row("1", json!("a"), json!(null), false);
            let four = row("4", json!("d"), json!("2"), false);
            let five = row("5", json!("e"), json!("8"), false);
            let eight = row("8", json!(null), json!(null), false);
            let two_three = |stale| [row("2", json!("b"), json!("1"), stale), row("3", json!("c"), json!("2"), stale)];
            let mut expected = vec![one];
            match setting {
                "delete" => expected.push(row("2", json!(null), json!(null), false)),
                setting => expected.extend(two_three(setting != "keep")),
            }
            expected.extend([four, five, eight]);
            expected.extend(other.clone());
            assert_eq!(shop.departments(TENANT), expected, "{setting:?}");
            assert!(!repeated || before == expected, "a repeated call changes nothing");
            before = expected;
        }
        // What was missing and is told again is there again; an empty list is the list of an enterprise without any.
        shop.sync("000000", &all_org("i-1", first.clone()));
        let named = |row: &&Value| row[0] == "i-1" && row[4] == false && !row[2].is_null();
        let rows = shop.departments(TENANT);
        let expected = if setting == "keep" { 5 } else { 3 };
        assert_eq!(rows.iter().filter(named).count(), expected, "{setting:?}: {rows:?}");
        shop.sync("000000", &all_org("i-1", json!([])));
        let expected = if setting == "keep" { 5 } else { 0 };
        let rows = shop.departments(TENANT);
        assert_eq!(rows.iter().filter(named).count(), expected, "{setting:?}: {rows:?}");
        let stale: i64 = look_up(&shop.scratch, "SELECT count(*) FROM department WHERE stale = 1");
        assert_eq!(stale > 0, ["", "mark_stale"].contains(&setting));
    }
}

#[test]
fn a_copy_holds_the_directory_and_what_is_still_to_be_told() {
    let door = ClosedDoor::new();
    let products = door.product("");
    let shop = Shop::with_kit_and(Application::ready(), "", Some(&products));
    for sync in five("i-1").into_iter().chain(five("")) {
        shop.sync("000000", &sync);
    }
    let before = (shop.users(TENANT), shop.departments(TENANT), shop.directory_sizes());
    shop.scratch.run_ok(&["backup", "copy.db"]);
    shop.scratch.run_ok(&["verify", "copy.db"]);
    shop.sync("000000", &tenant("i-1").flag(0));
    let Shop { koogate, application, scratch } = shop;
    koogate.kill();
    scratch.run_ok(&["restore", "copy.db"]);
    let shop = Shop { koogate: scratch.serve(), application, scratch };
    assert_eq!((shop.users(TENANT), shop.departments(TENANT), shop.directory_sizes()), before);
    let application = door.open(|event| (200, crate::harness::ready_answer(event)));
    let told = application.wait_for(10);
    assert_eq!(told[1]["change"]["clientSecret"], "secret-1");
    assert!(told.iter().all(|event| event["change"]["action"] == "upsert"));
}
