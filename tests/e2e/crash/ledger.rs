//! The test's own book of what koogate has answered, byte for byte, and what must be true of a database because of it.
//!
//! It is kept in the test's process and written down before the next call is made, so it knows exactly what was
//! acknowledged, whatever became of the server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::market::{Addresses, Call};
use crate::harness::{Answer, PATIENCE, Scratch, text};

/// Status, Content-Type, Body-Sign and body.
type Verbatim = (u16, Option<String>, Option<String>, String);

/// What has been answered so far.
#[derive(Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Every answer, by the request line of its call: code and body. Calls of the kit have no line of their own.
    heard: HashMap<String, Vec<(String, String)>>,
    /// The first success of every call that is answered from the record for ever.
    satisfied: Vec<(Call, Verbatim)>,
    /// Accounts and licences, and the order that got each.
    handed_out: BTreeMap<String, String>,
    /// What the kit has told, by the one name that all of it has.
    synced: Vec<String>,
    /// The numbers of usage records.
    reported: Vec<String>,
    /// The second from which usage is counted back.
    first_report: Option<i64>,
    figures: Figures,
}

/// What was found in all checks together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Answers of whatever kind.
    pub answers: usize,
    /// Among them, successes that must be answered alike for ever.
    pub acknowledged: usize,
    /// Calls made again to see that.
    pub repeated: usize,
    /// Answers that the journal was searched for.
    pub looked_up: usize,
    /// Answered and not on record.
    pub missing: usize,
    /// On record, or answered again, with other bytes.
    pub different: usize,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer came.
    pub fn heard(&self, line: &str, answer: &Answer) {
        let mut books = self.books();
        books.figures.answers += 1;
        books.heard.entry(line.to_owned()).or_default().push((answer.code(), text(&answer.body)));
    }

    /// A call got the success it wanted.
    pub fn satisfied(&self, call: &Call, answer: &Answer) {
        let is_kept = match call {
            Call::Post(_, body) => body["activity"] != "queryInstance",
            Call::Get(..) | Call::Report(_) => true,
            // Each says how things are: the tables show it.
            Call::Kit(..) => false,
        };
        if is_kept {
            let mut books = self.books();
            books.figures.acknowledged += 1;
            books.satisfied.push((call.clone(), verbatim(call, answer)));
        }
    }

    /// An account or a licence was handed out for an order: nobody else may ever get it.
    pub fn handed_out(&self, thing: &str, order: &str) {
        let before = self.books().handed_out.insert(thing.to_owned(), order.to_owned());
        assert!(before.is_none_or(|before| before == order), "{thing} was handed out twice");
    }

    /// The kit has told a department, a user and an application of this name.
    pub fn synced(&self, name: &str) {
        self.books().synced.push(name.to_owned());
    }

    /// Usage was recorded under this number.
    pub fn reported(&self, number: &str) {
        self.books().reported.push(number.to_owned());
    }

    /// The second from which usage is counted back: this one, if there is none yet.
    pub fn first_report(&self, second: i64) -> i64 {
        *self.books().first_report.get_or_insert(second)
    }

    /// How many successes there are.
    pub fn acknowledged(&self) -> usize {
        self.books().satisfied.len()
    }

    /// The figures so far.
    pub fn figures(&self) -> Figures {
        self.books().figures
    }

    /// The numbers of all usage that was recorded.
    pub fn usage_numbers(&self) -> Vec<String> {
        self.books().reported.clone()
    }

    /// Makes acknowledged calls again, those with these places: each must get the same bytes. What is wrong.
    pub fn repeat(&self, places: impl IntoIterator<Item = usize>, server: Addresses) -> Vec<String> {
        let mut problems = Vec::new();
        for place in places {
            let (call, expected) = self.books().satisfied[place].clone();
            let until = Instant::now() + PATIENCE;
            let answer = loop {
                let answer = call.send(server).unwrap();
                if call.is_satisfied_by(&answer) || Instant::now() > until {
                    break verbatim(&call, &answer);
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            };
            let mut books = self.books();
            books.figures.repeated += 1;
            if answer != expected {
                books.figures.different += 1;
                problems.push(format!("{call:?}: {answer:?} instead of {expected:?}"));
            }
        }
        problems
    }

    /// Whether a database, with a server or without, has all that was answered, and nothing twice. What is wrong.
    pub fn compare(&self, scratch: &Scratch, file: &str) -> Vec<String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(scratch.path(file), flags).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database.execute_batch("BEGIN").unwrap();
        let mut problems = self.compare_journal(&database);
        problems.extend(self.compare_instances(&database));
        problems.extend(self.compare_tables(&database));
        problems
    }

    fn compare_journal(&self, database: &Connection) -> Vec<String> {
        let numbers = database.query_row("SELECT count(*), coalesce(max(id), 0) FROM exchange", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        let (rows, last) = numbers.unwrap();
        let mut problems = Vec::new();
        if rows != last {
            problems.push(format!("the journal has {rows} rows up to number {last}"));
        }
        let mut journal: HashMap<String, Vec<Recorded>> = HashMap::with_capacity(usize::try_from(rows).unwrap());
        for_each(database, JOURNAL, |row| {
            let line: String = row.get(0)?;
            let bytes = |column: usize| row.get::<_, Option<Vec<u8>>>(column);
            let (own, final_, shown) = (bytes(2)?, bytes(3)?, bytes(4)?);
            // What holds a secret is blanked for people, or sealed; that its bytes stay shows when the call is repeated.
            let is_blank = shown.is_some() || own.as_ref().is_some_and(|own| text(own).contains("***"));
            let body = own.or(final_).map(|body| text(&body));
            journal.entry(line).or_default().push(Recorded { code: row.get(1)?, body, is_blank });
            Ok(())
        });
        let mut books = self.books();
        let (mut looked_up, mut missing, mut different) = (0, 0, 0);
        for (line, answers) in &books.heard {
            let mut rows = journal.remove(line).unwrap_or_default();
            // A commit that came too late for its call: the row tells what was stored.
            for (code, body) in answers.iter().filter(|(code, _)| code != "000005") {
                looked_up += 1;
                let of_code: Vec<_> = (0..rows.len()).filter(|at| rows[*at].code.as_deref() == Some(code)).collect();
                match of_code.iter().find(|at| rows[**at].is_blank || rows[**at].body.as_ref() == Some(body)) {
                    Some(at) => drop(rows.swap_remove(*at)),
                    None if of_code.is_empty() => {
                        missing += 1;
                        problems.push(format!("{line}: {body} was answered and is not in the journal"));
                    }
                    None => {
                        different += 1;
                        problems.push(format!("{line}: {body} was answered, {:?} is recorded", rows[of_code[0]].body));
                    }
                }
            }
        }
        books.figures.looked_up += looked_up;
        books.figures.missing += missing;
        books.figures.different += different;
        problems
    }

    /// One instance for each order and kind, and the one that was told.
    fn compare_instances(&self, database: &Connection) -> Vec<String> {
        let mut ids: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for_each(database, "SELECT order_id, kind, instance_id FROM instance WHERE order_id IS NOT NULL", |row| {
            ids.entry(row.get(0)?).or_default().entry(row.get(1)?).or_default().push(row.get(2)?);
            Ok(())
        });
        let twice = ids.iter().filter(|(_, kinds)| kinds.values().any(|ids| ids.len() > 1));
        let mut problems: Vec<String> = twice.map(|(order, kinds)| format!("{order} became {kinds:?}")).collect();
        let books = self.books();
        for (call, (.., body)) in &books.satisfied {
            let Some(order) = call.order_of_creation() else { continue };
            let told = serde_json::from_str::<Value>(body).unwrap()["instanceId"].as_str().unwrap().to_owned();
            if !ids.get(order).is_some_and(|kinds| kinds.values().flatten().any(|id| *id == told)) {
                problems.push(format!("{order}: {told} was told, there is {:?}", ids.get(order)));
            }
        }
        problems
    }

    /// What is kept elsewhere than in the journal.
    fn compare_tables(&self, database: &Connection) -> Vec<String> {
        let column = |sql: &str| {
            let mut values = BTreeSet::new();
            for_each(database, sql, |row| {
                values.insert(row.get::<_, String>(0)?);
                Ok(())
            });
            values
        };
        let numbers = column("SELECT metering_sn FROM usage_record");
        let [users, departments, bindings, applications] = [
            "SELECT user_name FROM user",
            "SELECT org_code FROM department",
            "SELECT instance_id FROM tenant_binding",
            "SELECT substr(app_id, 5) FROM application",
        ]
        .map(column);
        let mut books = self.books();
        let lost_usage = books.reported.iter().filter(|number| !numbers.contains(*number));
        let is_kept = |name: &String| [&users, &departments, &bindings, &applications].iter().all(|t| t.contains(name));
        let lost_names = books.synced.iter().filter(|name| !is_kept(name));
        let problems: Vec<String> =
            lost_usage.chain(lost_names).map(|what| format!("{what} was told and is not in its table")).collect();
        books.figures.missing += problems.len();
        let taken = "SELECT (SELECT count(*) FROM stock_entry WHERE taken_at IS NOT NULL), \
            (SELECT count(*) FROM stock_entry WHERE instance IS NOT NULL) + (SELECT count(*) FROM stock_entry WHERE license IS NOT NULL)";
        let (taken, by): (i64, i64) = database.query_row(taken, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(taken, by, "entries of the stocks");
        problems
    }
}

/// A row of the journal.
struct Recorded {
    code: Option<String>,
    body: Option<String>,
    is_blank: bool,
}

const JOURNAL: &str = "SELECT e.request_line, e.result_code, e.answer, a.body, a.shown FROM exchange AS e \
    LEFT JOIN answer AS a ON e.answer IS NULL AND a.operation = e.operation AND a.access_key = e.access_key";

fn for_each(database: &Connection, sql: &str, mut each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>) {
    let mut statement = database.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        each(row).unwrap();
    }
}

/// What must stay: of a report, the number; of everything else, all.
fn verbatim(call: &Call, answer: &Answer) -> Verbatim {
    match call {
        Call::Report(_) => (answer.status, None, None, answer.json()["meteringSn"].to_string()),
        _ => answer.verbatim(),
    }
}

/// The application saw each operation under one operationId, and under each operationId one operation.
pub fn check_operations(events: &[Value]) -> Vec<String> {
    let mut by_operation: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut by_id: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut problems = Vec::new();
    for event in events {
        let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
        let (what, id) = ((text("instanceId"), text("event")), text("operationId"));
        let known = by_id.entry(id.clone()).or_insert_with(|| what.clone());
        if *known != what {
            problems.push(format!("operation {id} is {known:?} and {what:?}"));
        }
        // A call of the kit whose answer was lost is another call when it is repeated.
        if !what.1.ends_with(".sync") {
            by_operation.entry(what).or_default().insert(id);
        }
    }
    let several = by_operation.iter().filter(|(_, ids)| ids.len() > 1);
    problems.extend(several.map(|(what, ids)| format!("{what:?} has the operationIds {ids:?}")));
    problems
}
