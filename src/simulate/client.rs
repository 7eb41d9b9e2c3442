//! A small HTTP/1.1 client that keeps a reply as it came: the header names' spelling above all, which HTTP libraries
//! turn to lower case and KooGallery compares to the letter.
//!
//! One connection per call, everything bounded: size, and time from the first packet to the last byte. What a reply
//! means is not judged here.

mod handshake;
mod response;
mod url;

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::deadline::DeadlineStream;
use crate::protocol::call::SIMULATE_AGENT;
use handshake::TlsClient;
pub use handshake::{Handshake, Offer};
pub use response::Answer;
use url::Endpoint;
pub use url::UrlError;

/// KooGallery gives up after 20 s (FAQ of all guides).
const DEADLINE: Duration = Duration::from_secs(20);

/// A plain end after each call.
const AFTERWARDS_CLOSE: &str = "Connection: close\r\n";

/// Why a call got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name has no address.
    #[error("the host {host} cannot be resolved: {source}")]
    Resolve {
        /// The host of the URL.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// No address takes a connection.
    #[error("no connection to {authority}: {source}")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the last address said.
        source: std::io::Error,
    },
    /// The TLS handshake failed or the connection broke under TLS.
    #[error(
        "TLS failed: {0}; KooGallery needs TLS 1.2 or later and a certificate of a recognised CA with its whole chain"
    )]
    Tls(rustls::Error),
    /// Not finished within the deadline.
    #[error("no complete answer in time; KooGallery gives up after 20 s, by an older document after 5 s")]
    Timeout,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(std::io::Error),
    /// The bytes are no HTTP response we can take; says which rule they break.
    #[error("the answer is not good HTTP: {0}")]
    Malformed(&'static str),
}

/// Why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL cannot be a production address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The extra certificates are no PEM certificates.
    #[error("the certificates to trust are not in PEM form: {0}")]
    Certificates(String),
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What is sent in a POST, below an address.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'p> {
    /// What is asked.
    pub query: &'p str,
    /// Headers of its own, by name.
    pub headers: &'p [(&'static str, String)],
    /// The body.
    pub body: &'p [u8],
}

/// The answers to two calls on one connection; the second is `None` where the server has said that it closes after the first.
pub type Both = (Answer, Option<Result<Answer, ClientError>>);

/// Calls one production address.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    /// Present for https.
    tls: Option<TlsClient>,
    deadline: Duration,
}

impl Client {
    /// A client for an http or https URL. `extra_roots` are PEM certificates that are trusted besides the public CAs.
    ///
    /// # Errors
    /// [`SetupError`] when the URL or the certificates are of no use.
    pub fn new(url: &str, extra_roots: &[u8]) -> Result<Self, SetupError> {
        let endpoint = Endpoint::parse(url)?;
        let tls = if endpoint.tls { Some(TlsClient::new(extra_roots)?) } else { None };
        Ok(Self { endpoint, tls, deadline: DEADLINE })
    }

