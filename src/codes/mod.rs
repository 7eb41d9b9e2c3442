//! Authorisation codes (L2) for licensed software that talks to koogate and not to KooGallery: activation, heartbeat, use
//! of the software (spec 5-open-api §5).
//!
//! A heartbeat is answered from the record while it is young, and, marked as stale, while KooGallery cannot be asked; one
//! that KooGallery refuses is refused, whatever was recorded before. Whoever asks the same at the same time shares one
//! call. How a call is made, repeated and held back is `open_api`'s business.

mod activation;
mod fault;
mod flight;
mod heartbeat;
mod usage;

use std::time::{Duration, Instant};

pub use self::activation::Activated;
pub use self::fault::CodeFault;
use self::flight::Flights;
pub use self::heartbeat::Heartbeat;
use self::heartbeat::KooGalleryAway;
use crate::open_api::{OpenApi, Patience};
use crate::protocol::open_api::license::LONGEST_CODE;
use crate::settings::Settings;
use crate::store::HeartbeatRow;

/// Whoever asks has an answer after this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// So many questions wait for KooGallery at a time; half of what the admin listener has connections.
const MOST_WAITING: usize = 32;

/// Asks KooGallery about codes. Shared by all connections.
#[derive(Debug)]
pub struct CodeDesk {
    heartbeats: Flights<Result<HeartbeatRow, CodeFault>>,
    away: KooGalleryAway,
}

impl Default for CodeDesk {
    fn default() -> Self {
        Self { heartbeats: Flights::new(MOST_WAITING), away: KooGalleryAway::default() }
    }
}

/// The client, where it is configured.
fn open_api(settings: &Settings) -> Result<&OpenApi, CodeFault> {
    settings.open_api.as_deref().ok_or(CodeFault::NotConfigured)
}

/// Until when whoever asks now has an answer.
fn deadline() -> Instant {
    Instant::now() + ANSWER_WITHIN
}

fn patience(deadline: Instant) -> Patience {
    Patience::Until(deadline)
}

/// Too many wait for KooGallery.
fn crowded() -> CodeFault {
    CodeFault::Away { after: Duration::from_secs(5), error: "too many questions to KooGallery wait".to_owned() }
}

/// Holds a code to its documented form.
fn check(code: &str) -> Result<(), CodeFault> {
    let length = code.chars().count();
    if (1..=LONGEST_CODE).contains(&length) && !code.contains(|c: char| c.is_control()) {
        return Ok(());
    }
    Err(CodeFault::Invalid(format!(
        "\"license\" must be 1 to {LONGEST_CODE} characters without control characters; one has {length}"
    )))
}
