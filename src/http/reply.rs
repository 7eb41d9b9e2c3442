//! An answer, and how it is printed.

use std::io;

use thiserror::Error;
use tiny_http::{HTTPVersion, Header, Response, StatusCode};

use super::refusal::Refusal;

/// What a handler answers. The door adds `Date`, `Server`, `Content-Length` and, when needed, `Connection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, 200 to 599.
    pub status: u16,
    /// Names go out spelled exactly so: some callers compare them case-sensitively. Values are visible ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body; for `HEAD` only its length is sent.
    pub body: Vec<u8>,
    /// Who is answered.
    pub to: To,
}

/// Who is answered, as far as it matters to the door when there are more than it can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum To {
    /// It does not matter.
    #[default]
    Somebody,
    /// Someone who has proved who he is: other hosts make room for his.
    Friend,
    /// Someone who has proved nothing: in a crowd, his answer waits.
    Stranger,
}

impl Reply {
    /// An answer with its `Content-Type`.
    pub fn new(status: u16, content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type", content_type.into())], body: body.into(), to: To::Somebody }
    }

    /// The same answer, to a friend or a stranger.
    pub fn to(self, to: To) -> Self {
        Self { to, ..self }
    }

    /// The same answer with one more header.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer to a request that was refused. It tells the status and nothing else, but to a person who has typed
    /// `http` for `https`.
    pub(super) fn to_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PlainHttp => {
                Self::new(refusal.status(), "text/plain; charset=utf-8", "HTTP request to an HTTPS port\n")
            }
            _ => Self::of_status(refusal.status()),
        }
    }

    /// The answer when the handler panicked or answered what cannot be sent.
    pub(super) fn to_bug() -> Self {
        Self::of_status(500)
    }

    fn of_status(status: u16) -> Self {
        let phrase = StatusCode(status).default_reason_phrase();
        Self::new(status, "text/plain; charset=utf-8", format!("{status} {phrase}\n"))
    }
}

/// How one answer is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framing {
    /// The request was `HEAD`.
    pub(super) head_only: bool,
    /// No request will be read after this answer, and the client is told.
    pub(super) close: bool,
}

/// A reply that must not be sent: a bug of the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Unprintable {
    #[error("the status {0} is not a final one")]
    Status(u16),
    #[error("the header {0} is not a token with a value in visible ASCII")]
    Header(&'static str),
    #[error("the header {0} belongs to the door")]
    Framing(&'static str),
}

/// Prints a reply to the end of `out`, to be sent in one write. Nothing is printed when it fails.
pub(super) fn print(reply: &Reply, framing: Framing, out: &mut Vec<u8>) -> Result<(), Unprintable> {
    if !(200..600).contains(&reply.status) {
        return Err(Unprintable::Status(reply.status));
    }
    let server = checked("Server", "koogate");
    let headers = reply.headers.iter().map(|(name, value)| own(name, value)).chain([server]);
    let headers = headers.collect::<Result<_, _>>()?;
    let start = out.len();
    // Only the head comes from here. Given an empty body of a known length and no headers of a request to obey, it
    // never chooses the chunked coding.
    Response::new(StatusCode(reply.status), headers, io::empty(), Some(reply.body.len()), None)
        .with_chunked_threshold(usize::MAX)
        .raw_print(&mut *out, HTTPVersion(1, 1), &[], true, None)
        .map_err(|_| Unprintable::Status(reply.status))?;
    if reply.status == 204 {
        drop_length(out);
    }
    if framing.close {
        announce_close(out, start);
    }
    if !framing.head_only && !matches!(reply.status, 204 | 304) {
        out.extend_from_slice(&reply.body);
    }
    Ok(())
}

/// A header of the handler's, which leaves the framing to the door.
fn own(name: &'static str, value: &str) -> Result<Header, Unprintable> {
    const DOORS: [&str; 7] =
        ["Connection", "Content-Length", "Keep-Alive", "Server", "Trailer", "Transfer-Encoding", "Upgrade"];
    if DOORS.iter().any(|doors| doors.eq_ignore_ascii_case(name)) {
        return Err(Unprintable::Framing(name));
    }
    checked(name, value)
}

/// `tiny_http` prints what it is given: a line feed in a value would start another header.
fn checked(name: &'static str, value: &str) -> Result<Header, Unprintable> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_value = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !(is_name && is_value) {
        return Err(Unprintable::Header(name));
    }
    Header::from_bytes(name, value).map_err(|()| Unprintable::Header(name))
}

