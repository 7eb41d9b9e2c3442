//! The life of a login session after the hand-over: the application refreshes and ends it on the admin listener, the
//! browser logs out.

use std::sync::Arc;

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::callback::Login;
use super::centre::{self, Client, Grant};
use super::exchange::{Times, internal, of_centre};
use super::fault::{CentreFault, Failure};
use super::reply::User;
use super::return_to::ReturnTo;
use super::{LoginDesk, redirect};
use crate::address::Address;
use crate::http::{Reply, Request};
use crate::protocol::query::Query;
use crate::store::LoginSessionRow;

/// What the application asks of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `POST /api/v1/login/{sid}/refresh`
    Refresh,
    /// `POST /api/v1/login/{sid}/end`
    End,
}

/// Why a refresh fails where a failure of a login does not say it.
enum NoRefresh {
    /// The user must log in again.
    LogInAgain,
    /// The user may not use the application any more; the session has ended.
    NotAuthorised,
    /// Another one runs.
    Running,
    /// As a login fails.
    Failed(Failure),
}

impl From<Failure> for NoRefresh {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl LoginDesk {
    /// Answers the application, in JSON.
    pub fn answer_application(self: &Arc<Self>, sid: &str, asked: Asked, request: &Request) -> Reply {
        let (status, body) = match asked {
            Asked::End => match self.end(sid, request) {
                Ok(true) => (200, json!({ "sid": sid, "ended": true })),
                Ok(false) => self.problem(request, &Failure::NoSession),
                Err(failure) => self.problem(request, &failure),
            },
            Asked::Refresh => match self.refresh(sid, request) {
                Ok(body) => (200, body),
                Err(NoRefresh::LogInAgain) => (
                    409,
                    json!({
                        "error": "the session cannot be refreshed any more: let the user log in again",
                        "reason": "log-in-again",
                    }),
                ),
                Err(NoRefresh::NotAuthorised) => (
                    409,
                    json!({
                        "error": "the user is not authorised for the application any more: the session has ended",
                        "reason": "not-authorised",
                    }),
                ),
                Err(NoRefresh::Running) => {
                    (409, json!({ "error": "a refresh of this session is running", "reason": "refresh-running" }))
                }
                Err(NoRefresh::Failed(failure)) => self.problem(request, &failure),
            },
        };
        Reply::new(status, "application/json", body.to_string()).with_header("Cache-Control", "no-store")
    }

    fn problem(&self, request: &Request, failure: &Failure) -> (u16, Value) {
        let reason = match failure {
            Failure::NoSession => return (404, json!({ "error": failure.to_string(), "reason": "no-session" })),
            // The tenant was unbound since: asking again does not help before it is bound.
            Failure::UnknownTenant(_) | Failure::NoDomain(_) | Failure::UnknownApplication(_) => {
                return (409, json!({ "error": failure.to_string(), "reason": "no-credential" }));
            }
            Failure::Busy => "busy",
            Failure::Centre { .. } => "centre",
            _ => "internal",
        };
        // Who asks has the admin token: a centre's trouble is worth a line each time.
        let is_bounded = failure.is_anybodys() && !matches!(failure, Failure::Centre { .. });
        let reference = self.note(request, failure, is_bounded);
        let error = match failure {
            Failure::Internal(_) => "internal error, see the log".to_owned(),
            other => other.to_string(),
        };
        (failure.status(), json!({ "error": error, "reason": reason, "reference": reference }))
    }

    /// Renews a session at its centre and tells who the user is now, with a new token.
    fn refresh(self: &Arc<Self>, sid: &str, request: &Request) -> Result<Value, NoRefresh> {
        let session = self.session(sid)?.ok_or(Failure::NoSession)?;
        let turn = self.refreshing.begin(sid).ok_or(NoRefresh::Running)?;
        self.end_if_not_authorised(&session)?;
        // After the turn has begun: another one may just have stored a newer one.
        let refresh_token = self.store.read(|tx| tx.refresh_token_of(sid)).map_err(internal)?;
        let refresh_token = refresh_token.ok_or(NoRefresh::LogInAgain)?;
        let domain_name = session.domain_name.as_deref();
        let client = self.client_of(session.tenant, &session.tenant_id, domain_name, &session.app_id)?;
        let (times, grant) = (self.times(request), Grant::Refresh(refresh_token));
        let (of_tenant, renewing) = ((session.tenant, session.tenant_id.clone()), session.clone());
        let renewed = self.talk((of_tenant.0, &of_tenant.1), times.talk_until, move |desk| {
            // It ends with the talk, which may go on when nobody waits any more.
            let _turn = turn;
            desk.renew(&renewing, &client, &grant, times)
        });
        let user = match renewed {
            Ok(user) => user,
            Err(Failure::Centre { fault: CentreFault::InvalidGrant { .. }, .. }) => return Err(NoRefresh::LogInAgain),
            Err(failure) => return Err(failure.into()),
        };
        // The talk took its time.
        self.end_if_not_authorised(&session)?;
        let token = self.token(&Login {
            tenant_id: &session.tenant_id,
            app_id: &session.app_id,
            user: &user,
            sid,
            return_to: None,
        })?;
        // A struct of texts: it always can be written.
        let mut body = serde_json::to_value(&user).unwrap_or_default();
        body["sid"] = sid.into();
        body["tenant"] = session.tenant_id.into();
        body["token"] = token.expose().as_str().into();
        Ok(body)
    }

