//! Why a question about authorisation codes has no answer, in words for the merchant's software. Shared by all who wait for
//! the same call, so it can be cloned.

use std::time::Duration;

use jiff::Timestamp;

use crate::open_api::error::{Again, OpenApiError};
use crate::protocol::open_api::license::{ILLEGAL_STATE, NOT_RECEIVED, UNKNOWN_CODE};
use crate::protocol::open_api::reply::{Code, Standing};
use crate::store::StoreError;

/// Of an authorised account's code that is another's; the same number with HTTP 500 is KooGallery's trouble.
const UNAUTHORISED: &str = "92020001";
/// Something in the request is not as it should be.
const INVALID: &str = "92020002";

/// Whoever cannot be helped at once is asked to come back after this time, at least.
const COME_BACK: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeFault {
    /// What is asked cannot be: which part, and what it must be.
    #[error("{0}")]
    Invalid(String),
    /// There is no section `[open_api]`.
    #[error("koogate cannot call KooGallery: [open_api] is not configured")]
    NotConfigured,
    /// KooGallery refuses the code.
    #[error("KooGallery refuses {license:?}: {code} ({}){}", meaning(code), told(message))]
    Refused {
        /// Which.
        license: String,
        /// KooGallery's code, without prefix.
        code: String,
        /// What it says besides.
        message: String,
    },
    /// KooGallery refuses the call, whatever the code: the account, or what stands before KooGallery.
    #[error("{error}")]
    Call {
        /// KooGallery's code, where it has one.
        code: Option<String>,
        /// The whole error.
        error: String,
    },
    /// KooGallery cannot be asked for now.
    #[error("{error}")]
    Away {
        /// When it makes sense to come back.
        after: Duration,
        /// The whole error.
        error: String,
    },
    /// koogate's own records.
    #[error("{0}")]
    Store(String),
}

impl CodeFault {
    /// Of a call about one code.
    pub(super) fn of(license: &str, error: &OpenApiError, now: Timestamp) -> Self {
        match error {
            OpenApiError::NotConfigured => return Self::NotConfigured,
            OpenApiError::Store(error) => return Self::Store(error.to_string()),
            _ => {}
        }
        let refusal = error.refusal().filter(|refusal| refusal.standing() == Standing::Permanent);
        let Some(refusal) = refusal else {
            let until = if let Again::NotBefore(until) = error.again() { until } else { now };
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Self::Away { after: wait.max(COME_BACK), error: error.to_string() };
        };
        match refusal.code.as_ref().map(Code::number) {
            Some(code @ (UNAUTHORISED | INVALID | ILLEGAL_STATE | NOT_RECEIVED | UNKNOWN_CODE)) => {
                let (license, code, message) = (license.to_owned(), code.to_owned(), refusal.message.clone());
                Self::Refused { license, code, message }
            }
            code => Self::Call { code: code.map(str::to_owned), error: error.to_string() },
        }
    }

    /// Whether it tells how the code stands, for everybody who asks.
    pub(super) fn is_of_the_code(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code != INVALID)
    }

    /// Whether KooGallery could not be asked about the code.
    pub(super) fn leaves_open(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Call { .. })
    }

    /// Whether KooGallery says that the code's state does not allow it: on activation, that it is active already.
    pub(super) fn is_illegal_state(&self) -> bool {
        self.code() == Some(ILLEGAL_STATE)
    }

    /// KooGallery's code, where it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Call { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// The HTTP status that fits.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 400,
            Self::NotConfigured | Self::Away { .. } => 503,
            Self::Call { .. } => 502,
            Self::Store(_) => 500,
            Self::Refused { code, .. } => match code.as_str() {
                UNAUTHORISED => 403,
                UNKNOWN_CODE => 404,
                INVALID => 422,
                _ => 409,
            },
        }
    }
}

impl From<StoreError> for CodeFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What KooGallery's codes mean (spec 5-open-api §5.4); its own messages are often empty.
fn meaning(code: &str) -> &'static str {
    match code {
        UNAUTHORISED => "not authorised for it",
        INVALID => "invalid parameter",
        ILLEGAL_STATE => "its state does not allow it",
        NOT_RECEIVED => "the buyer has not received it yet",
        _ => "there is no such code",
    }
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
