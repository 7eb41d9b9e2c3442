//! `[signature]`, `[lifecycle]` and `[jobs]`: the protocol's settings that a merchant may need, and how patiently the
//! work in the background goes on (names and defaults after the protocol specification, §12).

use std::time::Duration;

use jiff::tz::Offset;
use toml::de::DeValue;

use crate::config::error::Problem;
use crate::config::section::Section;
use crate::config::units::DurationText;
use crate::config::value::{Mismatch, boolean, duration, integer, list, one_of};

/// How the signature of a call is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Largest accepted difference, inclusive, between a call's timestamp and the clock.
    pub timestamp_window: Duration,
    /// Whether the window also applies to timestamps of the future.
    pub reject_future_timestamps: bool,
    /// Whether nonces of verified calls are remembered and refused when they come again.
    pub nonce_replay_check: bool,
    /// The forms of the body that are tried, in this order; at least one, none twice.
    pub payload_candidates: Vec<PayloadCandidate>,
    /// Whether V2 answers carry `Body-Sign`.
    pub body_sign_v2: bool,
    /// The greatest age of a V1 call; `None`: any, as the V1 documents have it.
    pub v1_max_age: Option<Duration>,
}

/// A form of the body that KooGallery may have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadCandidate {
    /// The bytes as received.
    Raw,
    /// Members sorted, nulls left out.
    Sorted,
    /// Members sorted, nulls kept.
    SortedWithNulls,
}

const PAYLOAD_CANDIDATES: [(&str, PayloadCandidate); 3] = [
    ("raw", PayloadCandidate::Raw),
    ("sorted", PayloadCandidate::Sorted),
    ("sorted-with-nulls", PayloadCandidate::SortedWithNulls),
];

impl Default for Signature {
    fn default() -> Self {
        Self {
            timestamp_window: Duration::from_secs(60),
            reject_future_timestamps: true,
            nonce_replay_check: true,
            payload_candidates: PAYLOAD_CANDIDATES.map(|(_, candidate)| candidate).to_vec(),
            body_sign_v2: true,
            v1_max_age: None,
        }
    }
}

impl Signature {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            timestamp_window: section.or_default(
                "timestamp_window",
                default.timestamp_window,
                duration(Duration::from_secs(1)..=Duration::from_secs(3_600)),
            ),
            reject_future_timestamps: section.or_default(
                "reject_future_timestamps",
                default.reject_future_timestamps,
                boolean,
            ),
            nonce_replay_check: section.or_default("nonce_replay_check", default.nonce_replay_check, boolean),
            payload_candidates: section.or_noted(
                "payload_candidates",
                default.payload_candidates,
                format!("[{}]", PAYLOAD_CANDIDATES.map(|(word, _)| format!("{word:?}")).join(", ")),
                payload_candidates,
            ),
            body_sign_v2: section.or_default("body_sign_v2", default.body_sign_v2, boolean),
            v1_max_age: section
                .optional("v1_max_age", duration(Duration::from_secs(60)..=Duration::from_secs(365 * 86_400))),
        }
    }
}

/// What KooGallery's calls do to an instance where its documents leave a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Whether a renewal unfreezes a frozen instance.
    pub refresh_unfreezes: RefreshUnfreezes,
    /// The six digits that answer a refused renewal change.
    pub change_check_refusal_code: String,
    /// The zone of `expireTime` in V1 and L1 calls.
    pub v1_expire_time_zone: TimeZone,
    /// What happens to a call whose extension parameters cannot be read.
    pub extend_params_error: ExtendParamsError,
    /// What happens to calls about a licence code that nobody has heard of.
    pub l2_unknown_code: UnknownCode,
    /// What happens to departments that are missing from a full list.
    pub all_org_missing: MissingDepartments,
}

/// What happens to departments that are missing from a full list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingDepartments {
    /// They are kept and marked.
    MarkStale,
    /// They are removed.
    Delete,
    /// They are kept as they are.
    Keep,
}

/// A zone without summer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeZone {
    /// The later of the two possible readings, which never ends a service early.
    Utc,
    /// Beijing.
    UtcPlus8,
}

impl TimeZone {
    /// The difference to UTC.
    pub fn offset(self) -> Offset {
        match self {
            Self::Utc => Offset::UTC,
            Self::UtcPlus8 => Offset::constant(8),
        }
    }
}

/// What happens to a call whose extension parameters cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendParamsError {
    /// It is refused.
    Reject,
    /// It counts as one without.
    Ignore,
}

