//! The production address as KooGallery finds it: its name, its certificate, and what becomes of a call on the way.
//!
//! The way is tried with a debugging call (`testFlag` 1) of what is sold, signed with the key of the configuration, sent through
//! the address and to the listener itself. What the running server has written down of both is compared with what was sent,
//! and what came back with each other: byte for byte, names of headers included. Such calls are rows of the journal, marked as
//! tests, and are purged after days like KooGallery's own.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Sink, Subject};
use crate::config::Config;
use crate::simulate::client::{Client, Offer};
use crate::simulate::probe::{Probe, Sent};
use crate::store::{ExchangeFilter, ExchangeRow, Store};

const ADDRESS: Subject = "address";
const CERTIFICATE: Subject = "public-tls";
const WAY: Subject = "way";

/// A certificate that ends sooner is somebody's business.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Headers that belong to one connection, or change by themselves.
const OF_THE_HOP: [&str; 9] =
    ["Date", "Server", "Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding", "Via", "Age", "Alt-Svc"];

pub(super) fn look(config: &Config, store: Option<&Store>, roots: &[u8], to: &mut Sink<'_>) -> anyhow::Result<()> {
    let Some(url) = config.server.production_address() else {
        let text = "server.public_url is not configured: whether KooGallery finds this server was not looked at";
        return to.warning(ADDRESS, text, "write the production address 生产地址 there, as the seller console has it");
    };
    let client = match Client::new(&url, roots) {
        Ok(client) => client.with_deadline(ANSWER_WITHIN),
        Err(error) => return to.error(ADDRESS, format!("{url}: {error}"), "mend server.public_url"),
    };
    if !resolved(&client, to)? || !certificate(&client, to)? {
        return Ok(());
    }
    admin_is_hidden(&client, to)?;
    way(config, store, &client, to)
}

/// `false` where the name leads nowhere.
fn resolved(client: &Client, to: &mut Sink<'_>) -> anyhow::Result<bool> {
    let (host, port) = client.host();
    let addresses: BTreeSet<IpAddr> = match (host, port).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => {
            let mend = "let the name's DNS records lead to this machine, or to the proxy in front of it";
            to.error(ADDRESS, format!("{host} has no address: {error}"), mend)?;
            return Ok(false);
        }
    };
    let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    // A hint only: behind a load balancer, or with an address that the provider translates, it is another.
    let is_own = addresses.iter().any(|address| is_of_this_machine(*address));
    let whose = if is_own { "this machine" } else { "none that this machine has itself: a proxy, or a translated one" };
    to.ok(ADDRESS, format!("{host} is {} ({whose})", shown.join(", ")))?;
    Ok(true)
}

/// Only an address of this machine's own can be bound.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// `false` where no connection can be made.
fn certificate(client: &Client, to: &mut Sink<'_>) -> anyhow::Result<bool> {
    let shown = match client.handshake(Offer::Usual) {
        Ok(Some(shown)) => shown,
        Ok(None) => {
            let text = "the address is plain http, which is for trying things out on this machine";
            to.warning(CERTIFICATE, text, "KooGallery calls by HTTPS only: docs/operations.md, HTTPS")?;
            return Ok(true);
        }
        Err(error) => {
            let fault = client.certificate_fault(&error, Timestamp::now()).unwrap_or_else(|| error.to_string());
            let mend = "KooGallery says 调测失败,生产地址不可达 then: docs/operations.md, HTTPS and The proxy";
            to.error(CERTIFICATE, fault, mend)?;
            return Ok(false);
        }
    };
    let left = shown.certificate.as_ref().map(|certificate| certificate.not_after.duration_since(Timestamp::now()));
    let days = left.map_or(0, |left| left.as_hours() / 24);
    match left {
        Some(left) if left < SOON => to.warning(
            CERTIFICATE,
            format!("the certificate ends in {days} days"),
            "renew it; does the program that does so still run?",
        )?,
        _ => to.ok(CERTIFICATE, format!("{}, a chain of {}, {days} days left", shown.version, shown.chain_length))?,
    }
    if client.handshake(Offer::Tls12Only).is_err() {
        let text = "TLS 1.2 is refused there; KooGallery's documents ask for 1.2 or later";
        to.warning(CERTIFICATE, text, "let the proxy offer both 1.2 and 1.3")?;
    }
    if client.handshake(Offer::Http2).is_ok_and(|shown| shown.is_some_and(|shown| shown.is_http2)) {
        let text = "a client that offers HTTP/2 gets it there, and HTTP/2 writes header names in lower case: KooGallery does \
                    not find Body-Sign then";
        to.warning(CERTIFICATE, text, "let the proxy offer HTTP/1.1 only: docs/operations.md, The proxy")?;
    }
    Ok(true)
}

/// The admin listener must not be passed on. It tells everybody whether koogate is ready; the public one knows no such path.
fn admin_is_hidden(client: &Client, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let is_told = |body: &[u8]| body == b"ready\n" || body.starts_with(b"not ready: ");
    if client.ask("GET", Some("/readyz")).is_ok_and(|answer| is_told(&answer.body)) {
        let text = "the proxy passes the admin listener on: strangers can try its token";
        to.error(WAY, text, "pass the path of the production address on and nothing else, to server.listen")?;
    }
    Ok(())
}

