//! A TLS session over a connection's socket, as the rest of the door reads and writes it.
//!
//! Reading never writes: a client that does not take what the protocol wants to tell it (tickets, key updates) must not
//! hold up a read, whose deadline ends reading only (see `watch`). What is to be told goes out with the next answer.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;

use rustls::ServerConnection;

use crate::http::connection::Stream;

/// A session whose handshake is done.
pub(in crate::http) struct TlsStream<'s> {
    session: ServerConnection,
    wire: Wire<'s>,
}

impl<'s> TlsStream<'s> {
    pub(super) fn new(session: ServerConnection, wire: Wire<'s>) -> Self {
        Self { session, wire }
    }
}

impl Read for TlsStream<'_> {
    /// Reads from the socket once at most. [`ErrorKind::WouldBlock`] says that something arrived which is not yet, or
    /// not at all, something to read.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.session.reader().read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        self.session.read_tls(&mut self.wire)?;
        self.session.process_new_packets().map_err(io::Error::other)?;
        self.session.reader().read(buf)
    }
}

impl Write for TlsStream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(buf)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        send(&mut self.session, &mut self.wire)
    }
}

impl Stream for TlsStream<'_> {
    fn holds_bytes(&mut self) -> bool {
        self.wire.is_within_record() || self.session.reader().fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    fn needs_socket(&mut self) -> bool {
        self.session.reader().fill_buf().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// RFC 8446 §6.1: so that the client can tell the end from a connection that somebody has cut.
    fn end(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.flush()
    }
}

/// Sends all that the session has to say.
pub(super) fn send(session: &mut ServerConnection, wire: &mut Wire<'_>) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(wire) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// The socket, with an eye on where records end.
pub(super) struct Wire<'s> {
    socket: &'s TcpStream,
    records: Records,
}

impl<'s> Wire<'s> {
    pub(super) fn new(socket: &'s TcpStream) -> Self {
        Self { socket, records: Records::default() }
    }

    pub(super) fn is_within_record(&self) -> bool {
        self.records.seen > 0
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.records.pass(&buf[..count]);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Follows the framing of what arrives (RFC 8446 §5.1: type, version, length, that many bytes). A record that has arrived
/// in part may be the beginning of a request, though nothing of it can be read before it is whole.
#[derive(Debug, Default)]
struct Records {
    /// Bytes of the present record so far; 0 between two.
    seen: usize,
    /// The length of what follows the header, as far as it is known.
    length: usize,
}

impl Records {
    const HEADER: usize = 5;

    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.seen < Self::HEADER {
                match self.seen {
                    3 => self.length = usize::from(first) << 8,
                    4 => self.length |= usize::from(first),
                    _ => {}
                }
                self.seen += 1;
                bytes = rest;
            } else {
                let taken = bytes.len().min(Self::HEADER + self.length - self.seen);
                self.seen += taken;
                bytes = &bytes[taken..];
            }
            if self.seen >= Self::HEADER && self.seen == Self::HEADER + self.length {
                self.seen = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_record_is_seen_however_the_bytes_are_cut() {
        let records: Vec<u8> = [0_usize, 1, 255, 256, 16_640]
            .iter()
            .flat_map(|length| {
                let high_low = u16::try_from(*length).unwrap().to_be_bytes();
                [&[23, 3, 3][..], &high_low, &vec![7; *length]].concat()
            })
            .collect();
        let ends = [5, 11, 271, 532, 17_177];
        assert_eq!(records.len(), ends[4]);
        for step in [1, 2, 3, 7, 4096, 20_000] {
            let (mut seen, mut passed) = (Records::default(), 0);
            for piece in records.chunks(step) {
                seen.pass(piece);
                passed += piece.len();
                assert_eq!(seen.seen == 0, ends.contains(&passed), "{step} {passed}");
            }
        }
    }
}
