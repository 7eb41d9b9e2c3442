//! The mock itself, called by a small signed client that has nothing of koogate's.

mod answers;
mod misbehaviour;
mod usage;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::signature::{KeyPair, Signable, authorization};
use super::*;
use crate::harness::{Answer, send};

pub const GLOBAL: &str = "/api/mkp-openapi-public/global";
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A client of the mock; a test may spoil it.
pub struct Client<'a> {
    mock: &'a KooGallery,
    key: KeyPair,
    /// How far its clock is from the machine's.
    shift: SignedDuration,
}

impl<'a> Client<'a> {
    pub fn new(mock: &'a KooGallery) -> Self {
        let key = KeyPair { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: SECRET_ACCESS_KEY.to_owned() };
        Self { mock, key, shift: SignedDuration::ZERO }
    }

    /// A signed call.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let address = self.mock.door.address;
        let (date, host) = (self.stamp(), address.to_string());
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut signed: Vec<_> = headers.iter().map(pair).collect();
        signed.extend([pair(&("X-Sdk-Date", &date)), pair(&("Host", &host))]);
        let pairs: Vec<_> = query.iter().map(pair).collect();
        let request = Signable { method, path, query: &pairs, headers: &signed, body };
        let authorization = authorization(&self.key, request);

        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut headers = headers.to_vec();
        headers.extend([("X-Sdk-Date", date.as_str()), ("Authorization", authorization.as_str())]);
        send(address, method, &format!("{path}{mark}{}", query.join("&")), &headers, body)
    }

    /// A signed POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> std::io::Result<Answer> {
        self.call("POST", &format!("{GLOBAL}{path}"), &[], &[JSON], body.to_string().as_bytes())
    }

    /// An order query.
    pub fn order(&self, order_id: &str) -> std::io::Result<Answer> {
        self.call("GET", &format!("{GLOBAL}/v1/order/query"), &[("orderId", order_id)], &[], b"")
    }

    fn stamp(&self) -> String {
        (Timestamp::now() + self.shift).strftime("%Y%m%dT%H%M%SZ").to_string()
    }
}

/// Status and code of an answer, in either envelope.
pub fn outcome(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let code = body["error_code"].as_str().or(body["resultCode"].as_str());
    (answer.status, code.unwrap_or_else(|| panic!("no code in {body}")).to_owned())
}

fn said(answer: std::io::Result<Answer>) -> (u16, String) {
    outcome(&answer.unwrap())
}

#[test]
fn a_call_signed_right_is_taken() {
    let mock = KooGallery::start();
    let answer = Client::new(&mock).order("MOCKPERIODYEARNEW").unwrap();
    assert_eq!(outcome(&answer), (200, "MKT.0000".to_owned()));
    assert_eq!(answer.json()["orderInfo"]["orderLine"][0]["orderLineId"], "MOCKPERIODYEARNEW-000001");
    assert!(answer.header("Date").is_some_and(|date| date.ends_with(" GMT")), "{answer:?}");
    let calls = mock.wait_for(Route::OrderQuery, 1);
    assert_eq!(calls[0].request.query, [("orderId".to_owned(), "MOCKPERIODYEARNEW".to_owned())]);
    assert_eq!((mock.refusals(), mock.locked()), (Vec::new(), false));
    assert!(mock.toml().contains(&mock.endpoint()), "{}", mock.toml());
}

#[test]
fn a_key_is_locked_after_more_than_five_failures_in_a_row() {
    let mock = KooGallery::start();
    let (right, mut wrong) = (Client::new(&mock), Client::new(&mock));
    wrong.key.secret_access_key.push('x');
    let refused = (401, "APIGW.0301".to_owned());
    for _ in 0..5 {
        assert_eq!(said(wrong.order("MOCKONDEMAND")), refused);
    }
    assert_eq!(said(right.order("MOCKONDEMAND")).0, 200, "five are forgiven");
    for _ in 0..6 {
        assert_eq!(said(wrong.order("MOCKONDEMAND")), refused);
    }
    assert!(mock.locked());
    assert_eq!(said(right.order("MOCKONDEMAND")), refused);
    assert_eq!(mock.refusals().last().unwrap(), "the key is locked");
    mock.shift_clock(SignedDuration::from_mins(6));
    assert_eq!(said(right.order("MOCKONDEMAND")).0, 200, "a lock ends");
}

#[test]
fn a_stale_date_is_refused_and_the_reply_tells_the_time() {
    let mock = KooGallery::start();
    let mut client = Client::new(&mock);
    client.shift = SignedDuration::from_mins(-16);
    assert_eq!(said(client.order("MOCKONDEMAND")), (401, "APIGW.0301".to_owned()));
    mock.shift_clock(SignedDuration::from_mins(-16));
    assert_eq!(said(client.order("MOCKONDEMAND")).0, 200);
    assert_eq!(mock.refusals().len(), 1);
    let calls = mock.calls();
    assert!(calls[1].at < calls[0].at && calls[1].received > calls[0].received, "{calls:#?}");
}

#[test]
fn what_is_not_signed_or_not_json_is_refused() {
    let mock = KooGallery::start();
    let client = Client::new(&mock);
    let path = format!("{GLOBAL}/v1/license/activate");
    let body = json!({ "license": "PL1" }).to_string();
    assert_eq!(said(client.call("POST", &path, &[], &[], body.as_bytes())).0, 401);
    let stranger = send(mock.door.address, "POST", &path, &[JSON], body.as_bytes());
    assert_eq!(said(stranger).0, 401);
    let unknown = client.post("/v1/license/unknown", &json!({}));
    assert_eq!(said(unknown), (404, "APIGW.0101".to_owned()));
    assert_eq!(mock.refusals(), ["Content-Type is None", "no authorization"]);
    assert_eq!((mock.count(Route::ActivateV1), mock.count(Route::Unknown)), (2, 1));
}

#[test]
fn only_the_right_certificate_is_trusted() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};

    for certificate in [Certificate::Right, Certificate::WrongName, Certificate::Expired, Certificate::SelfSigned] {
        let mock = KooGallery::start_tls(certificate);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(mock.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::from(mock.door.address.ip());
        let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = std::net::TcpStream::connect(mock.door.address).unwrap();
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        let sent = std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert_eq!(sent.is_ok(), certificate == Certificate::Right, "{certificate:?}: {sent:?}");
        if sent.is_ok() {
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
            assert!(answer.contains("APIGW.0101") && mock.endpoint().starts_with("https://"), "{answer}");
        }
    }
}
