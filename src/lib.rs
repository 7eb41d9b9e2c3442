//! koogate: the seller's side of KooGallery (华为云云商店) in one binary and one SQLite file.
//!
//! The architecture in prose is in `docs/architecture.md`.

pub mod config;
pub mod fulfilment;
pub mod http;
pub mod init;
pub mod protocol;
pub mod sealing;
pub mod secret;
pub mod simulate;
