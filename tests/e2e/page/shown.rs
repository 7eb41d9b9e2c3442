//! What is on the pages: in both languages, escaped, without secrets, and told to browsers as it must be.

use koogate::admin::ROUTES;
use koogate::page::style;
use koogate::page::{Bilingual, Language};

use crate::harness::{KEY, Koogate, Scratch, new_instance, status_change, text};
use crate::page::crawl::{crawl, elements, own_texts};
use crate::page::visitor::{Visitor, admin, element, empty};

/// What somebody who wants to break a page calls things.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;";

/// A shop in which everything that others name has such a name.
fn hostile() -> (Koogate, Scratch) {
    let scratch = Scratch::new("");
    let products = "[[product]]\nfulfilment = \"fixed\"\n[product.access]\n\
                    front_end_url = \"https://app.example.com/{instanceId}\"\nuser_name = \"u-secret-name\"\n";
    scratch.configure(&[KEY], &admin(""), products);
    let koogate = scratch.serve();
    for (number, tail) in ["", "\u{202e}txet", &"长".repeat(40)].iter().enumerate() {
        let mut body = new_instance(&format!("{HOSTILE}{number}{tail}"));
        body["productId"] = HOSTILE.into();
        let answer = koogate.call(&body);
        let instance = answer.json()["instanceId"].as_str().unwrap_or("none").to_owned();
        koogate.call(&status_change(&instance, "FREEZE"));
    }
    koogate.call(&status_change(HOSTILE, "FREEZE"));
    let refused =
        koogate.post(&format!("/saasproduce?signature={}&timestamp=1&nonce=%3Cscript%3E", "0".repeat(64)), b"{}");
    assert_eq!(refused.unwrap().status, 200);
    (koogate, scratch)
}

#[test]
fn every_page_is_whole_in_both_languages_and_nothing_that_others_wrote_becomes_markup() {
    let (koogate, _scratch) = hostile();
    let mut targets = Vec::new();
    for language in Language::ALL {
        let mut visitor = Visitor::logged_in(&koogate);
        let chosen = visitor.get(&format!("/language?to={}", language.code()));
        assert_eq!((chosen.status, chosen.header("Location")), (303, Some("/")));
        let pages = crawl(&mut visitor, 4);
        for page in &pages {
            let (target, html) = (&page.target, &page.html);
            assert_eq!(page.answer.status, 200, "{target}: {html}");
            if !page.answer.header("Content-Type").unwrap().starts_with("text/html") {
                continue;
            }
            for (name, value) in style::HEADERS {
                assert_eq!(page.answer.header(name), Some(value), "{target}");
            }
            assert!(html.starts_with("<!DOCTYPE html>"), "{target}");
            assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())), "{target}");
            for one in ["title", "main", "h1", "header", "footer"] {
                // Charts have titles of their own.
                let count = elements(&without(html, "svg"), one).len();
                assert!(count == 1, "{target}: {count} times {one}");
            }
            assert!(html.contains("<a class=\"skip\" href=\"#content\">"), "{target}");
            for harmful in
                ["<script", "<img", "onerror=alert(2)>", " style=", "javascript:", "\u{202e}", "u-secret-name"]
            {
                assert!(!html.contains(harmful), "{target}: {harmful}: {html}");
            }
            for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
                assert!(tag.matches(" class=").count() < 2, "{target}: two classes: <{tag}>");
            }
            for own in own_texts(html) {
                assert!(is_in(language, &own), "{target}, {language:?}: {own:?}");
            }
        }
        targets.push(pages.into_iter().map(|page| page.target).collect::<Vec<_>>());
    }
    assert_eq!(targets[0], targets[1], "the same pages in both");
}

/// A page without the elements of a name.
fn without(html: &str, name: &str) -> String {
    let mut rest = html.to_owned();
    for (attributes, content) in elements(html, name) {
        rest = rest.replace(&format!("<{name}{attributes}>{content}</{name}>"), "");
    }
    rest
}

