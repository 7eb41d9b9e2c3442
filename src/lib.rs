//! koogate: the seller's side of KooGallery (华为云云商店) in one binary and one SQLite file.
//!
//! The core is pure (bytes and values in, values out; no clock, no I/O): [`protocol`], [`operation`], [`instance`],
//! [`access`], [`license`]. Around it lies the shell: [`http`] takes requests in, [`dispatch`] is where core and
//! [`store`] meet, [`jobs`] and [`fulfilment`] reach the merchant's application, [`run`] wires threads and their end,
//! [`commands`] is what a person types, [`admin`] what the
//! merchant's software and a browser ask, [`view`] and [`page`] how these show things. Dependencies point inwards; `docs/architecture.md` says more and a test holds it.

pub mod access;
pub mod address;
pub mod admin;
pub mod alert;
mod any_certificate;
pub mod backoff;
pub mod bundle;
pub mod certificates;
pub mod check;
pub mod codes;
pub mod commands;
pub mod config;
pub(crate) mod deadline;
pub mod demo;
pub mod dispatch;
pub(crate) mod excerpt;
pub mod fault;
pub mod fulfilment;
pub mod gap;
pub mod health;
pub mod http;
pub mod init;
pub mod instance;
pub mod jobs;
pub mod kind;
pub mod license;
pub mod login;
pub mod metrics;
pub mod open_api;
pub(crate) mod open_files;
pub mod operation;
pub mod page;
pub mod permissions;
pub mod pool;
pub mod protocol;
pub mod random;
pub mod run;
pub mod sealing;
pub mod secret;
pub mod settings;
pub mod simulate;
pub mod site;
pub mod snapshots;
pub mod stock_file;
pub mod stock_import;
pub mod store;
pub mod supervisor;
pub mod text;
pub(crate) mod trouble;
pub mod usage;
pub mod view;
