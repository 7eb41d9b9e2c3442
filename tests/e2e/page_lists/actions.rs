//! Actions: each asks first, needs the form's token, does what the command line does, is recorded, and does nothing where things
//! have changed since the question was put.

use super::{confirm, page, recorded, row_names, sections, send_form};
use crate::harness::{Application, KEY, PATIENCE, Scratch, eventually, new_instance, text};
use crate::page::visitor::Visitor;
use crate::shop::{Shop, look_up};

const MANUAL: &str = "[[product]]\nfulfilment = \"manual\"\n";

#[test]
fn an_instance_is_marked_ready_once_and_the_second_operator_is_told() {
    let scratch = Scratch::new("");
    scratch.configure(
        &[KEY],
        &format!("[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1200ms\"\n{}", sections()),
        MANUAL,
    );
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000004");
    let (mut first, mut second) = (Visitor::logged_in(&koogate), Visitor::logged_in(&koogate));
    let question = page(&mut second, "/instances/1/ready");
    let access = [
        ("front_end_url", "https://app.example.com/1"),
        ("user_name", "admin"),
        ("password", "s3cret <b>"),
        ("memo", "说明"),
    ];
    let unfit = confirm(&mut first, "/instances/1/ready", "/instances/1/ready", &[("front_end_url", "not a url")]);
    assert_eq!(unfit.status, 409, "{}", text(&unfit.body));
    assert_eq!(first.post("/instances/1/ready", &access).status, 403, "only with the form's token");
    let done = confirm(&mut first, "/instances/1/ready", "/instances/1/ready", &access);
    assert_eq!((done.status, done.header("Location")), (303, Some("/instances/1")), "{}", text(&done.body));
    let shown = page(&mut first, "/instances/1");
    assert!(shown.contains("The instance is active") && shown.contains("https://app.example.com/1"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let late =
        send_form(&mut second, &question, "/instances/1/ready", &[("front_end_url", "https://other.example.com")]);
    assert_eq!(late.status, 409);
    assert!(text(&late.body).contains("Things have changed since you looked"), "{}", text(&late.body));
    // Shown only after a click, which is recorded.
    let revealed = send_form(&mut first, &shown, "/instances/1/reveal", &[]);
    assert_eq!(revealed.status, 200);
    assert!(text(&revealed.body).contains("s3cret &lt;b&gt;"), "{}", text(&revealed.body));
    let id: String = look_up(&scratch, "SELECT instance_id FROM instance");
    assert_eq!(recorded(&scratch), [format!("ready {id}"), format!("reveal {id}")]);
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
}

/// A shop whose application fails until the gate is opened; its jobs die at once.
fn failing() -> (Shop, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let works = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sees = std::sync::Arc::clone(&works);
    let application = Application::start(move |event| {
        if sees.load(std::sync::atomic::Ordering::SeqCst) {
            (200, crate::harness::ready_answer(event))
        } else {
            (500, "it is <b>broken</b>".to_owned())
        }
    });
    let sections = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1200ms\"\n[jobs]\ngive_up_after = \"1s\"\nfirst_retry = \"1s\"\nslowest_retry = \"1s\"\n{}",
        sections()
    );
    (Shop::with(application, &sections, ""), works)
}

fn wait_for_dead(shop: &Shop, count: i64) {
    eventually(
        || {
            Some(())
                .filter(|()| look_up::<i64>(&shop.scratch, "SELECT count(*) FROM job WHERE state = 'dead'") == count)
        },
        || shop.koogate.log_text(),
    );
}

#[test]
fn what_was_given_up_is_tried_again_one_by_one_and_all_at_once() {
    let (shop, works) = failing();
    for order in ["CS1", "CS2", "CS3"] {
        shop.koogate.call(&new_instance(order));
    }
    wait_for_dead(&shop, 3);
    let mut visitor = Visitor::logged_in(&shop.koogate);
    let dead = page(&mut visitor, "/jobs");
    assert_eq!(row_names(&dead), ["3", "2", "1"]);
    assert!(dead.contains("Jobs given up: 3") && dead.contains("&lt;b&gt;broken"), "{dead}");
    let early = page(&mut visitor, "/jobs/1/retry");
    works.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(visitor.post("/jobs/1/retry", &[]).status, 403, "only with the form's token");
    let done = confirm(&mut visitor, "/jobs/1/retry", "/jobs/1/retry", &[]);
    assert_eq!((done.status, done.header("Location")), (303, Some("/jobs")), "{}", text(&done.body));
    wait_for_dead(&shop, 2);
    shop.scratch.wait_for_instance(
        &look_up::<String>(&shop.scratch, "SELECT instance_id FROM instance WHERE id = 1"),
        |instance| instance["status"] == "active",
    );
    let late = send_form(&mut visitor, &early, "/jobs/1/retry", &[]);
    assert_eq!(late.status, 409, "{}", text(&late.body));
    // All of them; who saw others is told, even where they are as many.
    let others = page(&mut visitor, "/retry/jobs?task=instance.create");
    let database = rusqlite::Connection::open(shop.scratch.path("koogate.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database.execute("UPDATE job SET attempt = attempt + 1 WHERE id = 2 AND state = 'dead'", []).unwrap();
    let late = send_form(&mut visitor, &others, "/retry/jobs", &[]);
    assert_eq!(late.status, 409, "{}", text(&late.body));
    let wrong = confirm(&mut visitor, "/retry/jobs?task=instance.create", "/retry/jobs", &[]);
    assert_eq!((wrong.status, wrong.header("Location")), (303, Some("/jobs")), "{}", text(&wrong.body));
    wait_for_dead(&shop, 0);
    eventually(
        || {
            Some(()).filter(|()| {
                look_up::<i64>(&shop.scratch, "SELECT count(*) FROM instance WHERE status = 'active'") == 3
            })
        },
        || shop.koogate.log_text(),
    );
    assert_eq!(visitor.get("/retry/jobs").status, 409, "nothing is left to retry");
    let events = shop.application.events();
    let mut ids: Vec<_> = events.iter().map(|event| event["operationId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "the same operationId in every attempt");
    assert_eq!(recorded(&shop.scratch).len(), 2);
}

const STOCK: &str = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts/云 1\"\nlow_stock = 1\n";

#[test]
fn a_stock_is_filled_by_pasting_as_by_the_command_and_nothing_is_there_twice() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), STOCK);
    let koogate = scratch.serve();
    let mut visitor = Visitor::logged_in(&koogate);
    let csv = "user_name,password,front_end_url,memo\nu1,p-one,https://app.example.com/1,\"a\nb\"\nu2,p-two,https://app.example.com/2,\n";
    std::fs::write(scratch.path("stock.csv"), csv.lines().take(3).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    scratch.run_ok(&["stock", "import", "accounts/云 1", "stock.csv"]);
    let path = "/stock/accounts%2F%E4%BA%91%201";
    let stock = page(&mut visitor, path);
    assert_eq!(row_names(&stock).len(), 1, "{stock}");
    let import = format!("{path}/import");
    // As browsers send it.
    let pasted = csv.replace('\n', "\r\n");
    let preview = send_form(&mut visitor, &stock, &import, &[("csv", &pasted)]);
    let preview = text(&preview.body);
    assert!(preview.contains("2 entries: 1 are added, 1 are there already"), "{preview}");
    assert!(!preview.contains("p-two"), "what is pasted is not shown again: {preview}");
    assert_eq!(look_up::<i64>(&scratch, "SELECT count(*) FROM stock_entry"), 1, "nothing is added by looking");
    let add = format!("{path}/add");
    let done = send_form(&mut visitor, &preview, &add, &[]);
    assert_eq!(done.status, 303, "{}", text(&done.body));
    let again = send_form(&mut visitor, &preview, &add, &[]);
    assert_eq!(again.status, 303);
    let stock = page(&mut visitor, path);
    assert!(stock.contains("0 entries were added, 2 were there already"), "{stock}");
    assert_eq!(row_names(&stock).len(), 2, "{stock}");
    assert!(!stock.contains("p-one") && !stock.contains("p-two"), "{stock}");
    let revealed = send_form(&mut visitor, &stock, &format!("{path}/reveal"), &[]);
    assert!(text(&revealed.body).contains("p-one"), "{}", text(&revealed.body));
    // What was sealed for one stock is nothing for another, and what is changed is nothing.
    let wrong = visitor.post_from(path, &add, &[("entries", "AAAA")]);
    assert_eq!(wrong.status, 400);
    let large = visitor.post_from(path, &import, &[("csv", &"x".repeat((512 << 10) + 1))]);
    assert_eq!(large.status, 409, "{}", text(&large.body));
    assert!(text(&large.body).contains("too much for a page"), "{}", text(&large.body));
    let bad = visitor.post_from(path, &import, &[("csv", "user_name\nx\n")]);
    assert_eq!(bad.status, 409, "{}", text(&bad.body));
    assert_eq!(visitor.get("/stock/nothing").status, 404);
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    assert_eq!(row_names(&page(&mut visitor, path)).len(), 1, "the first went to the order");
    let mut kinds = recorded(&scratch);
    kinds.iter_mut().for_each(|one| *one = one.split(' ').next().unwrap().to_owned());
    assert_eq!(kinds, ["import", "import", "reveal"]);
}

#[test]
fn no_action_is_done_without_a_session() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &sections(), STOCK);
    let koogate = scratch.serve();
    let mut stranger = Visitor::new(&koogate);
    for route in koogate::admin::ROUTES.iter().filter(|route| route.is_page() && !route.is_open) {
        let target = route.path.replace(['{', '}'], "");
        let answer = stranger.request(
            &route.method.to_string(),
            &target,
            (route.method.to_string() == "POST").then_some("csrf=x"),
        );
        let expected = if route.method.to_string() == "POST" { 403 } else { 303 };
        assert_eq!(answer.status, expected, "{} {target}", route.method);
    }
    let mut visitor = Visitor::logged_in(&koogate);
    for route in koogate::admin::ROUTES.iter().filter(|route| route.is_page() && route.method.to_string() == "POST") {
        if route.is_open || route.path == "/logout" {
            continue;
        }
        let target = route.path.replace(['{', '}'], "");
        let answer = visitor.post(&target, &[("csrf", "another")]);
        assert_eq!(answer.status, 403, "{target}");
    }
    assert!(recorded(&scratch).is_empty());
}