fn way(config: &Config, store: Option<&Store>, client: &Client, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let listen = reachable(config.server.listen);
    let local = Client::of_own_listener(&format!("{scheme}://{listen}{}", config.server.base_path));
    let local = match local {
        Ok(local) => local.with_deadline(ANSWER_WITHIN),
        Err(error) => return to.error(WAY, error.to_string(), "see server.listen"),
    };
    for probe in Probe::all(config) {
        let name = probe.name();
        let here = match probe.send(&local) {
            Ok(here) => here,
            Err(error) => {
                let text = format!("{name}: the server itself does not answer at {listen}: {error}");
                return to.warning(WAY, text, "start it, and check again");
            }
        };
        match probe.send(client) {
            Err(error) => {
                let text = format!("{name}: no answer through the address: {error}");
                to.error(WAY, text, "KooGallery says 调测失败 then: docs/operations.md, The proxy")?;
            }
            Ok(there) => {
                let faults = [
                    replies(&here, &there),
                    store.filter(|_| there.is_findable).map_or_else(Vec::new, |store| received(store, &there)),
                ]
                .concat();
                if faults.is_empty() {
                    to.ok(WAY, format!("{name}: a signed call comes through and back as it was, byte for byte"))?;
                }
                for (text, mend) in faults {
                    to.error(WAY, format!("{name}: {text}"), mend)?;
                }
            }
        }
    }
    Ok(())
}

type Fault = (String, &'static str);

/// What differs between the answer through the address and that of the listener.
fn replies(here: &Sent, there: &Sent) -> Vec<Fault> {
    let (here, there) = (&here.answer, &there.answer);
    let mut faults = Vec::new();
    if (300..400).contains(&there.status) {
        let to = there.header("Location").unwrap_or("somewhere else");
        let text = format!("the address redirects ({}) to {to}", there.status);
        return vec![(text, "register the final address, scheme and slash included; KooGallery follows none")];
    }
    if there.status != here.status {
        let text = format!("the address answers HTTP status {}, the server {}", there.status, here.status);
        let mend = "what stands in between answers by itself: does it pass this path on, and to server.listen?";
        return vec![(text, mend)];
    }
    for (name, value) in
        here.headers.iter().filter(|(name, _)| !OF_THE_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name)))
    {
        let found = there.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        match found {
            None => faults.push((
                format!("the header {name} is lost on the way"),
                "let the proxy pass all headers of the answer on",
            )),
            Some((found, _)) if found != name => faults.push((
                format!("the header {name} arrives as {found}"),
                "HTTP/1.1 to KooGallery, names as they are (HAProxy: h1-case-adjust; Envoy: preserve_case)",
            )),
            // The signature differs where the body does, and that is told below.
            Some((_, found)) if found != value && (name != "Body-Sign" || here.body == there.body) => faults.push((
                format!("the header {name} is {found} there, and {value} here"),
                "let the proxy pass all headers of the answer on as they are",
            )),
            Some(_) => {}
        }
    }
    if let Some(coding) = there.header("Content-Encoding") {
        let mend = "switch compression off for this path (nginx: gzip off)";
        faults.push((format!("the answer arrives compressed ({coding})"), mend));
    }
    let code = |body: &[u8]| {
        let read: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        read.and_then(|read| read["resultCode"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    let (code_here, code_there) = (code(&here.body), code(&there.body));
    if code_here != code_there && !code_there.is_empty() {
        let text = format!("the call is answered {code_there} there, and {code_here} by the server itself");
        let mend = "what is signed arrives changed, or the address leads to a server with another key";
        faults.push((text, mend));
    } else if here.body != there.body {
        let mend = "the proxy must not rewrite bodies: the signature in Body-Sign is one of their bytes";
        faults.push(("the body of the answer is another".to_owned(), mend));
    }
    faults
}

/// What differs between what was sent through the address and what the server wrote down of it.
fn received(store: &Store, sent: &Sent) -> Vec<Fault> {
    let filter = ExchangeFilter { instance_id: Some(sent.instance_id.clone()), ..ExchangeFilter::default() };
    let found = match store.read(|tx| tx.exchanges(&filter, 4)) {
        Ok(found) => found,
        Err(error) => return vec![(error.to_string(), "see the disk")],
    };
    let Some(row) = found.into_iter().next() else {
        let mend = "the address leads to another server than the one with this database, or the call was refused on the way: \
                    `koogate exchange list`";
        return vec![("the call has not arrived here".to_owned(), mend)];
    };
    differences(&row, sent)
}

fn differences(row: &ExchangeRow, sent: &Sent) -> Vec<Fault> {
    let query = |line: &str| line.split_once('?').map_or("", |(_, query)| query).to_owned();
    let mut faults = Vec::new();
    if query(&row.request_line) != sent.query {
        let mend = "the proxy must pass the query on as it is: no decoding and encoding again (nginx: proxy_pass without a path)";
        faults.push(("the query arrives written otherwise".to_owned(), mend));
    }
    if !row.request_sealed && row.request_body != sent.body {
        let mend = "the proxy must pass bodies on as they are: the signature is one of their bytes";
        faults.push(("the body arrives as other bytes".to_owned(), mend));
    }
    faults
}

/// A listener on all addresses is called on this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], listen.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), listen.port())
        }
        _ => listen,
    }
}
