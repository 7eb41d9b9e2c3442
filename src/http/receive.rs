//! From a stream to one whole request, within every limit. Until the last byte is in, nobody sees any of it.
//!
//! Bytes of a next request that arrive early stay in the [`Inbox`], whose size is bounded: a client that pipelines
//! without reading answers fills its own socket, not our memory.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::Instant,
};

use super::{
    Method,
    body::{Body, Share},
    connection::Stream,
    head::{self, Head, HeadScanner},
    refusal::Refusal,
    shared::Shared,
    watch::{Cut, Phase, Watched},
};

/// A request and the share of the body budget it occupies.
pub(super) struct Received<'a> {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    pub(super) at: Instant,
    pub(super) _share: Share<'a>,
}

/// Why no further request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Between requests, or cut from outside: there is nothing to say and nobody to say it to.
    Quiet,
    /// The client is to be told.
    Refused {
        refusal: Refusal,
        /// It has asked for the head of an answer only.
        head_only: bool,
    },
}

impl Ending {
    /// Of a request that asks for the head of an answer only, or does not.
    fn to(self, head_only: bool) -> Self {
        match self {
            Self::Quiet => self,
            Self::Refused { refusal, .. } => Self::Refused { refusal, head_only },
        }
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal, head_only: false }
    }
}

impl From<Cut> for Ending {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Overdue(Phase::Head) => Refusal::HeadTooSlow.into(),
            Cut::Overdue(Phase::Body) => Refusal::BodyTooSlow.into(),
            Cut::Overdue(_) | Cut::Evicted => Self::Quiet,
        }
    }
}

/// Waits for one request and receives it. On return the connection is in [`Phase::Service`].
pub(super) fn receive<'a, S: Stream>(
    stream: &mut S,
    inbox: &mut Inbox,
    watched: &Watched,
    shared: &'a Shared,
) -> Result<Received<'a>, Ending> {
    let head =
        receive_head(stream, inbox, watched, shared).map_err(|ending| ending.to(head::asks_for_head(inbox.bytes())))?;
    let body =
        receive_body(stream, inbox, watched, shared, &head).map_err(|ending| ending.to(head.method == Method::Head))?;
    let (body, share) = body.finish();
    let at = Instant::now();
    watched.enter(Phase::Service, at)?;
    Ok(Received { head, body, at, _share: share })
}

/// Takes a head out of the inbox; one that is refused stays there.
fn receive_head<S: Stream>(
    stream: &mut S,
    inbox: &mut Inbox,
    watched: &Watched,
    shared: &Shared,
) -> Result<Head, Ending> {
    let length = await_head(stream, inbox, watched, shared)?;
    let head = head::parse(&inbox.bytes()[..length])?;
    inbox.consume(length);
    Ok(head)
}

/// Reads until a whole head is in the inbox and returns its length.
fn await_head<S: Stream>(
    stream: &mut S,
    inbox: &mut Inbox,
    watched: &Watched,
    shared: &Shared,
) -> Result<usize, Ending> {
    let mut scanner = HeadScanner::new(shared.settings.max_head);
    let mut announced = None;
    loop {
        if let Some(length) = scanner.advance(inbox.bytes())? {
            return Ok(length);
        }
        let has_begun = !head::is_blank(inbox.bytes()) || stream.holds_bytes();
        let phase = if has_begun { Phase::Head } else { Phase::Idle };
        if announced == Some(phase) {
            watched.check()?;
        } else {
            watched.enter(phase, Instant::now())?;
            announced = Some(phase);
        }
        if phase == Phase::Idle && stream.needs_socket() {
            watched.await_bytes(|| shared.is_closing())?;
        }
        let filled = inbox.fill(stream, shared.settings.max_head);
        if filled.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            continue;
        }
        if filled.unwrap_or(0) == 0 {
            watched.check()?;
            return Err(if phase == Phase::Idle { Ending::Quiet } else { Refusal::Truncated.into() });
        }
    }
}

fn receive_body<'a, S: Stream>(
    stream: &mut S,
    inbox: &mut Inbox,
    watched: &Watched,
    shared: &'a Shared,
    head: &Head,
) -> Result<Body<'a>, Ending> {
    let length = usize::try_from(head.body_length).unwrap_or(usize::MAX);
    if length > shared.settings.max_body {
        return Err(Refusal::BodyTooLarge.into());
    }
    let here = inbox.bytes().len().min(length);
    let mut body = Body::begin(length, &inbox.bytes()[..here], &shared.budget)?;
    inbox.consume(here);
    if body.is_whole() {
        return Ok(body);
    }
    if head.expects_continue && here == 0 {
        invite_body(stream, watched)?;
    }
    watched.enter(Phase::Body, Instant::now())?;
    while !body.is_whole() {
        let read = read(stream, body.space()?);
        watched.check()?;
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            continue;
        }
        let count = read.unwrap_or(0);
        body.advance(count);
        if count == 0 {
            return Err(Refusal::Truncated.into());
        }
    }
    Ok(body)
}

/// RFC 9110 §10.1.1: a client that asked first may send its body now.
fn invite_body<S: Write>(stream: &mut S, watched: &Watched) -> Result<(), Ending> {
    watched.enter(Phase::Write, Instant::now())?;
    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| Ending::Quiet)
}

fn read<S: Read>(stream: &mut S, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(space) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What has been read and not yet used.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Initialised up to its end; the unused bytes are `start..end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// Holds a usual request, head and body, so that it takes one read.
    const USUAL: usize = 8 << 10;

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > Self::USUAL {
                // A large head is rare; the connection may idle for a minute after it.
                self.buffer = Vec::new();
            }
        }
    }

    /// Reads once. Never holds more than `limit` bytes or [`USUAL`](Self::USUAL), whichever is larger; a full inbox
    /// reads nothing, but a head that fills it has been refused before.
    fn fill<S: Read>(&mut self, stream: &mut S, limit: usize) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            self.make_room(limit);
        }
        let count = read(stream, &mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    fn make_room(&mut self, limit: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            let size = (self.buffer.len() * 2).clamp(Self::USUAL, limit.max(Self::USUAL));
            self.buffer.reserve_exact(size - self.end);
            self.buffer.resize(size, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inbox_never_holds_more_than_a_head() {
        let mut endless = io::repeat(b'x');
        let mut inbox = Inbox::default();
        let mut total = 0;
        loop {
            let count = inbox.fill(&mut endless, 20_000).unwrap();
            total += count;
            if count == 0 {
                break;
            }
        }
        assert_eq!((total, inbox.bytes().len(), inbox.buffer.capacity()), (20_000, 20_000, 20_000));
    }

    #[test]
    fn what_is_left_moves_to_the_front_before_the_inbox_grows() {
        let mut inbox = Inbox::default();
        inbox.fill(&mut io::repeat(b'x'), 8 << 10).unwrap();
        inbox.consume((8 << 10) - 3);
        inbox.fill(&mut &b"abc"[..], 8 << 10).unwrap();
        assert_eq!(inbox.bytes(), b"xxxabc");
        assert_eq!(inbox.buffer.len(), 8 << 10);
    }

    #[test]
    fn an_inbox_grown_by_a_large_head_shrinks_when_it_is_used_up() {
        let mut inbox = Inbox::default();
        while inbox.fill(&mut io::repeat(b'x'), 48 << 10).unwrap() > 0 {}
        inbox.consume(48 << 10);
        assert_eq!((inbox.bytes(), inbox.buffer.capacity()), (&b""[..], 0));
    }
}
