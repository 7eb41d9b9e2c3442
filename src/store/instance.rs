//! Rows of `instance` and `instance_history`.

use jiff::Timestamp;

use super::{StoreError, Tx, instant, millis, word};
use crate::access::{Access, AccessFault};
use crate::instance::{Change, Instance, Status};
use crate::kind::Kind;
use crate::operation::Environment;

/// An instance that is being created.
#[derive(Debug, Clone)]
pub struct NewInstance<'a> {
    /// Real or test.
    pub environment: Environment,
    /// The kind of product.
    pub kind: Kind,
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
    /// `PERIOD`, `ON_DEMAND`, `ONE_TIME`, `ON_DEMAND_PKG`, where known.
    pub charging_mode: Option<&'a str>,
    /// The call that buys it encrypts user name and password.
    pub encrypts_credentials: bool,
    /// What the call said that its repeats may say anew, JSON.
    pub terms: Option<&'a str>,
    /// It is made in the transaction that records it: nobody sees it being created.
    pub is_ready: bool,
}

impl NewInstance<'_> {
    /// The instance as it is recorded, but for the number of its row.
    pub fn row(&self, now: Timestamp) -> InstanceRow {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let creating = Instance {
            status: Status::Creating,
            status_serial: 0,
            expire_time: self.expire_time,
            product_id: text(self.product_id),
            sku_code: text(self.sku_code),
        };
        InstanceRow {
            row: 0,
            environment: self.environment,
            kind: self.kind,
            instance_id: self.instance_id.to_owned(),
            life: if self.is_ready { creating.after(&Change::Ready) } else { creating },
            order_id: text(self.order_id),
            order_line_id: text(self.order_line_id),
            charging_mode: text(self.charging_mode),
            front_end_url: None,
            encrypts_credentials: self.encrypts_credentials,
            terms: text(self.terms),
            terms_serial: 0,
            created_at: now,
            ready_at: self.is_ready.then_some(now),
            released_at: None,
        }
    }
}

/// A recorded instance. Secrets are read apart ([`Tx::access_of`]).
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// Row id.
    pub row: i64,
    /// Real or test.
    pub environment: Environment,
    /// The kind of product.
    pub kind: Kind,
    /// Its id on the wire.
    pub instance_id: String,
    /// What the life-cycle works on.
    pub life: Instance,
    /// The order that bought it.
    pub order_id: Option<String>,
    /// The line of that order.
    pub order_line_id: Option<String>,
    /// `PERIOD`, `ON_DEMAND`, `ONE_TIME`, `ON_DEMAND_PKG`; `None`: nobody has told it.
    pub charging_mode: Option<String>,
    /// Site of the application.
    pub front_end_url: Option<String>,
    /// The call that bought it encrypts user name and password, which bounds their length.
    pub encrypts_credentials: bool,
    /// What the purchase call last said of dates and period, JSON; `None`: nothing that counts any more.
    pub terms: Option<String>,
    /// Counts the changes of the terms.
    pub terms_serial: i64,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it could be used first.
    pub ready_at: Option<Timestamp>,
    /// When it was released.
    pub released_at: Option<Timestamp>,
}

impl InstanceRow {
    /// Checks that access data can be handed out through the interface that bought the instance.
    ///
    /// # Errors
    /// Which member has no room once it is encrypted.
    pub fn check_access(&self, access: &Access) -> Result<(), AccessFault> {
        if self.encrypts_credentials { access.check_v1() } else { Ok(()) }
    }
}

