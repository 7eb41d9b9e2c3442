//! More than can be done: whoever cannot be answered in time is told so at once, and what needs nothing of what is waited for
//! goes on.
//!
//! Nothing here is measured in seconds (`cargo bench --bench overload` does that): the tests hold a disk, an application or
//! a crowd of strangers for as long as it takes, and look who is answered meanwhile.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::door_client::{Client, House, alone, eventually, get, settings};
use crate::harness::{
    Answer, Application, Gate, KEY, Koogate, PATIENCE, Scratch, new_instance, query, ready_answer, status_change, text,
};
use crate::shop::{FIXED, PATIENT, Shop};

/// Fewer places than there are calls. Seven calls may wait.
fn with_eight_places() -> String {
    format!("{PATIENT}max_connections = 8\n")
}

/// Calls that are made at once, each on a thread of its own.
fn purchases(koogate: &Arc<Koogate>, count: usize) -> Vec<JoinHandle<Answer>> {
    let call = |number: usize| {
        let koogate = Arc::clone(koogate);
        thread::spawn(move || koogate.call(&new_instance(&format!("CS-{number}"))))
    };
    (0..count).map(call).collect()
}

fn codes(calls: Vec<JoinHandle<Answer>>) -> Vec<String> {
    let mut codes: Vec<String> = calls.into_iter().map(|call| call.join().unwrap().code()).collect();
    codes.sort();
    codes
}

fn finished(calls: &[JoinHandle<Answer>]) -> usize {
    calls.iter().filter(|call| call.is_finished()).count()
}

#[test]
fn while_the_disk_stands_still_calls_beyond_those_that_may_wait_are_told_to_come_again() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &with_eight_places(), FIXED);
    let koogate = Arc::new(scratch.serve());
    let bought = koogate.call(&new_instance("CS-FROZEN"));
    let freeze = status_change(bought.json()["instanceId"].as_str().unwrap(), "FREEZE");

    let disk = rusqlite::Connection::open(scratch.path("koogate.db")).unwrap();
    disk.busy_timeout(PATIENCE).unwrap();
    disk.execute_batch("BEGIN IMMEDIATE").unwrap();
    let calls = purchases(&koogate, 12);
    eventually("calls beyond those that may wait are refused", || finished(&calls) == 5);
    // All who may wait do. The next one finds a place, and is not kept.
    let refused = koogate.call(&freeze);
    assert_eq!(refused.code(), "000005", "{}", text(&refused.body));
    assert_eq!(finished(&calls), 5, "they wait on");
    disk.execute_batch("ROLLBACK").unwrap();

    assert_eq!(codes(calls), [&["000000"; 7][..], &["000005"; 5]].concat(), "{}", koogate.log_text());
    assert_eq!(koogate.call(&freeze).code(), "000000");
    assert_eq!(scratch.instance(bought.json()["instanceId"].as_str().unwrap())["status"], "frozen");
}

#[test]
fn while_the_application_hangs_a_freeze_finds_a_place() {
    let gate = Gate::default();
    let passing = gate.clone();
    let application = Application::start(move |event: &Value| {
        if event["event"] == "instance.create" && event["order"]["orderId"] != "CS-FROZEN" {
            passing.pass();
        }
        (200, ready_answer(event))
    });
    let shop = Shop::with(application, &with_eight_places(), "");
    let koogate = Arc::new(shop.koogate);
    let bought = koogate.call(&new_instance("CS-FROZEN"));
    let id = bought.json()["instanceId"].as_str().unwrap().to_owned();

    let calls = purchases(&koogate, 12);
    eventually("calls beyond those that may wait are answered provisionally", || finished(&calls) == 5);
    assert_eq!(koogate.call(&status_change(&id, "FREEZE")).code(), "000000");
    assert_eq!(koogate.call(&query(&id)).code(), "000000");
    assert_eq!(finished(&calls), 5, "they wait on");
    gate.open();
    assert_eq!(codes(calls), [&["000000"; 7][..], &["000004"; 5]].concat(), "{}", koogate.log_text());
}

/// A client that comes from this address.
fn from(host: [u8; 4], house: &House) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
    socket.connect(&house.address().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::over(stream)
}

#[test]
fn a_crowd_of_one_host_keeps_no_other_host_out() {
    alone("overload::a_crowd_of_one_host_keeps_no_other_host_out", || {
        // Nobody ever has to make room because he has waited too long.
        let house = House::open(settings(|settings| {
            settings.max_connections = 8;
            settings.evict_after = Duration::from_secs(3600);
        }));
        // More than have a place or may wait for one.
        let crowd: Vec<Client> = (0..400).map(|_| from([127, 0, 0, 2], &house)).collect();
        eventually("all places are taken", || house.door.counters().now().open == 8);
        for other in 3..40 {
            let mut client = from([127, 0, 0, other], &house);
            client.send(get("/quiet"));
            assert_eq!(client.answer().status, 200);
        }
        assert_eq!(house.door.counters().now().panics, 0);
        drop(crowd);
        house.becomes_empty();
    });
}

#[test]
fn a_host_from_which_a_genuine_call_has_come_goes_before_all_strangers() {
    // Nobody ever has to make room because he has waited too long.
    let house = House::open(settings(|settings| {
        settings.max_connections = 8;
        settings.evict_after = Duration::from_secs(3600);
    }));
    let friend = [127, 0, 1, 1];
    let is_served = || {
        let mut client = from(friend, &house);
        client.send(get("/friend"));
        assert_eq!(client.answer().text(), "GET /friend ");
        client
    };
    drop(is_served());
    // One connection of each of many hosts: none of them has more than its share.
    let _crowd: Vec<Client> = (1..100).map(|host| from([127, 0, 2, host], &house)).collect();
    eventually("all places are taken", || house.door.counters().now().open == 8);
    // All places but one, which is left to strangers.
    let kept: Vec<Client> = (0..7).map(|_| is_served()).collect();
    for mut client in kept {
        client.send(get("/quiet"));
        assert_eq!(client.answer().status, 200, "and no stranger takes its place");
    }
}
