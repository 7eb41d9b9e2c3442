//! Who is logged in. Sessions are in memory only: a restart ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::digest;

use crate::page::Flash;
use crate::random::{self, NoRandomness};
use crate::secret::Secret;

/// A session that is not used for so long ends.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);

/// However busy, none lasts longer.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// So many at once; another one takes the place of the one that was used least lately.
const MOST: usize = 64;

/// The SHA-256 of a session's id: what is looked up says nothing, by its time, of ids that are good.
type Digest = [u8; 32];

/// Everybody who is logged in.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Held>>);

struct Held {
    csrf: Secret<String>,
    since: Instant,
    used: Instant,
    flash: Option<Flash>,
}

/// A session as a request finds it.
pub(super) struct Session {
    digest: Digest,
    /// What each of its forms carries.
    pub(super) csrf: Secret<String>,
}

impl Sessions {
    /// Begins one; its id is for the browser's cookie alone.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn begin(&self, now: Instant) -> Result<Secret<String>, NoRandomness> {
        let (id, csrf) = (random::secret_id()?, random::secret_id()?);
        let mut sessions = self.lock();
        sessions.retain(|_, held| held.is_good(now));
        while sessions.len() >= MOST {
            let Some(oldest) = sessions.iter().min_by_key(|(_, held)| held.used).map(|(digest, _)| *digest) else {
                break;
            };
            sessions.remove(&oldest);
        }
        sessions.insert(digest_of(id.expose()), Held { csrf, since: now, used: now, flash: None });
        Ok(id)
    }

    /// The session of this id, which is used now.
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Session> {
        let digest = digest_of(id);
        let mut sessions = self.lock();
        let held = sessions.get_mut(&digest)?;
        if !held.is_good(now) {
            sessions.remove(&digest);
            return None;
        }
        held.used = now;
        Some(Session { digest, csrf: held.csrf.clone() })
    }

    /// Leaves a message for the next page of a session.
    pub(super) fn leave(&self, session: &Session, flash: Flash) {
        if let Some(held) = self.lock().get_mut(&session.digest) {
            held.flash = Some(flash);
        }
    }

    /// Takes that message.
    pub(super) fn take(&self, session: &Session) -> Option<Flash> {
        self.lock().get_mut(&session.digest)?.flash.take()
    }

    /// Ends one.
    pub(super) fn end(&self, session: &Session) {
        self.lock().remove(&session.digest);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Held>> {
        // A map that is changed in single steps: usable whatever happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE && now.saturating_duration_since(self.since) < LONGEST
    }
}

fn digest_of(id: &str) -> Digest {
    let mut bytes = [0; 32];
    // A SHA-256 has these 32 bytes.
    bytes.copy_from_slice(digest::digest(&digest::SHA256, id.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::words;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_session_ends_when_it_is_not_used_and_at_last_however_busy() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let id = sessions.begin(start).unwrap();
        let id = id.expose();
        assert!(sessions.find(id, start + IDLE - SECOND).is_some());
        assert!(sessions.find(id, start + IDLE + IDLE - 2 * SECOND).is_some(), "it was used meanwhile");
        assert!(sessions.find(id, start + 3 * IDLE - 2 * SECOND).is_none());
        assert!(sessions.find(id, start).is_none(), "what has ended does not come back");
        let busy = sessions.begin(start).unwrap();
        let mut at = start;
        while at + IDLE / 2 < start + LONGEST {
            at += IDLE / 2;
            assert!(sessions.find(busy.expose(), at).is_some());
        }
        assert!(sessions.find(busy.expose(), start + LONGEST).is_none());
    }

    #[test]
    fn there_are_so_many_at_most_and_the_one_that_was_not_used_longest_goes() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let ids: Vec<_> = (0..MOST).map(|_| sessions.begin(start).unwrap()).collect();
        let later = start + SECOND;
        for id in &ids[1..] {
            assert!(sessions.find(id.expose(), later).is_some());
        }
        let newest = sessions.begin(later).unwrap();
        assert!(sessions.find(newest.expose(), later).is_some());
        assert!(sessions.find(ids[0].expose(), later).is_none());
        assert!(ids[1..].iter().all(|id| sessions.find(id.expose(), later).is_some()));
        assert_eq!(sessions.lock().len(), MOST);
    }

    #[test]
    fn ids_and_form_tokens_are_long_and_never_the_same() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (one, two) = (sessions.begin(now).unwrap(), sessions.begin(now).unwrap());
        assert!(one != two && one.expose().len() == 64);
        let [first, second] = [&one, &two].map(|id| sessions.find(id.expose(), now).unwrap().csrf);
        assert!(first != second && first.expose().len() == 64 && first != one);
        for wrong in ["", "0", &one.expose()[..63], &one.expose().to_uppercase()] {
            assert!(sessions.find(wrong, now).is_none() || wrong == one.expose());
        }
    }

    #[test]
    fn a_message_is_shown_once_and_ends_with_its_session() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(now).unwrap();
        let session = sessions.find(id.expose(), now).unwrap();
        let flash = Flash { is_good: true, message: words("好", "done") };
        sessions.leave(&session, flash.clone());
        assert_eq!(sessions.take(&session), Some(flash.clone()));
        assert_eq!(sessions.take(&session), None);
        sessions.end(&session);
        sessions.leave(&session, flash);
        assert_eq!(sessions.take(&session), None);
        assert!(sessions.find(id.expose(), now).is_none());
    }
}
