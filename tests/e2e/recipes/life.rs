//! A recipe beside a koogate, which KooGallery calls.

use serde_json::{Value, json};

use super::application::{Application, Home, Running, SECRET};
use super::toolchain::Recipe;
use crate::harness::{
    KEY, Koogate, Scratch, eventually, new_instance, nonce, query, release, renewal, status_change, upgrade,
};
use crate::shop::instance_id;

const TOKEN: &str = "a-token-of-the-tests";

/// A koogate whose product leads to a recipe.
struct Shop {
    scratch: Scratch,
    koogate: Koogate,
    home: Home,
    slowest_retry: &'static str,
}

impl Shop {
    fn new(seats: u32) -> Self {
        Self::with(seats, "1s")
    }

    /// With this time after which koogate asks again what became of a "pending".
    fn with(seats: u32, slowest_retry: &'static str) -> Self {
        let (scratch, home) = (Scratch::new(""), Home::new(seats));
        std::fs::write(home.path("admin.token"), format!("{TOKEN}\n")).unwrap();
        configure(&scratch, "127.0.0.1:9", slowest_retry);
        let koogate = scratch.serve();
        Self { scratch, koogate, home, slowest_retry }
    }

    /// Starts the recipe, once more perhaps, and has koogate call it.
    fn start(&self, recipe: &Recipe, environment: &[(&str, String)]) -> Application {
        let application = Application::start(recipe, &self.home, environment);
        let said = || self.koogate.log_text().matches("the configuration was reloaded").count();
        let before = said();
        configure(&self.scratch, &application.address.to_string(), self.slowest_retry);
        self.koogate.signal("HUP");
        eventually(|| (said() > before).then_some(()), || self.koogate.log_text());
        application
    }

    /// Makes a call about an instance and waits until the application has done it.
    fn change(&self, id: &str, body: &Value, event: &str, application: &Application) {
        self.koogate.call_until_success(body);
        let is_done = |shown: &Value| {
            let jobs = shown["jobs"].as_array().unwrap();
            jobs.iter().any(|job| job["task"] == event) && jobs.iter().all(|job| job["state"] == "done")
        };
        eventually(
            || Some(self.scratch.instance(id)).filter(is_done),
            || format!("{event}: {:#}\n{}", self.scratch.instance(id), application.log()),
        );
    }

    fn account(&self, id: &str, column: &str) -> Option<String> {
        self.home.look_up(&format!("SELECT {column} FROM account WHERE instance_id = '{id}'"))
    }

    /// What the buyer is told.
    fn access(&self, id: &str) -> Value {
        self.koogate.call(&query(id)).json()["info"][0]["appInfo"].clone()
    }
}

fn configure(scratch: &Scratch, address: &str, slowest_retry: &str) {
    let product = format!(
        "[[product]]\nfulfilment = \"http\"\nurl = \"http://{address}/koogate\"\nsecret = \"{SECRET}\"\nchange_check = \"ask\"\n"
    );
    let sections = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n\
         [jobs]\nfirst_retry = \"100ms\"\nslowest_retry = \"{slowest_retry}\"\n"
    );
    scratch.configure(&[KEY], &sections, &product);
}

/// Purchase, repeats, renewal, freeze, unfreeze, upgrade, a question and release; the recipe is killed in between.
pub fn plays_a_whole_life(recipe: &Recipe) {
    let shop = Shop::new(10);
    let application = shop.start(recipe, &[]);
    let bought = shop.koogate.call_until_success(&new_instance("CS1"));
    let id = instance_id(&bought);
    let access = shop.access(&id);
    assert_eq!(access["password"], *shop.account(&id, "password").unwrap());
    assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), bought.verbatim());
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| instance_id(&shop.koogate.call_until_success(&new_instance("CS2")))))
            .collect();
        let ids: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        assert!(ids.iter().all(|other| *other == ids[0]), "{ids:?}");
    });
    assert_eq!(shop.home.look_up::<i64>("SELECT count(*) FROM account"), 2);

    let change = |body: &Value, event: &str, application: &Application| shop.change(&id, body, event, application);
    change(&renewal(&id, "CS3", 2040), "instance.renew", &application);
    assert_eq!(shop.account(&id, "expires").unwrap(), "2040-01-01T00:00:00Z");
    change(&status_change(&id, "FREEZE"), "instance.freeze", &application);
    assert_eq!(shop.account(&id, "status").unwrap(), "frozen");
    // Killed, and started again: what koogate wants done meanwhile is done then.
    drop(application);
    shop.koogate.call_until_success(&status_change(&id, "UNFREEZE"));
    let application = shop.start(recipe, &[]);
    change(&status_change(&id, "UNFREEZE"), "instance.unfreeze", &application);
    assert_eq!(shop.account(&id, "status").unwrap(), "active");
    change(&upgrade(&id, "CS4"), "instance.upgrade", &application);
    let check = json!({ "activity": "changeInstanceCheck", "instanceId": id, "productInfo": { "productId": "P2" },
                        "testFlag": "0" });
    shop.koogate.call_until_success(&check);
    assert_eq!(shop.koogate.call(&new_instance("CS1")).verbatim(), bought.verbatim());
    assert_eq!(shop.access(&id), access);
    change(&release(&id), "instance.release", &application);
    assert_eq!(shop.account(&id, "status").unwrap(), "released");
    assert_eq!(shop.home.look_up::<i64>("SELECT count(*) FROM account"), 2);
}

