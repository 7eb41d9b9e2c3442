//! (being written)

pub mod event;
pub mod webhook;
