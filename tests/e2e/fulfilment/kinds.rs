//! The kinds without an application over HTTP: command, stock, fixed, manual.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Koogate, Scratch, eventually, new_instance, query, text};

fn write_script(scratch: &Scratch, script: &str) -> String {
    std::fs::write(scratch.path("provision.sh"), script).unwrap();
    format!(
        "[[product]]\nfulfilment = \"command\"\ncommand = [\"/bin/sh\", \"{}\", \"--from-koogate\"]\n",
        scratch.path("provision.sh").display()
    )
}

/// The access data that the buyer of an order is told.
fn access_of(koogate: &Koogate, instance_id: &str) -> Value {
    let answer = koogate.call(&query(instance_id)).json();
    assert_eq!(answer["resultCode"], "000000");
    answer["info"][0]["appInfo"].clone()
}

/// Buys and returns the instance's id.
fn buy(koogate: &Koogate, order: &str) -> String {
    let answer = koogate.call(&new_instance(order));
    assert_eq!(answer.code(), "000000", "{}", text(&answer.body));
    answer.json()["instanceId"].as_str().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_command_gets_the_event_on_stdin_and_its_stdout_is_the_answer() {
    let scratch = Scratch::new("");
    let product = write_script(
        &scratch,
        r#"cat > event.json
env > environment.txt
echo "$1" > arguments.txt
echo "a word for the log" >&2
echo '{"status":"ready","access":{"frontEndUrl":"https://app.example.com/c","password":"pw"}}'
"#,
    );
    scratch.configure(&[crate::harness::KEY], "", &product);
    let koogate = scratch.serve_with(&[("A_SECRET_OF_KOOGATE", "hunter2")]);
    let id = buy(&koogate, "CS1");
    assert_eq!(access_of(&koogate, &id), json!({ "frontEndUrl": "https://app.example.com/c", "password": "pw" }));

    let event: Value = serde_json::from_str(&read(&scratch.path("event.json"))).unwrap();
    assert_eq!((&event["event"], &event["instanceId"]), (&json!("instance.create"), &json!(id)));
    assert_eq!(read(&scratch.path("arguments.txt")), "--from-koogate\n");
    let environment = read(&scratch.path("environment.txt"));
    let operation = format!("KOOGATE_OPERATION_ID={}", event["operationId"].as_str().unwrap());
    for wanted in ["KOOGATE_EVENT=instance.create", operation.as_str()] {
        assert!(environment.lines().any(|line| line == wanted), "{wanted} in\n{environment}");
    }
    assert!(environment.lines().any(|line| line.starts_with("PATH=")), "{environment}");
    assert!(!environment.contains("hunter2"), "{environment}");
    koogate.wait_for_log("a word for the log");
}

#[test]
fn a_command_that_fails_is_run_again_and_its_last_words_are_shown() {
    let scratch = Scratch::new("");
    let product = write_script(
        &scratch,
        r#"if [ -e mended ]; then echo '{"status":"ready"}'; else echo "the licence server is away" >&2; exit 3; fi"#,
    );
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n";
    scratch.configure(&[crate::harness::KEY], server, &product);
    let koogate = scratch.serve();
    let answer = koogate.call(&new_instance("CS1"));
    assert_eq!(answer.code(), "000004");
    let id = answer.json()["instanceId"].as_str().unwrap().to_owned();
    let shown = scratch.wait_for_instance(&id, |shown| shown["jobs"][0]["state"] == "waiting");
    assert_eq!(shown["jobs"][0]["lastError"], "exit code 3: the licence server is away");
    std::fs::write(scratch.path("mended"), "").unwrap();
    let answer = koogate.call_until_success(&new_instance("CS1"));
    assert_eq!(answer.json()["instanceId"], json!(id));
}

const ACCOUNTS: &str = "user_name,password,front_end_url,admin_url,memo\n\
    one,pw-1,https://app.example.com/1,https://app.example.com/admin/1,欢迎\n\
    two,pw-2,https://app.example.com/2,,\n";

fn stock_scratch(low_stock: u32) -> Scratch {
    let product = format!("[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\nlow_stock = {low_stock}\n");
    let scratch = Scratch::new(&product);
    std::fs::write(scratch.path("accounts.csv"), ACCOUNTS).unwrap();
    scratch
}

#[test]
fn two_sales_get_two_accounts_of_the_stock_and_a_retry_the_same_one() {
    let scratch = stock_scratch(0);
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let koogate = scratch.serve();
    let (one, two) = (buy(&koogate, "CS1"), buy(&koogate, "CS2"));
    assert_eq!(buy(&koogate, "CS1"), one);
    assert_eq!(
        access_of(&koogate, &one),
        json!({
            "frontEndUrl": "https://app.example.com/1", "adminUrl": "https://app.example.com/admin/1",
            "userName": "one", "password": "pw-1", "memo": "欢迎",
        })
    );
    let second = json!({ "frontEndUrl": "https://app.example.com/2", "userName": "two", "password": "pw-2" });
    assert_eq!(access_of(&koogate, &two), second);
    let stocks = scratch.run_json(&["stock", "list", "--json"]);
    assert_eq!(stocks, [json!({ "stock": "accounts", "unused": 0, "taken": 2 })]);
}

#[test]
fn an_empty_stock_is_000100_and_an_alert_until_it_is_refilled() {
    let scratch = stock_scratch(0);
    let koogate = scratch.serve();
    for _ in 0..2 {
        assert_eq!(koogate.call(&new_instance("CS1")).code(), "000100");
    }
    koogate.wait_for_log("ALERT stock \"accounts\" is empty");
    // Beside the running server.
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let id = buy(&koogate, "CS1");
    assert_eq!(access_of(&koogate, &id)["userName"], "one");
    assert_eq!(scratch.run_json(&["instance", "list", "--json"]).len(), 1);
}

#[test]
fn a_low_stock_warns() {
    let scratch = stock_scratch(1);
    scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    koogate.wait_for_log("ALERT stock \"accounts\" is low: 1 left");
}

#[test]
fn an_import_adds_what_is_new_and_only_to_a_stock_that_a_product_names() {
    let scratch = stock_scratch(0);
    let first = scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    assert!(first.starts_with("2 entries added"), "{first}");
    let again = scratch.run_ok(&["stock", "import", "accounts", "accounts.csv"]);
    assert!(again.starts_with("0 entries added to stock accounts, 2 were there already"), "{again}");
    let stocks = scratch.run_json(&["stock", "list", "--json"]);
    assert_eq!(stocks, [json!({ "stock": "accounts", "unused": 2, "taken": 0 })]);

    let misspelt = scratch.run(&["stock", "import", "acounts", "accounts.csv"]);
    assert_eq!(misspelt.status.code(), Some(1));
    assert!(text(&misspelt.stderr).contains("\"acounts\""), "{}", text(&misspelt.stderr));

    // All of a file or nothing of it.
    std::fs::write(scratch.path("half.csv"), "front_end_url\nhttps://app.example.com/3\nno address\n").unwrap();
    let half = scratch.run(&["stock", "import", "accounts", "half.csv"]);
    assert_eq!(half.status.code(), Some(1));
    assert!(text(&half.stderr).contains("line 3"), "{}", text(&half.stderr));
    assert_eq!(scratch.run_json(&["stock", "list", "--json"]), stocks);
}

#[test]
fn a_fixed_product_fills_its_placeholders_and_keeps_the_password_it_generated() {
    let product = "[[product]]\nfulfilment = \"fixed\"\ngenerate_password = true\n\
        access = { front_end_url = \"https://{instanceId}.example.com/?o={orderId}\", user_name = \"u-{orderLineId}\" }\n";
    let scratch = Scratch::new(product);
    let koogate = scratch.serve();
    let (one, two) = (buy(&koogate, "CS1"), buy(&koogate, "CS2"));
    let access = access_of(&koogate, &one);
    assert_eq!(access["frontEndUrl"], format!("https://{one}.example.com/?o=CS1"));
    assert_eq!(access["userName"], "u-CS1-000001");
    let password = access["password"].as_str().unwrap();
    assert!(password.len() >= 16, "{password}");
    assert_ne!(access_of(&koogate, &two)["password"], password);

    buy(&koogate, "CS1");
    koogate.stop();
    let koogate = scratch.serve();
    buy(&koogate, "CS1");
    assert_eq!(access_of(&koogate, &one), access);
}

#[test]
fn a_manual_product_is_processing_until_the_operator_says_ready() {
    let scratch = Scratch::new("[[product]]\nfulfilment = \"manual\"\n");
    let koogate = scratch.serve();
    let first = koogate.call(&new_instance("CS1"));
    assert_eq!(first.code(), "000004");
    let id = first.json()["instanceId"].as_str().unwrap().to_owned();
    koogate.wait_for_log(&format!("ALERT instance {id} waits for the operator"));
    let retry = koogate.call(&new_instance("CS1"));
    assert_eq!((retry.code(), &retry.json()["instanceId"]), ("000004".to_owned(), &json!(id)));
    assert_eq!(koogate.call(&query(&id)).code(), "000004");

    scratch.run_ok(&["instance", "ready", &id, "--front-end-url", "https://app.example.com/m"]);
    assert_eq!(buy(&koogate, "CS1"), id);
    assert_eq!(access_of(&koogate, &id), json!({ "frontEndUrl": "https://app.example.com/m" }));
    let history = scratch.instance(&id)["history"].clone();
    let changes: Vec<_> = history.as_array().unwrap().iter().map(|entry| &entry["change"]).collect();
    assert_eq!(changes, ["created", "ready"]);
    let listed = eventually(
        || Some(scratch.run_json(&["instance", "list", "--status", "active", "--json"])).filter(|l| !l.is_empty()),
        || "no active instance".to_owned(),
    );
    assert_eq!(listed[0]["instanceId"], json!(id));
}
