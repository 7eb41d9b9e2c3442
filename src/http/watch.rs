//! What a connection is doing and since when, in one atomic word; and the only way it is cut from outside.
//!
//! A connection's own thread blocks in plain reads and writes without any socket timeout. It announces what it waits
//! for with [`Watched::enter`]; the accepting thread looks at all connections (see `accept`) and shuts the socket down
//! when one has waited too long or must make room, which ends the blocked call at once. So a deadline is a deadline
//! for the whole phase however the bytes trickle, costs no system call per request, and does not care whether TLS lies
//! between.
//!
//! Both sides change the word by compare-and-swap only: a cut that is a moment too late misses, and a request that is
//! with the handler is never cut. Nor does a closing door cut a request that has begun: whoever waits for one takes no
//! byte before the word says so (see [`Watched::await_bytes`]).

use std::{
    io::ErrorKind,
    net::{IpAddr, Shutdown, TcpStream},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::DoorSettings;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The handler.
    Service,
    /// The client to take the answer.
    Write,
    /// The client to read a refusal and go.
    Drain,
    /// The client to go on with the TLS handshake, or its turn to compute.
    Handshake,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Idle, Self::Head, Self::Body, Self::Service, Self::Write, Self::Drain, Self::Handshake];

    /// How long the phase may last. The handler has no limit here: its answer is its own promise.
    pub(super) fn allowance(self, settings: &DoorSettings) -> Option<Duration> {
        match self {
            Self::Idle => Some(settings.idle_within),
            Self::Head => Some(settings.head_within),
            Self::Body => Some(settings.body_within),
            Self::Service => None,
            Self::Write => Some(settings.write_within),
            Self::Drain => Some(settings.drain_within),
            Self::Handshake => Some(settings.handshake_within),
        }
    }

    /// No phase that begins now ends by its deadline before this has passed; a millisecond at least, so that watching
    /// never becomes spinning.
    pub(super) fn shortest_allowance(settings: &DoorSettings) -> Duration {
        let allowances = Self::ALL.into_iter().filter_map(|phase| phase.allowance(settings));
        allowances.min().unwrap_or_default().max(Duration::from_millis(1))
    }
}

/// Why a connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It stayed in this phase too long: longer than allowed, or silent on a door that closes.
    Overdue(Phase),
    /// Its place was needed, or the door is closed for good.
    Evicted,
}

