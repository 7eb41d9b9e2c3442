//! The public site: which path and method leads to which family of calls. Everything else is 404 and tells nothing.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use crate::dispatch::{Dispatcher, RefusalClass};
use crate::health::Health;
use crate::http::{Handler, Method, Reply, Request, To};
use crate::kind::Kind;
use crate::login::LoginDesk;
use crate::protocol::Family;
use crate::protocol::basic_v1::BASIC_V1;
use crate::protocol::basic_v2::BASIC_V2;
use crate::protocol::kit;
use crate::protocol::license::LICENSE;
use crate::protocol::license_code::LICENSE_CODE;
use crate::protocol::license_online::{GET_LICENSE_ASYNC, LICENSE_ONLINE};
use crate::protocol::query::Query;
use crate::settings::Settings;

/// What the public door hands requests to.
pub struct PublicSite {
    dispatcher: Arc<Dispatcher>,
    base_path: String,
    health: Arc<Health>,
    login: Option<Arc<LoginDesk>>,
}

/// Where a request leads.
enum Route {
    /// To this family, or, where its keys do not verify the request, to the other.
    Call(&'static dyn Family, Option<&'static dyn Family>),
    /// To the production address, and asks for nothing there: an address check, or a method no family has. The family
    /// in whose name it is refused.
    NothingAsked(&'static dyn Family),
    /// Nowhere.
    NotOurs,
}

impl PublicSite {
    /// `base_path` is the path of the production address.
    pub fn new(dispatcher: Arc<Dispatcher>, base_path: String, health: Arc<Health>) -> Self {
        Self { dispatcher, base_path, health, login: None }
    }

    /// With the login helper, where it is wanted.
    pub fn with_login(self, login: Option<Arc<LoginDesk>>) -> Self {
        Self { login, ..self }
    }

    /// One address serves all families (spec README §6). Adding a family adds a line here.
    fn route(&self, request: &Request) -> Route {
        let rest = request.path().strip_prefix(&self.base_path);
        match (rest, &request.method) {
            (Some("" | "/"), Method::Post) => {
                let (family, other) = posted(activity_in(&request.body).as_deref(), &self.dispatcher.settings());
                Route::Call(family, other)
            }
            (Some("" | "/"), Method::Get) => {
                let called = got(request.query(), self.dispatcher.settings().sells(Kind::Saas));
                called.map_or(Route::NothingAsked(&BASIC_V2), |(family, other)| Route::Call(family, other))
            }
            // KooGallery must see HTTP 200 and a result code on the production address.
            (Some("" | "/"), _) => Route::NothingAsked(&BASIC_V2),
            (Some(rest), method) => match (kit::family_at(sub_path(rest)), method) {
                (Some(family), Method::Post) => Route::Call(family, None),
                (Some(family), _) => Route::NothingAsked(family),
                (None, _) => Route::NotOurs,
            },
            (None, _) => Route::NotOurs,
        }
    }
}

/// What KooGallery appends to the production address, which may have been entered with a slash at its end.
fn sub_path(rest: &str) -> &str {
    rest.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(rest)
}

/// The family a request is of, and the other it may be of.
type Families = (&'static dyn Family, Option<&'static dyn Family>);

/// The family of a POST. SaaS and online licences share their activities: what is sold tells them apart, and where both
/// are sold, the key that verifies the call. What nobody can read is refused in the name of whoever has sent it.
fn posted(activity: Option<&str>, settings: &Settings) -> Families {
    match activity {
        Some(activity) if LICENSE_CODE.knows(activity) => (&LICENSE_CODE, None),
        Some(GET_LICENSE_ASYNC) => (&LICENSE_ONLINE, None),
        // The documents do not say which key announces orders (spec README §4).
        Some("orderNotify") => (&BASIC_V2, Some(&LICENSE_ONLINE)),
        _ => match (settings.sells(Kind::Saas), settings.sells(Kind::LicenseOnline)) {
            (false, true) => (&LICENSE_ONLINE, Some(&BASIC_V2)),
            (true, true) => (&BASIC_V2, Some(&LICENSE_ONLINE)),
            (true, false) => (&BASIC_V2, Some(&LICENSE_CODE)),
            (false, false) => (&LICENSE_CODE, Some(&BASIC_V2)),
        },
    }
}

/// The family of a GET; `None` when it carries nothing of a call.
fn got(query: &str, sells_saas: bool) -> Option<Families> {
    let unreadable: Families = if sells_saas { (&BASIC_V1, Some(&LICENSE)) } else { (&LICENSE, Some(&BASIC_V1)) };
    let Ok(query) = Query::parse(query) else { return Some(unreadable) };
    match query.first("activity") {
        Some(activity) if LICENSE.knows(activity) => Some((&LICENSE, None)),
        Some(activity) if BASIC_V1.knows(activity) => Some((&BASIC_V1, None)),
        Some(_) => Some(unreadable),
        None => query.first("authToken").map(|_| unreadable),
    }
}

/// The activity a body names. Read before the signature is verified, and only to choose the keys that verify it.
fn activity_in(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        activity: Option<String>,
    }
    serde_json::from_slice::<Named>(body).ok()?.activity
}

