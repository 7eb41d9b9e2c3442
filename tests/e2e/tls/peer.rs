//! The other side of HTTPS: a CA that issues certificates, and a client on rustls that can be told to misbehave.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use data_encoding::BASE64_MIME;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::door_client::{Client, PATIENCE};
use crate::harness::nonce;

/// Both versions, each by itself.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its chain, and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub private_key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each its own name: to a client two of one name are one with a wrong signature.
        params.distinguished_name.push(DnType::CommonName, format!("a CA for tests, {}", nonce()));
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// For these names and this machine, for years.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(names, (2999, 1, 1))
    }

    /// The same, until the day given as year, month and day.
    pub fn issue_until(&self, names: &[&str], (year, month, day): (i32, u8, u8)) -> Pair {
        let names = names.iter().chain(&["localhost", "127.0.0.1"]).map(|name| (*name).to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, month, day));
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let certificate = pem("CERTIFICATE", leaf.der()) + &self.pem();
        Pair { certificate, private_key: pem("PRIVATE KEY", &key.serialize_der()) }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", self.issuer.der())
    }

    /// A client that trusts it, speaks this version, and offers these protocols.
    pub fn client(&self, version: &'static SupportedProtocolVersion, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The usual one.
    pub fn usual(&self) -> Arc<ClientConfig> {
        self.client(&rustls::version::TLS13, &["http/1.1"])
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_MIME.encode(der).trim_end())
}

/// A connection with its session.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Connects by TCP.
pub fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A session for this name, nothing sent yet.
pub fn session(config: &Arc<ClientConfig>, name: &str) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
}

/// The bytes that a client sends first.
pub fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut bytes = Vec::new();
    session(config, "localhost").write_tls(&mut bytes).unwrap();
    bytes
}

/// Connects and shakes hands.
pub fn try_secure(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secured> {
    let mut stream = StreamOwned::new(session(config, name), tcp(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    stream.flush()?;
    Ok(stream)
}

/// The same where it must succeed.
pub fn secure(address: SocketAddr, config: &Arc<ClientConfig>) -> Secured {
    try_secure(address, config, "localhost").unwrap()
}

/// A client as the door's other tests have it.
pub fn client(address: SocketAddr, config: &Arc<ClientConfig>) -> Client<Secured> {
    Client::over(secure(address, config))
}

/// What the server showed.
pub fn shown(stream: &Secured) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// What rustls says of a connection that failed.
pub fn fault(error: &io::Error) -> rustls::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.unwrap_or_else(|| panic!("not by TLS: {error:?}")).clone()
}
