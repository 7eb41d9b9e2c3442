//! Rows of `instance` and `instance_history`.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis};
use crate::access::{Access, AccessParts};
use crate::instance::{Change, Instance, Status};
use crate::operation::Environment;
use crate::secret::Secret;

/// An instance that is being created.
#[derive(Debug, Clone)]
pub struct NewInstance<'a> {
    /// Real or test.
    pub environment: Environment,
    /// Which families share ids.
    pub namespace: &'a str,
    /// Its id on the wire.
    pub instance_id: &'a str,
    /// The order that bought it.
    pub order_id: Option<&'a str>,
    /// The line of that order.
    pub order_line_id: Option<&'a str>,
    /// The product, where known.
    pub product_id: Option<&'a str>,
    /// The specification, where known.
    pub sku_code: Option<&'a str>,
    /// The estimated expiry, where known.
    pub expire_time: Option<Timestamp>,
}

/// A recorded instance. Secrets are read apart ([`Tx::access_of`]).
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// Row id.
    pub row: i64,
    /// Real or test.
    pub environment: Environment,
    /// Which families share ids.
    pub namespace: String,
    /// Its id on the wire.
    pub instance_id: String,
    /// What the life-cycle works on.
    pub life: Instance,
    /// The order that bought it.
    pub order_id: Option<String>,
    /// The line of that order.
    pub order_line_id: Option<String>,
    /// Site of the application.
    pub front_end_url: Option<String>,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it could be used first.
    pub ready_at: Option<Timestamp>,
}

/// What made an instance change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cause<'a> {
    /// A call.
    pub exchange: Option<i64>,
    /// The job that carried it out.
    pub job: Option<i64>,
    /// What was remarkable, or which command it was.
    pub note: Option<&'a str>,
}

/// A row of an instance's history.
#[derive(Debug, Clone)]
pub struct HistoryRow {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub change: String,
    /// Status afterwards.
    pub status: String,
    /// Expiry afterwards.
    pub expire_time: Option<Timestamp>,
    /// The call that caused it.
    pub exchange: Option<i64>,
    /// The job that carried it out.
    pub job: Option<i64>,
    /// Remark.
    pub note: Option<String>,
}

/// Which instances a listing shows.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// In this status.
    pub status: Option<Status>,
    /// Of this order.
    pub order_id: Option<String>,
    /// Real or test.
    pub environment: Option<Environment>,
}

