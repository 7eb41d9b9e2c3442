//! Sessions after the hand-over: refreshes and ends by the application, logouts by the browser.

use std::sync::Mutex;

use serde_json::json;

use super::centre::zhang_san;
use super::*;
use crate::harness::Gate;

pub(super) fn refresh(koogate: &Koogate, sid: &str) -> Answer {
    koogate.admin("POST", &format!("/api/v1/login/{sid}/refresh"), Some(ADMIN_TOKEN), "")
}

fn end(koogate: &Koogate, sid: &str) -> Answer {
    koogate.admin("POST", &format!("/api/v1/login/{sid}/end"), Some(ADMIN_TOKEN), "")
}

/// Logs in; the session.
pub(super) fn session(koogate: &Koogate) -> String {
    let claims = handed_over(&Browser::default().log_in(koogate, "t-1", &crate::harness::nonce()));
    claims["sid"].as_str().unwrap().to_owned()
}

#[track_caller]
pub(super) fn check_problem(answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (status, Some(reason)), "{}", text(&answer.body));
}

/// The refresh tokens a centre was asked with.
fn refresh_tokens(centre: &Centre) -> Vec<String> {
    centre.seen().iter().filter_map(|seen| seen.form.get("refresh_token").cloned()).collect()
}

#[test]
fn a_refresh_tells_who_the_user_is_now_and_goes_on_with_the_newest_token_across_restarts() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let sid = session(&koogate);
    let answer = refresh(&koogate, &sid);
    let body = answer.json();
    assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")));
    let claims = verified(body["token"].as_str().unwrap());
    for (name, expected) in
        [("sid", sid.as_str()), ("tenant", "t-1"), ("userName", "zhangsan01"), ("role", "admin"), ("orgCode", "0001")]
    {
        assert_eq!((&body[name], &claims[name]), (&json!(expected), &json!(expected)), "{body} {claims}");
    }
    koogate.kill();
    let koogate = scratch.serve();
    assert_eq!(refresh(&koogate, &sid).status, 200);
    assert_eq!(refresh_tokens(&centre), ["refresh-1", "refresh-2"]);
    let asked = centre.seen().into_iter().rfind(|seen| seen.form.contains_key("grant_type")).unwrap();
    assert_eq!(
        (asked.form["grant_type"].as_str(), asked.form["client_secret"].as_str()),
        ("refresh_token", CLIENT_SECRET)
    );
    assert!(!asked.form.contains_key("code"));
}

#[test]
fn a_session_whose_refresh_token_is_refused_needs_a_new_login_and_can_still_be_ended() {
    let centre = Centre::with_tokens(|seen| match seen.form.get("code") {
        Some(_) => (200, json!({ "access_token": "a", "refresh_token": "r" })).into(),
        None => (400, json!({ "error": "invalid_grant", "error_description": "Invalid refresh token" })).into(),
    });
    let (koogate, _scratch) = open(&centre);
    let sid = session(&koogate);
    check_problem(&refresh(&koogate, &sid), 409, "log-in-again");
    check_problem(&refresh(&koogate, &sid), 409, "log-in-again");
    assert_eq!(refresh_tokens(&centre), ["r"], "what is refused is not tried again");
    let ended = end(&koogate, &sid);
    assert_eq!((ended.status, ended.json()), (200, json!({ "sid": sid, "ended": true })));
    check_problem(&end(&koogate, &sid), 404, "no-session");
    check_problem(&refresh(&koogate, &sid), 404, "no-session");
}

#[test]
fn a_centre_that_gives_no_refresh_token_gives_no_refresh() {
    let centre = Centre::with_tokens(|_| (200, json!({ "access_token": "a" })).into());
    let (koogate, _scratch) = open(&centre);
    check_problem(&refresh(&koogate, &session(&koogate)), 409, "log-in-again");
}

#[test]
fn a_centre_in_trouble_costs_no_session() {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let given = Arc::clone(&answers);
    let centre = Centre::with_tokens(move |_| {
        let usual = (200, json!({ "access_token": "a", "refresh_token": "r" }));
        given.lock().unwrap().pop().unwrap_or(usual).into()
    });
    let (koogate, _scratch) = open(&centre);
    let sid = session(&koogate);
    for trouble in [(500, json!("a")), (401, json!({ "error": "invalid_client" })), (200, json!({}))] {
        answers.lock().unwrap().push(trouble);
        let answer = refresh(&koogate, &sid);
        check_problem(&answer, 502, "centre");
        koogate.wait_for_log(answer.json()["reference"].as_str().unwrap());
    }
    assert_eq!(refresh(&koogate, &sid).status, 200);
}

