//! Closing the door: what has begun is finished, what waits is sent away, and nothing outlives it.

use std::{net::TcpStream, thread, time::Duration};

use koogate::http::DoorSettings;

use crate::door_client::{House, PATIENCE, alone, descriptors, eventually, get, post, process_figure};

fn house() -> House {
    House::open(DoorSettings::default())
}

#[test]
fn a_request_in_flight_is_answered_and_idle_connections_end_at_once() {
    let House { door, echo } = house();
    let house = House { door, echo: echo.clone() };
    let mut idle = house.send(get("/"));
    idle.answer();
    let mut working = house.send(get("/wait"));
    let mut arriving = house.send("POST /arriving HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
    eventually("one is with the handler", || echo.seen().len() == 2);
    eventually("all three are accepted", || house.door.counters().now().open == 3);
    let address = house.address();
    let closing = thread::spawn(move || house.door.close(PATIENCE));
    assert!(idle.is_ended());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    arriving.send("dy");
    let arrived = arriving.answer();
    assert_eq!((arrived.text().as_str(), arrived.header("Connection")), ("POST /arriving body", Some("close")));
    assert!(!closing.is_finished());
    echo.open_gate();
    let answer = working.answer();
    assert_eq!((answer.text().as_str(), answer.header("Connection")), ("GET /wait ", Some("close")));
    assert!(working.is_ended());
    assert_eq!(closing.join().unwrap(), 0);
}

#[test]
fn requests_already_in_the_socket_are_answered() {
    for _ in 0..50 {
        let house = house();
        let mut client = house.connect();
        eventually("accepted", || house.door.counters().now().open == 1);
        client.send(post("/", "just in time"));
        assert_eq!(house.door.close(PATIENCE), 0);
        assert_eq!(client.answer().text(), "POST / just in time");
        assert!(client.is_ended());
    }
}

#[test]
fn a_handler_that_hangs_does_not_keep_the_door_from_closing() {
    let house = house();
    let mut hanging = house.send(get("/wait"));
    let mut slow = house.send("GET / HT");
    eventually("one is with the handler", || house.echo.seen().len() == 1);
    assert_eq!(house.door.close(Duration::from_millis(50)), 1);
    assert!(hanging.is_ended() && slow.is_ended());
    house.echo.open_gate();
}

#[test]
fn closing_leaves_no_thread_and_no_descriptor() {
    alone("door_close::closing_leaves_no_thread_and_no_descriptor", || {
        let before = (process_figure("Threads"), descriptors());
        for _ in 0..20 {
            let house = house();
            let mut clients: Vec<_> = (0..10).map(|_| house.send(get("/"))).collect();
            clients.iter_mut().for_each(|client| assert_eq!(client.answer().status, 200));
            assert_eq!(house.door.close(PATIENCE), 0);
        }
        assert_eq!((process_figure("Threads"), descriptors()), before);
    });
}

#[test]
fn a_dropped_door_is_closed() {
    let house = house();
    let address = house.address();
    let mut client = house.connect();
    drop(house);
    assert!(client.is_ended());
    assert!(TcpStream::connect(address).is_err());
}
