//! Abuse without authentication: each is answered or ended as HTTP demands, a healthy client is served meanwhile, and
//! nothing stays behind.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

use koogate::http::DoorSettings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::door_client::{Client, House, alone, descriptors, eventually, get, post, process_figure, settings};

fn house() -> House {
    House::open(DoorSettings::default())
}

/// A head that promises a body.
fn promise(length: u64) -> String {
    format!("POST /promised HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

fn nothing_was_handled(house: &House) {
    let strange: Vec<_> = house.echo.seen().into_iter().filter(|(target, _)| target != "/healthy").collect();
    assert_eq!(strange, []);
}

#[test]
fn a_huge_content_length_is_refused_before_any_memory_is_taken() {
    alone("door_abuse::a_huge_content_length_is_refused_before_any_memory_is_taken", || {
        let house = house();
        house.serves_a_healthy_client();
        let before = process_figure("VmRSS");
        for length in [1_000_000_000_000_000, u64::MAX, 10 * 1024 * 1024 + 1] {
            house.send(promise(length)).is_refused(413);
        }
        house.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n").is_refused(413);
        house.serves_a_healthy_client();
        nothing_was_handled(&house);
        assert!(process_figure("VmRSS") < before + 4096);
    });
}

#[test]
fn a_promised_body_that_never_comes_takes_no_memory_either() {
    alone("door_abuse::a_promised_body_that_never_comes_takes_no_memory_either", || {
        let house = house();
        house.serves_a_healthy_client();
        let before = process_figure("VmRSS");
        let clients: Vec<Client> = (0..200).map(|_| house.send(promise(10 << 20))).collect();
        house.serves_a_healthy_client();
        // 200 threads and their buffers, not 2 GB; debug builds included.
        assert!(process_figure("VmRSS") < before + 40 * 1024, "{before} -> {}", process_figure("VmRSS"));
        drop(clients);
        house.becomes_empty();
        nothing_was_handled(&house);
    });
}

#[test]
fn unknown_http_versions_leave_neither_threads_nor_descriptors() {
    alone("door_abuse::unknown_http_versions_leave_neither_threads_nor_descriptors", || {
        let house = house();
        house.serves_a_healthy_client();
        house.becomes_empty();
        let (threads, files) = (process_figure("Threads"), descriptors());
        for _ in 0..200 {
            house.send("GET / HTTP/2.0\r\nHost: a\r\n\r\n").is_refused(505);
            house.becomes_empty();
        }
        house.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").is_refused(505);
        house.becomes_empty();
        house.serves_a_healthy_client();
        house.becomes_empty();
        assert_eq!((process_figure("Threads"), descriptors()), (threads, files));
    });
}

#[test]
fn a_lack_of_descriptors_does_not_end_the_accept_loop() {
    alone("door_abuse::a_lack_of_descriptors_does_not_end_the_accept_loop", || {
        let house = house();
        house.serves_a_healthy_client();
        house.becomes_empty();
        let counters = house.door.counters();
        let roomy = getrlimit(Resource::Nofile);
        let connected: Vec<Client> = (0..4).map(|_| house.connect()).collect();
        eventually("four are open", || counters.now().open == 4);
        // One more descriptor is allowed: the client's own.
        let limit = u64::try_from(descriptors()).unwrap();
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..roomy }).unwrap();
        let mut starved = house.connect();
        starved.send(get("/starved"));
        eventually("accept has failed", || counters.now().accept_errors > 0);
        // An idle connection was given up for it.
        assert_eq!(starved.answer().text(), "GET /starved ");
        setrlimit(Resource::Nofile, roomy).unwrap();
        house.serves_a_healthy_client();
        drop(connected);
    });
}

#[test]
fn slow_bodies_do_not_keep_a_healthy_client_waiting() {
    let house = House::open(settings(|settings| settings.max_connections = 8));
    let mut slow: Vec<Client> = (0..20).map(|_| house.send(promise(2000) + "x")).collect();
    for _ in 0..5 {
        house.serves_a_healthy_client();
    }
    assert!(slow[0].is_ended(), "the one that waited longest made room");
    nothing_was_handled(&house);
}

