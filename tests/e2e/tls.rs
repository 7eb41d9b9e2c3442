//! HTTPS: the door by itself (`door`), closing it (`close`), and the real server with its files (`serve`).

mod close;
mod door;
mod peer;
mod serve;
