//! The lock after a refused access key: KooGallery locks a key for five minutes after more than five refusals in a row, for
//! everybody who uses it. So after one, nothing is called for as long and longer, by no process and after no restart.

use std::sync::{Mutex, PoisonError};

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use super::error::OpenApiError;
use crate::protocol::open_api::aksk::Credentials;
use crate::protocol::open_api::reply::Refusal;
use crate::store::{OpenApiRefusalRow, Store, StoreError};

/// The pause after a refusal: KooGallery's own lock lasts as long. Doubled for each refusal in a row.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// A clock that differs by less is not worth a word; KooGallery tolerates 15 minutes.
pub(super) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// Remembers whether the access key was refused.
#[derive(Default)]
pub(super) struct Lock(Mutex<Option<OpenApiRefusalRow>>);

impl Lock {
    /// Whether a call may be made.
    ///
    /// # Errors
    /// [`OpenApiError::Locked`]: not yet.
    pub(super) fn check(&self, store: &Store, credentials: &Credentials, now: Timestamp) -> Result<(), OpenApiError> {
        let label = label(store, credentials);
        let stored = store.read(|tx| tx.open_api_refusal(&label))?;
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process may have been refused, or accepted, meanwhile.
        *remembered = stored;
        match &*remembered {
            // A clock that was set back must not make the pause longer than it may be.
            Some(refusal) if now < refusal.not_before && refusal.refused_at <= now => {
                Err(OpenApiError::Locked { until: refusal.not_before, reason: refusal.message.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The key was refused; `difference` is by how much this machine's clock is ahead of KooGallery's, where that is known.
    /// Returns what to do about it, and when the next call may be made.
    pub(super) fn refused(
        &self,
        store: &Store,
        credentials: &Credentials,
        refusal: &Refusal,
        difference: Option<SignedDuration>,
        now: Timestamp,
    ) -> (String, Timestamp) {
        let advice = advice(difference);
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refusals = remembered.as_ref().map_or(0, |earlier| earlier.refusals) + 1;
        let doubled = 1_i32.checked_shl(refusals - 1).filter(|factor| *factor > 0).unwrap_or(i32::MAX);
        let pause = FIRST_PAUSE.checked_mul(doubled).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        let not_before = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let row = OpenApiRefusalRow { refusals, refused_at: now, not_before, message: format!("{refusal}{advice}") };
        *remembered = Some(row.clone());
        drop(remembered);
        let label = label(store, credentials);
        let recorded = store.write(None, move |tx| tx.put_open_api_refusal(&label, &row));
        log::error!(
            "ALERT KooGallery refused the access key of [open_api]: {refusal}{advice}; nothing is called before \
             {not_before:.0}, so that KooGallery does not lock it"
        );
        if let Err(error) = recorded {
            log::error!("the refusal could not be recorded: {error}");
        }
        (advice, not_before)
    }

    /// The key was accepted.
    pub(super) fn accepted(&self, store: &Store, credentials: &Credentials) {
        let earlier = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if earlier.is_none() {
            return;
        }
        let label = label(store, credentials);
        log::info!("KooGallery accepts the access key of [open_api] again");
        if let Err(error) = store.write(None, move |tx| tx.remove_open_api_refusal(&label)) {
            log::error!("the end of the refusal could not be recorded: {error}");
        }
    }
}

/// Until when an access key is not used.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn locked_until(
    store: &Store,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Option<OpenApiRefusalRow>, StoreError> {
    let label = label(store, credentials);
    Ok(store.read(|tx| tx.open_api_refusal(&label))?.filter(|refusal| now < refusal.not_before))
}

/// Another secret is another key: a mended configuration is tried at once.
fn label(store: &Store, credentials: &Credentials) -> String {
    store.sealing().label(&format!("{}:{}", credentials.access_key_id, credentials.secret_access_key.expose()))
}

/// What is probably wrong.
fn advice(difference: Option<SignedDuration>) -> String {
    match difference {
        Some(difference) if difference.abs() > CLOCK_TOLERANCE => format!("; {}", clock(difference)),
        _ => "; check access_key_id and secret_access_key".to_owned(),
    }
}

/// How far this machine's clock is off, and the mend.
pub(super) fn clock(difference: SignedDuration) -> String {
    let direction = if difference.is_positive() { "ahead of" } else { "behind" };
    format!("this machine's clock is {} s {direction} KooGallery's: set it (NTP)", difference.abs().as_secs())
}

/// By how much this machine's clock is ahead of the one that wrote a header `Date`.
pub(super) fn difference(date: &str, now: Timestamp) -> Option<SignedDuration> {
    rfc2822::parse(date).ok().map(|date| now.duration_since(date.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let now: Timestamp = "2026-01-15T08:30:00Z".parse().unwrap();
        let at = |date| advice(difference(date, now));
        assert_eq!(
            at("Thu, 15 Jan 2026 08:10:00 GMT"),
            "; this machine's clock is 1200 s ahead of KooGallery's: set it (NTP)"
        );
        assert!(at("Thu, 15 Jan 2026 08:50:00 GMT").contains("1200 s behind"));
        for date in ["Thu, 15 Jan 2026 08:30:30 GMT", "yesterday", ""] {
            assert_eq!(at(date), "; check access_key_id and secret_access_key");
        }
    }
}
