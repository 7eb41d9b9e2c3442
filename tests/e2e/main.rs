//! End-to-end tests: the real thing on loopback sockets, spoken to in bytes. One binary, one module per promise.

mod door;
mod door_abuse;
mod door_client;
mod door_close;
