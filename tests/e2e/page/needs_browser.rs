//! The status page in Chromium, without JavaScript: on a phone and on a desktop, in both languages and colour schemes; by
//! keyboard; and as HTML that is valid.
//!
//! `KOOGATE_SCREENSHOTS=FOLDER` keeps a picture of every page. `KOOGATE_CHROMIUM` and `KOOGATE_VNU` name the programs.

mod devtools;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use self::devtools::Browser;
use crate::harness::{Koogate, text};
use crate::page::crawl::crawl;
use crate::page::scene;
use crate::page::visitor::{TOKEN, Visitor};

/// What is wrong with a page, as far as the page itself can tell: names of rules with the elements that break them.
const EXAMINE: &str = include_str!("needs_browser/examine.js");

const DEVICES: [(&str, u32, u32); 2] = [("phone", 360, 740), ("desktop", 1280, 800)];

fn log_in(browser: &mut Browser, koogate: &Koogate, language: &str) -> String {
    let site = format!("http://{}", koogate.admin.unwrap());
    browser.call("Network.clearBrowserCookies", json!({}));
    browser.open(&format!("{site}/language?to={language}"));
    browser.open(&format!("{site}/login"));
    // A page gives the focus when it is drawn.
    browser.wait_until("document.activeElement.id === 'token'");
    browser.type_text(TOKEN);
    browser.press_enter();
    assert_eq!(browser.text("location.pathname"), "/");
    site
}

/// Addresses of all pages.
fn targets(koogate: &Koogate) -> Vec<String> {
    let pages = crawl(&mut Visitor::logged_in(koogate), 1);
    let is_html = |answer: &crate::harness::Answer| answer.header("Content-Type").unwrap().starts_with("text/html");
    pages.into_iter().filter(|page| is_html(&page.answer)).map(|page| page.target).collect()
}

