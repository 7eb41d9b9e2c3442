//! The status page: what an operator sees in a browser, as HTML, in Chinese and in English.
//!
//! Here values become HTML and nothing else happens. Who may see a page, what its address means and where its values come
//! from lives in [`admin`](crate::admin), which has a handler for each page. Pages run nothing in the browser and load
//! nothing but one style sheet and one picture of koogate's own.
//!
//! | file | |
//! | --- | --- |
//! | `text` | the two languages: what has no text in one of them does not compile |
//! | `place` | the pages that the navigation leads to |
//! | `layout` | what is around every page |
//! | `pieces` | what pages are made of: tables, forms, badges, times |
//! | `table`, `form` | the larger of these |
//! | `shown` | times, lengths of time and texts that others wrote |
//! | `style` | the style sheet, and what browsers are told about a page |
//! | `login`, `trouble` | the login form; pages that say why there is no other |
//! | `front` | the first page: what costs money |
//! | `list` | what lists have in common: links, words of states, how a list goes on |
//! | `exchanges`, `exchange`, `refused`, `instances`, `instance`, `licenses`, `orders`, `jobs`, `stock`, `tenants`, `usage` | the lists, and one thing of each; they take rows as the store has them |
//! | `actions` | what was done here |
//! | `traffic`, `chart` | calls, failures and answer times as charts |
//!
//! `docs/status-page.md` shows it to its users.

pub mod actions;
pub mod chart;
pub mod exchange;
pub mod exchanges;
pub mod form;
pub mod front;
pub mod instance;
pub mod instances;
pub mod jobs;
pub mod layout;
pub mod licenses;
pub mod list;
pub mod login;
pub mod orders;
pub mod pieces;
pub mod place;
pub mod refused;
pub mod shown;
pub mod stock;
pub mod style;
pub mod table;
pub mod tenants;
pub mod text;
pub mod traffic;
pub mod trouble;
pub mod usage;

pub use layout::{Flash, View};
pub use place::Place;
pub use text::{Bilingual, Language, Text, Words, text, words};
