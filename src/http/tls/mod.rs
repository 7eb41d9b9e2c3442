//! HTTPS: what the door shows, and the handshake before the first request. Which files the certificate comes from, and
//! when they are read again, is not known here.
//!
//! | file | job |
//! | --- | --- |
//! | `identity` | a certificate with its key, and what it says of itself |
//! | `handshake` | from the first byte to a session, within time and number |
//! | `stream` | a session as the rest of the door reads and writes it |

mod handshake;
mod identity;
mod stream;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};

use rustls::crypto::ring::{self, Ticketer};
use rustls::server::{ProducesTickets, ServerConfig, StoresServerSessions};
use rustls::sign::SingleCertAndKey;

pub(super) use self::handshake::{Unmet, shake_hands};
pub use self::identity::{CertificateFacts, Chain, Identity, IdentityError};

/// The only protocol offered. HTTP/2 would send `Body-Sign` in lower case, and KooGallery looks for its capitals.
const PROTOCOL: &[u8] = b"http/1.1";

/// Cannot be set up; the system gives no randomness, or rustls was built without what is asked of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsError(rustls::Error);

/// What a door needs to speak HTTPS. What it shows can be replaced while it is open.
pub struct Tls {
    shown: RwLock<Arc<Shown>>,
    /// Of all certificates, so that a renewal ends no client's session.
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    permits: Permits,
}

/// A certificate and the settings made for it; one handshake sees one of them.
struct Shown {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Shows this certificate.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn new(identity: Identity) -> Result<Self, TlsError> {
        let tickets = Ticketer::new().map_err(TlsError)?;
        let sessions: Arc<dyn StoresServerSessions> = rustls::server::ServerSessionMemoryCache::new(256);
        let shown = Arc::new(Shown::new(identity, &tickets, &sessions)?);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { shown: RwLock::new(shown), tickets, sessions, permits: Permits::new((cores / 2).max(1)) })
    }

    /// Shows another certificate from now on. Connections that are open go on.
    ///
    /// # Errors
    /// As [`new`](Self::new); then the one before stays.
    pub fn replace(&self, identity: Identity) -> Result<(), TlsError> {
        let shown = Arc::new(Shown::new(identity, &self.tickets, &self.sessions)?);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(())
    }

    /// The certificate that is shown.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.shown().identity)
    }

    fn shown(&self) -> Arc<Shown> {
        // Replaced as a whole: a poisoned one is whole.
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("identity", &self.shown().identity).finish_non_exhaustive()
    }
}

impl Shown {
    fn new(
        identity: Identity,
        tickets: &Arc<dyn ProducesTickets>,
        sessions: &Arc<dyn StoresServerSessions>,
    ) -> Result<Self, TlsError> {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&versions).map_err(TlsError)?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        (config.ticketer, config.session_storage) = (Arc::clone(tickets), Arc::clone(sessions));
        // One is used up by each connection, and a client that keeps its connection needs none.
        config.send_tls13_tickets = 1;
        Ok(Self { identity: Arc::new(identity), config: Arc::new(config) })
    }
}

/// So many handshakes may compute at the same time; the others wait. Asymmetric cryptography takes a good part of a
/// millisecond of a core: without a bound, strangers who only shake hands would take all cores from requests in service.
struct Permits {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// Leave to compute, given back when dropped.
struct Permit<'p>(&'p Permits);

impl Permits {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), given_back: Condvar::new() }
    }

    /// Waits for leave. Never for long: whoever has it computes and does not wait for anybody.
    fn take(&self) -> Permit<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.given_back.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn so_many_compute_at_a_time_and_all_get_their_turn() {
        let (permits, inside, most) = (Permits::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let permit = permits.take();
                        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.load(SeqCst)));
        assert_eq!(*permits.free.lock().unwrap(), 2);
    }
}
