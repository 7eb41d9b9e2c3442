//! Logins that come to nothing: each has a page that says what to do, and a line in the log under the same reference.

use std::sync::mpsc;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::harness::Gate;
use crate::shop::{IMPATIENT, PATIENT};

/// A login at this centre must end on this page; the log tells more, and neither tells a secret.
#[track_caller]
fn check_refused(centre: &Centre, status: u16, words: &str, logged: &str) {
    let (koogate, scratch) = open(centre);
    let answer = Browser::default().log_in(&koogate, "t-1", "the-code");
    let reference = check_page(&answer, status, words);
    let page = text(&answer.body);
    let log = koogate.stop();
    let line = log.lines().find(|line| line.contains(&reference)).expect("a line in the log");
    assert!(line.contains(logged) && line.contains("t-1"), "{line}");
    for secret in ["the-code", CLIENT_SECRET, "access-1", "refresh-1"] {
        assert!(!log.contains(secret) && !page.contains(secret), "{secret}\n{log}");
    }
    assert_eq!(count(&scratch, "login_session"), 0);
}

fn refusing(status: u16, error: &'static str, description: &'static str) -> Centre {
    Centre::with_tokens(move |_| (status, json!({ "error": error, "error_description": description })).into())
}

#[test]
fn a_code_that_is_no_longer_good() {
    let centre = refusing(400, "invalid_grant", "Invalid authorization code");
    check_refused(&centre, 400, "The login is no longer good", "Invalid authorization code");
}

#[test]
fn a_credential_that_was_changed() {
    let centre = refusing(400, "invalid_grant", "Client ID mismatch");
    check_refused(&centre, 502, "have the application bound to this enterprise again", "knows another client");
}

#[test]
fn a_credential_that_is_wrong() {
    let centre = refusing(401, "invalid_client", "Bad client credentials client-secret-of-the-tenant");
    check_refused(&centre, 502, "check domain, client id and client secret", "Bad client credentials ***");
}

#[test]
fn a_token_request_that_is_forbidden() {
    let centre = Centre::with_tokens(|_| Reply(403, "<script>alert(1)</script> the-code".to_owned(), None));
    check_refused(&centre, 502, "check domain, client id and client secret", "HTTP 403");
}

#[test]
fn a_centre_that_answers_nonsense() {
    let centre = Centre::with_tokens(|_| Reply(200, "<html>".to_owned(), None));
    check_refused(&centre, 502, "not as documented", "no usable access_token");
}

#[test]
fn a_centre_that_does_not_stop_answering() {
    let centre = Centre::with_tokens(|_| Reply(200, "x".repeat(1 << 20), None));
    check_refused(&centre, 502, "not as documented", "too long");
}

#[test]
fn a_centre_that_redirects_is_not_followed() {
    let other = Centre::good();
    let elsewhere = format!("{}/api/v1/oauth2/token", other.domain_name());
    let centre = Centre::with_tokens(move |_| Reply(307, String::new(), Some(elsewhere.clone())));
    check_refused(&centre, 502, "cannot be used", "redirects (HTTP 307)");
    assert_eq!(other.seen().len(), 0, "the secret went elsewhere");
}

#[test]
fn a_user_of_another_tenant() {
    let centre = Centre::with_user(|_| (200, json!({ "userName": "mallory", "tenant": "t-2" })).into());
    check_refused(&centre, 502, "Another enterprise or user", "another tenant");
}

#[test]
fn a_user_without_a_name() {
    let centre = Centre::with_user(|_| (200, json!({ "name": "access-1" })).into());
    check_refused(&centre, 502, "not as documented", "no usable userName");
}

#[test]
fn an_access_token_that_opens_nothing() {
    let centre =
        Centre::with_user(|_| (401, json!({ "error": "unauthorized", "error_description": "access-1" })).into());
    check_refused(&centre, 502, "not as documented", "userinfo with HTTP 401: unauthorized: ***");
}

#[test]
fn a_centre_that_cannot_be_reached() {
    let closed = crate::harness::ClosedDoor::new();
    let address = closed.product("").split('"').nth(3).unwrap().replace("/koogate", "");
    let scratch = scratch();
    know_tenant(&scratch, "t-1", &address, Some(APP_ID));
    let koogate = scratch.serve();
    let answer = Browser::default().log_in(&koogate, "t-1", "c");
    let reference = check_page(&answer, 502, "this machine reaches");
    koogate.wait_for_log(&reference);
    assert!(koogate.log_text().contains("cannot be reached"));
}

#[test]
fn tenants_that_cannot_log_in_cost_no_disk_and_ask_nobody() {
    let centre = Centre::good();
    let scratch = scratch();
    know_tenant(&scratch, "t-1", &centre.domain_name(), None);
    know_tenant(&scratch, "t-2", &centre.domain_name(), Some("ANOTHER-APP"));
    know_tenant(&scratch, "t-3", "http://169.254.169.254", Some(APP_ID));
    know_tenant(&scratch, "t-4", "http://centre.example.com", Some(APP_ID));
    let koogate = scratch.serve();
    let refused = |tenant: &str, status, words| {
        check_page(&Browser::default().log_in(&koogate, tenant, "c"), status, words);
    };
    refused("t-9", 404, "Your enterprise is not known here");
    refused("%3Cscript%3E", 404, "Your enterprise is not known here");
    refused("t-1", 404, "has not got this application");
    refused("t-2", 404, "has not got this application");
    refused("t-3", 502, "cannot be used");
    refused("t-4", 502, "cannot be used");
    assert_eq!((centre.seen().len(), count(&scratch, "login_session")), (0, 0));
    let shown = koogate.admin("GET", "/api/v1/refused", Some(ADMIN_TOKEN), "").json();
    assert!(shown.to_string().contains("is unknown: no tenantSync"), "{shown}");
}

