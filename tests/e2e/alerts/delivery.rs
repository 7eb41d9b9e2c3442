//! How messages get to whom: each robot's form, throttling, restarts, webhooks that fail, the heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use data_encoding::BASE64;
use ring::hmac;
use serde_json::{Value, json};

use super::{Listener, OFTEN, folder, verified};
use crate::faults::shim::Shim;
use crate::harness::{Application, Delivery, KEY, Koogate, Scratch, eventually, new_instance};
use crate::shop::{FIXED, count};

const ROBOT_SECRET: &str = "SEC0123456789abcdef";
const OK: &str = r#"{"errcode":0,"errmsg":"ok","code":0}"#;

fn sign(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    BASE64.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn configured(application: &Application, kind: &str, secret: Option<&str>) -> Scratch {
    let secret = secret.map(|secret| format!(", secret = \"{secret}\"")).unwrap_or_default();
    let address = application.address();
    let sections = format!(
        "[alerts]\nlanguage = \"both\"\n\
         webhooks = [{{ kind = \"{kind}\", url = \"http://{address}/robot?key=0123456789\"{secret} }}]\n"
    );
    let scratch = Scratch::new(FIXED);
    scratch.configure(&[KEY], &sections, FIXED);
    scratch
}

/// What `koogate alert test` sends to a robot of this kind.
fn tried(kind: &str, secret: Option<&str>) -> Delivery {
    let application = Application::start(|_| (200, OK.to_owned()));
    let scratch = configured(&application, kind, secret);
    assert_eq!(scratch.run_ok(&["alert", "test"]), format!("webhook 1 ({kind}): ok\n"));
    let mut deliveries = application.deliveries();
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}

const TEXT: &str = "koogate 的测试消息：告警会发送到这里。";
const TEXT_EN: &str = "A test message of koogate: its alerts will come here.";

#[test]
fn a_robot_of_wecom_gets_markdown() {
    let delivery = tried("wecom", None);
    let content = format!("**koogate：测试 / koogate: test**\n\n{TEXT}\n{TEXT_EN}");
    assert_eq!(delivery.event, json!({ "msgtype": "markdown", "markdown": { "content": content } }));
    assert_eq!(delivery.target, "/robot?key=0123456789");
}

#[test]
fn a_robot_of_dingtalk_gets_markdown_and_a_signature_in_the_query() {
    let delivery = tried("dingtalk", Some(ROBOT_SECRET));
    let title = "koogate：测试 / koogate: test";
    let text = format!("**{title}**\n\n\n\n{TEXT}\n\n{TEXT_EN}");
    assert_eq!(delivery.event, json!({ "msgtype": "markdown", "markdown": { "title": title, "text": text } }));
    let query = delivery.target.strip_prefix("/robot?key=0123456789&timestamp=").unwrap();
    let (timestamp, signature) = query.split_once("&sign=").unwrap();
    let expected = sign(ROBOT_SECRET, &format!("{timestamp}\n{ROBOT_SECRET}"));
    assert_eq!(percent_encoding::percent_decode_str(signature).decode_utf8().unwrap(), expected);
    assert_eq!(tried("dingtalk", None).target, "/robot?key=0123456789");
}

#[test]
fn a_bot_of_feishu_gets_a_card_and_a_signature_in_the_body() {
    let mut event = tried("feishu", Some(ROBOT_SECRET)).event;
    let timestamp = event["timestamp"].as_str().unwrap().to_owned();
    assert_eq!(event["sign"], sign(&format!("{timestamp}\n{ROBOT_SECRET}"), ""));
    let members = event.as_object_mut().unwrap();
    members.retain(|name, _| name != "timestamp" && name != "sign");
    let title = json!({ "tag": "plain_text", "content": "koogate：测试 / koogate: test" });
    let text = json!({ "tag": "lark_md", "content": format!("{TEXT}\n{TEXT_EN}") });
    let expected = json!({
        "msg_type": "interactive",
        "card": {
            "config": { "wide_screen_mode": true },
            "header": { "template": "green", "title": title },
            "elements": [{ "tag": "div", "text": text }],
        },
    });
    assert_eq!(event, expected);
}

#[test]
fn a_robot_that_refuses_with_status_200_has_not_taken_it_and_its_words_show_no_address() {
    let refusal = r#"{"errcode":93000,"errmsg":"invalid webhook url, key 0123456789"}"#;
    let application = Application::start(move |_| (200, refusal.to_owned()));
    let scratch = configured(&application, "wecom", None);
    let output = scratch.run(&["alert", "test"]);
    let told = crate::harness::text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("webhook 1 (wecom): failed: ") && told.contains("93000"), "{told}");
    assert!(!told.contains("0123456789"), "{told}");
}

