//! End-to-end tests: the real thing on loopback sockets, spoken to in bytes. One binary, one module per promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod admin_api;
mod alerts;
mod basic_v1;
mod broken_proxy;
mod canaries;
mod check;
mod config_show;
mod crash;
mod documentation;
mod door;
mod door_abuse;
mod door_client;
mod door_close;
mod encounters;
mod faults;
mod fulfilment;
mod fuzzing;
mod harness;
mod jobs;
mod journal;
mod kit;
mod kit_call;
mod koogallery;
mod licenses;
mod lifecycle;
mod litestream;
mod login;
mod metrics;
mod open_api;
mod orders;
mod overload;
mod packages;
mod page;
mod page_lists;
mod recipes;
mod recovery;
mod refusals;
mod replay;
mod serve;
mod shop;
mod simulate;
mod soak;
mod storage;
mod strangers;
mod supervisor;
mod support_bundle;
mod tidy;
mod tls;
mod token_get;
mod usage;
