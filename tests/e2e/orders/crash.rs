//! kill -9 between the order and the application.

use super::*;
use crate::harness::Scratch;

/// Passages of the point in a purchase and an upgrade, and one more.
const PASSAGES: u32 = 3;

#[test]
fn a_death_between_the_order_and_the_application_changes_no_answer_and_asks_for_no_order_twice() {
    for passage in 1..=PASSAGES {
        let mock = KooGallery::start();
        mock.put_order(order("CS1", "NEW", product("P1", "basic", 10)));
        mock.put_order(order("CS2", "CHANGE", product("P1", "pro", 20)));
        let application = Application::ready();
        let scratch = Scratch::new("");
        scratch.configure(&[KEY], &format!("{PATIENT}{}", mock.toml()), &application.product(""));
        let fault = format!("ordered:{passage}");
        let koogate = scratch.serve_with(&[("KOOGATE_FAULT", &fault)]);
        let mut shop = Shop { koogate, application, scratch };
        let purchase = new_instance("CS1");
        let mut deaths = 0;
        let mut ask = |shop: &mut Shop, body: &Value| loop {
            match shop.koogate.try_call(KEY, body) {
                Ok(answer) if answer.code() == "000000" => return answer,
                Ok(answer) => assert!(deaths > 0, "{}", answer.json()),
                Err(_) => {
                    assert_eq!(shop.koogate.wait(), None, "{}", shop.koogate.log_text());
                    deaths += 1;
                    shop.koogate = shop.scratch.serve();
                }
            }
        };
        let bought = ask(&mut shop, &purchase);
        let id = instance_id(&bought);
        let upgraded = ask(&mut shop, &upgrade(&id, "CS2"));
        assert_eq!(ask(&mut shop, &retry(&purchase)).verbatim(), bought.verbatim());
        assert_eq!(ask(&mut shop, &upgrade(&id, "CS2")).verbatim(), upgraded.verbatim());
        shop.told_only(&id, &["instance.create", "instance.upgrade"]);
        assert_eq!(shop.instance(&id)["skuCode"], "pro");
        let event = event(&shop, &id, "instance.upgrade");
        assert_eq!((&event["order"]["quantity"], &event["change"]["previousQuantity"]), (&json!(20), &json!(10)));
        assert_eq!(shop.history(&id), ["created", "described", "ready", "upgraded"], "death {passage}");
        assert_eq!(mock.count(Route::OrderQuery), 2, "death {passage}");
        assert_eq!(deaths, u32::from(passage < PASSAGES));
    }
}
