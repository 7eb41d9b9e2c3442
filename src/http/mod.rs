//! The HTTP/1.1 front: a bounded, strict, synchronous server that hands whole requests to a [`Handler`].
//!
//! Here lives everything between the socket and a [`Request`] whose body is complete: listening, threads, deadlines,
//! limits, parsing, printing. What a path means, who may call and what is answered is the handler's business.
//!
//! The message types are those of `tiny_http`; its server is never used, because it must not face a network (it
//! allocates by `Content-Length`, ends its accept loop on an error and guesses where a malformed request stops).
//!
//! How a request travels:
//!
//! | file | job |
//! | --- | --- |
//! | `door` | opens and closes the whole |
//! | `accept` | the one thread that accepts, watches deadlines and makes room |
//! | `lobby` | connections that wait for a place, by the host they come from |
//! | `friends` | hosts from which a caller has proved who he is |
//! | `pool` | threads, started when needed and reused; one connection each |
//! | `connection` | the life of one connection: receive, handle, answer |
//! | `tls` | the handshake before, and the session between socket and bytes; certificates |
//! | `receive` | bytes to one whole request, within the limits |
//! | `head` | pure: bytes to a checked head |
//! | `body` | memory of bodies, under a budget shared by all connections |
//! | `reply` | an answer to bytes |
//! | `roster` | all open connections, as the accepting thread sees them |
//! | `watch` | what a connection is doing and since when; the only way one is cut from outside |
//!
//! Only the files of this folder name `tiny_http` and `httparse`, and of the server's side of TLS, `rustls`.

mod accept;
mod body;
mod connection;
mod counters;
mod door;
mod friends;
mod head;
mod lobby;
mod pool;
mod receive;
mod refusal;
mod reply;
mod roster;
mod shared;
mod tls;
mod wake;
mod watch;

use std::{net::IpAddr, time::Instant};

pub use counters::{Counters, CountersNow};
pub use door::{Door, DoorError, DoorSettings};
pub use head::{Head, Headers, read_head};
pub use lobby::LOBBY;
pub use reply::{Reply, To};
pub use tiny_http::{Header, Method};
pub use tls::{CertificateFacts, Chain, Identity, IdentityError, Tls, TlsError};

/// One request, received whole.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method; names HTTP does not define arrive as [`Method::NonStandard`].
    pub method: Method,
    /// Path and query as received, undecoded; always starts with `/`, except `*` for `OPTIONS`. A target in
    /// absolute form (`http://host/path`) arrives without its scheme and authority (RFC 9112 §3.2.2).
    pub target: String,
    /// The headers in the order received.
    pub headers: Vec<Header>,
    /// The body: exactly `Content-Length` bytes.
    pub body: Vec<u8>,
    /// The address of the other end of the connection; an IPv4 address is never given in its IPv6 form.
    pub peer: IpAddr,
    /// When the last byte of the request was in.
    pub received: Instant,
}

impl Request {
    /// The target up to the first `?`.
    pub fn path(&self) -> &str {
        self.split_target().0
    }

    /// The target after the first `?`, undecoded; empty when there is none.
    pub fn query(&self) -> &str {
        self.split_target().1
    }

    /// The value of the first header of this name, in whatever case it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    fn split_target(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }
}

/// What the door hands requests to. Called from many threads at once.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. A panic is answered 500 and logged; the door goes on.
    fn handle(&self, request: Request) -> Reply;

    /// Told of each request that was refused before it reached [`handle`](Handler::handle), so that malformed traffic
    /// can be shown to the operator. The reason is fixed text and holds nothing the peer sent. Must be quick.
    fn refused(&self, peer: IpAddr, reason: &'static str) {
        let _ = (peer, reason);
    }
}

impl<F: Fn(Request) -> Reply + Send + Sync + 'static> Handler for F {
    fn handle(&self, request: Request) -> Reply {
        self(request)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn request(target: &str) -> Request {
        Request {
            method: Method::Get,
            target: target.to_owned(),
            headers: vec![
                Header::from_bytes("Body-Sign", "first").unwrap(),
                Header::from_bytes("body-sign", "second").unwrap(),
            ],
            body: Vec::new(),
            peer: Ipv4Addr::LOCALHOST.into(),
            received: Instant::now(),
        }
    }

    #[test]
    fn the_target_splits_at_the_first_question_mark() {
        for (target, path, query) in
            [("/a/b", "/a/b", ""), ("/a?x=1&y=?", "/a", "x=1&y=?"), ("/?", "/", ""), ("*", "*", "")]
        {
            assert_eq!((request(target).path(), request(target).query()), (path, query), "{target}");
        }
    }

    #[test]
    fn a_header_is_found_in_any_case_and_the_first_one_counts() {
        assert_eq!(request("/").header("BODY-SIGN"), Some("first"));
        assert_eq!(request("/").header("Authorization"), None);
    }
}
