//! A call of the own public listener: `GET /healthz`, as anybody could make it, over a socket of its own.
//!
//! By HTTPS any certificate will do: nothing secret is sent and nothing that is answered is acted on but "well" or "not";
//! what is asked is whether this machine's listener answers, not who it is. An expired certificate does not make the
//! process ill. The client exists for this call only, and is no client of anybody else's server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::any_certificate::AnyCertificate;
use crate::deadline::DeadlineStream;

/// An answer of `/healthz` is much shorter.
const LONGEST_ANSWER: u64 = 4 << 10;

/// Why the listener did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Not in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection cannot be made, or broke.
    #[error("{0}")]
    Io(io::Error),
    /// Whoever calls has no descriptor, memory or address for a call: of the listener this says nothing.
    #[error("it cannot be called: {0}")]
    NotMade(io::Error),
    /// What came is no answer of koogate's.
    #[error("the answer is not koogate's")]
    Strange,
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// Calls one listener.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    /// Where the same listener is called if there is no way to the address.
    other: Option<SocketAddr>,
    tls: Option<Arc<ClientConfig>>,
}

impl Caller {
    /// For what listens at this address, with HTTPS or without.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn new(listen: SocketAddr, https: bool) -> Result<Self, CallError> {
        let tls = https.then(tls_config).transpose().map_err(CallError::Tls)?;
        let (address, other) = reachable(listen);
        Ok(Self { address, other, tls: tls.map(Arc::new) })
    }

    /// What is called.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/healthz", self.address)
    }

    /// Whether the listener says that all is well.
    ///
    /// # Errors
    /// When it says nothing that can be understood, within the time given.
    pub fn ask(&self, within: Duration) -> Result<bool, CallError> {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => CallError::Timeout(within),
            _ if is_the_callers(&error) => CallError::NotMade(error),
            _ => CallError::Io(error),
        };
        let deadline = Instant::now() + within;
        let socket = self.connect(within).map_err(failed)?;
        let stream = DeadlineStream::new(socket, deadline);
        let answer = match &self.tls {
            None => converse(stream),
            Some(config) => {
                // An address is never sent as the name of a server, and a listener without a name is every listener.
                let name = ServerName::IpAddress(self.address.ip().into());
                let session = ClientConnection::new(Arc::clone(config), name).map_err(CallError::Tls)?;
                converse(StreamOwned::new(session, stream))
            }
        };
        verdict(&answer.map_err(failed)?).ok_or(CallError::Strange)
    }

    fn connect(&self, within: Duration) -> io::Result<TcpStream> {
        let connected = TcpStream::connect_timeout(&self.address, within);
        match (&connected, &self.other) {
            (Err(error), Some(other)) if error.kind() != ErrorKind::TimedOut => {
                TcpStream::connect_timeout(other, within)
            }
            _ => connected,
        }
    }
}

/// A listener on all addresses is called on this machine's own. One on `[::]` takes IPv4, too, and in many containers that
/// is the only loopback address there is: IPv6 is switched off there, but for sockets.
fn reachable(listen: SocketAddr) -> (SocketAddr, Option<SocketAddr>) {
    let on = |ip: IpAddr| SocketAddr::new(ip, listen.port());
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (on(Ipv4Addr::LOCALHOST.into()), None),
        IpAddr::V6(ip) if ip.is_unspecified() => (on(Ipv6Addr::LOCALHOST.into()), Some(on(Ipv4Addr::LOCALHOST.into()))),
        _ => (listen, None),
    }
}

/// Whether a call failed for want of something on the caller's side.
fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

fn converse(mut stream: impl Read + Write) -> io::Result<Vec<u8>> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(LONGEST_ANSWER).read_to_end(&mut answer) {
        // An end that is not told is an end.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        Ok(_) | Err(_) => Ok(answer),
    }
}

/// What an answer says; `None`: it is none of ours, or not whole.
fn verdict(answer: &[u8]) -> Option<bool> {
    let whole = answer.windows(4).any(|window| window == b"\r\n\r\n");
    match answer.get(..13).filter(|_| whole)? {
        b"HTTP/1.1 200 " => Some(true),
        b"HTTP/1.1 503 " => Some(false),
        _ => None,
    }
}

fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(AnyCertificate(provider));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_called_on_this_machine() {
        for (listen, called, other) in [
            ("0.0.0.0:443", "127.0.0.1:443", None),
            ("[::]:443", "[::1]:443", Some("127.0.0.1:443")),
            ("10.0.0.5:80", "10.0.0.5:80", None),
            ("[fe80::1%2]:80", "[fe80::1%2]:80", None),
        ] {
            let other = other.map(|other| other.parse().unwrap());
            assert_eq!(reachable(listen.parse().unwrap()), (called.parse().unwrap(), other));
        }
    }

    /// As in a container without IPv6, where nobody can connect to `[::1]`.
    #[test]
    fn a_listener_is_called_at_its_other_address_when_there_is_no_way_to_the_first() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let caller = Caller { address: "[::1]:0".parse().unwrap(), other: Some(there), tls: None };
        assert!(matches!(caller.ask(Duration::from_millis(50)), Err(CallError::Timeout(_))), "it was connected to");
    }

    #[test]
    fn what_the_caller_lacks_says_nothing_of_the_listener() {
        for (errno, expected) in
            [(Errno::MFILE, true), (Errno::ADDRNOTAVAIL, true), (Errno::CONNREFUSED, false), (Errno::CONNRESET, false)]
        {
            assert_eq!(is_the_callers(&errno.into()), expected, "{errno:?}");
        }
    }

    #[test]
    fn only_a_whole_answer_of_koogates_is_one() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", Some(true)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some(false)),
            ("HTTP/1.1 200 OK\r\nContent-Le", None),
            ("HTTP/1.1 404 Not Found\r\n\r\n", None),
            ("HTTP/1.0 200 OK\r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(verdict(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn nobody_there_and_nobody_who_answers_are_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let silent = |https| Caller::new(address, https).unwrap().ask(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(silent(false), CallError::Timeout(_)));
        assert!(matches!(silent(true), CallError::Timeout(_)));
        drop(listener);
        assert!(matches!(silent(false), CallError::Io(_)));
    }
}
