//! In and out: the form, the session's cookie, and wrong tokens.

use crate::harness::text;
use crate::page::visitor::{TOKEN, Visitor, element, empty, hidden, set_cookies};

#[test]
fn without_a_session_every_page_leads_to_the_login_form_and_from_there_back() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::new(&koogate);
    for (target, expected) in [
        ("/", "/login"),
        ("/?x=1", "/login?next=%2F%3Fx%3D1"),
        ("/nothing", "/login?next=%2Fnothing"),
        ("/logout", "/login?next=%2Flogout"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = visitor.request(method, target, None);
            assert_eq!((answer.status, answer.header("Location")), (303, Some(expected)), "{method} {target}");
            assert_eq!(set_cookies(&answer), Vec::<&str>::new());
        }
    }
    let page = text(&visitor.get("/login?next=%2Flogin%3Fnext%3D%252Fx").body);
    assert_eq!(hidden(&page, "next"), "/", "never back to the form");
    let page = text(&visitor.get("/login?next=%2F%3F").body);
    assert_eq!(hidden(&page, "next"), "/?");
    let form = hidden(&page, "form");
    let answer = visitor.post("/login", &[("form", &form), ("next", "/?"), ("token", TOKEN)]);
    assert_eq!((answer.status, answer.header("Location")), (303, Some("/?")));
    assert_eq!(element(&text(&visitor.get("/").body), "h1"), "Overview");
    let answer = visitor.get("/login");
    assert_eq!((answer.status, answer.header("Location")), (303, Some("/")), "nobody logs in twice");
}

#[test]
fn a_login_leads_to_no_other_site() {
    let (koogate, _scratch) = empty();
    for next in
        ["//evil.example/", "https://evil.example/", "/\\evil.example", "/%2f/evil.example", "javascript:alert(1)"]
    {
        let mut visitor = Visitor::new(&koogate);
        let form = hidden(&text(&visitor.get("/login").body), "form");
        let answer = visitor.post("/login", &[("form", &form), ("next", next), ("token", TOKEN)]);
        assert_eq!((answer.status, answer.header("Location")), (303, Some("/")), "{next}");
        let language = format!("/language?to=zh&next={}", next.replace('%', "%25"));
        assert_eq!(visitor.get(&language).header("Location"), Some("/"), "{next}");
    }
}

#[test]
fn the_session_is_a_long_random_id_in_a_cookie_that_no_script_and_no_other_site_gets() {
    let (koogate, _scratch) = empty();
    let session = |visitor: &mut Visitor, origin: Option<&str>| {
        visitor.headers = origin.iter().map(|origin| ("Origin", (*origin).to_owned())).collect();
        let answer = visitor.log_in(TOKEN);
        let cookies = set_cookies(&answer);
        let cookie = cookies.iter().find(|cookie| cookie.starts_with("koogate-session=")).expect("a session");
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        let id = pair.strip_prefix("koogate-session=").unwrap();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(cookies.iter().all(|cookie| cookie.contains("; HttpOnly; SameSite=Strict")), "{cookies:?}");
        (id.to_owned(), attributes.to_owned())
    };
    let (one, attributes) = session(&mut Visitor::new(&koogate), None);
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
    // Whoever brings an id of their own choice does not get it.
    let mut fixed = Visitor::new(&koogate);
    fixed.cookies.insert("koogate-session".to_owned(), "0".repeat(64));
    let (two, _) = session(&mut fixed, None);
    assert!(one != two && two != "0".repeat(64));
    // The browser says that it sees the page by HTTPS: then the cookie goes by HTTPS only.
    let mut secure = Visitor::new(&koogate);
    let origin = format!("https://{}", secure.host);
    assert_eq!(session(&mut secure, Some(&origin)).1, "Path=/; HttpOnly; SameSite=Strict; Secure");
}

