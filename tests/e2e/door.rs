//! The door serves what HTTP/1.1 allows: one request after another, whole, in order, in time.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use koogate::http::DoorSettings;

use crate::door_client::{Client, House, PATIENCE, eventually, get, post, settings};

fn house() -> House {
    House::open(DoorSettings::default())
}

#[test]
fn a_connection_carries_many_requests() {
    let house = house();
    let mut client = house.connect();
    for round in 0..100 {
        client.send(post("/a?b", &round.to_string()));
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, format!("POST /a?b {round}")));
        assert_eq!(answer.header("Connection"), None);
    }
    assert_eq!(house.door.counters().now().accepted, 1);
}

#[test]
fn headers_of_the_answer_are_spelled_as_the_handler_spells_them() {
    let answer = house().send(get("/")).answer();
    assert_eq!(answer.header("Body-Sign"), Some("sign"));
    assert_eq!(answer.header("Server"), Some("koogate"));
    assert!(answer.header("Date").is_some());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let house = house();
    let mut client = house.send((0..1000).map(|n| post("/", &n.to_string())).collect::<String>());
    client.finish();
    for n in 0..1000 {
        assert_eq!(client.answer().text(), format!("POST / {n}"));
    }
    assert!(client.is_ended());
}

#[test]
fn a_request_may_arrive_byte_by_byte_after_an_empty_line() {
    let house = house();
    let mut client = house.connect();
    for byte in format!("\r\n{}", post("/slow", "body")).into_bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "POST /slow body");
}

#[test]
fn head_is_answered_without_a_body() {
    let house = house();
    let mut client = house.send("HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer_head();
    assert_eq!((answer.status, answer.header("Content-Length")), (200, Some("10")));
    client.send(get("/next"));
    assert_eq!(client.answer().text(), "GET /next ");
}

#[test]
fn http_1_0_and_connection_close_are_answered_and_ended() {
    let house = house();
    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"] {
        house.send(request).is_refused(200);
    }
}

#[test]
fn a_client_that_has_finished_sending_is_still_answered() {
    let house = house();
    let mut client = house.send(post("/", "last"));
    client.finish();
    assert_eq!(client.answer().text(), "POST / last");
    assert!(client.is_ended());
}

#[test]
fn a_client_that_expects_100_continue_is_invited() {
    let house = house();
    let mut client = house.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer_head().status, 100);
    client.send("body");
    assert_eq!(client.answer().text(), "POST / body");
    // Not when the body is there already, and not when it would be refused.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nhere");
    assert_eq!(client.answer().text(), "POST / here");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
    client.is_refused(413);
}

#[test]
fn a_body_of_exactly_the_limit_arrives_whole() {
    let house = House::open(settings(|settings| settings.max_body = 1 << 20));
    let body = "abcdefgh".repeat((1 << 20) / 8);
    let mut client = house.send(post("/quiet", &body));
    assert!(client.answer().body == body.as_bytes());
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", (1 << 20) + 1));
    client.is_refused(413);
}

#[test]
fn a_v1_call_with_32_kib_of_query_is_served() {
    let target = format!("/?{}", "q".repeat(32 << 10));
    assert_eq!(house().send(get(&target)).answer().text(), format!("GET {target} "));
}

