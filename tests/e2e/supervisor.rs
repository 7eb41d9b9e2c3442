//! The process and its supervisor: what it tells (sd_notify), the watchdog inside, `/healthz`, `koogate healthcheck`, and
//! the unit in packaging/.

mod unit;

use std::net::{SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::harness::{KEY, Koogate, Scratch, eventually, new_instance, nonce, send, text};
use crate::shop::FIXED;
use crate::tls::peer::Authority;

/// The exit code of a process that ended because it did not answer any more.
const EXIT_UNHEALTHY: Option<i32> = Some(3);

/// What a server under a supervisor says.
struct Supervisor {
    name: String,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Supervisor {
    /// One that listens in the abstract namespace.
    fn start() -> Self {
        let name = format!("koogate-supervisor-{}", nonce());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&messages);
        // Ends with the tests.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                heard.lock().unwrap().push(text(&bytes[..length]));
            }
        });
        Self { name: format!("@{name}"), messages }
    }

    fn serve(&self, scratch: &Scratch, environment: &[(&str, &str)]) -> Koogate {
        let supervised = [("NOTIFY_SOCKET", self.name.as_str()), ("WATCHDOG_USEC", "180000000")];
        scratch.serve_with(&[&supervised, environment].concat())
    }

    fn heard(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    fn wait_for(&self, count: usize, part: &str) {
        eventually(
            || (self.heard().iter().filter(|message| message.contains(part)).count() >= count).then_some(()),
            || format!("not {count} times {part:?} in {:?}", self.heard()),
        );
    }
}

fn scratch(products: &str) -> Scratch {
    let scratch = Scratch::new(products);
    // A listener that is easily full, and calls that wait as long as they may.
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 8\nanswer_within = \"15s\"\n";
    scratch.configure(&[KEY], sections, products);
    scratch
}

// A pace is also the time that each part has to answer. On a busy machine a process may stand still for a tenth of a second,
// so the paces are as slow as these tests can bear.

fn health(address: SocketAddr) -> u16 {
    send(address, "GET", "/healthz", &[], b"").map_or(0, |answer| answer.status)
}

#[test]
fn the_supervisor_hears_when_it_is_ready_alive_reloading_and_stopping() {
    let (scratch, supervisor) = (scratch(FIXED), Supervisor::start());
    let koogate = supervisor.serve(&scratch, &[("KOOGATE_FAULT_PACE", "watchdog:500")]);
    supervisor.wait_for(3, "WATCHDOG=1");
    let heard = supervisor.heard();
    let ready = heard.iter().position(|message| message.starts_with("READY=1\n")).unwrap();
    assert!(heard[..ready].iter().all(|message| message.contains("STATUS=opening the database")), "{heard:?}");
    assert!(heard[ready].contains(&format!("STATUS=serving http://{}/saasproduce", koogate.address)), "{heard:?}");
    koogate.signal("HUP");
    supervisor.wait_for(2, "READY=1");
    let heard = supervisor.heard();
    let reloading = heard.iter().position(|message| message.starts_with("RELOADING=1\nMONOTONIC_USEC=")).unwrap();
    let ready_again = heard.iter().rposition(|message| message.starts_with("READY=1\n")).unwrap();
    assert!(ready < reloading && reloading < ready_again, "{heard:?}");
    koogate.stop();
    supervisor.wait_for(1, "STOPPING=1");
}

