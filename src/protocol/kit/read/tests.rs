//! What the five calls may look like, and what they are read as.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn members(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A call with what every call has.
fn call(more: Value) -> Map<String, Value> {
    let mut all = members(json!({
        "instanceId": "i-1", "tenantId": "t-1", "appId": "a-1", "flag": 1, "testFlag": 0,
        "timeStamp": "20220413093539534"
    }));
    all.extend(members(more));
    all
}

fn read_all(name: Name, members: &Map<String, Value>) -> Result<(DirectorySync, Vec<String>), String> {
    let mut remarks = Vec::new();
    let sync = read(name, Members(members), &mut remarks).map_err(|fault| fault.to_string())?;
    Ok((sync, remarks))
}

/// What a call changes, or what is wrong with it. Nothing may be left out.
fn change(name: Name, more: Value) -> Result<DirectoryChange, String> {
    let (sync, remarks) = read_all(name, &call(more))?;
    assert_eq!(remarks, Vec::<String>::new());
    Ok(sync.change)
}

fn fault(name: Name, more: Value) -> String {
    change(name, more).unwrap_err()
}

fn users(list: Value) -> Vec<User> {
    match change(Name::Auth, json!({ "userList": list })) {
        Ok(DirectoryChange::Users(Users { change: UsersChange::Set(users), .. })) => users,
        other => panic!("{other:?}"),
    }
}

fn departments(more: Value) -> Vec<Department> {
    match change(Name::AllOrg, more) {
        Ok(DirectoryChange::AllDepartments(departments)) => departments,
        other => panic!("{other:?}"),
    }
}

fn department(code: &str, name: &str, parent: Option<&str>) -> Department {
    Department { org_code: code.to_owned(), org_name: name.to_owned(), parent_code: parent.map(str::to_owned) }
}

fn tenant() -> Value {
    json!({"orderId": "CS1", "tenantCode": "acme", "name": "测试企业", "domainName": "example.tenantaccount.com"})
}

#[test]
fn an_enterprise_is_bound_with_its_domain_in_one_form() {
    let expected = Tenant {
        order_id: Some("CS1".to_owned()),
        tenant_code: "acme".to_owned(),
        name: "测试企业".to_owned(),
        domain: Some(Domain::parse("https://example.tenantaccount.com").unwrap()),
    };
    assert_eq!(change(Name::Tenant, tenant()), Ok(DirectoryChange::BindTenant(expected)));
    for (member, value, expected) in [
        ("name", json!(""), "name is missing"),
        ("tenantCode", json!(null), "tenantCode is missing"),
        ("domainName", json!(""), "domainName is missing"),
        (
            "domainName",
            json!("user@evil.example"),
            "domainName must be a host name, with or without https:// before it",
        ),
        ("tenantId", json!(""), "tenantId is missing"),
        ("tenantId", json!([1]), "tenantId must be a text"),
        ("timeStamp", json!(""), "timeStamp is missing"),
    ] {
        let mut more = tenant();
        more[member] = value;
        assert!(fault(Name::Tenant, more.clone()).starts_with(expected), "{more}");
    }
}

#[test]
fn a_debugging_call_may_carry_any_domain() {
    let mut members = call(tenant());
    members.insert("testFlag".to_owned(), json!(1));
    members.insert("domainName".to_owned(), json!("测试 域名@example"));
    let (sync, remarks) = read_all(Name::Tenant, &members).unwrap();
    assert!(matches!(sync.change, DirectoryChange::BindTenant(Tenant { domain: None, .. })));
    assert_eq!(remarks.len(), 1);
    assert!(!remarks[0].contains("example"), "{remarks:?}");
}

#[test]
fn an_empty_instance_or_order_may_be_written_in_three_ways() {
    for empty in [Some(json!("")), Some(json!(null)), None] {
        let mut members = call(tenant());
        for name in ["instanceId", "orderId"] {
            match &empty {
                Some(value) => drop(members.insert(name.to_owned(), value.clone())),
                None => drop(members.remove(name)),
            }
        }
        let (sync, _) = read_all(Name::Tenant, &members).unwrap();
        let DirectoryChange::BindTenant(tenant) = sync.change else { panic!() };
        assert_eq!((sync.instance_id, tenant.order_id), (None, None), "{empty:?}");
    }
}