#[test]
fn each_refresh_that_a_centre_fails_has_its_line_in_the_log() {
    let centre = Centre::with_tokens(|seen| match seen.form.get("code") {
        Some(_) => (200, json!({ "access_token": "a", "refresh_token": "r" })).into(),
        None => (500, json!("in trouble")).into(),
    });
    let (koogate, _scratch) = open(&centre);
    let sid = session(&koogate);
    let failed: Vec<Answer> = (0..30).map(|_| refresh(&koogate, &sid)).collect();
    let log = koogate.stop();
    for answer in failed {
        check_problem(&answer, 502, "centre");
        assert!(log.contains(answer.json()["reference"].as_str().unwrap()), "{log}");
    }
}

#[test]
fn a_refresh_that_tells_of_another_user_is_refused() {
    let users = Mutex::new(vec![json!({ "userName": "lisi" }), zhang_san()]);
    let centre = Centre::start(move |seen| match seen.form.contains_key("grant_type") {
        true => (200, json!({ "access_token": "a", "refresh_token": "r" })).into(),
        false => (200, users.lock().unwrap().pop().unwrap()).into(),
    });
    let (koogate, _scratch) = open(&centre);
    let answer = refresh(&koogate, &session(&koogate));
    check_problem(&answer, 502, "centre");
    assert!(answer.json()["error"].as_str().unwrap().contains("another user"), "{}", answer.json());
}

#[test]
fn a_session_is_refreshed_by_one_at_a_time() {
    let gate = Gate::default();
    let held = gate.clone();
    let centre = Centre::with_tokens(move |seen| {
        if seen.form.contains_key("refresh_token") {
            held.pass();
        }
        (200, json!({ "access_token": "a", "refresh_token": "r" })).into()
    });
    let (koogate, _scratch) = open(&centre);
    let sid = session(&koogate);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| refresh(&koogate, &sid));
        centre.wait_for(3);
        check_problem(&refresh(&koogate, &sid), 409, "refresh-running");
        gate.open();
        assert_eq!(first.join().unwrap().status, 200);
    });
    assert_eq!(refresh(&koogate, &sid).status, 200);
}

#[test]
fn only_the_application_may_ask() {
    let scratch = scratch();
    let koogate = scratch.serve();
    let sid = "0".repeat(32);
    for asked in ["refresh", "end"] {
        let path = format!("/api/v1/login/{sid}/{asked}");
        assert_eq!(koogate.admin("POST", &path, None, "").status, 401);
        assert_eq!(koogate.admin("GET", &path, Some(ADMIN_TOKEN), "").status, 405);
        check_problem(&koogate.admin("POST", &path, Some(ADMIN_TOKEN), ""), 404, "no-session");
        assert_eq!(koogate.post(&path, b"").unwrap().status, 404, "not on the public listener");
    }
    assert_eq!(koogate.admin("POST", "/api/v1/login/x/y", Some(ADMIN_TOKEN), "").status, 404);
}

#[test]
fn a_logout_ends_the_session_and_koogallerys_own() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let (one, other) = (session(&koogate), session(&koogate));
    let left = koogate.get(&format!("/saasproduce/logout?sid={one}&return_to=/bye%3Fa=1"));
    let url = location(&left);
    assert!(url.starts_with(&format!("{}/api/v1/logout?redirect_url=", centre.domain_name())), "{url}");
    assert_eq!(parameter(url, "redirect_url"), "https://app.example.com/bye?a=1");
    assert_eq!(count(&scratch, "login_session"), 1);
    let plain = koogate.get(&format!("/saasproduce/logout?sid={other}"));
    assert_eq!(location(&plain), format!("{}/api/v1/logout", centre.domain_name()));
    assert_eq!(count(&scratch, "login_session"), 0);
    check_problem(&refresh(&koogate, &one), 404, "no-session");
}

#[test]
fn a_logout_without_a_session_ends_nobodys() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    session(&koogate);
    for sid in ["", "x", &"0".repeat(32), "%27%20OR%201=1"] {
        check_page(&koogate.get(&format!("/saasproduce/logout?sid={sid}")), 404, "This login has ended");
    }
    let back = koogate.get("/saasproduce/logout?sid=x&return_to=/bye");
    assert_eq!(location(&back), "https://app.example.com/bye");
    assert_eq!(count(&scratch, "login_session"), 1);
}

#[test]
fn expired_sessions_are_forgotten_at_the_next_start() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    session(&koogate);
    koogate.stop();
    expire_sessions(&scratch);
    let koogate = scratch.serve();
    koogate.wait_for_log("purged 1 expired login sessions");
    assert_eq!(count(&scratch, "login_session"), 0);
}

/// As time does.
fn expire_sessions(scratch: &Scratch) {
    let settings =
        Settings { path: scratch.path("koogate.db"), snapshot: "none.snapshot.db".into(), commit_batch: 512 };
    let store = Store::open(&settings, Role::Command, Arc::new(SealingKey::from_hex(SEALING_KEY).unwrap())).unwrap();
    let sid: String = crate::shop::look_up(scratch, "SELECT sid FROM login_session");
    let past = Timestamp::now() - jiff::SignedDuration::from_secs(1);
    assert!(store.write(None, move |tx| tx.renew_login_session(&sid, None, past, past)).unwrap());
    store.close().unwrap();
}
