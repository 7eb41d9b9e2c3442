//! The simulated KooGallery: plays the seller console's debugging cases against a seller's server.

pub mod client;
