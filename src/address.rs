//! Addresses that users or secrets are sent to: https, or plain http on this machine, which is for trying things out.
//!
//! Pure: judged by the text. Where a name leads is judged again when a connection is made.

use core::net::IpAddr;

/// An address that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// Scheme, host and port.
    pub origin: &'a str,
    /// What follows: path, query, fragment.
    pub rest: &'a str,
    /// Plain http, on this machine.
    pub is_plain: bool,
    /// On this machine.
    pub is_local: bool,
}

/// Why an address may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Not `https://` or `http://`, a host and perhaps a port and a path, all in visible ASCII.
    #[error("it is no complete https:// address")]
    Form,
    /// `user:password@`.
    #[error("it has a user name in it")]
    UserInfo,
    /// Plain http over a network.
    #[error("plain http is for this machine only; use https://")]
    PlainHttp,
}

impl<'a> Address<'a> {
    /// Takes an address apart.
    ///
    /// # Errors
    /// See [`AddressFault`].
    pub fn parse(text: &'a str) -> Result<Self, AddressFault> {
        let (scheme, after) = text.split_once("://").ok_or(AddressFault::Form)?;
        let good = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>' | '`');
        if !matches!(scheme, "https" | "http") || !text.chars().all(good) {
            return Err(AddressFault::Form);
        }
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(AddressFault::UserInfo);
        }
        let is_local = is_loopback(host(authority).ok_or(AddressFault::Form)?);
        let is_plain = scheme == "http";
        if is_plain && !is_local {
            return Err(AddressFault::PlainHttp);
        }
        let (origin, rest) = text.split_at(scheme.len() + "://".len() + authority.len());
        Ok(Self { origin, rest, is_plain, is_local })
    }
}

/// The host of an authority; `None` when it is none, or the port is none.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            host.parse::<core::net::Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let good_port = port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0));
    (!host.is_empty() && (authority.starts_with('[') || is_name(host)) && good_port).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn https_leads_anywhere_and_plain_http_to_this_machine() {
        for (text, origin, is_plain) in [
            ("https://app.example.com", "https://app.example.com", false),
            ("https://app.example.com:8443/sso?a=1#b", "https://app.example.com:8443", false),
            ("https://[2001:db8::1]:1/", "https://[2001:db8::1]:1", false),
            ("http://localhost:3000/x", "http://localhost:3000", true),
            ("http://127.0.0.1/x", "http://127.0.0.1", true),
            ("http://[::1]:3000", "http://[::1]:3000", true),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.origin, address.is_plain), (origin, is_plain), "{text}");
            assert_eq!(format!("{}{}", address.origin, address.rest), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (text, fault) in [
            ("", AddressFault::Form),
            ("app.example.com", AddressFault::Form),
            ("javascript://alert", AddressFault::Form),
            ("https://", AddressFault::Form),
            ("https:///path", AddressFault::Form),
            ("https://host:0/", AddressFault::Form),
            ("https://host:+1/", AddressFault::Form),
            ("https://ho st/", AddressFault::Form),
            ("https://host\\@evil/", AddressFault::Form),
            ("https://云.example.com/", AddressFault::Form),
            ("https://[::1/", AddressFault::Form),
            ("https://[host]/", AddressFault::Form),
            ("https://user:pw@host/", AddressFault::UserInfo),
            ("http://app.example.com/", AddressFault::PlainHttp),
            ("http://10.0.0.1/", AddressFault::PlainHttp),
            ("http://localhost.evil.com/", AddressFault::PlainHttp),
            ("http://169.254.169.254/", AddressFault::PlainHttp),
        ] {
            assert_eq!(Address::parse(text), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(https?://)?[\\PC]{0,20}") {
            let _ = Address::parse(&text);
        }
    }
}
