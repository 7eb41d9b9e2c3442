//! What is shown of rows, as the JSON of listings and of the local API.

pub mod usage;
