//! Logins through KooGallery: from the login page to the application, by a browser of few words and an authentication
//! centre that a test programs.

mod authorised;
pub mod centre;
mod refused;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use koogate::sealing::SealingKey;
use koogate::secret::Secret;
use koogate::store::{NewTenant, Role, Settings, Store, StoreError, Tx};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use self::centre::{Centre, Reply};
use crate::harness::{Answer, KEY, Koogate, SEALING_KEY, Scratch, send, text};
use crate::shop::{FIXED, count};

const APP_ID: &str = "KSIDJF1234456";
const CLIENT_SECRET: &str = "client-secret-of-the-tenant";
const TOKEN_SECRET: &str = "token-secret-of-32-characters-xx";
const ADMIN_TOKEN: &str = "admin-token-0123456789";
const LOGIN: &str = "/saasproduce/login";
const APPLICATION: &str = "https://app.example.com/sso?from=koogate";

/// A folder with the helper configured; more lines go into its section, more sections before it.
fn scratch_with(sections: &str, lines: &str) -> Scratch {
    let scratch = Scratch::new(FIXED);
    let sections = format!(
        "{sections}\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{ADMIN_TOKEN}\"\n[login]\napp_id = \"{APP_ID}\"\n\
         application_url = \"{APPLICATION}\"\nsecret = \"{TOKEN_SECRET}\"\nlocal_centres = true\n{lines}\n"
    );
    scratch.configure(&[KEY], &sections, FIXED);
    scratch
}

fn scratch() -> Scratch {
    scratch_with("", "")
}

/// Writes to the database, as the kit's calls do, while no server runs.
fn write(scratch: &Scratch, work: impl Fn(&Tx<'_>) -> Result<(), StoreError> + Send + 'static) {
    let settings =
        Settings { path: scratch.path("koogate.db"), snapshot: "none.snapshot.db".into(), commit_batch: 512 };
    let sealing = Arc::new(SealingKey::from_hex(SEALING_KEY).unwrap());
    let store = Store::open(&settings, Role::Command, sealing).unwrap();
    store.write(None, work).unwrap();
    store.close().unwrap();
}

/// Puts a tenant into the directory.
fn know_tenant(scratch: &Scratch, tenant_id: &'static str, domain_name: &str, app_id: Option<&'static str>) {
    let domain_name = domain_name.to_owned();
    write(scratch, move |tx| {
        let new = NewTenant { tenant_id, tenant_code: "code", name: "Tenant", domain_name: Some(&domain_name) };
        let row = tx.put_tenant(&new, Timestamp::now())?;
        let secret = Secret::new(CLIENT_SECRET.to_owned());
        match app_id {
            Some(app_id) => tx.put_application(row, app_id, "client-1", &secret, Timestamp::now()),
            None => Ok(()),
        }
    });
}

/// A server whose one tenant has this centre.
fn open(centre: &Centre) -> (Koogate, Scratch) {
    let scratch = scratch();
    know_tenant(&scratch, "t-1", &centre.domain_name(), Some(APP_ID));
    (scratch.serve(), scratch)
}

/// A browser: it keeps cookies and follows nothing by itself.
#[derive(Default, Clone)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn get(&mut self, koogate: &Koogate, target: &str) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers: &[_] = if cookies.is_empty() { &[] } else { &[("Cookie", cookies.as_str())] };
        let answer = send(koogate.address, "GET", target, headers, b"").unwrap();
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "Set-Cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            match set.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Begins a login and comes back with a code.
    pub fn log_in(&mut self, koogate: &Koogate, tenant_id: &str, code: &str) -> Answer {
        let begun = self.get(koogate, LOGIN);
        assert_eq!(begun.status, 302, "{}", text(&begun.body));
        self.get(koogate, &callback(tenant_id, code))
    }
}

fn callback(tenant_id: &str, code: &str) -> String {
    format!("{LOGIN}/callback?code={code}&tenant={tenant_id}")
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 302, "{}", text(&answer.body));
    answer.header("Location").unwrap()
}