impl Tx<'_> {
    /// An instance by its id.
    pub fn instance(
        &self,
        environment: Environment,
        namespace: &str,
        instance_id: &str,
    ) -> Result<Option<InstanceRow>, StoreError> {
        self.first(
            "look up the instance",
            &format!("{SELECT} WHERE environment = ?1 AND namespace = ?2 AND instance_id = ?3"),
            (environment.as_str(), namespace, instance_id),
            read_row,
        )
    }

    /// An instance by its row.
    pub fn instance_by_row(&self, row: i64) -> Result<Option<InstanceRow>, StoreError> {
        self.first("look up the instance", &format!("{SELECT} WHERE id = ?1"), [row], read_row)
    }

    /// All instances of an id, whatever namespace and environment; for the operator's commands.
    pub fn instances_named(&self, instance_id: &str) -> Result<Vec<InstanceRow>, StoreError> {
        let sql = format!("{SELECT} WHERE instance_id = ?1 ORDER BY environment, namespace");
        self.all("look up the instance", &sql, [instance_id], read_row)
    }

    /// Instances, newest first, at most `limit`.
    pub fn instances(&self, filter: &InstanceFilter, limit: i64) -> Result<Vec<InstanceRow>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR order_id = ?2) \
             AND (?3 IS NULL OR environment = ?3) ORDER BY id DESC LIMIT ?4"
        );
        let status = filter.status.map(Status::as_str);
        let environment = filter.environment.map(Environment::as_str);
        self.all("list instances", &sql, (status, &filter.order_id, environment, limit), read_row)
    }

    /// Creates an instance in status `creating`, with the first row of its history.
    pub fn insert_instance(
        &self,
        new: &NewInstance<'_>,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<InstanceRow, StoreError> {
        let row = self.insert(
            "create the instance",
            "INSERT INTO instance (environment, namespace, instance_id, status, order_id, order_line_id, product_id, \
             sku_code, expire_time, created_at) VALUES (?1, ?2, ?3, 'creating', ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                new.environment.as_str(),
                new.namespace,
                new.instance_id,
                new.order_id,
                new.order_line_id,
                new.product_id,
                new.sku_code,
                new.expire_time.map(millis),
                millis(now),
            ),
        )?;
        let created = InstanceRow {
            row,
            environment: new.environment,
            namespace: new.namespace.to_owned(),
            instance_id: new.instance_id.to_owned(),
            life: Instance {
                status: Status::Creating,
                status_serial: 0,
                expire_time: new.expire_time,
                product_id: new.product_id.map(str::to_owned),
                sku_code: new.sku_code.map(str::to_owned),
            },
            order_id: new.order_id.map(str::to_owned),
            order_line_id: new.order_line_id.map(str::to_owned),
            front_end_url: None,
            created_at: now,
            ready_at: None,
        };
        self.add_history(&created, "created", cause, now)?;
        Ok(created)
    }

    /// Applies a change to an instance and writes it into its history; returns the instance afterwards.
    pub fn apply(
        &self,
        instance: &InstanceRow,
        change: &Change,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<InstanceRow, StoreError> {
        let mut after = instance.clone();
        after.life = instance.life.after(change);
        if matches!(change, Change::Ready) {
            after.ready_at = after.ready_at.or(Some(now));
        }
        let life = &after.life;
        self.execute(
            "change the instance",
            "UPDATE instance SET status = ?2, status_serial = ?3, expire_time = ?4, product_id = ?5, sku_code = ?6, \
             ready_at = ?7, released_at = CASE WHEN ?2 = 'released' THEN coalesce(released_at, ?8) END WHERE id = ?1",
            (
                after.row,
                life.status.as_str(),
                life.status_serial,
                life.expire_time.map(millis),
                &life.product_id,
                &life.sku_code,
                after.ready_at.map(millis),
                millis(now),
            ),
        )?;
        self.add_history(&after, change.word(), cause, now)?;
        Ok(after)
    }

    fn add_history(
        &self,
        after: &InstanceRow,
        change: &str,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "write the instance's history",
            "INSERT INTO instance_history (instance, serial, at, change, status, expire_time, exchange, job, note) \
             VALUES (?1, (SELECT coalesce(max(serial), 0) + 1 FROM instance_history WHERE instance = ?1), \
             ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                after.row,
                millis(now),
                change,
                after.life.status.as_str(),
                after.life.expire_time.map(millis),
                cause.exchange,
                cause.job,
                cause.note,
            ),
        )
        .map(drop)
    }

    /// The history of an instance, oldest first.
    pub fn history(&self, instance: i64) -> Result<Vec<HistoryRow>, StoreError> {
        self.all(
            "read the instance's history",
            "SELECT at, change, status, expire_time, exchange, job, note FROM instance_history WHERE instance = ?1 \
             ORDER BY serial",
            [instance],
            |row| {
                Ok(HistoryRow {
                    at: instant(row.get(0)?)?,
                    change: row.get(1)?,
                    status: row.get(2)?,
                    expire_time: row.get::<_, Option<i64>>(3)?.map(instant).transpose()?,
                    exchange: row.get(4)?,
                    job: row.get(5)?,
                    note: row.get(6)?,
                })
            },
        )
    }

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

const SELECT: &str = "SELECT id, environment, namespace, instance_id, status, status_serial, expire_time, product_id, \
    sku_code, order_id, order_line_id, front_end_url, created_at, ready_at FROM instance";

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<InstanceRow> {
    let environment = if row.get_ref(1)?.as_str()? == "test" { Environment::Test } else { Environment::Real };
    let status: String = row.get(4)?;
    let status = status.parse().map_err(|_| rusqlite::Error::InvalidColumnName(status))?;
    Ok(InstanceRow {
        row: row.get(0)?,
        environment,
        namespace: row.get(2)?,
        instance_id: row.get(3)?,
        life: Instance {
            status,
            status_serial: row.get(5)?,
            expire_time: row.get::<_, Option<i64>>(6)?.map(instant).transpose()?,
            product_id: row.get(7)?,
            sku_code: row.get(8)?,
        },
        order_id: row.get(9)?,
        order_line_id: row.get(10)?,
        front_end_url: row.get(11)?,
        created_at: instant(row.get(12)?)?,
        ready_at: row.get::<_, Option<i64>>(13)?.map(instant).transpose()?,
    })
}