/// Sold out is told to KooGallery as that, and is no last word.
pub fn refuses_and_takes_up_again(recipe: &Recipe) {
    let shop = Shop::new(1);
    let application = shop.start(recipe, &[]);
    let first = instance_id(&shop.koogate.call_until_success(&new_instance("CS1")));
    eventually(
        || (shop.koogate.call(&new_instance("CS2")).code() == "000106").then_some(()),
        || format!("{}\n{}", shop.koogate.log_text(), application.log()),
    );
    shop.change(&first, &release(&first), "instance.release", &application);
    let second = instance_id(&shop.koogate.call_until_success(&new_instance("CS2")));
    assert_eq!(shop.account(&second, "status").unwrap(), "active");
}

/// "pending" first; what is opened in the background is reported, by a process that was killed in between, too.
pub fn reports_what_it_opened_later(recipe: &Recipe) {
    // koogate does not ask again within this test: what it hears is the report.
    let shop = Shop::with(10, "10m");
    let admin = format!("http://{}", shop.koogate.admin.unwrap());
    // Nobody hears the first reports: the recipe must make them again.
    let deaf = shop.start(recipe, &[("KOOGATE_ADMIN", "http://127.0.0.1:9".to_owned())]);
    let answer = shop.koogate.call(&new_instance("CS1"));
    assert_eq!(answer.code(), "000004", "{}", deaf.log());
    let id = instance_id(&answer);
    eventually(|| (shop.home.rows().0 == 1).then_some(()), || deaf.log());
    drop(deaf);
    assert!(shop.home.events().contains("instance.create"), "the event of a pending creation is not kept");

    let environment = [("KOOGATE_ADMIN", admin)];
    let application = shop.start(recipe, &environment);
    let worker = recipe.worker.as_ref().map(|worker| Running::start(worker(), &shop.home, "worker", &environment));
    eventually(
        || (shop.account(&id, "status").unwrap() == "active").then_some(()),
        || format!("{}\n{}", application.log(), worker.as_ref().map(Running::log).unwrap_or_default()),
    );
    let mut again = new_instance("CS1");
    again["businessId"] = nonce().into();
    assert_eq!(instance_id(&shop.koogate.call_until_success(&again)), id);
    assert_eq!(shop.access(&id)["password"], *shop.account(&id, "password").unwrap());
}

/// What the recipe keeps of the events is what `koogate restore --adopt` reads.
pub fn tells_a_restored_koogate_what_its_copy_lacks(recipe: &Recipe) {
    let mut shop = Shop::new(10);
    let application = shop.start(recipe, &[]);
    shop.scratch.run_ok(&["backup", "copy.db"]);
    let id = instance_id(&shop.koogate.call_until_success(&new_instance("CS1")));
    let access = shop.access(&id);

    let Shop { scratch, koogate, home, .. } = shop;
    koogate.kill();
    scratch.run_ok(&["restore", "copy.db"]);
    std::fs::write(scratch.path("events.jsonl"), home.events()).unwrap();
    scratch.run_ok(&["restore", "--adopt", "events.jsonl"]);
    shop = Shop { koogate: scratch.serve(), scratch, home, slowest_retry: "1s" };
    assert_eq!(instance_id(&shop.koogate.call_until_success(&new_instance("CS1"))), id, "{}", application.log());
    assert_eq!(shop.access(&id), access);
    assert_eq!(shop.home.rows().0, 1);
}
