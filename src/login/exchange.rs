//! Talking with authentication centres in a pool of its own, so that centres that hang occupy a bounded number of the
//! door's threads, each for a bounded time.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::LoginDesk;
use super::centre::{self, Client};
use super::fault::{CentreFault, Failure};
use crate::http::Request;
use crate::store::StoreError;

/// Kept back of the time for an answer, to record the login.
const RESERVE: Duration = Duration::from_millis(500);

/// How long there is for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For talking with the centre.
    pub(super) talk_until: Instant,
    /// For everything.
    pub(super) answer_by: Instant,
}

impl LoginDesk {
    pub(super) fn times(&self, request: &Request) -> Times {
        let within = self.dispatcher.settings().answer_within;
        let talk = within.saturating_sub(RESERVE).max(within / 2);
        Times { talk_until: request.received + talk, answer_by: request.received + within }
    }

    /// How koogate makes itself known at a tenant's centre.
    pub(super) fn client_of(
        &self,
        tenant: i64,
        tenant_id: &str,
        domain_name: Option<&str>,
        app_id: &str,
    ) -> Result<Client, Failure> {
        let domain_name = domain_name.ok_or_else(|| Failure::NoDomain(tenant_id.to_owned()))?;
        let known = self.store.read(|tx| tx.client_of(tenant, app_id)).map_err(internal)?;
        let (id, secret) = known.ok_or_else(|| Failure::UnknownApplication(tenant_id.to_owned()))?;
        let base = centre::base(domain_name).map_err(|fault| of_centre(tenant_id, fault))?;
        Ok(Client { tenant_id: tenant_id.to_owned(), base, id, secret })
    }

    /// Runs a talk with a tenant's centre; whoever waits for it waits until `until` at most.
    pub(super) fn talk<T: Send + 'static>(
        self: &Arc<Self>,
        (tenant, tenant_id): (i64, &str),
        until: Instant,
        talk: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        // Half of the time at most: a code is used once, so who gets a place must have time for the talk.
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        let place = self.places.take(tenant, now + left / 2).ok_or(Failure::Busy)?;
        // A worker gives its place back a moment before it is free itself.
        while self.pool.free() == 0 && Instant::now() < until {
            std::thread::yield_now();
        }
        let (give, result) = sync_channel(1);
        let desk = Arc::clone(self);
        let is_taken = self.pool.try_run(move || {
            let outcome = talk(&desk);
            drop(place);
            // The one who asked may have run out of time.
            let _ = give.send(outcome);
        });
        if !is_taken {
            return Err(Failure::Busy);
        }
        match result.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(of_centre(tenant_id, CentreFault::TimedOut)),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::Internal("a panic; see the log".to_owned())),
        }
    }
}

pub(super) fn of_centre(tenant_id: &str, fault: CentreFault) -> Failure {
    Failure::Centre { tenant: tenant_id.to_owned(), fault }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn internal(error: StoreError) -> Failure {
    Failure::Internal(error.to_string())
}