#[test]
fn slow_heads_do_not_keep_a_healthy_client_waiting() {
    let house = House::open(settings(|settings| settings.max_connections = 8));
    let _slow: Vec<Client> = (0..20).map(|_| house.send("GET / HTTP/1.1\r\nX: ")).collect();
    let _silent: Vec<Client> = (0..20).map(|_| house.connect()).collect();
    for _ in 0..5 {
        house.serves_a_healthy_client();
    }
}

#[test]
fn clients_that_do_not_read_their_answers_do_not_keep_a_healthy_client_waiting() {
    let house = House::open(settings(|settings| settings.max_connections = 3));
    let _deaf: Vec<Client> = (0..6).map(|_| house.send(get("/large?20000000"))).collect();
    for _ in 0..3 {
        house.serves_a_healthy_client();
    }
}

#[test]
fn early_413s_with_the_socket_kept_open_hold_no_thread() {
    let house = House::open(settings(|settings| settings.max_connections = 4));
    let mut stubborn: Vec<Client> = (0..16).map(|_| house.send(promise(1 << 40))).collect();
    house.serves_a_healthy_client();
    for client in &mut stubborn {
        client.is_refused(413);
    }
    house.becomes_empty();
    house.serves_a_healthy_client();
}

#[test]
fn a_client_that_keeps_sending_still_sees_the_413() {
    let house = house();
    let mut client = house.send(promise(1 << 40));
    client.send("x".repeat(48 << 10));
    client.is_refused(413);
    house.becomes_empty();
}

#[test]
fn a_head_that_does_not_end_in_time_is_answered_408() {
    let house = House::open(settings(|settings| settings.head_within = Duration::from_millis(100)));
    let mut stopped = house.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let trickling = trickle(&house, "GET / HTTP/1.1\r\nX: ");
    stopped.is_refused(408);
    trickling.join().unwrap();
    house.serves_a_healthy_client();
    house.becomes_empty();
}

#[test]
fn a_body_that_does_not_end_in_time_is_answered_408_and_never_handled() {
    let house = House::open(settings(|settings| settings.body_within = Duration::from_millis(100)));
    let mut stopped = house.send(promise(100) + "x");
    let trickling = trickle(&house, &promise(1 << 20));
    stopped.is_refused(408);
    trickling.join().unwrap();
    house.serves_a_healthy_client();
    house.becomes_empty();
    nothing_was_handled(&house);
}

/// A client that sends a byte now and then, until it is told 408 or cut: a deadline is not a timeout per read.
fn trickle(house: &House, beginning: &str) -> thread::JoinHandle<()> {
    let client = house.send(beginning);
    thread::spawn(move || {
        let mut stream = client.stream();
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        for _ in 0..1000 {
            if stream.write_all(b"x").is_err() {
                return;
            }
            match stream.read(&mut [0; 512]) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                _ => return,
            }
        }
        panic!("a trickle was never cut");
    })
}

#[test]
fn a_client_that_does_not_read_its_answers_is_cut() {
    let house = House::open(settings(|settings| settings.write_within = Duration::from_millis(100)));
    let mut deaf = house.send(get("/large?50000000"));
    house.serves_a_healthy_client();
    house.becomes_empty();
    let mut read = Vec::new();
    let _ = Read::read_to_end(&mut deaf.stream(), &mut read);
    assert!(read.len() < 50_000_000);
    assert!(deaf.is_ended());
}

#[test]
fn endless_headers_are_refused_at_the_limit() {
    let house = house();
    let mut many = house.send("GET / HTTP/1.1\r\nHost: a\r\n".to_owned() + &"X: y\r\n".repeat(64) + "\r\n");
    many.is_refused(431);
    let client = house.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let mut sent = 0;
    while client.stream().write_all(&b"X: yyyyyyyyyyyyyyyy\r\n".repeat(50)).is_ok() {
        sent += 1;
        assert!(sent < 50_000, "never refused");
    }
    house.becomes_empty();
    assert_eq!(house.echo.refused().last().unwrap().1, "a head larger than allowed");
    house.serves_a_healthy_client();
    nothing_was_handled(&house);
}

