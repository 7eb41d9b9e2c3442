//! The public site: which path and method leads to which family. Everything else is 404 and tells nothing.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::dispatch::Dispatcher;
use crate::http::{Handler, Method, Reply, Request};
use crate::protocol::Family;
use crate::protocol::basic_v2::BasicV2;

/// What the public door hands requests to.
pub struct PublicSite {
    dispatcher: Arc<Dispatcher>,
    base_path: String,
}

impl PublicSite {
    /// `base_path` is the path of the production address.
    pub fn new(dispatcher: Arc<Dispatcher>, base_path: String) -> Self {
        Self { dispatcher, base_path }
    }

    /// The family a request belongs to; `None` when the path is not ours. Adding a family adds a line here.
    fn family(&self, request: &Request) -> Option<&'static dyn Family> {
        let path = request.path();
        let rest = path.strip_prefix(&self.base_path)?;
        match rest {
            // Whatever the method: KooGallery must see HTTP 200 and a result code on the production address.
            "" | "/" => Some(&BasicV2),
            _ => None,
        }
    }
}

impl Handler for PublicSite {
    fn handle(&self, request: Request) -> Reply {
        match self.family(&request) {
            Some(family) if request.method == Method::Post => self.dispatcher.answer(family, request),
            Some(family) => self.dispatcher.answer_nothing_asked(family, &request),
            None if request.path() == "/healthz" => Reply::new(200, "text/plain; charset=utf-8", "ok\n"),
            None => Reply::new(404, "text/plain; charset=utf-8", "404 Not Found\n"),
        }
    }

    fn refused(&self, peer: IpAddr, reason: &'static str) {
        self.dispatcher.refused().note("http", peer, reason, Timestamp::now());
    }
}
