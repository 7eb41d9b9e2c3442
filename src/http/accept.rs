//! The one thread that accepts connections, watches their deadlines, and makes room when all places are taken.
//!
//! It never blocks but in `poll`, never reads from a connection, and no error of `accept` ends it.

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{
    lobby::Lobby,
    pool::{Arrival, Pool},
    roster::{Roster, Survey},
    shared::{Place, Shared},
    wake::BellWaiter,
    watch::{Phase, Watched},
};
use crate::alert::{self, Alarm, Kind};
use crate::trouble::Trouble;

/// Connections accepted before deadlines are looked at again.
const BATCH: usize = 64;

/// How long an evicted connection is given to free its place before the next one is asked.
const EVICTION_TAKES: Duration = Duration::from_millis(50);

/// How long connections that were cut at the end of the grace may take to notice.
const FAREWELL: Duration = Duration::from_secs(1);

/// The accepting thread's own state.
pub(super) struct Acceptor {
    listener: TcpListener,
    waiter: BellWaiter,
    shared: Arc<Shared>,
    pool: Pool,
    roster: Roster,
    /// Connections for which there is no place yet.
    lobby: Lobby,
    backoff: Backoff,
    /// No further connection is evicted before, unless the last one has freed its place.
    next_eviction: Instant,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, waiter: BellWaiter, shared: Arc<Shared>) -> Self {
        Self {
            listener,
            waiter,
            pool: Pool::new(Arc::clone(&shared)),
            roster: Roster::default(),
            lobby: Lobby::new(Instant::now()),
            backoff: Backoff::default(),
            next_eviction: Instant::now(),
            shared,
        }
    }

    /// Serves until the door closes; returns the number of requests left with the handler.
    pub(super) fn run(mut self) -> usize {
        while !self.shared.is_closing() {
            self.turn();
        }
        self.wind_down()
    }

    fn turn(&mut self) {
        let now = Instant::now();
        let friends = (!self.lobby.is_empty()).then_some(&self.shared.friends);
        let mut survey = self.roster.survey(now, &self.shared.settings, friends);
        if !self.shared.is_full() {
            self.next_eviction = now;
        }
        self.seat(&mut survey);
        self.want_place(&survey);
        let evict_at = (!self.lobby.is_empty()).then(|| self.make_room(&survey, now));
        let accept_at = self.backoff.until.filter(|&until| until > now);
        let listens = accept_at.is_none() && self.lobby.is_open(now);
        let opens_at = (!listens).then(|| self.lobby.opens());
        let until = [survey.look_again, evict_at, accept_at, opens_at].into_iter().flatten().min();
        if wait(&self.waiter, listens.then_some(&self.listener), until) {
            self.accept_batch();
        }
    }

    /// Gives places that are free to connections that wait for one. The hosts take turns.
    fn seat(&mut self, survey: &mut Survey) {
        while !self.shared.is_full() {
            let Some(host) = self.lobby.next(|host| survey.standing(host)) else { return };
            survey.hosts.entry(host).or_default().places += 1;
            let Some(watched) = self.lobby.call(host) else { return };
            // Before it is served: it must not be asked for its place on behalf of itself.
            self.want_place(survey);
            if let Err(error) = self.serve(watched) {
                return self.backoff.failed(&error);
            }
        }
    }

    /// Lets connections that answer know that others want their places. Friends give theirs to friends, and to strangers only
    /// when they had all.
    fn want_place(&self, survey: &Survey) {
        let next = self.lobby.next(|host| survey.standing(host));
        let is_for_stranger = next.is_some_and(|host| survey.is_strange(host));
        let friends_stay = is_for_stranger && survey.places_of_friends() < self.shared.settings.max_connections;
        self.shared.want_place(next.is_some(), friends_stay);
    }

    /// Evicts a connection of the host that stands highest: at once for one that stands lower, else when it has waited long
    /// enough. Otherwise says when to try again. When all are with the handler, the next one that answers gives up its place;
    /// but its client may not take the answer.
    fn make_room(&mut self, survey: &Survey, now: Instant) -> Instant {
        let Some((longest, highest)) = survey.victim() else { return now + EVICTION_TAKES };
        let next = self.lobby.next(|host| survey.standing(host)).map(|host| survey.standing(host));
        let is_due = next.is_some_and(|next| {
            let more_strange = highest.is_strange && !next.is_strange;
            more_strange || highest.is_strange == next.is_strange && highest.places > next.places + 1
        });
        let evict_after = if is_due { Duration::ZERO } else { self.shared.settings.evict_after };
        let ripe = (longest.entered + evict_after).max(self.next_eviction);
        if ripe > now {
            return ripe;
        }
        if longest.watched.upgrade().is_some_and(|watched| watched.evict(longest.phase, longest.entered)) {
            self.shared.counters.evicted.fetch_add(1, Relaxed);
        }
        self.next_eviction = now + EVICTION_TAKES;
        self.next_eviction
    }

    fn accept_batch(&mut self) {
        for _ in 0..BATCH {
            if !self.lobby.is_open(Instant::now()) {
                return;
            }
            match self.accept() {
                Ok(()) => self.backoff.succeeded(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // That connection is gone before it was accepted; the next one may be fine.
                Err(error) if is_of_one_connection(&error) => {
                    self.shared.counters.accept_errors.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    self.shared.counters.accept_errors.fetch_add(1, Relaxed);
                    self.backoff.failed(&error);
                    // Descriptors or memory ran out: give up a connection that nobody works for.
                    if self.lobby.dismiss().is_none() {
                        let now = Instant::now();
                        let survey = self.roster.survey(now, &self.shared.settings, Some(&self.shared.friends));
                        self.make_room(&survey, now);
                    }
                    return;
                }
            }
        }
    }

    /// Accepts one connection and gives it to a thread, or lets it wait for one.
    fn accept(&mut self) -> io::Result<()> {
        let (socket, peer) = self.listener.accept()?;
        let watched = Arc::new(Watched::new(socket, peer.ip().to_canonical(), Instant::now()));
        if self.lobby.is_empty() && !self.shared.is_full() {
            return self.serve(watched);
        }
        let sent_away = self.lobby.admit(watched, &self.shared.friends);
        self.shared.counters.evicted.fetch_add(sent_away, Relaxed);
        Ok(())
    }

    fn serve(&mut self, watched: Arc<Watched>) -> io::Result<()> {
        // Its time begins with its place. A connection that is new has not been cut.
        let _ = watched.enter(Phase::Idle, Instant::now());
        self.shared.counters.accepted.fetch_add(1, Relaxed);
        self.roster.add(&watched);
        let arrival = Arrival { watched, place: Place::take(&self.shared) };
        // Its kind must not be taken for accept's: a lack of threads is EAGAIN too.
        self.pool.serve(arrival).map_err(|error| io::Error::other(format!("no thread to serve it: {error}")))
    }

    fn wind_down(self) -> usize {
        let Self { listener, lobby, waiter, shared, pool, mut roster, .. } = self;
        drop((listener, lobby));
        roster.release_idle();
        let deadline = shared.closes_at();
        while shared.counters.now().open > 0 && Instant::now() < deadline {
            let survey = roster.survey(Instant::now(), &shared.settings, None);
            let until = survey.look_again.map_or(deadline, |at| at.min(deadline));
            wait(&waiter, None, Some(until));
        }
        roster.abandon();
        let farewell = Instant::now() + FAREWELL;
        while shared.counters.now().open > roster.in_service() && Instant::now() < farewell {
            wait(&waiter, None, Some(Instant::now() + EVICTION_TAKES));
        }
        let stragglers = shared.counters.now().open;
        pool.close(stragglers > 0);
        stragglers
    }
}

