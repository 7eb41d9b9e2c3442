//! Which product entry an order leads to, and products without an application.

use super::*;
use crate::shop::FIXED;

/// An entry without an application for one product.
fn fixed(product: &str) -> String {
    format!(
        "[[product]]\nproduct_id = \"{product}\"\nfulfilment = \"fixed\"\n\
         access = {{ front_end_url = \"https://{product}.example.com/{{instanceId}}\" }}\n"
    )
    .replace("https://P", "https://p")
}

fn shop_of(mock: &KooGallery, products: &str) -> Shop {
    let sections = format!("{PATIENT}{}", mock.toml());
    Shop::with_products(Application::ready(), &sections, products)
}

#[test]
fn the_order_chooses_among_the_product_entries() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    mock.put_order(order("CS2", "NEW", product("P2", "basic", 1)));
    let shop = shop_of(&mock, &(fixed("P1") + &fixed("P2")));
    for (order, host) in [("CS2", "https://p2."), ("CS1", "https://p1.")] {
        let id = shop.buy(order);
        let url = shop.instance(&id)["frontEndUrl"].as_str().unwrap().to_owned();
        assert!(url.starts_with(host), "{url}");
        assert_eq!(shop.history(&id), ["created", "described", "ready"]);
    }
    assert_eq!(shop.application.events().len(), 0);
}

#[test]
fn a_retry_of_a_purchase_without_an_application_gets_the_same_bytes() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    let shop = shop_of(&mock, FIXED);
    let purchase = new_instance("CS1");
    let first = shop.expect("000000", &purchase);
    assert_eq!(shop.expect("000000", &retry(&purchase)).verbatim(), first.verbatim());
}

#[test]
fn an_empty_stock_keeps_the_purchase_until_it_is_filled() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    let shop = Shop::with_products(
        Application::ready(),
        &format!("{IMPATIENT}{}", mock.toml()),
        "[[product]]\nproduct_id = \"P1\"\nfulfilment = \"stock\"\nstock = \"accounts\"\n",
    );
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000004", &purchase));
    shop.koogate.wait_for_log("ALERT stock \"accounts\" is empty");
    let file = shop.scratch.path("accounts.csv");
    std::fs::write(&file, "user_name,password,front_end_url\nann,secret-1,https://app.example.com/a\n").unwrap();
    shop.scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    assert_eq!(instance_id(&shop.koogate.call_until_success(&retry(&purchase))), id);
    assert_eq!(shop.instance(&id)["frontEndUrl"], "https://app.example.com/a");
    assert_eq!(shop.count("stock_entry WHERE taken_at IS NOT NULL"), 1);
    assert_eq!(mock.count(Route::OrderQuery), 1, "the order is read once, however often the stock is empty");
}

#[test]
fn a_purchase_for_the_operator_is_finished_by_hand_and_knows_its_product() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    let shop = shop_of(&mock, "[[product]]\nproduct_id = \"P1\"\nfulfilment = \"manual\"\n");
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000004", &purchase));
    shop.koogate.wait_for_log(&format!("ALERT instance {id} waits for the operator"));
    assert_eq!(shop.instance(&id)["productId"], "P1");
    shop.expect("000004", &retry(&purchase));
    assert_eq!(shop.count("job WHERE state IN ('waiting', 'running')"), 0);
    shop.scratch.run_ok(&["instance", "ready", &id, "--front-end-url", "https://app.example.com"]);
    assert_eq!(instance_id(&shop.expect("000000", &retry(&purchase))), id);
}

#[test]
fn a_product_that_nobody_has_configured_waits_for_the_reload() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    let jobs = "[jobs]\nfirst_retry = \"1h\"\nslowest_retry = \"1h\"\n";
    let sections = format!("{IMPATIENT}{jobs}{}", mock.toml());
    let shop = Shop::with_products(Application::ready(), &sections, &fixed("P9"));
    let purchase = new_instance("CS1");
    let id = instance_id(&shop.expect("000004", &purchase));
    shop.koogate.wait_for_log("ALERT job 1: instance.create for instance");
    let error = shop.instance(&id)["jobs"][0]["lastError"].as_str().unwrap().to_owned();
    assert!(error.contains("no [[product]] entry matches product Some(\"P1\"), sku Some(\"basic\")"), "{error}");
    shop.reload(&[KEY], &sections, &(fixed("P9") + &fixed("P1")));
    shop.scratch.wait_for_instance(&id, |shown| shown["status"] == "active");
    assert_eq!(instance_id(&shop.expect("000000", &retry(&purchase))), id);
    assert_eq!(mock.count(Route::OrderQuery), 1, "the order was known");
}

#[test]
fn without_any_entry_of_the_kind_nothing_is_created_and_nobody_asked() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    let shop = shop_of(&mock, "[[product]]\nkind = \"license\"\nfulfilment = \"manual\"\n");
    shop.expect("000005", &new_instance("CS1"));
    shop.koogate.wait_for_log("no [[product]] entry matches product None, sku None of kind saas");
    assert_eq!((shop.count("instance"), mock.calls().len()), (0, 0));
}

#[test]
fn changes_without_an_application_are_answered_at_once_and_described_when_the_order_is_read() {
    let mock = KooGallery::start();
    mock.put_order(order("CS1", "NEW", product("P1", "basic", 1)));
    mock.put_order(order("CS2", "CHANGE", product("P2", "pro", 2)));
    mock.put_order(order("CS3", "RENEW", product("P3", "max", 3)));
    for fulfilment in [FIXED.to_owned(), "[[product]]\nfulfilment = \"manual\"\n".to_owned()] {
        let shop = shop_of(&mock, &fulfilment);
        let purchase = new_instance("CS1");
        let id = instance_id(&shop.koogate.call(&purchase));
        if shop.status(&id) == "creating" {
            shop.scratch.run_ok(&["instance", "ready", &id, "--front-end-url", "https://app.example.com"]);
        }
        mock.go_down();
        let answer = shop.expect("000000", &upgrade(&id, "CS2"));
        shop.expect("000000", &refresh(&id, "CS3", "RENEWAL_CHANGE", LATER));
        assert_eq!(shop.instance(&id)["productId"], "P1");
        assert_eq!(shop.expect("000000", &upgrade(&id, "CS2")).verbatim(), answer.verbatim());
        mock.come_up();
        let shown = shop.scratch.wait_for_instance(&id, |shown| shown["productId"] == "P3");
        assert_eq!((&shown["skuCode"], &shown["expireTime"]), (&json!("max"), &json!(LATER_SHOWN)));
        let history = shop.history(&id);
        assert_eq!(history, ["created", "described", "ready", "upgraded", "renewed", "described", "described"]);
        assert_eq!(shop.count("job WHERE state <> 'done'"), 0);
    }
}
