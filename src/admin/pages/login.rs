//! In, out, and the choice of a language.

use std::time::Instant;

use super::super::routes;
use super::attempts::Source;
use super::guard;
use super::visit::{self, Fault, LANGUAGE, SESSION, Visit};
use crate::http::{Method, Reply};
use crate::login::ReturnTo;
use crate::page::login::{self, Refusal};
use crate::page::{Language, trouble::Trouble};
use crate::random;

/// The cookie that ties a login form to the browser that was given it, so that no other site can log a browser in.
const FORM: &str = "koogate-form";

/// The cookie of a browser that has logged in before: an id, and its mark under the token. It opens nothing.
const KNOWN: &str = "koogate-known";

const A_YEAR: u32 = 365 * 24 * 60 * 60;

/// `GET /login`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let next = own_path(visit.text("next"));
    if visit.is_logged_in() {
        return Ok(visit::redirect(&next));
    }
    form(visit, 200, &next, None)
}

/// `POST /login`
pub(in crate::admin) fn log_in(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let next = own_path(visit.field("next"));
    let given = visit::cookie(visit.request, FORM).filter(|cookie| cookie.len() == 64).unwrap_or_default();
    if given.is_empty() || !visit::is_same(visit.field("form").unwrap_or_default(), given) {
        return form(visit, 403, &next, Some(Refusal::StaleForm));
    }
    let (desk, source) = (visit.desk(), source(visit));
    if let Err(wait) = desk.attempts.take(&source, Instant::now()) {
        let seconds = wait.as_secs() + 1;
        let page = form(visit, 429, &next, Some(Refusal::TooMany(seconds)))?;
        return Ok(page.with_header("Retry-After", seconds.to_string()));
    }
    if !visit.site.is_token(visit.field("token").unwrap_or_default()) {
        // As often as attempts are given.
        log::warn!("status page: a wrong token from {}", visit.request.peer);
        return form(visit, 403, &next, Some(Refusal::WrongToken));
    }
    desk.attempts.was_right(&source);
    let sessions = &desk.sessions;
    // A session this browser had before ends: its id is of no use any more.
    visit.session.iter().for_each(|session| sessions.end(session));
    let id = sessions.begin(Instant::now())?;
    log::info!("status page: logged in from {}", visit.request.peer);
    let secure = guard::is_over_https(visit.request);
    let known = random::secret_id()?;
    let known = format!("{}.{}", known.expose(), visit.site.mark(known.expose()));
    Ok(visit::redirect(&next)
        .with_header("Set-Cookie", set_cookie(KNOWN, &known, secure, Some(A_YEAR)))
        .with_header("Set-Cookie", set_cookie(SESSION, id.expose(), secure, None))
        .with_header("Set-Cookie", set_cookie(FORM, "", secure, Some(0))))
}

/// `POST /logout`
pub(in crate::admin) fn log_out(visit: &Visit<'_>) -> Result<Reply, Fault> {
    visit.session.iter().for_each(|session| visit.desk().sessions.end(session));
    let secure = guard::is_over_https(visit.request);
    Ok(visit::redirect("/login").with_header("Set-Cookie", set_cookie(SESSION, "", secure, Some(0))))
}

/// `GET /language`: keeps the choice for a year and leads back.
pub(in crate::admin) fn choose_language(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let language = visit.text("to").and_then(Language::of_code).ok_or(Trouble::NotFound)?;
    let cookie = set_cookie(LANGUAGE, language.code(), false, Some(A_YEAR));
    Ok(visit::redirect(&own_path(visit.text("next"))).with_header("Set-Cookie", cookie))
}

/// Where an attempt to log in comes from.
fn source(visit: &Visit<'_>) -> Source {
    let known = visit::cookie(visit.request, KNOWN).and_then(|cookie| cookie.split_once('.'));
    match known {
        Some((id, mark)) if visit::is_same(mark, &visit.site.mark(id)) => Source::Known(id.to_owned()),
        _ => Source::of_address(visit.request.peer),
    }
}

fn form(visit: &Visit<'_>, status: u16, next: &str, refusal: Option<Refusal>) -> Result<Reply, Fault> {
    let form = random::secret_id()?;
    let title = crate::page::Bilingual::in_language(&login::TITLE, visit.language);
    let page = visit.page_of_status(status, None, title, |view| login::body(view, form.expose(), next, refusal));
    Ok(page.with_header("Set-Cookie", set_cookie(FORM, form.expose(), false, None)))
}

/// A path of the status page: never another site, and nothing that only takes POST. From the answer to a POST, which shows
/// a secret or asks a question, it leads to the page that the form stood on.
fn own_path(text: Option<&str>) -> String {
    let Some(target) = text.and_then(|text| ReturnTo::parse(text).ok()) else { return "/".to_owned() };
    let target = target.as_str();
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if matches!(path, "/login" | "/logout" | "/language") {
        return "/".to_owned();
    }
    let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
    if is_page(path) {
        target.to_owned()
    } else if is_page(above) {
        above.to_owned()
    } else {
        "/".to_owned()
    }
}

/// Whether there is a page of this path that can be opened.
fn is_page(path: &str) -> bool {
    routes::find(path).iter().any(|(route, _)| route.is_page() && route.method == Method::Get)
}

/// `HttpOnly`: no script reads it; `SameSite=Strict`: no other site's link or form brings it along.
fn set_cookie(name: &str, value: &str, secure: bool, max_age: Option<u32>) -> String {
    let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_page_and_to_no_other_site() {
        for (text, expected) in [
            (None, "/"),
            (Some(""), "/"),
            (Some("/exchanges?order=CS1&from=2026"), "/exchanges?order=CS1&from=2026"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example/"), "/"),
            (Some("/logout"), "/"),
            (Some("/login?next=/x"), "/"),
            (Some("/language?to=zh"), "/"),
            (Some("/instances/7/reveal"), "/instances/7"),
            (Some("/stock/%E4%BA%91/import"), "/stock/%E4%BA%91"),
            (Some("/instances/7/ready"), "/instances/7/ready"),
            (Some("/healthz"), "/"),
            (Some("/nothing"), "/"),
        ] {
            assert_eq!(own_path(text), expected, "{text:?}");
        }
    }
}