#[test]
fn software_gets_signed_json() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", FIXED);
    assert_eq!(scratch.run_ok(&["alert", "test"]), "webhook 1 (generic): ok\n");
    let delivery = listener.application.deliveries().remove(0);
    verified(&delivery);
    assert_eq!(delivery.event["type"], "koogate.test");
}

#[test]
fn a_restart_tells_nothing_twice() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", "[[product]]\nfulfilment = \"manual\"\n");
    let koogate = scratch.serve_with(&[OFTEN]);
    koogate.call(&new_instance("CS-1"));
    listener.wait_for(&koogate, "instance-waiting", "new");
    // Told and on disk.
    eventually(|| (count(&scratch, "alert_told") == 1).then_some(()), || koogate.log_text());
    koogate.kill();
    let koogate = scratch.serve_with(&[OFTEN]);
    koogate.call(&new_instance("CS-2"));
    let second = |(_, alert): &(String, Value)| alert["kind"] == "instance-waiting" && alert["why"] == "new";
    eventually(
        || (listener.told().iter().filter(|told| second(told)).count() >= 2).then_some(()),
        || koogate.log_text(),
    );
    let told = listener.told();
    let subjects: Vec<_> = told.iter().filter(|told| second(told)).map(|(_, alert)| alert["subject"].clone()).collect();
    assert!(subjects.len() == 2 && subjects[0] != subjects[1], "{told:#?}");
    koogate.stop();
}

#[test]
fn a_message_that_was_sent_and_not_recorded_comes_again_under_its_id() {
    let listener = Listener::start();
    let scratch = folder(&listener, "", "[[product]]\nfulfilment = \"manual\"\n");
    let mut koogate = scratch.serve_with(&[OFTEN, ("KOOGATE_FAULT", "alert-sent")]);
    // The answer may be lost with the process.
    let _ = koogate.try_call(KEY, &new_instance("CS-1"));
    koogate.wait();
    let koogate = scratch.serve_with(&[OFTEN]);
    eventually(|| (listener.told().len() >= 2).then_some(()), || koogate.log_text());
    let told = listener.told();
    assert_eq!(told[0].0, told[1].0, "{told:#?}");
    koogate.stop();
}

#[test]
fn a_webhook_that_fails_is_tried_again_and_shown() {
    let listener = Listener::answering(&[(503, "later"), (503, "later"), (503, "later")]);
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";
    let scratch = folder(&listener, admin, "[[product]]\nfulfilment = \"manual\"\n");
    let koogate = scratch.serve_with(&[OFTEN]);
    koogate.call(&new_instance("CS-1"));
    koogate.wait_for_log("the generic webhook of [alerts] did not take a message, trying on: HTTP 503: later");
    koogate.wait_for_log("the generic webhook of [alerts] takes messages again");
    let shown = || koogate.admin("GET", "/api/v1/alerts", Some("a-token-of-the-tests"), "").json();
    let webhook = eventually(
        || Some(shown()["webhooks"][0].clone()).filter(|webhook| webhook["failures"] == 0),
        || shown().to_string(),
    );
    assert!(webhook["deliveredTime"].is_string() && webhook["lastError"].is_null(), "{webhook}");
    assert_eq!(shown()["alerts"][0]["kind"], "instance-waiting");
    let ids: Vec<String> = listener.told().into_iter().map(|(id, _)| id).collect();
    assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(scratch.run_json(&["alert", "list", "--json"])[0]["kind"], "instance-waiting");
    koogate.stop();
}

#[test]
fn many_alarms_of_one_kind_are_one_message() {
    let (listener, products) = (Listener::start(), "[[product]]\nfulfilment = \"manual\"\n");
    // Nobody is told while they come.
    let scratch = Scratch::new(products);
    let koogate = scratch.serve();
    for number in 1..=7 {
        koogate.call(&new_instance(&format!("CS-{number}")));
    }
    koogate.stop();
    scratch.configure(&[KEY], &listener.section(), products);
    let koogate = scratch.serve_with(&[OFTEN]);
    listener.wait_for(&koogate, "instance-waiting", "new");
    let first = &listener.application.deliveries()[0].event;
    assert_eq!(first["data"]["alerts"].as_array().unwrap().len(), 7, "{first:#}");
    assert_eq!(first["data"]["title"], "koogate: 7 alerts, 7 urgent");
    koogate.stop();
}

#[test]
fn the_heart_beats_while_all_is_well() {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = server.server_addr().to_ip().unwrap();
    let scratch = Scratch::new(FIXED);
    let section = format!("[alerts]\nheartbeat_url = \"http://{address}/ping/0123456789\"\n");
    scratch.configure(&[KEY], &section, FIXED);
    let koogate = scratch.serve_with(&[OFTEN]);
    for _ in 0..2 {
        let request = server.recv_timeout(crate::harness::PATIENCE).unwrap().expect("a heartbeat");
        assert_eq!((request.method().as_str(), request.url()), ("GET", "/ping/0123456789"));
        request.respond(tiny_http::Response::empty(200)).unwrap();
    }
    koogate.stop();
    let answer = std::thread::spawn(move || {
        let request = server.recv_timeout(crate::harness::PATIENCE).unwrap().expect("a heartbeat");
        request.respond(tiny_http::Response::empty(200)).unwrap();
    });
    // Asked for alone, where there is no webhook.
    assert_eq!(scratch.run_ok(&["alert", "test", "--heartbeat"]), "heartbeat: ok\n");
    answer.join().unwrap();
}

