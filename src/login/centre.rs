//! Calls of a tenant's authentication centre (spec 3-kit §11.3): HTTPS, bounded in time and length, redirects not
//! followed. Where it is comes from outside, in a `tenantSync`: addresses inside the merchant's own network are refused,
//! unless the configuration permits them (for trying things out; a centre on this machine may then speak plain HTTP).
//!
//! What the replies mean is read in `reply`.

use std::io;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{Response, header};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::fault::CentreFault;
use super::reply::{self, Tokens, User};
use crate::address::Address;
use crate::fulfilment::http::{NamedBy, guarded_agent};
use crate::secret::Secret;

/// Longest reply.
const REPLY_LIMIT: u64 = 64 * 1024;

/// Calls authentication centres.
pub(super) struct Centre(Agent);

/// A tenant's centre, and how koogate makes itself known there.
pub(super) struct Client {
    /// The tenant's id.
    pub(super) tenant_id: String,
    /// Base of the centre's addresses, as [`base`] gives it.
    pub(super) base: String,
    /// OAuth client id.
    pub(super) id: String,
    /// OAuth client secret.
    pub(super) secret: Secret<String>,
}

/// What tokens are asked for with.
pub(super) enum Grant {
    /// A code, and the callback's address where it is to be named.
    Code(Secret<String>, Option<String>),
    /// A refresh token.
    Refresh(Secret<String>),
}

/// The base of a centre's addresses, from a tenant's `domainName`, which may lack its scheme.
///
/// # Errors
/// [`CentreFault::Address`] when secrets must not be sent there.
pub(super) fn base(domain_name: &str) -> Result<String, CentreFault> {
    let trimmed = domain_name.trim().trim_end_matches('/');
    let base = if trimmed.contains("://") { trimmed.to_owned() } else { format!("https://{trimmed}") };
    let address = Address::parse(&base).map_err(CentreFault::Address)?;
    if address.rest.contains(['?', '#']) {
        return Err(CentreFault::Address(crate::address::AddressFault::Form));
    }
    Ok(base)
}

impl Centre {
    /// A client for all centres; `local`: they may be on this machine or in a private network.
    pub(super) fn new(local: bool) -> Self {
        let named_by = if local { NamedBy::Merchant } else { NamedBy::Stranger };
        // Each call has a bound of its own; this is for one that should forget it.
        Self(guarded_agent(Duration::from_secs(15), named_by))
    }

    /// Asks for tokens.
    ///
    /// # Errors
    /// See [`CentreFault`].
    pub(super) fn tokens(&self, client: &Client, grant: &Grant, deadline: Instant) -> Result<Tokens, CentreFault> {
        let mut pairs = vec![("client_id", client.id.as_str()), ("client_secret", client.secret.expose().as_str())];
        let private = match grant {
            Grant::Code(code, redirect_uri) => {
                pairs.extend([("grant_type", "authorization_code"), ("code", code.expose().as_str())]);
                pairs.extend(redirect_uri.as_deref().map(|uri| ("redirect_uri", uri)));
                code
            }
            Grant::Refresh(token) => {
                pairs.extend([("grant_type", "refresh_token"), ("refresh_token", token.expose().as_str())]);
                token
            }
        };
        let request = self
            .0
            .post(format!("{}/api/v1/oauth2/token", client.base))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::CONNECTION, "close");
        let request = request.config().timeout_global(Some(left(deadline)?)).build();
        let response = request.send(form(&pairs).as_str()).map_err(fault)?;
        let (status, body) = read(response)?;
        reply::tokens(status, &body, &[client.secret.expose(), private.expose()])
    }

    /// Asks whose an access token is.
    ///
    /// # Errors
    /// See [`CentreFault`].
    pub(super) fn user(
        &self,
        client: &Client,
        access: &Secret<String>,
        deadline: Instant,
    ) -> Result<User, CentreFault> {
        let bearer = Zeroizing::new(format!("Bearer {}", access.expose()));
        let request = self
            .0
            .get(format!("{}/api/v1/oauth2/userinfo", client.base))
            .header(header::AUTHORIZATION, bearer.as_str())
            .header(header::CONNECTION, "close");
        let request = request.config().timeout_global(Some(left(deadline)?)).build();
        let (status, body) = read(request.call().map_err(fault)?)?;
        reply::user(status, &body, &client.tenant_id, &[access.expose(), client.secret.expose()])
    }
}