impl Handler for PublicSite {
    fn handle(&self, request: Request) -> Reply {
        if let (Some(login), Some(path)) = (&self.login, request.path().strip_prefix(&self.base_path))
            && let Some(reply) = login.answer(path, &request)
        {
            return reply;
        }
        match self.route(&request) {
            Route::Call(family, other) => self.dispatcher.answer(family, other, request),
            Route::NothingAsked(family) => self.dispatcher.answer_nothing_asked(family, &request),
            Route::NotOurs if request.path() == "/healthz" => self.health.answer(&request.method).to(To::Stranger),
            Route::NotOurs => Reply::new(404, "text/plain; charset=utf-8", "404 Not Found\n").to(To::Stranger),
        }
    }

    fn refused(&self, peer: IpAddr, reason: &'static str) {
        self.dispatcher.refused().note("http", RefusalClass::Http, peer, reason, Timestamp::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::{self, Config};
    use crate::secret::Secret;
    use crate::store::{self, Store};

    const PRODUCT: &str = "[[product]]\nfulfilment = 'manual'\n";

    /// The families of a POST where these kinds are sold.
    fn posted_names(kinds: &[&str], body: &str) -> Vec<&'static str> {
        let entry = |kind: &&str| format!("[[product]]\nkind = '{kind}'\nfulfilment = 'manual'\n");
        let text = format!(
            "[keys]\nbasic = 'basic-key'\nlicense = 'license-key'\nsealing_key = '{}'\n{}",
            "00".repeat(32),
            kinds.iter().map(entry).collect::<String>()
        );
        let settings = Settings::new(&Config::from_toml(&text, std::path::Path::new("")).unwrap()).unwrap();
        let (family, other) = posted(activity_in(body.as_bytes()).as_deref(), &settings);
        [Some(family), other].into_iter().flatten().map(Family::name).collect()
    }

    #[test]
    fn what_is_sold_and_the_activity_decide_whose_call_a_post_is() {
        let purchase = r#"{"activity":"newInstance"}"#;
        for (kinds, body, expected) in [
            (&["saas"][..], purchase, &["basic-v2", "license-code"][..]),
            (&["license-online"], purchase, &["license-online", "basic-v2"]),
            (&["saas", "license-online"], purchase, &["basic-v2", "license-online"]),
            (&["license-code"], purchase, &["license-code", "basic-v2"]),
            (&["saas"], r#"{"activity":"refreshLicenseCode"}"#, &["license-code"]),
            (&["saas"], r#"{"activity":"getLicenseAsync"}"#, &["license-online"]),
            (&["saas"], r#"{"activity":"orderNotify"}"#, &["basic-v2", "license-online"]),
            (&["saas"], r#"{"activity":["refreshLicenseCode"]}"#, &["basic-v2", "license-code"]),
            (&["saas"], "no JSON", &["basic-v2", "license-code"]),
            (&["license"], "no JSON", &["license-code", "basic-v2"]),
        ] {
            assert_eq!(posted_names(kinds, body), expected, "{kinds:?} {body}");
        }
    }

    #[test]
    fn a_get_with_anything_of_a_call_in_it_is_one() {
        let names = |query, sells_saas| {
            let (family, other) = got(query, sells_saas)?;
            Some([Some(family), other].into_iter().flatten().map(Family::name).collect::<Vec<_>>())
        };
        for (query, expected) in [
            ("", None),
            ("utm=1", None),
            ("activity=getLicense", Some(&["license"][..])),
            ("activity=newInstance&authToken=x", Some(&["basic-v1"])),
            ("activity=nothing", Some(&["basic-v1", "license"])),
            ("authToken=x", Some(&["basic-v1", "license"])),
            ("activity=%FF", Some(&["basic-v1", "license"])),
        ] {
            assert_eq!(names(query, true).as_deref(), expected, "{query}");
        }
        // Where no SaaS is sold there need be no basic key, and refusals are signed all the same.
        assert_eq!(names("activity=nothing", false), Some(vec!["license", "basic-v1"]));
        assert_eq!(names("activity=newInstance", false), Some(vec!["basic-v1"]));
    }

    #[test]
    fn the_kits_calls_come_below_the_address_with_or_without_a_slash_at_its_end() {
        for (rest, expected) in [("/a/b", "/a/b"), ("//a/b", "/a/b"), ("a", "a"), ("/", "/"), ("///a", "//a")] {
            assert_eq!(sub_path(rest), expected);
        }
    }

    fn scratch() -> (Arc<Store>, Arc<Dispatcher>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[keys]\nbasic = 'basic-key'\nsealing_key = '{}'\n{PRODUCT}", "00".repeat(32));
        let config = Config::from_toml(&text, folder.path()).unwrap();
        let (path, snapshot) = (folder.path().join("koogate.db"), folder.path().join("koogate.snapshot.db"));
        let file = store::Settings { path, snapshot, commit_batch: 512 };
        let sealing = Arc::new(config.keys.sealing.clone());
        let store = Arc::new(Store::open(&file, store::Role::Server, sealing).unwrap());
        let settings = Arc::new(Settings::new(&config).unwrap());
        let waiters = Arc::default();
        let dispatcher = Dispatcher::new(Arc::clone(&store), settings, waiters, Box::new(|| ())).unwrap();
        (store, Arc::new(dispatcher), folder)
    }

    fn request(method: Method, target: &str, body: &str) -> Request {
        Request {
            method,
            target: target.to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            peer: IpAddr::from([192, 0, 2, 1]),
            received: Instant::now(),
        }
    }

    /// Of a process that has just been found well.
    fn health() -> Arc<Health> {
        Arc::new(Health::new(Duration::from_secs(600)))
    }

    #[test]
    fn a_request_leads_to_one_family_or_nowhere() {
        let (_store, dispatcher, _folder) = scratch();
        let site = PublicSite::new(dispatcher, "/saasproduce".to_owned(), health());
        let purchase = r#"{"activity":"newInstance"}"#;
        for (method, target, body, expected) in [
            (Method::Post, "/saasproduce", purchase, "basic-v2 or license-code"),
            (Method::Post, "/saasproduce/?a=b", purchase, "basic-v2 or license-code"),
            (Method::Get, "/saasproduce?activity=newInstance&authToken=x", "", "basic-v1"),
            (Method::Get, "/saasproduce/", "", "nothing asked of basic-v2"),
            (Method::Head, "/saasproduce", "", "nothing asked of basic-v2"),
            (Method::Post, "/saasproduce/oauth/tenant", "{}", "nowhere"),
            (Method::Post, "/healthz", "", "nowhere"),
            (Method::Post, "/", purchase, "nowhere"),
        ] {
            let found = match site.route(&request(method.clone(), target, body)) {
                Route::Call(family, None) => family.name().to_owned(),
                Route::Call(family, Some(other)) => format!("{} or {}", family.name(), other.name()),
                Route::NothingAsked(family) => format!("nothing asked of {}", family.name()),
                Route::NotOurs => "nowhere".to_owned(),
            };
            assert_eq!(found, expected, "{method:?} {target}");
        }
    }

    #[test]
    fn what_is_not_ours_is_404_and_health_is_told() {
        let (store, dispatcher, _folder) = scratch();
        let site =
            |login| PublicSite::new(Arc::clone(&dispatcher), "/saasproduce".to_owned(), health()).with_login(login);
        let get = |site: &PublicSite, target: &str| site.handle(request(Method::Get, target, "")).status;
        assert_eq!(site(None).handle(request(Method::Get, "/healthz", "")).body, b"ok\n");
        for target in ["/", "/healthz/x", "/metrics", "/saasproduce/login"] {
            assert_eq!(get(&site(None), target), 404, "{target}");
        }
        let login = config::Login {
            app_id: "A".to_owned(),
            application_url: "https://app.example.com/sso".to_owned(),
            secret: Secret::new("0123456789abcdef".repeat(2)),
            callback_url: None,
            login_page: "https://login.example.com/?appId={appId}".to_owned(),
            token_lifetime: Duration::from_secs(60),
            session_lifetime: Duration::from_secs(3600),
            local_centres: false,
        };
        let desk = LoginDesk::start(login, "/saasproduce", store, Arc::clone(&dispatcher)).unwrap();
        assert_eq!(get(&site(Some(Arc::new(desk))), "/saasproduce/login"), 302);
    }

    #[test]
    fn what_the_door_turns_away_is_counted_with_its_peer() {
        let (_store, dispatcher, _folder) = scratch();
        let site = PublicSite::new(Arc::clone(&dispatcher), "/saasproduce".to_owned(), health());
        site.refused(IpAddr::from([192, 0, 2, 7]), "too long");
        let last = dispatcher.refused().last();
        assert_eq!((dispatcher.refused().total(), last.len()), (1, 1));
        assert_eq!((last[0].peer.as_str(), last[0].reason.as_str()), ("192.0.2.7", "too long"));
    }
}
