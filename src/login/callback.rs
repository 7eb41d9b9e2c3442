//! `GET /login/callback`: KooGallery sends the browser back with a code; the application gets a token.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::centre::Grant;
use super::exchange::{internal, of_centre};
use super::fault::Failure;
use super::reply::{Tokens, User};
use super::return_to::ReturnTo;
use super::state::State;
use super::token::{Claims, ISSUER};
use super::{LoginDesk, SENT_BACK, no_randomness, redirect};
use crate::http::{Reply, Request};
use crate::protocol::query::Query;
use crate::random;
use crate::secret::Secret;
use crate::store::{NewLoginSession, TenantRow};

/// Longest code. The documents say nothing of its form (spec README U25).
const LONGEST_CODE: usize = 2048;

/// Longest tenant id (spec 3-kit §4).
const LONGEST_TENANT_ID: usize = 64;

/// What the callback brings.
struct Arrival {
    code: Secret<String>,
    tenant_id: Option<String>,
    state: Option<String>,
}

/// A login that this browser has begun and that has come back.
struct Returned {
    code: Secret<String>,
    tenant_id: String,
    state_id: String,
    return_to: Option<ReturnTo>,
}

/// A user who has logged in.
pub(super) struct Login<'a> {
    /// The tenant's id.
    pub(super) tenant_id: &'a str,
    /// The application whose credential was used.
    pub(super) app_id: &'a str,
    /// Who it is.
    pub(super) user: &'a User,
    /// The session.
    pub(super) sid: &'a str,
    /// Where the user wanted to go.
    pub(super) return_to: Option<&'a ReturnTo>,
}

impl LoginDesk {
    /// A callback counts only in the browser that has begun. One that has not is sent to the beginning, once: logins may
    /// start at KooGallery's side, and whoever is logged in there comes back at once.
    pub(super) fn callback(self: &Arc<Self>, request: &Request) -> Reply {
        let arrival = match arrival(request) {
            Ok(arrival) => arrival,
            Err(failure) => return self.fail(request, &failure),
        };
        let Some(state) = self.state_of(request) else {
            let beginning = format!("{}?{SENT_BACK}=1", self.begin_path);
            return redirect(&beginning).with_header("Set-Cookie", self.set_cookie(&State::SentBack));
        };
        let reply = match returned(arrival, state).and_then(|returned| self.complete(request, returned)) {
            Ok(token) => redirect(&self.application_with(&token)),
            // The code was not used: the same callback may be tried again.
            Err(failure @ Failure::Busy) => return self.fail(request, &failure),
            Err(failure) => self.fail(request, &failure),
        };
        reply.with_header("Set-Cookie", self.cookie.clear())
    }

    /// From a code to a token: asks the centre, then records the session.
    fn complete(self: &Arc<Self>, request: &Request, returned: Returned) -> Result<Secret<String>, Failure> {
        let Returned { code, tenant_id, state_id, return_to } = returned;
        let times = self.times(request);
        let tenant = self.tenant(&tenant_id)?;
        let app_id = self.config.app_id.as_str();
        let client = self.client_of(tenant.row, &tenant_id, tenant.domain_name.as_deref(), app_id)?;
        let sealing = self.store.sealing();
        let used = [sealing.digest("login code", code.expose()), sealing.digest("login state", &state_id)];
        let grant = Grant::Code(code, self.config.callback_url.clone());
        let (tokens, user) = self.talk((tenant.row, &tenant_id), times.talk_until, move |desk| {
            if !desk.once.is_first(used) {
                return Err(Failure::Used);
            }
            let tokens = desk.centre.tokens(&client, &grant, times.talk_until);
            let tokens = tokens.map_err(|fault| of_centre(&client.tenant_id, fault))?;
            let user = desk.centre.user(&client, &tokens.access, times.talk_until);
            Ok((tokens, user.map_err(|fault| of_centre(&client.tenant_id, fault))?))
        })?;
        let sid = random::unguessable().map_err(|_| no_randomness())?;
        if !self.record(&sid, tenant.row, &tokens, &user, times.answer_by)? {
            return Err(Failure::NotAuthorised(tenant_id));
        }
        log::info!("login: a user of tenant {tenant_id:?} is handed over, session {}…", &sid[..8]);
        let return_to = return_to.as_ref();
        self.token(&Login { tenant_id: &tenant_id, app_id, user: &user, sid: &sid, return_to })
    }