    /// Ends a session whose user may not use the application any more.
    fn end_if_not_authorised(&self, session: &LoginSessionRow) -> Result<(), NoRefresh> {
        let LoginSessionRow { tenant, app_id, user_name, sid, .. } = session;
        let may_use = self.store.read(|tx| tx.may_use(*tenant, app_id, user_name)).map_err(internal)?;
        if may_use != Some(false) {
            return Ok(());
        }
        let sid = sid.clone();
        self.store.write(None, move |tx| tx.end_login_session(&sid)).map_err(internal)?;
        Err(NoRefresh::NotAuthorised)
    }

    /// In the pool. The newest refresh token is stored before anything else is asked: the one before is worthless now.
    fn renew(&self, session: &LoginSessionRow, client: &Client, grant: &Grant, times: Times) -> Result<User, Failure> {
        let sid = session.sid.clone();
        let tokens = match self.centre.tokens(client, grant, times.talk_until) {
            Ok(tokens) => tokens,
            Err(fault) => {
                if matches!(fault, CentreFault::InvalidGrant { .. }) {
                    self.store.write(None, move |tx| tx.drop_refresh_token(&sid)).map_err(internal)?;
                }
                return Err(of_centre(&client.tenant_id, fault));
            }
        };
        let (now, newest) = (Timestamp::now(), tokens.refresh);
        let expires_at = self.session_end(now);
        let kept = self.store.write(None, move |tx| tx.renew_login_session(&sid, newest.as_ref(), expires_at, now));
        if !kept.map_err(internal)? {
            return Err(Failure::NoSession);
        }
        let user = self.centre.user(client, &tokens.access, times.talk_until);
        let user = user.map_err(|fault| of_centre(&client.tenant_id, fault))?;
        if user.user_name != session.user_name {
            return Err(of_centre(&client.tenant_id, CentreFault::WrongUser));
        }
        Ok(user)
    }

    /// `GET /logout`: ends the session, then KooGallery's own at the tenant's centre. Only who knows the session's id, 128
    /// random bits, can do it.
    pub(super) fn log_out(self: &Arc<Self>, request: &Request) -> Reply {
        let Ok(query) = Query::parse(request.query()) else { return self.fail(request, &Failure::BadReturnTo) };
        let return_to = match ReturnTo::asked_for(&query) {
            Ok(path) => path.map(|path| self.in_application(&path)),
            Err(_) => return self.fail(request, &Failure::BadReturnTo),
        };
        let sid = query.first("sid").unwrap_or_default();
        let ended = self.session(sid).and_then(|session| {
            self.end(sid, request)?;
            Ok(session)
        });
        let base = match ended {
            Ok(Some(session)) => session.domain_name.and_then(|domain| centre::base(&domain).ok()),
            Ok(None) => None,
            Err(failure) => return self.fail(request, &failure),
        };
        match (base, return_to) {
            (Some(base), Some(url)) => {
                let url = utf8_percent_encode(&url, NON_ALPHANUMERIC);
                redirect(&format!("{base}/api/v1/logout?redirect_url={url}"))
            }
            (Some(base), None) => redirect(&format!("{base}/api/v1/logout")),
            (None, Some(url)) => redirect(&url),
            (None, None) => self.fail(request, &Failure::NoSession),
        }
    }

    fn session(&self, sid: &str) -> Result<Option<LoginSessionRow>, Failure> {
        // No look-up for what cannot be one.
        if sid.len() != 32 || !sid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        self.store.read(|tx| tx.login_session(sid, Timestamp::now())).map_err(internal)
    }

    /// Whether there was one.
    fn end(&self, sid: &str, request: &Request) -> Result<bool, Failure> {
        if self.session(sid)?.is_none() {
            return Ok(false);
        }
        let (sid, answer_by) = (sid.to_owned(), self.times(request).answer_by);
        self.store.write(Some(answer_by), move |tx| tx.end_login_session(&sid)).map_err(internal)
    }

    /// A path of the application as a whole address.
    fn in_application(&self, path: &ReturnTo) -> String {
        let origin = Address::parse(&self.config.application_url).map(|address| address.origin).unwrap_or_default();
        format!("{origin}{}", path.as_str())
    }
}
