//! The TCP side of the transport `http`: which addresses are connected to, and a deadline that nothing extends.
//!
//! Addresses are judged after the look-up, at the moment of connecting, so that a name cannot be pointed elsewhere
//! between a check and its use. TLS is laid on top by the HTTP client, whose own TCP transport would grant the rest of a
//! partial write the same time once more when the receiver reads too slowly (measured: half as long again).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use thiserror::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// Connects to permitted addresses only.
#[derive(Debug)]
pub(super) struct GuardedConnector {
    /// Whose addresses they are.
    pub(super) named_by: NamedBy,
}

/// Who says where to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The merchant, in the configuration: this machine and private networks are where applications are.
    Merchant,
    /// Somebody else, such as a tenant whose domain came in a call: nothing of the merchant's own network is his business.
    Stranger,
}

/// How far away an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine, a private network (RFC 1918, RFC 4193), or a name that only has a meaning inside one.
    Local,
    /// 100.64.0.0/10 (RFC 6598), 198.18.0.0/15 (RFC 2544) and 192.0.0.0/24 (RFC 6890): a provider's own network, where
    /// clouds have services for their machines.
    Provider,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// Everything else.
    Public,
}

/// Why no address of a name may be connected to.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum RefusedAddress {
    #[error("{0} is a link-local address; cloud metadata services live there, no application does")]
    LinkLocal(IpAddr),
    #[error("{0} is a public address; use https:// (plain http is for loopback and private addresses)")]
    PlainHttp(IpAddr),
    #[error("{0} is an address of this machine or of a network that is not public")]
    Inside(IpAddr),
}

/// How far away a URL's host is, judged by its text: an address, or a name of which only the form is known.
pub(super) fn reach_of_host(host: &str) -> Reach {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return reach(address);
    }
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    let is_local = !name.contains('.')
        || [".localhost", ".internal", ".local", ".lan", ".home.arpa"].iter().any(|suffix| name.ends_with(suffix));
    if is_local { Reach::Local } else { Reach::Public }
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) if v4.is_link_local() => Reach::LinkLocal,
        // What the system makes of 0.0.0.0 is this machine.
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_private() || v4.is_unspecified() => Reach::Local,
        IpAddr::V4(v4) if matches!(v4.octets(), [100, 64..=127, ..] | [198, 18..=19, ..] | [192, 0, 0, _]) => {
            Reach::Provider
        }
        IpAddr::V4(_) => Reach::Public,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Reach::LinkLocal,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unique_local() || v6.is_unspecified() => Reach::Local,
        IpAddr::V6(v6) => carried(v6).map_or(Reach::Public, |v4| reach(IpAddr::V4(v4))),
    }
}

/// The IPv4 address that a packet to an IPv6 address ends at: mapped (::ffff:0:0/96), behind NAT64 (64:ff9b::/96, RFC 6052),
/// or by 6to4 (2002::/16, RFC 3056).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d] = match address.octets() {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, last @ ..] => last,
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, last @ ..] => last,
        [0x20, 0x02, a, b, c, d, ..] => [a, b, c, d],
        _ => return None,
    };
    Some(Ipv4Addr::new(a, b, c, d))
}

/// The addresses that may be connected to, in the resolver's order; why there is none, otherwise.
fn permitted(addresses: &[SocketAddr], encrypted: bool, named_by: NamedBy) -> Result<Vec<SocketAddr>, RefusedAddress> {
    let refusal = |address: &SocketAddr| match (reach(address.ip()), named_by) {
        (Reach::LinkLocal, _) => Some(RefusedAddress::LinkLocal(address.ip())),
        (Reach::Local | Reach::Provider, NamedBy::Stranger) => Some(RefusedAddress::Inside(address.ip())),
        (Reach::Public | Reach::Provider, _) if !encrypted => Some(RefusedAddress::PlainHttp(address.ip())),
        (Reach::Local | Reach::Provider | Reach::Public, _) => None,
    };
    let usable: Vec<_> = addresses.iter().filter(|address| refusal(address).is_none()).copied().collect();
    match addresses.iter().find_map(refusal) {
        Some(reason) if usable.is_empty() => Err(reason),
        _ => Ok(usable),
    }
}

impl Connector for GuardedConnector {
    type Out = DeadlineTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<DeadlineTransport>, Error> {
        // The only limit configured is the one for the whole attempt, so what is left of it is left for everything.
        let deadline = Deadline(Instant::now().checked_add(*details.timeout.after));
        let addresses = permitted(&details.addrs, details.needs_tls(), self.named_by)
            .map_err(|refused| Error::Other(refused.into()))?;
        let stream = connect_any(&addresses, deadline)?;
        stream.set_nodelay(true)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(DeadlineTransport { stream, buffers, deadline }))
    }
}

