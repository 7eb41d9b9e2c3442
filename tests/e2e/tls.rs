//! HTTPS: the door by itself (`door`), closing it (`close`), its cost (`cost`), and the real server with its files (`serve`).

mod close;
mod cost;
pub mod door;
pub mod peer;
pub mod serve;
