//! The status page's side that knows the world: who may see a page, and where its values come from. How it looks is
//! [`page`](crate::page)'s.
//!
//! | file | |
//! | --- | --- |
//! | `guard` | pure: whether a request may be that of a browser which shows koogate's own page |
//! | `sessions` | who is logged in |
//! | `attempts` | wrong tokens, counted and bounded |
//! | `visit` | one request as the handler of a page sees it, and its answers |
//! | `login` | in, out, and the choice of a language |
//! | `list` | what lists have in common: where a piece begins, how an action is recorded |
//! | the others | the handlers of one page each |
//!
//! A POST comes to its handler only with the token of its session and from koogate's own page: that is looked at in
//! [`answer`], once, so that no handler can forget it.

pub(super) mod actions;
mod attempts;
pub(super) mod exchanges;
pub(super) mod front;
mod guard;
pub(super) mod instances;
pub(super) mod jobs;
pub(super) mod licenses;
mod list;
pub(super) mod login;
pub(super) mod orders;
pub(super) mod refused;
mod sessions;
pub(super) mod statics;
pub(super) mod stock;
pub(super) mod tenants;
pub(super) mod traffic;
pub(super) mod usage;
mod visit;

use super::AdminSite;
use super::routes::{Found, Handler};
use crate::http::{Method, Reply, Request};
use crate::page::trouble::Trouble;

use self::attempts::Attempts;
use self::sessions::Sessions;
pub(super) use self::visit::{Fault, Visit};

/// What the pages keep between requests.
#[derive(Default)]
pub(super) struct Desk {
    sessions: Sessions,
    attempts: Attempts,
    /// What the charts show.
    hours: traffic::Hours,
    /// Names under which the listener may be called, besides addresses and `localhost`.
    host_names: Vec<String>,
}

impl Desk {
    pub(super) fn new(host_names: Vec<String>) -> Self {
        Self { host_names, ..Self::default() }
    }
}

/// Whether a request is one for the status page: not for the API, health or metrics, and not of a program that shows the
/// token itself.
pub(super) fn is_for_pages(request: &Request) -> bool {
    let path = request.path();
    let is_for_programs =
        path == "/api" || path.starts_with("/api/") || matches!(path, "/healthz" | "/readyz" | "/metrics" | "*");
    let is_program = request.header("Authorization").is_some_and(|header| header.starts_with("Bearer "));
    !is_for_programs && !is_program
}

/// Answers a request for the status page, whatever it is. `found` has the routes of its path.
pub(super) fn answer(site: &AdminSite, request: &Request, mut found: Vec<Found>) -> Reply {
    if !guard::is_own_host(request.header("Host"), &site.desk.host_names) {
        return visit::foreign_host();
    }
    let allowed = super::reply::allowed(found.iter().map(|(route, _)| &route.method));
    let mut visit = Visit::new(site, request);
    let asked = found.iter().position(|(route, _)| route.answers(&request.method)).map(|at| found.swap_remove(at));
    let is_open = asked.as_ref().is_some_and(|(route, _)| route.is_open);
    // Whoever is not logged in is told nothing, not even which pages there are.
    if !is_open && !visit.is_logged_in() {
        let is_get = matches!(request.method, Method::Get | Method::Head);
        return if is_get { visit.to_login() } else { visit.trouble(&Trouble::LoggedOut) };
    }
    let Some((route, values)) = asked else {
        return match allowed.is_empty() {
            true => visit.trouble(&Trouble::NotFound),
            false => visit.trouble(&Trouble::WrongMethod(allowed.clone())).with_header("Allow", allowed),
        };
    };
    let Handler::Page(handler) = route.handler else { return visit.trouble(&Trouble::NotFound) };
    if request.method == Method::Post && !guard::is_own_form(request, &site.desk.host_names) {
        return visit.trouble(&Trouble::Forged);
    }
    if let Err(trouble) = visit.read(values, route.parameters) {
        return visit.trouble(&trouble);
    }
    if request.method == Method::Post && !is_open && !visit.has_form_of_session() {
        return visit.trouble(&Trouble::Forged);
    }
    handler(&visit).unwrap_or_else(|fault| visit.fault(fault))
}
