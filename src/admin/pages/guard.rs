//! Whether a request may be that of a browser which shows koogate's own page.
//!
//! Headers in, a verdict out. The listener is on the operator's machine, and any site the operator's browser visits can direct it there: by a
//! form, or by a name of its own that it lets point to 127.0.0.1 (DNS rebinding). What a browser cannot be made to say
//! falsely are the headers `Host`, `Origin` and `Sec-Fetch-Site`.

use std::net::IpAddr;

use crate::http::Request;

/// Whether the listener may be called by this `Host`: an address, `localhost` and names below it, which never point
/// elsewhere (RFC 6761 §6.3), or a name that the operator has configured. A site that rebinds its name keeps that name.
pub(super) fn is_own_host(host: Option<&str>, names: &[String]) -> bool {
    let Some(name) = host.and_then(name_of) else { return false };
    let is_local = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    is_local || name.parse::<IpAddr>().is_ok() || is_among(name, names)
}

/// Whether a form was sent by koogate's own page: the browser says so, or it is one that says nothing of where its forms
/// come from. Behind a proxy that puts another `Host` the page's own name counts, where it is configured.
pub(super) fn is_own_form(request: &Request, names: &[String]) -> bool {
    let by_site = request.header("Sec-Fetch-Site").is_none_or(|site| site == "same-origin");
    let by_origin = request.header("Origin").is_none_or(|origin| {
        let Some((_, authority)) = origin.split_once("://") else { return false };
        let is_host = request.header("Host").is_some_and(|host| host.eq_ignore_ascii_case(authority));
        is_host || name_of(authority).is_some_and(|name| is_among(name, names))
    });
    by_site && by_origin
}

/// Whether the browser that sent this form sees the page by HTTPS. It says so itself: no proxy has to be believed.
pub(super) fn is_over_https(request: &Request) -> bool {
    request.header("Origin").is_some_and(|origin| origin.starts_with("https://"))
}

fn is_among(name: &str, names: &[String]) -> bool {
    names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn name_of(authority: &str) -> Option<&str> {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return (is_good && address.contains(':')).then_some(address);
    }
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    (!name.is_empty() && is_port(port)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use super::*;
    use crate::http::{Header, Method};

    fn names() -> Vec<String> {
        vec!["koogate.example.com".to_owned()]
    }

    #[test]
    fn only_addresses_localhost_and_configured_names_lead_to_the_page() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8444",
            "192.168.1.5:8444",
            "[::1]:8444",
            "[::1]",
            "localhost:8444",
            "LocalHost",
            "koogate.localhost:8444",
            "koogate.example.com",
            "KOOGATE.example.com:443",
        ] {
            assert!(is_own_host(Some(host), &names()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8444",
            "koogate.example.com.evil.example",
            "xkoogate.example.com",
            "koogate.example.com.",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "[evil.example]",
            "[::1",
            "::1",
            "127.0.0.1:evil",
            "0x7f.1",
        ] {
            assert!(!is_own_host(Some(host), &names()), "{host}");
        }
        assert!(!is_own_host(None, &names()));
    }

    #[test]
    fn a_form_of_another_site_or_of_another_port_is_not_ones_own() {
        let check = |headers: &[(&str, &str)], expected: bool| {
            let headers = headers.iter().map(|(name, value)| Header::from_bytes(*name, *value).unwrap()).collect();
            let request = Request {
                method: Method::Post,
                target: "/login".to_owned(),
                headers,
                body: Vec::new(),
                peer: Ipv4Addr::LOCALHOST.into(),
                received: Instant::now(),
            };
            assert_eq!(is_own_form(&request, &names()), expected, "{:?}", request.headers);
        };
        let host = ("Host", "127.0.0.1:8444");
        check(&[host], true);
        check(&[host, ("Origin", "http://127.0.0.1:8444")], true);
        check(&[host, ("Origin", "http://127.0.0.1:8444"), ("Sec-Fetch-Site", "same-origin")], true);
        // A proxy speaks HTTPS and puts its own Host.
        check(&[host, ("Origin", "https://koogate.example.com")], true);
        check(&[host, ("Origin", "https://koogate.example.com:8443")], true);
        check(&[host, ("Origin", "http://127.0.0.1:3000")], false);
        check(&[host, ("Origin", "http://localhost:8444")], false);
        check(&[host, ("Origin", "https://evil.example")], false);
        check(&[host, ("Origin", "null")], false);
        check(&[host, ("Origin", "")], false);
        check(&[host, ("Sec-Fetch-Site", "same-site")], false);
        check(&[host, ("Sec-Fetch-Site", "cross-site")], false);
        check(&[host, ("Sec-Fetch-Site", "none")], false);
        check(&[host, ("Origin", "http://127.0.0.1:8444"), ("Sec-Fetch-Site", "same-site")], false);
    }
}
