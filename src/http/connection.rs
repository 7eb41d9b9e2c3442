//! The life of one connection on its thread: receive, hand over, answer, again; then part so that the client can read
//! the last answer.
//!
//! The stream is generic because the deadlines do not need it (see `watch`): a TLS session over the same socket takes
//! the place of the plain one.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::{
    Method, Reply, Request, To,
    lobby::Host,
    receive::{Ending, Inbox, Received, receive},
    refusal::Refusal,
    reply::{Framing, print},
    shared::Shared,
    tls::{Unmet, shake_hands},
    watch::{Cut, Phase, Watched},
};

/// An answer larger than this does not keep its buffer, in bytes.
const KEPT_OUTBOX: usize = 64 << 10;

/// How long strangers wait for their answers in a crowd.
const STRANGERS_WAIT: Duration = Duration::from_millis(100);

/// What a body may be long without being large, in bytes; every call of KooGallery but its lists is smaller.
const LARGE: usize = 64 << 10;

/// The longest wait of all: a genuine list from a new host is still answered in time.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What a connection is read from and written to. A read may fail with [`io::ErrorKind::WouldBlock`] when something has
/// arrived of which nothing can be read yet; it is made again then.
pub(super) trait Stream: Read + Write {
    /// Whether bytes have been taken from the socket that nobody has read yet: perhaps the beginning of a request.
    fn holds_bytes(&mut self) -> bool;

    /// Whether the next read has to wait for the socket; else bytes or the end of the stream have been taken from it.
    fn needs_socket(&mut self) -> bool;

    /// Tells the client that nothing more is written.
    fn end(&mut self) -> io::Result<()>;
}

impl Stream for &TcpStream {
    fn holds_bytes(&mut self) -> bool {
        false
    }

    fn needs_socket(&mut self) -> bool {
        true
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves a connection until it ends.
pub(super) fn serve(watched: &Watched, shared: &Shared) {
    // Answers are written whole, so waiting to fill a segment would only delay them (40 ms with delayed
    // acknowledgements). Failure costs nothing but that.
    let _ = watched.socket().set_nodelay(true);
    let plain = || Connection::new(watched.socket(), watched, shared);
    let Some(tls) = &shared.settings.tls else { return plain().run() };
    match shake_hands(watched, shared, tls) {
        Ok(stream) => {
            shared.counters.handshakes.fetch_add(1, Relaxed);
            Connection::new(stream, watched, shared).run();
        }
        Err(Unmet::PlainHttp) => plain().refuse(Refusal::PlainHttp, false),
        Err(Unmet::Refused(reason)) => {
            shared.counters.handshakes_refused.fetch_add(1, Relaxed);
            note(watched, shared, reason);
            drain(watched, shared);
        }
        Err(Unmet::Quiet) => {
            shared.counters.handshakes_abandoned.fetch_add(1, Relaxed);
        }
    }
}

fn note(watched: &Watched, shared: &Shared, reason: &'static str) {
    shared.counters.refused.fetch_add(1, Relaxed);
    shared.handler.refused(watched.peer(), reason);
}

/// Ends our side and reads a little of what the client is still sending: closing a socket with unread bytes resets it,
/// and the reset would overtake what was said last.
fn drain(watched: &Watched, shared: &Shared) {
    let mut socket = watched.socket();
    if watched.enter(Phase::Drain, Instant::now()).is_err() || socket.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut unread = shared.settings.drain_bytes;
    let mut scrap = [0; 4 << 10];
    while unread > 0 {
        match socket.read(&mut scrap) {
            Ok(count) if count > 0 => unread = unread.saturating_sub(count),
            _ => return,
        }
    }
}

struct Connection<'a, S> {
    stream: S,
    inbox: Inbox,
    outbox: Vec<u8>,
    /// Its host has been noted as a friend's.
    is_friend: bool,
    watched: &'a Watched,
    shared: &'a Shared,
}

impl<'a, S: Stream> Connection<'a, S> {
    fn new(stream: S, watched: &'a Watched, shared: &'a Shared) -> Self {
        Self { stream, inbox: Inbox::default(), outbox: Vec::new(), is_friend: false, watched, shared }
    }

    fn run(mut self) {
        loop {
            match receive(&mut self.stream, &mut self.inbox, self.watched, self.shared) {
                Ok(received) => match self.answer(received) {
                    Next::Request => {}
                    Next::Part => return self.part(),
                    Next::Drop => return,
                },
                Err(Ending::Refused { refusal, head_only }) => return self.refuse(refusal, head_only),
                Err(Ending::Quiet) => return self.leave(),
            }
        }
    }

