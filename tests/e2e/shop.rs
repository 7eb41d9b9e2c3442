//! A running koogate with a merchant's application behind it, and the bodies of the calls that KooGallery makes to it.

use std::sync::{Condvar, Mutex};

use serde_json::{Value, json};

use crate::harness::{Answer, Application, Koogate, PATIENCE, Scratch, eventually, new_instance, nonce};

/// A date that no test outlives, on the wire and in listings.
pub const FUTURE: &str = "20991231235959";
pub const FUTURE_SHOWN: &str = "2099-12-31T23:59:59Z";

/// A later one.
pub const LATER: &str = "21001231235959";
pub const LATER_SHOWN: &str = "2100-12-31T23:59:59Z";

/// A date that has passed.
pub const PAST: &str = "20200131000000";
pub const PAST_SHOWN: &str = "2020-01-31T00:00:00Z";

/// A product entry without an application: every instance is ready at once.
pub const FIXED: &str = r#"
[[product]]
fulfilment = "fixed"
access = { front_end_url = "https://app.example.com/{instanceId}", user_name = "{orderId}" }
"#;

/// The server section that leaves 700 ms for other people's work before a provisional answer.
pub const IMPATIENT: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1200ms\"\n";

/// The server section that waits long enough for any machine under load.
pub const PATIENT: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"15s\"\n";

/// koogate, the merchant's application and the folder, ended in this order.
pub struct Shop {
    pub koogate: Koogate,
    pub application: Application,
    pub scratch: Scratch,
}

impl Shop {
    /// With an application that makes everything ready at once; `lines` belong to its product entry.
    pub fn open(lines: &str) -> Self {
        Self::with(Application::ready(), "", lines)
    }

    /// With this application and further sections of the configuration.
    pub fn with(application: Application, sections: &str, lines: &str) -> Self {
        let product = application.product(lines);
        Self::with_products(application, sections, &product)
    }

    /// With these product entries; the application may stand in none of them.
    pub fn with_products(application: Application, sections: &str, products: &str) -> Self {
        let scratch = Scratch::new(products);
        scratch.configure(&[crate::harness::KEY], sections, products);
        Self { koogate: scratch.serve(), application, scratch }
    }

    /// Ends the server in some way and starts it again on the same folder.
    pub fn restarted(self, end: impl FnOnce(Koogate)) -> Self {
        let Self { koogate, application, scratch } = self;
        end(koogate);
        Self { koogate: scratch.serve(), application, scratch }
    }

    /// Stops the server, does something to the folder while nobody runs, and starts it again.
    pub fn restarted_after(self, meanwhile: impl FnOnce(&Scratch)) -> Self {
        let Self { koogate, application, scratch } = self;
        koogate.stop();
        meanwhile(&scratch);
        Self { koogate: scratch.serve(), application, scratch }
    }

    /// A call that must be answered with this code.
    pub fn expect(&self, code: &str, body: &Value) -> Answer {
        let answer = self.koogate.call(body);
        assert_eq!(answer.code(), code, "{body}: {}\n{}", answer.json(), self.koogate.log_text());
        answer
    }

    /// A purchase that is ready at once; the instance's id.
    pub fn buy(&self, order: &str) -> String {
        instance_id(&self.expect("000000", &new_instance(order)))
    }

