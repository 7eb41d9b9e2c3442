//! The client against tiny peers: which host is called, how many calls go on at a time, and what a refused key leads to.
//! How KooGallery's own answers are taken is tested end to end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::protocol::open_api::aksk::Credentials;
use crate::sealing::SealingKey;
use crate::secret::Secret;
use crate::store::{self, Role};

const ORDER: &str = r#"{"resultCode":"MKT.0000","resultMsg":"","orderInfo":{"orderId":"CS1"}}"#;
const WRONG_KEY: &str = r#"{"error_code":"APIGW.0301","error_msg":"no","request_id":"r"}"#;

/// A server that answers each request, in a thread of its own.
struct Peer {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl Peer {
    fn start(answer: impl Fn(usize) -> (u16, &'static str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (requests, most_at_once) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let peer = Self { origin, requests: Arc::clone(&requests), most_at_once: Arc::clone(&most_at_once) };
        let (answer, now) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, now) = (Arc::clone(&answer), Arc::clone(&now));
                let (requests, most_at_once) = (Arc::clone(&requests), Arc::clone(&most_at_once));
                std::thread::spawn(move || {
                    most_at_once.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let number = {
                        let mut requests = requests.lock().unwrap();
                        requests.push(String::new());
                        requests.len()
                    };
                    let request = read(&stream);
                    requests.lock().unwrap()[number - 1] = request;
                    // Long enough for others to come, if anything lets them.
                    std::thread::sleep(Duration::from_millis(20));
                    let (status, body) = answer(number);
                    // Before the answer: who has it may begin the next call at once.
                    now.fetch_sub(1, Ordering::SeqCst);
                    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len());
                    let _ = (&stream).write_all((head + body).as_bytes());
                });
            }
        });
        peer
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A request without a body, or the head of one.
fn read(mut stream: &TcpStream) -> String {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => request.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = store::Settings {
        path: folder.path().join("koogate.db"),
        snapshot: folder.path().join("koogate.snapshot.db"),
        commit_batch: 512,
    };
    let key = Arc::new(SealingKey::from_hex(&"01".repeat(32)).unwrap());
    (Store::open(&settings, Role::Server, key).unwrap(), folder)
}

fn client(origins: &[&str], secret: &str) -> OpenApi {
    let settings = config::OpenApi {
        endpoint: Endpoint::Other(String::new()),
        credentials: Credentials { access_key_id: "AK1".to_owned(), secret_access_key: Secret::new(secret.to_owned()) },
        trusted_certificates: None,
        order_query: config::OrderQuery::Auto,
        usage_interface: config::UsageInterface::New,
        usage_batch_size: 100,
        multipart_payload: MultipartPayload::Unsigned,
        heartbeat_fresh: Duration::ZERO,
        heartbeat_stale: Duration::ZERO,
    };
    OpenApi::at(&settings, origins.iter().map(|origin| (*origin).to_owned()).collect()).unwrap()
}

/// Where nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn ask(client: &OpenApi, store: &Store) -> Result<(), OpenApiError> {
    client.order(store, "CS1", Patience::Once).map(drop)
}

#[test]
fn the_second_host_is_called_where_the_first_cannot_be_reached_and_only_then() {
    let (store, _folder) = store();
    let (first, second) = (Peer::start(|_| (503, "")), Peer::start(|_| (200, ORDER)));
    let fallback = client(&[&closed(), &second.origin], "sk");
    ask(&fallback, &store).unwrap();
    let request = second.requests.lock().unwrap()[0].to_ascii_lowercase();
    let host = second.origin.strip_prefix("http://").unwrap();
    assert!(request.contains(&format!("\r\nhost: {host}\r\n")), "it is signed for the host that is called: {request}");
    // One that answered, whatever it said, may have done it.
    let error = ask(&client(&[&first.origin, &second.origin], "sk"), &store).unwrap_err();
    assert!(error.refusal().is_some_and(|refusal| refusal.status == 503), "{error}");
    assert_eq!((first.count(), second.count()), (1, 1));
    let error = ask(&client(&[&closed(), &closed()], "sk"), &store).unwrap_err();
    assert!(matches!(error, OpenApiError::NoConnection { .. }) && !error.may_be_done(), "{error}");
    // A name that has no address.
    let error = ask(&client(&["https://nobody.invalid"], "sk"), &store).unwrap_err();
    assert!(matches!(error, OpenApiError::NoConnection { .. }), "{error:?}");
}

#[test]
fn a_wrong_key_costs_one_call_however_many_ask() {
    let (store, _folder) = store();
    let peer = Peer::start(|_| (401, WRONG_KEY));
    let client = client(&[&peer.origin], "sk");
    let errors: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&client, &store).unwrap_err())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let locked = errors.iter().filter(|error| matches!(error, OpenApiError::Locked { .. })).count();
    assert_eq!((peer.count(), locked), (1, 7), "{errors:#?}");
}

