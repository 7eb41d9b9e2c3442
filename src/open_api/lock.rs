//! The lock after a refused access key: KooGallery locks a key for five minutes after more than five refusals in a row, for
//! everybody who uses it. So after one, nothing is called for as long and longer, by no process and after no restart.

use std::sync::{Mutex, PoisonError};

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use super::error::OpenApiError;
use crate::protocol::open_api::aksk::Credentials;
use crate::protocol::open_api::reply::Refusal;
use crate::store::{OpenApiRefusalRow, Store, StoreError, Tx};

/// The pause after a refusal: KooGallery's own lock lasts as long. Doubled for each refusal in a row.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// KooGallery counts by access key, whatever secret is tried with it: from so many refusals in a row on, the pause holds for
/// another secret too.
const MOST_SECRETS: u32 = 4;

/// A clock that differs by less is not worth a word; KooGallery tolerates 15 minutes.
pub(super) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// Remembers whether the access key was refused.
#[derive(Default)]
pub(super) struct Lock(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// As it stands in the store, or will.
    refusal: Option<OpenApiRefusalRow>,
    /// The same of the access key, with whatever secret.
    of_key: Option<OpenApiRefusalRow>,
    /// It does not stand there yet, or, with a full disk, cannot.
    is_unrecorded: bool,
}

impl Lock {
    /// Whether a call may be made.
    ///
    /// # Errors
    /// [`OpenApiError::Locked`]: not yet.
    pub(super) fn check(&self, store: &Store, credentials: &Credentials, now: Timestamp) -> Result<(), OpenApiError> {
        let (refusal, of_key) = stored(store, credentials)?;
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !remembered.is_unrecorded {
            // Another process may have been refused, or accepted, meanwhile.
            (remembered.refusal, remembered.of_key) = (refusal, of_key);
        }
        match standing(remembered.refusal.as_ref(), remembered.of_key.as_ref(), now) {
            Some(refusal) => Err(OpenApiError::Locked { until: refusal.not_before, reason: refusal.message.clone() }),
            None => Ok(()),
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
        let refusals = remembered.refusal.as_ref().map_or(0, |earlier| earlier.refusals) + 1;
        let doubled = 1_i32.checked_shl(refusals - 1).filter(|factor| *factor > 0).unwrap_or(i32::MAX);
        let pause = FIRST_PAUSE.checked_mul(doubled).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        let not_before = after(now, pause);
        let row = OpenApiRefusalRow { refusals, refused_at: now, not_before, message: format!("{refusal}{advice}") };
        let refusals = remembered.of_key.as_ref().map_or(0, |earlier| earlier.refusals) + 1;
        let of_key = OpenApiRefusalRow { refusals, not_before: after(now, FIRST_PAUSE), ..row.clone() };
        *remembered = Remembered { refusal: Some(row.clone()), of_key: Some(of_key.clone()), is_unrecorded: true };
        drop(remembered);
        let (label, label_of_key) = labels(store, credentials);
        let recorded = store.write(None, move |tx| {
            tx.put_open_api_refusal(&label_of_key, &of_key)?;
            tx.put_open_api_refusal(&label, &row)
        });
        log::error!(
            "ALERT KooGallery refused the access key of [open_api]: {refusal}{advice}; nothing is called before \
             {not_before:.0}, so that KooGallery does not lock it"
        );
        match recorded {
            Ok(()) => self.0.lock().unwrap_or_else(PoisonError::into_inner).is_unrecorded = false,
            Err(error) => log::error!("the refusal could not be recorded: {error}"),
        }
        (advice, not_before)
    }

    /// The key was accepted.
    pub(super) fn accepted(&self, store: &Store, credentials: &Credentials) {
        let earlier = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if earlier.refusal.is_none() && earlier.of_key.is_none() {
            return;
        }
        let (label, label_of_key) = labels(store, credentials);
        log::info!("KooGallery accepts the access key of [open_api] again");
        let forget = move |tx: &Tx<'_>| {
            tx.remove_open_api_refusal(&label_of_key)?;
            tx.remove_open_api_refusal(&label)
        };
        if let Err(error) = store.write(None, forget) {
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
    let (refusal, of_key) = stored(store, credentials)?;
    Ok(standing(refusal.as_ref(), of_key.as_ref(), now).cloned())
}

/// The refusal for which nothing may be called now.
fn standing<'r>(
    refusal: Option<&'r OpenApiRefusalRow>,
    of_key: Option<&'r OpenApiRefusalRow>,
    now: Timestamp,
) -> Option<&'r OpenApiRefusalRow> {
    // A clock that was set back must not make the pause longer than it may be.
    let holds = |refusal: &&OpenApiRefusalRow| refusal.refused_at <= now && now < refusal.not_before;
    let of_key = of_key.filter(|refusal| refusal.refusals >= MOST_SECRETS);
    refusal.filter(holds).or_else(|| of_key.filter(holds))
}

/// What is recorded of an access key with its secret, and with any.
fn stored(
    store: &Store,
    credentials: &Credentials,
) -> Result<(Option<OpenApiRefusalRow>, Option<OpenApiRefusalRow>), StoreError> {
    let (label, label_of_key) = labels(store, credentials);
    store.read(|tx| Ok((tx.open_api_refusal(&label)?, tx.open_api_refusal(&label_of_key)?)))
}

/// Another secret is another key: a mended configuration is tried at once. The second is the access key's, whatever the secret.
fn labels(store: &Store, credentials: &Credentials) -> (String, String) {
    let Credentials { access_key_id, secret_access_key } = credentials;
    let label = store.sealing().label(&format!("{access_key_id}:{}", secret_access_key.expose()));
    (label, store.sealing().label(access_key_id))
}

fn after(now: Timestamp, pause: SignedDuration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
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