    /// `instance show --json` of an id that only one environment has.
    pub fn instance(&self, id: &str) -> Value {
        let mut shown = self.scratch.run_json(&["instance", "show", id, "--json"]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        shown.remove(0)
    }

    /// The status of an instance as it is listed.
    pub fn status(&self, id: &str) -> String {
        self.instance(id)["status"].as_str().unwrap().to_owned()
    }

    /// What happened to an instance, in the words of its history.
    pub fn history(&self, id: &str) -> Vec<String> {
        let shown = self.instance(id);
        shown["history"].as_array().unwrap().iter().map(|entry| entry["change"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the application has been told exactly this about an instance, in this order. More may follow.
    pub fn told(&self, id: &str, events: &[&str]) {
        eventually(
            || (self.application.names_for(id) == events).then_some(()),
            || format!("{:?} instead of {events:?}\n{}", self.application.names_for(id), self.koogate.log_text()),
        );
    }

    /// The same, and nothing more is on its way.
    pub fn told_only(&self, id: &str, events: &[&str]) {
        self.told(id, events);
        let jobs = self.count(&format!("job_view WHERE instance_id = '{id}'"));
        assert_eq!(jobs, events.len() as i64, "{:?}", self.instance(id)["jobs"]);
    }

    /// How many rows a part of the database has: `"exchange WHERE replayed"`.
    pub fn count(&self, from: &str) -> i64 {
        count(&self.scratch, from)
    }

    /// Puts another configuration in force and waits until it is.
    pub fn reload(&self, keys: &[&str], sections: &str, products: &str) {
        let said = || self.koogate.log_text().matches("the configuration was reloaded").count();
        let before = said();
        self.scratch.configure(keys, sections, products);
        self.koogate.signal("HUP");
        eventually(|| (said() > before).then_some(()), || self.koogate.log_text());
    }
}

/// How many rows a part of the database in a folder has.
pub fn count(scratch: &Scratch, from: &str) -> i64 {
    look_up(scratch, &format!("SELECT count(*) FROM {from}"))
}

/// The one value of a query. Read-only, as a merchant's sqlite3 shell would beside the server.
pub fn look_up<T: rusqlite::types::FromSql>(scratch: &Scratch, sql: &str) -> T {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(scratch.path("koogate.db"), flags).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The id in an answer to newInstance.
pub fn instance_id(answer: &Answer) -> String {
    answer.json()["instanceId"].as_str().unwrap_or_else(|| panic!("no instanceId: {}", answer.json())).to_owned()
}

/// newInstance of an on-demand order, which names the billing item.
pub fn new_item(order: &str, product: &str) -> Value {
    with(new_instance(order), "productId", product)
}

/// refreshInstance.
pub fn refresh(instance: &str, order: &str, scene: &str, expire_time: &str) -> Value {
    json!({
        "activity": "refreshInstance", "instanceId": instance, "orderId": order,
        "orderLineId": format!("{order}-000001"), "scene": scene, "expireTime": expire_time, "testFlag": "0",
    })
}

/// refreshInstance, scene RENEWAL.
pub fn renewal(instance: &str, order: &str, expire_time: &str) -> Value {
    refresh(instance, order, "RENEWAL", expire_time)
}

/// updateInstanceStatus.
pub fn freeze(instance: &str) -> Value {
    json!({ "activity": "updateInstanceStatus", "instanceId": instance, "status": "FREEZE", "testFlag": "0" })
}

/// updateInstanceStatus.
pub fn unfreeze(instance: &str) -> Value {
    with(freeze(instance), "status", "UNFREEZE")
}

/// upgradeInstance.
pub fn upgrade(instance: &str, order: &str) -> Value {
    json!({
        "activity": "upgradeInstance", "instanceId": instance, "orderId": order,
        "orderLineId": format!("{order}-000001"), "testFlag": "0",
    })
}

/// releaseInstance.
pub fn release(instance: &str) -> Value {
    json!({ "activity": "releaseInstance", "instanceId": instance, "testFlag": "0" })
}

/// queryInstance.
pub fn query(ids: &str) -> Value {
    json!({ "activity": "queryInstance", "instanceId": ids, "testFlag": "0" })
}

/// changeInstanceCheck; real calls carry no testFlag.
pub fn change_check(instance: &str, product_info: impl Into<Value>) -> Value {
    json!({ "activity": "changeInstanceCheck", "instanceId": instance, "productInfo": product_info.into() })
}

/// orderNotify.
pub fn order_notify(order: &str) -> Value {
    json!({
        "activity": "orderNotify", "orderId": order, "orderLineId": format!("{order}-000001"), "testFlag": "0",
    })
}

/// The same body with another value of a member.
pub fn with(mut body: Value, member: &str, value: impl Into<Value>) -> Value {
    body[member] = value.into();
    body
}

/// The same body without a member.
pub fn without(mut body: Value, member: &str) -> Value {
    body.as_object_mut().unwrap().remove(member);
    body
}

/// The same call as the seller console's debugger makes it.
pub fn as_test(body: Value) -> Value {
    with(body, "testFlag", "1")
}

/// A retry as KooGallery makes it: the same call, but for the businessId.
pub fn retry(body: &Value) -> Value {
    let mut again = body.clone();
    if again.get("businessId").is_some() {
        again["businessId"] = format!("b-{}", nonce()).into();
    }
    again
}

/// Holds everybody up until it is opened.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// Passes once it is open.
    pub fn pass(&self) {
        let (_open, waited) =
            self.opened.wait_timeout_while(self.open.lock().unwrap(), PATIENCE, |open| !*open).unwrap();
        assert!(!waited.timed_out(), "nobody opened the gate");
    }
}