#[test]
fn half_a_million_pipelined_requests_take_no_memory() {
    alone("door_abuse::half_a_million_pipelined_requests_take_no_memory", || {
        const REQUESTS: usize = 500_000;
        let house = house();
        house.serves_a_healthy_client();
        let before = process_figure("VmRSS");
        let mut client = house.connect();
        let mut sender = client.stream().try_clone().unwrap();
        let sending = thread::spawn(move || {
            let batch = get("/quiet").repeat(100);
            for _ in 0..REQUESTS / 100 {
                sender.write_all(batch.as_bytes()).unwrap();
            }
        });
        let mut most = 0;
        for round in 0..REQUESTS {
            if round % (REQUESTS / 5) == 0 {
                // The reader pauses, and the door must not make up for it with memory.
                house.serves_a_healthy_client();
                most = most.max(process_figure("VmRSS"));
            }
            assert_eq!(client.answer().status, 200);
        }
        sending.join().unwrap();
        assert!(most < before + 8 * 1024, "{before} -> {most} KiB");
    });
}

#[test]
fn a_truncated_body_never_reaches_the_handler() {
    let house = house();
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
    for (request, status) in [(promise(100) + "only this", 400), (chunked.to_owned(), 501)] {
        let mut client = house.send(request);
        client.finish();
        client.is_refused(status);
    }
    let gone = house.send(promise(100) + "only this");
    gone.stream().shutdown(Shutdown::Both).unwrap();
    drop(gone);
    house.becomes_empty();
    house.serves_a_healthy_client();
    nothing_was_handled(&house);
}

#[test]
fn large_bodies_share_a_budget_and_small_ones_do_not_need_it() {
    let house = House::open(settings(|settings| settings.body_memory = 300 << 10));
    let hog = house.send(promise(1 << 20) + &"x".repeat(200 << 10));
    let second = house.send(promise(1 << 20));
    // It may be cut while it still sends.
    let _ = second.stream().write_all(&vec![b'x'; 300 << 10]);
    eventually("the budget is used up", || {
        house.echo.refused().iter().any(|(_, reason)| *reason == "the memory for large bodies is used up")
    });
    house.serves_a_healthy_client();
    drop((hog, second));
    house.becomes_empty();
    let body = "x".repeat(200 << 10);
    assert_eq!(house.send(post("/quiet", &body)).answer().body.len(), body.len());
    nothing_was_handled(&house);
}

#[test]
fn a_thousand_connections_that_come_and_go_leave_nothing_behind() {
    alone("door_abuse::a_thousand_connections_that_come_and_go_leave_nothing_behind", || {
        let house = House::open(settings(|settings| settings.max_connections = 16));
        house.serves_a_healthy_client();
        house.becomes_empty();
        let files = descriptors();
        for round in 0..1000 {
            let mut client = house.connect();
            match round % 4 {
                0 => client.send("GET / HT"),
                1 => client.send(promise(50) + "x"),
                2 => client.send(get("/large?200000")),
                _ => {}
            }
            drop(client);
        }
        house.serves_a_healthy_client();
        house.becomes_empty();
        assert_eq!(descriptors(), files);
        assert!(house.door.counters().now().threads <= 16);
        assert_eq!(house.door.counters().now().panics, 0);
    });
}

#[test]
fn a_crowd_that_has_gone_keeps_nobody_out() {
    let house = House::open(settings(|settings| settings.max_connections = 2));
    let mut inside: Vec<Client> = (0..2).map(|_| house.send(get("/wait"))).collect();
    eventually("all places are taken", || house.echo.seen().len() == 2);
    for round in 0..1000 {
        let mut client = house.connect();
        if round % 2 == 0 {
            client.send(get("/gone"));
        }
    }
    let mut healthy = house.send(get("/here"));
    eventually("those that were too many are sent away", || house.door.counters().now().evicted >= 700);
    house.echo.open_gate();
    assert_eq!(healthy.answer().text(), "GET /here ");
    for client in &mut inside {
        assert_eq!(client.answer().text(), "GET /wait ");
    }
}