/// Takes heartbeats and counts them before it answers.
struct Monitor {
    server: Arc<tiny_http::Server>,
    beats: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    fn start() -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let beats = Arc::new(AtomicUsize::new(0));
        let (taking, counting) = (Arc::clone(&server), Arc::clone(&beats));
        let thread = std::thread::spawn(move || {
            for request in taking.incoming_requests() {
                counting.fetch_add(1, Ordering::SeqCst);
                let _ = request.respond(tiny_http::Response::empty(200));
            }
        });
        Self { server, beats, thread: Some(thread) }
    }

    fn line(&self) -> String {
        format!("heartbeat_url = \"http://{}/ping\"\n", self.server.server_addr().to_ip().unwrap())
    }

    fn beats(&self) -> usize {
        self.beats.load(Ordering::SeqCst)
    }

    /// Waits for so many more.
    fn wait_for(&self, more: usize, koogate: &Koogate) {
        let wanted = self.beats() + more;
        eventually(|| (self.beats() >= wanted).then_some(()), || koogate.log_text());
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn the_heart_stops_while_nothing_can_be_written_and_beats_again() {
    // Each attempt to tell it comes after another look at least, from the third on.
    let listener = Listener::answering(&[(503, "later"); 6]);
    let monitor = Monitor::start();
    let scratch = folder(&listener, &monitor.line(), FIXED);
    let shim = Shim::new();
    let mut command = shim.command(&scratch, &["serve"]);
    command.env(OFTEN.0, OFTEN.1);
    let koogate = Koogate::start(command, false).unwrap_or_else(|ended| panic!("{}", ended.log));
    monitor.wait_for(2, &koogate);
    shim.rules("sync -wal 1+ EIO\n");
    assert_eq!(koogate.call(&new_instance("CS-1")).code(), "000005");
    let attempts = || listener.told().iter().filter(|(_, alert)| alert["kind"] == "database-unwritable").count();
    eventually(|| (attempts() >= 1).then_some(()), || koogate.log_text());
    let stopped = monitor.beats();
    eventually(|| (attempts() >= 5).then_some(()), || koogate.log_text());
    assert_eq!(monitor.beats(), stopped, "{}", koogate.log_text());
    shim.rules("");
    monitor.wait_for(1, &koogate);
    koogate.stop();
}

#[test]
fn what_stands_and_does_not_change_is_written_once() {
    let listener = Listener::start();
    let monitor = Monitor::start();
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"a-token-of-the-tests\"\n";
    let scratch = folder(&listener, &format!("{}{admin}", monitor.line()), "[[product]]\nfulfilment = \"manual\"\n");
    let koogate = scratch.serve_with(&[OFTEN]);
    koogate.call(&new_instance("CS-1"));
    listener.wait_for(&koogate, "instance-waiting", "new");
    eventually(|| (count(&scratch, "alert_told") == 1).then_some(()), || koogate.log_text());
    // Whatever was under way when it was told.
    monitor.wait_for(2, &koogate);
    let written = || {
        let metrics = koogate.admin("GET", "/metrics", Some("a-token-of-the-tests"), "");
        let metrics = crate::harness::text(&metrics.body);
        let line = metrics.lines().find(|line| line.starts_with("koogate_commit_batch_size_count")).unwrap().to_owned();
        assert!(metrics.contains("koogate_alerts{kind=\"instance-waiting\"} 1\n"), "{metrics}");
        line
    };
    let before = written();
    monitor.wait_for(4, &koogate);
    assert_eq!(written(), before);
    koogate.stop();
}

#[test]
fn a_reload_puts_other_webhooks_in_force() {
    let (first, second) = (Listener::start(), Listener::start());
    let products = "[[product]]\nfulfilment = \"manual\"\n";
    let scratch = folder(&first, "", products);
    let koogate = scratch.serve_with(&[OFTEN]);
    koogate.call(&new_instance("CS-1"));
    first.wait_for(&koogate, "instance-waiting", "new");
    scratch.configure(&[KEY], &second.section(), products);
    koogate.signal("HUP");
    // What stands is new to whoever is new.
    second.wait_for(&koogate, "instance-waiting", "new");
    koogate.call(&new_instance("CS-2"));
    eventually(|| (second.count("instance-waiting", "new") == 2).then_some(()), || koogate.log_text());
    assert_eq!(first.count("instance-waiting", "new"), 1);
    koogate.stop();
}
