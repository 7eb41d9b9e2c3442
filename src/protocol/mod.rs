//! The wire protocol between KooGallery and a seller's server: bytes and values in, values out.
//!
//! Everything below is pure: no sockets, files, threads, clock, randomness, database or log. The time and the keys come
//! in as arguments. Acting on a call is the dispatcher's work.

pub mod body_sign;
pub mod canonical_json;
pub mod key;
pub mod query;
pub mod reply_checks;
pub mod signature;
pub mod time;
