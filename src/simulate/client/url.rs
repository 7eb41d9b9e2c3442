//! The URL of a production address, taken apart.

/// Where to connect and what to ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub tls: bool,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// What stands in the `Host` header: the host, and the port when it is not the scheme's own.
    pub authority: String,
    /// Path and query, at least `/`.
    pub target: String,
}

/// Why a text is no production address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// User information in the URL.
    #[error("the URL must not hold a user name or password")]
    User,
    /// No host, or characters that no host has.
    #[error("the URL has no usable host")]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("the port of the URL must be a number from 1 to 65535")]
    Port,
    /// Blanks, control characters or a fragment.
    #[error("the path of the URL holds characters that must be percent-encoded, or a fragment")]
    Path,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        let (tls, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err(UrlError::Scheme),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(UrlError::Path);
        }
        let (host, port) = host_and_port(authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let authority = authority.to_owned();
        Ok(Self { tls, host: host.to_owned(), port, authority, target })
    }
}

fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(UrlError::Host)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (address, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(UrlError::Port)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (plain_host(host)?, Some(port)),
            None => (plain_host(authority)?, None),
        },
    };
    let port = match port {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?)
        }
        Some(_) => return Err(UrlError::Port),
    };
    Ok((host, port))
}

fn plain_host(host: &str) -> Result<&str, UrlError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !host.is_empty() && host.bytes().all(good) { Ok(host) } else { Err(UrlError::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: (bool, &str, u16, &str, &str)) {
        let (tls, host, port, authority, target) = expected;
        let expected =
            Endpoint { tls, host: host.to_owned(), port, authority: authority.to_owned(), target: target.to_owned() };
        assert_eq!(Endpoint::parse(url), Ok(expected), "{url}");
    }

    #[test]
    fn urls_are_taken_apart() {
        check("https://isv.example.com", (true, "isv.example.com", 443, "isv.example.com", "/"));
        check("HTTP://127.0.0.1:8443/saas", (false, "127.0.0.1", 8443, "127.0.0.1:8443", "/saas"));
        check("http://[::1]:80/a/?b=c", (false, "::1", 80, "[::1]:80", "/a/?b=c"));
        check("https://h?x=1", (true, "h", 443, "h", "/?x=1"));
    }

    #[test]
    fn what_is_no_production_address_is_refused_with_the_reason() {
        for (url, reason) in [
            ("isv.example.com", UrlError::Scheme),
            ("ftp://h/", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///path", UrlError::Host),
            ("http://a b/", UrlError::Host),
            ("http://[::g]/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://u:p@h/", UrlError::User),
            ("http://h:0/", UrlError::Port),
            ("http://h:/", UrlError::Port),
            ("http://h:65536/", UrlError::Port),
            ("http://[::1]8/", UrlError::Port),
            ("http://h/a b", UrlError::Path),
            ("http://h/#top", UrlError::Path),
            ("http://h/\r\nX: y", UrlError::Path),
        ] {
            assert_eq!(Endpoint::parse(url), Err(reason), "{url:?}");
        }
    }
}
