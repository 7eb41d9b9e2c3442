//! Merchants' applications that hang, drip, flood, break off, redirect or talk nonsense: each is a failed attempt with its
//! reason, all at the same time, and the next attempt heals it. What is not tried here stands beside the transports
//! (`fulfilment::http`, `fulfilment::command`) and in `jobs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{KEY, Koogate, PATIENCE, Scratch, eventually, new_instance, ready_answer};

const JOBS: &str = "[server]\nlisten = \"127.0.0.1:0\"\nanswer_within = \"1s\"\n\
    [jobs]\nfirst_retry = \"50ms\"\nslowest_retry = \"100ms\"\n";

/// What an application does with the first attempt of an order, and what is said of it.
type Rough = (&'static str, fn(&mut TcpStream) -> std::io::Result<()>, &'static str);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// Repeats these bytes until the other side has had enough.
fn for_ever(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    loop {
        stream.write_all(bytes)?;
        std::thread::sleep(pause);
    }
}

fn answer(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(OK)?;
    write!(stream, "Content-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

const ROUGH: [Rough; 14] = [
    ("hangs", |stream| stream.read(&mut [0]).map(drop), "timed out"),
    (
        "drips-a-head",
        |stream| {
            stream.write_all(OK)?;
            for_ever(stream, b"X", Duration::from_millis(200))
        },
        "timed out",
    ),
    (
        "drips-a-body",
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            for_ever(stream, b" ", Duration::from_millis(200))
        },
        "timed out",
    ),
    (
        "flood-of-headers",
        |stream| {
            stream.write_all(OK)?;
            for_ever(stream, &[b"X: ".as_slice(), &[b'x'; 4000], b"\r\n"].concat(), Duration::ZERO)
        },
        "instance.create",
    ),
    (
        "flood-of-informations",
        |stream| for_ever(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n", Duration::ZERO),
        "instance.create",
    ),
    (
        "endless-body",
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            for_ever(stream, &[b' '; 65536], Duration::ZERO)
        },
        "longer than",
    ),
    (
        "endless-chunks",
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for_ever(stream, b"1\r\n \r\n", Duration::ZERO)
        },
        "instance.create",
    ),
    ("closes-before-the-head", |_| Ok(()), "closed the connection"),
    (
        "closes-mid-body",
        |stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":"),
        "instance.create",
    ),
    (
        "redirects",
        |stream| stream.write_all(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        "307",
    ),
    ("garbage", |stream| stream.write_all(&[0xff, 0, 13, 10, 13, 10]), "instance.create"),
    ("nested", |stream| answer(stream, &[b"{\"status\":".as_slice(), &[b'['; 50_000]].concat()), "instance.create"),
    ("no-utf-8", |stream| answer(stream, b"{\"status\":\"ready\xff\"}"), "instance.create"),
    (
        "a-huge-number",
        |stream| answer(stream, &[b"{\"status\":".as_slice(), &[b'9'; 60_000], b"}"].concat()),
        "instance.create",
    ),
];

/// An application that is rough with the first attempt of each order, and does the second.
fn rough_application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let event: Value = loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..count]);
        let body = request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| &request[at + 4..]);
        if let Some(event) = body.and_then(|body| serde_json::from_slice(body).ok()) {
            break event;
        }
    };
    let order = event["order"]["orderId"].as_str().unwrap();
    match ROUGH.iter().find(|(name, ..)| *name == order) {
        Some((_, behave, _)) if event["attempt"] == 1 => behave(&mut stream),
        _ => answer(&mut stream, ready_answer(&event).as_bytes()),
    }
}

