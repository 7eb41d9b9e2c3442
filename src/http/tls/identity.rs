//! A certificate with its private key: read from PEM, held to what clients ask of it, and what it says of itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// A certificate without its checks of serial numbers and times: those are for its CA to keep.
type Certificate = CertificateInner<Raw>;

/// Certificate and key, ready to be shown.
pub struct Identity {
    certified: Arc<CertifiedKey>,
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    chain: Chain,
}

/// How the certificate leads to its CA, as far as the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Each certificate is followed by its issuer's.
    InOrder,
    /// It is its own issuer.
    SelfSigned,
    /// The certificate stands alone, and another has issued it: most clients cannot verify it.
    IssuerMissing,
    /// A certificate that is not the issuer of the one before it: some clients cannot verify it.
    OutOfOrder,
}

/// The certificate or its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Of the certificate's file.
    #[error("there is no certificate in it (PEM is expected)")]
    NoCertificate,
    /// Of the certificate's file.
    #[error("there is a certificate in it that cannot be read")]
    BadCertificate,
    /// Of the certificate's file.
    #[error("the certificate names no host (subject alternative names), so no client accepts it")]
    NoNames,
    /// Of the key's file.
    #[error("there is no private key in it (PEM is expected, not encrypted)")]
    NoKey,
    /// Of the key's file.
    #[error("the private key cannot be used (RSA from 2048 bits, ECDSA P-256 or P-384, or Ed25519 is expected)")]
    BadKey,
    /// Of both.
    #[error("the private key is not that of the certificate")]
    NotItsKey,
}

impl IdentityError {
    /// Whether the file of the key is to be looked at; the certificate's otherwise.
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::BadKey | Self::NotItsKey)
    }
}

impl Identity {
    /// From the contents of the two files. Whether the certificate holds today is not asked: an expired one is better than
    /// no service for those who do not mind.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(certificate: &[u8], private_key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, pem::Error>>()
            .map_err(|_| IdentityError::BadCertificate)?;
        let read = |der: &CertificateDer<'_>| Certificate::from_der(der).map_err(|_| IdentityError::BadCertificate);
        let certificates: Vec<Certificate> = chain.iter().map(read).collect::<Result<_, _>>()?;
        let first = certificates.first().ok_or(IdentityError::NoCertificate)?.tbs_certificate();
        let names = names(first.get_extension::<SubjectAltName>().map_err(|_| IdentityError::BadCertificate)?);
        if names.is_empty() {
            return Err(IdentityError::NoNames);
        }
        let time = |time: &x509_cert::time::Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
            Timestamp::from_second(seconds).map_err(|_| IdentityError::BadCertificate)
        };
        let (not_before, not_after) = (time(&first.validity().not_before)?, time(&first.validity().not_after)?);
        let linked = |pair: &[Certificate]| pair[0].tbs_certificate().issuer() == pair[1].tbs_certificate().subject();
        let order = match &certificates[..] {
            [_] if first.issuer() == first.subject() => Chain::SelfSigned,
            [_] => Chain::IssuerMissing,
            more if more.windows(2).all(linked) => Chain::InOrder,
            _ => Chain::OutOfOrder,
        };
        let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|_| IdentityError::NoKey)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::NotItsKey,
            Error::InvalidCertificate(_) => IdentityError::BadCertificate,
            _ => IdentityError::BadKey,
        })?;
        Ok(Self { certified: Arc::new(certified), names, not_before, not_after, chain: order })
    }

    /// The names it is for, as it writes them; never none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// It holds from then.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// It holds until then.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// How it leads to its CA.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// How many certificates the file holds.
    pub fn chain_length(&self) -> usize {
        self.certified.cert.len()
    }

    /// Whether both show the same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    /// Whether it is for this name: as a client would judge, wildcards and all.
    pub(super) fn covers(&self, name: &str) -> bool {
        let certificate = self.certified.end_entity_cert().and_then(ParsedCertificate::try_from);
        let name = ServerName::try_from(name);
        matches!((certificate, name), (Ok(certificate), Ok(name)) if verify_server_name(&certificate, &name).is_ok())
    }

    /// As rustls shows it.
    pub(super) fn certified(&self) -> CertifiedKey {
        CertifiedKey::clone(&self.certified)
    }
}

/// What a certificate says of itself that somebody else shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The names it is for.
    pub names: Vec<String>,
    /// It holds until then.
    pub not_after: Timestamp,
    /// Whether it is its own issuer.
    pub is_self_signed: bool,
}