/// Waits for the bell, the listener or the time; true when there is something to accept.
fn wait(waiter: &BellWaiter, listener: Option<&TcpListener>, until: Option<Instant>) -> bool {
    let mut fds = vec![PollFd::from_borrowed_fd(waiter.fd(), PollFlags::IN)];
    fds.extend(listener.map(|listener| PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)));
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        // A shorter wait than asked for is only looked at again.
        Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
    });
    // A failure (a signal) is a wait that ended early.
    if poll(&mut fds, timeout.as_ref()).is_err() {
        return false;
    }
    let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
    if ready(0) {
        waiter.answer();
    }
    ready(1)
}

/// Linux reports errors of the network on the accepted connection through accept (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::TimedOut
    )
}

/// Pauses after failures that will not go away by trying at once: 10 ms, doubling to a second.
#[derive(Default)]
struct Backoff {
    until: Option<Instant>,
    delay: Duration,
    trouble: Trouble,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    fn succeeded(&mut self) {
        (self.until, self.delay) = (None, Duration::ZERO);
        if self.trouble.lasts()
            && let Some(over) = self.trouble.over(Instant::now())
        {
            log::warn!("connections are accepted again, after {} failures in {:.1?}", over.times, over.lasted);
            alert::over(Kind::ConnectionsRefused);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let now = Instant::now();
        self.delay = (self.delay * 2).clamp(Self::FIRST, Self::LONGEST);
        self.until = Some(now + self.delay);
        if self.trouble.met(now) {
            log::error!("ALERT cannot accept a connection: {error}{}; trying on", mend(error));
            alert::raise(Alarm::ConnectionsRefused);
        }
    }
}

/// What to do about it, where that is plain.
fn mend(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => ": raise LimitNOFILE in the unit (ulimit -n), or lower server.max_connections",
        Some(Errno::NFILE) => ": the machine has no room for more open files (fs.file-max)",
        Some(Errno::NOMEM | Errno::NOBUFS) => ": the machine is short of memory",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_failures_doubles_to_a_second_and_starts_over_after_a_success() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..9)
            .map(|_| {
                backoff.failed(&io::Error::other("no descriptors"));
                backoff.delay.as_millis()
            })
            .collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(backoff.trouble.lasts());
        backoff.succeeded();
        assert_eq!(backoff.until, None);
        backoff.failed(&io::Error::other("no descriptors"));
        assert_eq!(backoff.delay, Backoff::FIRST);
    }
}
