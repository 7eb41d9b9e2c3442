//! Whatever instant the process dies at, what was answered is in the tables and is told, in order.

use serde_json::{Value, json};

use crate::harness::{Application, KEY, Koogate, Scratch, eventually, send};
use crate::kit_call::{GENERATIONS, KIT_KEY, KIT_KEYS, Sync, TENANT, auth, five, folder, tenant};
use crate::shop::count;

/// A life has fewer passages of every point.
const PASSAGES: u32 = 40;

/// A server that dies once, and what KooGallery does about it.
struct Mortal<'s> {
    scratch: &'s Scratch,
    koogate: Option<Koogate>,
    fault: &'s str,
    starts: u32,
}

impl Mortal<'_> {
    fn running(&mut self) -> &Koogate {
        while self.koogate.is_none() {
            let environment = if self.starts == 0 { &[("KOOGATE_FAULT", self.fault)][..] } else { &[] };
            self.starts += 1;
            match self.scratch.try_serve_with(environment) {
                Ok(koogate) => self.koogate = Some(koogate),
                Err(ended) => assert!(ended.code.is_none() && self.starts == 1, "{}: {}", self.fault, ended.log),
            }
        }
        self.koogate.as_ref().unwrap()
    }

    /// Calls, as the buyer does, until there is a success.
    fn succeed(&mut self, number: usize, sync: &Sync) {
        let generation = GENERATIONS[number % 2];
        loop {
            let headers = sync.headers(generation, KIT_KEY);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = send(self.running().address, "POST", &sync.path(generation), &headers, &sync.bytes());
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.code(), "000000", "{}: {}", self.fault, answer.json());
                    return;
                }
                Err(_) => drop(self.koogate.take()),
            }
        }
    }
}

/// Lives with a server that dies at this passage; returns whether it did.
fn live_through(fault: &str) -> bool {
    let application = Application::ready();
    let products = application.product("");
    let scratch = folder(&products);
    scratch.configure(&[KEY], KIT_KEYS, &products);
    let mut mortal = Mortal { scratch: &scratch, koogate: None, fault, starts: 0 };
    let gone = auth("i-1", "app-1", json!([{ "userName": "zhangsan01" }])).flag(0);
    let calls: Vec<Sync> = five("i-1").into_iter().chain([gone, tenant("i-2")]).collect();
    for (number, sync) in calls.iter().enumerate() {
        mortal.succeed(number, sync);
    }
    eventually(
        || {
            mortal.running();
            if mortal.koogate.as_mut().is_some_and(|koogate| koogate.has_died()) {
                mortal.koogate = None;
            }
            (count(&scratch, "job WHERE state <> 'done'") == 0).then_some(())
        },
        || format!("{fault}: jobs are left"),
    );
    let tables = ["tenant", "tenant_binding", "application", "user", "department"].map(|table| count(&scratch, table));
    assert_eq!(tables, [1, 2, 1, 0, 2], "{fault}");
    let shown = scratch.run_json(&["tenant", "show", TENANT, "--json"]).remove(0);
    assert_eq!(shown["name"], "测试企业");

    // Each call is one event or, where its answer got lost, two; each event is told until that is on record.
    let told = application.events();
    let mut operations: Vec<(Value, Value)> = Vec::new();
    for event in &told {
        let this = (event["operationId"].clone(), json!([event["event"], event["instanceId"], event["change"]]));
        match operations.iter().position(|(id, _)| *id == this.0) {
            None => operations.push(this),
            Some(known) => {
                assert_eq!((known + 1, &operations[known]), (operations.len(), &this), "{fault}: {told:?}");
            }
        }
    }
    let mut changes: Vec<Value> = operations.into_iter().map(|(_, change)| change).collect();
    assert!((7..=8).contains(&changes.len()), "{fault}: {changes:?}");
    changes.dedup();
    let names = ["tenant", "application", "users", "departments", "departments", "users", "tenant"];
    let names = names.map(|name| format!("{name}.sync"));
    assert_eq!(changes.iter().map(|change| change[0].as_str().unwrap().to_owned()).collect::<Vec<_>>(), names);
    let (rows, last) = (count(&scratch, "exchange"), count(&scratch, "exchange WHERE result_code = '000000'"));
    let highest: i64 = crate::shop::look_up(&scratch, "SELECT max(id) FROM exchange");
    assert!((7..=8).contains(&rows) && rows == last && rows == highest, "{fault}: {rows}, {last}, {highest}");
    mortal.starts > 1
}

#[test]
fn a_death_at_any_passage_loses_nothing_that_was_answered() {
    for point in ["commit", "committed", "claimed", "attempted", "recorded"] {
        let passages = (1..PASSAGES).take_while(|passage| live_through(&format!("{point}:{passage}"))).count();
        println!("{point}: {passages} passages");
        assert!((3..PASSAGES as usize - 1).contains(&passages), "{point} was passed {passages} times");
    }
}
