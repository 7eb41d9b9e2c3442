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
//! | `actions` | what was done here |
//!
//! `docs/status-page.md` shows it to its users.

pub mod actions;
pub mod form;
pub mod front;
pub mod layout;
pub mod login;
pub mod pieces;
pub mod place;
pub mod shown;
pub mod style;
pub mod table;
pub mod text;
pub mod trouble;

pub use layout::{Flash, View};
pub use place::Place;
pub use text::{Bilingual, Language, Text, Words, text, words};
