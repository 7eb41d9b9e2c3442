//! Query parameters that cannot be what the caller meant are refused by name, before anything is done.

use koogate::admin::ROUTES;

use super::{TOKEN, empty};

#[test]
fn a_parameter_that_cannot_be_read_is_named() {
    let (koogate, _scratch) = empty();
    for (target, error) in [
        ("instances?stat=active", "parameter \"stat\" is unknown; known here: status, order, test, limit, before"),
        (
            "instances?status=Active",
            "parameter \"status\": \"Active\" is no status; expected creating, active, frozen or released",
        ),
        ("instances?test=1", "parameter \"test\": \"1\" is none of true, false"),
        ("instances?limit=0", "parameter \"limit\": \"0\" is no whole number from 1 to 1000"),
        ("instances?limit=1001", "parameter \"limit\": \"1001\" is no whole number from 1 to 1000"),
        ("instances?limit=5.0", "parameter \"limit\": \"5.0\" is no whole number from 1 to 1000"),
        ("instances?limit=1&limit=2", "parameter \"limit\" is there twice"),
        ("instances?order=", "parameter \"order\" is empty; leave it out instead"),
        ("instances?before=17", "parameter \"before\": it must be the \"next\" of an answer"),
        ("instances?order=%FF", "the query parameter number 1 is not UTF-8 after percent-decoding"),
        (
            "instances/x?kind=SaaS",
            "parameter \"kind\": \"SaaS\" is no kind of product; expected saas, license, license-code or license-online",
        ),
        ("instances/x?limit=1", "parameter \"limit\" is unknown; known here: kind, test"),
        ("licenses?state=made", "parameter \"state\": \"made\" is none of requested, refused, issued, uploaded"),
        ("licenses?before=WzE3XQ", "parameter \"before\": it must be the \"next\" of an answer"),
        ("licenses/1?test=true", "parameter \"test\" is unknown; this route knows none"),
        ("tenants?test=true", "parameter \"test\" is unknown; known here: limit, before"),
        ("tenants/x/users?before=a", "parameter \"before\" is unknown; known here: limit, after"),
        ("usage?state=due", "parameter \"state\": \"due\" is not a state; there are waiting, accepted and rejected"),
        ("usage?limit=0", "parameter \"limit\": \"0\" is no whole number from 1 to 1000"),
        ("refused?limit=1", "parameter \"limit\" is unknown; this route knows none"),
    ] {
        let answer = koogate.admin("GET", &format!("/api/v1/{target}"), Some(TOKEN), "");
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(error)), "{target}");
    }
    for target in ["instances/x/ready?test=true", "login/x/end?x=1", "instances/x/retry?limit=1", "usage?test=true"] {
        assert_eq!(koogate.admin("POST", &format!("/api/v1/{target}"), Some(TOKEN), "").status, 400, "{target}");
    }
}

#[test]
fn every_route_refuses_a_parameter_that_nobody_knows_as_it_is_described() {
    let (koogate, _scratch) = empty();
    for route in ROUTES.iter().filter(|route| !route.is_page()) {
        let target = format!("{}?nobody=1", route.path.replace(['{', '}'], ""));
        assert_eq!(koogate.admin(route.method.as_str(), &target, Some(TOKEN), "").status, 400, "{target}");
    }
}

#[test]
fn what_is_not_there_is_404() {
    let (koogate, _scratch) = empty();
    for target in
        ["instances/x", "licenses/1", "licenses/first", "tenants/x", "tenants/x/users", "tenants/x/departments"]
    {
        assert_eq!(koogate.admin("GET", &format!("/api/v1/{target}"), Some(TOKEN), "").status, 404, "{target}");
    }
}