    pub(super) fn tenant(&self, tenant_id: &str) -> Result<TenantRow, Failure> {
        let found = self.store.read(|tx| tx.tenant(tenant_id)).map_err(internal)?;
        found.ok_or_else(|| Failure::UnknownTenant(tenant_id.to_owned()))
    }

    /// Records a session, unless its user may not use the application; returns whether it did. One transaction: the user's
    /// authorisation is taken before it or after it.
    fn record(
        &self,
        sid: &str,
        tenant: i64,
        tokens: &Tokens,
        user: &User,
        answer_by: std::time::Instant,
    ) -> Result<bool, Failure> {
        let (sid, app_id, user_name) = (sid.to_owned(), self.config.app_id.clone(), user.user_name.clone());
        let (refresh_token, now) = (tokens.refresh.clone(), Timestamp::now());
        let expires_at = self.session_end(now);
        let recorded = self.store.write(Some(answer_by), move |tx| {
            if tx.may_use(tenant, &app_id, &user_name)? == Some(false) {
                return Ok(false);
            }
            let new = NewLoginSession {
                sid: &sid,
                tenant,
                app_id: &app_id,
                user_name: &user_name,
                refresh_token: refresh_token.as_ref(),
                expires_at,
            };
            tx.insert_login_session(&new, now).map(|_| true)
        });
        recorded.map_err(internal)
    }

    /// When a session that was used now is forgotten.
    pub(super) fn session_end(&self, now: Timestamp) -> Timestamp {
        later(now, self.config.session_lifetime)
    }

    /// A token for a user who has logged in.
    pub(super) fn token(&self, login: &Login<'_>) -> Result<Secret<String>, Failure> {
        let now = Timestamp::now();
        let jti = random::unguessable().map_err(|_| no_randomness())?;
        let claims = Claims {
            iss: ISSUER,
            aud: login.app_id,
            sub: format!("{}/{}", login.tenant_id, login.user.user_name),
            tenant: login.tenant_id,
            user: login.user,
            sid: login.sid,
            jti: &jti,
            iat: now.as_second(),
            exp: later(now, self.config.token_lifetime).as_second(),
            return_to: login.return_to.map(ReturnTo::as_str),
        };
        Ok(self.token_key.sign(&claims))
    }

    /// The application's address with a token.
    fn application_with(&self, token: &Secret<String>) -> String {
        let url = &self.config.application_url;
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}token={}", token.expose())
    }
}

fn arrival(request: &Request) -> Result<Arrival, Failure> {
    let query = Query::parse(request.query()).map_err(|_| Failure::Incomplete)?;
    let (tenant_id, state) = (tenant_in(&query), value(&query, "state", LONGEST_CODE));
    match value(&query, "code", LONGEST_CODE).map(Secret::new) {
        Some(code) if tenant_id.is_some() || state.is_some() => Ok(Arrival { code, tenant_id, state }),
        _ => Err(match query.first("error") {
            Some(error) => Failure::Declined(error.chars().take(LONGEST_TENANT_ID).collect()),
            None => Failure::Incomplete,
        }),
    }
}

/// The tenant that a request names. One that no tenant can have is none.
pub(super) fn tenant_in(query: &Query) -> Option<String> {
    value(query, "tenant", LONGEST_TENANT_ID)
}

fn value(query: &Query, name: &str, longest: usize) -> Option<String> {
    query.first(name).filter(|value| !value.is_empty() && value.len() <= longest).map(str::to_owned)
}

/// Whether what came belongs to what this browser has begun. Where a state was given along, it must have come back.
fn returned(arrival: Arrival, state: State) -> Result<Returned, Failure> {
    let Arrival { code, tenant_id, state: given_back } = arrival;
    let State::Begun { id: state_id, return_to, tenant_id: asked } = state else { return Err(Failure::NotBegun) };
    let tenant_id = match (asked, tenant_id) {
        (Some(asked), told) => {
            let belongs = given_back.as_deref() == Some(&state_id) && told.is_none_or(|told| told == asked);
            if belongs { asked } else { return Err(Failure::NotBegun) }
        }
        (None, told) => told.ok_or(Failure::Incomplete)?,
    };
    Ok(Returned { code, tenant_id, state_id, return_to })
}

fn later(now: Timestamp, time: std::time::Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}
