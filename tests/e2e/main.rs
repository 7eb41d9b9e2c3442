//! End-to-end tests: the real thing on loopback sockets, spoken to in bytes. One binary, one module per promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod door;
mod door_abuse;
mod door_client;
mod door_close;
mod harness;
mod replay;
mod simulate;
mod storage;
mod tidy;