/// The claims of the token that an answer hands to the application, verified as any JWT library does.
fn handed_over(answer: &Answer) -> Value {
    verified(location(answer).strip_prefix(&format!("{APPLICATION}&token=")).expect("the application"))
}

fn verified(token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    let decoded = |part: usize| BASE64URL_NOPAD.decode(parts[part].as_bytes()).unwrap();
    assert_eq!(decoded(0), br#"{"alg":"HS256","typ":"JWT"}"#);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, TOKEN_SECRET.as_bytes());
    let signed = format!("{}.{}", parts[0], parts[1]);
    ring::hmac::verify(&key, signed.as_bytes(), &decoded(2)).expect("a good signature");
    let claims: Value = serde_json::from_slice(&decoded(1)).unwrap();
    let now = Timestamp::now().as_second();
    let time = |name: &str| claims[name].as_i64().unwrap();
    assert!((now - 30..=now).contains(&time("iat")) && time("exp") == time("iat") + 60, "{claims}");
    claims
}

/// Checks a page: its status, words on it, that it loads and runs nothing and may stand in a frame. Returns the reference.
#[track_caller]
fn check_page(answer: &Answer, status: u16, words: &str) -> String {
    let page = text(&answer.body);
    assert_eq!(answer.status, status, "{page}");
    assert!(page.contains(words), "no {words:?} in {page}");
    assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("frame"), "{policy}");
    assert_eq!(answer.header("X-Frame-Options"), None);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    page.split_once("Reference: ").unwrap().1[..8].to_owned()
}

#[test]
fn a_user_arrives_at_the_application_with_a_token_that_tells_who_it_is() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let mut browser = Browser::default();
    let begun = browser.get(&koogate, &format!("{LOGIN}?return_to=%2Freports%3Fid%3D1"));
    let page = format!("https://macroverse.huaweicloud.com/unified-login/#/portal-login?ind=UNOP&appId={APP_ID}");
    assert_eq!(location(&begun), page);
    let cookie = begun.header("Set-Cookie").unwrap();
    assert!(cookie.starts_with("__Host-koogate_login=") && cookie.contains("HttpOnly; Secure; SameSite=None"));
    let arrived = browser.get(&koogate, &callback("t-1", "code-%2B1"));
    let claims = handed_over(&arrived);
    assert_eq!(browser.cookies.len(), 0, "the cookie is used up");
    for (name, expected) in [
        ("iss", "koogate"),
        ("aud", APP_ID),
        ("sub", "t-1/zhangsan01"),
        ("tenant", "t-1"),
        ("userName", "zhangsan01"),
        ("name", "张三"),
        ("role", "admin"),
        ("orgCode", "0001"),
        ("email", "a@example.com"),
        ("return_to", "/reports?id=1"),
    ] {
        assert_eq!(claims[name], expected, "{claims}");
    }
    assert_eq!(claims.get("mobile"), None, "what was not told is not there");
    let [token, user] = centre.seen().try_into().unwrap();
    assert_eq!((token.request.as_str(), token.authorization), ("POST /api/v1/oauth2/token", None));
    let form: Vec<_> = token.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let grant = ("grant_type", "authorization_code");
    assert_eq!(form, [("client_id", "client-1"), ("client_secret", CLIENT_SECRET), ("code", "code-+1"), grant]);
    assert_eq!(user.request, "GET /api/v1/oauth2/userinfo");
    assert_eq!(user.authorization.as_deref(), Some("Bearer access-1"));
    assert_eq!(count(&scratch, "login_session"), 1);
    let log = koogate.stop();
    for secret in ["code-+1", "code-%2B1", CLIENT_SECRET, "access-1", "refresh-1", TOKEN_SECRET, "zhangsan01"] {
        assert!(!log.contains(secret), "{secret}: {log}");
        let database = std::fs::read(scratch.path("koogate.db")).unwrap();
        let is_user = secret == "zhangsan01";
        assert_eq!(database.windows(secret.len()).any(|window| window == secret.as_bytes()), is_user, "{secret}");
    }
}

