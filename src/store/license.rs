//! Rows of `license`: the licences that were asked for, and what became of them.

use jiff::Timestamp;

use super::{JobRow, StoreError, Tx, instant, millis, word};
use crate::instance::Status;
use crate::kind::Kind;
use crate::license::{Form, License};
use crate::operation::Environment;
use crate::protocol::call::LicenseRequest;
use crate::secret::Secret;

/// A licence that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct NewLicense<'a> {
    /// Row of the instance.
    pub instance: i64,
    /// Row of the operation that asks for it.
    pub operation: i64,
    /// For which event and device, where the interface says so.
    pub request: Option<&'a LicenseRequest>,
}

/// A recorded licence. Its content is read apart ([`Tx::license_content`]).
#[derive(Debug, Clone)]
pub struct LicenseRow {
    /// Row id; the number by which people call it.
    pub row: i64,
    /// Row of the instance.
    pub instance: i64,
    /// Row of the operation that asked for it.
    pub operation: i64,
    /// `requested`, `refused`, `issued` or `uploaded`.
    pub state: String,
    /// KooGallery's id of the request.
    pub event_id: Option<String>,
    /// The device it is for.
    pub device_fingerprint: Option<String>,
    /// It holds from here.
    pub effective_time: Option<Timestamp>,
    /// It holds until here.
    pub expire_time: Option<Timestamp>,
    /// The file's name, where it is one.
    pub file_name: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it was made.
    pub issued_at: Option<Timestamp>,
    /// When KooGallery had it.
    pub uploaded_at: Option<Timestamp>,
}

/// Which licences a listing shows.
#[derive(Debug, Clone)]
pub struct LicenseFilter {
    /// In this state.
    pub state: Option<String>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Of real or of test instances.
    pub environment: Environment,
}

/// What becomes of a licence.
pub const LICENSE_STATES: [&str; 4] = ["requested", "refused", "issued", "uploaded"];

/// An instance of a licence kind with one of its licences, in a listing.
#[derive(Debug, Clone)]
pub struct LicensedRow {
    /// Row of the instance.
    pub instance: i64,
    /// The kind of product.
    pub kind: Kind,
    /// The instance's id; kind `license-code`: the code.
    pub instance_id: String,
    /// Where the instance stands.
    pub status: Status,
    /// When its paid time ends.
    pub expire_time: Option<Timestamp>,
    /// The licence; `None`: none was asked for, or it is KooGallery's own code.
    pub license: Option<LicenseRow>,
}

impl LicensedRow {
    /// Its place in a listing.
    pub fn place(&self) -> (i64, i64) {
        (self.instance, self.license.as_ref().map_or(0, |license| license.row))
    }
}