#[test]
fn a_writer_that_hangs_turns_the_health_to_503_and_ends_the_process() {
    let (scratch, supervisor) = (scratch(FIXED), Supervisor::start());
    let hangs = [("KOOGATE_FAULT_PACE", "watchdog:500"), ("KOOGATE_FAULT_DELAY", "commit:600000")];
    let mut koogate = supervisor.serve(&scratch, &hangs);
    let address = koogate.address;
    assert_eq!(health(address), 200);
    thread::scope(|scope| {
        // No answer, or one that asks for patience.
        scope.spawn(|| koogate.try_call(KEY, &new_instance("CS1")).map(|answer| answer.code()));
        eventually(|| (health(address) == 503).then_some(()), || koogate.log_text());
    });
    let alive = supervisor.heard().iter().filter(|message| message.contains("WATCHDOG=1")).count();
    assert_eq!(koogate.wait(), EXIT_UNHEALTHY, "{}", koogate.log_text());
    koogate.wait_for_log("ALERT the writer has not answered for too long; ending");
    supervisor.wait_for(1, "STATUS=the writer does not answer; if that goes on, the process ends");
    supervisor.wait_for(1, "STATUS=the writer has not answered for too long; ending");
    let alive_at_the_end = supervisor.heard().iter().filter(|message| message.contains("WATCHDOG=1")).count();
    assert_eq!(alive_at_the_end, alive, "an ill process does not say that it is alive: {:?}", supervisor.heard());
    // As after any crash.
    assert_eq!(scratch.serve().call(&new_instance("CS1")).code(), "000000");
}

/// A restart would not give it the database any sooner.
#[test]
fn a_writer_that_waits_for_another_program_is_busy_and_not_dead() {
    let (scratch, supervisor) = (scratch(FIXED), Supervisor::start());
    let mut koogate = supervisor.serve(&scratch, &[("KOOGATE_FAULT_PACE", "watchdog:3000")]);
    let program = rusqlite::Connection::open(scratch.path("koogate.db")).unwrap();
    program.execute_batch("BEGIN IMMEDIATE").unwrap();
    koogate.wait_for_log("the writer does not keep up, calls are answered late or not at all");
    assert_eq!(health(koogate.address), 503);
    assert!(!koogate.has_died());
    program.execute_batch("COMMIT").unwrap();
    koogate.wait_for_log("the public listener and the writer answer again");
    assert_eq!(health(koogate.address), 200);
    koogate.stop();
}

#[test]
fn a_listener_whose_places_never_come_free_ends_the_process() {
    let scratch = scratch(FIXED);
    // Each call stays where it is, on the thread of its connection.
    let stuck = ("KOOGATE_FAULT_DELAY", "pass:600000");
    let mut koogate = scratch.serve_with(&[("KOOGATE_FAULT_PACE", "watchdog:400"), stuck]);
    thread::scope(|scope| {
        for caller in 0..8 {
            let koogate = &koogate;
            scope.spawn(move || {
                let _ = koogate.try_call(KEY, &new_instance(&format!("CS{caller}")));
            });
        }
        koogate.wait_for_log("ALERT the public listener has not answered for too long; ending");
    });
    assert_eq!(koogate.wait(), EXIT_UNHEALTHY);
}

/// Or strangers could have the process restarted as often as they like.
#[test]
fn a_flood_of_idle_connections_does_not_end_the_process() {
    let (scratch, supervisor) = (scratch(FIXED), Supervisor::start());
    let mut koogate = supervisor.serve(&scratch, &[("KOOGATE_FAULT_PACE", "watchdog:50")]);
    let address = koogate.address;
    let flood = || {
        let mut open: Vec<TcpStream> = Vec::new();
        for number in 0..1500 {
            let Ok(socket) = TcpStream::connect(address) else { break };
            match open.len() {
                // The descriptors of this process are those of other tests, too.
                100 => open[number % 100] = socket,
                _ => open.push(socket),
            }
        }
        open
    };
    let open: Vec<Vec<TcpStream>> = thread::scope(|scope| {
        let floods: Vec<_> = (0..3).map(|_| scope.spawn(flood)).collect();
        floods.into_iter().map(|flood| flood.join().unwrap()).collect()
    });
    assert!(!koogate.has_died(), "{}", koogate.log_text());
    drop(open);
    eventually(|| (health(address) == 200).then_some(()), || koogate.log_text());
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    assert!(!koogate.stop().contains("ALERT"));
}

#[test]
fn healthz_is_for_reading_and_tells_nothing() {
    let koogate = scratch(FIXED).serve();
    for (method, status, body) in [
        ("GET", 200, "ok\n"),
        ("HEAD", 200, ""),
        ("POST", 405, "405 Method Not Allowed\n"),
        ("DELETE", 405, "405 Method Not Allowed\n"),
    ] {
        let answer = send(koogate.address, method, "/healthz", &[], b"").unwrap();
        assert_eq!((answer.status, text(&answer.body).as_str()), (status, body), "{method}");
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(answer.header("Allow").is_some(), status == 405, "{names:?}");
    }
}

