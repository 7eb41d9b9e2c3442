//! The status page, as a browser without JavaScript sees it: who is let in, and what is shown to whom.

pub mod crawl;
mod front;
mod guard;
mod login;
mod needs_browser;
pub mod scene;
mod shown;
pub mod visitor;