impl CertificateFacts {
    /// Reads one; `None` when it cannot be read.
    pub fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let facts = certificate.tbs_certificate();
        let seconds = facts.validity().not_after.to_unix_duration().as_secs();
        Some(Self {
            names: names(facts.get_extension::<SubjectAltName>().ok().flatten()),
            not_after: Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?,
            is_self_signed: facts.issuer() == facts.subject(),
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn names(extension: Option<(bool, SubjectAltName)>) -> Vec<String> {
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    extension.map(|(_, names)| names.0.iter().filter_map(name).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn params(names: &[&str]) -> CertificateParams {
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn pem(der: &[u8]) -> String {
        let base64 = data_encoding::BASE64_MIME.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64.trim_end())
    }

    fn key_pem(key: &KeyPair) -> String {
        let base64 = data_encoding::BASE64_MIME.encode(&key.serialize_der());
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64.trim_end())
    }

    #[test]
    fn what_it_says_of_itself_is_read() {
        let (ca, key) = (ca("ca"), KeyPair::generate().unwrap());
        let mut params = params(&["shop.example.com", "*.shops.example.com", "192.0.2.7"]);
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 2), date_time_ymd(2026, 4, 1));
        let leaf = params.signed_by(&key, &ca).unwrap();
        let identity =
            Identity::from_pem((pem(leaf.der()) + &pem(ca.der())).as_bytes(), key_pem(&key).as_bytes()).unwrap();
        assert_eq!(identity.names(), ["shop.example.com", "*.shops.example.com", "192.0.2.7"]);
        assert_eq!(identity.not_before().to_string(), "2026-01-02T00:00:00Z");
        assert_eq!(identity.not_after().to_string(), "2026-04-01T00:00:00Z");
        assert_eq!((identity.chain(), identity.chain_length()), (Chain::InOrder, 2));
        for (name, covered) in [
            ("shop.example.com", true),
            ("SHOP.example.COM", true),
            ("a.shops.example.com", true),
            ("a.b.shops.example.com", false),
            ("shops.example.com", false),
            ("example.com", false),
            ("shop.example.com.evil.example", false),
            ("", false),
            ("*", false),
        ] {
            assert_eq!(identity.covers(name), covered, "{name}");
        }
    }

    #[test]
    fn a_chain_that_some_client_cannot_follow_is_told() {
        let (ca, other, key) = (ca("ca"), ca("other"), KeyPair::generate().unwrap());
        let leaf = params(&["a.example"]).signed_by(&key, &ca).unwrap();
        let own = params(&["a.example"]).self_signed(&key).unwrap();
        let chain = |certificates: &[&[u8]]| {
            let text: String = certificates.iter().map(|der| pem(der)).collect();
            Identity::from_pem(text.as_bytes(), key_pem(&key).as_bytes()).unwrap().chain()
        };
        assert_eq!(chain(&[leaf.der()]), Chain::IssuerMissing);
        assert_eq!(chain(&[own.der()]), Chain::SelfSigned);
        assert_eq!(chain(&[leaf.der(), other.der()]), Chain::OutOfOrder);
        assert_eq!(chain(&[leaf.der(), other.der(), ca.der()]), Chain::OutOfOrder);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let good = pem(params(&["a.example"]).self_signed(&key).unwrap().der());
        let nameless = pem(params(&[]).self_signed(&key).unwrap().der());
        let (its_key, another) = (key_pem(&key), key_pem(&other));
        let encrypted = its_key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let damaged_key = key_pem(&key).replace("MI", "MA");
        for (certificate, key, expected) in [
            ("", its_key.as_str(), IdentityError::NoCertificate),
            ("garbage", &its_key, IdentityError::NoCertificate),
            (&its_key, &its_key, IdentityError::NoCertificate),
            (&pem(b"garbage"), &its_key, IdentityError::BadCertificate),
            ("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n", &its_key, IdentityError::BadCertificate),
            (&(good.clone() + &pem(b"garbage")), &its_key, IdentityError::BadCertificate),
            (&nameless, &its_key, IdentityError::NoNames),
            (&good, "", IdentityError::NoKey),
            (&good, &good, IdentityError::NoKey),
            (&good, &encrypted, IdentityError::NoKey),
            (&good, &damaged_key, IdentityError::BadKey),
            (&good, &another, IdentityError::NotItsKey),
        ] {
            let found = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
            assert_eq!(found, expected, "{certificate} {key}");
        }
        // Certificate and key in one file, as some tools write them.
        let both = good + &its_key;
        assert!(Identity::from_pem(both.as_bytes(), both.as_bytes()).is_ok());
    }
}
