//! Connections that have been accepted and wait for a place, by the host they come from.
//!
//! The kernel's queue is first come, first served: a host that opens connections as fast as it can fills it, and everybody
//! else waits behind it or is not let in at all. So the door empties that queue at once, and here the hosts take turns.
//! Nothing is read from a connection that waits here, and it has no thread.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{friends::Friends, watch::Watched};

/// Connections that may wait. Those of a burst that come to more find room in the kernel's queue.
pub const LOBBY: usize = 256;

/// A crowd of this length is no burst.
const BURST: Duration = Duration::from_secs(1);

/// When nobody has gone, it is looked again after so long.
const SWEPT: Duration = Duration::from_millis(10);

/// Where connections come from. Whoever has an IPv6 address has a network of 64 bits of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Host(IpAddr);

impl Host {
    pub(super) fn of(peer: IpAddr) -> Self {
        match peer {
            IpAddr::V4(_) => Self(peer),
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))),
        }
    }
}

/// Those who wait.
#[derive(Debug)]
pub(super) struct Lobby {
    by_host: HashMap<Host, VecDeque<Guest>>,
    count: usize,
    /// Those of them from hosts where nobody has proved who he is.
    strange: usize,
    /// How many have ever come.
    arrivals: u64,
    /// Since when there has always been somebody.
    since: Instant,
    /// Not before then it is looked again for those who have gone: of a crowd that stays, that would be looked at in vain for
    /// each that comes.
    sweep_at: Instant,
}

#[derive(Debug)]
struct Guest {
    number: u64,
    /// Nobody from there had proved who he is when it came.
    is_strange: bool,
    watched: Arc<Watched>,
}

impl Lobby {
    pub(super) fn new(now: Instant) -> Self {
        Self { by_host: HashMap::new(), count: 0, strange: 0, arrivals: 0, since: now, sweep_at: now }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether one more may come in. A full lobby of friends leaves the connections of a burst where they are. Where strangers
    /// wait, or when it lasts, all are let in and others sent away: so nobody waits unseen in the kernel's queue, or is not
    /// even let into that.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.count < LOBBY || self.strange > 0 || now >= self.opens()
    }

    /// When it is worth asking again whether one more may come in.
    pub(super) fn opens(&self) -> Instant {
        self.since + BURST
    }

    /// Lets one more wait. When that is one too many, those whose clients have gone are dropped, or else whoever came last of
    /// the strange host with the most. Returns how many.
    pub(super) fn admit(&mut self, watched: Arc<Watched>, friends: &Friends) -> u64 {
        let host = Host::of(watched.peer());
        let guest = Guest { number: self.arrivals, is_strange: !friends.contain(host), watched };
        if self.count == 0 {
            self.since = Instant::now();
        }
        self.arrivals += 1;
        self.count += 1;
        self.strange += usize::from(guest.is_strange);
        self.by_host.entry(host).or_default().push_back(guest);
        if self.count <= LOBBY {
            return 0;
        }
        let (full, now) = (self.count, Instant::now());
        if now >= self.sweep_at {
            self.sweep();
            if self.count == full {
                self.sweep_at = now + SWEPT;
            }
        }
        if self.count == full {
            self.dismiss();
        }
        (full - self.count) as u64
    }

