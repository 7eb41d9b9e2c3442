//! Fills a database that koogate has made, while koogate is stopped: rows as its calls would have left them, in bulk.
//!
//! Of ten exchanges one is a purchase, two repeat one, one is a renewal and the rest ask about instances; two or three in
//! a thousand were rejected or failed. They are spread over half a year. Test calls are of the last two days only, because
//! koogate keeps them for three.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use koogate::operation::content_digest;
use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::sealing::SealingKey;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::rows;

/// Over so many days the rows are spread.
pub const DAYS: i64 = 180;

const DAY: i64 = 86_400_000;

/// Puts so many exchanges into the database, which must be empty.
pub fn fill(database: &Path, exchanges: u64) {
    let mut connection = Connection::open(database).unwrap();
    let pragmas = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
                   PRAGMA cache_size = -800000; PRAGMA foreign_keys = OFF;";
    connection.execute_batch(pragmas).unwrap();
    connection.set_prepared_statement_cache_capacity(32);
    let transaction = connection.transaction().unwrap();
    let mut filler = Filler::new(&transaction, exchanges);
    for number in 0..exchanges {
        filler.exchange(number);
    }
    filler.calendar();
    transaction.commit().unwrap();
    connection.close().unwrap();
}

/// SQLite's own checks, which must find nothing.
pub fn check(database: &Path) {
    let connection = Connection::open(database).unwrap();
    let whole: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let dangling: i64 =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(dangling, 0);
}

struct Filler<'c> {
    connection: &'c Connection,
    exchanges: u64,
    /// When the first of them was received, Unix milliseconds.
    begun: i64,
    now: i64,
    operation: i64,
    key: AccessKey,
    label: String,
    tests: u64,
}

/// What a row of the journal has besides its number.
struct Row<'r> {
    activity: &'r str,
    is_test: bool,
    body: Vec<u8>,
    order_id: Option<&'r str>,
    instance_id: Option<&'r str>,
    operation: Option<i64>,
    result_code: &'r str,
    answer: Option<Vec<u8>>,
    is_repeat: bool,
}

impl<'c> Filler<'c> {
    fn new(connection: &'c Connection, exchanges: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let sealing = SealingKey::from_hex(rows::SEALING_KEY).unwrap();
        let (begun, label) = (now - DAYS * DAY, sealing.label(rows::KEY));
        Self { connection, exchanges, begun, now, operation: 0, key: rows::access_key(), label, tests: 0 }
    }

    fn at(&self, number: u64) -> i64 {
        let span = (self.now - 60_000 - self.begun) as u128;
        self.begun + (span * u128::from(number) / u128::from(self.exchanges)) as i64
    }

    fn exchange(&mut self, number: u64) {
        let instance = number / rows::PER_INSTANCE;
        // The instance's own exchanges are of one environment.
        let is_test = self.at(instance * rows::PER_INSTANCE) > self.now - 2 * DAY && instance.is_multiple_of(5);
        self.tests += u64::from(is_test);
        let older = rows::chosen(instance + 1, number);
        match number % rows::PER_INSTANCE {
            0 => self.purchase(number, instance, is_test),
            1 => self.repeat(number, instance, is_test),
            2 => self.query(number, instance, is_test),
            3 => self.repeat(number, older, false),
            7 if !rows::has_failed(instance) => self.renewal(number, instance, is_test),
            9 if instance.is_multiple_of(50) => self.rejected(number),
            _ => self.query(number, older, false),
        }
    }

