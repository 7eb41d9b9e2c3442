//! Opening the client secrets of directory calls: only of verified calls, a few at a time, outside every transaction.
//!
//! RSA costs milliseconds of a core. Who holds the kit key could otherwise take the cores from everybody's answers.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::conversation::Conversation;
use crate::alert::{self, Alarm};
use crate::operation::Environment;
use crate::protocol::call::Call;
use crate::protocol::kit::calls::{DirectoryChange, DirectorySync};
use crate::protocol::kit::client_secret::Oaep;
use crate::protocol::result_code::ResultCode;
use crate::secret::Secret;

/// So many may do something at once.
pub(super) struct Permits {
    free: Mutex<usize>,
    changed: Condvar,
}

/// Leave to do it, given back when dropped.
struct Permit<'p>(&'p Permits);

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), changed: Condvar::new() }
    }

    /// Waits for leave; `None` when the time is over first.
    fn take(&self, until: Instant) -> Option<Permit<'_>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(free, left, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *free == 0 {
            return None;
        }
        *free -= 1;
        Some(Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A counter only: a poisoned one is whole.
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}

/// The client secret of a call, if it brings one.
///
/// # Errors
/// What to answer when it cannot be opened. It does not tell which attempt failed, or how (spec 3-kit §7).
pub(super) fn open(
    permits: &Permits,
    conversation: &Conversation,
    call: &Call,
    sync: &DirectorySync,
) -> Result<Option<Secret<String>>, (ResultCode, &'static str)> {
    let DirectoryChange::SetApplication(told) = &sync.change else { return Ok(None) };
    let Some(_permit) = permits.take(conversation.wait_until()) else {
        log::warn!("{}: too many client secrets at a time", conversation.title());
        return Err((ResultCode::INTERNAL, "busy, please call again"));
    };
    let keys = &conversation.settings.kit_private_keys;
    match keys.decrypt(told.encrypted_secret.expose(), &Oaep::AUTO) {
        Ok((secret, oaep, key)) => {
            let test = if call.environment == Environment::Test { " (a test)" } else { "" };
            let (title, oaep, length) = (conversation.title(), oaep.as_str(), secret.expose().chars().count());
            log::info!("{title}{test}: client secret of {length} characters opened by key {}, OAEP {oaep}", key + 1);
            Ok(Some(secret))
        }
        Err(fault) => {
            let said = format!(
                "{}: the client secret of application {:?} cannot be opened: {fault}; is the public key in the seller \
                 console that of keys.kit_private_keys?",
                conversation.title(),
                told.app_id
            );
            // Who plays a debugging call sees how it was answered, and no buyer's login depends on it.
            match call.environment {
                Environment::Test => log::warn!("{said} (a test)"),
                Environment::Real => {
                    log::error!("ALERT {said}");
                    alert::raise(Alarm::SecretUnreadable { app_id: told.app_id.to_string() });
                }
            }
            Err((ResultCode::CLIENT_SECRET, "clientSecret cannot be decrypted"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn leave_is_given_to_so_many_at_a_time_and_given_back() {
        let permits = Permits::new(2);
        let soon = || Instant::now() + Duration::from_secs(60);
        let (one, two) = (permits.take(soon()), permits.take(soon()));
        assert!(one.is_some() && two.is_some());
        assert!(permits.take(Instant::now()).is_none());
        drop(one);
        assert!(permits.take(Instant::now()).is_some());
    }
}
