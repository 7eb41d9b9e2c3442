//! What the mock does wrong on purpose.

use std::time::Duration;

use super::usage::{mock, push, record};
use super::*;
use crate::harness::Gate;

const MOCKED: &str = "MOCKONDEMAND";

#[test]
fn a_lost_reply_does_not_undo_the_call() {
    let mock = mock();
    let client = Client::new(&mock);
    mock.next(Route::UsageData, 1, Behaviour::Close);
    for behaviour in [Behaviour::LoseReply, Behaviour::CutHead, Behaviour::CutBody] {
        mock.next(Route::UsageData, 1, behaviour);
    }
    mock.next(Route::UsageData, 1, Behaviour::Despite(Reply::html(504)));
    let records = [record("sn-1", 1)];
    push(&client, &records).unwrap_err();
    assert_eq!(mock.records(), []);
    for arrivals in 1..=3 {
        push(&client, &records).unwrap_err();
        assert_eq!(mock.records()[0].arrivals, arrivals);
    }
    assert_eq!(push(&client, &records).unwrap().status, 504);
    assert_eq!(said(push(&client, &records)).0, 200);
    let [record] = mock.records().try_into().unwrap();
    assert_eq!((record.arrivals, record.taken, mock.count(Route::UsageData)), (5, true, 6));
    assert_eq!(mock.billed(record.record["instance_id"].as_str().unwrap()), 15_000);
}

#[test]
fn other_answers_come_as_often_as_told() {
    let mock = KooGallery::start();
    let client = Client::new(&mock);
    let answers = [
        (Reply::throttled_by_gateway(), 429),
        (Reply::throttled(), 406),
        (Reply::code(500, "MKT.0999"), 500),
        (Reply::html(502), 502),
        (Reply::broken_json(), 200),
        (Reply::redirect(&mock.endpoint()), 302),
    ];
    for (reply, status) in answers {
        mock.next(Route::OrderQuery, 2, Behaviour::Instead(reply));
        for _ in 0..2 {
            assert_eq!(client.order(MOCKED).unwrap().status, status);
        }
    }
    mock.next(Route::OrderQuery, 1, Behaviour::OtherEnvelope);
    let other = client.order(MOCKED).unwrap().json();
    assert_eq!((&other["error_code"], &other["resultCode"]), (&json!("MKT.0000"), &Value::Null));
    assert_eq!(client.order(MOCKED).unwrap().json()["resultCode"], "MKT.0000");
}

#[test]
fn a_closure_decides_by_number_and_request() {
    let mock = KooGallery::start();
    let client = Client::new(&mock);
    mock.decide(Route::OrderQuery, |number, call| match (number, call.request.query[0].1.as_str()) {
        (1, _) | (_, "CS1") => Behaviour::Instead(Reply::html(503)),
        _ => Behaviour::Normal,
    });
    let status = |order: &str| client.order(order).unwrap().status;
    assert_eq!([status(MOCKED), status(MOCKED), status("CS1"), status(MOCKED)], [503, 200, 503, 200]);
    mock.always(Route::OrderQuery, Behaviour::Normal);
    assert_eq!(status("CS1"), 401);
}

#[test]
fn a_call_hangs_until_it_is_let_go() {
    let mock = mock();
    let (before, behind) = (Gate::default(), Gate::default());
    mock.next(Route::UsageData, 1, Behaviour::Hang(before.clone()));
    mock.next(Route::UsageData, 1, Behaviour::HoldReply(behind.clone()));
    for (number, gate, is_taken) in [(1, before, false), (2, behind, true)] {
        let sn = format!("sn-{number}");
        std::thread::scope(|scope| {
            let pushed = scope.spawn(|| push(&Client::new(&mock), &[record(&sn, number)]));
            mock.wait_for(Route::UsageData, usize::try_from(number).unwrap());
            let taken = mock.records().iter().any(|record| record.metering_sn.as_ref() == Some(&sn));
            assert_eq!(taken, is_taken);
            gate.open();
            assert_eq!(said(pushed.join().unwrap()).0, 200);
        });
    }
    // One that is never let go ends with the mock.
    mock.always(Route::OrderQuery, Behaviour::Hang(Gate::default()));
    let address = mock.door.address;
    let hanging = std::thread::spawn(move || send(address, "GET", &format!("{GLOBAL}/v1/order/query"), &[], b""));
    mock.wait_for(Route::OrderQuery, 1);
    drop(mock);
    hanging.join().unwrap().unwrap_err();
}

#[test]
fn a_reply_may_be_huge_endless_or_slow() {
    use std::io::{Read, Write};
    let mock = KooGallery::start();
    let client = Client::new(&mock);
    mock.next(Route::OrderQuery, 1, Behaviour::Flood(20 << 20));
    let huge = client.order(MOCKED).unwrap();
    assert_eq!((huge.body.len(), outcome(&huge).0), (20 << 20, 200));
    mock.next(Route::OrderQuery, 1, Behaviour::Drip(Duration::from_micros(10)));
    assert_eq!(client.order(MOCKED).unwrap().status, 200);

    mock.next(Route::OrderQuery, 1, Behaviour::Endless);
    let mut stream = std::net::TcpStream::connect(mock.door.address).unwrap();
    write!(stream, "GET {GLOBAL}/v1/order/query HTTP/1.1\r\n\r\n").unwrap();
    let mut much = vec![0; 30 << 20];
    stream.read_exact(&mut much).unwrap();
    assert!(much.ends_with(b"    "));
}

#[test]
fn it_may_be_down_or_turn_clients_away() {
    let mock = KooGallery::down();
    let client = Client::new(&mock);
    // A connection that the system had taken when the door went down is reset instead.
    let refused = |answer: std::io::Result<Answer>| {
        use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
        matches!(answer.unwrap_err().kind(), ConnectionRefused | ConnectionReset)
    };
    assert!(refused(client.order(MOCKED)));
    mock.come_up();
    assert_eq!(said(client.order(MOCKED)).0, 200);
    mock.go_down();
    assert!(refused(client.order(MOCKED)));
    mock.come_up();
    mock.turn_away(1);
    client.order(MOCKED).unwrap_err();
    assert_eq!(said(client.order(MOCKED)).0, 200);
    assert_eq!(mock.count(Route::OrderQuery), 2);
}

#[test]
fn a_connection_serves_several_calls() {
    use std::io::{BufRead, BufReader, Write};
    let mock = KooGallery::start();
    let mut stream = std::net::TcpStream::connect(mock.door.address).unwrap();
    let post = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(post.repeat(2).as_bytes()).unwrap();
    mock.wait_for(Route::Unknown, 2);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert_eq!(lines.filter(|line| line.contains("HTTP/1.1 404")).count(), 2);
    assert!(mock.calls().iter().all(|call| call.request.body == b"{}"));
}
