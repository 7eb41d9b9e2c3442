//! `[server]` and `[admin]`: where koogate listens and what it lets in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::address::Address;
use crate::config::error::Problem;
use crate::config::secrets;
use crate::config::section::Section;
use crate::config::value::{Mismatch, boolean, duration, integer, size, text};
use crate::secret::Secret;

/// KooGallery's console takes no longer address, as far as is known.
const LONGEST_URL: usize = 512;

/// The public listener, which KooGallery calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address and port. Loopback unless configured: without `tls` it speaks plain HTTP.
    pub listen: SocketAddr,
    /// Where it speaks HTTPS: with what. `None`: it speaks HTTP.
    pub tls: Option<Tls>,
    /// The production address as the seller console has it, if it is told here: https with a host, or http on this machine;
    /// without query and fragment. Ask [`Server::production_address`].
    pub public_url: Option<String>,
    /// Path of the production address: starts with `/`, does not end with one.
    pub base_path: String,
    /// How long after having received a call completely the answer leaves at the latest. KooGallery gives up after
    /// 5 or 20 seconds, depending on the site.
    pub answer_within: Duration,
    /// Connections open at the same time; the next one waits.
    pub max_connections: usize,
    /// Longest request body, in bytes.
    pub max_body: usize,
}

/// `[server.tls]`: the files that HTTPS needs. What is in them is not looked at here: they change while koogate runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate, then those that lead to its CA.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub private_key: PathBuf,
}

impl Tls {
    /// `None` when a file is not named, which is reported.
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let mut file = |key, expected| {
            let path = section.required(key, expected, |value| match value.as_str() {
                Some(path) if !path.is_empty() && !path.contains('\0') => Ok(path),
                _ => Err(Mismatch::new(value, "a path in quotes")),
            })?;
            Some(section.log.surroundings.base_dir.join(path))
        };
        let certificate = file("certificate", "the path of the certificate with its chain, PEM: fullchain.pem");
        let private_key = file("private_key", "the path of the certificate's private key, PEM: privkey.pem");
        Some(Self { certificate: certificate?, private_key: private_key? })
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            public_url: None,
            base_path: "/saasproduce".to_owned(),
            answer_within: Duration::from_secs(4),
            max_connections: 256,
            max_body: 10 << 20,
        }
    }
}

impl Server {
    /// The production address, as far as the configuration tells: `public_url`, with `base_path` where it has no path of its
    /// own, which is for proxies that call the path otherwise.
    pub fn production_address(&self) -> Option<String> {
        let url = self.public_url.as_deref()?;
        let has_path = Address::parse(url).is_ok_and(|address| !matches!(address.rest, "" | "/"));
        Some(if has_path { url.to_owned() } else { format!("{}{}", url.trim_end_matches('/'), self.base_path) })
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let server = Self {
            listen: section.or_default("listen", default.listen, socket_address),
            public_url: section.optional("public_url", public_url),
            base_path: section.or_default("base_path", default.base_path, base_path),
            answer_within: section.or_default(
                "answer_within",
                default.answer_within,
                duration(Duration::from_millis(100)..=Duration::from_secs(15)),
            ),
            max_connections: section.or_default("max_connections", default.max_connections, integer(8..=10_000)),
            max_body: section.or_default("max_body", default.max_body, |value| {
                let bytes = size(64 << 10..=64 << 20)(value)?;
                usize::try_from(bytes).map_err(|_| Mismatch::new(value, "a size this machine can address"))
            }),
            tls: section.optional_section("tls", Tls::read).flatten(),
        };
        // An unfinished [server.tls] is an error already.
        if !server.listen.ip().is_loopback() && !section.has("tls") {
            section.warn(
                "listen",
                "this address is reachable from outside and speaks plain HTTP; KooGallery requires HTTPS, \
                 so configure [server.tls], or let a reverse proxy terminate TLS in front of it",
            );
        }
        server
    }
}

/// The listener for the operator: health, and the API for the merchant's own software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address and port; loopback unless the operator allowed more.
    pub listen: SocketAddr,
    /// The bearer token that the API asks for; the login form of the status page takes it, too.
    pub token: Secret<String>,
    /// Names under which the status page is called, besides addresses and `localhost`: behind a proxy, its public name.
    pub host_names: Vec<String>,
}

impl Admin {
    /// The address when none is configured.
    pub fn default_listen() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8444))
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let listen = section.or_default("listen", Self::default_listen(), socket_address);
        let allow_remote = section.or_default("allow_remote", false, boolean);
        if !listen.ip().is_loopback() && !allow_remote {
            let expected = "a loopback address such as \"127.0.0.1:8444\" (or allow_remote = true)".to_owned();
            section.error("listen", Problem::Unexpected { found: format!("\"{listen}\""), expected });
        }
        let host_names = section.or_default("host_names", Vec::new(), host_names);
        let token = secrets::required(section, "token", &secrets::ADMIN_TOKEN)?;
        Some(Self { listen, token, host_names })
    }
}

fn socket_address(value: &DeValue<'_>) -> Result<SocketAddr, Mismatch> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Mismatch::new(value, "an IP address and port such as \"127.0.0.1:8080\""))
}

fn host_names(value: &DeValue<'_>) -> Result<Vec<String>, Mismatch> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let good =
        |name: &&str| !name.is_empty() && name.bytes().all(letter) && !name.starts_with('.') && !name.ends_with('.');
    let names = value.as_array().map(|names| {
        names
            .iter()
            .map(|name| name.get_ref().as_str().filter(good).map(str::to_ascii_lowercase))
            .collect::<Option<_>>()
    });
    names.flatten().ok_or_else(|| Mismatch::new(value, "names of hosts without port such as [\"koogate.example.com\"]"))
}

fn public_url(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let written = text(value)?;
    match Address::parse(written) {
        Ok(address) if !address.rest.contains(['?', '#']) && written.len() <= LONGEST_URL => Ok(written.to_owned()),
        _ => Err(Mismatch::new(
            value,
            "the production address, such as \"https://shop.example.com/saasproduce\": https:// (on this machine also \
             http://), without user name and query",
        )),
    }
}

fn base_path(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_' | '~');
    // A dot segment would be resolved away by the caller and never arrive; `/healthz` answers the watchdog.
    let segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let good = |path: &&str| {
        path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
            && path.chars().all(unreserved)
            && *path != "/healthz"
    };
    value.as_str().filter(good).map(String::from).ok_or_else(|| {
        Mismatch::new(value, "a path such as \"/saasproduce\": a slash first, none at the end, no query, not /healthz")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_production_address_has_a_path_of_its_own_or_the_base_path() {
        let address = |url: &str| {
            Server { public_url: Some(url.to_owned()), ..Server::default() }.production_address().unwrap_or_default()
        };
        assert_eq!(address("https://shop.example.com"), "https://shop.example.com/saasproduce");
        assert_eq!(address("https://shop.example.com/"), "https://shop.example.com/saasproduce");
        assert_eq!(address("https://shop.example.com/a/b"), "https://shop.example.com/a/b");
        assert_eq!(Server::default().production_address(), None);
    }
}