/// `tiny_http` ignores a `Connection` header it is given, so it is set in behind the status line.
fn announce_close(out: &mut Vec<u8>, start: usize) {
    if let Some(at) = out[start..].iter().position(|&byte| byte == b'\n') {
        let at = start + at + 1;
        out.splice(at..at, *b"Connection: close\r\n");
    }
}

/// RFC 9110 §8.6 forbids in a 204 the `Content-Length` that `tiny_http` puts last.
fn drop_length(out: &mut Vec<u8>) {
    const LAST: &[u8] = b"\r\nContent-Length: ";
    if let Some(at) = out.windows(LAST.len()).rposition(|window| window == LAST) {
        out.truncate(at);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Framing = Framing { head_only: false, close: false };

    fn printed(reply: &Reply, framing: Framing) -> String {
        let mut out = b"before ".to_vec();
        print(reply, framing, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let is_date = |line: &&str| line.starts_with("Date: ") && line.ends_with(" GMT");
        assert_eq!(text.lines().filter(is_date).count(), 1, "{text}");
        text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
    }

    #[test]
    fn headers_are_spelled_as_the_handler_spells_them() {
        let reply = Reply::new(200, "application/json;charset=UTF-8", "{}").with_header("Body-Sign", "a=\"b\"");
        assert_eq!(
            printed(&reply, KEEP),
            "before HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nBody-Sign: a=\"b\"\r\n\
             Server: koogate\r\nContent-Length: 2\r\n\r\n{}"
        );
    }

    #[test]
    fn closing_is_announced_and_head_gets_no_body() {
        let text = printed(&Reply::new(404, "text/plain", "gone"), Framing { head_only: true, close: true });
        assert_eq!(
            text,
            "before HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain\r\nServer: koogate\r\n\
             Content-Length: 4\r\n\r\n"
        );
    }

    #[test]
    fn a_204_has_neither_body_nor_length() {
        let reply = Reply { status: 204, headers: vec![], body: b"never".to_vec(), to: To::default() };
        assert_eq!(printed(&reply, KEEP), "before HTTP/1.1 204 No Content\r\nServer: koogate\r\n\r\n");
    }

    #[test]
    fn a_large_body_is_not_chunked() {
        let text = printed(&Reply::new(200, "text/plain", vec![b'x'; 1 << 20]), KEEP);
        assert!(text.contains("Content-Length: 1048576\r\n") && !text.contains("chunked"));
    }

    #[test]
    fn a_reply_that_would_break_the_framing_is_not_printed() {
        let plain = || Reply::new(200, "text/plain", "");
        for (reply, expected) in [
            (Reply::new(100, "text/plain", ""), Unprintable::Status(100)),
            (Reply::new(999, "text/plain", ""), Unprintable::Status(999)),
            (plain().with_header("Location", "/\r\nX: y"), Unprintable::Header("Location")),
            (plain().with_header("Location", "/é"), Unprintable::Header("Location")),
            (plain().with_header("X Y", ""), Unprintable::Header("X Y")),
            (plain().with_header("content-length", "5"), Unprintable::Framing("content-length")),
        ] {
            let mut out = Vec::new();
            assert_eq!(print(&reply, KEEP, &mut out), Err(expected));
            assert!(out.is_empty());
        }
    }
}
