//! A shop in which everything that the first page shows has happened.

use jiff::Timestamp;
use koogate::alert::beijing;
use serde_json::json;

use crate::harness::{Application, KEY, Koogate, Scratch, new_instance, ready_answer};
use crate::page::visitor::admin;
use crate::shop::{FUTURE, as_test, freeze, instance_id, new_item, renewal};

/// A running koogate, and what belongs to it.
pub struct Scene {
    pub koogate: Koogate,
    _scratch: Scratch,
    _application: Application,
}

/// Orders that are open, done, given up and frozen; a stock that runs low; test calls; refused calls.
pub fn busy() -> Scene {
    let application = Application::start(|event| {
        let order = event["order"]["orderId"].as_str().unwrap_or_default();
        match event["event"].as_str() {
            Some("instance.create") if order.starts_with("CS2611266") => {
                (200, json!({ "status": "pending" }).to_string())
            }
            Some("instance.freeze") => {
                (200, json!({ "status": "refused", "resultCode": "000005", "message": "no such tenant" }).to_string())
            }
            _ => (200, ready_answer(event)),
        }
    });
    let scratch = Scratch::new("");
    let products = format!(
        "{}\n[[product]]\nproduct_id = \"OFFI710421906324307968\"\nfulfilment = \"stock\"\nstock = \"trial-accounts\"\n\
         low_stock = 10\n[[product]]\nproduct_id = \"OFFI710421906324307969\"\nfulfilment = \"stock\"\nstock = \"accounts\"\n\
         low_stock = 2\n",
        application.product("product_id = \"OFFI461867333479178240\"")
    );
    let fallback =
        "[[product]]\nfulfilment = \"fixed\"\naccess = { front_end_url = \"https://app.example.com/{instanceId}\" }\n";
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"800ms\"\n";
    scratch.configure(&[KEY], &format!("{server}{}", admin("")), &format!("{products}{fallback}"));
    let koogate = scratch.serve();
    for (stock, count) in [("trial-accounts", 3), ("accounts", 40)] {
        let rows: String =
            (0..count).map(|number| format!("user-{number},pass-{number},https://app.example.com/{stock}\n")).collect();
        std::fs::write(scratch.path("stock.csv"), format!("user_name,password,front_end_url\n{rows}")).unwrap();
        scratch.run_ok(&["stock", "import", stock, "stock.csv"]);
    }
    let crm = "OFFI461867333479178240";
    for number in 0..3 {
        let answer = koogate.call(&new_item(&format!("CS261126601{number}"), crm));
        assert_eq!(answer.code(), "000004");
    }
    for number in 0..4 {
        koogate.call_until_success(&new_item(&format!("CS261125431{number}"), crm));
    }
    koogate.call_until_success(&new_item("CS2611257701", "OFFI710421906324307968"));
    koogate.call_until_success(&new_instance("CS2611258802"));
    let frozen = instance_id(&koogate.call_until_success(&new_item("CS2611249900", crm)));
    assert_eq!(koogate.call(&renewal(&frozen, "CS2611249900", FUTURE)).code(), "000000");
    assert_eq!(koogate.call(&freeze(&frozen)).code(), "000000");
    // The application refuses to freeze: the job is given up.
    scratch.wait_for_instance(&frozen, |shown| {
        shown["jobs"].as_array().is_some_and(|jobs| jobs.iter().any(|job| job["state"] == "dead"))
    });
    koogate.call(&as_test(new_instance("TEST-1")));
    koogate.stop();
    let koogate = after_a_while(&scratch);
    koogate.post("/saasproduce?signature=0&timestamp=1&nonce=1", b"{}").unwrap();
    Scene { koogate, _scratch: scratch, _application: application }
}

/// Starts it again as if what has happened had begun some time ago: of three open orders one has failed and another has half an
/// hour left, and KooGallery has tested for three weeks.
fn after_a_while(scratch: &Scratch) -> Koogate {
    const HOUR: i64 = 3_600_000;
    let this_half = beijing::half_day(Timestamp::now());
    // One half day failed, and in another nobody called.
    let tests = (1..40).filter(|ago| *ago != 17).map(|ago| {
        let (half_day, failures) = (this_half - ago, i64::from(ago == 9));
        format!("({half_day}, 1, {failures}, {})", beijing::begin_of(half_day).as_millisecond() + HOUR)
    });
    let tests = tests.collect::<Vec<_>>().join(", ");
    let older = |order: &str, minutes: i64| {
        format!(
            "UPDATE operation SET created_at = created_at - {minutes} * 60000 WHERE instance = \
             (SELECT id FROM instance WHERE order_id = '{order}');"
        )
    };
    let sql = format!(
        "INSERT OR IGNORE INTO test_call_calendar VALUES {tests}; {} {}",
        older("CS2611266010", 240),
        older("CS2611266011", 150)
    );
    rusqlite::Connection::open(scratch.path("koogate.db")).unwrap().execute_batch(&sql).unwrap();
    scratch.serve()
}
