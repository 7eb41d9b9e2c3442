//! The login helper: users of a joint-operation product log in through KooGallery (spec 3-kit §11), and the application
//! is handed a signed token in place of OAuth.
//!
//! | file | job |
//! | --- | --- |
//! | `mod` | which path leads to what; the way to the login page |
//! | `callback` | the way back: from a code to a token |
//! | `session` | refreshes, ends and logouts |
//! | `exchange` | talking with centres, within bounds |
//! | `centre` | HTTP to an authentication centre |
//! | `bounds` | places, used codes, running refreshes |
//! | `state`, `return_to` | pure: the cookie, and the paths that are let through |
//! | `reply`, `token` | pure: what centres answer, what the application gets |
//! | `fault`, `page` | pure: what goes wrong, and how it is told |
//!
//! Nothing is written to the database before a centre has confirmed a user.

mod bounds;
mod callback;
mod centre;
mod exchange;
pub mod fault;
mod page;
pub mod reply;
mod return_to;
mod session;
mod state;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use self::bounds::{Once, Places, Refreshing};
use self::centre::Centre;
use self::fault::Failure;
use self::state::{CookieForm, State};
use self::token::TokenKey;
use crate::address::Address;
use crate::alert::{self, Alarm};
use crate::config;
use crate::dispatch::{Dispatcher, RefusalClass};
use crate::http::{Method, Reply, Request};
use crate::pool::Pool;
use crate::protocol::query::Query;
use crate::random;
use crate::store::Store;

pub use self::bounds::AT_ONCE;
pub use self::return_to::ReturnTo;
pub use self::session::Asked;

/// Everything about logins.
pub struct LoginDesk {
    config: config::Login,
    /// The address of a login, as the browser sees it.
    begin_path: String,
    login_page: String,
    cookie: CookieForm,
    token_key: TokenKey,
    store: Arc<Store>,
    dispatcher: Arc<Dispatcher>,
    centre: Centre,
    pool: Pool,
    places: Arc<Places>,
    once: Once,
    refreshing: Arc<Refreshing>,
}