/// Tries one address after the other; each may use an equal share of the time that is left.
fn connect_any(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, Error> {
    let mut last_failure = Error::HostNotFound;
    for (address, still_to_try) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        match TcpStream::connect_timeout(address, deadline.left()? / still_to_try) {
            Ok(stream) => return Ok(stream),
            Err(error) => last_failure = timeout_or_io(error),
        }
    }
    Err(last_failure)
}

/// The end of an attempt; `None` for one beyond what the clock can express.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    /// The time that is left; never zero, which sockets take for "no limit".
    fn left(self) -> Result<Duration, Error> {
        let left = self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() { Err(Error::Timeout(Timeout::Global)) } else { Ok(left) }
    }
}

/// A connection on which every single read and write ends at the deadline.
pub(super) struct DeadlineTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
    deadline: Deadline,
}

impl Transport for DeadlineTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(self.deadline.left()?))?;
            match self.stream.write(rest) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timeout_or_io(error)),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        loop {
            self.stream.set_read_timeout(Some(self.deadline.left()?))?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timeout_or_io(error)),
            }
        }
    }

    /// A connection serves one attempt: it never goes back to a pool.
    fn is_open(&mut self) -> bool {
        false
    }
}

/// Without the buffers: they hold events and answers.
impl fmt::Debug for DeadlineTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineTransport").field("peer", &self.stream.peer_addr().ok()).finish_non_exhaustive()
    }
}

fn timeout_or_io(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(Timeout::Global),
        _ => Error::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_judged_by_what_their_text_tells() {
        for local in [
            "127.0.0.1",
            "127.8.9.1",
            "[::1]",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "[fd00::1]",
            "[::ffff:10.0.0.1]",
            "localhost",
            "LOCALHOST.",
            "shop.localhost",
            "shop",
            "shop.internal",
            "nas.local",
            "0.0.0.0",
            "[::]",
            "[64:ff9b::7f00:1]",
            "[2002:c0a8:1::1]",
        ] {
            assert_eq!(reach_of_host(local), Reach::Local, "{local}");
        }
        for link_local in [
            "169.254.169.254",
            "[fe80::1]",
            "[febf::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "[2002:a9fe:a9fe::1]",
        ] {
            assert_eq!(reach_of_host(link_local), Reach::LinkLocal, "{link_local}");
        }
        for provider in ["100.64.0.1", "100.125.1.250", "[::ffff:100.127.255.255]", "198.19.128.1", "192.0.0.192"] {
            assert_eq!(reach_of_host(provider), Reach::Provider, "{provider}");
        }
        for public in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "192.0.1.1",
            "172.32.0.1",
            "[2001:db8::1]",
            "shop.example.com",
            "localhost.evil.com",
        ] {
            assert_eq!(reach_of_host(public), Reach::Public, "{public}");
        }
    }

    #[test]
    fn a_name_is_connected_to_at_its_permitted_addresses_only() {
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let metadata = address("169.254.169.254:80");
        let private = address("10.0.0.1:80");
        let public = address("203.0.113.7:80");
        let provider = address("100.125.1.250:80");
        let all = [metadata, public, private, provider];
        let by = |named_by| move |addresses: &[SocketAddr], encrypted| permitted(addresses, encrypted, named_by);
        let (permitted, of_stranger) = (by(NamedBy::Merchant), by(NamedBy::Stranger));
        assert_eq!(permitted(&all, false), Ok(vec![private]));
        assert_eq!(permitted(&all, true), Ok(vec![public, private, provider]));
        assert_eq!(permitted(&[metadata], true), Err(RefusedAddress::LinkLocal(metadata.ip())));
        assert_eq!(permitted(&[public], false), Err(RefusedAddress::PlainHttp(public.ip())));
        assert_eq!(of_stranger(&all, true), Ok(vec![public]));
        for inside in [private, provider, address("127.0.0.1:443"), address("[::1]:443"), address("0.0.0.0:443")] {
            assert_eq!(of_stranger(&[inside], true), Err(RefusedAddress::Inside(inside.ip())));
            assert_eq!(of_stranger(&[inside], false), Err(RefusedAddress::Inside(inside.ip())));
        }
        assert_eq!(permitted(&[], true), Ok(vec![]));
    }
}
