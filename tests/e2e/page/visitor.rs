//! A browser as far as the protocol goes: it keeps cookies, sends forms and follows nothing by itself.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::harness::{Answer, KEY, Koogate, PATIENCE, Scratch, send_over, text};
use crate::shop::FIXED;

pub const TOKEN: &str = "admin-token-0123456789";

/// The section of the scratch configuration, with further lines.
pub fn admin(lines: &str) -> String {
    format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n{lines}\n")
}

/// A server with a status page and nothing sold.
pub fn empty() -> (Koogate, Scratch) {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &admin(""), FIXED);
    (scratch.serve(), scratch)
}

/// A browser.
#[derive(Clone)]
pub struct Visitor {
    address: SocketAddr,
    /// What it takes the page's host to be.
    pub host: String,
    /// Its cookies.
    pub cookies: BTreeMap<String, String>,
    /// What it prefers.
    pub language: &'static str,
    /// Further headers of every request.
    pub headers: Vec<(&'static str, String)>,
}

impl Visitor {
    /// One that has never been here.
    pub fn new(koogate: &Koogate) -> Self {
        let address = koogate.admin.expect("an admin listener");
        let (host, cookies) = (address.to_string(), BTreeMap::new());
        Self { address, host, cookies, language: "en", headers: Vec::new() }
    }

    /// One that has logged in.
    pub fn logged_in(koogate: &Koogate) -> Self {
        let mut visitor = Self::new(koogate);
        let answer = visitor.log_in(TOKEN);
        assert_eq!((answer.status, answer.header("Location")), (303, Some("/")), "{}", text(&answer.body));
        visitor
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, None)
    }

    /// Sends a form.
    pub fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.request("POST", target, Some(&fields.join("&")))
    }

    /// Sends a form with the token of the session, as the page at `from` has it.
    pub fn post_from(&mut self, from: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = hidden(&text(&self.get(from).body), "csrf");
        self.post(target, &[&[("csrf", csrf.as_str())], fields].concat())
    }

    /// Opens the login form and sends it.
    pub fn log_in(&mut self, token: &str) -> Answer {
        let form = hidden(&text(&self.get("/login").body), "form");
        self.post("/login", &[("form", &form), ("token", token)])
    }

    /// One request; cookies that come with the answer are kept.
    pub fn request(&mut self, method: &str, target: &str, form: Option<&str>) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![("Accept-Language", self.language)];
        if !cookies.is_empty() {
            headers.push(("Cookie", cookies.as_str()));
        }
        if form.is_some() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        headers.extend(self.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = send_over(stream, &self.host, method, target, &headers, form.unwrap_or_default().as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{method} {target}: {error}"));
        for cookie in set_cookies(&answer) {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// The cookies that an answer sets.
pub fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().filter(|(name, _)| name == "Set-Cookie").map(|(_, value)| value.as_str()).collect()
}

/// The value of a hidden field of a page.
#[track_caller]
pub fn hidden(page: &str, name: &str) -> String {
    let before = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    let rest = page.split_once(&before).unwrap_or_else(|| panic!("no field {name}: {page}")).1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// The content of the first element of this name.
#[track_caller]
pub fn element<'p>(page: &'p str, name: &str) -> &'p str {
    let rest = page.split_once(&format!("<{name}")).unwrap_or_else(|| panic!("no {name}: {page}")).1;
    rest.split_once('>').unwrap().1.split_once(&format!("</{name}>")).unwrap().0
}
