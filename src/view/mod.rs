//! How things look to programs: the JSON objects that commands print with `--json` and that the local API answers with,
//! one file per thing. Each object is made here and nowhere else, so that both tell the same. No look-ups and no tables
//! for people: those are made in `commands`.
//!
//! Members are named in camelCase; what is not known is `null` and not left out. Secrets and personal data have no place in
//! these objects: a listing goes anywhere.

pub mod alert;
pub mod code;
pub mod exchange;
pub mod gap;
pub mod instance;
pub mod job;
pub mod license;
pub mod order;
pub mod refused;
pub mod sheet;
pub mod stock;
pub mod tenant;
pub mod usage;

use jiff::Timestamp;

/// An instant for people and programs: RFC 3339 UTC to the second.
pub fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// The same to the millisecond, for what koogate saw happen itself.
pub fn time_ms(at: Timestamp) -> String {
    format!("{at:.3}")
}