#[test]
fn callbacks_without_a_code_or_a_tenant() {
    let scratch = scratch();
    let koogate = scratch.serve();
    for query in [
        "",
        "code=c",
        "tenant=t",
        "code=&tenant=t",
        "code=%FF&tenant=t",
        &format!("code={}&tenant=t", "c".repeat(2049)),
    ] {
        let answer = koogate.get(&format!("{LOGIN}/callback?{query}"));
        check_page(&answer, 400, "The login is incomplete");
    }
    let declined = koogate.get(&format!("{LOGIN}/callback?error=access_denied%3Cb%3E&tenant=t"));
    check_page(&declined, 403, "The login was declined");
    koogate.wait_for_log("access_denied");
}

#[test]
fn nobody_is_sent_to_another_site() {
    let scratch = scratch();
    let koogate = scratch.serve();
    for path in ["//evil.com", "https://evil.com", "/%5Cevil.com", "/%252Fevil.com", "%2F%2Fevil.com", "/a%0D%0AX:y"] {
        check_page(&koogate.get(&format!("{LOGIN}?return_to={path}")), 400, "The return address is not allowed");
        let logout = format!("/saasproduce/logout?return_to={path}");
        check_page(&koogate.get(&logout), 400, "The return address is not allowed");
    }
}

#[test]
fn a_centre_that_hangs_holds_up_its_own_tenant_for_a_bounded_time() {
    let gate = Gate::default();
    let held = gate.clone();
    let hanging = Centre::with_tokens(move |_| {
        held.pass();
        (200, json!({})).into()
    });
    let good = Centre::with_user(|_| (200, json!({ "userName": "lisi", "tenant": "t-2" })).into());
    let scratch = scratch_with(IMPATIENT, "");
    know_tenant(&scratch, "t-1", &hanging.domain_name(), Some(APP_ID));
    know_tenant(&scratch, "t-2", &good.domain_name(), Some(APP_ID));
    let koogate = scratch.serve();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let (koogate, hanging) = (&koogate, &hanging);
        let waiting: Vec<_> =
            (0..4).map(|n| scope.spawn(move || Browser::default().log_in(koogate, "t-1", &format!("c-{n}")))).collect();
        hanging.wait_for(4);
        assert_eq!(handed_over(&Browser::default().log_in(koogate, "t-2", "c"))["userName"], "lisi");
        for answer in waiting {
            check_page(&answer.join().unwrap(), 504, "The authentication centre is slow");
        }
    });
    assert!(begun.elapsed() < crate::harness::PATIENCE, "{:?}", begun.elapsed());
    gate.open();
}

#[test]
fn a_login_waits_for_a_place_while_others_hold_them() {
    let gate = Gate::default();
    let held = gate.clone();
    let centre = Centre::with_tokens(move |_| {
        held.pass();
        (200, json!({ "access_token": "a" })).into()
    });
    let scratch = scratch_with(PATIENT, "");
    know_tenant(&scratch, "t-1", &centre.domain_name(), Some(APP_ID));
    let koogate = scratch.serve();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let log_in = |code: &'static str| {
            let (koogate, tell) = (&koogate, tell.clone());
            scope.spawn(move || {
                let mut browser = Browser::default();
                let answer = browser.log_in(koogate, "t-1", code);
                tell.send((answer, browser)).unwrap();
            });
        };
        ["c-1", "c-2", "c-3", "c-4"].into_iter().for_each(log_in);
        centre.wait_for(4);
        // Two may wait, so one of three is turned away at once.
        ["c-5", "c-6", "c-7"].into_iter().for_each(log_in);
        let (answer, mut turned_away) = told.recv().unwrap();
        check_page(&answer, 503, "Too many logins at once");
        assert_eq!(turned_away.cookies.len(), 1, "the same callback may be tried again");
        gate.open();
        for (answer, _) in told.iter().take(6) {
            handed_over(&answer);
        }
        handed_over(&turned_away.get(&koogate, &callback("t-1", "c-8")));
    });
}

#[test]
fn made_up_codes_fill_no_log() {
    const STRANGERS: usize = 60;
    let centre = refusing(400, "invalid_grant", "Invalid authorization code");
    let (koogate, _scratch) = open(&centre);
    let begun = Instant::now();
    for number in 0..STRANGERS {
        check_page(&Browser::default().log_in(&koogate, "t-1", &format!("c-{number}")), 400, "no longer good");
    }
    // Ten lines at once and one more in each second. On a machine too slow for that to be few, nothing can be told.
    let allowed = 11 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let shown = koogate.admin("GET", "/api/v1/refused", Some(ADMIN_TOKEN), "").json().to_string();
    assert_eq!(shown.matches("Invalid authorization code").count(), STRANGERS, "{shown}");
    let log = koogate.stop();
    let lines = log.matches("Invalid authorization code").count();
    assert!((1..=allowed).contains(&lines), "{lines} lines\n{log}");
}
