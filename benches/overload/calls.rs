//! The calls of this benchmark, signed: purchases, their repeats, queries, freezes.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use koogate::protocol::key::AccessKey;
use koogate::protocol::signature::sign_v2;
use koogate::secret::Secret;

/// The access key of every server that is measured.
pub const KEY: &str = "11111111-2222-3333-4444-555555555555";

/// Bytes of a usual request's body, filled up with a member that nobody knows.
const BODY: usize = 1024;

/// Orders that are bought before a mix begins.
pub const BOUGHT: u64 = 256;

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Each call a new order.
    New,
    /// Half new orders, a quarter repeats, a quarter queries.
    Mix,
}

/// Writes calls, each with a nonce of its own.
pub struct Scribe {
    key: AccessKey,
    /// Tells the calls of one scribe from those of all others.
    run: u64,
    count: u64,
}

impl Scribe {
    pub fn new() -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        Self { key: AccessKey::new("bench".to_owned(), Secret::new(KEY.to_owned())), run, count: 0 }
    }

    /// The next call of this work.
    pub fn next(&mut self, work: Work) -> Vec<u8> {
        let (which, number) = (self.count % 4, self.count);
        match work {
            Work::Mix if which == 1 => self.purchase(&bought(scattered(number) % BOUGHT)),
            Work::Mix if which == 3 => self.query(&instance(&bought(scattered(number) % BOUGHT))),
            Work::New | Work::Mix => self.purchase(&format!("CS{}{number:08}", self.run)),
        }
    }

    /// A purchase of this order; the businessId, which becomes the id of the instance, is the order's too.
    pub fn purchase(&mut self, order: &str) -> Vec<u8> {
        let members = format!(
            r#""activity":"newInstance","businessId":"{}","orderId":"{order}","orderLineId":"{order}-000001""#,
            instance(order)
        );
        self.request(&members, BODY, false)
    }

    /// What KooGallery asks about an instance.
    pub fn query(&mut self, instance_id: &str) -> Vec<u8> {
        self.request(&format!(r#""activity":"queryInstance","instanceId":"{instance_id}""#), BODY, false)
    }

    /// A freeze or its end.
    pub fn status(&mut self, instance_id: &str, status: &str) -> Vec<u8> {
        let members = format!(r#""activity":"updateInstanceStatus","instanceId":"{instance_id}","status":"{status}""#);
        self.request(&members, BODY, false)
    }

    /// A purchase that another key has signed, with a body of this size.
    pub fn forged(&mut self, size: usize) -> Vec<u8> {
        self.request(r#""activity":"newInstance","orderId":"CS1","orderLineId":"CS1-000001""#, size, true)
    }

    fn request(&mut self, members: &str, size: usize, forged: bool) -> Vec<u8> {
        self.count += 1;
        let mut body = format!(r#"{{{members},"testFlag":"0","padding":""#).into_bytes();
        body.resize(size - 2, b'x');
        body.extend_from_slice(b"\"}");
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
        let nonce = format!("{:x}-{:x}", self.run, self.count);
        let signature = if forged { "0".repeat(64) } else { sign_v2(&self.key, &timestamp, &nonce, &body) };
        let mut request = Vec::with_capacity(body.len() + 512);
        write!(
            request,
            "POST /saasproduce?signature={signature}&timestamp={timestamp}&nonce={nonce} HTTP/1.1\r\n\
             Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        request.extend_from_slice(&body);
        request
    }
}

/// An order that is bought before the mix begins.
pub fn bought(number: u64) -> String {
    format!("CSBOUGHT{number:04}")
}

/// The instance of an order.
pub fn instance(order: &str) -> String {
    format!("i-{order}")
}

/// SplitMix64: numbers in a row become numbers all over the place.
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// HTTP 200 with this result code.
    Code([u8; 6]),
    /// Another status.
    Status(u16),
}

/// A whole answer at the beginning of these bytes, and whether the connection ends with it; `None` while there is more
/// to come.
pub fn answer(bytes: &[u8]) -> Option<(Said, bool)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let header = |name: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let (body, length) = (&bytes[end + 4..], header("Content-Length")?.parse::<usize>().ok()?);
    let status: u16 = head.get(9..12)?.parse().ok()?;
    if body.len() < length {
        return None;
    }
    let code = body.strip_prefix(br#"{"resultCode":""#).and_then(|rest| rest.get(..6)?.try_into().ok());
    let said = code.filter(|_| status == 200).map_or(Said::Status(status), Said::Code);
    Some((said, header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))))
}
