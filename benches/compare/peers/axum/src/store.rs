//! The database and its one writer: takes what is queued, does it in one transaction, commits, then answers.
//!
//! With a batch of one this is a commit per request on a thread of its own, which is what tokio-rusqlite makes of a
//! connection; it spares the fight of many blocking threads for one lock.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use axum::body::Bytes;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::wire::{self, Answer, Key, Work};

/// What the peers in other languages use, too.
const SCHEMA: &str = include_str!("../../schema.sql");

/// More than this waiting for the disk is an overload.
const MAX_QUEUED: usize = 8192;

/// A call that has been let in.
pub struct Exchange {
    pub received_at: i64,
    pub request_line: String,
    pub body: Bytes,
    pub work: Work,
}

/// What to answer.
pub enum Answered {
    /// Bytes and signature as they were recorded.
    Signed(Answer),
    /// Bytes to be signed.
    Plain(String),
}

struct Queued {
    exchange: Exchange,
    answer: oneshot::Sender<Answered>,
}

/// The handle on the writer.
pub struct Store(SyncSender<Queued>);

impl Store {
    /// Opens the database and starts its writer, which closes it when the last handle is gone.
    pub fn open(path: &Path, key: Key, batch: usize) -> anyhow::Result<(Self, JoinHandle<anyhow::Result<()>>)> {
        let connection = Connection::open(path)?;
        // As much page cache as the peers in other languages have.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -4096;")?;
        connection.execute_batch(SCHEMA)?;
        let (sender, receiver) = sync_channel(MAX_QUEUED);
        let writer = std::thread::Builder::new().name("writer".to_owned());
        let writer = writer.spawn(move || write(connection, &key, &receiver, batch))?;
        Ok((Self(sender), writer))
    }

    /// Does the work, records the call and answers when both are on disk; `None` when that was not possible.
    pub async fn run(&self, exchange: Exchange) -> Option<Answered> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Queued { exchange, answer }).ok()?;
        answered.await.ok()
    }
}

fn write(mut connection: Connection, key: &Key, queue: &Receiver<Queued>, batch: usize) -> anyhow::Result<()> {
    let mut works = Vec::with_capacity(batch);
    while let Ok(first) = queue.recv() {
        works.push(first);
        works.extend(queue.try_iter().take(batch - 1));
        match run_all(&mut connection, key, &works) {
            Ok(answers) => {
                for (queued, answered) in works.drain(..).zip(answers) {
                    let _ = queued.answer.send(answered);
                }
            }
            // One of them takes nobody with it.
            Err(_) => {
                for queued in works.drain(..) {
                    match run_all(&mut connection, key, std::slice::from_ref(&queued)) {
                        Ok(mut answers) => drop(answers.pop().map(|answered| queued.answer.send(answered))),
                        Err(error) => eprintln!("not recorded: {error}"),
                    }
                }
            }
        }
    }
    connection.close().map_err(|(_, error)| error.into())
}

fn run_all(connection: &mut Connection, key: &Key, works: &[Queued]) -> rusqlite::Result<Vec<Answered>> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let answers = works.iter().map(|queued| run(&tx, key, &queued.exchange)).collect::<Result<_, _>>()?;
    tx.commit()?;
    Ok(answers)
}

fn run(tx: &Transaction<'_>, key: &Key, exchange: &Exchange) -> rusqlite::Result<Answered> {
    let (order_id, answered) = match &exchange.work {
        Work::Create { order_id, order_line_id, instance_id, first } => {
            let answer = match recorded(tx, order_id, order_line_id)? {
                Some(recorded) => recorded,
                None => create(tx, key, exchange.received_at, order_id, order_line_id, instance_id, first)?,
            };
            (Some(order_id), Answered::Signed(answer))
        }
        Work::Query { instance_id } => (None, Answered::Plain(query(tx, instance_id)?)),
        Work::Refuse(body) => (None, Answered::Plain((*body).to_owned())),
    };
    let body = match &answered {
        Answered::Signed(answer) => &answer.body,
        Answered::Plain(body) => body,
    };
    tx.prepare_cached(
        "INSERT INTO exchange (received_at, order_id, request_line, request_body, answer) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![exchange.received_at, order_id, exchange.request_line, &exchange.body[..], body])?;
    Ok(answered)
}

fn recorded(tx: &Transaction<'_>, order_id: &str, order_line_id: &str) -> rusqlite::Result<Option<Answer>> {
    tx.prepare_cached("SELECT answer, body_sign FROM operation WHERE order_id = ?1 AND order_line_id = ?2")?
        .query_row([order_id, order_line_id], |row| Ok(Answer { body: row.get(0)?, body_sign: row.get(1)? }))
        .optional()
}

/// The instance gets the businessId as its id, unless another has that already.
fn create(
    tx: &Transaction<'_>,
    key: &Key,
    now: i64,
    order_id: &str,
    order_line_id: &str,
    instance_id: &str,
    first: &Answer,
) -> rusqlite::Result<Answer> {
    let mut answer = first.clone();
    let mut insert = tx.prepare_cached(
        "INSERT INTO instance (id, order_id, order_line_id, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    if insert.execute(params![instance_id, order_id, order_line_id, now])? == 0 {
        let other = Uuid::new_v4().to_string();
        insert.execute(params![other, order_id, order_line_id, now])?;
        answer = key.signed(wire::created(&other));
    }
    tx.prepare_cached(
        "INSERT INTO operation (order_id, order_line_id, answer, body_sign, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![order_id, order_line_id, answer.body, answer.body_sign, now])?;
    Ok(answer)
}

fn query(tx: &Transaction<'_>, instance_id: &str) -> rusqlite::Result<String> {
    let mut select = tx.prepare_cached("SELECT 1 FROM instance WHERE id = ?1")?;
    Ok(if select.exists([instance_id])? { wire::found(instance_id) } else { wire::UNKNOWN_INSTANCE.to_owned() })
}
