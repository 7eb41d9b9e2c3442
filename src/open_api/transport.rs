//! The HTTP side of the open API: one request to one host, bounded in time and length, redirects not followed, certificates
//! verified, proxies of the environment used (`HTTPS_PROXY`, `NO_PROXY`).

use std::fmt;
use std::io;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{Request, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector, Transport,
};
use ureq::{Agent, Proxy, Timeout};

use super::error::OpenApiError;
use crate::excerpt::excerpt;

/// Longest reply. An order has a few kilobytes.
const REPLY_LIMIT: u64 = 1 << 20;

/// For the whole call (spec 5-open-api §1).
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// For the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// So much of an error's words is shown, in characters.
const SHOWN: usize = 200;

/// The certificates that are to be trusted cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no certificate in it, or one that cannot be read (PEM is expected)")]
pub struct BadCertificates;

/// Sends requests.
pub(super) struct Sender(Agent);

/// A reply, whatever it says.
pub(super) struct HttpReply {
    pub(super) status: u16,
    /// The header `Date`.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Sender {
    /// `trusted`: PEM text of the certificates that are trusted instead of the public ones. On this machine no proxy is
    /// asked.
    pub(super) fn new(trusted: Option<&str>, is_local: bool) -> Result<Self, BadCertificates> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = trusted {
            let mut certificates = Vec::new();
            for item in parse_pem(pem.as_bytes()) {
                if let PemItem::Certificate(certificate) = item.map_err(|_| BadCertificates)? {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(BadCertificates);
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A connection that the other side gave up meanwhile would lose a call, and whether it was carried out.
            .max_idle_connections(0)
            .proxy(if is_local { None } else { Proxy::try_from_env() })
            .tls_config(tls.build())
            .user_agent(concat!("koogate/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .build();
        let proxy = FirstContact(ConnectProxyConnector::default());
        let connector = proxy.chain(FirstContact(TcpConnector::default())).chain(RustlsConnector::default());
        Ok(Self(Agent::with_parts(config, connector, FirstContact(DefaultResolver::default()))))
    }

    /// Sends a request and reads the reply, within `time` and [`TIMEOUT`]. `host` is for messages.
    pub(super) fn send(&self, request: Request<&[u8]>, host: &str, time: Duration) -> Result<HttpReply, OpenApiError> {
        let after = time.min(TIMEOUT);
        let failure = |error| failure(error, host, after);
        let request = self.0.configure_request(request).timeout_global(Some(after)).build();
        let mut response = if request.body().is_empty() {
            let (parts, _) = request.into_parts();
            self.0.run(Request::from_parts(parts, ())).map_err(failure)?
        } else {
            self.0.run(request).map_err(failure)?
        };
        let status = response.status();
        if status.is_redirection() {
            return Err(OpenApiError::Redirected { host: host.to_owned(), status: status.as_u16() });
        }
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let body = response.body_mut().with_config().limit(REPLY_LIMIT).read_to_vec().map_err(failure)?;
        Ok(HttpReply { status: status.as_u16(), date, body })
    }
}

fn failure(error: ureq::Error, host: &str, after: Duration) -> OpenApiError {
    let host = host.to_owned();
    let reason = match &error {
        ureq::Error::HostNotFound => "the name has no address".to_owned(),
        ureq::Error::Timeout(_) => format!("it took longer than {CONNECT_TIMEOUT:?}"),
        ureq::Error::Io(error) if is_broken(error) => "it closed the connection".to_owned(),
        // May quote what came from outside.
        other => excerpt(other.to_string().as_bytes(), &[], SHOWN),
    };
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            OpenApiError::NoConnection { host, reason }
        }
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => OpenApiError::NoConnection { host, reason },
        ureq::Error::Timeout(_) => OpenApiError::TimedOut { host, after },
        ureq::Error::BodyExceedsLimit(limit) => OpenApiError::TooLong { host, limit },
        ureq::Error::Other(error) if error.is::<NoContact>() => {
            OpenApiError::NoConnection { host, reason: error.to_string() }
        }
        // Nothing is sent before a certificate is verified.
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired => {
            OpenApiError::NoConnection { host, reason }
        }
        ureq::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            OpenApiError::NoConnection { host, reason }
        }
        _ => OpenApiError::Broken { host, reason },
    }
}

fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Looks the name up or connects, and marks what fails then: afterwards an error of the socket does not tell whether anything was sent.
#[derive(Debug)]
struct FirstContact<C>(C);

/// No connection.
#[derive(Debug)]
struct NoContact(io::Error);

impl fmt::Display for NoContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NoContact {}

impl<In: Transport, C: Connector<In>> Connector<In> for FirstContact<C> {
    type Out = C::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained).map_err(no_contact)
    }
}

impl<R: Resolver> Resolver for FirstContact<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.resolve(uri, config, timeout).map_err(no_contact)
    }
}

fn no_contact(error: ureq::Error) -> ureq::Error {
    match error {
        ureq::Error::Io(error) => ureq::Error::Other(Box::new(NoContact(error))),
        other => other,
    }
}
