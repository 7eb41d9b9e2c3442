//! Alerts: what stands wrong, since when, what it costs and what to do about it, and who is told when.
//!
//! | file | |
//! | --- | --- |
//! | `kind` | every kind of alarm there is: how it is called, how grave it is, how it ends |
//! | `alarm` | an alarm with its facts; `words` and `page` have its texts in both languages |
//! | `standing` | what one read of the database found |
//! | `beijing` | half days and months as KooGallery counts them |
//! | `judge` | which alarms follow from what one read of the database, and a look at the machine, found |
//! | `ledger` | what stands, who was told, and what is to be told now: throttled, reminded, over |
//! | `message` | what is due becomes one message, grouped and within a limit |
//! | `wire` | the body, signature and reply of each kind of webhook |
//! | `board` | where the rest of koogate raises alarms; never blocks |
//! | `keeper` | the thread that looks each minute, keeps the table and has messages sent |
//! | `sender` | the HTTP calls |
//!
//! All but the last three are pure. What a webhook itself does wrong is shown, never alerted.

pub mod alarm;
pub mod beijing;
pub mod board;
pub mod judge;
pub mod keeper;
pub mod kind;
pub mod ledger;
pub mod message;
mod page;
pub mod sender;
pub mod standing;
pub mod wire;
pub mod words;

pub use alarm::Alarm;
pub use board::{over, raise};
pub use kind::{Ending, Kind, Severity};
pub use words::Words;