#[test]
fn the_token_request_names_the_callback_where_it_is_configured_and_lifetimes_hold() {
    let centre = Centre::good();
    let page = centre.domain_name();
    let lines = format!("callback_url = \"https://k.example.com/cb\"\nlogin_page = \"{page}/login?a={{appId}}\"");
    let scratch = scratch_with("", &lines);
    know_tenant(&scratch, "t-1", &centre.domain_name(), Some(APP_ID));
    let koogate = scratch.serve();
    let mut browser = Browser::default();
    assert_eq!(location(&browser.get(&koogate, LOGIN)), format!("{page}/login?a={APP_ID}"));
    handed_over(&browser.get(&koogate, &callback("t-1", "c")));
    assert_eq!(centre.seen()[0].form["redirect_uri"], "https://k.example.com/cb");
}

#[test]
fn a_login_at_a_tenants_own_centre_gives_its_state_along_and_back() {
    let centre = Centre::good();
    let scratch = scratch_with("", "callback_url = \"https://k.example.com/cb\"");
    know_tenant(&scratch, "t-1", &centre.domain_name(), Some(APP_ID));
    let koogate = scratch.serve();
    let begin = |browser: &mut Browser| location(&browser.get(&koogate, &format!("{LOGIN}?tenant=t-1"))).to_owned();
    let mut browser = Browser::default();
    let url = begin(&mut browser);
    assert!(url.starts_with(&format!("{}/api/v1/oauth2/authorize?response_type=code&", centre.domain_name())), "{url}");
    for (name, expected) in
        [("client_id", "client-1"), ("redirect_uri", "https://k.example.com/cb"), ("scope", "get_user_info")]
    {
        assert_eq!(parameter(&url, name), expected);
    }
    let state = parameter(&url, "state");
    assert!(state.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{state}");
    let arrived = browser.get(&koogate, &format!("{LOGIN}/callback?code=c&state={state}"));
    assert_eq!(handed_over(&arrived)["sub"], "t-1/zhangsan01");
    for forged in ["code=d&state=x", "code=d&tenant=t-1", &format!("code=d&tenant=t-2&state={state}")] {
        let mut browser = Browser::default();
        begin(&mut browser);
        let answer = browser.get(&koogate, &format!("{LOGIN}/callback?{forged}"));
        check_page(&answer, 400, "This login was not begun here");
    }
    assert_eq!(centre.seen().len(), 2);
    check_page(&koogate.get(&format!("{LOGIN}?tenant=t-9")), 404, "Your enterprise is not known here");
}

#[test]
fn what_is_empty_or_longer_than_any_tenants_id_is_not_asked_for() {
    let scratch = scratch_with("", "callback_url = \"https://k.example.com/cb\"");
    let koogate = scratch.serve();
    let long = "t".repeat(65);
    for query in ["return_to=", "tenant=", "return_to=&tenant=", &format!("tenant={long}")] {
        let answer = koogate.get(&format!("{LOGIN}?{query}"));
        assert!(location(&answer).contains("/unified-login/"), "{query}");
    }
    check_page(&koogate.get("/saasproduce/logout?return_to="), 404, "This login has ended");
    assert!(!koogate.stop().contains(&long));
}

#[test]
fn a_login_that_began_at_koogallery_is_sent_to_the_beginning_once() {
    let centre = Centre::good();
    let (koogate, _scratch) = open(&centre);
    let mut browser = Browser::default();
    let sent_back = browser.get(&koogate, &callback("t-1", "code-of-koogallery"));
    assert_eq!(location(&sent_back), "/saasproduce/login?again=1");
    assert!(location(&browser.get(&koogate, "/saasproduce/login?again=1")).contains("portal-login"));
    assert_eq!(handed_over(&browser.get(&koogate, &callback("t-1", "code-of-login")))["userName"], "zhangsan01");
    let codes: Vec<_> = centre.seen().iter().filter_map(|seen| seen.form.get("code").cloned()).collect();
    assert_eq!(codes, ["code-of-login"], "a code that nobody here asked for is not used");
}

#[test]
fn a_browser_without_cookies_is_told_so_and_does_not_go_round_in_circles() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let target = location(&koogate.get(&callback("t-1", "c"))).to_owned();
    let reference = check_page(&koogate.get(&target), 400, "Your browser keeps no cookies");
    koogate.wait_for_log(&reference);
    let mut browser = Browser::default();
    browser.get(&koogate, &callback("t-1", "c"));
    check_page(&browser.get(&koogate, &callback("t-1", "c")), 400, "This login was not begun here");
    assert_eq!((centre.seen().len(), count(&scratch, "login_session")), (0, 0));
}