    /// A client for a listener of this machine's own, whatever certificate it shows: it is there for another name.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn of_own_listener(url: &str) -> Result<Self, SetupError> {
        let endpoint = Endpoint::parse(url)?;
        let tls = if endpoint.tls { Some(TlsClient::of_own_listener()?) } else { None };
        Ok(Self { endpoint, tls, deadline: DEADLINE })
    }

    /// Gives up sooner or later than KooGallery does.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The host of the URL, without the brackets of an IPv6 address, and the port.
    pub fn host(&self) -> (&str, u16) {
        (&self.endpoint.host, self.endpoint.port)
    }

    /// Whether the URL is one of https.
    pub fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    /// POSTs a JSON body, with the query string appended to the address.
    ///
    /// # Errors
    /// [`ClientError`] when no complete response comes within the deadline.
    pub fn post(&self, query: &str, body: &[u8]) -> Result<Answer, ClientError> {
        self.post_below("", query, &[], body)
    }

    /// The same below the address, and with headers of its own.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn post_below(
        &self,
        sub_path: &str,
        query: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<Answer, ClientError> {
        self.exchange(&self.post_request(sub_path, query, headers, body, AFTERWARDS_CLOSE))
    }

    /// Makes two POSTs on one connection, as a client does that keeps its connections.
    ///
    /// # Errors
    /// As [`Client::post`]; what becomes of the second call is told apart.
    pub fn post_twice(&self, sub_path: &str, calls: [Posting<'_>; 2]) -> Result<Both, ClientError> {
        let [first, second] = calls
            .map(|call| self.post_request(sub_path, call.query, call.headers, call.body, "Connection: keep-alive\r\n"));
        self.exchange_twice([&first, &second])
    }

    /// The same with two GETs of the address.
    ///
    /// # Errors
    /// As [`Client::post_twice`].
    pub fn get_twice(&self, queries: [&str; 2]) -> Result<Both, ClientError> {
        let [first, second] =
            queries.map(|query| self.head("GET", &self.target("", query), "Connection: keep-alive\r\n").into_bytes());
        self.exchange_twice([&first, &second])
    }

    /// Asks for something else than the address, without a body: another path of the same server, or the address by
    /// another method. An answer to `HEAD` cannot be read.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn ask(&self, method: &str, target: Option<&str>) -> Result<Answer, ClientError> {
        self.ask_with(method, target, &[])
    }

    /// The same with headers of its own.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn ask_with(
        &self,
        method: &str,
        target: Option<&str>,
        headers: &[(&str, String)],
    ) -> Result<Answer, ClientError> {
        let target = target.map_or_else(|| self.target("", ""), str::to_owned);
        let own = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = own.chain([AFTERWARDS_CLOSE.to_owned()]).collect();
        self.exchange(self.head(method, &target, &headers).as_bytes())
    }

    fn post_request(
        &self,
        sub_path: &str,
        query: &str,
        headers: &[(&str, String)],
        body: &[u8],
        afterwards: &str,
    ) -> Vec<u8> {
        // The headers KooGallery sends (spec 1-basic-v2 §1).
        let usual = format!("Content-Type: application/json;charset=utf8\r\nContent-Length: {}\r\n", body.len());
        let own = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = std::iter::once(usual).chain(own).chain([afterwards.to_owned()]).collect();
        [self.head("POST", &self.target(sub_path, query), &headers).as_bytes(), body].concat()
    }

    /// GETs the address, with the query string appended to it.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn get(&self, query: &str) -> Result<Answer, ClientError> {
        self.exchange(self.head("GET", &self.target("", query), AFTERWARDS_CLOSE).as_bytes())
    }

    /// The address with what is appended to its path and to its query.
    fn target(&self, sub_path: &str, query: &str) -> String {
        let own = &self.endpoint.target;
        let (path, asked) = own.split_once('?').unwrap_or((own, ""));
        let path = if sub_path.is_empty() { path } else { path.trim_end_matches('/') };
        let separators = [
            if asked.is_empty() { "" } else { "?" },
            match (query, asked) {
                ("", _) => "",
                (_, "") => "?",
                _ => "&",
            },
        ];
        [path, sub_path, separators[0], asked, separators[1], query].concat()
    }

    fn head(&self, method: &str, target: &str, headers: &str) -> String {
        let authority = &self.endpoint.authority;
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{headers}\
             Accept: application/json\r\nUser-Agent: {SIMULATE_AGENT}{}\r\n\r\n",
            env!("CARGO_PKG_VERSION"),
        )
    }

    fn exchange(&self, request: &[u8]) -> Result<Answer, ClientError> {
        let started = Instant::now();
        let mut stream = self.open(started + self.deadline)?;
        let outcome = converse(&mut stream, request);
        outcome.map(|answer| Answer { elapsed: started.elapsed(), ..answer })
    }

    fn exchange_twice(&self, [first, second]: [&[u8]; 2]) -> Result<Both, ClientError> {
        let mut stream = self.open(Instant::now() + self.deadline)?;
        let answer = converse(&mut stream, first)?;
        let closes = |value: &str| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"));
        let is_last = answer.header("Connection").is_some_and(closes)
            || answer.status_line.starts_with("HTTP/1.0")
            || (answer.header("Content-Length").is_none() && answer.header("Transfer-Encoding").is_none());
        let second = (!is_last).then(|| converse(&mut stream, second));
        Ok((answer, second))
    }

    /// A connection, ready to be written to; over TLS if the URL says so.
    fn open(&self, deadline: Instant) -> Result<Box<dyn Conversation>, ClientError> {
        let stream = DeadlineStream::new(self.connect(deadline)?, deadline);
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let session = rustls::ClientConnection::new(Arc::clone(&tls.usual), self.server_name()?);
                Box::new(rustls::StreamOwned::new(session.map_err(ClientError::Tls)?, stream))
            }
        })
    }

    fn connect(&self, deadline: Instant) -> Result<TcpStream, ClientError> {
        let Endpoint { host, port, authority, .. } = &self.endpoint;
        // The resolver has no time limit of its own to set; the system's is some seconds.
        let resolved = (host.as_str(), *port).to_socket_addrs();
        let addresses = resolved.map_err(|source| ClientError::Resolve { host: host.clone(), source })?;
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::Timeout);
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    // Without it the last piece of a body may wait for an acknowledgement; a failure costs only time.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(ClientError::Connect { authority: authority.clone(), source: last })
    }

    fn server_name(&self) -> Result<ServerName<'static>, ClientError> {
        ServerName::try_from(self.endpoint.host.clone())
            .map_err(|_| ClientError::Malformed("the host of the URL is no name a certificate can have"))
    }
}

/// What both kinds of connection are.
trait Conversation: Read + Write {}
impl<S: Read + Write> Conversation for S {}

/// Writes the request and reads the answer.
fn converse(stream: &mut Box<dyn Conversation>, request: &[u8]) -> Result<Answer, ClientError> {
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    match (sent, response::read(stream)) {
        (_, Ok(answer)) => Ok(answer),
        // A server may answer and close before it has read everything; when there is no answer the first error counts.
        (Err(error), Err(_)) => Err(io_error(error)),
        (Ok(()), Err(error)) => Err(error),
    }
}

/// Tells a deadline and a TLS failure from a broken connection.
fn io_error(error: std::io::Error) -> ClientError {
    use std::io::ErrorKind;
    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) {
        return ClientError::Timeout;
    }
    match error.downcast::<rustls::Error>() {
        Ok(tls) => ClientError::Tls(tls),
        Err(error) => ClientError::Io(error),
    }
}

#[cfg(test)]
mod tests;
