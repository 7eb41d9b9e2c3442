//! The handshake, on the connection's own thread: from the first byte to a session, or to a polite refusal.
//!
//! The watching thread bounds its time (`Phase::Handshake`), [`Permits`](super::Permits) how many compute at once, rustls
//! its memory: it holds one handshake message of 64 KiB at most, and answers none before it is whole.

use std::io::{self, ErrorKind, Write};
use std::time::Instant;

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{AlertDescription, Error, PeerIncompatible, ServerConnection};

use super::Tls;
use super::stream::{TlsStream, Wire, send};
use crate::http::shared::Shared;
use crate::http::watch::{Cut, Phase, Watched};

/// Every handshake begins with a record of this type (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// The alert unrecognized_name, fatal (RFC 6066 §3), in a record of its own: rustls has no way to say it.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Why there is no session.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum Unmet {
    /// The client went away or was cut: there is nothing to say.
    Quiet,
    /// It speaks HTTP; nothing has been read yet.
    PlainHttp,
    /// It has been told by an alert, as far as it will listen. The reason is fixed text for the operator.
    Refused(&'static str),
}

impl From<Cut> for Unmet {
    fn from(_: Cut) -> Self {
        Self::Quiet
    }
}

impl From<io::Error> for Unmet {
    fn from(_: io::Error) -> Self {
        Self::Quiet
    }
}

/// Waits for the client's handshake and answers it.
pub(in crate::http) fn shake_hands<'s>(
    watched: &'s Watched,
    shared: &Shared,
    tls: &Tls,
) -> Result<TlsStream<'s>, Unmet> {
    watched.enter(Phase::Handshake, Instant::now())?;
    match first_byte(watched, shared)? {
        HANDSHAKE => {}
        b'A'..=b'Z' => return Err(Unmet::PlainHttp),
        _ => return Err(Unmet::Refused("bytes that are not TLS on the port for HTTPS")),
    }
    let mut wire = Wire::new(watched.socket());
    let hello = client_hello(watched, shared, &mut wire)?;
    let shown = tls.shown();
    // A client that names nobody (an address, a monitor) is served: there is one certificate only.
    if hello.client_hello().server_name().is_some_and(|name| !shown.identity.covers(name)) {
        wire.write_all(&UNRECOGNIZED_NAME)?;
        return Err(Unmet::Refused("a TLS handshake for a name that the certificate does not cover"));
    }
    let permit = tls.permits.take();
    // Not computed for nobody.
    watched.check()?;
    let begun = hello.into_connection(shown.config.clone());
    drop(permit);
    let mut session = begun.map_err(|(error, alert)| refused(&error, alert, &mut wire))?;
    finish(watched, shared, tls, &mut session, &mut wire)?;
    Ok(TlsStream::new(session, wire))
}

fn first_byte(watched: &Watched, shared: &Shared) -> Result<u8, Unmet> {
    let mut first = [0];
    watched.await_bytes(|| shared.is_closing())?;
    loop {
        match watched.socket().peek(&mut first) {
            Ok(1..) => return Ok(first[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return Err(Unmet::Quiet),
        }
    }
}

fn client_hello(watched: &Watched, shared: &Shared, wire: &mut Wire<'_>) -> Result<Accepted, Unmet> {
    let mut acceptor = Acceptor::default();
    loop {
        watched.await_bytes(|| shared.is_closing())?;
        if acceptor.read_tls(wire)? == 0 {
            return Err(Unmet::Quiet);
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, alert)) => return Err(refused(&error, alert, wire)),
        }
    }
}

/// The rest, until the client may send its request and has all that it needs for that.
fn finish(
    watched: &Watched,
    shared: &Shared,
    tls: &Tls,
    session: &mut ServerConnection,
    wire: &mut Wire<'_>,
) -> Result<(), Unmet> {
    while session.is_handshaking() {
        send(session, wire)?;
        watched.await_bytes(|| shared.is_closing())?;
        if session.read_tls(wire)? == 0 {
            return Err(Unmet::Quiet);
        }
        let permit = tls.permits.take();
        watched.check()?;
        let processed = session.process_new_packets();
        drop(permit);
        if let Err(error) = processed {
            // Its alert; the client may be gone.
            let _ = send(session, wire);
            return Err(Unmet::Refused(reason(&error)));
        }
    }
    Ok(send(session, wire)?)
}

fn refused(error: &Error, mut alert: AcceptedAlert, wire: &mut Wire<'_>) -> Unmet {
    // The client may be gone.
    let _ = alert.write_all(wire);
    Unmet::Refused(reason(error))
}

/// Fixed text, so that nothing a peer sent reaches a log.
fn reason(error: &Error) -> &'static str {
    use AlertDescription as Alert;
    match error {
        Error::NoApplicationProtocol => "a TLS handshake that offers other protocols than HTTP/1.1",
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "a TLS handshake with neither TLS 1.2 nor TLS 1.3",
        Error::PeerIncompatible(_) => "a TLS handshake without an algorithm in common",
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate,
        ) => "a client that does not accept the certificate",
        Error::AlertReceived(_) => "a client that ended the TLS handshake with an alert",
        _ => "a malformed TLS handshake",
    }
}
