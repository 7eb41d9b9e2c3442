//! The promises of the storage layer, on scratch databases.

mod alerts;
mod by_order;
mod commit;
mod disk_full;
mod file;
mod listing;
mod log;
mod login;
mod migration;
mod orders;
mod pages;
mod plans;
mod purge;
mod restores;
mod sealed;
mod stretch;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::access::{Access, AccessParts};
use crate::kind::Kind;
use crate::operation::{Environment, Identity, State};
use crate::secret::Secret;

/// A folder for one database.
struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> Settings {
        Settings { path: self.path("koogate.db"), snapshot: self.path("koogate.snapshot.db"), commit_batch: 512 }
    }

    fn open(&self) -> Store {
        self.try_open(Role::Server).unwrap()
    }

    fn try_open(&self, role: Role) -> Result<Store, OpenError> {
        Store::open(&self.settings(), role, key(1))
    }
}

fn key(byte: u8) -> Arc<SealingKey> {
    Arc::new(SealingKey::from_hex(&format!("{byte:02x}").repeat(32)).unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A call on an order, received at a time.
fn call(order: &str, received_at: Timestamp, environment: Environment) -> NewExchange {
    NewExchange {
        received_at,
        environment,
        family: "basic-v2",
        activity: Some("newInstance"),
        peer: "127.0.0.1:4711".to_owned(),
        access_key: "k".to_owned(),
        request_line: "POST /saasproduce".to_owned(),
        request_body: b"{}".to_vec(),
        request_sealed: false,
        order_id: Some(order.to_owned()),
        instance_id: None,
    }
}

fn insert_call(tx: &Tx<'_>, order: &str) -> Result<i64, StoreError> {
    tx.insert_exchange(&call(order, at(0), Environment::Real))
}

/// An instance with its operation, as a first call leaves them.
fn create(tx: &Tx<'_>, order: &str) -> Result<(InstanceRow, i64), StoreError> {
    let exchange = insert_call(tx, order)?;
    let new = NewInstance {
        environment: Environment::Real,
        kind: Kind::Saas,
        instance_id: &format!("i-{order}"),
        order_id: Some(order),
        order_line_id: None,
        product_id: None,
        sku_code: None,
        expire_time: None,
        charging_mode: None,
        encrypts_credentials: false,
        terms: None,
        is_ready: false,
    };
    let cause = Cause { exchange: Some(exchange), ..Cause::default() };
    let instance = tx.insert_instance(&new, cause, at(0))?;
    let identity = Identity::new(Environment::Real, Kind::Saas, "create", [order]);
    let operation = NewOperation {
        identity: &identity,
        operation_id: format!("o-{order}"),
        instance: instance.row,
        state: State::Open,
        content_digest: [0; 16],
        first_exchange: exchange,
        order_id: Some(order),
    };
    let operation = tx.insert_operation(&operation, at(0))?;
    Ok((instance, operation))
}

fn access(password: &str) -> Access {
    Access::accept(AccessParts {
        front_end_url: "https://app.example.com".to_owned(),
        admin_url: None,
        user_name: Some(Secret::new("admin".to_owned())),
        password: Some(Secret::new(password.to_owned())),
        memo: None,
    })
    .unwrap()
}

/// How many rows a table has.
fn rows(store: &Store, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    store.read(move |tx| tx.first("count", &sql, [], |row| row.get(0))).unwrap().unwrap()
}
