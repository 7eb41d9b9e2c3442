//! The domain of an enterprise's authentication centre, on which its OAuth addresses are built (spec 3-kit §5.1,
//! §11.3).
//!
//! A client secret is sent there later, so nothing is taken that leads anywhere but to the host it shows: no user name
//! in front of an `@`, no other scheme, no blank, no backslash.

use std::fmt;

/// `https://` and a host in lower case, with its port if one was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

/// A text that names no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a host name, with or without https:// before it and a port behind it")]
pub struct NoHost;

impl Domain {
    /// Reads a host with or without scheme, port and path. The path is dropped; `http://` becomes `https://`.
    ///
    /// # Errors
    /// When there is no host, or more than a host.
    pub fn parse(text: &str) -> Result<Self, NoHost> {
        let after_scheme = match text.split_once("://") {
            Some((scheme, rest)) if ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => rest,
            Some(_) => return Err(NoHost),
            None => text,
        };
        let authority = after_scheme.split_once('/').map_or(after_scheme, |(authority, _)| authority);
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(read_port(port)?)),
            None => (authority, None),
        };
        if !is_host(host) {
            return Err(NoHost);
        }
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self(format!("https://{}{port}", host.to_ascii_lowercase())))
    }

    /// With scheme, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn read_port(text: &str) -> Result<u16, NoHost> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or(NoHost)
}

/// Labels of letters, digits, `-` and `_`, within the lengths of the DNS. One label is enough: debugging calls carry
/// any value the seller typed.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let hyphen_outside = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !hyphen_outside
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_becomes_a_base_of_addresses() {
        for (text, expected) in [
            ("example.tenantaccount.com", "https://example.tenantaccount.com"),
            ("https://example.tenantaccount.com", "https://example.tenantaccount.com"),
            ("https://example.tenantaccount.com/", "https://example.tenantaccount.com"),
            ("HTTPS://Example.COM//a/b?c#d", "https://example.com"),
            ("http://example.com", "https://example.com"),
            ("example.com:8443/x", "https://example.com:8443"),
            ("localhost:08443", "https://localhost:8443"),
            ("127.0.0.1", "https://127.0.0.1"),
            ("my_tenant-1.example.com", "https://my_tenant-1.example.com"),
        ] {
            assert_eq!(Domain::parse(text).map(|domain| domain.to_string()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "/",
            "https://",
            "https:///example.com",
            "//evil.example",
            "javascript:alert(1)",
            "javascript://example.com",
            "ftp://example.com",
            "https://https://example.com",
            "user@evil.example",
            "example.com@evil.example",
            "https://example.com:pass@evil.example",
            "https://example.com:443@evil.example",
            "example.com\\@evil.example",
            "example.com\\.evil.example",
            "example.com?x",
            "example.com/?next=https://evil.example",
            "example.com#x",
            "example com",
            " example.com",
            "example.com ",
            "example.com\t",
            "exam\nple.com",
            "example.com:",
            "example.com:0",
            "example.com:65536",
            "example.com:+443",
            "example.com:443:443",
            "[::1]",
            "example..com",
            ".example.com",
            "example.com.",
            "-a.com",
            "a-.com",
            "企业.example.com",
            "example。com",
            "example.com%2f@evil.example",
            "%65xample.com",
        ] {
            assert_eq!(Domain::parse(text), Err(NoHost), "{text}");
        }
        assert_eq!(Domain::parse(&"a".repeat(64)), Err(NoHost));
        assert_eq!(Domain::parse(&["a"; 128].join(".")), Err(NoHost));
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_as_it_is_and_holds_nothing_but_a_host(
            text in "(https?://)?[a-zA-Z0-9.@:/\\\\?# _-]{0,12}|\\PC{0,20}"
        ) {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert_eq!(Domain::parse(domain.as_str()), Ok(domain.clone()));
                let rest = domain.as_str().strip_prefix("https://").unwrap();
                prop_assert!(rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)), "{}", domain);
            }
        }
    }
}