#[test]
fn a_forged_cookie_is_none() {
    let centre = Centre::good();
    let (koogate, _scratch) = open(&centre);
    let mut browser = Browser::default();
    browser.get(&koogate, LOGIN);
    let (name, value) = browser.cookies.pop_first().unwrap();
    let forged = value.replacen(|c: char| c.is_ascii_digit(), "A", 1) + "A";
    browser.cookies.insert(name, forged);
    assert_eq!(location(&browser.get(&koogate, &callback("t-1", "c"))), "/saasproduce/login?again=1");
    assert_eq!(centre.seen().len(), 0);
}

#[test]
fn a_code_and_a_begun_login_are_used_once() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let mut browser = Browser::default();
    browser.get(&koogate, LOGIN);
    let mut copy = browser.clone();
    let first = handed_over(&browser.get(&koogate, &callback("t-1", "c-1")));
    check_page(&copy.clone().get(&koogate, &callback("t-1", "c-1")), 400, "This login was used already");
    check_page(&copy.get(&koogate, &callback("t-1", "c-2")), 400, "This login was used already");
    check_page(&browser.log_in(&koogate, "t-1", "c-1"), 400, "This login was used already");
    assert_eq!((centre.seen().len(), count(&scratch, "login_session")), (2, 1), "one login asked the centre");
    let second = handed_over(&browser.log_in(&koogate, "t-1", "c-3"));
    assert!(first["jti"] != second["jti"] && first["sid"] != second["sid"]);
}

#[test]
fn a_login_goes_on_across_a_restart() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let mut browser = Browser::default();
    browser.get(&koogate, LOGIN);
    koogate.kill();
    let koogate = scratch.serve();
    assert_eq!(handed_over(&browser.get(&koogate, &callback("t-1", "c")))["userName"], "zhangsan01");
}

#[test]
fn without_the_section_there_is_no_login() {
    let scratch = Scratch::new(FIXED);
    let koogate = scratch.serve();
    for target in [LOGIN, "/saasproduce/login/callback?code=c&tenant=t", "/saasproduce/logout"] {
        assert_eq!(koogate.get(target).status, 404, "{target}");
    }
}

#[test]
fn other_methods_and_paths_lead_nowhere() {
    let scratch = scratch();
    let koogate = scratch.serve();
    let post = koogate.post(LOGIN, b"").unwrap();
    assert_eq!((post.status, post.header("Allow")), (405, Some("GET")));
    assert_eq!(send(koogate.address, "HEAD", &callback("t-1", "c"), &[], b"").unwrap().status, 405);
    for target in ["/login", "/saasproduce/login/", "/saasproduce/login/x", "/saasproduce/logout/x"] {
        assert_eq!(koogate.get(target).status, 404, "{target}");
    }
}

/// The parameter of an address.
fn parameter(url: &str, name: &str) -> String {
    let value = url.split_once(&format!("{name}=")).unwrap().1.split('&').next().unwrap();
    percent_decode_str(value).decode_utf8().unwrap().into_owned()
}