impl LoginDesk {
    /// `base_path` is the path of the production address.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(
        config: config::Login,
        base_path: &str,
        store: Arc<Store>,
        dispatcher: Arc<Dispatcher>,
    ) -> std::io::Result<Self> {
        // Where the application is reached over plain http, it runs on the machine of whoever tries things out. Not by
        // a header of the request: what a proxy passes on must not weaken the cookie.
        let is_secure = !Address::parse(&config.application_url).is_ok_and(|address| address.is_plain);
        Ok(Self {
            begin_path: format!("{base_path}/login"),
            login_page: config.filled_login_page(),
            cookie: CookieForm { is_secure },
            token_key: TokenKey::new(&config.secret),
            centre: Centre::new(config.local_centres),
            pool: Pool::start("login", AT_ONCE)?,
            places: Arc::default(),
            once: Once::default(),
            refreshing: Arc::default(),
            config,
            store,
            dispatcher,
        })
    }

    /// Lets talks with centres end, for `grace` at most.
    pub fn stop(&self, grace: Duration) {
        self.pool.stop(grace);
    }

    /// Answers a request whose path, behind the base path, is one of the helper's; `None`: it is not.
    pub fn answer(self: &Arc<Self>, path: &str, request: &Request) -> Option<Reply> {
        let answer: fn(&Arc<Self>, &Request) -> Reply = match path {
            "/login" => Self::begin,
            "/login/callback" => Self::callback,
            "/logout" => Self::log_out,
            _ => return None,
        };
        Some(match request.method {
            Method::Get => answer(self, request),
            _ => plain(405, "405 Method Not Allowed\n").with_header("Allow", "GET"),
        })
    }

    /// `GET /login`: remembers in a cookie that this browser begins a login, and sends it to the login page; with `tenant`
    /// and a configured callback, to that tenant's own.
    fn begin(self: &Arc<Self>, request: &Request) -> Reply {
        let Ok(query) = Query::parse(request.query()) else { return self.fail(request, &Failure::BadReturnTo) };
        let return_to = match ReturnTo::asked_for(&query) {
            Ok(return_to) => return_to,
            Err(_) => return self.fail(request, &Failure::BadReturnTo),
        };
        // Sent back by the callback, which has just set a cookie: a browser that does not show it keeps none, and would
        // go round in circles.
        if query.first(SENT_BACK).is_some() && self.state_of(request).is_none() {
            return self.fail(request, &Failure::CookiesRefused);
        }
        let Ok(id) = random::unguessable() else { return self.fail(request, &no_randomness()) };
        let tenant_id = callback::tenant_in(&query).filter(|_| self.config.callback_url.is_some());
        let page = match &tenant_id {
            Some(tenant_id) => self.authorize_page(tenant_id, &id),
            None => Ok(self.login_page.clone()),
        };
        match page {
            Ok(page) => {
                let state = State::Begun { id, return_to, tenant_id };
                redirect(&page).with_header("Set-Cookie", self.set_cookie(&state))
            }
            Err(failure) => self.fail(request, &failure),
        }
    }

    /// Where a tenant's own centre asks who its user is: the login of the workbench, which gives `state` back (spec 3-kit
    /// §11.2).
    fn authorize_page(&self, tenant_id: &str, state: &str) -> Result<String, Failure> {
        let tenant = self.tenant(tenant_id)?;
        let domain_name = tenant.domain_name.as_deref();
        let client = self.client_of(tenant.row, tenant_id, domain_name, &self.config.app_id)?;
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        Ok(format!(
            "{}/api/v1/oauth2/authorize?response_type=code&client_id={}&redirect_uri={}&scope=get_user_info&state={state}",
            client.base,
            encoded(&client.id),
            encoded(self.config.callback_url.as_deref().unwrap_or_default()),
        ))
    }

    /// The state that the browser shows.
    fn state_of(&self, request: &Request) -> Option<State> {
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("Cookie");
        let cookies = request.headers.iter().filter(|header| is_cookie(header.field.as_str().as_str()));
        self.cookie.find(cookies.map(|header| header.value.as_str()), self.store.sealing(), Timestamp::now())
    }

    fn set_cookie(&self, state: &State) -> String {
        self.cookie.set(state, self.store.sealing(), Timestamp::now())
    }

    /// Writes a failure to the log and onto a page, under the same reference.
    fn fail(&self, request: &Request, failure: &Failure) -> Reply {
        let reference = self.note(request, failure, failure.is_anybodys());
        let html = page::failure(failure, &self.begin_path, &reference);
        let reply = uncached(Reply::new(failure.status(), "text/html; charset=utf-8", html))
            .with_header("Content-Security-Policy", page::security_policy());
        if *failure == Failure::Busy { reply.with_header("Retry-After", "5") } else { reply }
    }

    /// Writes a failure to the log, at a bound rate or each time; returns the reference to find it by.
    fn note(&self, request: &Request, failure: &Failure, is_bounded: bool) -> String {
        let mut reference = Uuid::new_v4().simple().to_string().to_ascii_uppercase();
        reference.truncate(8);
        match failure {
            _ if is_bounded => {
                let reason = format!("{failure} (reference {reference})");
                self.dispatcher.refused().note("login", RefusalClass::Login, request.peer, &reason, Timestamp::now());
            }
            Failure::Internal(_) => {
                log::error!("ALERT login {reference}: {failure}");
                alert::raise(Alarm::LoginFailed);
            }
            _ => log::warn!("login {reference}: {failure}"),
        }
        reference
    }
}

/// Marks a login that the callback sent back to its beginning.
const SENT_BACK: &str = "again";

fn no_randomness() -> Failure {
    Failure::Internal(random::NoRandomness.to_string())
}

fn redirect(location: &str) -> Reply {
    plain(302, "302 Found\n").with_header("Location", location)
}

fn plain(status: u16, text: &str) -> Reply {
    uncached(Reply::new(status, "text/plain; charset=utf-8", text))
}

/// Codes and tokens stand in addresses here: nothing is kept, and no address is passed on as a referrer.
fn uncached(reply: Reply) -> Reply {
    reply
        .with_header("Cache-Control", "no-store")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("X-Content-Type-Options", "nosniff")
}