/// A port that nobody else gets, and that koogate may listen on.
pub struct Reserved {
    _socket: Socket,
    pub address: SocketAddr,
}

impl Reserved {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { _socket: socket, address }
    }
}

/// The exit code of `koogate healthcheck`, and its one line, which is tried as JSON, too.
fn healthcheck(scratch: &Scratch) -> (Option<i32>, String) {
    let output = scratch.run(&["healthcheck"]);
    let json = scratch.run(&["healthcheck", "--json"]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), told["healthy"] == true), (output.status.code(), output.status.success()));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    (output.status.code(), text(&output.stdout))
}

#[track_caller]
fn check_health(scratch: &Scratch, code: i32, words: &str) {
    let (found, line) = healthcheck(scratch);
    assert!(found == Some(code) && line.contains(words), "{found:?} {line}");
}

#[test]
fn the_health_check_tells_a_live_a_hanging_and_a_dead_server() {
    let (scratch, reserved) = (Scratch::new(FIXED), Reserved::new());
    let port = reserved.address.port();
    // Of all addresses it calls this machine's own.
    let sections = format!("[server]\nlisten = \"0.0.0.0:{port}\"\n");
    scratch.configure(&[KEY], &sections, FIXED);
    check_health(&scratch, 1, "unhealthy: http://127.0.0.1:");
    let pace = [("KOOGATE_FAULT_PACE", "watchdog:2000"), ("KOOGATE_FAULT_DELAY", "commit:600000")];
    let koogate = scratch.serve_with(&pace);
    check_health(&scratch, 0, &format!("healthy: http://127.0.0.1:{port}/healthz answered within"));
    thread::scope(|scope| {
        scope.spawn(|| koogate.try_call(KEY, &new_instance("CS1")).map(|answer| answer.code()));
        koogate.wait_for_log("the writer does not answer; if that goes on, the process ends");
    });
    check_health(&scratch, 1, "it answers that it is not well; its log says why");
    koogate.kill();
    check_health(&scratch, 1, "Connection refused");
    // Somebody else, or nobody who answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sections = format!("[server]\nlisten = \"{}\"\n", listener.local_addr().unwrap());
    scratch.configure(&[KEY], &sections, FIXED);
    check_health(&scratch, 1, "no answer within 5s");
    std::fs::write(scratch.path("koogate.toml"), "[server]\nlisten = 1\n").unwrap();
    assert_eq!(scratch.run(&["healthcheck"]).status.code(), Some(1));
}

#[test]
fn https_is_checked_whoever_the_certificate_is_for_and_however_old_it_is() {
    let (scratch, reserved, authority) = (Scratch::new(FIXED), Reserved::new(), Authority::new());
    let pair = authority.issue_until(&["shop.example.com"], (2021, 1, 1));
    std::fs::write(scratch.path("fullchain.pem"), pair.certificate).unwrap();
    std::fs::write(scratch.path("privkey.pem"), pair.private_key).unwrap();
    let sections = format!(
        "[server]\nlisten = \"{}\"\n[server.tls]\ncertificate = \"fullchain.pem\"\nprivate_key = \"privkey.pem\"\n",
        reserved.address
    );
    scratch.configure(&[KEY], &sections, FIXED);
    let supervisor = Supervisor::start();
    let koogate = supervisor.serve(&scratch, &[("KOOGATE_FAULT_PACE", "watchdog:400")]);
    check_health(&scratch, 0, &format!("healthy: https://{}/healthz", reserved.address));
    // More looks than a listener alone may miss.
    supervisor.wait_for(13, "WATCHDOG=1");
    let log = koogate.stop();
    assert!(!log.contains("does not answer") && !log.contains("refused"), "{log}");
    check_health(&scratch, 1, "Connection refused");
}
