//! From bytes to a checked request head (RFC 9112). Pure: no socket, no clock.
//!
//! Two steps. [`HeadScanner`] looks at each byte once, as it arrives, and finds the end of the head or the first
//! offence against its form; so a slow sender costs no more than a fast one, and the verdict cannot depend on how the
//! bytes were cut into packets. [`parse`] then reads the whole head through `httparse` and settles every question on
//! which two servers could disagree (where the body ends, above all) by refusing: that is what stops request smuggling.
//!
//! Stricter than RFC 9112 asks, on purpose: a bare line feed ends nothing, bytes outside ASCII are refused in header
//! values too (the header type could not hold them, and a header that vanishes is worse than one refused), and any
//! `Transfer-Encoding` is refused because no caller needs it.

use std::{mem::MaybeUninit, net::Ipv6Addr};

use httparse::Status;

use super::{Header, Method, refusal::Refusal};

/// The most headers a request may have.
pub(super) const MAX_HEADERS: usize = 64;

/// A head in which everything the door acts on is settled.
#[derive(Debug, PartialEq)]
pub struct Head {
    /// As it is spelled.
    pub method: Method,
    /// Origin form (`/path?query`) or `*`.
    pub target: String,
    /// All of them.
    pub headers: Headers,
    /// Bytes of body that follow; 0 when nothing says so. Not yet compared with any limit.
    pub body_length: u64,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The connection may carry another request. Never for HTTP/1.0: its keep-alive was never standardised.
    pub keep_alive: bool,
}

/// The headers in the order received.
#[derive(Debug)]
pub struct Headers(pub Vec<Header>);

impl PartialEq for Headers {
    /// Byte by byte, the case of names included: the tests compare what a handler would see.
    fn eq(&self, other: &Self) -> bool {
        let spelled = |headers: &Self| headers.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        spelled(self) == spelled(other)
    }
}

/// What the door makes of the first bytes of a connection, without any connection: for tests and fuzzing.
///
/// Returns the head and its length in bytes, or `None` while it is not complete.
///
/// # Errors
/// The status of the refusal.
pub fn read_head(bytes: &[u8], limit: usize) -> Result<Option<(usize, Head)>, u16> {
    let length = HeadScanner::new(limit).advance(bytes).map_err(Refusal::status)?;
    let read = |length| parse(&bytes[..length]).map(|head| (length, head));
    length.map(read).transpose().map_err(Refusal::status)
}

/// Finds the end of a head in a buffer that grows.
#[derive(Debug)]
pub(super) struct HeadScanner {
    limit: usize,
    scanned: usize,
}

impl HeadScanner {
    /// A scanner for one head of at most `limit` bytes, its last empty line included.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, scanned: 0 }
    }

    /// Looks at what was added to `bytes` since the last call. `bytes` always starts with the same byte.
    ///
    /// Returns the length of the head once it is complete, `None` while it is not.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let visible = &bytes[..bytes.len().min(self.limit)];
        while let Some(&byte) = visible.get(self.scanned) {
            let before = &visible[..self.scanned];
            if byte != b'\n' && before.last() == Some(&b'\r') {
                return Err(Refusal::BareCarriageReturn);
            }
            match byte {
                b'\n' if before.last() != Some(&b'\r') => return Err(Refusal::BareLineFeed),
                b'\n' if before.ends_with(b"\r\n\r") => return Ok(Some(self.scanned + 1)),
                b'\r' | b'\n' => self.scanned += 1,
                // The rest of a line in one go: the common case, and most of the bytes.
                byte if is_text(byte) => {
                    let rest = &visible[self.scanned..];
                    self.scanned += rest.iter().position(|&byte| !is_text(byte)).unwrap_or(rest.len());
                }
                _ => return Err(Refusal::ForbiddenByte),
            }
        }
        if self.scanned >= self.limit { Err(Refusal::HeadTooLarge) } else { Ok(None) }
    }
}

/// Whether nothing of a request has arrived yet: RFC 9112 §2.2 tells servers to overlook one empty line before the
/// request line, which old clients send after a body.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    b"\r\n".starts_with(bytes)
}

/// Whether what has arrived of a head, sound or not, asks for an answer without content (RFC 9110 §9.3.2).
pub(super) fn asks_for_head(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\r\n").unwrap_or(bytes).starts_with(b"HEAD ")
}

/// Reads a head that [`HeadScanner`] found complete, up to and including its last empty line.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut slots) {
        Ok(Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::RequestLine),
        Err(error) => return Err(refusal_of(error, bytes)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::RequestLine);
    };
    let method: Method = method.parse().map_err(|()| Refusal::RequestLine)?;
    let target = origin_form(&method, target)?;
    let facts = Facts::gather(request.headers)?;
    facts.check_host(minor)?;
    Ok(Head {
        method,
        target,
        headers: copy(request.headers)?,
        body_length: facts.body_length()?,
        expects_continue: facts.expects_continue && minor == 1,
        keep_alive: minor == 1 && !facts.close,
    })
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

