//! Calls from the seller to KooGallery (the open API): how a request is signed and written, and what a reply says.
//!
//! Pure, as everything in `protocol`. Hosts, time limits, repetition and the lock after a wrong key are the client's
//! business (`crate::open_api`).

pub mod aksk;
pub mod license;
pub mod order;
pub mod reply;
pub mod upload;
pub mod usage_signature;
