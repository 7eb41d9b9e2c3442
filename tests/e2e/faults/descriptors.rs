//! Descriptors, threads and memory that run out: whoever is connected is answered, and the rest as soon as there are some.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::{FIXED, SERVER, Shim, shop};
use crate::harness::{KEY, Koogate, PATIENCE, Scratch, Signed, eventually, new_instance};

/// Calls over a connection that stays open; the answer's body.
fn call_over(stream: &mut TcpStream, order: &str) -> String {
    let body = new_instance(order).to_string();
    let query = Signed::now(KEY, body.as_bytes()).query();
    write!(stream, "POST /saasproduce?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the connection was closed");
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn connect(koogate: &Koogate) -> TcpStream {
    let stream = TcpStream::connect(koogate.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_door_that_cannot_accept_serves_who_is_inside_says_what_to_raise_and_opens_again_by_itself() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], SERVER, FIXED);
    let shim = Shim::new();
    let koogate = shim.serve(&scratch);
    for fault in [
        "accept socket 1+ EMFILE",
        "accept socket 1+ ENFILE",
        "accept socket 1+ ENOMEM",
        "accept socket 1+ ECONNABORTED",
    ] {
        let mut inside = connect(&koogate);
        let order = fault.replace([' ', '+'], "");
        assert!(call_over(&mut inside, &order).contains("000000"));
        shim.rules(fault);
        let outside = std::thread::spawn({
            let (address, order) = (koogate.address, order.clone());
            move || {
                let body = new_instance(&order).to_string();
                let query = Signed::now(KEY, body.as_bytes()).query();
                crate::harness::send(address, "POST", &format!("/saasproduce?{query}"), &[], body.as_bytes())
            }
        });
        eventually(|| (shim.hits().len() >= 3).then_some(()), || format!("{fault}: {:?}", shim.hits()));
        // Unless its place was given to the one outside: it waits for its client, who may come back.
        if fault.contains("ECONNABORTED") {
            assert!(call_over(&mut inside, &order).contains("000000"));
        }
        shim.rules("");
        assert_eq!(outside.join().unwrap().unwrap().code(), "000000", "{fault}\n{}", koogate.log_text());
    }
    let log = koogate.stop();
    let told: Vec<_> = log.lines().filter(|line| line.contains("ALERT")).collect();
    assert!(told.len() == 1 && told[0].contains("raise LimitNOFILE"), "{told:#?}");
}

#[test]
fn at_the_limit_of_descriptors_calls_are_answered_and_afterwards_everything_works() {
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &(SERVER.to_owned() + "[database]\nsnapshot_every = \"1s\"\n"), FIXED);
    let mut command = Command::new("sh");
    command.current_dir(scratch.path(".")).args([
        "-c",
        "ulimit -n 48; exec \"$0\" serve",
        env!("CARGO_BIN_EXE_koogate"),
    ]);
    let koogate = Koogate::start(command, true).unwrap_or_else(|ended| panic!("{}", ended.log));
    koogate.wait_for_log("ALERT 48 files and sockets may be open at once and no more");
    koogate.wait_for_log("raise LimitNOFILE");
    // Opened, kept and silent: more than there can be.
    let idle: Vec<TcpStream> = (0..80).map(|_| connect(&koogate)).collect();
    for number in 0..20 {
        assert_eq!(koogate.call_until_success(&new_instance(&format!("CS{number}"))).status, 200);
    }
    drop(idle);
    let before = std::fs::read(scratch.path("koogate.snapshot.db")).unwrap_or_default();
    koogate.call_until_success(&new_instance("CS-after"));
    eventually(
        || (std::fs::read(scratch.path("koogate.snapshot.db")).unwrap_or_default() != before).then_some(()),
        || koogate.log_text(),
    );
    koogate.stop();
    scratch.run_ok(&["verify", "koogate.snapshot.db"]);
}

#[test]
fn a_soft_limit_below_what_the_configuration_needs_is_raised() {
    let scratch = Scratch::new("");
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 400\n";
    scratch.configure(&[KEY], server, FIXED);
    let mut command = Command::new("sh");
    command.current_dir(scratch.path(".")).args([
        "-c",
        "ulimit -Sn 64; exec \"$0\" serve",
        env!("CARGO_BIN_EXE_koogate"),
    ]);
    let koogate = Koogate::start(command, false).unwrap_or_else(|ended| panic!("{}", ended.log));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", koogate.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!((464..4096).contains(&soft), "{line}");
    assert!(koogate.stop().contains("may be open at once now"));
}

#[test]
fn an_attempt_without_a_descriptor_or_a_door_without_a_thread_is_made_up_for() {
    let (application, scratch) = shop();
    let shim = Shim::new();
    let koogate = shim.serve(&scratch);
    shim.rules("socket socket 1+ EMFILE\nopen /koogate.db 1+ EMFILE\ncreate .tmp 1+ EMFILE\n");
    let code = koogate.call(&new_instance("CS1")).code();
    assert!(["000004", "000005"].contains(&code.as_str()), "{code}");
    eventually(|| (!shim.hits().is_empty()).then_some(()), || koogate.log_text());
    shim.rules("");
    koogate.call_until_success(&new_instance("CS1"));
    assert_eq!(application.events().len(), 1);
    // No thread for a new connection: it is dropped, and the next one is served.
    shim.rules("thread thread 1+ EAGAIN\n");
    let crowd: Vec<TcpStream> = (0..8).map(|_| connect(&koogate)).collect();
    eventually(|| (!shim.hits().is_empty()).then_some(()), || koogate.log_text());
    shim.rules("");
    drop(crowd);
    eventually(
        || koogate.try_call(KEY, &new_instance("CS2")).ok().filter(|answer| answer.code() == "000000"),
        || koogate.log_text(),
    );
    let log = koogate.stop();
    assert!(!log.contains("panicked"), "{log}");
}
