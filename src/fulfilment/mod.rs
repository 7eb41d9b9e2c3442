//! (being written)

pub mod answer;
pub mod application;
pub mod command;
pub mod event;
mod excerpt;
pub mod http;
pub mod webhook;