#[test]
#[ignore = "needs chromium; .ci/run runs it"]
fn every_page_fits_and_can_be_read_on_a_phone_and_on_a_desktop_in_both_languages_and_colour_schemes() {
    let scene = scene::busy();
    let koogate = &scene.koogate;
    let targets = targets(koogate);
    let mut browser = Browser::start();
    let mut faults = Vec::new();
    for language in ["zh", "en"] {
        for (device, width, height) in DEVICES {
            for scheme in ["light", "dark"] {
                browser.look(width, height, scheme);
                browser.call("Network.clearBrowserCookies", json!({}));
                let site = format!("http://{}", koogate.admin.unwrap());
                browser.open(&format!("{site}/language?to={language}"));
                browser.open(&format!("{site}/login"));
                look_at(&mut browser, &format!("/login {language} {device} {scheme}"), &mut faults);
            }
        }
        let site = log_in(&mut browser, koogate, language);
        for (device, width, height) in DEVICES {
            for scheme in ["light", "dark"] {
                browser.look(width, height, scheme);
                for target in &targets {
                    browser.open(&format!("{site}{target}"));
                    look_at(&mut browser, &format!("{target} {language} {device} {scheme}"), &mut faults);
                }
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

/// Notes what is wrong with the page that is open, and keeps a picture of it where one is wanted.
fn look_at(browser: &mut Browser, place: &str, faults: &mut Vec<String>) {
    let found = browser.value(EXAMINE);
    faults.extend(found.as_array().unwrap().iter().map(|fault| format!("{place}: {fault}")));
    let Some(folder) = std::env::var_os("KOOGATE_SCREENSHOTS") else { return };
    let name: String = place.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    std::fs::write(Path::new(&folder).join(format!("{}.png", name.trim_matches('-'))), browser.picture(true)).unwrap();
}

#[test]
#[ignore = "needs chromium; .ci/run runs it"]
fn every_control_is_reached_by_keyboard_in_the_order_of_the_page_and_is_seen_to_have_the_focus() {
    let scene = scene::busy();
    let koogate = &scene.koogate;
    let targets = targets(koogate);
    let mut browser = Browser::start();
    let site = log_in(&mut browser, koogate, "en");
    for target in &targets {
        browser.open(&format!("{site}{target}"));
        let controls = "[...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary,[tabindex=\"0\"]')]\
                        .filter(e => e.tabIndex >= 0 && e.checkVisibility())";
        let all = browser.value(&format!("{controls}.length"));
        let focused = format!(
            "(() => {{ const e = document.activeElement, s = getComputedStyle(e); \
             return [{controls}.indexOf(e), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2] }})()"
        );
        for number in 0..all.as_u64().unwrap() {
            browser.press_tab();
            // A field for a time has several parts, each with a stop of its own.
            let in_parts = "document.activeElement.type === 'datetime-local'";
            let at = |browser: &mut Browser| browser.value(&format!("{controls}.indexOf(document.activeElement)"));
            while number > 0 && browser.value(in_parts) == true && at(&mut browser) == number - 1 {
                browser.press_tab();
            }
            let focused = browser.value(&focused);
            assert_eq!(focused, json!([number, true]), "{target}: the control number {number} of {all}");
        }
    }
    assert!(targets.len() > 1);
}

#[test]
#[ignore = "needs chromium; .ci/run runs it"]
fn a_session_is_begun_and_ended_by_keyboard_alone() {
    let scene = scene::busy();
    let koogate = &scene.koogate;
    let mut browser = Browser::start();
    let site = log_in(&mut browser, koogate, "en");
    // The first stop skips the navigation.
    browser.press_tab();
    assert_eq!(browser.text("document.activeElement.textContent"), "Skip to the content");
    browser.value("document.querySelector('.logout button').focus()");
    browser.press_enter();
    assert_eq!(browser.text("location.pathname"), "/login");
    browser.open(&format!("{site}/"));
    assert_eq!(browser.text("location.pathname"), "/login", "the session has ended");
    browser.wait_until("document.activeElement.id === 'token'");
    browser.type_text("wrong");
    browser.press_enter();
    assert!(browser.text("document.querySelector('[role=alert]').textContent").contains("This is not the token."));
    browser.wait_until("document.activeElement.id === 'token'");
    let described = "document.getElementById(document.activeElement.getAttribute('aria-describedby').split(' ')[0])";
    assert!(browser.text(&format!("{described}.textContent")).contains("This is not the token."));
}

#[test]
#[ignore = "needs java and vnu.jar; .ci/run runs it"]
fn every_page_is_valid_html() {
    let scene = scene::busy();
    let koogate = &scene.koogate;
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for language in ["zh", "en"] {
        let mut visitor = Visitor::new(koogate);
        visitor.get(&format!("/language?to={language}"));
        let mut keep = |html: &[u8]| {
            std::fs::write(folder.path().join(format!("{language}-{count}.html")), html).unwrap();
            count += 1;
        };
        keep(&visitor.get("/login").body);
        keep(&visitor.log_in("wrong").body);
        visitor.log_in(TOKEN);
        keep(&visitor.get("/nothing").body);
        for page in crawl(&mut visitor, 2) {
            if page.answer.header("Content-Type").unwrap().starts_with("text/html") {
                keep(&page.answer.body);
            }
        }
    }
    let vnu = std::env::var("KOOGATE_VNU")
        .unwrap_or_else(|_| "target/vnu/node_modules/vnu-jar/build/dist/vnu.jar".to_owned());
    let vnu = Path::new(env!("CARGO_MANIFEST_DIR")).join(vnu);
    let mut java = Command::new("java");
    java.arg("-jar").arg(&vnu).args(["--format", "json", "--exit-zero-always", "."]);
    let output = java.current_dir(folder.path()).output().unwrap();
    let told: Value =
        serde_json::from_slice(&output.stderr).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    assert_eq!(told["messages"], json!([]), "{told:#}");
}
