//! The transport `http`: POST the event to the merchant's application, signed, and read the answer.
//!
//! One bound holds for everything an attempt does: look-up, connection, TLS, sending, waiting, and a body that drips.
//! Every attempt has a connection of its own, so that none fails on one the application closed long ago. Proxies of the
//! environment are never used: the application is the merchant's own, and the address rules below could not be kept
//! through one.
//!
//! Which addresses are connected to is decided in `transport`; when to try again, in the job runner.

mod transport;

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use ureq::config::Config;
use ureq::http::{Response, Uri, header};
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body};

pub(crate) use self::transport::NamedBy;
use self::transport::{GuardedConnector, Reach, RefusedAddress, reach_of_host};
use super::answer::Answer;
use super::application::{ANSWER_LIMIT, AttemptError};
use super::event::Event;
use super::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecret};
use crate::excerpt::excerpt;

/// How much of an error page is read to find the first 200 characters worth showing.
const ERROR_PAGE_LIMIT: u64 = 4 * 1024;
const ERROR_PAGE_SHOWN: usize = 200;

/// An application behind a URL.
#[derive(Clone)]
pub struct HttpApplication {
    url: Uri,
    secret: Option<WebhookSecret>,
    timeout: Duration,
    agent: Agent,
}

/// Why a URL cannot be used. The texts leave its path and query out, which may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpSetupError {
    /// Not absolute, or not a URL.
    #[error("the URL is not a complete http:// or https:// address")]
    NotAWebAddress,
    /// `user:password@` would be ignored.
    #[error("the URL of {host} has a user name in it; requests are signed with \"secret\" instead")]
    UserInfo {
        /// The host.
        host: String,
    },
    /// Plain HTTP over a network that is not one's own.
    #[error(
        "http://{host} would send customer data unencrypted: plain http is for loopback and private addresses and for \
         local names (localhost, names without a dot, *.internal, *.local, *.lan, *.home.arpa); use https://"
    )]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// Where clouds keep their metadata services.
    #[error("{host} is a link-local address; cloud metadata services live there, no application does")]
    LinkLocal {
        /// The host.
        host: String,
    },
}

impl HttpApplication {
    /// An application at `url`. Without a secret, requests are not signed. `timeout` bounds a whole attempt.
    ///
    /// # Errors
    /// Plain http is for loopback and private addresses; link-local addresses are refused. Names are judged again by
    /// their addresses on every attempt.
    pub fn new(url: &str, secret: Option<WebhookSecret>, timeout: Duration) -> Result<Self, HttpSetupError> {
        let url: Uri = url.parse().map_err(|_| HttpSetupError::NotAWebAddress)?;
        check_url(&url)?;
        Ok(Self { url, secret, timeout, agent: guarded_agent(timeout, NamedBy::Merchant) })
    }

    /// Makes one attempt.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub fn call(&self, event: &Event) -> Result<Answer, AttemptError> {
        let body = event.to_json();
        let now = Timestamp::now().as_second();
        let mut request = self
            .agent
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header(ID_HEADER, &event.operation_id)
            .header(TIMESTAMP_HEADER, now.to_string());
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE_HEADER, secret.sign(&event.operation_id, now, body.as_bytes()));
        }
        let mut response = request.send(&body).map_err(|error| self.failure(error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(redirected(&response));
        }
        if !status.is_success() {
            return Err(self.error_page(&mut response, event));
        }
        let answer = response.body_mut().with_config().limit(ANSWER_LIMIT as u64).read_to_vec();
        Ok(Answer::parse(event.name(), &answer.map_err(|error| self.failure(error))?)?)
    }

    /// What an unsuccessful status came with. A page that breaks off or drips is shown as far as it came.
    fn error_page(&self, response: &mut Response<Body>, event: &Event) -> AttemptError {
        let mut page = Vec::new();
        let _as_far_as_it_came = response.body_mut().as_reader().take(ERROR_PAGE_LIMIT).read_to_end(&mut page);
        let own = self.secret.as_ref().map(WebhookSecret::spellings).unwrap_or_default();
        let values = event.private_values();
        let mut private: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        private.extend(own.iter().map(|secret| secret.expose().as_str()));
        let body = match excerpt(&page, &private, ERROR_PAGE_SHOWN) {
            shown if shown.is_empty() => "(no text)".to_owned(),
            shown => shown,
        };
        AttemptError::Status { status: response.status().as_u16(), body }
    }

    fn failure(&self, error: ureq::Error) -> AttemptError {
        let no_connection = |reason: String| AttemptError::NoConnection { origin: origin(&self.url), reason };
        let broken = |reason: String| AttemptError::Broken { origin: origin(&self.url), reason };
        match error {
            ureq::Error::Timeout(_) => AttemptError::TimedOut { after: self.timeout },
            ureq::Error::BodyExceedsLimit(_) => AttemptError::TooLong,
            ureq::Error::HostNotFound => no_connection("the name has no address".into()),
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => broken("it closed the connection".into()),
                _ => no_connection(error.to_string()),
            },
            ureq::Error::Other(error) if error.is::<RefusedAddress>() => no_connection(error.to_string()),
            error @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired) => {
                no_connection(error.to_string())
            }
            other => broken(other.to_string()),
        }
    }
}

impl fmt::Debug for HttpApplication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApplication")
            .field("origin", &origin(&self.url))
            .field("signed", &self.secret.is_some())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A client that connects to permitted addresses only, follows no redirect, knows no proxy, and holds each attempt to one
/// bound for everything it does.
pub(crate) fn guarded_agent(timeout: Duration, named_by: NamedBy) -> Agent {
    let config = Config::builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .tls_config(TlsConfig::builder().build())
        .user_agent(concat!("koogate/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .build();
    let connector = GuardedConnector { named_by }.chain(RustlsConnector::default());
    Agent::with_parts(config, connector, DefaultResolver::default())
}

/// Whether an address of the merchant's may be called.
///
/// # Errors
/// As [`HttpApplication::new`].
pub(crate) fn check_address(url: &str) -> Result<(), HttpSetupError> {
    check_url(&url.parse().map_err(|_| HttpSetupError::NotAWebAddress)?)
}

fn check_url(url: &Uri) -> Result<(), HttpSetupError> {
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(HttpSetupError::NotAWebAddress);
    };
    let host = authority.host().to_owned();
    if host.is_empty() || authority.port().is_some_and(|port| port.as_str() == "0") {
        return Err(HttpSetupError::NotAWebAddress);
    }
    if authority.as_str().contains('@') {
        return Err(HttpSetupError::UserInfo { host });
    }
    match (reach_of_host(&host), scheme) {
        (Reach::LinkLocal, _) => Err(HttpSetupError::LinkLocal { host }),
        (Reach::Public | Reach::Provider, "http") => Err(HttpSetupError::PlainHttp { host }),
        _ => Ok(()),
    }
}

fn redirected(response: &Response<Body>) -> AttemptError {
    let location = response.headers().get(header::LOCATION).map(|value| value.as_bytes());
    let target = location.and_then(|bytes| bytes.split(|byte| matches!(byte, b'?' | b'#')).next());
    let target = target.map_or_else(String::new, |bytes| format!(" to {}", excerpt(bytes, &[], 100)));
    AttemptError::Redirected { status: response.status().as_u16(), target }
}

/// Scheme, host and port: what may be shown of a URL.
fn origin(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{}://{}", url.scheme_str().unwrap_or_default(), authority.rsplit('@').next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
