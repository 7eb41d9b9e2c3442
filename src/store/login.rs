//! Rows of `login_session`: logins that were handed to the application, and what a refresh and a logout need of them.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};
use crate::secret::Secret;

/// A login session. Its refresh token is read apart ([`Tx::refresh_token_of`]).
#[derive(Debug, Clone)]
pub struct LoginSessionRow {
    /// Its id, unguessable.
    pub sid: String,
    /// Row of the tenant.
    pub tenant: i64,
    /// The tenant's id on the wire.
    pub tenant_id: String,
    /// Base of the tenant's OAuth addresses.
    pub domain_name: Option<String>,
    /// The application whose credential was used.
    pub app_id: String,
    /// Who logged in.
    pub user_name: String,
    /// When the login was.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// A login session that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewLoginSession<'a> {
    /// Its id, unguessable.
    pub sid: &'a str,
    /// Row of the tenant.
    pub tenant: i64,
    /// The application whose credential was used.
    pub app_id: &'a str,
    /// Who logged in.
    pub user_name: &'a str,
    /// What renews it, where the centre gave one.
    pub refresh_token: Option<&'a Secret<String>>,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

impl Tx<'_> {
    /// Records a session, its refresh token sealed; returns its row.
    pub fn insert_login_session(&self, new: &NewLoginSession<'_>, now: Timestamp) -> Result<i64, StoreError> {
        let sealed = new.refresh_token.map(|token| self.seal_refresh_token(new.sid, token)).transpose()?;
        self.insert(
            "record the login",
            "INSERT INTO login_session (sid, tenant, app_id, user_name, refresh_token_sealed, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (new.sid, new.tenant, new.app_id, new.user_name, sealed, millis(now), millis(new.expires_at)),
        )
    }

    /// A session by its id, unless it has expired.
    pub fn login_session(&self, sid: &str, now: Timestamp) -> Result<Option<LoginSessionRow>, StoreError> {
        let sql = "SELECT sid, login_session.tenant, tenant_id, domain_name, app_id, user_name, \
                   login_session.created_at, expires_at FROM login_session JOIN tenant \
                   ON tenant.id = login_session.tenant WHERE sid = ?1 AND expires_at > ?2";
        self.first("look up the login", sql, (sid, millis(now)), |row| {
            Ok(LoginSessionRow {
                sid: row.get(0)?,
                tenant: row.get(1)?,
                tenant_id: row.get(2)?,
                domain_name: row.get(3)?,
                app_id: row.get(4)?,
                user_name: row.get(5)?,
                created_at: instant(row.get(6)?)?,
                expires_at: instant(row.get(7)?)?,
            })
        })
    }

    /// The newest refresh token of a session; `None`: there is none that works.
    pub fn refresh_token_of(&self, sid: &str) -> Result<Option<Secret<String>>, StoreError> {
        let sql = "SELECT refresh_token_sealed FROM login_session WHERE sid = ?1";
        let sealed: Option<Option<Vec<u8>>> = self.first("read the refresh token", sql, [sid], |row| row.get(0))?;
        self.open_text(&refresh_token_in(sid), sealed.flatten())
    }

    /// Notes that a session was renewed, with the newest refresh token; `None`: the one before goes on. Returns whether
    /// there still is such a session.
    pub fn renew_login_session(
        &self,
        sid: &str,
        newest: Option<&Secret<String>>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sealed = newest.map(|token| self.seal_refresh_token(sid, token)).transpose()?;
        let sql = "UPDATE login_session SET refresh_token_sealed = coalesce(?2, refresh_token_sealed), \
                   expires_at = ?3, refreshed_at = ?4 WHERE sid = ?1";
        let changed = self.execute("renew the login", sql, (sid, sealed, millis(expires_at), millis(now)))?;
        Ok(changed > 0)
    }

    /// Forgets a refresh token that the centre refuses; the session can be ended still.
    pub fn drop_refresh_token(&self, sid: &str) -> Result<(), StoreError> {
        let sql = "UPDATE login_session SET refresh_token_sealed = NULL WHERE sid = ?1";
        self.execute("forget the refresh token", sql, [sid]).map(drop)
    }

    /// Forgets a session; returns whether there was one.
    pub fn end_login_session(&self, sid: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM login_session WHERE sid = ?1";
        self.execute("end the login", sql, [sid]).map(|removed| removed > 0)
    }

    /// Forgets sessions that have expired, at most `limit`; returns how many.
    pub fn purge_login_sessions(&self, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let sql = "DELETE FROM login_session WHERE id IN \
                   (SELECT id FROM login_session WHERE expires_at <= ?1 LIMIT ?2)";
        self.execute("purge logins", sql, (millis(now), limit))
    }

    fn seal_refresh_token(&self, sid: &str, token: &Secret<String>) -> Result<Vec<u8>, StoreError> {
        Ok(self.sealing.seal(&refresh_token_in(sid), token.expose().as_bytes())?)
    }
}

/// A sealed refresh token belongs to its session and opens nowhere else.
fn refresh_token_in(sid: &str) -> String {
    format!("login_session.refresh_token:{sid}")
}