/// Each order's first attempt has failed with its reason, and the second has done it.
fn check(koogate: Koogate, orders: impl Iterator<Item = (&'static str, &'static str)>) {
    for (order, reason) in orders {
        let answer = koogate.call_until_success(&new_instance(order));
        let id = answer.json()["instanceId"].as_str().unwrap().to_owned();
        let log = koogate.log_text();
        let about = |line: &&str| line.contains(&id) && line.contains("attempt 1 ");
        let said: Vec<_> = log.lines().filter(about).collect();
        assert!(said.iter().any(|line| line.contains(reason)), "{order}: {reason}: {said:#?}\n{log}");
    }
    let log = koogate.stop();
    assert!(!log.contains("panicked") && !log.contains("still run"), "{log}");
}

#[test]
fn every_rough_application_is_a_failed_attempt_and_delays_nobody_else() {
    let scratch = Scratch::new("");
    let address = rough_application();
    let product = format!("[[product]]\nfulfilment = \"http\"\nurl = \"http://{address}/\"\ntimeout = \"1s\"\n");
    scratch.configure(&[KEY], JOBS, &product);
    let koogate = scratch.serve();
    std::thread::scope(|scope| {
        for (order, ..) in ROUGH {
            let koogate = &koogate;
            scope.spawn(move || koogate.call(&new_instance(order)));
        }
    });
    // One that is well, between all of them.
    koogate.call_until_success(&new_instance("well"));
    check(koogate, ROUGH.iter().map(|(order, _, reason)| (*order, *reason)));
}

/// What a program does with its first attempt, as shell, and what is said of it.
const PROGRAMS: [(&str, &str, &str); 9] = [
    ("hangs-and-ignores", "trap '' TERM; while :; do sleep 1; done", "timed out"),
    ("drips", "while :; do printf ' '; sleep 0.2; done", "timed out"),
    ("floods", "cat /dev/zero", "longer than"),
    ("floods-the-log", "yes 'a line' >&2", "timed out"),
    ("exits-unread", "exec <&-; exit 3", "exit code 3"),
    ("kills-itself", "kill -9 $$", "signal 9"),
    ("no-utf-8", "printf '{\"status\":\"\\377\"}'", "instance.create"),
    ("nested", "printf '{\"status\":'; head -c 50000 /dev/zero | tr '\\0' '['", "instance.create"),
    ("a-tree", "for i in 1 2 3 4 5 6 7 8; do (sleep 60 & sleep 60) & done; sleep 60", "timed out"),
];

#[test]
fn every_rough_program_is_a_failed_attempt_and_delays_nobody_else() {
    let scratch = Scratch::new("");
    let cases: String =
        PROGRAMS.iter().map(|(order, shell, _)| format!("*'\"orderId\":\"{order}\"'*) {shell} ;;\n")).collect();
    let script = format!(
        "event=$(cat)\ncase \"$event\" in *'\"attempt\":1,'*) case \"$event\" in\n{cases}esac ;; esac\n\
         (setsid sleep 2 &)\n\
         echo '{{\"status\":\"ready\",\"access\":{{\"frontEndUrl\":\"https://app.example.com/\"}}}}'\n"
    );
    std::fs::write(scratch.path("hook.sh"), script).unwrap();
    let product = "[[product]]\nfulfilment = \"command\"\ncommand = [\"sh\", \"hook.sh\"]\ntimeout = \"1s\"\n";
    scratch.configure(&[KEY], JOBS, product);
    let koogate = scratch.serve();
    std::thread::scope(|scope| {
        for (order, ..) in PROGRAMS {
            let koogate = &koogate;
            scope.spawn(move || koogate.call(&new_instance(order)));
        }
    });
    // It leaves a grandchild of another session that keeps stdout open, and is done all the same.
    koogate.call_until_success(&new_instance("well"));
    check(koogate, PROGRAMS.iter().map(|(order, _, reason)| (*order, *reason)));
    // The whole tree is gone; what went to a session of its own ends by itself.
    let folder = scratch.path(".").canonicalize().unwrap();
    let at_home =
        |process: &std::fs::DirEntry| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder);
    let left = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(at_home)
            .map(|process| process.file_name())
            .collect::<Vec<_>>()
    };
    eventually(|| left().is_empty().then_some(()), || format!("{:?}", left()));
}
