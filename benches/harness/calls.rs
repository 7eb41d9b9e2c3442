//! The calls of the load: how a request is written and signed, and what its answer must be.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use koogate::protocol::body_sign;
use koogate::protocol::key::AccessKey;
use koogate::protocol::signature::sign_v2;
use koogate::secret::Secret;
use uuid::Uuid;

use super::generator::Answer;

/// The access key of every server that is measured.
pub const KEY: &str = "11111111-2222-3333-4444-555555555555";

/// Bytes of a request's body, filled up with a member that nobody knows.
pub const BODY: usize = 1024;

/// An operation that has been answered, to be repeated or asked about.
pub struct Recorded {
    order: String,
    instance_id: String,
    body_sign: String,
    body: Vec<u8>,
}

impl Recorded {
    /// An instance that no server has.
    pub fn unknown() -> Self {
        let instance_id = "00000000-0000-4000-8000-000000000000".to_owned();
        Self { order: String::new(), instance_id, body_sign: String::new(), body: Vec::new() }
    }
}

/// What is called, again and again.
pub enum Work<'a> {
    /// Each call a new order; the answers are kept where a list is given.
    New(Option<&'a mut Vec<Recorded>>),
    /// Orders that have been answered, as KooGallery repeats them: new businessId, stamp and nonce. The answer must be
    /// the recorded one to the byte.
    Replay(&'a [Recorded]),
    /// `queryInstance` of one instance.
    Query(&'a [Recorded]),
    /// What a day brings: of ten calls three new orders, three repeats and four queries, in no order.
    Mixed(&'a [Recorded]),
    /// Like a repeat, but whatever comes as long as it is always the same.
    Fixed(Option<Vec<u8>>),
}

/// Writes calls and checks their answers.
pub struct Caller<'a> {
    work: Work<'a>,
    key: AccessKey,
    address: SocketAddr,
    body_size: usize,
    /// Each answer must be what the contract of the comparison says, to the byte, and signed.
    is_exact: bool,
    closes: bool,
    /// Tells the calls of one run of the benchmark from those of all others.
    run: u64,
    count: u64,
}

/// Which call an answer belongs to.
#[derive(Clone, Copy, Default)]
pub struct Ticket(u64);

impl<'a> Caller<'a> {
    /// Calls with bodies of [`BODY`] bytes.
    pub fn new(address: SocketAddr, work: Work<'a>) -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let key = AccessKey::new("bench".to_owned(), Secret::new(KEY.to_owned()));
        Self { work, key, address, body_size: BODY, is_exact: false, closes: false, run, count: 0 }
    }

    /// The same with larger bodies.
    pub fn with_body_size(self, body_size: usize) -> Self {
        Self { body_size, ..self }
    }

    /// The same, and answers that are not the contract's to the byte, or not signed, end the benchmark.
    pub fn exactly(self) -> Self {
        Self { is_exact: true, ..self }
    }

    /// Whether each request asks the server to close the connection.
    pub fn close_after_each(&mut self, closes: bool) {
        self.closes = closes;
    }

    /// Writes the next request, head and body.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> Ticket {
        self.count += 1;
        let ticket = Ticket(self.count);
        let body = self.body(ticket);
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let nonce = format!("{:x}-{:x}", self.run, self.count);
        let signature = sign_v2(&self.key, &timestamp, &nonce, &body);
        out.clear();
        let connection = if self.closes { "Connection: close\r\n" } else { "" };
        write!(
            out,
            "POST /saasproduce?signature={signature}&timestamp={timestamp}&nonce={nonce} HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\n{connection}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        )
        .unwrap();
        out.extend_from_slice(&body);
        ticket
    }

    /// Checks the answer to a request.
    pub fn check(&mut self, ticket: Ticket, answer: &Answer<'_>) {
        let says = || String::from_utf8_lossy(answer.body).into_owned();
        assert_eq!(answer.status, 200, "{}", says());
        assert!(answer.body.starts_with(br#"{"resultCode":"000000""#), "{}", says());
        if self.is_exact {
            self.check_exactly(ticket, answer);
        }
        let order = self.order(ticket);
        match (self.kind(ticket), &mut self.work) {
            (Kind::New, Work::New(Some(kept))) => {
                body_sign::verify_header(&self.key, "Body-Sign", answer.body_sign, answer.body).unwrap();
                let reply: serde_json::Value = serde_json::from_slice(answer.body).unwrap();
                let instance_id = reply["instanceId"].as_str().unwrap().to_owned();
                let (body_sign, body) = (answer.body_sign.to_owned(), answer.body.to_vec());
                kept.push(Recorded { order, instance_id, body_sign, body });
            }
            (Kind::Replay, Work::Replay(recorded) | Work::Mixed(recorded)) => {
                let first = chosen(recorded, ticket);
                assert_eq!((&*first.body_sign, &*first.body), (answer.body_sign, answer.body), "not verbatim");
            }
            (Kind::Query, Work::Query(recorded) | Work::Mixed(recorded)) => {
                let id = &chosen(recorded, ticket).instance_id;
                assert!(answer.body.windows(id.len()).any(|part| part == id.as_bytes()), "{}", says());
            }
            (_, Work::Fixed(first)) => {
                let first = first.get_or_insert_with(|| answer.body.to_vec());
                assert_eq!(first, answer.body, "not verbatim");
            }
            _ => {}
        }
    }

    /// A new order is answered with its first businessId, a query with the access data; a repeat is compared with what was
    /// recorded, which had to pass here.
    fn check_exactly(&self, ticket: Ticket, answer: &Answer<'_>) {
        let expected = match (self.kind(ticket), &self.work) {
            (Kind::New, _) => {
                let id = self.business_id(ticket);
                format!(r#"{{"resultCode":"000000","resultMsg":"success","instanceId":"{id}"}}"#)
            }
            (Kind::Query, Work::Query(recorded) | Work::Mixed(recorded)) => {
                let id = &chosen(recorded, ticket).instance_id;
                format!(
                    r#"{{"resultCode":"000000","resultMsg":"success","info":[{{"instanceId":"{id}","appInfo":{{"frontEndUrl":"https://app.example.com/{id}","adminUrl":"https://app.example.com/admin"}}}}]}}"#
                )
            }
            _ => return,
        };
        assert!(expected.as_bytes() == answer.body, "{} instead of {expected}", String::from_utf8_lossy(answer.body));
        body_sign::verify_header(&self.key, "Body-Sign", answer.body_sign, answer.body).unwrap();
    }

    fn body(&self, ticket: Ticket) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body_size);
        let business_id = self.business_id(ticket);
        let order = self.order(ticket);
        match (self.kind(ticket), &self.work) {
            (Kind::Query, Work::Query(recorded) | Work::Mixed(recorded)) => write!(
                body,
                r#"{{"activity":"queryInstance","businessId":"{business_id}","instanceId":"{}","#,
                chosen(recorded, ticket).instance_id
            ),
            _ => write!(body, r#"{{"activity":"newInstance","businessId":"{business_id}","orderId":"{order}","#)
                .and_then(|()| write!(body, r#""orderLineId":"{order}-000001","#)),
        }
        .unwrap();
        body.extend_from_slice(br#""testFlag":"0","padding":""#);
        body.resize(self.body_size - 2, b'x');
        body.extend_from_slice(b"\"}");
        body
    }

    /// businessIds are UUIDs: their index rows land anywhere, which costs more than rows in order.
    fn business_id(&self, ticket: Ticket) -> Uuid {
        Uuid::from_u64_pair(scattered(self.run ^ ticket.0), scattered(ticket.0))
    }

    fn order(&self, ticket: Ticket) -> String {
        match (self.kind(ticket), &self.work) {
            (Kind::Replay, Work::Replay(recorded) | Work::Mixed(recorded)) => chosen(recorded, ticket).order.clone(),
            _ => format!("CS{}{:08}", self.run, ticket.0),
        }
    }

    fn kind(&self, ticket: Ticket) -> Kind {
        match &self.work {
            Work::New(_) | Work::Fixed(_) => Kind::New,
            Work::Replay(_) => Kind::Replay,
            Work::Query(_) => Kind::Query,
            // Not the number by which an operation is chosen: then some of them would only ever be asked about.
            Work::Mixed(_) => match scattered(!ticket.0) % 10 {
                0..3 => Kind::New,
                3..6 => Kind::Replay,
                _ => Kind::Query,
            },
        }
    }
}

/// What one call is.
enum Kind {
    New,
    Replay,
    Query,
}

fn chosen(recorded: &[Recorded], ticket: Ticket) -> &Recorded {
    &recorded[usize::try_from(scattered(ticket.0)).unwrap() % recorded.len()]
}

/// SplitMix64: numbers in a row become numbers all over the place.
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
