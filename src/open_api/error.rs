//! Why a call of the open API came to nothing, in words for the operator, and what to do about it.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use crate::protocol::open_api::order::OrderFault;
use crate::protocol::open_api::reply::{Refusal, Standing};
use crate::store::StoreError;

/// Why a call came to nothing. No text holds a secret; KooGallery's own are shortened and made harmless.
#[derive(Debug, Error)]
pub enum OpenApiError {
    /// There is no section `[open_api]`.
    #[error("koogate cannot call KooGallery: [open_api] is not configured")]
    NotConfigured,
    /// KooGallery refused it.
    #[error("KooGallery refused {call}: {refusal}{advice}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// What it said.
        refusal: Box<Refusal>,
        /// What to do, where that is known.
        advice: String,
        /// Before this nothing more is sent.
        not_before: Option<Timestamp>,
    },
    /// The access key was refused lately. Nothing was sent: more than five refusals in a row lock the key.
    #[error(
        "KooGallery refused the access key of [open_api] ({reason}); so that it does not lock the key, nothing is called \
         before {until:.0}"
    )]
    Locked {
        /// When the next call may be made.
        until: Timestamp,
        /// What KooGallery said.
        reason: String,
    },
    /// KooGallery had too many calls lately. Nothing was sent.
    #[error("KooGallery takes no more calls for now; the next one is made after {until:.0}")]
    Throttled {
        /// When the next call may be made.
        until: Timestamp,
    },
    /// The time was over before anything could be sent: too many calls wait.
    #[error("too many calls to KooGallery wait")]
    Crowded {
        /// When there may be a place.
        until: Timestamp,
    },
    /// No connection came about. Nothing was sent.
    #[error("no connection to {host}: {reason}")]
    NoConnection {
        /// The host.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The time is over. Whether the call was carried out is not known.
    #[error("{host} did not answer within {after:?}")]
    TimedOut {
        /// The host.
        host: String,
        /// How long it had.
        after: Duration,
    },
    /// The connection ended, or what came was not HTTP. Whether the call was carried out is not known.
    #[error("{host} gave no complete answer: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// Longer than any reply should be.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLong {
        /// The host.
        host: String,
        /// What is read.
        limit: u64,
    },
    /// A redirect is not followed: what was signed is for this host.
    #[error("{host} redirects (HTTP {status}), which is not followed")]
    Redirected {
        /// The host.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// Success by HTTP, but no known envelope. Whether the call was carried out is not known.
    #[error("{host} answered something that is none of its known replies: {shown}")]
    Unreadable {
        /// The host.
        host: String,
        /// The beginning of it.
        shown: String,
    },
    /// An order that tells nothing, or the wrong thing.
    #[error("order {order_id:?}: {fault}")]
    Order {
        /// Which.
        order_id: String,
        /// What is wrong.
        fault: OrderFault,
    },
    /// koogate's own records.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// When the same call makes sense again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After a pause.
    Later,
    /// Not before this time; until then nothing is sent.
    NotBefore(Timestamp),
    /// Never: it will be refused in the same way.
    Never,
}

impl OpenApiError {
    /// When the same call makes sense again.
    pub fn again(&self) -> Again {
        match self {
            Self::Refused { not_before: Some(until), .. } => Again::NotBefore(*until),
            Self::Refused { refusal, .. } if refusal.standing() != Standing::Temporary => Again::Never,
            Self::Locked { until, .. } | Self::Throttled { until } | Self::Crowded { until } => {
                Again::NotBefore(*until)
            }
            // A reply that is a whole order, but another's, stays one; a line may still be added.
            Self::NotConfigured => Again::Never,
            _ => Again::Later,
        }
    }

    /// What KooGallery said, where it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused { refusal, .. } = self { Some(refusal) } else { None }
    }

    /// Whether KooGallery refused the access key with it.
    pub fn refuses_key(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.standing() == Standing::Signature)
    }

    /// Whether it shows that the access key was right: what lies behind the gateway refused.
    pub fn proves_key(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_beyond_gateway)
    }

    /// Whether KooGallery may have carried the call out all the same.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Broken { .. } | Self::TooLong { .. } | Self::Unreadable { .. } => true,
            Self::Refused { refusal, .. } => refusal.standing() == Standing::Temporary,
            _ => false,
        }
    }
}
