//! The admin listener: health, the local API for the merchant's own software, and the status page. Never on the public
//! listener.
//!
//! Here is who may ask and how a request finds its handler. Which routes there are is said by [`ROUTES`] alone, what one
//! does by the file of its resource; `docs/openapi.yaml` describes them all, and a test holds it against both.
//!
//! | file | |
//! | --- | --- |
//! | `routes` | the table, and how a path is read |
//! | `call` | one request as a handler sees it: context, parameters of path and query |
//! | `page` | a piece of a list, and where the next one begins |
//! | `reply` | answers and problems of the API |
//! | `pages` | the status page: who may see it, and a handler for each page |
//! | the others | the handlers of one resource each |

mod alerts;
mod call;
mod codes;
mod health;
mod instances;
mod licenses;
mod login;
mod metrics;
mod orders;
mod page;
mod pages;
mod refused;
mod reply;
mod routes;
mod tenants;
mod usage;

use std::sync::Arc;

pub use metrics::MetricsDesk;
pub use orders::OrderDesk;
pub use routes::{ROUTES, Route};

use self::call::Call;
use self::reply::Problem;
use self::routes::{Found, Handler as Answerer};
use crate::codes::CodeDesk;
use crate::dispatch::{Dispatcher, Waiters};
use crate::health::Health;
use crate::http::{Handler, Reply, Request, Tls};
use crate::jobs::JobBell;
use crate::login::LoginDesk;
use crate::secret::Secret;
use crate::snapshots::age::Ages;
use crate::store::Store;

/// What handlers work with.
pub struct Context {
    /// The path of a call: its settings, and what it turned away.
    pub dispatcher: Arc<Dispatcher>,
    /// What the watchdog says.
    pub health: Arc<Health>,
    /// The database.
    pub store: Arc<Store>,
    /// To be told when an operation has ended.
    pub waiters: Arc<Waiters>,
    /// To be rung when a job is due.
    pub bell: Arc<JobBell>,
    /// The login helper, where it is wanted.
    pub login: Option<Arc<LoginDesk>>,
    /// What the public listener shows, where it speaks HTTPS.
    pub tls: Option<Arc<Tls>>,
    /// What KooGallery is asked about authorisation codes.
    pub codes: CodeDesk,
    /// Who waits for KooGallery to tell an order.
    pub orders: OrderDesk,
    /// How far behind the copies of the database are.
    pub ages: Arc<Ages>,
    /// What the metrics need besides.
    pub metrics: MetricsDesk,
}

/// What the admin door hands requests to.
pub struct AdminSite {
    context: Context,
    token: ring::hmac::Key,
    expected: ring::hmac::Tag,
    desk: pages::Desk,
}

impl AdminSite {
    /// `token` is the bearer token that the API asks for and the login form takes; `host_names` are names under which the
    /// status page may be called, besides addresses and `localhost`.
    pub fn new(context: Context, token: &Secret<String>, host_names: Vec<String>) -> Self {
        // Compared by their tags under a key of the token itself: in constant time, whatever the lengths.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, token.expose().as_bytes());
        let expected = ring::hmac::sign(&key, token.expose().as_bytes());
        Self { context, token: key, expected, desk: pages::Desk::new(host_names) }
    }

    fn is_authorised(&self, request: &Request) -> bool {
        let header = request.header("Authorization").unwrap_or_default();
        self.is_token(header.strip_prefix("Bearer ").unwrap_or_default())
    }

    /// What only who has the token can put to an id of this use.
    fn mark(&self, id: &str) -> String {
        data_encoding::HEXLOWER.encode(ring::hmac::sign(&self.token, format!("known browser {id}").as_bytes()).as_ref())
    }

    fn is_token(&self, given: &str) -> bool {
        ring::hmac::verify(&self.token, given.as_bytes(), self.expected.as_ref()).is_ok()
    }

    fn answer(&self, request: &Request, mut found: Vec<Found>) -> Result<Reply, Problem> {
        found.retain(|(route, _)| !route.is_page());
        let is_asked = |(route, _): &(&Route, _)| route.answers(&request.method);
        let asked = found.iter().position(is_asked).map(|at| found.swap_remove(at));
        // Whoever has no token is told nothing, not even which paths there are.
        if !asked.as_ref().is_some_and(|(route, _)| route.is_open) && !self.is_authorised(request) {
            return Err(Problem::unauthorised());
        }
        match asked {
            Some((Route { handler: Answerer::Api(handler), parameters, .. }, path)) => {
                handler(&Call::read(&self.context, request, path, parameters)?)
            }
            Some(_) | None if found.is_empty() => {
                Err(Problem::not_found("there is no such path; docs/openapi.yaml has all"))
            }
            Some(_) | None => Err(Problem::wrong_method(found.iter().map(|(route, _)| &route.method))),
        }
    }
}

impl Handler for AdminSite {
    fn handle(&self, request: Request) -> Reply {
        let found = routes::find(request.path());
        if pages::is_for_pages(&request) {
            return pages::answer(self, &request, found);
        }
        self.answer(&request, found).unwrap_or_else(|problem| problem.reply(&request))
    }
}