#[test]
fn a_flag_says_what_to_do_as_number_or_text() {
    let check = |name: Name, flag: Value, expected: Result<&str, &str>| {
        let mut more = tenant();
        more["clientId"] = json!("c");
        more["clientSecret"] = json!("s");
        more["userList"] = json!([{"userName": "u"}]);
        more["orgCode"] = json!("1");
        more["flag"] = flag.clone();
        let change = change(name, more).map(|change| format!("{change:?}"));
        match (change, expected) {
            (Ok(change), Ok(expected)) => assert!(change.contains(expected), "{name:?} {flag}: {change}"),
            (change, expected) => assert_eq!(change.err().as_deref(), expected.err(), "{name:?} {flag}"),
        }
    };
    for (name, remove, set) in [
        (Name::Tenant, "UnbindTenant { order_id: Some(\"CS1\") }", "BindTenant"),
        (Name::Application, "RemoveApplication { app_id: \"a-1\" }", "SetApplication"),
        (Name::Auth, "Remove(1 users)", "Set(1 users)"),
        (Name::SingleOrg, "RemoveDepartment { org_code: \"1\" }", "SetDepartment"),
    ] {
        let may_revoke = name == Name::Auth;
        let refused = if may_revoke { "flag must be 0, 1, 2 or 3" } else { "flag must be 0, 1 or 2" };
        for number in [json!(0), json!("0")] {
            check(name, number, Ok(remove));
        }
        for number in [json!(1), json!("1"), json!(2), json!("2")] {
            check(name, number, Ok(set));
        }
        for number in [json!(3), json!("3")] {
            check(name, number, if may_revoke { Ok("Revoke(1 users)") } else { Err(refused) });
        }
        for other in [json!(4), json!(-1), json!("01"), json!(1.5), json!(true), json!(" 1")] {
            check(name, other, Err(refused));
        }
        for missing in [json!(null), json!("")] {
            check(name, missing, Err("flag is missing"));
        }
    }
    for flag in [json!(0), json!(9), json!(null), json!("x"), json!([])] {
        let expected = Ok(DirectoryChange::AllDepartments(Vec::new()));
        assert_eq!(change(Name::AllOrg, json!({"flag": flag, "orgInfo": []})), expected);
    }
}

#[test]
fn a_removal_needs_no_more_than_names_what_goes() {
    let removed = |name, more| {
        let mut members = call(more);
        members.insert("flag".to_owned(), json!(0));
        read_all(name, &members).map(|(sync, _)| sync.change)
    };
    let nonsense = json!({"domainName": "user@evil.example", "tenantCode": null});
    assert_eq!(removed(Name::Tenant, nonsense), Ok(DirectoryChange::UnbindTenant { order_id: None }));
    assert!(removed(Name::Application, json!({})).is_ok());
    assert!(removed(Name::Application, json!({"appId": ""})).is_err());
    assert!(removed(Name::SingleOrg, json!({"orgCode": 1})).is_ok());
    assert!(removed(Name::SingleOrg, json!({"orgName": "a"})).is_err());
    let list = json!({"userList": [{"userName": "b", "enable": "perhaps"}, {"userName": "a"}, {"userName": "b"}]});
    let Ok(DirectoryChange::Users(users)) = removed(Name::Auth, list) else { panic!() };
    assert!(users.change == UsersChange::Remove(vec!["a".to_owned(), "b".to_owned()]));
    assert!(removed(Name::Auth, json!({"userList": [{"name": "a"}]})).is_err());
}

#[test]
fn client_credentials_are_taken_with_the_secret_unseen() {
    let credentials = json!({"clientId": "client-1", "clientSecret": "q+/9Aa=="});
    let Ok(DirectoryChange::SetApplication(application)) = change(Name::Application, credentials) else { panic!() };
    assert_eq!((application.app_id.as_str(), application.client_id.as_str()), ("a-1", "client-1"));
    assert_eq!(application.encrypted_secret.expose(), "q+/9Aa==");
    assert!(!format!("{application:?}").contains("q+/9Aa"));
    assert_eq!(fault(Name::Application, json!({"clientId": "c"})), "clientSecret is missing");
    assert_eq!(fault(Name::Application, json!({"clientSecret": "s"})), "clientId is missing");
    assert_eq!(fault(Name::Application, json!({"appId": "", "flag": 0})), "appId is missing");
}

