//! What other sites can make a browser do: nothing.

use koogate::admin::ROUTES;
use koogate::http::Method;

use crate::harness::{KEY, Scratch, text};
use crate::page::visitor::{TOKEN, Visitor, admin, element, empty, hidden};
use crate::shop::FIXED;

#[test]
fn a_form_without_the_token_of_its_session_does_nothing() {
    let (koogate, _scratch) = empty();
    let (mut visitor, mut other) = (Visitor::logged_in(&koogate), Visitor::logged_in(&koogate));
    let own = hidden(&text(&visitor.get("/").body), "csrf");
    let foreign = hidden(&text(&other.get("/").body), "csrf");
    assert_ne!(own, foreign);
    let forms = ROUTES.iter().filter(|route| route.is_page() && route.method == Method::Post && !route.is_open);
    let mut seen = 0;
    for route in forms {
        let target = route.path.replace(['{', '}'], "");
        for given in [None, Some(""), Some(foreign.as_str()), Some(&own[1..]), Some(&own.to_uppercase())] {
            let fields: Vec<_> = given.iter().map(|given| ("csrf", *given)).collect();
            let answer = visitor.post(&target, &fields);
            assert_eq!(answer.status, 403, "{target} {given:?}");
            assert_eq!(element(&text(&answer.body), "h1"), "This was not accepted", "{target} {given:?}");
        }
        seen += 1;
    }
    assert!(seen >= 1);
    assert_eq!(visitor.get("/").status, 200, "the session is as it was");
    // In the address it does not count.
    assert_eq!(visitor.post(&format!("/logout?csrf={own}"), &[]).status, 400);
    // Without a session nothing is done either, and the page says so.
    let answer = Visitor::new(&koogate).post("/logout", &[("csrf", &own)]);
    assert_eq!((answer.status, element(&text(&answer.body), "h1")), (403, "You are not logged in any more"));
}

#[test]
fn a_form_from_another_site_does_nothing_even_with_the_right_token() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::logged_in(&koogate);
    let own = hidden(&text(&visitor.get("/").body), "csrf");
    let origin = format!("http://{}", visitor.host);
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:1"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        visitor.headers = vec![(name, value.to_owned())];
        assert_eq!(visitor.post("/logout", &[("csrf", &own)]).status, 403, "{name}: {value}");
        let mut stranger = Visitor::new(&koogate);
        let form = hidden(&text(&stranger.get("/login").body), "form");
        stranger.headers = vec![(name, value.to_owned())];
        assert_eq!(stranger.post("/login", &[("form", &form), ("token", TOKEN)]).status, 403, "{name}: {value}");
    }
    visitor.headers = vec![("Origin", origin), ("Sec-Fetch-Site", "same-origin".to_owned())];
    assert_eq!(visitor.post("/logout", &[("csrf", &own)]).status, 303);
}

#[test]
fn a_name_that_another_site_lets_point_here_shows_nothing() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::logged_in(&koogate);
    for host in ["evil.example", "evil.example:8444", "localhost.evil.example"] {
        visitor.host = host.to_owned();
        for target in ["/", "/login", "/nothing", "/static/icon.svg"] {
            let answer = visitor.get(target);
            assert_eq!(answer.status, 403, "{host} {target}");
            let told = text(&answer.body);
            assert!(told.contains("admin.host_names") && !told.contains("evil"), "{told}");
            assert!(!answer.headers.iter().any(|(name, _)| name == "Set-Cookie" || name == "Location"));
        }
        let answer = visitor.post("/login", &[("token", TOKEN)]);
        assert_eq!(answer.status, 403, "{host}");
    }
    for host in ["localhost", "LOCALHOST:1", "koogate.localhost:8444", "127.0.0.1", "[::1]:8444"] {
        visitor.host = host.to_owned();
        assert_eq!(visitor.get("/").status, 200, "{host}");
    }
}

#[test]
fn behind_a_proxy_the_configured_name_leads_to_the_page() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &admin("host_names = [\"koogate.example.com\"]"), FIXED);
    let koogate = scratch.serve();
    // Caddy passes the browser's Host on, nginx puts the address it calls.
    for host in ["koogate.example.com", "127.0.0.1:8444"] {
        let mut visitor = Visitor::new(&koogate);
        visitor.host = host.to_owned();
        visitor.headers = vec![("Origin", "https://koogate.example.com".to_owned())];
        let answer = visitor.log_in(TOKEN);
        assert_eq!((answer.status, answer.header("Location")), (303, Some("/")), "{host}");
        assert_eq!(visitor.get("/").status, 200, "{host}");
    }
    let mut other = Visitor::new(&koogate);
    other.host = "other.example.com".to_owned();
    assert_eq!(other.get("/").status, 403);
}

#[test]
fn a_session_opens_no_api_and_the_bearer_token_no_page() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::logged_in(&koogate);
    for target in ["/api/v1/instances", "/metrics", "/api/v1/nothing"] {
        assert_eq!(visitor.get(target).status, 401, "{target}");
    }
    let mut program = Visitor::new(&koogate);
    program.headers = vec![("Authorization", format!("Bearer {TOKEN}"))];
    for target in ["/", "/login", "/nothing"] {
        assert_eq!(program.get(target).status, 404, "{target}");
    }
    // A proxy that asks for a password of its own passes it on.
    visitor.headers = vec![("Authorization", "Basic b3BlcmF0b3I6c2VjcmV0".to_owned())];
    assert_eq!(visitor.get("/").status, 200);
}
