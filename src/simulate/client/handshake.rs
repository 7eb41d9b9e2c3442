//! TLS to a production address: what is trusted, and what a handshake tells of the server. No request is made here.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::{Client, ClientError, SetupError, io_error};
use crate::any_certificate::AnyCertificate;
use crate::deadline::DeadlineStream;
use crate::http::CertificateFacts;

/// What a client offers in a handshake, and what it asks of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// TLS 1.2 and 1.3, HTTP/1.1 or nothing said of it; the certificate is verified.
    Usual,
    /// TLS 1.2 only, which the oldest client that may call speaks; the certificate is verified.
    Tls12Only,
    /// HTTP/2 as well, as many clients do; the certificate is verified.
    Http2,
    /// Whatever certificate is shown, to look at one that is refused. Nothing is sent over such a connection.
    AnyCertificate,
}

/// What a handshake told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// `TLS 1.2` or `TLS 1.3`.
    pub version: &'static str,
    /// Whether the server has chosen HTTP/2.
    pub is_http2: bool,
    /// How many certificates were shown.
    pub chain_length: usize,
    /// What the first of them says of itself; `None`: it cannot be read.
    pub certificate: Option<CertificateFacts>,
}

impl Client {
    /// A handshake with the server of the address, and nothing after it; `None` where the URL is one of plain http.
    ///
    /// # Errors
    /// [`ClientError`] when it fails, the verification of the certificate included.
    pub fn handshake(&self, offer: Offer) -> Result<Option<Handshake>, ClientError> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let config = tls.offering(offer).map_err(ClientError::Tls)?;
        let mut session =
            rustls::ClientConnection::new(Arc::new(config), self.server_name()?).map_err(ClientError::Tls)?;
        let deadline = Instant::now() + self.deadline;
        let mut stream = DeadlineStream::new(self.connect(deadline)?, deadline);
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(io_error)?;
        }
        let chain = session.peer_certificates().unwrap_or_default();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        Ok(Some(Handshake {
            version,
            is_http2: session.alpn_protocol() == Some(b"h2"),
            chain_length: chain.len(),
            certificate: chain.first().and_then(|first| CertificateFacts::of(first)),
        }))
    }

    /// Why a certificate is refused, in words that say the mend; `None` where the certificate is not the matter.
    pub fn certificate_fault(&self, error: &ClientError, now: Timestamp) -> Option<String> {
        let ClientError::Tls(rustls::Error::InvalidCertificate(fault)) = error else { return None };
        let (host, _) = self.host();
        // Looked at once more without judging it: the refusal does not say what was shown.
        let shown = self.handshake(Offer::AnyCertificate).ok().flatten();
        let certificate = shown.as_ref().and_then(|shown| shown.certificate.as_ref());
        Some(match (certificate, shown.as_ref().map_or(0, |shown| shown.chain_length)) {
            (Some(facts), _) if facts.not_after < now => {
                format!("the certificate has expired at {:.0}: renew it", facts.not_after)
            }
            (Some(facts), _)
                if matches!(
                    fault,
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                ) =>
            {
                format!("the certificate is for {}, not for {host}: get one for that name", facts.names.join(", "))
            }
            (Some(facts), 1) if facts.is_self_signed => {
                "the certificate is self-signed: get one of a recognised CA (docs/operations.md, HTTPS)".to_owned()
            }
            (Some(_), 1) => {
                "the server shows its certificate alone, without that of its issuer: configure the file with \
                             the whole chain (fullchain.pem), or the issuer is a private CA"
                    .to_owned()
            }
            _ => format!(
                "the certificate is not accepted ({fault:?}): it must be of a recognised CA, with its whole chain"
            ),
        })
    }
}

/// What TLS to one address needs.
#[derive(Debug)]
pub(super) struct TlsClient {
    /// For calls.
    pub(super) usual: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl TlsClient {
    /// `extra_roots` are PEM certificates that are trusted besides the public CAs.
    pub(super) fn new(extra_roots: &[u8]) -> Result<Self, SetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in CertificateDer::pem_slice_iter(extra_roots) {
            let certificate = certificate.map_err(|error| SetupError::Certificates(error.to_string()))?;
            roots.add(certificate)?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let usual = verifying(&provider, &roots, rustls::ALL_VERSIONS)?;
        Ok(Self { usual: Arc::new(usual), roots, provider })
    }

    /// For a server whose certificate does not matter: one on this machine, which is known by its address.
    pub(super) fn of_own_listener() -> Result<Self, SetupError> {
        let mut tls = Self::new(&[])?;
        tls.usual = Arc::new(tls.offering(Offer::AnyCertificate)?);
        Ok(tls)
    }

    /// A configuration for one handshake.
    fn offering(&self, offer: Offer) -> Result<ClientConfig, rustls::Error> {
        match offer {
            Offer::Usual => Ok(ClientConfig::clone(&self.usual)),
            Offer::Http2 => {
                let mut config = ClientConfig::clone(&self.usual);
                config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                Ok(config)
            }
            Offer::Tls12Only => verifying(&self.provider, &self.roots, &[&version::TLS12]),
            Offer::AnyCertificate => {
                let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
                let verifier = Arc::new(AnyCertificate(Arc::clone(&self.provider)));
                let builder = builder.with_safe_default_protocol_versions()?.dangerous();
                Ok(builder.with_custom_certificate_verifier(verifier).with_no_client_auth())
            }
        }
    }
}

fn verifying(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(versions)?;
    Ok(builder.with_root_certificates(Arc::clone(roots)).with_no_client_auth())
}
