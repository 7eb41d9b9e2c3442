//! Strangers at the door: a corpus of malformed and malicious requests and handshakes, slowness in every phase, and more
//! idle connections than there are places.
//!
//! The corpora are data, in `tests/http/` and `tests/tls/`; `corpus` says what their lines mean.

mod corpus;
mod http;
mod idle;
mod play;
mod sessions;
mod slow;
mod tls;