    fn purchase(&mut self, number: u64, instance: u64, is_test: bool) {
        let (id, order_id, at) = (rows::instance_id(instance), rows::order_id(instance), self.at(number));
        let environment = if is_test { "test" } else { "real" };
        let (failed, released) = (rows::has_failed(instance), rows::is_released(instance));
        let status = match (failed, released, rows::is_frozen(instance)) {
            (true, ..) => "creating",
            (_, true, _) => "released",
            (_, _, true) => "frozen",
            _ => "active",
        };
        let row = instance as i64 + 1;
        let done = (!failed).then_some(if rows::was_late(instance) { at + 4 * 3_600_000 } else { at });
        let access = |address: String| (!failed && !is_test).then_some(address);
        self.run(
            "INSERT INTO instance (id, environment, kind, instance_id, status, status_serial, order_id, order_line_id, \
             product_id, expire_time, front_end_url, admin_url, charging_mode, created_at, ready_at, released_at) \
             VALUES (?1, ?2, 'saas', ?3, ?4, 1, ?5, ?5 || '-000001', 'OFFI1', ?6, ?7, ?8, 'PERIOD', ?9, ?10, ?11)",
            params![
                row,
                environment,
                id,
                status,
                order_id,
                at + 365 * DAY,
                access(format!("https://app.example.com/{id}")),
                access("https://app.example.com/admin".to_owned()),
                at,
                done,
                released.then_some(at + DAY),
            ],
        );
        let changes = ["created", "ready", status];
        let known = if failed {
            1
        } else if status == "active" {
            2
        } else {
            3
        };
        for (change, serial) in changes[..known].iter().zip(1..) {
            let after = if serial == 1 { "creating" } else { "active" };
            self.history(row, serial, at, change, if serial == 3 { status } else { after }, number);
        }
        let body = rows::purchase(&id, &order_id);
        let result = if failed { "000005" } else { "000000" };
        let operation = self.operation(row, "create", &[&order_id], environment, at, done, number, &body);
        let answer = rows::purchase_answer(&id);
        if !failed {
            self.answer(operation, &answer, number);
        }
        let refusal = || br#"{"resultCode":"000005","resultMsg":"other internal error"}"#.to_vec();
        self.record(
            number,
            Row {
                activity: "newInstance",
                is_test,
                body,
                order_id: Some(&order_id),
                instance_id: Some(&id),
                operation: Some(operation),
                result_code: result,
                answer: failed.then(refusal),
                is_repeat: false,
            },
        );
    }