/// Whether a text is in a language: no Chinese in English, and no three English words in a row in Chinese.
fn is_in(language: Language, text: &str) -> bool {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c) || ('\u{3000}'..='\u{303f}').contains(&c);
    let words =
        text.split_whitespace().map(|word| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let longest = words.fold((0, 0), |(most, run), is_word| {
        let run = if is_word { run + 1 } else { 0 };
        (most.max(run), run)
    });
    match language {
        Language::En => !text.contains(is_chinese),
        Language::Zh => longest.0 < 3,
    }
}

#[test]
fn the_language_is_the_browsers_until_one_is_chosen() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::new(&koogate);
    for (accepted, expected) in [("zh-CN,zh;q=0.9,en;q=0.8", "登录"), ("en-GB,en;q=0.9", "Log in"), ("fr", "Log in")]
    {
        visitor.language = accepted;
        assert_eq!(element(&text(&visitor.get("/login").body), "h1"), expected);
    }
    let page = text(&visitor.get("/login?next=%2F%3Fa%3Db").body);
    let (_, switch) = page.split_once("<a class=\"language\" href=\"").unwrap();
    let switch = switch.split_once('"').unwrap().0.replace("&amp;", "&");
    let answer = visitor.get(&switch);
    assert_eq!(answer.header("Location"), Some("/"), "the form is no page to come back to");
    assert_eq!(visitor.cookies["koogate-language"], "zh");
    assert_eq!(element(&text(&visitor.get("/login").body), "h1"), "登录");
    assert_eq!(visitor.get("/language?to=de").status, 404);
}

#[test]
fn wrong_addresses_methods_and_parameters_are_answered_with_pages() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::logged_in(&koogate);
    for (method, target, status, heading) in [
        ("GET", "/nothing", 404, "There is no such page"),
        ("GET", "/%ff", 404, "There is no such page"),
        ("GET", "/static/other.css", 404, "There is no such page"),
        ("DELETE", "/", 405, "Not this way"),
        ("GET", "/?nonsense=1", 400, "This cannot be read"),
        ("GET", "/language?to=zh&to=en", 400, "This cannot be read"),
        ("GET", "/language?to=%ff", 400, "This cannot be read"),
    ] {
        let answer = visitor.request(method, target, None);
        assert_eq!((answer.status, element(&text(&answer.body), "h1")), (status, heading), "{method} {target}");
        assert!(text(&answer.body).contains("aria-label=\"Main\""), "the navigation is there");
    }
    assert_eq!(visitor.request("DELETE", "/", None).header("Allow"), Some("GET, HEAD"));
    let head = visitor.request("HEAD", "/", None);
    assert_eq!((head.status, head.body.len()), (200, 0));
    // An empty value is none: browsers send every field of a form.
    assert_eq!(visitor.get("/login?next=").status, 303);
}

#[test]
fn the_style_sheet_is_the_one_the_pages_name_and_may_be_kept() {
    let (koogate, _scratch) = empty();
    let mut visitor = Visitor::new(&koogate);
    let page = text(&visitor.get("/login").body);
    let (_, rest) = page.split_once("<link rel=\"stylesheet\" href=\"").unwrap();
    let sheet = visitor.get(rest.split_once('"').unwrap().0);
    assert_eq!((sheet.status, text(&sheet.body).as_str()), (200, style::SHEET));
    assert_eq!(sheet.header("Content-Type"), Some("text/css; charset=utf-8"));
    assert_eq!(sheet.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(visitor.get("/static/icon.svg").header("Content-Type"), Some("image/svg+xml"));
    for outside in ["url(", "@import", "http"] {
        assert!(!style::SHEET.contains(outside), "{outside}");
    }
}

#[test]
fn every_page_is_described_in_the_documentation() {
    let told = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status-page.md")).unwrap();
    for route in ROUTES.iter().filter(|route| route.is_page()) {
        let named = format!("`{} {}`", route.method, route.path);
        assert!(told.contains(&named), "docs/status-page.md does not name {named}");
    }
    for place in koogate::page::place::NAVIGATION {
        let is_there = ROUTES.iter().any(|route| route.is_page() && route.path == place.path);
        assert!(is_there, "{} leads nowhere", place.path);
        for language in Language::ALL {
            assert!(!place.name.in_language(language).is_empty());
        }
    }
}
