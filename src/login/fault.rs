//! Why a login fails: for the log in the error's own words, for the user and the seller on a page in theirs.
//!
//! Pure. No text here holds a code, a secret or a token.

use crate::address::AddressFault;

/// An address of an authentication centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/api/v1/oauth2/token`
    Token,
    /// `/api/v1/oauth2/userinfo`
    UserInfo,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token => "the token request",
            Self::UserInfo => "userinfo",
        })
    }
}

/// What is wrong with an authentication centre or its reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CentreFault {
    /// Its address may not be used.
    #[error("the tenant's domain_name cannot be used: {0}")]
    Address(AddressFault),
    /// No connection, or one that broke.
    #[error("the authentication centre cannot be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("the authentication centre has not answered in time")]
    TimedOut,
    /// A reply beyond the limit.
    #[error("the authentication centre's reply is too long")]
    TooLong,
    /// A redirect, which is not followed: it would carry a secret elsewhere.
    #[error("the authentication centre redirects (HTTP {status}); its domain_name must be the one that answers")]
    Redirected {
        /// The status.
        status: u16,
    },
    /// The code, or the refresh token, is not good any more.
    #[error("the authentication centre refuses the code or refresh token: {words}")]
    InvalidGrant {
        /// Its words.
        words: String,
    },
    /// The credential was changed.
    #[error("the authentication centre knows another client: {words}")]
    ClientMismatch {
        /// Its words.
        words: String,
    },
    /// The credential is wrong.
    #[error("the authentication centre refuses the client credential (HTTP {status}): {words}")]
    BadClient {
        /// The status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// HTTP 403.
    #[error("the authentication centre forbids the token request (HTTP 403): {words}")]
    Forbidden {
        /// Its words.
        words: String,
    },
    /// Another status.
    #[error("the authentication centre answers {endpoint} with HTTP {status}: {words}")]
    Unexpected {
        /// What was asked.
        endpoint: Endpoint,
        /// The status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// A reply without what it must have.
    #[error("the authentication centre's reply to {endpoint} cannot be used: {what}")]
    Unreadable {
        /// What was asked.
        endpoint: Endpoint,
        /// What is wrong.
        what: &'static str,
    },
    /// The user is another tenant's.
    #[error("the authentication centre tells of a user of another tenant")]
    WrongTenant,
    /// A refresh tells of another user.
    #[error("the authentication centre tells of another user than the one who logged in")]
    WrongUser,
}

/// Why a login, a refresh or a logout fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A callback in a browser that has not begun a login here, for the second time.
    #[error("the callback came from a browser that has not begun a login here")]
    NotBegun,
    /// The cookie that was just set did not come back.
    #[error("the browser keeps no cookies")]
    CookiesRefused,
    /// Not a path of the application.
    #[error("return_to is no path of the application")]
    BadReturnTo,
    /// No code or no tenant.
    #[error("the callback has no code or no tenant")]
    Incomplete,
    /// KooGallery or the user said no.
    #[error("the login was declined: {0:?}")]
    Declined(String),
    /// The same code or state again.
    #[error("the code or the login was used before")]
    Used,
    /// Nobody has told of this tenant.
    #[error("tenant {0:?} is unknown: no tenantSync has told of it")]
    UnknownTenant(String),
    /// It has been named, but not told.
    #[error("tenant {0:?} has no domain_name: no tenantSync has told it")]
    NoDomain(String),
    /// No credential for it.
    #[error("tenant {0:?} has no credential for login.app_id: no applicationSync has told it")]
    UnknownApplication(String),
    /// The kit's calls have told of this user, and that it may not.
    #[error("tenant {0:?}: the user is not authorised for the application, or is disabled: authSync has said so")]
    NotAuthorised(String),
    /// The authentication centre.
    #[error("tenant {tenant:?}: {fault}")]
    Centre {
        /// The tenant's id.
        tenant: String,
        /// What is wrong.
        fault: CentreFault,
    },
    /// So many logins are going on that no other begins: there was no place in time, or too many wait for one.
    #[error("too many logins wait for authentication centres")]
    Busy,
    /// No such session, or not any more.
    #[error("no such login session, or it has ended")]
    NoSession,
    /// koogate itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Failure {
    /// The HTTP status that tells of it.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotBegun | Self::CookiesRefused | Self::BadReturnTo | Self::Incomplete | Self::Used => 400,
            Self::Declined(_) | Self::NotAuthorised(_) => 403,
            Self::UnknownTenant(_) | Self::NoDomain(_) | Self::UnknownApplication(_) | Self::NoSession => 404,
            Self::Centre { fault: CentreFault::InvalidGrant { .. }, .. } => 400,
            Self::Centre { fault: CentreFault::TimedOut, .. } => 504,
            Self::Centre { .. } => 502,
            Self::Busy => 503,
            Self::Internal(_) => 500,
        }
    }

    /// Whether anybody with a browser can cause it, again and again: logged at a bound rate. What a centre refuses is among
    /// it, since anybody can make up a code, and send one to a centre that is known to be in trouble.
    pub fn is_anybodys(&self) -> bool {
        !matches!(self, Self::Internal(_))
    }

    /// Whether a new login may help.
    pub fn may_begin_anew(&self) -> bool {
        !matches!(
            self,
            Self::UnknownTenant(_)
                | Self::NoDomain(_)
                | Self::UnknownApplication(_)
                | Self::NotAuthorised(_)
                | Self::NoSession
        )
    }
}
