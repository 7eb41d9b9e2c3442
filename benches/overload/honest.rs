//! One honest KooGallery: a freeze (or its end) and a query every 50 ms, planned by the clock, each by a thread of its own, so that
//! a call that is not answered delays no other.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use socket2::SockRef;

use super::calls::{self, Said, Scribe};
use super::open::PATIENCE;

const EVERY: Duration = Duration::from_millis(50);

/// A call that has ended.
pub struct Told {
    /// Or a query.
    pub is_freeze: bool,
    /// From the planned time.
    pub took: Duration,
    /// `None`: no answer.
    pub said: Option<Said>,
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

type Kept = Arc<Mutex<Vec<Box<dyn Stream>>>>;

/// Calls for so long about an instance that has been bought; `keeps`: on kept connections.
pub fn call(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    keeps: bool,
    instance_id: &str,
    time: Duration,
) -> Vec<Told> {
    let (told, all) = mpsc::channel();
    let (begun, kept) = (Instant::now(), Kept::default());
    let mut scribe = Scribe::new();
    std::thread::scope(|scope| {
        for tick in 0_u32.. {
            let planned = begun + EVERY * tick;
            if planned > begun + time {
                break;
            }
            std::thread::sleep(planned.saturating_duration_since(Instant::now()));
            let status = if tick % 2 == 0 { "FREEZE" } else { "UNFREEZE" };
            for is_freeze in [true, false] {
                let request = if is_freeze { scribe.status(instance_id, status) } else { scribe.query(instance_id) };
                let (kept, told) = (Arc::clone(&kept), told.clone());
                scope.spawn(move || {
                    let said = exchange(address, tls, keeps.then_some(&kept), &request).ok();
                    told.send(Told { is_freeze, took: planned.elapsed(), said }).unwrap();
                });
            }
        }
    });
    drop(told);
    all.into_iter().collect()
}

/// A purchase, which must succeed.
pub fn buy(address: SocketAddr, tls: Option<&Arc<ClientConfig>>, request: &[u8]) {
    assert_eq!(exchange(address, tls, None, request).unwrap(), Said::Code(*b"000000"));
}

fn exchange(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    kept: Option<&Kept>,
    request: &[u8],
) -> io::Result<Said> {
    // As HTTP clients do: a kept connection that turns out to be ended is replaced by a new one at once.
    let idle = kept.and_then(|kept| kept.lock().unwrap().pop());
    let (mut stream, again) = match idle {
        Some(stream) => (stream, true),
        None => (open(address, tls)?, false),
    };
    let mut tried = ask(&mut stream, request);
    if tried.is_err() && again {
        stream = open(address, tls)?;
        tried = ask(&mut stream, request);
    }
    let (said, ends) = tried?;
    if let Some(kept) = kept.filter(|_| !ends) {
        kept.lock().unwrap().push(stream);
    }
    Ok(said)
}

fn ask(stream: &mut dyn Stream, request: &[u8]) -> io::Result<(Said, bool)> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let count = stream.read(&mut part)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&part[..count]);
        if let Some(answer) = calls::answer(&bytes) {
            return Ok(answer);
        }
    }
}

fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(session, socket)))
}

/// TLS that looks at no certificate: it is not what is measured.
pub fn blind_tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Blind)).with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct Blind;

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