fn left(deadline: Instant) -> Result<Duration, CentreFault> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(CentreFault::TimedOut) } else { Ok(left) }
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let mut form = Zeroizing::new(String::new());
    for (name, value) in pairs {
        let between = if form.is_empty() { "" } else { "&" };
        // Names are plain; values may be anything.
        form.push_str(between);
        form.push_str(name);
        form.push('=');
        form.extend(encoded(value));
    }
    form
}

fn read(mut response: Response<Body>) -> Result<(u16, Vec<u8>), CentreFault> {
    let status = response.status();
    if status.is_redirection() {
        return Err(CentreFault::Redirected { status: status.as_u16() });
    }
    let body = response.body_mut().with_config().limit(REPLY_LIMIT).read_to_vec().map_err(fault)?;
    Ok((status.as_u16(), body))
}

/// Without the address, whose host stands in the tenant's row.
fn fault(error: ureq::Error) -> CentreFault {
    let unreachable = |reason: String| CentreFault::Unreachable { reason };
    match error {
        ureq::Error::Timeout(_) => CentreFault::TimedOut,
        ureq::Error::BodyExceedsLimit(_) => CentreFault::TooLong,
        ureq::Error::HostNotFound => unreachable("the name has no address".to_owned()),
        ureq::Error::Io(error) if is_broken(&error) => unreachable("it closed the connection".to_owned()),
        other => unreachable(other.to_string()),
    }
}

fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressFault;

    #[test]
    fn a_domain_is_taken_with_and_without_its_scheme() {
        for (domain, expected) in [
            ("example.tenantaccount.com", "https://example.tenantaccount.com"),
            (" https://example.tenantaccount.com/ ", "https://example.tenantaccount.com"),
            ("https://host:8443/base/", "https://host:8443/base"),
            ("http://127.0.0.1:9999", "http://127.0.0.1:9999"),
        ] {
            assert_eq!(base(domain).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn secrets_are_not_sent_in_the_clear_nor_to_half_an_address() {
        for (domain, fault) in [
            ("http://example.com", AddressFault::PlainHttp),
            ("http://169.254.169.254", AddressFault::PlainHttp),
            ("https://user@example.com", AddressFault::UserInfo),
            ("https://example.com?x=", AddressFault::Form),
            ("https://example.com/#", AddressFault::Form),
            ("ftp://example.com", AddressFault::Form),
            ("", AddressFault::Form),
        ] {
            assert_eq!(base(domain), Err(CentreFault::Address(fault)), "{domain}");
        }
    }

    fn asked(base: &str, local: bool) -> CentreFault {
        let (id, secret) = ("c".to_owned(), Secret::new("s".to_owned()));
        let client = Client { tenant_id: "t".to_owned(), base: base.to_owned(), id, secret };
        let deadline = Instant::now() + Duration::from_secs(30);
        Centre::new(local).user(&client, &Secret::new("a".to_owned()), deadline).unwrap_err()
    }

    #[test]
    fn metadata_services_are_refused_over_https_too() {
        for local in [false, true] {
            for base in ["https://169.254.169.254", "https://[::ffff:169.254.169.254]", "https://[64:ff9b::a9fe:a9fe]"]
            {
                let fault = asked(base, local);
                assert!(
                    matches!(&fault, CentreFault::Unreachable { reason } if reason.contains("link-local")),
                    "{base} {fault:?}"
                );
            }
        }
    }

    /// By the address that a name has when it is connected to: `localhost` is one of anybody's names here.
    #[test]
    fn a_tenants_domain_leads_nowhere_into_the_merchants_own_network() {
        // What would be reached is not here: a port that a moment ago was nobody's.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let hosts = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.0.0.1", "192.168.1.1", "100.125.1.250"];
        for host in hosts {
            let fault = asked(&format!("https://{host}:{free}"), false);
            assert!(
                matches!(&fault, CentreFault::Unreachable { reason } if reason.contains("not public")),
                "{host}: {fault:?}"
            );
        }
        let fault = asked(&format!("https://127.0.0.1:{free}"), true);
        assert!(matches!(&fault, CentreFault::Unreachable { reason } if !reason.contains("not public")), "{fault:?}");
    }

    #[test]
    fn values_cannot_add_pairs_to_a_form() {
        let form = form(&[("a", "1&b=2"), ("c", "x y+云")]);
        assert_eq!(form.as_str(), "a=1%26b%3D2&c=x%20y%2B%E4%BA%91");
    }
}