#[test]
fn a_large_answer_arrives_whole_and_the_connection_goes_on() {
    let house = house();
    let mut client = house.send(get("/large?5000000"));
    assert_eq!(client.answer().body.len(), 5_000_000);
    client.send(get("/next"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_panic_of_the_handler_is_answered_500_and_the_connection_goes_on() {
    let house = house();
    let mut client = house.send(get("/panic"));
    assert_eq!(client.answer().status, 500);
    client.send(get("/next"));
    assert_eq!(client.answer().status, 200);
    assert_eq!(house.door.counters().now().panics, 1);
}

#[test]
fn a_reply_that_would_inject_a_header_becomes_a_500() {
    let answer = house().send(get("/broken")).answer();
    assert_eq!((answer.status, answer.header("X-Injected")), (500, None));
}

#[test]
fn answers_are_not_held_back_to_fill_a_segment() {
    let house = house();
    let mut client = house.connect();
    let body = "x".repeat(2048);
    let begun = Instant::now();
    for _ in 0..400 {
        client.send(post("/quiet", &body));
        client.answer();
    }
    // Without TCP_NODELAY each round takes 40 ms: 16 s.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_burst_of_fifty_connections_is_served_while_all_stay_open() {
    let house = house();
    let mut clients: Vec<Client> = (0..50).map(|_| house.connect()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    let counters = house.door.counters().now();
    assert_eq!((counters.open, counters.threads), (50, 50));
}

#[test]
fn threads_are_reused() {
    let house = house();
    for _ in 0..200 {
        house.send(get("/")).answer();
        house.becomes_empty();
    }
    let counters = house.door.counters().now();
    assert_eq!((counters.accepted, counters.threads), (200, 1));
}

#[test]
fn an_idle_connection_is_closed_without_a_word_and_the_door_goes_on() {
    let house = House::open(settings(|settings| settings.idle_within = Duration::from_millis(50)));
    let mut silent = house.connect();
    let mut served = house.send(get("/"));
    assert_eq!(served.answer().status, 200);
    assert!(silent.is_ended() && served.is_ended());
    house.serves_a_healthy_client();
    assert_eq!(house.echo.refused(), []);
}

#[test]
fn a_connection_used_often_enough_is_never_idle() {
    let house = House::open(settings(|settings| settings.idle_within = Duration::from_secs(1)));
    let mut client = house.connect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        client.send(get("/quiet"));
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn the_longest_waiting_connection_makes_room_for_a_new_one() {
    let house = House::open(settings(|settings| {
        settings.max_connections = 3;
        settings.evict_after = Duration::from_millis(1);
    }));
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..3 {
        let mut client = house.send(get("/"));
        client.answer();
        clients.push(client);
    }
    house.serves_a_healthy_client();
    assert!(clients[0].is_ended());
    for client in &mut clients[1..] {
        client.send(get("/still"));
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(house.door.counters().now().evicted, 1);
}

#[test]
fn a_request_with_the_handler_is_never_evicted_and_its_place_goes_to_the_next() {
    let house = House::open(settings(|settings| {
        settings.max_connections = 2;
        settings.evict_after = Duration::ZERO;
    }));
    let mut working = [house.send(get("/wait")), house.send(get("/wait"))];
    eventually("both are with the handler", || house.echo.seen().len() == 2);
    let mut waiting = house.send(get("/next"));
    let short = Some(Duration::from_millis(300));
    waiting.stream().set_read_timeout(short).unwrap();
    assert!(!waiting.is_ended(), "neither served nor refused");
    waiting.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    house.echo.open_gate();
    assert_eq!(waiting.answer().text(), "GET /next ");
    let closed = working.iter_mut().map(|client| client.answer()).filter(|answer| {
        assert_eq!(answer.text(), "GET /wait ");
        answer.header("Connection") == Some("close")
    });
    assert!(closed.count() <= 1, "one place was wanted");
}

#[test]
fn the_peer_and_a_fixed_reason_are_reported_for_each_refusal() {
    let house = house();
    house.send("GET / HTTP/1.1\r\n\r\n").is_refused(400);
    house.send("GET / HTTP/3.0\r\n\r\n").is_refused(505);
    let localhost = house.address().ip();
    assert_eq!(
        house.echo.refused(),
        [(localhost, "HTTP/1.1 without Host"), (localhost, "an HTTP version other than 1.0 and 1.1")]
    );
    assert_eq!(house.door.counters().now().refused, 2);
}

#[test]
fn a_door_on_an_address_in_use_says_which() {
    let house = house();
    let taken = settings(|settings| settings.listen = house.address());
    let Err(error) = koogate::http::Door::open(taken, house.echo.clone()) else { panic!("opened twice") };
    assert_eq!(error.to_string(), format!("cannot listen on {}", house.address()));
}

/// Not a test: requests per second over keep-alive connections, to be compared with earlier versions by hand.
/// `cargo test --release --test e2e -- --ignored --nocapture throughput`
#[test]
#[ignore = "a measurement"]
fn throughput_of_1_kib_posts() {
    let house = house();
    for connections in [8, 64] {
        let request = post("/quiet", &"x".repeat(1024));
        let begun = Instant::now();
        let duration = Duration::from_secs(4);
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                let (mut stream, request) = (std::net::TcpStream::connect(house.address()).unwrap(), request.clone());
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    let mut rounds = 0u64;
                    while begun.elapsed() < duration {
                        stream.write_all(request.as_bytes()).unwrap();
                        // The answer is sent in one write and is smaller than a segment of loopback.
                        assert!(std::io::Read::read(&mut stream, &mut buffer).unwrap() > 1024);
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let rounds: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        println!("{connections} connections: {:.0} requests/s", rounds as f64 / begun.elapsed().as_secs_f64());
    }
}
