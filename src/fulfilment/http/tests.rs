//! The transport against applications that behave, misbehave and hang, all of them on loopback sockets.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use socket2::{Domain, Socket, Type};
use ureq::http::HeaderMap;

use super::*;
use crate::fulfilment::answer::AnswerFault;
use crate::fulfilment::answer::Handout;
use crate::protocol::result_code::ResultCode;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const EVENT: &str = r#"{"event":"instance.create","operationId":"op-1","attempt":2,"test":false,"kind":"saas","instanceId":"i-1",
    "buyer":{"customerId":"c","customerName":"企业","userId":null,"userName":null,"mobilePhone":"13800138000",
             "email":"a@example.com"},"parameters":{}}"#;
/// Long enough for every exchange that works, even on a busy machine.
const PATIENT: Duration = Duration::from_secs(30);
/// For exchanges that must run into it.
const SHORT: Duration = Duration::from_millis(400);

#[derive(Debug)]
struct Received {
    head: String,
    body: Vec<u8>,
}

/// An application that takes one connection, reads the request and then does as told with the socket.
fn application<F>(reply: F) -> (SocketAddr, JoinHandle<Received>)
where
    F: FnOnce(&mut TcpStream) + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let received = read_request(&mut stream);
        reply(&mut stream);
        received
    });
    (address, server)
}

/// An application that answers these bytes and closes.
fn answering(reply: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<Received>) {
    let reply = reply.into();
    application(move |stream| {
        let _refused_by_a_peer_that_has_seen_enough = stream.write_all(&reply);
    })
}

fn read_request(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let length: usize = length.parse().unwrap();
            if bytes.len() >= end + 4 + length {
                return Received { head, body: bytes[end + 4..].to_vec() };
            }
        }
        let amount = stream.read(&mut buffer).unwrap();
        assert_ne!(amount, 0, "the request ended early");
        bytes.extend_from_slice(&buffer[..amount]);
    }
}

