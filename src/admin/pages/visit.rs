//! One request as the handler of a page sees it, and the answers of pages.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Instant;

use jiff::Timestamp;
use maud::Markup;
use ring::hmac;

use super::super::routes::Values;
use super::super::{AdminSite, Context};
use super::Desk;
use super::sessions::Session;
use crate::http::{Reply, Request};
use crate::page::trouble::{self, Trouble};
use crate::page::{Flash, Language, Place, View, Words, form, layout, login, style, words};
use crate::protocol::query::Query;
use crate::random::NoRandomness;
use crate::store::StoreError;

/// The cookie of a session.
pub(super) const SESSION: &str = "koogate-session";

/// The cookie of a chosen language.
pub(super) const LANGUAGE: &str = "koogate-language";

/// A request that has come to its handler.
pub(in crate::admin) struct Visit<'a> {
    /// What handlers work with.
    pub(in crate::admin) context: &'a Context,
    /// The request itself.
    pub(in crate::admin) request: &'a Request,
    /// In which language it is answered.
    pub(in crate::admin) language: Language,
    /// When it came.
    pub(in crate::admin) now: Timestamp,
    pub(super) site: &'a AdminSite,
    pub(super) session: Option<Session>,
    path: Values,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

/// Why a handler has no page to show: what its page says, and what the log is told.
#[derive(Debug)]
pub(in crate::admin) struct Fault {
    trouble: Trouble,
    log: Option<String>,
}

impl Fault {
    /// The log says why.
    pub(super) fn internal(cause: String) -> Self {
        Self { trouble: Trouble::Internal, log: Some(cause) }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, log: None }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { trouble: Trouble::Internal, log: Some(error.to_string()) }
    }
}

impl From<NoRandomness> for Fault {
    fn from(error: NoRandomness) -> Self {
        Self { trouble: Trouble::Internal, log: Some(error.to_string()) }
    }
}

impl<'a> Visit<'a> {
    /// With the session that its cookie names.
    pub(super) fn new(site: &'a AdminSite, request: &'a Request) -> Self {
        let session = cookie(request, SESSION).and_then(|id| site.desk.sessions.find(id, Instant::now()));
        let chosen = cookie(request, LANGUAGE).and_then(Language::of_code);
        let accepted = || Language::accepted(request.header("Accept-Language").unwrap_or_default());
        Self {
            context: &site.context,
            request,
            language: chosen.unwrap_or_else(accepted),
            now: Timestamp::now(),
            site,
            session,
            path: Values::new(),
            query: Vec::new(),
            form: Vec::new(),
        }
    }

    /// Reads the query and, of a POST, the form. An empty value is none, as browsers send every field of a form.
    pub(super) fn read(&mut self, path: Values, known: &[&str]) -> Result<(), Trouble> {
        self.path = path;
        self.query = pairs(self.request.query(), Some(known)).map_err(Trouble::BadRequest)?;
        self.form = self.read_form().map_err(Trouble::BadRequest)?;
        Ok(())
    }

    fn read_form(&self) -> Result<Vec<(String, String)>, Words> {
        if self.request.body.is_empty() {
            return Ok(Vec::new());
        }
        let is_form = self.request.header("Content-Type").is_some_and(|header| {
            header.split(';').next().is_some_and(|of| of.trim() == "application/x-www-form-urlencoded")
        });
        let text = std::str::from_utf8(&self.request.body).ok().filter(|_| is_form);
        let text = text.ok_or_else(|| words("请求正文不是表单。", "The body is no form."))?;
        pairs(text, None)
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.session.is_some()
    }

    /// Whether the form is one of this session's.
    pub(super) fn has_form_of_session(&self) -> bool {
        let given = self.field("csrf").unwrap_or_default();
        self.session.as_ref().is_some_and(|session| is_same(given, session.csrf.expose()))
    }

