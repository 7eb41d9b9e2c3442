//! Which routes the admin listener has, and which of them a path means.

use percent_encoding::percent_decode_str;

use super::call::Call;
use super::pages::{self, Fault, Visit};
use super::reply::Problem;
use super::{alerts, codes, health, instances, licenses, login, metrics, orders, refused, tenants, usage};
use crate::http::{Method, Reply};

/// All routes. Each of the API is described in `docs/openapi.yaml`, each of the status page in `docs/status-page.md`.
pub static ROUTES: &[Route] = &[
    Route::get("/healthz", &[], health::alive).open(),
    Route::get("/readyz", &[], health::ready).open(),
    Route::get("/metrics", &[], metrics::show),
    Route::get("/api/v1/instances", &["status", "order", "test", "limit", "before"], instances::list),
    Route::get("/api/v1/instances/{instanceId}", &["kind", "test"], instances::show),
    Route::post("/api/v1/instances/{instanceId}/ready", &[], instances::ready),
    Route::post("/api/v1/instances/{instanceId}/retry", &["kind", "test"], instances::retry),
    Route::get("/api/v1/licenses", &["state", "kind", "test", "limit", "before"], licenses::list),
    Route::get("/api/v1/licenses/{license}", &[], licenses::show),
    Route::post("/api/v1/licenses/activate", &[], codes::activate),
    Route::post("/api/v1/licenses/heartbeat", &[], codes::heartbeat),
    Route::post("/api/v1/licenses/software-usage", &[], codes::software_usage),
    Route::get("/api/v1/orders", &["limit", "before"], orders::list),
    Route::get("/api/v1/orders/{orderId}", &["refresh", "personal"], orders::show),
    Route::get("/api/v1/tenants", &["limit", "before"], tenants::list),
    Route::get("/api/v1/tenants/{tenantId}", &[], tenants::show),
    Route::get("/api/v1/tenants/{tenantId}/users", &["limit", "after"], tenants::users),
    Route::get("/api/v1/tenants/{tenantId}/departments", &["limit", "after"], tenants::departments),
    Route::post("/api/v1/usage", &[], usage::record),
    Route::get("/api/v1/usage", &["state", "instance", "limit", "before"], usage::list),
    Route::get("/api/v1/alerts", &[], alerts::list),
    Route::get("/api/v1/refused", &[], refused::list),
    Route::post("/api/v1/login/{sid}/refresh", &[], login::refresh),
    Route::post("/api/v1/login/{sid}/end", &[], login::end),
    // The status page.
    Route::page("/", &[], pages::front::show),
    Route::page("/actions", &["after"], pages::actions::show),
    Route::page("/login", &["next"], pages::login::show).open(),
    Route::form("/login", pages::login::log_in).open(),
    Route::form("/logout", pages::login::log_out),
    Route::page("/language", &["to", "next"], pages::login::choose_language).open(),
    Route::page("/static/{file}", &[], pages::statics::show).open(),
    Route::page("/exchanges", &EXCHANGES, pages::exchanges::list),
    Route::page("/exchanges/{exchange}", &[], pages::exchanges::show),
    Route::form("/exchanges/{exchange}/reveal", pages::exchanges::reveal),
    Route::page("/export/exchanges", &crate::page::exchanges::PARAMETERS, pages::exchanges::ask_export),
    Route::form("/export/exchanges", pages::exchanges::export),
    Route::page("/refused", &[], pages::refused::list),
    Route::page("/instances", &["text", "status", "kind", "environment", "after"], pages::instances::list),
    Route::page("/instances/{instance}", &[], pages::instances::show),
    Route::form("/instances/{instance}/reveal", pages::instances::reveal),
    Route::page("/instances/{instance}/ready", &[], pages::instances::ask_ready),
    Route::form("/instances/{instance}/ready", pages::instances::ready),
    Route::page("/instances/{instance}/retry", &[], pages::jobs::ask_retry_instance),
    Route::form("/instances/{instance}/retry", pages::jobs::retry_instance),
    Route::page("/licenses", &["state", "kind", "environment", "after"], pages::licenses::list),
    Route::page("/licenses/{license}", &[], pages::licenses::show),
    Route::form("/licenses/{license}/issue", pages::licenses::issue),
    Route::page("/orders", &["after"], pages::orders::list),
    Route::page("/orders/{order}", &[], pages::orders::show),
    Route::form("/orders/{order}/reveal", pages::orders::reveal),
    Route::form("/orders/{order}/refresh", pages::orders::refresh),
    Route::page("/jobs", &["state", "task", "after"], pages::jobs::list),
    Route::page("/jobs/{job}/retry", &[], pages::jobs::ask_retry),
    Route::form("/jobs/{job}/retry", pages::jobs::retry),
    Route::page("/retry/jobs", &["task"], pages::jobs::ask_retry_all),
    Route::form("/retry/jobs", pages::jobs::retry_all),
    Route::page("/stock", &[], pages::stock::list),
    Route::page("/stock/{stock}", &["after"], pages::stock::show),
    Route::form("/stock/{stock}/reveal", pages::stock::reveal),
    Route::form("/stock/{stock}/import", pages::stock::ask_import),
    Route::form("/stock/{stock}/add", pages::stock::add),
    Route::page("/tenants", &["after"], pages::tenants::list),
    Route::page("/tenants/{tenant}", &["users", "departments"], pages::tenants::show),
    Route::page("/tenants/{tenant}/retry", &[], pages::jobs::ask_retry_tenant),
    Route::form("/tenants/{tenant}/retry", pages::jobs::retry_tenant),
    Route::page("/usage", &["state", "instance", "after"], pages::usage::list),
    Route::page("/usage/push", &[], pages::usage::ask_push),
    Route::form("/usage/push", pages::usage::push),
    Route::page("/usage/{meteringSn}/withdraw", &[], pages::usage::ask_withdraw),
    Route::form("/usage/{meteringSn}/withdraw", pages::usage::withdraw),
    Route::page("/traffic", &[], pages::traffic::show),
];