fn event() -> Event {
    serde_json::from_str(EVENT).unwrap()
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn call(address: SocketAddr, timeout: Duration) -> Result<Answer, AttemptError> {
    let secret = WebhookSecret::parse(SECRET).unwrap();
    HttpApplication::new(&format!("http://{address}/hook?token=t0ken"), Some(secret), timeout).unwrap().call(&event())
}

fn failure_of(reply: impl Into<Vec<u8>>) -> String {
    let (address, server) = answering(reply);
    let text = call(address, PATIENT).unwrap_err().to_string();
    server.join().unwrap();
    text.replace(&address.to_string(), "ADDRESS")
}

/// Calls with a short time, and demands that it is kept.
fn assert_times_out(address: SocketAddr) {
    let begun = Instant::now();
    let error = call(address, SHORT).unwrap_err();
    assert!(matches!(error, AttemptError::TimedOut { after: SHORT }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(error.to_string(), "timed out after 400ms");
}

#[test]
fn the_event_is_posted_signed_and_the_answer_read() {
    let body = r#"{"status":"ready","access":{"frontEndUrl":"https://a/"}}"#;
    let (address, server) = answering(response("201 Created", body));
    let answer = call(address, PATIENT).unwrap();
    assert!(
        matches!(answer, Answer::Ready(Handout { access: Some(access), .. }) if access.front_end_url() == "https://a/")
    );

    let received = server.join().unwrap();
    assert!(received.head.starts_with("post /hook?token=t0ken http/1.1\r\n"), "{}", received.head);
    for line in ["content-type: application/json", "user-agent: koogate/0.1.0", "webhook-id: op-1", "connection: close"]
    {
        assert!(received.head.contains(&format!("\r\n{line}\r\n")), "{line} in {}", received.head);
    }
    assert_eq!(received.body, event().to_json().as_bytes());
}

#[test]
fn the_reference_library_verifies_the_bytes_that_arrive() {
    let listener = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = listener.server_addr().to_ip().unwrap();
    let server = thread::spawn(move || {
        let mut request = listener.recv().unwrap();
        let mut body = Vec::new();
        request.as_reader().read_to_end(&mut body).unwrap();
        let mut headers = HeaderMap::new();
        for header in request.headers() {
            let name: ureq::http::HeaderName = header.field.as_str().as_str().parse().unwrap();
            headers.insert(name, header.value.as_str().parse().unwrap());
        }
        request.respond(tiny_http::Response::from_string(r#"{"status":"pending"}"#)).unwrap();
        (headers, body)
    });
    assert_eq!(call(address, PATIENT).unwrap(), Answer::Pending);
    let (headers, mut body) = server.join().unwrap();
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    verifier.verify(&body, &headers).unwrap();
    body.push(b' ');
    verifier.verify(&body, &headers).unwrap_err();
}

#[test]
fn without_a_secret_nothing_is_signed() {
    let (address, server) = answering(response("200 OK", r#"{"status":"pending"}"#));
    let application = HttpApplication::new(&format!("http://{address}"), None, PATIENT).unwrap();
    assert_eq!(application.call(&event()).unwrap(), Answer::Pending);
    let head = server.join().unwrap().head;
    assert!(head.contains("webhook-timestamp: ") && !head.contains("webhook-signature"), "{head}");
}

#[test]
fn every_attempt_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let application = HttpApplication::new(&format!("http://{}", listener.local_addr().unwrap()), None, PATIENT);
    let server = thread::spawn(move || {
        let answer = |_| {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&mut stream);
            // Kept alive, as far as this side is concerned.
            stream.write_all(response("200 OK", r#"{"status":"pending"}"#).as_bytes()).unwrap();
            stream
        };
        (0..3).map(answer).collect::<Vec<_>>()
    });
    let application = application.unwrap();
    for _ in 0..3 {
        assert_eq!(application.call(&event()).unwrap(), Answer::Pending);
    }
    server.join().unwrap();
}

#[test]
fn an_empty_answer_means_done_except_for_a_creation() {
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(failure_of(empty), AnswerFault::EmptyForCreate.to_string());
    let (address, server) = answering(empty);
    let freeze = Event { change: crate::fulfilment::event::Change::InstanceFreeze, ..event() };
    let application = HttpApplication::new(&format!("http://{address}"), None, PATIENT).unwrap();
    assert_eq!(application.call(&freeze).unwrap(), Answer::Ready(Handout::default()));
    server.join().unwrap();
}

#[test]
fn a_refusal_is_an_answer() {
    let (address, server) =
        answering(response("200 OK", r#"{"status":"refused","resultCode":"000106","message":"sold out"}"#));
    let result_code = ResultCode::parse("000106").unwrap();
    assert_eq!(call(address, PATIENT).unwrap(), Answer::Refused { result_code, message: "sold out".into() });
    server.join().unwrap();
}

#[test]
fn an_error_status_is_shown_with_the_beginning_of_its_page() {
    assert_eq!(failure_of(response("503 Service Unavailable", "")), "HTTP 503: (no text)");
    assert_eq!(
        failure_of(response("500 Oops", "<h1>\r\n\x1b[1mdatabase</h1> 13800138000 C2FVsBQIhrscChlQIMV+b5sSYspob7oD")),
        "HTTP 500: <h1> [1mdatabase</h1> *** ***"
    );
    let long = failure_of(response("404 Not Found", &"x".repeat(100_000)));
    assert_eq!(long, format!("HTTP 404: {}…", "x".repeat(200)));
    let cut_off = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1000\r\n\r\nonly this";
    assert_eq!(failure_of(cut_off), "HTTP 502: only this");
}

#[test]
fn a_redirect_is_not_followed() {
    let words = "which is not followed; configure the final address";
    assert_eq!(
        failure_of(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://b.example/x?token=1\r\nContent-Length: 0\r\n\r\n"
        ),
        format!("HTTP 307: the application redirects to https://b.example/x, {words}")
    );
    assert_eq!(
        failure_of("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP 302: the application redirects, {words}")
    );
}

#[test]
fn what_is_not_an_answer_fails_the_attempt_with_the_reason() {
    assert!(failure_of(response("200 OK", "<html>")).contains("it looks like an HTML or XML page"));
    assert!(failure_of("SSH-2.0-OpenSSH_9.6\r\n\r\n").starts_with("http://ADDRESS gave no complete answer: "));
    let closed = "http://ADDRESS gave no complete answer: it closed the connection";
    assert_eq!(failure_of(""), closed);
    assert_eq!(failure_of("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\":\"ready\"}"), closed);
    assert_eq!(failure_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta"), closed);
}

#[test]
fn a_huge_answer_is_cut_off() {
    let mut fits = r#"{"status":"pending"}"#.to_owned();
    fits.extend(std::iter::repeat_n(' ', ANSWER_LIMIT - fits.len()));
    let (address, server) = answering(response("200 OK", &fits));
    assert_eq!(call(address, PATIENT).unwrap(), Answer::Pending);
    server.join().unwrap();
    let too_long = "the answer is longer than 1048576 bytes";
    assert_eq!(failure_of(response("200 OK", &format!("{fits} "))), too_long);
    let (address, server) = application(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    assert_eq!(call(address, PATIENT).unwrap_err().to_string(), too_long);
    server.join().unwrap();
}

#[test]
fn nobody_listening_is_no_connection() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = call(address, PATIENT).unwrap_err();
    assert!(matches!(&error, AttemptError::NoConnection { reason, .. } if reason.contains("refused")), "{error:?}");
    assert!(error.to_string().starts_with(&format!("no connection to http://{address}: ")), "{error}");
}

#[test]
fn an_application_that_never_answers_times_out() {
    let (address, server) = application(|stream| {
        let _until_the_caller_gives_up = stream.read(&mut [0]);
    });
    assert_times_out(address);
    server.join().unwrap();
}

#[test]
fn dripping_heads_and_bodies_do_not_stretch_the_time() {
    for beginning in
        ["HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]
    {
        let (address, server) = application(move |stream| {
            stream.write_all(beginning.as_bytes()).unwrap();
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        assert_times_out(address);
        server.join().unwrap();
    }
}

#[test]
fn an_error_page_that_drips_is_shown_as_far_as_it_came() {
    let (address, server) = application(|stream| {
        stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 60000\r\n\r\nbusy").unwrap();
        let _until_the_caller_gives_up = stream.read(&mut [0]);
    });
    assert_eq!(call(address, SHORT).unwrap_err().to_string(), "HTTP 503: busy");
    server.join().unwrap();
}

#[test]
fn a_receiver_that_reads_slowly_does_not_stretch_the_time() {
    // Small segments and a small window make partial writes, as a real network does.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let (done, is_done) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while is_done.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            let _a_little = stream.read(&mut [0; 256]);
        }
    });
    let parameters = [("large".to_owned(), "x".repeat(1024 * 1024))].into();
    let large = Event { parameters, ..event() };
    let application = HttpApplication::new(&format!("http://{address}"), None, SHORT).unwrap();
    let begun = Instant::now();
    let error = application.call(&large).unwrap_err();
    assert!(matches!(error, AttemptError::TimedOut { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(done);
    server.join().unwrap();
}

#[test]
fn a_peer_that_speaks_no_tls_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _until_the_caller_gives_up = stream.read(&mut [0; 1024]);
    });
    let error = HttpApplication::new(&url, None, PATIENT).unwrap().call(&event()).unwrap_err();
    assert!(matches!(error, AttemptError::NoConnection { .. }), "{error:?}");
    server.join().unwrap();
}

#[test]
fn a_tls_peer_that_hangs_or_drips_does_not_stretch_the_time() {
    // The head of a TLS record (handshake, 16 KiB) that never ends.
    for beginning in [&b""[..], b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(beginning).unwrap();
            let (dripping, mut hello) = (!beginning.is_empty(), [0; 4096]);
            while stream.read(&mut hello).is_ok_and(|amount| amount > 0) {
                while dripping && stream.write_all(b"x").is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        let begun = Instant::now();
        let error = HttpApplication::new(&url, None, SHORT).unwrap().call(&event()).unwrap_err();
        assert!(matches!(error, AttemptError::TimedOut { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        server.join().unwrap();
    }
}

#[test]
fn urls_that_cannot_be_used_are_refused_at_once() {
    let fault = |url: &str| HttpApplication::new(url, None, PATIENT).err();
    for good in ["http://localhost:3000/koogate", "http://[::1]/", "http://shop:3000", "https://shop.example.com/a?b=c"]
    {
        assert_eq!(fault(good), None, "{good}");
    }
    for bad in ["", "/koogate", "shop:3000", "ftp://shop/", "http://", "http://a b/", "https://shop:0/"] {
        assert_eq!(fault(bad), Some(HttpSetupError::NotAWebAddress), "{bad}");
    }
    let host = |text: &str| text.to_owned();
    assert_eq!(
        fault("http://shop.example.com/t0ken"),
        Some(HttpSetupError::PlainHttp { host: host("shop.example.com") })
    );
    assert_eq!(fault("http://8.8.8.8/"), Some(HttpSetupError::PlainHttp { host: host("8.8.8.8") }));
    assert_eq!(
        fault("https://169.254.169.254/latest"),
        Some(HttpSetupError::LinkLocal { host: host("169.254.169.254") })
    );
    assert_eq!(
        fault("https://u:hunter2@shop.example.com/"),
        Some(HttpSetupError::UserInfo { host: host("shop.example.com") })
    );
}

#[test]
fn debug_output_shows_neither_secret_nor_query() {
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let application = HttpApplication::new("https://a.example/p4th?token=t0ken", Some(secret), PATIENT).unwrap();
    assert_eq!(
        format!("{application:?}"),
        r#"HttpApplication { origin: "https://a.example", signed: true, timeout: 30s, .. }"#
    );
}
