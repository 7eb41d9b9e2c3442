//! One connection of the load generator, in the clear or by TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

/// A connection with what has been received on it.
pub struct Line {
    stream: TcpStream,
    session: Option<Box<ClientConnection>>,
    inbox: Vec<u8>,
    /// When the call began whose answer is awaited.
    begun: Instant,
    /// The call that made the connection has not been sent yet: it began before the connection did.
    is_fresh: bool,
}

impl Line {
    /// Connects, which on loopback is done when the call returns. A handshake begins with what is sent first.
    pub fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Self {
        let begun = Instant::now();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = || ServerName::try_from("localhost").unwrap();
        let session = tls.map(|tls| Box::new(ClientConnection::new(Arc::clone(tls), name()).unwrap()));
        Self { stream, session, inbox: Vec::with_capacity(16 << 10), begun, is_fresh: true }
    }

    /// For epoll.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a request. Before the handshake is done, TLS keeps it until it is.
    pub fn send(&mut self, request: &[u8]) {
        self.inbox.clear();
        if !std::mem::take(&mut self.is_fresh) {
            self.begun = Instant::now();
        }
        match &mut self.session {
            None => self.stream.write_all(request).unwrap(),
            Some(session) => {
                session.writer().write_all(request).unwrap();
                flush(session, &mut self.stream);
            }
        }
    }

    /// Reads once, which does not block after epoll.
    pub fn receive(&mut self) {
        let start = self.inbox.len();
        match &mut self.session {
            None => {
                self.inbox.resize(start + (8 << 10), 0);
                let count = self.stream.read(&mut self.inbox[start..]).unwrap();
                assert!(count > 0, "the server closed the connection");
                self.inbox.truncate(start + count);
            }
            Some(session) => {
                assert!(session.read_tls(&mut self.stream).unwrap() > 0, "the server closed the connection");
                let count = session.process_new_packets().unwrap().plaintext_bytes_to_read();
                self.inbox.resize(start + count, 0);
                session.reader().read_exact(&mut self.inbox[start..]).unwrap();
                flush(session, &mut self.stream);
            }
        }
    }

    /// What has been received since the request was sent.
    pub fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// When the call began: before its connection, where it made one.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Says good-bye, as TLS wants it.
    pub fn close(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            // The server may have closed first: it was asked to.
            let _ = session.write_tls(&mut self.stream);
        }
    }
}

fn flush(session: &mut ClientConnection, stream: &mut TcpStream) {
    while session.wants_write() {
        session.write_tls(stream).unwrap();
    }
}

/// TLS as KooGallery would speak it to one certificate. Each handshake is a full one: nobody knows whether KooGallery
/// resumes sessions. The certificate is compared and its signature not checked, which would cost the cores that the server
/// needs.
pub fn client_config(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(Known(certificate))).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

#[derive(Debug)]
struct Known(CertificateDer<'static>);

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        found: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        assert_eq!(&self.0, found, "another server answers");
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