fn refusal_of(error: httparse::Error, bytes: &[u8]) -> Refusal {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Refusal::TooManyHeaders,
        Error::HeaderName | Error::HeaderValue => Refusal::HeaderLine,
        Error::Version if names_a_version(bytes) => Refusal::Version,
        Error::Version | Error::Token | Error::NewLine | Error::Status => Refusal::RequestLine,
    }
}

/// Whether the request line is sound but for its version: then it is one this server does not speak.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let version = words.next().unwrap_or_default();
    words.next().is_none() && matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// The target as path and query. The absolute form is accepted because RFC 9112 §3.2.2 demands it; its authority says
/// no more than Host, which decides nothing here either.
fn origin_form(method: &Method, target: &str) -> Result<String, Refusal> {
    if *method == Method::Connect {
        return Err(Refusal::Connect);
    }
    if target.contains('#') {
        return Err(Refusal::Target);
    }
    if target.starts_with('/') || (target == "*" && *method == Method::Options) {
        return Ok(target.to_owned());
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::Target)?;
    let authority_ends = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_ends);
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) || !is_authority(authority) {
        return Err(Refusal::Target);
    }
    Ok(if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
}

/// What the headers say about the connection and the body.
#[derive(Default)]
struct Facts<'a> {
    host: Option<&'a str>,
    length: Option<&'a str>,
    has_coding: bool,
    expects_continue: bool,
    close: bool,
}

impl<'a> Facts<'a> {
    fn gather(headers: &[httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut facts = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            // The scanner let only ASCII through.
            let value = str::from_utf8(header.value).map_err(|_| Refusal::ForbiddenByte)?;
            if is("Host") {
                once(&mut facts.host, value, Refusal::HostRepeated)?;
            } else if is("Content-Length") {
                once(&mut facts.length, value, Refusal::LengthRepeated)?;
            } else if is("Transfer-Encoding") {
                facts.has_coding = true;
            } else if is("Connection") {
                facts.close |= value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"));
            } else if is("Expect") {
                if !value.eq_ignore_ascii_case("100-continue") {
                    return Err(Refusal::Expectation);
                }
                facts.expects_continue = true;
            }
        }
        Ok(facts)
    }

    /// RFC 9112 §3.2: exactly one well-formed Host, which only HTTP/1.0 may leave out.
    fn check_host(&self, minor: u8) -> Result<(), Refusal> {
        match self.host {
            Some(host) if is_authority(host) => Ok(()),
            Some(_) => Err(Refusal::HostMalformed),
            None if minor == 0 => Ok(()),
            None => Err(Refusal::HostMissing),
        }
    }

    /// RFC 9112 §6.3, without the guesses it allows: one number, or no body.
    fn body_length(&self) -> Result<u64, Refusal> {
        match (self.length, self.has_coding) {
            (Some(_), true) => Err(Refusal::LengthAndCoding),
            (None, true) => Err(Refusal::TransferCoding),
            (None, false) => Ok(0),
            (Some(digits), false) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                // Too many digits for u64: larger than any limit, which is all that matters.
                Ok(digits.parse().unwrap_or(u64::MAX))
            }
            (Some(_), false) => Err(Refusal::LengthMalformed),
        }
    }
}

fn once<'a>(slot: &mut Option<&'a str>, value: &'a str, refusal: Refusal) -> Result<(), Refusal> {
    if slot.replace(value).is_some() { Err(refusal) } else { Ok(()) }
}

/// Host and optional port (RFC 3986 §3.2.2, §3.2.3), user information excluded. An empty host is a matter of other
/// schemes than http and https (RFC 9110 §4.2.1).
fn is_authority(value: &str) -> bool {
    let (is_host, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) = value.split_at(value.find(':').unwrap_or(value.len()));
            (is_registered_name(name), port)
        }
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// A name or an IPv4 address by its characters. A comma is left out: it is how two Host headers look after a proxy has
/// joined them.
fn is_registered_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
    let mut pieces = name.split('%');
    let first_is_plain = pieces.next().is_some_and(|first| first.bytes().all(is_plain));
    let is_encoded = |piece: &str| {
        let (digits, rest) = piece.as_bytes().split_at(piece.len().min(2));
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) && rest.iter().all(|&byte| is_plain(byte))
    };
    !name.is_empty() && first_is_plain && pieces.all(is_encoded)
}

/// Digits of a port that there is, or none at all.
fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
}

fn copy(headers: &[httparse::Header<'_>]) -> Result<Headers, Refusal> {
    headers
        .iter()
        .map(|header| Header::from_bytes(header.name, header.value))
        .collect::<Result<_, ()>>()
        .map(Headers)
        .map_err(|()| Refusal::HeaderLine)
}

#[cfg(test)]
mod tests;
