//! Closing a door that speaks TLS: what has begun is answered, even if not a byte of it can be read yet.

use std::io::{Read, Write};
use std::thread;

use super::door::house;
use super::peer::{Authority, client, hello, secure, tcp};
use crate::door_client::{Client, House, PATIENCE, eventually, get, post};

#[test]
fn a_request_in_flight_is_answered_and_what_is_idle_ends_at_once() {
    let authority = Authority::new();
    let House { door, echo } = house(&authority);
    let house = House { door, echo: echo.clone() };
    let mut idle = secure(house.address(), &authority.usual());
    let mut working = client(house.address(), &authority.usual());
    working.send(get("/wait"));
    let mut shaking = tcp(house.address());
    let hello = hello(&authority.usual());
    shaking.write_all(&hello[..hello.len() / 2]).unwrap();
    eventually("one is with the handler", || echo.seen().len() == 1);
    eventually("all are accepted", || house.door.counters().now().open == 3);
    let closing = thread::spawn(move || house.door.close(PATIENCE));
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0, "told by close_notify");
    assert_eq!(shaking.read(&mut [0; 8]).unwrap(), 0);
    assert!(!closing.is_finished());
    echo.open_gate();
    let answer = working.answer();
    assert_eq!((answer.text().as_str(), answer.header("Connection")), ("GET /wait ", Some("close")));
    assert!(working.is_ended());
    assert_eq!(closing.join().unwrap(), 0);
}

#[test]
fn half_a_record_is_the_beginning_of_a_request() {
    let authority = Authority::new();
    let house = house(&authority);
    let mut stream = secure(house.address(), &authority.usual());
    stream.conn.writer().write_all(post("/", "in two halves").as_bytes()).unwrap();
    let mut record = Vec::new();
    stream.conn.write_tls(&mut record).unwrap();
    let (first, second) = record.split_at(record.len() / 2);
    stream.sock.write_all(first).unwrap();
    eventually("it is there", || house.door.counters().now().open == 1);
    let closing = thread::spawn(move || house.door.close(PATIENCE));
    eventually("the door closes", || std::net::TcpStream::connect(stream.sock.peer_addr().unwrap()).is_err());
    stream.sock.write_all(second).unwrap();
    let mut client = Client::over(stream);
    assert_eq!(client.answer().text(), "POST / in two halves");
    assert!(client.is_ended());
    assert_eq!(closing.join().unwrap(), 0);
}

#[test]
fn requests_that_came_with_the_end_of_the_handshake_are_answered() {
    let authority = Authority::new();
    for _ in 0..20 {
        let house = house(&authority);
        let mut client = client(house.address(), &authority.usual());
        client.send(post("/", "just in time"));
        assert_eq!(house.door.close(PATIENCE), 0);
        assert_eq!(client.answer().text(), "POST / just in time");
        assert!(client.is_ended());
    }
}