#[test]
fn a_wrong_token_gets_the_form_again_and_nothing_else() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::new(&koogate);
    for token in ["", "wrong", &TOKEN[1..], &format!("{TOKEN} "), &TOKEN.to_uppercase()] {
        let answer = visitor.log_in(token);
        let page = text(&answer.body);
        assert_eq!((answer.status, element(&page, "h1")), (403, "Log in"), "{token:?}");
        assert!(page.contains("This is not the token.") && !page.contains(TOKEN));
        assert!(token.is_empty() || !page.contains(&format!("value=\"{token}\"")), "it is not repeated");
        assert!(!visitor.cookies.contains_key("koogate-session"));
    }
    assert!(!koogate.log_text().contains(TOKEN));
    koogate.wait_for_log("status page: a wrong token from 127.0.0.1");
}

#[test]
fn after_too_many_wrong_tokens_none_is_looked_at_but_a_browser_that_has_logged_in_before_and_the_api_go_on() {
    let (koogate, _scratch) = empty();
    let mut known = Visitor::logged_in(&koogate);
    let mut stranger = Visitor::new(&koogate);
    // More than may be tried at once. On a slow machine some are given back meanwhile, so the number is no promise here.
    let refused = (0..200).map(|_| stranger.log_in("wrong")).find(|answer| answer.status == 429).expect("a bound");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    assert!(text(&refused.body).contains("Too many wrong tokens: wait"));
    known.cookies.remove("koogate-session");
    assert_eq!(known.log_in(TOKEN).status, 303);
    let mut forged = stranger.clone();
    let mark = known.cookies["koogate-known"].split_once('.').unwrap().1.to_owned();
    forged.cookies.insert("koogate-known".to_owned(), format!("{}.{mark}", "1".repeat(64)));
    let refused = (0..200).map(|_| forged.log_in("wrong")).find(|answer| answer.status == 429);
    assert!(refused.is_some(), "a mark is of one id only");
    assert_eq!(koogate.admin("GET", "/api/v1/instances", Some(TOKEN), "").status, 200);
}

#[test]
fn a_login_form_works_only_in_the_browser_that_was_given_it() {
    let (koogate, _scratch) = empty();
    let (mut victim, mut attacker) = (Visitor::new(&koogate), Visitor::new(&koogate));
    let form = hidden(&text(&attacker.get("/login").body), "form");
    let own = hidden(&text(&victim.get("/login").body), "form");
    assert_ne!(form, own);
    for (given, cookie) in
        [(form.as_str(), Some(own.as_str())), ("", Some(&own)), ("", Some("")), (&form, None), ("", None)]
    {
        match cookie {
            Some(cookie) => drop(victim.cookies.insert("koogate-form".to_owned(), cookie.to_owned())),
            None => drop(victim.cookies.remove("koogate-form")),
        }
        let answer = victim.post("/login", &[("form", given), ("token", TOKEN)]);
        assert_eq!(answer.status, 403, "{given} {cookie:?}");
        assert!(text(&answer.body).contains("This form was out of date"));
        assert!(!victim.cookies.contains_key("koogate-session"));
    }
}

#[test]
fn logging_out_and_a_restart_end_a_session_and_another_login_ends_the_one_before() {
    let (koogate, scratch) = empty();
    let mut visitor = Visitor::logged_in(&koogate);
    let mut copy = visitor.clone();
    assert_eq!(visitor.get("/logout").status, 405, "a link logs nobody out");
    let answer = visitor.post_from("/", "/logout", &[]);
    assert_eq!((answer.status, answer.header("Location")), (303, Some("/login")));
    assert!(!visitor.cookies.contains_key("koogate-session"));
    assert_eq!(copy.get("/").status, 303, "the id is worth nothing any more");

    let mut first = Visitor::logged_in(&koogate);
    let mut again = first.clone();
    let form = hidden(&text(&Visitor::new(&koogate).get("/login").body), "form");
    again.cookies.insert("koogate-form".to_owned(), form.clone());
    assert_eq!(again.post("/login", &[("form", &form), ("token", TOKEN)]).status, 303);
    assert_ne!(first.cookies["koogate-session"], again.cookies["koogate-session"]);
    assert_eq!((first.get("/").status, again.get("/").status), (303, 200));

    koogate.stop();
    let koogate = scratch.serve();
    let mut after = Visitor::new(&koogate);
    after.cookies = again.cookies;
    assert_eq!(after.get("/").status, 303);
}
