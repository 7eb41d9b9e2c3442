//! What on-demand instances have used, from the application's report to KooGallery's verdict (spec 5-open-api §6).
//!
//! All but [`desk`] and [`pusher`] is pure: [`Report`] is what the application says, [`check`] holds it to the rules, [`batch`] writes
//! the records that are due as the body of a call, and [`judge`] reads what the answer means for each. Where records are
//! kept is `store/usage`; [`pusher`] sends them.

pub mod advice;
pub mod batch;
pub mod check;
pub mod desk;
mod fault;
pub mod file;
pub mod intake;
pub mod judge;
pub mod pusher;
mod quantity;
mod report;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use fault::UsageFault;
pub use quantity::{Quantity, QuantityFault, told};
pub use report::{RawReport, Report, Window};

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// KooGallery does not have it yet, as far as is known.
    Waiting,
    /// KooGallery has taken it. (It checks later still: spec 5-open-api §6.4 rule 1.)
    Accepted,
    /// KooGallery does not want it: it counts no more, and its time may be reported anew.
    Rejected,
}

impl State {
    /// The word for it in the database and in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Waiting, Self::Accepted, Self::Rejected];
        let known = all.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is not a state; there are waiting, accepted and rejected"))
    }
}