#[test]
fn users_come_as_list_or_text_and_their_extension_at_either_place() {
    // The sample of the documentation, V1.
    let v1 = json!(
        "[{\"userName\":\"zhangsan01\",\"name\":\"张三\",\"position\":\"系统管理员\",\"orgCode\":\"123456789\",\
         \"role\":\"admin\",\"enable\":\"true\",\"employeeCode\":\"\",\"mobile\":\"1\",\"email\":\"a@b\",\"extension\":\
         {\"entryDate\":\"2022-11-9\",\"employeeType\":\"4\",\"workPlace\":\"南京\",\"sets\":[1],\"none\":null}}]"
    );
    let v2 = json!([{
        "userName": "zhangsan01", "name": "张三", "position": "系统管理员", "orgCode": 123456789, "role": "admin",
        "enable": true, "mobile": 1, "email": "a@b", "entryDate": "2022-11-9", "employeeType": 4, "workPlace": "南京",
        "extension": "{sets:[1], \"none\":null, workPlace:\"elsewhere\"}", "unheardOf": 1
    }]);
    let expected = User {
        user_name: "zhangsan01".to_owned(),
        name: Some("张三".to_owned()),
        org_code: Some("123456789".to_owned()),
        position: Some("系统管理员".to_owned()),
        employee_code: None,
        employee_type: Some(4),
        role: "admin".to_owned(),
        enabled: true,
        mobile: Some(Secret::new("1".to_owned())),
        email: Some(Secret::new("a@b".to_owned())),
        work_place: Some("南京".to_owned()),
        entry_date: Some("2022-11-9".to_owned()),
        extension: [("sets".to_owned(), json!([1])), ("none".to_owned(), json!(null))].into(),
    };
    for list in [v1, v2] {
        assert_eq!(users(list), std::slice::from_ref(&expected));
    }
    let shown = format!("{expected:?}");
    for personal in ["zhangsan01", "张三", "南京", "a@b", "2022"] {
        assert!(!shown.contains(personal), "{shown}");
    }
}

#[test]
fn a_user_needs_a_name_only_and_is_an_enabled_user_unless_told_otherwise() {
    let [user] = users(json!([{"userName": "u", "orgCode": "", "role": "", "enable": null, "extension": ""}]))
        .try_into()
        .unwrap();
    assert_eq!((user.role.as_str(), user.enabled, user.org_code), ("user", true, None));
    for (enable, expected) in
        [(json!("false"), false), (json!(false), false), (json!("FALSE"), false), (json!("True"), true)]
    {
        assert_eq!(users(json!([{"userName": "u", "enable": enable}]))[0].enabled, expected);
    }
    for (list, expected) in [
        (json!([{"userName": "u"}, {"name": "n"}]), "userList element 2: userName is missing"),
        (json!([{"userName": "u", "enable": "no"}]), "userList element 1: enable must be true or false"),
        (json!([{"userName": "u", "extension": [1]}]), "userList element 1: extension must be an object or a text"),
        (json!([["u"]]), "userList element 1: must be an object"),
        (json!(["u"]), "userList element 1: must be an object"),
        (json!({"userName": "u"}), "userList must be a list or a text that holds one as JSON"),
        (json!("no list"), "userList must be a list or a text that holds one as JSON"),
        (json!("{}"), "userList must be a list or a text that holds one as JSON"),
        (json!(1), "userList must be a list or a text that holds one as JSON"),
        (json!(""), "userList is missing"),
        (json!(null), "userList is missing"),
    ] {
        let fault = fault(Name::Auth, json!({"userList": list}));
        assert!(fault.starts_with(expected), "{fault}");
    }
    assert_eq!(users(json!([])), []);
}

#[test]
fn what_is_of_no_consequence_is_left_out_and_told_without_its_value() {
    let list = json!([{"userName": "a", "employeeType": "many"}, {"userName": "b", "employeeType": 1.5}]);
    let mut members = call(json!({"userList": list, "currentSyncTime": "yesterday"}));
    members.insert("timeStamp".to_owned(), json!("soon"));
    let (_, remarks) = read_all(Name::Auth, &members).unwrap();
    let time = "is no date: a time must be 14 digits (yyyyMMddHHmmss) or 17 digits (yyyyMMddHHmmssSSS)";
    assert_eq!(
        remarks,
        [
            "employeeType was left out for 2 users: it is no whole number".to_owned(),
            format!("currentSyncTime was left out: currentSyncTime {time}"),
        ]
    );
}

