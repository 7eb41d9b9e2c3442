//! How to get into an instance: the columns of `instance` that are handed to the buyer, secrets sealed.

use super::{InstanceRow, StoreError, Tx};
use crate::access::{Access, AccessParts};
use crate::secret::Secret;

impl Tx<'_> {
    /// Stores how to get into an instance; user name and password sealed.
    pub fn set_access(&self, instance: &InstanceRow, access: &Access) -> Result<(), StoreError> {
        self.execute(
            "store the access data",
            "UPDATE instance SET front_end_url = ?2, admin_url = ?3, memo = ?4, user_name_sealed = ?5, \
             password_sealed = ?6 WHERE id = ?1",
            (
                instance.row,
                access.front_end_url(),
                access.admin_url(),
                access.memo(),
                self.seal_text(&sealed_in(instance.row, "user_name"), access.user_name())?,
                self.seal_text(&sealed_in(instance.row, "password"), access.password())?,
            ),
        )
        .map(drop)
    }

    /// How to get into an instance; `None` while nothing is known.
    pub fn access_of(&self, instance: &InstanceRow) -> Result<Option<Access>, StoreError> {
        type Sealed = Option<Vec<u8>>;
        type Columns = (Option<String>, Option<String>, Option<String>, Sealed, Sealed);
        let found: Option<Columns> = self.first(
            "read the access data",
            "SELECT front_end_url, admin_url, memo, user_name_sealed, password_sealed FROM instance WHERE id = ?1",
            [instance.row],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )?;
        let Some((Some(front_end_url), admin_url, memo, user_name, password)) = found else { return Ok(None) };
        self.accepted(
            "instance",
            AccessParts {
                front_end_url,
                admin_url,
                memo,
                user_name: self.open_text(&sealed_in(instance.row, "user_name"), user_name)?,
                password: self.open_text(&sealed_in(instance.row, "password"), password)?,
            },
        )
        .map(Some)
    }

    /// Stored access data was accepted once; if it is not any more, somebody has changed the file by hand.
    pub(super) fn accepted(&self, table: &'static str, parts: AccessParts) -> Result<Access, StoreError> {
        Access::accept(parts).map_err(|fault| StoreError::BadRow { table, problem: fault.to_string() })
    }

    /// Seals a text column.
    pub(super) fn seal_text(
        &self,
        context: &str,
        text: Option<&Secret<String>>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(text.map(|text| self.sealing.seal(context, text.expose().as_bytes())).transpose()?)
    }

    /// Opens a sealed text column.
    pub(super) fn open_text(
        &self,
        context: &str,
        sealed: Option<Vec<u8>>,
    ) -> Result<Option<Secret<String>>, StoreError> {
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.sealing.open(context, &sealed)?;
        let text = String::from_utf8(plain.expose().clone())
            .map_err(|_| StoreError::BadRow { table: "instance", problem: format!("{context} is not UTF-8") })?;
        Ok(Some(Secret::new(text)))
    }
}

/// A sealed value belongs to its row and column and opens nowhere else.
fn sealed_in(row: i64, column: &str) -> String {
    format!("instance.{column}:{row}")
}
