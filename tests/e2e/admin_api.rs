//! The local API and its description: `docs/openapi.yaml` has every route of it and no other, and what a running koogate answers
//! is what it says. Every request that any test makes to the admin listener is held against it, too
//! (`Koogate::admin`). The status page on the same listener has its own tests (`page`).
//!
//! A new route needs its row in `admin::ROUTES`, its path in the file, and, if it answers GET, a line in
//! [`shown::answers`].

mod crowd;
pub mod document;
mod queries;
pub mod shown;

use std::collections::BTreeSet;

use koogate::admin::ROUTES;
use serde_json::{Value, json};

use self::document::document;
use crate::harness::{KEY, Koogate, Scratch};
use crate::shop::FIXED;

pub const TOKEN: &str = "admin-token-0123456789";
pub const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"admin-token-0123456789\"\n";

/// A server with an admin listener and nothing sold.
fn empty() -> (Koogate, Scratch) {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], ADMIN, FIXED);
    (scratch.serve(), scratch)
}

/// The names in braces of a path.
fn names(path: &str) -> Vec<&str> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn every_route_is_described_with_its_parameters_and_nothing_else_is() {
    let route = |route: &koogate::admin::Route| {
        let mut parameters = route.parameters.to_vec();
        parameters.sort_unstable();
        format!("{} {} {parameters:?} {:?} open: {}", route.method, route.path, names(route.path), route.is_open)
    };
    let operations = document().operations();
    let told = operations.iter().map(|operation| {
        let (query, path) = (operation.parameters_in("query"), operation.parameters_in("path"));
        format!("{} {} {query:?} {path:?} open: {}", operation.method, operation.path, operation.is_open())
    });
    let of_api = ROUTES.iter().filter(|route| !route.is_page());
    assert_eq!(told.collect::<BTreeSet<_>>(), of_api.map(route).collect());
}

/// Calls `look` with every place in a document and its path.
fn walk(value: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
    look(path, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| walk(value, &format!("{path}/{name}"), look)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}/-"), look)),
        _ => {}
    }
}

#[test]
fn the_description_hangs_together() {
    let document = document();
    let mut ids = BTreeSet::new();
    for operation in document.operations() {
        let (name, told) = (format!("{} {}", operation.method, operation.path), operation.told);
        assert!(ids.insert(told["operationId"].as_str().unwrap()), "{name}: its operationId is another's, too");
        assert!(told["summary"].is_string() && told["tags"][0].is_string(), "{name}");
        let statuses = told["responses"].as_object().unwrap();
        assert!(statuses.contains_key("200"), "{name}");
        assert_eq!(statuses.contains_key("401"), !operation.is_open(), "{name}");
    }
    let mut examples = 0;
    walk(&document.0, "", &mut |path, value| {
        document.resolved(value);
        if let (Some(schema), Some(example)) = (value.get("schema"), value.get("example")) {
            assert_eq!(document.faults(schema, example), Vec::<String>::new(), "{path}: the example");
            examples += 1;
        }
    });
    assert!(examples >= 20, "only {examples} examples");
}

#[test]
fn no_object_of_an_answer_can_get_a_member_that_is_not_described() {
    let mut closed = 0;
    let mut look = |path: &str, value: &Value| {
        let has = |name: &str| value.get(name).is_some_and(|told| !told.is_string());
        let is_object = value["type"] == "object" || has("allOf") || has("properties");
        // What requests may hold is said by events.md; a schema to build upon is closed by who builds; an order is
        // KooGallery's.
        let is_exempt = path.ends_with("Members")
            || ["/components/schemas/Ready", "/components/schemas/Order"].iter().any(|open| path.starts_with(open));
        if is_object && !is_exempt {
            let is_closed = [&value["additionalProperties"], &value["unevaluatedProperties"]].contains(&&json!(false));
            assert!(is_closed, "{path} is open");
            closed += 1;
        }
    };
    walk(&document().0, "", &mut look);
    assert!(closed > 20, "only {closed} objects were looked at");
}

#[test]
fn without_the_token_nothing_is_told() {
    let (koogate, _scratch) = empty();
    let operations = document().operations();
    for operation in &operations {
        let target = operation.path.replace(['{', '}'], "");
        for token in [None, Some(""), Some("another-token-of-nobody")] {
            let answer = koogate.admin(&operation.method, &target, token, "");
            let expected = if operation.is_open() { (200, None) } else { (401, Some("Bearer")) };
            assert_eq!((answer.status, answer.header("WWW-Authenticate")), expected, "{target}");
        }
    }
    // Neither which paths there are, nor which methods they have.
    for (method, target) in
        [("GET", "/api"), ("GET", "/api/v1/nothing"), ("DELETE", "/api/v1/instances"), ("POST", "/readyz")]
    {
        assert_eq!(koogate.admin(method, target, None, "").status, 401, "{method} {target}");
    }
}

#[test]
fn with_the_token_a_wrong_path_is_404_and_a_wrong_method_405_with_the_right_ones() {
    let (koogate, _scratch) = empty();
    for target in ["/", "/api", "/api/v1/", "/api/v1/instances/", "/api/v1/instances/a/b", "/API/v1/instances"] {
        assert_eq!(koogate.admin("GET", target, Some(TOKEN), "").status, 404, "{target}");
    }
    for (method, target, allowed) in [
        ("DELETE", "/api/v1/instances", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/instances/x/ready", "POST"),
        ("HEAD", "/api/v1/instances/x/retry", "POST"),
    ] {
        let answer = koogate.admin(method, target, Some(TOKEN), "");
        assert_eq!((answer.status, answer.header("Allow")), (405, Some(allowed)), "{method} {target}");
    }
    let head = koogate.admin("HEAD", "/api/v1/instances", Some(TOKEN), "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}