#[test]
fn the_time_of_a_list_is_that_of_beijing() {
    let members = call(json!({"userList": [], "currentSyncTime": "20220420114117642"}));
    let (sync, _) = read_all(Name::Auth, &members).unwrap();
    let DirectoryChange::Users(users) = sync.change else { panic!() };
    assert_eq!(users.sync_time, "2022-04-20T03:41:17.642Z".parse().ok());
}

#[test]
fn departments_come_under_two_names_in_three_forms_with_three_spellings() {
    let expected = [department("00000001", "产品部", Some("265789314")), department("2", "研发", None)];
    let v1 = json!([
        {"orgCode": "00000001", "name": "产品部", "parentCode": "265789314"},
        {"orgCode": 2, "OrgName": "研发", "parentCode": ""},
    ]);
    let bare = "[{orgCode:\"00000001\", orgName:\"产品部\", parentCode:\"265789314\" }, {orgCode:2,name:\"研发\"}]";
    for list in [v1.clone(), json!(v1.to_string()), json!(bare)] {
        for name in ["orgInfo", "orgInfoList"] {
            assert_eq!(departments(json!({ name: list })), expected, "{name} {list}");
        }
        assert_eq!(departments(json!({"orgInfo": list, "orgInfoList": ""})), expected);
    }
    assert_eq!(departments(json!({"orgInfo": v1, "orgInfoList": []})), []);
    for (more, expected) in [
        (json!({}), "orgInfoList is missing"),
        (json!({"orgInfo": ""}), "orgInfoList is missing"),
        (json!({"orgInfo": [{"orgCode": "1"}]}), "orgInfo element 1: orgName is missing"),
        (json!({"orgInfoList": "[{orgName:\"1\"}]"}), "orgInfoList element 1: orgCode is missing"),
    ] {
        assert_eq!(fault(Name::AllOrg, more), expected);
    }
    let single = change(Name::SingleOrg, json!({"orgCode": "10000", "orgName": "开发部", "parentCode": ""}));
    assert_eq!(single, Ok(DirectoryChange::SetDepartment(department("10000", "开发部", None))));
    assert_eq!(fault(Name::SingleOrg, json!({"orgCode": "1"})), "orgName is missing");
}

#[test]
fn of_repeated_elements_the_last_counts() {
    let list = json!([
        {"orgCode": "1", "name": "first"}, {"orgCode": "2", "name": "other"}, {"orgCode": "1", "name": "last"},
    ]);
    let expected = [department("2", "other", None), department("1", "last", None)];
    assert_eq!(departments(json!({ "orgInfo": list })), expected);
    let list = json!([{"userName": "u", "role": "admin"}, {"userName": "u"}]);
    let roles: Vec<_> = users(list).into_iter().map(|user| user.role).collect();
    assert_eq!(roles, ["user"]);
}

#[test]
fn a_hundred_thousand_departments_are_read_in_one_go() {
    let element = |number: usize| format!("{{orgCode:\"{}\",orgName:\"n\",parentCode:\"1\"}}", number % 90_000);
    let list: Vec<_> = (0..100_000).map(element).collect();
    let started = std::time::Instant::now();
    assert_eq!(departments(json!({"orgInfoList": format!("[{}]", list.join(","))})).len(), 90_000);
    // Quadratic reading would take minutes.
    assert!(started.elapsed().as_secs() < 20);
}

/// Any value where one of the members stands.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_i64..5).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\[\\]{}:,\"a1]{0,12}".prop_map(Value::from),
    ];
    let name = || "userName|orgCode|orgName|extension|enable|employeeType|[a-z]{1,3}";
    leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_members_are_taken_without_a_panic(more in proptest::collection::btree_map(
        "instanceId|tenantId|orderId|appId|flag|userList|orgInfo|orgInfoList|domainName|timeStamp|clientSecret|orgCode",
        any_value(), 0..8
    )) {
        let mut members = call(json!({}));
        members.extend(more);
        for name in [Name::Tenant, Name::Application, Name::Auth, Name::SingleOrg, Name::AllOrg] {
            let _ = read_all(name, &members);
        }
    }
}
