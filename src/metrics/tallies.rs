//! What is counted on the way of a call, from the start of the process on.

use super::calls::Calls;
use super::hooks::Hooks;
use super::tally::Count;

/// The counts. A reload of the configuration does not begin them anew.
#[derive(Debug, Default)]
pub struct Tallies {
    /// Calls that were answered.
    pub calls: Calls,
    /// Calls that were answered `000005` without a row in the journal: the disk was the trouble.
    pub unrecorded: Count,
    /// Attempts to reach applications.
    pub hooks: Hooks,
}
