//! The joint-operation kit end to end: who may call, what the directory then holds, what the merchant's application is
//! told of it, and what nobody else is.

mod authentication;
mod deaths;
mod events;
mod load;
mod model;
mod reading;
mod retries;
mod secrets;
mod tables;