impl Tx<'_> {
    /// Records that a licence is asked for, or asked for again after a refusal; returns its row.
    pub fn request_license(&self, new: &NewLicense<'_>, now: Timestamp) -> Result<i64, StoreError> {
        if let Some(license) = self.license_of(new.operation)? {
            let sql = "UPDATE license SET state = 'requested' WHERE id = ?1 AND state = 'refused'";
            self.execute("ask for the licence again", sql, [license.row])?;
            return Ok(license.row);
        }
        let request = new.request;
        self.insert(
            "record the licence",
            "INSERT INTO license (instance, operation, state, event_id, device_fingerprint, effective_time, expire_time, \
             requested_at) VALUES (?1, ?2, 'requested', ?3, ?4, ?5, ?6, ?7)",
            (
                new.instance,
                new.operation,
                request.map(|request| &request.event_id),
                request.and_then(|request| request.device_fingerprint.as_ref()),
                request.map(|request| millis(request.effective_time)),
                request.and_then(|request| request.expire_time).map(millis),
                millis(now),
            ),
        )
    }

    /// Licences and the instances they are of, newest first, at most `limit`; with `before` only what comes after this
    /// [`LicensedRow::place`].
    pub fn licenses(
        &self,
        filter: &LicenseFilter,
        before: Option<(i64, i64)>,
        limit: i64,
    ) -> Result<Vec<LicensedRow>, StoreError> {
        let sql = format!(
            "{SELECT_LICENSED} LEFT JOIN license ON license.instance = instance.id WHERE instance.kind <> 'saas' \
             AND instance.environment = ?1 AND (?2 IS NULL OR instance.kind = ?2) AND (?3 IS NULL OR license.state = ?3) \
             AND instance.id <= ?5 AND (instance.id < ?5 OR coalesce(license.id, 0) < ?6) \
             ORDER BY instance.id DESC, license.id DESC LIMIT ?4"
        );
        let (instance, license) = before.unwrap_or((i64::MAX, i64::MAX));
        let values =
            (filter.environment.as_str(), filter.kind.map(Kind::as_str), &filter.state, limit, instance, license);
        self.all("list licences", &sql, values, read_licensed)
    }

    /// One licence with its instance.
    pub fn licensed(&self, row: i64) -> Result<Option<LicensedRow>, StoreError> {
        let sql = format!("{SELECT_LICENSED} JOIN license ON license.instance = instance.id WHERE license.id = ?1");
        self.first("look up the licence", &sql, [row], read_licensed)
    }

    /// The same, with the licence by itself and the jobs that make and upload it.
    pub fn licensed_with_jobs(&self, row: i64) -> Result<Option<(LicensedRow, LicenseRow, Vec<JobRow>)>, StoreError> {
        let Some(licensed) = self.licensed(row)? else { return Ok(None) };
        let Some(license) = licensed.license.clone() else { return Ok(None) };
        let mut jobs = self.jobs_of(license.instance)?;
        jobs.retain(|job| job.subject.operation() == Some(license.operation));
        Ok(Some((licensed, license, jobs)))
    }

    /// The licence an operation asked for.
    pub fn license_of(&self, operation: i64) -> Result<Option<LicenseRow>, StoreError> {
        self.first("look up the licence", &format!("{SELECT} WHERE operation = ?1"), [operation], read_row)
    }

    /// A licence by its row.
    pub fn license(&self, row: i64) -> Result<Option<LicenseRow>, StoreError> {
        self.first("look up the licence", &format!("{SELECT} WHERE id = ?1"), [row], read_row)
    }

    /// The licences of an instance, oldest first.
    pub fn licenses_of(&self, instance: i64) -> Result<Vec<LicenseRow>, StoreError> {
        self.all("look up licences", &format!("{SELECT} WHERE instance = ?1 ORDER BY id"), [instance], read_row)
    }

    /// Stores a licence that was made, sealed. What is issued stays as it is: the same request must always lead to the
    /// same licence. Returns whether it was stored.
    pub fn issue_license(&self, row: i64, license: &License, now: Timestamp) -> Result<bool, StoreError> {
        let (name, content) = match license.form() {
            Form::Text(text) => (None, text.expose().as_bytes()),
            Form::File { name, content } => (Some(name), content.expose().as_slice()),
        };
        let changed = self.execute(
            "store the licence",
            "UPDATE license SET state = 'issued', file_name = ?2, content_sealed = ?3, issued_at = ?4 \
             WHERE id = ?1 AND state IN ('requested', 'refused')",
            (row, name, self.sealing.seal(&sealed_in(row), content)?, millis(now)),
        )?;
        Ok(changed > 0)
    }

    /// Records that KooGallery has the licence an operation asked for.
    pub fn license_uploaded(&self, operation: i64, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE license SET state = 'uploaded', uploaded_at = ?2 WHERE operation = ?1 AND state = 'issued'";
        self.execute("record the upload", sql, (operation, millis(now))).map(drop)
    }

    /// Records that no licence will be made, as things stand.
    pub fn refuse_license(&self, operation: i64) -> Result<(), StoreError> {
        let sql = "UPDATE license SET state = 'refused' WHERE operation = ?1 AND state = 'requested'";
        self.execute("refuse the licence", sql, [operation]).map(drop)
    }

    /// What is in a licence; `None` while it is not made.
    pub fn license_content(&self, license: &LicenseRow) -> Result<Option<License>, StoreError> {
        let sql = "SELECT content_sealed FROM license WHERE id = ?1";
        let sealed: Option<Vec<u8>> = self.first("read the licence", sql, [license.row], |row| row.get(0))?.flatten();
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.sealing.open(&sealed_in(license.row), &sealed)?;
        let bad = |problem: String| StoreError::BadRow { table: "license", problem };
        let made = match &license.file_name {
            Some(name) => License::file(name, plain),
            None => {
                let text = String::from_utf8(plain.expose().clone());
                License::text(Secret::new(text.map_err(|_| bad(format!("licence {} is not UTF-8", license.row)))?))
            }
        };
        made.map(Some).map_err(|fault| bad(fault.to_string()))
    }

    /// How many licences of an instance were asked for and not refused, other than that of `except`.
    pub fn licenses_in_use(&self, instance: i64, except: Option<i64>) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM license WHERE instance = ?1 AND state <> 'refused' AND operation IS NOT ?2";
        Ok(self.first("count the licences", sql, (instance, except), |row| row.get(0))?.unwrap_or(0))
    }
}

/// A sealed licence belongs to its row and opens nowhere else.
fn sealed_in(row: i64) -> String {
    format!("license.content:{row}")
}

/// The columns of a licence.
macro_rules! columns {
    () => {
        "license.id, license.instance, license.operation, license.state, license.event_id, license.device_fingerprint, \
         license.effective_time, license.expire_time, license.file_name, license.requested_at, license.issued_at, \
         license.uploaded_at"
    };
}

const SELECT: &str = concat!("SELECT ", columns!(), " FROM license");

pub(super) const SELECT_LICENSED: &str = concat!(
    "SELECT ",
    columns!(),
    ", instance.kind, instance.instance_id, instance.status, instance.expire_time, \
     instance.id FROM instance"
);

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<LicenseRow> {
    let time = |column: usize| row.get::<_, Option<i64>>(column)?.map(instant).transpose();
    Ok(LicenseRow {
        row: row.get(0)?,
        instance: row.get(1)?,
        operation: row.get(2)?,
        state: row.get(3)?,
        event_id: row.get(4)?,
        device_fingerprint: row.get(5)?,
        effective_time: time(6)?,
        expire_time: time(7)?,
        file_name: row.get(8)?,
        requested_at: instant(row.get(9)?)?,
        issued_at: time(10)?,
        uploaded_at: time(11)?,
    })
}

pub(super) fn read_licensed(row: &rusqlite::Row<'_>) -> rusqlite::Result<LicensedRow> {
    Ok(LicensedRow {
        instance: row.get(16)?,
        kind: word(row.get(12)?)?,
        instance_id: row.get(13)?,
        status: word(row.get(14)?)?,
        expire_time: row.get::<_, Option<i64>>(15)?.map(instant).transpose()?,
        license: row.get::<_, Option<i64>>(0)?.map(|_| read_row(row)).transpose()?,
    })
}
