//! (being written)

pub mod access;
pub mod answer;
pub mod event;
mod excerpt;
pub mod webhook;