    /// Drops those whose clients have ended their side: one that has given up must not keep out one that came after it.
    fn sweep(&mut self) {
        let sockets = self.by_host.values().flatten().map(|guest| guest.watched.socket());
        let mut sockets: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::RDHUP)).collect();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Without an answer nobody has gone.
        if !poll(&mut sockets, Some(&at_once)).is_ok_and(|gone| gone > 0) {
            return;
        }
        let asked = self.by_host.values().flatten().zip(&sockets);
        let gone = asked.filter(|(_, socket)| !socket.revents().is_empty()).map(|(guest, _)| guest.number);
        let gone: HashSet<u64> = gone.collect();
        self.by_host.retain(|_, guests| {
            guests.retain(|guest| !gone.contains(&guest.number));
            !guests.is_empty()
        });
        self.count = self.by_host.values().map(VecDeque::len).sum();
        self.strange = self.by_host.values().flatten().filter(|guest| guest.is_strange).count();
    }

    /// Takes out whoever came last of the strange host with the most.
    pub(super) fn dismiss(&mut self) -> Option<Arc<Watched>> {
        let is_strange = |guests: &VecDeque<Guest>| guests.back().is_some_and(|guest| guest.is_strange);
        let most = *self.by_host.iter().max_by_key(|(_, guests)| (is_strange(guests), guests.len()))?.0;
        self.take(most, VecDeque::pop_back)
    }

    /// The host whose turn it is: the one that stands lowest, and of those the one that has waited longest.
    pub(super) fn next<S: Ord>(&self, standing: impl Fn(Host) -> S) -> Option<Host> {
        let rank =
            |(host, guests): &(&Host, &VecDeque<Guest>)| (standing(**host), guests.front().map(|guest| guest.number));
        self.by_host.iter().min_by_key(rank).map(|(host, _)| *host)
    }

    /// Takes out whoever has waited longest of a host.
    pub(super) fn call(&mut self, host: Host) -> Option<Arc<Watched>> {
        self.take(host, VecDeque::pop_front)
    }

    fn take(&mut self, host: Host, which: impl FnOnce(&mut VecDeque<Guest>) -> Option<Guest>) -> Option<Arc<Watched>> {
        let guests = self.by_host.get_mut(&host)?;
        let guest = which(guests)?;
        if guests.is_empty() {
            self.by_host.remove(&host);
        }
        self.count -= 1;
        self.strange -= usize::from(guest.is_strange);
        Some(guest.watched)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        iter,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A connection as if it came from there, and its client.
    fn from(peer: &str) -> (Arc<Watched>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        (Arc::new(Watched::new(socket, peer.parse().unwrap(), Instant::now())), client)
    }

    fn host(peer: &str) -> Host {
        Host::of(peer.parse().unwrap())
    }

    #[test]
    fn the_host_that_holds_the_least_is_next_and_of_one_host_the_first() {
        let mut lobby = Lobby::new(Instant::now());
        for peer in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            assert_eq!(lobby.admit(from(peer).0, &Friends::default()), 0);
        }
        let places = |of: Host| if of == host("192.0.2.1") { 2 } else { 1 };
        assert_eq!(lobby.next(places), Some(host("192.0.2.2")), "the longer waiting of two with one each");
        assert_eq!(lobby.next(|_| 0), Some(host("192.0.2.1")), "without any, first come, first served");
        while let Some(next) = lobby.next(places) {
            assert!(lobby.call(next).is_some());
        }
        assert!(lobby.is_empty());
    }

    #[test]
    fn a_full_lobby_sends_away_the_last_of_the_strange_host_with_the_most() {
        let (now, friends) = (Instant::now(), Friends::default());
        let mut lobby = Lobby::new(now);
        let (friend, strange, rare) = (from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3"));
        friends.add(Host::of(friend.0.peer()), now);
        for number in 0..LOBBY {
            let (guest, _) = if number < 10 { &strange } else { &friend };
            assert_eq!(lobby.admit(Arc::clone(guest), &friends), 0);
        }
        assert!(lobby.is_open(now), "there is somebody to send away");
        assert_eq!(lobby.admit(Arc::clone(&rare.0), &friends), 1);
        assert!(lobby.call(host("192.0.2.3")).is_some(), "it is not the one that came just now");
        assert_eq!(iter::from_fn(|| lobby.call(host("192.0.2.2"))).count(), 9);
        assert_eq!(iter::from_fn(|| lobby.call(host("192.0.2.1"))).count(), LOBBY - 10);
        assert!(lobby.is_empty() && lobby.strange == 0);
    }

    #[test]
    fn those_whose_clients_have_gone_are_sent_away_before_anybody_who_is_there() {
        let friends = Friends::default();
        let mut lobby = Lobby::new(Instant::now());
        let (there, _client) = from("192.0.2.1");
        let (gone, client) = from("192.0.2.1");
        drop(client);
        for number in 0..LOBBY {
            let guest = if number % 2 == 0 { &there } else { &gone };
            assert_eq!(lobby.admit(Arc::clone(guest), &friends), 0);
        }
        let new = from("192.0.2.1");
        assert_eq!(lobby.admit(Arc::clone(&new.0), &friends), LOBBY as u64 / 2);
        assert_eq!((lobby.count, lobby.strange), (LOBBY / 2 + 1, LOBBY / 2 + 1));
        let last = iter::from_fn(|| lobby.call(host("192.0.2.1"))).last().unwrap();
        assert!(Arc::ptr_eq(&last, &new.0), "who came last is there");
        assert_eq!((lobby.is_empty(), lobby.strange), (true, 0));
    }

    #[test]
    fn a_burst_of_friends_waits_outside_unless_it_lasts() {
        let (now, friends) = (Instant::now(), Friends::default());
        let mut lobby = Lobby::new(now);
        let (friend, _client) = from("192.0.2.1");
        friends.add(Host::of(friend.peer()), now);
        for _ in 0..LOBBY {
            assert!(lobby.is_open(now));
            assert_eq!(lobby.admit(Arc::clone(&friend), &friends), 0);
        }
        assert!(!lobby.is_open(now) && lobby.is_open(lobby.opens()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_host() {
        assert_eq!(host("2001:db8:0:1::1"), host("2001:db8:0:1:ffff::2"));
        assert_ne!(host("2001:db8:0:1::1"), host("2001:db8:0:2::1"));
        assert_ne!(host("192.0.2.1"), host("192.0.2.2"));
    }
}