    fn renewal(&mut self, number: u64, instance: u64, is_test: bool) {
        let (id, at) = (rows::instance_id(instance), self.at(number));
        let order_id = format!("CS26R{instance:011}");
        let business_id = business_id(number);
        let body = format!(
            r#"{{"activity":"refreshInstance","businessId":"{business_id}","instanceId":"{id}","orderId":"{order_id}","orderLineId":"{order_id}-000001","productId":"OFFI1","scene":"RENEWAL","expireTime":"20271126235959","testFlag":"0"}}"#
        )
        .into_bytes();
        let row = instance as i64 + 1;
        let environment = if is_test { "test" } else { "real" };
        self.history(row, 4, at, "renewed", "active", number);
        let operation = self.operation(row, "renew", &[&id, &order_id], environment, at, Some(at), number, &body);
        self.answer(operation, br#"{"resultCode":"000000","resultMsg":"success"}"#, number);
        self.record(
            number,
            Row {
                activity: "refreshInstance",
                is_test,
                body,
                order_id: Some(&order_id),
                instance_id: Some(&id),
                operation: Some(operation),
                result_code: "000000",
                answer: None,
                is_repeat: false,
            },
        );
    }

    fn repeat(&mut self, number: u64, instance: u64, is_test: bool) {
        let (id, order_id) = (rows::instance_id(instance), rows::order_id(instance));
        let (operation, failed) = (self.purchase_of(instance), rows::has_failed(instance));
        let refusal = || br#"{"resultCode":"000005","resultMsg":"other internal error"}"#.to_vec();
        self.record(
            number,
            Row {
                activity: "newInstance",
                is_test,
                body: rows::purchase(&business_id(number), &order_id),
                order_id: Some(&order_id),
                instance_id: Some(&id),
                operation: Some(operation),
                result_code: if failed { "000005" } else { "000000" },
                answer: failed.then(refusal),
                is_repeat: !failed,
            },
        );
    }

    fn query(&mut self, number: u64, instance: u64, is_test: bool) {
        let id = rows::instance_id(instance);
        self.record(
            number,
            Row {
                activity: "queryInstance",
                is_test,
                body: rows::query(&business_id(number), &id),
                order_id: None,
                instance_id: Some(&id),
                operation: None,
                result_code: "000000",
                answer: Some(rows::query_answer(&id)),
                is_repeat: false,
            },
        );
    }

    fn rejected(&mut self, number: u64) {
        let business_id = business_id(number);
        let body = format!(r#"{{"activity":"newInstance","businessId":"{business_id}","testFlag":"0"}}"#);
        self.record(
            number,
            Row {
                activity: "newInstance",
                is_test: false,
                body: body.into_bytes(),
                order_id: None,
                instance_id: None,
                operation: None,
                result_code: "000002",
                answer: Some(br#"{"resultCode":"000002","resultMsg":"orderId is missing"}"#.to_vec()),
                is_repeat: false,
            },
        );
    }

    /// Operations are numbered as they come: a purchase, then its renewal unless it failed.
    fn purchase_of(&self, instance: u64) -> i64 {
        let failed_before = (instance + 498) / 1000;
        (2 * instance - failed_before) as i64 + 1
    }

    #[allow(clippy::too_many_arguments, reason = "a row has many columns")]
    fn operation(
        &mut self,
        instance: i64,
        verb: &str,
        fields: &[&str],
        environment: &str,
        at: i64,
        done: Option<i64>,
        number: u64,
        body: &[u8],
    ) -> i64 {
        self.operation += 1;
        let order_id = fields[fields.len() - 1];
        let line = format!("{order_id}-000001");
        let mut identity = vec![environment, "saas", verb];
        identity.extend(fields.iter().chain([&&*line]));
        let mut content: serde_json::Map<_, _> = serde_json::from_slice(body).unwrap();
        content.remove("businessId");
        self.run(
            "INSERT INTO operation (id, identity, operation_id, instance, state, result_code, result_message, \
             content_digest, first_exchange, created_at, done_at, order_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                self.operation,
                serde_json::to_string(&identity).unwrap(),
                business_id(number),
                instance,
                if done.is_some() { "done" } else { "failed" },
                if done.is_some() { "000000" } else { "000005" },
                if done.is_some() { "success" } else { "other internal error" },
                content_digest(&content),
                number as i64 + 1,
                at,
                done,
                order_id,
            ],
        );
        self.operation
    }

    fn answer(&self, operation: i64, body: &[u8], number: u64) {
        let sign = body_sign::header_value(&self.key, body);
        self.run(
            "INSERT INTO answer (operation, access_key, body, body_sign, exchange) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![operation, self.label, body, sign, number as i64 + 1],
        );
    }

    fn history(&self, instance: i64, serial: i64, at: i64, change: &str, status: &str, number: u64) {
        self.run(
            "INSERT INTO instance_history (instance, serial, at, change, status, exchange) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![instance, serial, at, change, status, number as i64 + 1],
        );
    }

    fn record(&self, number: u64, row: Row<'_>) {
        let at = self.at(number);
        let (one, two) = (rows::scattered(number), rows::scattered(number ^ 0x5555));
        let line = format!(
            "POST /saasproduce?signature={one:016x}{two:016x}{:016x}{:016x}&timestamp={at}&nonce={two:016x}{one:016x}",
            !one, !two
        );
        self.run(
            "INSERT INTO exchange (id, received_at, duration_us, environment, family, activity, peer, access_key, \
             request_line, request_body, order_id, instance_id, operation, result_code, answer, replayed, \
             through_operation) \
             VALUES (?1, ?2, ?3, ?4, 'basic-v2', ?5, '127.0.0.1', ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
             coalesce(?9 = (SELECT order_id FROM operation WHERE id = ?11), 0))",
            params![
                number as i64 + 1,
                at,
                (50 + one % 500) as i64,
                if row.is_test { "test" } else { "real" },
                row.activity,
                self.label,
                line,
                row.body,
                row.order_id,
                row.instance_id,
                row.operation,
                row.result_code,
                row.answer,
                row.is_repeat,
            ],
        );
    }

    /// What the calendar of test calls would know of them.
    fn calendar(&self) {
        for ago in 0..5 {
            let at = self.now - ago * DAY / 2;
            self.run(
                "INSERT OR IGNORE INTO test_call_calendar (half_day, calls, failures, last_at) VALUES (?1, ?2, 0, ?3)",
                params![(at + 8 * 3_600_000) / (DAY / 2), self.tests as i64 / 4, at],
            );
        }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) {
        self.connection.prepare_cached(sql).unwrap().execute(values).unwrap();
    }
}

fn business_id(number: u64) -> String {
    Uuid::from_u64_pair(rows::scattered(number ^ 0xaaaa), rows::scattered(number)).to_string()
}