#[test]
fn one_call_goes_on_until_the_key_is_proven_and_four_from_then_on() {
    let (store, _folder) = store();
    let crowd = |client: &OpenApi| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| drop(ask(client, &store)))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    };
    // Nothing of it comes from KooGallery, so nothing is proven.
    let unproven = Peer::start(|_| (502, "<html>"));
    crowd(&client(&[&unproven.origin], "sk"));
    assert_eq!((unproven.count(), unproven.most_at_once.load(Ordering::SeqCst)), (8, 1));
    let proven = Peer::start(|_| (200, ORDER));
    let client = client(&[&proven.origin], "sk");
    ask(&client, &store).unwrap();
    crowd(&client);
    let most = proven.most_at_once.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most) && proven.count() == 9, "{most}");
}

#[test]
fn a_lock_outlives_the_client_doubles_and_ends_with_another_secret_or_with_success() {
    let (store, _folder) = store();
    let peer = Peer::start(|number| if number < 4 { (401, WRONG_KEY) } else { (200, ORDER) });
    let refused_for = |label: &str| {
        let row = store.read(|tx| tx.open_api_refusal(label)).unwrap().unwrap();
        (row.refusals, row.not_before.duration_since(row.refused_at).as_mins())
    };
    let label = |secret: &str| store.sealing().label(&format!("AK1:{secret}"));
    ask(&client(&[&peer.origin], "sk"), &store).unwrap_err();
    assert_eq!(refused_for(&label("sk")), (1, 5));
    // As after a restart: another client, the same store.
    let error = ask(&client(&[&peer.origin], "sk"), &store).unwrap_err();
    assert!(matches!(error, OpenApiError::Locked { .. }) && peer.count() == 1, "{error}");
    ask(&client(&[&peer.origin], "another"), &store).unwrap_err();
    assert_eq!((peer.count(), refused_for(&label("another"))), (2, (1, 5)), "another secret is another key");

    let elapse = || {
        let label = label("sk");
        store
            .write(None, move |tx| {
                let mut row = tx.open_api_refusal(&label)?.unwrap();
                row.not_before = Timestamp::now() - SignedDuration::from_secs(1);
                tx.put_open_api_refusal(&label, &row)
            })
            .unwrap();
    };
    elapse();
    ask(&client(&[&peer.origin], "sk"), &store).unwrap_err();
    assert_eq!(refused_for(&label("sk")), (2, 10));
    elapse();
    ask(&client(&[&peer.origin], "sk"), &store).unwrap();
    assert_eq!(store.read(|tx| tx.open_api_refusal(&label("sk"))).unwrap(), None);
}

#[test]
fn a_lock_from_a_clock_that_was_set_back_since_holds_nobody_up_and_is_shown_to_nobody() {
    let (store, _folder) = store();
    let peer = Peer::start(|_| (200, ORDER));
    let client = client(&[&peer.origin], "sk");
    let label = store.sealing().label("AK1:sk");
    let refused_at = Timestamp::now() + SignedDuration::from_hours(1);
    let not_before = refused_at + SignedDuration::from_mins(5);
    let row = OpenApiRefusalRow { refusals: 1, refused_at, not_before, message: String::new() };
    store.write(None, move |tx| tx.put_open_api_refusal(&label, &row)).unwrap();
    assert_eq!(client.locked(&store).unwrap(), None);
    ask(&client, &store).unwrap();
}

#[test]
fn secrets_that_are_tried_for_one_access_key_do_not_lock_it() {
    let (store, _folder) = store();
    let peer = Peer::start(|number| if number < 6 { (401, WRONG_KEY) } else { (200, ORDER) });
    for attempt in 1..10 {
        let error = ask(&client(&[&peer.origin], &format!("mistyped-{attempt}")), &store).unwrap_err();
        assert_eq!(matches!(error, OpenApiError::Locked { .. }), attempt > 4, "{attempt}: {error}");
    }
    assert_eq!(peer.count(), 4);
    let elapse = || {
        let label = store.sealing().label("AK1");
        let elapsed = move |tx: &store::Tx<'_>| {
            let mut row = tx.open_api_refusal(&label)?.unwrap();
            row.not_before = Timestamp::now() - SignedDuration::from_secs(1);
            tx.put_open_api_refusal(&label, &row)
        };
        store.write(None, elapsed).unwrap();
    };
    elapse();
    ask(&client(&[&peer.origin], "mistyped-again"), &store).unwrap_err();
    let error = ask(&client(&[&peer.origin], "right"), &store).unwrap_err();
    assert!(matches!(error, OpenApiError::Locked { .. }) && peer.count() == 5, "{error}");
    elapse();
    ask(&client(&[&peer.origin], "right"), &store).unwrap();
    assert_eq!(store.read(|tx| tx.open_api_refusal(&store.sealing().label("AK1"))).unwrap(), None);
}