/// What happens to calls about a licence code that nobody has heard of: bought, and never activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownCode {
    /// Its record begins with the call.
    Accept,
    /// It is answered 000003.
    Reject,
}

/// Whether a renewal unfreezes a frozen instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshUnfreezes {
    /// When the new expiry lies in the future and the call is no cancelled renewal.
    Always,
    /// KooGallery unfreezes with a call of its own; only V2 has one.
    Never,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            refresh_unfreezes: RefreshUnfreezes::Always,
            change_check_refusal_code: "000005".to_owned(),
            v1_expire_time_zone: TimeZone::Utc,
            extend_params_error: ExtendParamsError::Reject,
            l2_unknown_code: UnknownCode::Accept,
            all_org_missing: MissingDepartments::MarkStale,
        }
    }
}

impl Lifecycle {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let words = [("always", RefreshUnfreezes::Always), ("never", RefreshUnfreezes::Never)];
        Self {
            refresh_unfreezes: section.choice("refresh_unfreezes", default.refresh_unfreezes, &words),
            change_check_refusal_code: section.or_default(
                "change_check_refusal_code",
                default.change_check_refusal_code,
                refusal_code,
            ),
            v1_expire_time_zone: section.choice(
                "v1_expire_time_zone",
                default.v1_expire_time_zone,
                &[("UTC", TimeZone::Utc), ("UTC+8", TimeZone::UtcPlus8)],
            ),
            extend_params_error: section.choice(
                "extend_params_error",
                default.extend_params_error,
                &[("reject", ExtendParamsError::Reject), ("ignore", ExtendParamsError::Ignore)],
            ),
            l2_unknown_code: section.choice(
                "l2_unknown_code",
                default.l2_unknown_code,
                &[("accept", UnknownCode::Accept), ("reject", UnknownCode::Reject)],
            ),
            all_org_missing: section.choice(
                "all_org_missing",
                default.all_org_missing,
                &[
                    ("mark_stale", MissingDepartments::MarkStale),
                    ("delete", MissingDepartments::Delete),
                    ("keep", MissingDepartments::Keep),
                ],
            ),
        }
    }
}

/// How the durable work in the background is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// How many threads call the merchant's application at once.
    pub workers: usize,
    /// How long a job is tried before it is declared dead and alerted.
    pub give_up_after: Duration,
    /// Wait after the first failed attempt; it doubles with every further one.
    pub first_retry: Duration,
    /// The longest wait between two attempts, at least `first_retry`.
    pub slowest_retry: Duration,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            workers: 32,
            give_up_after: Duration::from_secs(72 * 3_600),
            first_retry: Duration::from_secs(2),
            slowest_retry: Duration::from_secs(10 * 60),
        }
    }
}

impl Jobs {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let (shortest, hour, day) =
            (Duration::from_millis(10), Duration::from_secs(3_600), Duration::from_secs(86_400));
        let jobs = Self {
            workers: section.or_default("workers", default.workers, integer(1..=256)),
            give_up_after: section.or_default(
                "give_up_after",
                default.give_up_after,
                duration(Duration::from_secs(1)..=365 * day),
            ),
            first_retry: section.or_default("first_retry", default.first_retry, duration(shortest..=hour)),
            slowest_retry: section.or_default("slowest_retry", default.slowest_retry, duration(shortest..=day)),
        };
        if jobs.slowest_retry < jobs.first_retry {
            let (slowest, first) = (DurationText(jobs.slowest_retry), DurationText(jobs.first_retry));
            section.error(
                "slowest_retry",
                Problem::Contradiction(format!("\"{slowest}\" is shorter than first_retry (\"{first}\")")),
            );
        }
        jobs
    }
}

fn payload_candidates(value: &DeValue<'_>) -> Result<Vec<PayloadCandidate>, Mismatch> {
    let candidates = list(one_of(&PAYLOAD_CANDIDATES))(value)?;
    let repeated = |(index, candidate)| candidates[..index].contains(candidate);
    if candidates.iter().enumerate().any(repeated) {
        return Err(Mismatch { found: "a repeated element".to_owned(), expected: "each element once".to_owned() });
    }
    Ok(candidates)
}

fn refusal_code(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let six_digits = |text: &&str| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    // 000000 is success: it would allow the change it is meant to refuse.
    value
        .as_str()
        .filter(six_digits)
        .filter(|code| *code != "000000")
        .map(String::from)
        .ok_or_else(|| Mismatch::new(value, "six digits in quotes, not \"000000\""))
}