/// What an order tells of an instance; what it does not tell stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// The product.
    pub product_id: Option<String>,
    /// The specification.
    pub sku_code: Option<String>,
    /// How it is charged.
    pub charging_mode: Option<String>,
    /// The end of the paid time, an estimate: counts only where none is known.
    pub expire_time: Option<Timestamp>,
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
        kind: Kind,
        instance_id: &str,
    ) -> Result<Option<InstanceRow>, StoreError> {
        self.first(
            "look up the instance",
            &format!("{SELECT} WHERE environment = ?1 AND kind = ?2 AND instance_id = ?3"),
            (environment.as_str(), kind.as_str(), instance_id),
            read_row,
        )
    }

    /// An instance by its row.
    pub fn instance_by_row(&self, row: i64) -> Result<Option<InstanceRow>, StoreError> {
        self.first("look up the instance", &format!("{SELECT} WHERE id = ?1"), [row], read_row)
    }

    /// All instances of an id, whatever kind and environment; for the operator's commands.
    pub fn instances_named(&self, instance_id: &str) -> Result<Vec<InstanceRow>, StoreError> {
        let sql = format!("{SELECT} WHERE instance_id = ?1 ORDER BY environment, kind");
        self.all("look up the instance", &sql, [instance_id], read_row)
    }

    /// Instances, newest first, at most `limit`; with `before` only those that are older than this row.
    pub fn instances(
        &self,
        filter: &InstanceFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<InstanceRow>, StoreError> {
        // Another statement for each index: SQLite uses none for what may not be asked. An order has few instances, and
        // few are unfinished or frozen; who asks for others finds them on the way through all.
        let (doing, which) = match (&filter.order_id, filter.status) {
            (Some(_), _) => ("list the order's instances", "order_id = ?2 AND id < ?5"),
            (None, Some(Status::Creating | Status::Frozen)) => {
                // Their numbers come from the index alone; of the rows only those are read that are shown.
                let which = "?2 IS NULL AND id IN (SELECT id FROM instance INDEXED BY instance_by_status \
                             WHERE status = ?1 AND status <> 'released') AND +id < ?5";
                ("list unfinished instances", which)
            }
            (None, _) => ("list instances", "?2 IS NULL AND id < ?5"),
        };
        let sql = format!(
            "{SELECT} WHERE {which} AND (?1 IS NULL OR status = ?1) \
             AND (?3 IS NULL OR environment = ?3) ORDER BY id DESC LIMIT ?4"
        );
        let status = filter.status.map(Status::as_str);
        let environment = filter.environment.map(Environment::as_str);
        let before = before.unwrap_or(i64::MAX);
        self.all(doing, &sql, (status, &filter.order_id, environment, limit, before), read_row)
    }

    /// Creates an instance with the beginning of its history.
    pub fn insert_instance(
        &self,
        new: &NewInstance<'_>,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<InstanceRow, StoreError> {
        let mut created = new.row(now);
        created.row = self.insert(
            "create the instance",
            "INSERT INTO instance (environment, kind, instance_id, status, status_serial, order_id, order_line_id, \
             product_id, sku_code, expire_time, created_at, ready_at, encrypts_credentials, terms, charging_mode) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            (
                new.environment.as_str(),
                new.kind.as_str(),
                new.instance_id,
                created.life.status.as_str(),
                created.life.status_serial,
                new.order_id,
                new.order_line_id,
                new.product_id,
                new.sku_code,
                new.expire_time.map(millis),
                millis(now),
                created.ready_at.map(millis),
                new.encrypts_credentials,
                new.terms,
                new.charging_mode,
            ),
        )?;
        self.add_history(created.row, ("created", Status::Creating, new.expire_time), cause, now)?;
        if new.is_ready {
            self.add_history(created.row, (Change::Ready.word(), created.life.status, new.expire_time), cause, now)?;
        }
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
        match change {
            Change::Ready => after.ready_at = after.ready_at.or(Some(now)),
            // From now on the purchase call has nothing to say about dates any more.
            Change::Renew { .. } => after.terms = None,
            Change::Supervise { terms, .. } => {
                after.terms = serde_json::to_string(terms).ok();
                after.terms_serial += 1;
            }
            Change::Release => after.released_at = after.released_at.or(Some(now)),
            _ => {}
        }
        let life = &after.life;
        self.execute(
            "change the instance",
            "UPDATE instance SET status = ?2, status_serial = ?3, expire_time = ?4, product_id = ?5, sku_code = ?6, \
             ready_at = ?7, released_at = CASE WHEN ?2 = 'released' THEN coalesce(released_at, ?8) END, terms = ?9, \
             terms_serial = ?10 WHERE id = ?1",
            (
                after.row,
                life.status.as_str(),
                life.status_serial,
                life.expire_time.map(millis),
                &life.product_id,
                &life.sku_code,
                after.ready_at.map(millis),
                millis(now),
                &after.terms,
                after.terms_serial,
            ),
        )?;
        self.add_history(after.row, (change.word(), life.status, life.expire_time), cause, now)?;
        Ok(after)
    }

    /// Records how an instance is charged, in the wire's words, once that is known or has changed.
    pub fn set_charging_mode(&self, row: i64, charging_mode: &str) -> Result<(), StoreError> {
        let sql = "UPDATE instance SET charging_mode = ?2 WHERE id = ?1 AND charging_mode IS NOT ?2";
        self.execute("record the charging mode", sql, (row, charging_mode)).map(drop)
    }

    /// Records what an order tells of an instance, and, if that is news, that it did; returns the instance afterwards.
    pub fn describe(
        &self,
        instance: &InstanceRow,
        told: Described,
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<InstanceRow, StoreError> {
        let mut after = instance.clone();
        after.life.product_id = told.product_id.or(after.life.product_id);
        after.life.sku_code = told.sku_code.or(after.life.sku_code);
        after.life.expire_time = after.life.expire_time.or(told.expire_time);
        after.charging_mode = told.charging_mode.or(after.charging_mode);
        if after.life == instance.life && after.charging_mode == instance.charging_mode {
            return Ok(after);
        }
        let life = &after.life;
        self.execute(
            "describe the instance",
            "UPDATE instance SET product_id = ?2, sku_code = ?3, expire_time = ?4, charging_mode = ?5 WHERE id = ?1",
            (after.row, &life.product_id, &life.sku_code, life.expire_time.map(millis), &after.charging_mode),
        )?;
        self.add_history(after.row, ("described", life.status, life.expire_time), cause, now)?;
        Ok(after)
    }

    /// `change`: its word, and status and expiry after it.
    fn add_history(
        &self,
        instance: i64,
        (change, status, expire_time): (&str, Status, Option<Timestamp>),
        cause: Cause<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "write the instance's history",
            "INSERT INTO instance_history (instance, serial, at, change, status, expire_time, exchange, job, note) \
             VALUES (?1, (SELECT coalesce(max(serial), 0) + 1 FROM instance_history WHERE instance = ?1), \
             ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                instance,
                millis(now),
                change,
                status.as_str(),
                expire_time.map(millis),
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
}

pub(super) const SELECT: &str = "SELECT id, environment, kind, instance_id, status, status_serial, expire_time, product_id, \
    sku_code, order_id, order_line_id, front_end_url, created_at, ready_at, encrypts_credentials, terms, terms_serial, \
    charging_mode, released_at FROM instance";

pub(super) fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<InstanceRow> {
    let environment = if row.get_ref(1)?.as_str()? == "test" { Environment::Test } else { Environment::Real };
    Ok(InstanceRow {
        row: row.get(0)?,
        environment,
        kind: word(row.get(2)?)?,
        instance_id: row.get(3)?,
        life: Instance {
            status: word(row.get(4)?)?,
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
        encrypts_credentials: row.get(14)?,
        terms: row.get(15)?,
        terms_serial: row.get(16)?,
        charging_mode: row.get(17)?,
        released_at: row.get::<_, Option<i64>>(18)?.map(instant).transpose()?,
    })
}