/// A connection, as its own thread and the watching thread share it: one descriptor, closed with the last owner.
#[derive(Debug)]
pub(super) struct Watched {
    socket: TcpStream,
    peer: IpAddr,
    opened: Instant,
    /// Milliseconds from `opened` to the entry of the phase, above the bits of [`Word`].
    word: AtomicU64,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, peer: IpAddr, now: Instant) -> Self {
        Self { socket, peer, opened: now, word: AtomicU64::new(Word::at(Phase::Idle, 0).0) }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The connection's thread: a new phase begins now. Refused when the connection has been cut.
    pub(super) fn enter(&self, phase: Phase, now: Instant) -> Result<(), Cut> {
        let next = Word::at(phase, self.millis(now));
        self.mark(|_| next)
    }

    /// Like [`enter`](Self::enter), but an overdue request is no obstacle: it is to be told so.
    pub(super) fn enter_to_refuse(&self, phase: Phase, now: Instant) -> Result<(), Cut> {
        let next = Word::at(phase, self.millis(now));
        self.change(|word| if word.has(Word::EVICTED) { None } else { Some(next) })
            .map(|_| ())
            .map_err(|word| word.cut().unwrap_or(Cut::Evicted))
    }

    /// The connection's thread: lets a stranger wait so long, in [`Phase::Body`], so that his place can be taken meanwhile.
    /// Refused when it was.
    pub(super) fn pause(&self, pause: Duration) -> Result<(), Cut> {
        self.enter(Phase::Body, Instant::now())?;
        let pause =
            Timespec { tv_sec: pause.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: pause.subsec_nanos().into() };
        // Ends early when the connection does, from either side.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::empty())], Some(&pause));
        self.check()
    }

    /// Whether the connection has been cut, which is what the end of its stream then means.
    pub(super) fn check(&self) -> Result<(), Cut> {
        match self.load().cut() {
            Some(cut) => Err(cut),
            None => Ok(()),
        }
    }

    /// The connection's thread, in [`Phase::Idle`] or [`Phase::Handshake`]: waits until there is something to read, or
    /// the end of the stream, and takes nothing of it. From the return to the next call or phase the client is not silent.
    pub(super) fn await_bytes(&self, is_closing: impl Fn() -> bool) -> Result<(), Cut> {
        self.mark(|word| word.without(Word::TAKING))?;
        // Only now: the acceptor first says that the door is closing and then looks who is silent.
        if is_closing() {
            self.end_if_silent();
        }
        while self.socket.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
        self.mark(|word| word.with(Word::TAKING))
    }

    fn mark(&self, mark: impl Fn(Word) -> Word) -> Result<(), Cut> {
        self.change(|word| if word.is_cut() { None } else { Some(mark(word)) })
            .map(|_| ())
            .map_err(|word| word.cut().unwrap_or(Cut::Evicted))
    }

    /// On a closing door: ends a stream whose client says nothing. Bytes that are in the socket, or were taken from it a
    /// moment ago, are the beginning of a request, even if its thread has not run since: that request is let in, rest and
    /// all.
    pub(super) fn end_if_silent(&self) {
        let seen = self.load();
        let waits = matches!(seen.phase(), Phase::Idle | Phase::Handshake);
        if !waits || seen.is_cut() || seen.has(Word::TAKING) {
            return;
        }
        let mut socket = [PollFd::new(&self.socket, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_silent = matches!(poll(&mut socket, Some(&at_once)), Ok(0));
        if is_silent && self.change(|word| (word == seen).then(|| word.with(Word::OVERDUE))).is_ok() {
            self.stop_reading();
        }
    }

    /// The watching thread: the phase and when it was entered; `None` when the connection is cut already.
    pub(super) fn phase(&self) -> Option<(Phase, Instant)> {
        let word = self.load();
        (!word.is_cut()).then(|| (word.phase(), self.opened + Duration::from_millis(word.entered())))
    }

    /// The watching thread: the phase, whether the connection is cut or not.
    pub(super) fn last_phase(&self) -> Phase {
        self.load().phase()
    }

    /// The watching thread: cuts the connection if it is still in the phase that was found overdue.
    pub(super) fn cut_overdue(&self, phase: Phase, entered: Instant) -> bool {
        let seen = Word::at(phase, self.millis(entered));
        self.change(|word| (word.without(Word::TAKING) == seen).then(|| word.with(Word::OVERDUE))).is_ok_and(|_| {
            match phase {
                // The client may still be told 408.
                Phase::Idle | Phase::Head | Phase::Body => self.stop_reading(),
                Phase::Service | Phase::Write | Phase::Drain | Phase::Handshake => self.shut(phase),
            }
            true
        })
    }

    /// The watching thread: takes the connection's place, unless it has moved on since it was looked at.
    pub(super) fn evict(&self, phase: Phase, entered: Instant) -> bool {
        let seen = Word::at(phase, self.millis(entered));
        self.change(|word| (word.without(Word::TAKING) == seen).then(|| word.with(Word::EVICTED))).is_ok_and(|_| {
            self.shut(phase);
            true
        })
    }

    /// The watching thread: cuts the connection whatever it does; only when the door's time to close is over.
    pub(super) fn abandon(&self) {
        let _ = self.change(|word| Some(word.with(Word::EVICTED)));
        self.shut(self.load().phase());
    }

    /// What has arrived can still be read, then the stream ends. Failure means that the connection is gone already.
    fn stop_reading(&self) {
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    fn shut(&self, phase: Phase) {
        if phase == Phase::Write {
            // The client takes nothing: let closing discard what it left in the send buffer, instead of the kernel
            // offering it for minutes. Failure only costs that memory.
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
        // Failure means that the connection is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn load(&self) -> Word {
        Word(self.word.load(SeqCst))
    }

    fn change(&self, next: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
        let next = |word| next(Word(word)).map(|word| word.0);
        self.word.fetch_update(SeqCst, SeqCst, next).map(Word).map_err(Word)
    }

    fn millis(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.opened).as_millis();
        // Instants that a process lives to see; `with` and `at` need the upper byte free.
        u64::try_from(millis).unwrap_or(u64::MAX >> Word::TIME)
    }
}

/// Phase in the lowest bits, then the cut, then the time of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const PHASE: u64 = 0b111;
    const OVERDUE: u64 = 1 << 3;
    const EVICTED: u64 = 1 << 4;
    /// In a phase that waits: something has come, and is being looked at.
    const TAKING: u64 = 1 << 5;
    const TIME: u32 = 8;

    fn at(phase: Phase, millis: u64) -> Self {
        Self(millis << Self::TIME | phase as u64)
    }

    fn with(self, bit: u64) -> Self {
        Self(self.0 | bit)
    }

    fn without(self, bit: u64) -> Self {
        Self(self.0 & !bit)
    }

    fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    fn is_cut(self) -> bool {
        self.has(Self::OVERDUE | Self::EVICTED)
    }

    fn cut(self) -> Option<Cut> {
        if self.has(Self::EVICTED) {
            Some(Cut::Evicted)
        } else if self.has(Self::OVERDUE) {
            Some(Cut::Overdue(self.phase()))
        } else {
            None
        }
    }

    fn phase(self) -> Phase {
        let index = usize::try_from(self.0 & Self::PHASE).unwrap_or_default();
        Phase::ALL.get(index).copied().unwrap_or(Phase::Idle)
    }

    fn entered(self) -> u64 {
        self.0 >> Self::TIME
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn watched(now: Instant) -> (Watched, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        (Watched::new(socket, peer.ip(), now), client)
    }

    #[test]
    fn the_phase_and_its_entry_are_kept_to_the_millisecond() {
        let start = Instant::now();
        let (watched, _client) = watched(start);
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            let at = start + Duration::from_millis(1_000_007 * index as u64);
            watched.enter(phase, at).unwrap();
            assert_eq!(watched.phase(), Some((phase, at)));
        }
    }

    #[test]
    fn a_cut_that_is_too_late_misses() {
        let start = Instant::now();
        let later = start + Duration::from_millis(5);
        let (watched, _client) = watched(start);
        watched.enter(Phase::Body, start).unwrap();
        watched.enter(Phase::Service, later).unwrap();
        assert!(!watched.cut_overdue(Phase::Body, start));
        assert!(!watched.evict(Phase::Body, start));
        assert_eq!(watched.check(), Ok(()));
    }

    #[test]
    fn an_overdue_head_ends_the_stream_and_can_still_be_answered() {
        use std::io::{Read, Write};
        let start = Instant::now();
        let (watched, mut client) = watched(start);
        watched.enter(Phase::Head, start).unwrap();
        assert!(watched.cut_overdue(Phase::Head, start));
        assert_eq!(watched.socket().read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(watched.enter(Phase::Service, start), Err(Cut::Overdue(Phase::Head)));
        assert_eq!(watched.enter_to_refuse(Phase::Write, start), Ok(()));
        watched.socket().write_all(b"408").unwrap();
        let mut answer = [0; 3];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"408");
    }

    #[test]
    fn on_a_closing_door_only_silence_is_ended() {
        use std::io::{Read, Write};
        let start = Instant::now();
        for phase in [Phase::Idle, Phase::Handshake] {
            let (talking, mut client) = watched(start);
            talking.enter(phase, start).unwrap();
            client.write_all(b"P").unwrap();
            talking.await_bytes(|| true).unwrap();
            talking.socket().read_exact(&mut [0]).unwrap();
            talking.end_if_silent();
            assert_eq!(talking.check(), Ok(()), "its beginning is with its thread, {phase:?}");
            assert!(talking.cut_overdue(phase, start), "and still it has a deadline");

            let (silent, _client) = watched(start);
            silent.enter(phase, start).unwrap();
            assert_eq!(silent.await_bytes(|| true), Err(Cut::Overdue(phase)));
        }
    }

    #[test]
    fn nothing_revives_an_evicted_connection() {
        let start = Instant::now();
        let (watched, _client) = watched(start);
        assert!(watched.evict(Phase::Idle, start));
        assert!(!watched.evict(Phase::Idle, start));
        assert_eq!(watched.enter(Phase::Head, start), Err(Cut::Evicted));
        assert_eq!(watched.enter_to_refuse(Phase::Write, start), Err(Cut::Evicted));
        assert_eq!(watched.phase(), None);
    }
}
