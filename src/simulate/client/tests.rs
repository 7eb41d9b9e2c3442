//! The client against sockets that behave and sockets that do not.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use super::*;

/// A peer on loopback that takes one connection; returns its port.
fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    port
}

/// Reads until the end of a body `{}`.
fn read_request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn a_call_looks_like_one_of_koogallery() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let port = peer(move |mut stream| {
        sender.send(read_request(&mut stream)).unwrap();
        stream.write_all(OK).unwrap();
    });
    let client = Client::new(&format!("http://127.0.0.1:{port}/saas?tenant=1"), &[]).unwrap();
    let answer = client.post_below("", "nonce=a", &[("x-sign", "AB".to_owned())], b"{}").unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    let request = receiver.recv().unwrap();
    assert!(request.starts_with("POST /saas?tenant=1&nonce=a HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{request}");
    assert!(request.contains("\r\nContent-Type: application/json;charset=utf8\r\n"), "{request}");
    assert!(request.contains("\r\nx-sign: AB\r\n"), "{request}");
}

#[test]
fn a_call_below_the_address_keeps_the_query_of_the_address_behind_it() {
    let target = |url: &str, sub_path, query| Client::new(url, &[]).unwrap().target(sub_path, query);
    for (url, sub_path, query, expected) in [
        ("https://h", "/produceAPI/tenantSync", "", "/produceAPI/tenantSync"),
        ("https://h/saas", "/produceAPI/tenantSync", "", "/saas/produceAPI/tenantSync"),
        ("https://h/saas/", "/produceAPI/tenantSync", "", "/saas/produceAPI/tenantSync"),
        ("https://h/saas?tenant=1", "/produceAPI/tenantSync", "", "/saas/produceAPI/tenantSync?tenant=1"),
        ("https://h/saas/?tenant=1", "", "a=b", "/saas/?tenant=1&a=b"),
        ("https://h/saas/", "", "", "/saas/"),
    ] {
        assert_eq!(target(url, sub_path, query), expected, "{url}");
    }
}

#[test]
fn a_get_has_the_parameters_behind_those_of_the_address_and_no_body() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let port = peer(move |mut stream| {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        sender.send(String::from_utf8(request).unwrap()).unwrap();
        stream.write_all(OK).unwrap();
    });
    let client = Client::new(&format!("http://127.0.0.1:{port}/saas?tenant=1"), &[]).unwrap();
    assert_eq!(client.get("a=%2C+b").unwrap().body, b"{}");
    let request = receiver.recv().unwrap();
    assert!(request.starts_with("GET /saas?tenant=1&a=%2C+b HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("Content-"), "{request}");
}

#[test]
fn an_answer_that_drips_forever_ends_at_the_deadline() {
    let port = peer(|mut stream| {
        let mut byte = b"HTTP/1.1 200 OK\r\nX: ".as_slice().iter().chain(std::iter::repeat(&b'x'));
        while stream.write_all(&[*byte.next().unwrap()]).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut client = Client::new(&format!("http://127.0.0.1:{port}/"), &[]).unwrap();
    client.deadline = Duration::from_millis(300);
    let error = client.post("", b"{}").unwrap_err();
    assert!(matches!(error, ClientError::Timeout), "{error}");
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let client = Client::new(&format!("http://127.0.0.1:{port}/"), &[]).unwrap();
    let error = client.post("", b"{}").unwrap_err();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

fn tls_peer(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain = vec![certified.cert.der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    peer(move |stream| {
        let session = rustls::ServerConnection::new(config).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        // A client that does not trust the certificate ends the handshake, and with it this peer.
        if stream.read(&mut []).is_ok() && stream.flush().is_ok() && stream.conn.complete_io(&mut stream.sock).is_ok() {
            read_request(&mut stream);
            stream.write_all(OK).unwrap();
            stream.flush().unwrap();
        }
    })
}

#[test]
fn https_works_with_a_trusted_certificate() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let url = format!("https://localhost:{}/", tls_peer(&certified));
    let base64 = data_encoding::BASE64.encode(certified.cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    let answer = Client::new(&url, pem.as_bytes()).unwrap().post("", b"{}").unwrap();
    assert_eq!(answer.body, b"{}");
}

#[test]
fn a_certificate_of_an_unknown_ca_is_a_tls_error() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let url = format!("https://localhost:{}/", tls_peer(&certified));
    let error = Client::new(&url, &[]).unwrap().post("", b"{}").unwrap_err();
    assert!(matches!(error, ClientError::Tls(_)), "{error}");
}

#[test]
fn useless_certificates_and_urls_are_refused_at_once() {
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Client::new("https://h/", broken), Err(SetupError::Tls(_))));
    assert!(matches!(Client::new("h/", &[]), Err(SetupError::Url(UrlError::Scheme))));
}