/// The filter of the journal, and where a piece of it begins.
const EXCHANGES: [&str; 9] =
    ["order", "instance", "result", "family", "activity", "environment", "since", "until", "after"];

/// What the path of a request has for the names of its template.
pub(super) type Values = Vec<(&'static str, String)>;

/// A route, and what the path has for its names.
pub(super) type Found = (&'static Route, Values);

/// A method on a path.
pub struct Route {
    /// The method; what answers GET answers HEAD, too.
    pub method: Method,
    /// The path, with a name in braces for each segment that may be anything: `/api/v1/instances/{instanceId}`.
    pub path: &'static str,
    /// The query parameters it knows; any other is refused.
    pub parameters: &'static [&'static str],
    /// No token is needed, and no session.
    pub is_open: bool,
    pub(super) handler: Handler,
}

/// Who answers: the API a program that shows the token, the status page a browser with a session.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    Api(fn(&Call<'_>) -> Result<Reply, Problem>),
    Page(fn(&Visit<'_>) -> Result<Reply, Fault>),
}

impl Route {
    const fn get(
        path: &'static str,
        parameters: &'static [&'static str],
        handler: fn(&Call<'_>) -> Result<Reply, Problem>,
    ) -> Self {
        Self { method: Method::Get, path, parameters, is_open: false, handler: Handler::Api(handler) }
    }

    const fn post(
        path: &'static str,
        parameters: &'static [&'static str],
        handler: fn(&Call<'_>) -> Result<Reply, Problem>,
    ) -> Self {
        Self { method: Method::Post, path, parameters, is_open: false, handler: Handler::Api(handler) }
    }

    /// A page.
    const fn page(
        path: &'static str,
        parameters: &'static [&'static str],
        handler: fn(&Visit<'_>) -> Result<Reply, Fault>,
    ) -> Self {
        Self { method: Method::Get, path, parameters, is_open: false, handler: Handler::Page(handler) }
    }

    /// What a form of a page is sent to.
    const fn form(path: &'static str, handler: fn(&Visit<'_>) -> Result<Reply, Fault>) -> Self {
        Self { method: Method::Post, path, parameters: &[], is_open: false, handler: Handler::Page(handler) }
    }

    const fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Whether it is meant where its path is asked with this method.
    pub(super) fn answers(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::Get && *method == Method::Head)
    }

    /// Whether it belongs to the status page.
    pub fn is_page(&self) -> bool {
        matches!(self.handler, Handler::Page(_))
    }

    /// What stands in a path for the names in braces; `None`: the path is not of this form.
    fn matches(&self, path: &str) -> Option<Values> {
        let (mut names, mut segments) = (self.path.split('/'), path.split('/'));
        let mut values = Vec::new();
        loop {
            match (names.next(), segments.next()) {
                (None, None) => return Some(values),
                (Some(expected), Some(raw)) => {
                    // Decoded after the path was split: a slash within an id is written %2F.
                    let segment = percent_decode_str(raw).decode_utf8().ok()?;
                    match expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                        Some(_) if segment.is_empty() => return None,
                        Some(name) => values.push((name, segment.into_owned())),
                        None if segment != expected => return None,
                        None => {}
                    }
                }
                _ => return None,
            }
        }
    }
}

/// The routes of a path, one for each of its methods, with what the path names.
pub(super) fn find(path: &str) -> Vec<Found> {
    ROUTES.iter().filter_map(|route| Some((route, route.matches(path)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let found = find(path);
        let found = found.first().map(|(route, values)| {
            (route.path, values.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
        });
        assert_eq!(found, expected.map(|(template, values)| (template, values.to_vec())), "{path}");
    }

    #[test]
    fn a_path_is_split_first_and_decoded_then() {
        check("/healthz", Some(("/healthz", &[])));
        check("/api/v1/instances/i-1/ready", Some(("/api/v1/instances/{instanceId}/ready", &[("instanceId", "i-1")])));
        check("/api/v1/instances/a%2Fb%20c%25", Some(("/api/v1/instances/{instanceId}", &[("instanceId", "a/b c%")])));
        check("/api/v1/instances/%E6%B5%8B", Some(("/api/v1/instances/{instanceId}", &[("instanceId", "测")])));
        for none in [
            "",
            "*",
            "/api/v1",
            "/api/v1/instances/",
            "/api/v1/instances//ready",
            "/api/v1/instances/a/b",
            "/api/v1/instances/a/ready/",
            "/api/v1/instances/%FF",
            "/api%2Fv1/instances",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn no_path_is_meant_by_two_routes() {
        for route in ROUTES {
            // With the names in braces for values, a path is of the form of its own route at least.
            let found = find(route.path);
            let same = found.iter().filter(|(other, _)| other.method == route.method).count();
            assert_eq!(same, 1, "{} {}", route.method, route.path);
            assert!(route.path == "/" || (route.path.starts_with('/') && !route.path.ends_with('/')), "{}", route.path);
        }
    }
}