    /// What the path has for a name of its template; decoded, never empty.
    pub(in crate::admin) fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(candidate, _)| *candidate == name).map_or("", |(_, value)| value.as_str())
    }

    /// A query parameter; never empty.
    pub(in crate::admin) fn text(&self, name: &str) -> Option<&str> {
        found(&self.query, name)
    }

    /// A query parameter that is a word of some kind.
    pub(in crate::admin) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Fault> {
        let parse = |text: &str| {
            text.parse().map_err(|problem| {
                let message =
                    words(format!("参数 {name} 无法识别：{problem}"), format!("The parameter {name}: {problem}"));
                Trouble::BadRequest(message).into()
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// A field of the form that was sent; never empty.
    pub(in crate::admin) fn field(&self, name: &str) -> Option<&str> {
        found(&self.form, name)
    }

    /// What rendering needs to know.
    pub(in crate::admin) fn view<'v>(&'v self, flash: Option<&'v Flash>) -> View<'v> {
        View {
            language: self.language,
            now: self.now,
            csrf: self.session.as_ref().map(|session| session.csrf.expose().as_str()),
            target: &self.request.target,
            flash,
        }
    }

    /// A page. `body` gets the view it is rendered for.
    pub(in crate::admin) fn page(
        &self,
        place: Option<Place>,
        title: &impl crate::page::Bilingual,
        body: impl FnOnce(&View<'_>) -> Markup,
    ) -> Reply {
        self.page_of_status(200, place, title.in_language(self.language), body)
    }

    pub(super) fn page_of_status(
        &self,
        status: u16,
        place: Option<Place>,
        title: &str,
        body: impl FnOnce(&View<'_>) -> Markup,
    ) -> Reply {
        let flash = self.session.as_ref().and_then(|session| self.desk().sessions.take(session));
        let view = self.view(flash.as_ref());
        let body = body(&view);
        html(status, layout::page(&view, place, title, &body))
    }

    /// Leads on to a path of koogate's own, with a message to be shown there.
    pub(in crate::admin) fn go_on(&self, path: &str, flash: Option<Flash>) -> Reply {
        if let (Some(session), Some(flash)) = (&self.session, flash) {
            self.desk().sessions.leave(session, flash);
        }
        redirect(path)
    }

    /// To the login form, and from there back here.
    pub(super) fn to_login(&self) -> Reply {
        let next = if self.request.target == "/" { "" } else { self.request.target.as_str() };
        redirect(&form::address("/login", &[("next", next)]))
    }

    pub(super) fn trouble(&self, trouble: &Trouble) -> Reply {
        let title = trouble.title();
        self.page_of_status(trouble.status(), None, self.say(&title), |view| match trouble {
            Trouble::LoggedOut => login::again(view),
            _ => trouble::body(view, trouble),
        })
    }

    pub(super) fn fault(&self, fault: Fault) -> Reply {
        if let Some(cause) = &fault.log {
            log::error!("{} {:?}: {cause}", self.request.method, self.request.path());
        }
        self.trouble(&fault.trouble)
    }

    fn say<'t>(&self, text: &'t impl crate::page::Bilingual) -> &'t str {
        text.in_language(self.language)
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.site.desk
    }
}

fn found<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
}

/// No query and no form of the pages has so many pairs.
const MOST_PAIRS: usize = 32;

/// The pairs of a query or a form that are not empty. `known`: no others are taken.
fn pairs(raw: &str, known: Option<&[&str]>) -> Result<Vec<(String, String)>, Words> {
    let query = Query::parse(raw)
        .map_err(|error| words(format!("编码有误：{error}"), format!("It is badly encoded: {error}.")))?;
    // Anybody may send the login form, and each name is looked for among those before it.
    if query.pairs().len() > MOST_PAIRS {
        return Err(words("参数过多。", "There are too many parameters."));
    }
    let mut read: Vec<(String, String)> = Vec::new();
    for (name, value) in query.pairs().filter(|(_, value)| !value.is_empty()) {
        if known.is_some_and(|known| !known.contains(&name)) {
            return Err(words(format!("未知参数 {name}。"), format!("The parameter {name} is unknown here.")));
        }
        if read.iter().any(|(before, _)| before == name) {
            return Err(words(format!("参数 {name} 重复。"), format!("The parameter {name} is there twice.")));
        }
        read.push((name.to_owned(), value.to_owned()));
    }
    Ok(read)
}

/// The value of a cookie of the request.
pub(super) fn cookie<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let headers = request.headers.iter().filter(|header| header.field.as_str().as_str().eq_ignore_ascii_case("Cookie"));
    let mut pairs = headers.flat_map(|header| header.value.as_str().split(';'));
    pairs.find_map(|pair| pair.trim().split_once('=').filter(|(of, _)| *of == name).map(|(_, value)| value))
}

/// Compared by their tags under a key of the one that is known: in constant time, whatever the lengths.
pub(super) fn is_same(given: &str, known: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, known.as_bytes());
    hmac::verify(&key, given.as_bytes(), hmac::sign(&key, known.as_bytes()).as_ref()).is_ok()
}

/// A document with what browsers are told about every page.
pub(super) fn html(status: u16, document: String) -> Reply {
    let reply = Reply::new(status, "text/html; charset=utf-8", document);
    style::HEADERS.into_iter().fold(reply, |reply, (name, value)| reply.with_header(name, value))
}

pub(super) fn redirect(path: &str) -> Reply {
    let reply = Reply::new(303, "text/plain; charset=utf-8", "").with_header("Location", path);
    reply.with_header("Cache-Control", "no-store").with_header("Referrer-Policy", "same-origin")
}

/// The answer where the listener is called by a name that it does not have. Nothing of koogate is told.
pub(super) fn foreign_host() -> Reply {
    const TEXT: &str = "This name is not one of the status page's. Call it by its address or as localhost, or enter the \
                        name under admin.host_names.\n\
                        此主机名未被允许：请使用 IP 地址或 localhost 访问，或将其加入 admin.host_names。\n";
    let reply = Reply::new(403, "text/plain; charset=utf-8", TEXT);
    style::HEADERS.into_iter().fold(reply, |reply, (name, value)| reply.with_header(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_few_fields_or_is_not_read() {
        let form = |fields: usize| (0..fields).map(|n| format!("{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(pairs(&form(MOST_PAIRS), None).map(|read| read.len()), Ok(MOST_PAIRS));
        let many = pairs(&form(MOST_PAIRS + 1), None);
        assert_eq!(many.map_err(|words| words.en), Err("There are too many parameters.".to_owned()));
        let empty = "a=&".repeat(MOST_PAIRS + 1);
        assert!(pairs(&empty, None).is_err(), "whatever they hold");
    }
}