    fn answer(&mut self, received: Received<'_>) -> Next {
        let Received { head, body, at, _share } = received;
        let head_only = head.method == Method::Head;
        if body.len() > LARGE && self.pause_before(body.len()).is_err() {
            return Next::Drop;
        }
        let reply = self.handle(Request {
            method: head.method,
            target: head.target,
            headers: head.headers.0,
            body,
            peer: self.watched.peer(),
            received: at,
        });
        match reply.to {
            To::Friend if !self.is_friend => {
                self.is_friend = true;
                self.shared.friends.add(Host::of(self.watched.peer()), Instant::now());
            }
            To::Stranger if self.pause().is_err() => return Next::Drop,
            To::Friend | To::Stranger | To::Somebody => {}
        }
        let close = !head.keep_alive || self.shared.is_closing() || self.shared.gives_up_place(self.is_friend);
        self.print(&reply, Framing { head_only, close });
        match self.watched.enter(Phase::Write, Instant::now()).map(|()| self.send()) {
            Ok(true) if close => Next::Part,
            Ok(true) => Next::Request,
            Ok(false) | Err(_) => Next::Drop,
        }
    }

    /// In a crowd strangers wait for their answers: what they can make the cores do is bounded by the places they have, and
    /// those who wait are the first to lose theirs.
    fn pause(&self) -> Result<(), Cut> {
        if self.shared.is_crowded() { self.watched.pause(STRANGERS_WAIT) } else { Ok(()) }
    }

    /// In a crowd, a large body of a stranger waits before anything of it is computed: what it costs grows with its size.
    fn pause_before(&self, length: usize) -> Result<(), Cut> {
        if !self.shared.is_crowded() || self.shared.friends.contain(Host::of(self.watched.peer())) {
            return Ok(());
        }
        let pieces = u32::try_from(length.div_ceil(LARGE)).unwrap_or(u32::MAX);
        self.watched.pause(STRANGERS_WAIT.saturating_mul(pieces).min(LONGEST_WAIT))?;
        self.watched.enter(Phase::Service, Instant::now())
    }

    fn handle(&self, request: Request) -> Reply {
        self.shared.counters.requests.fetch_add(1, Relaxed);
        // The handler is shared with threads that go on, so it must stand a panic in the middle anyway: its own state
        // is behind locks and transactions.
        catch_unwind(AssertUnwindSafe(|| self.shared.handler.handle(request))).unwrap_or_else(|_| {
            self.shared.counters.panics.fetch_add(1, Relaxed);
            log::error!("the handler panicked (bug); the caller was answered 500");
            Reply::to_bug()
        })
    }

    fn print(&mut self, reply: &Reply, framing: Framing) {
        self.outbox.clear();
        if let Err(error) = print(reply, framing, &mut self.outbox) {
            log::error!("the handler's reply cannot be sent (bug): {error}; the caller was answered 500");
            // Fixed text, which prints.
            let _ = print(&Reply::to_bug(), framing, &mut self.outbox);
        }
    }

    /// Sends the outbox with as few writes as the socket needs; false when the client is gone or takes nothing.
    fn send(&mut self) -> bool {
        let sent = self.stream.write_all(&self.outbox).and_then(|()| self.stream.flush()).is_ok();
        if self.outbox.capacity() > KEPT_OUTBOX {
            self.outbox = Vec::new();
        }
        sent
    }

    fn refuse(mut self, refusal: Refusal, head_only: bool) {
        note(self.watched, self.shared, refusal.reason());
        if self.pause().is_err() {
            return;
        }
        self.print(&Reply::to_refusal(refusal), Framing { head_only, close: true });
        if self.watched.enter_to_refuse(Phase::Write, Instant::now()).map(|()| self.send()) == Ok(true) {
            // Whatever the inbox says: what was refused may still be arriving.
            if self.stream.end().is_ok() {
                drain(self.watched, self.shared);
            }
        }
    }

    /// After the last answer, still in [`Phase::Write`].
    fn part(mut self) {
        let has_more = !self.inbox.bytes().is_empty() || self.stream.holds_bytes();
        if self.stream.end().is_ok() && has_more {
            drain(self.watched, self.shared);
        }
    }

    /// Between requests: the client may still be there. A write may block, so it has its deadline, too.
    fn leave(mut self) {
        if self.watched.enter_to_refuse(Phase::Write, Instant::now()).is_ok() {
            // Nothing is lost when the client is gone.
            let _ = self.stream.end();
        }
    }
}

/// What follows an answer.
enum Next {
    Request,
    Part,
    Drop,
}
