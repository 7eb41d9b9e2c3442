//! Wrong tokens at the login form: counted for each source and in all, so that guessing is slow.
//!
//! A source that has used up its attempts waits for the next; others do not wait with it. A browser that has logged in before
//! is a source of its own, by a cookie that only who has the token can make: nobody shuts the owner out by failing, not
//! even from behind the same proxy. Memory is bounded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A source may be wrong so often at once, and then once in every [`EACH_PAUSE`].
const EACH_BURST: u32 = 5;
const EACH_PAUSE: Duration = Duration::from_secs(10);

/// All unknown sources together.
const ALL_BURST: u32 = 50;
const ALL_PAUSE: Duration = Duration::from_secs(1);

/// So many sources are remembered.
const MOST_SOURCES: usize = 1024;

/// Where an attempt comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An address; of IPv6 the network of a household.
    Address(IpAddr),
    /// A browser that has logged in before, by the id in its cookie.
    Known(String),
}

impl Source {
    pub(super) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

/// What sources have used up.
pub(super) struct Attempts(Mutex<State>);

struct State {
    /// When all that a source has used is given back.
    each: HashMap<Source, Instant>,
    all: Instant,
}

impl Default for Attempts {
    fn default() -> Self {
        Self(Mutex::new(State { each: HashMap::new(), all: Instant::now() }))
    }
}

impl Attempts {
    /// Takes an attempt for a token that is about to be looked at.
    ///
    /// # Errors
    /// How long until there is one, if none is left.
    pub(super) fn take(&self, source: &Source, now: Instant) -> Result<(), Duration> {
        let mut state = self.lock();
        state.each.retain(|_, until| *until > now);
        let used = state.each.get(source).copied().unwrap_or(now);
        let each = after(used, EACH_BURST, EACH_PAUSE, now)?;
        if matches!(source, Source::Address(_)) {
            state.all = after(state.all, ALL_BURST, ALL_PAUSE, now)?;
        }
        if state.each.len() >= MOST_SOURCES && !state.each.contains_key(source) {
            // The one that has done least.
            let least = state.each.iter().min_by_key(|(_, until)| **until).map(|(source, _)| source.clone());
            if let Some(source) = least {
                state.each.remove(&source);
            }
        }
        state.each.insert(source.clone(), each);
        Ok(())
    }

    /// Gives a source back what it has used: the token was right.
    pub(super) fn was_right(&self, source: &Source) {
        let mut state = self.lock();
        state.each.remove(source);
        if matches!(source, Source::Address(_)) {
            state.all = state.all.checked_sub(ALL_PAUSE).unwrap_or(state.all);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Instants that are changed in single steps: usable whatever happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When all that is used is given back, after one more.
fn after(used: Instant, burst: u32, pause: Duration, now: Instant) -> Result<Instant, Duration> {
    let until = used.max(now) + pause;
    match (until - now).checked_sub(burst * pause) {
        None | Some(Duration::ZERO) => Ok(until),
        Some(wait) => Err(wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Source {
        Source::of_address(text.parse().unwrap())
    }

    fn takes(attempts: &Attempts, source: &Source, now: Instant) -> u32 {
        (0..1000).take_while(|_| attempts.take(source, now).is_ok()).count().try_into().unwrap()
    }

    #[test]
    fn a_source_waits_after_some_attempts_and_no_other_waits_with_it() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(takes(&attempts, &one, now), EACH_BURST);
        assert_eq!(attempts.take(&one, now), Err(EACH_PAUSE));
        assert_eq!(takes(&attempts, &other, now), EACH_BURST);
        let later = now + EACH_PAUSE;
        assert_eq!(takes(&attempts, &one, later), 1);
        let much_later = now + 100 * EACH_PAUSE;
        assert_eq!(takes(&attempts, &one, much_later), EACH_BURST, "no more is saved up");
    }

    #[test]
    fn who_was_right_has_used_nothing() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let source = address("192.0.2.1");
        for _ in 0..3 * ALL_BURST {
            attempts.take(&source, now).unwrap();
            attempts.was_right(&source);
        }
        assert_eq!(takes(&attempts, &source, now), EACH_BURST);
    }

    #[test]
    fn many_sources_together_are_bounded_and_a_known_browser_is_not_held_up_by_them() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let all: u32 = (0..200).map(|host| takes(&attempts, &address(&format!("192.0.2.{host}")), now)).sum();
        assert_eq!(all, ALL_BURST);
        assert_eq!(takes(&attempts, &Source::Known("browser".to_owned()), now), EACH_BURST);
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::1"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn so_many_sources_are_remembered_and_no_more() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let busy = Source::Known("busy".to_owned());
        takes(&attempts, &busy, now);
        for number in 0..2 * MOST_SOURCES {
            attempts.take(&Source::Known(number.to_string()), now).unwrap();
        }
        assert_eq!(attempts.lock().each.len(), MOST_SOURCES);
        assert!(attempts.take(&busy, now).is_err(), "who has used much is remembered longest");
    }
}
