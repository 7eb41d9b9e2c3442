//! A small HTTP/1.1 client that keeps a reply as it came: the header names' spelling above all, which HTTP libraries
//! turn to lower case and KooGallery compares to the letter.
//!
//! One connection per call, everything bounded: size, and time from the first packet to the last byte. What a reply
//! means is not judged here.

mod response;
mod url;

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::deadline::DeadlineStream;
pub use response::Answer;
use url::Endpoint;
pub use url::UrlError;

/// KooGallery gives up after 20 s (FAQ of all guides).
const DEADLINE: Duration = Duration::from_secs(20);

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

/// Calls one production address.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    /// Present for https.
    tls: Option<Arc<rustls::ClientConfig>>,
    deadline: Duration,
}

impl Client {
    /// A client for an http or https URL. `extra_roots` are PEM certificates that are trusted besides the public CAs.
    ///
    /// # Errors
    /// [`SetupError`] when the URL or the certificates are of no use.
    pub fn new(url: &str, extra_roots: &[u8]) -> Result<Self, SetupError> {
        let endpoint = Endpoint::parse(url)?;
        let tls = if endpoint.tls { Some(Arc::new(tls_config(extra_roots)?)) } else { None };
        Ok(Self { endpoint, tls, deadline: DEADLINE })
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
        // The headers KooGallery sends (spec 1-basic-v2 §1).
        let usual = format!("Content-Type: application/json;charset=utf8\r\nContent-Length: {}\r\n", body.len());
        let own = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = std::iter::once(usual).chain(own).collect();
        self.exchange(&[self.head("POST", &self.target(sub_path, query), &headers).as_bytes(), body].concat())
    }

    /// GETs the address, with the query string appended to it.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn get(&self, query: &str) -> Result<Answer, ClientError> {
        self.exchange(self.head("GET", &self.target("", query), "").as_bytes())
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
        // A plain end after each call.
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{headers}\
             Accept: application/json\r\nUser-Agent: koogate-simulate/{}\r\nConnection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION"),
        )
    }

    fn exchange(&self, request: &[u8]) -> Result<Answer, ClientError> {
        let started = Instant::now();
        let deadline = started + self.deadline;
        let stream = DeadlineStream::new(self.connect(deadline)?, deadline);
        let outcome = match &self.tls {
            None => converse(stream, request),
            Some(config) => {
                let session = rustls::ClientConnection::new(Arc::clone(config), self.server_name()?);
                converse(rustls::StreamOwned::new(session.map_err(ClientError::Tls)?, stream), request)
            }
        };
        outcome.map(|answer| Answer { elapsed: started.elapsed(), ..answer })
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

/// Writes the request and reads the answer.
fn converse(mut stream: impl Read + Write, request: &[u8]) -> Result<Answer, ClientError> {
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    match (sent, response::read(&mut stream)) {
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

fn tls_config(extra_roots: &[u8]) -> Result<rustls::ClientConfig, SetupError> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in CertificateDer::pem_slice_iter(extra_roots) {
        let certificate = certificate.map_err(|error| SetupError::Certificates(error.to_string()))?;
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests;
