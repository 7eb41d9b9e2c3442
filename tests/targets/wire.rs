//! Bytes of the wire: heads of requests, query strings, addresses and times.

use jiff::tz::Offset;
use koogate::address::Address;
use koogate::http::{Head, Header, read_head};
use koogate::protocol::kit::domain::Domain;
use koogate::protocol::{query::Query, time};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::text;

const LIMIT: usize = 4096;

/// A head has one reading: however much of it has arrived, printed again, and by the plainest of readers.
pub fn head(data: &[u8]) {
    let verdict = read_head(data, LIMIT);
    if data.len() <= 600 {
        for end in 0..data.len() {
            let earlier = read_head(&data[..end], LIMIT);
            assert!(earlier == Ok(None) || earlier == verdict, "{end} bytes: {earlier:?}, all: {verdict:?}");
        }
    }
    let Ok(Some((length, head))) = verdict else { return };
    let bytes = &data[..length];
    agrees_with_the_plainest_reader(bytes, &head);
    let printed = print(&head);
    let (again_length, again) = read_head(printed.as_bytes(), 2 * LIMIT).unwrap().unwrap();
    assert_eq!(again_length, printed.len());
    assert_eq!((&again.method, &again.target, &again.headers), (&head.method, &head.target, &head.headers));
    assert_eq!((again.body_length, again.keep_alive), (head.body_length, head.keep_alive));
}

fn print(head: &Head) -> String {
    let headers = &head.headers.0;
    let is = |header: &Header, name: &str| header.field.as_str().as_str().eq_ignore_ascii_case(name);
    let closes = |header: &Header| {
        let mut options = header.value.as_str().split(',');
        is(header, "Connection") && options.any(|option| option.trim().eq_ignore_ascii_case("close"))
    };
    // HTTP/1.1 without Connection: close is kept; HTTP/1.0 never is.
    let has_host = headers.iter().any(|header| is(header, "Host"));
    let version = if head.keep_alive || (has_host && headers.iter().any(closes)) { 1 } else { 0 };
    let lines: String = headers.iter().map(|header| format!("{}: {}\r\n", header.field, header.value)).collect();
    format!("{} {} HTTP/1.{version}\r\n{lines}\r\n", head.method, head.target)
}

/// Lines at CRLF, names up to the colon, nothing else: what is left to disagree on is nothing.
fn agrees_with_the_plainest_reader(bytes: &[u8], head: &Head) {
    let all = text(bytes).expect("ASCII only");
    assert!(all.is_ascii() && all.bytes().all(|byte| !byte.is_ascii_control() || b"\r\n\t".contains(&byte)));
    let plain = all.strip_prefix("\r\n").unwrap_or(all).strip_suffix("\r\n\r\n").expect("an empty line at the end");
    assert!(!plain.replace("\r\n", "").contains(['\r', '\n']), "a line end of another kind");
    let mut lines = plain.split("\r\n");
    let request: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(
        matches!(request[..], [method, _, "HTTP/1.0" | "HTTP/1.1"] if method == head.method.as_str()),
        "{request:?}"
    );
    assert!(request[1].ends_with(head.target.as_str()) || head.target.starts_with('/'), "{request:?}");
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(':').expect("a colon")).collect();
    let seen = head.headers.0.iter().map(|header| (header.field.as_str().as_str(), header.value.as_str()));
    let trimmed = headers.iter().map(|(name, value)| (*name, value.trim_matches([' ', '\t'])));
    assert!(seen.eq(trimmed), "{:?}", head.headers);
    let values = |name: &str| -> Vec<&str> {
        let named = headers.iter().filter(|(candidate, _)| candidate.trim().eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim_matches([' ', '\t'])).collect()
    };
    assert_eq!(values("transfer-encoding"), Vec::<&str>::new());
    match values("content-length")[..] {
        [] => assert_eq!(head.body_length, 0),
        [digits] => {
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty());
            assert_eq!(head.body_length, digits.parse().unwrap_or(u64::MAX));
        }
        ref several => panic!("{several:?}"),
    }
    assert!(values("host").len() <= 1 && (values("host").len() == 1 || request[2] == "HTTP/1.0"));
}

/// What was decoded comes back when it is encoded, and the first of a name counts.
pub fn query(data: &[u8]) {
    let Some(raw) = text(data) else { return };
    let Ok(query) = Query::parse(raw) else { return };
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let encoded: Vec<String> =
        query.pairs().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let encoded = encoded.join("&");
    let again = Query::parse(&encoded).unwrap();
    assert!(again.pairs().eq(query.pairs()), "{encoded}");
    for (name, _) in query.pairs().take(20) {
        let first = query.pairs().find(|(candidate, _)| *candidate == name).map(|(_, value)| value);
        assert_eq!(query.first(name), first);
    }
    assert!(query.pairs().len() <= raw.split('&').count());
}

/// What may be called is one host, and taking it apart loses nothing.
pub fn hosts(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(address) = Address::parse(text) {
        assert_eq!(format!("{}{}", address.origin, address.rest), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        let (scheme, host) = address.origin.split_once("://").unwrap();
        assert!(!host.is_empty() && !host.contains(['/', '?', '#', '@', '\\']), "{text:?}");
        assert_eq!(address.is_plain, scheme.eq_ignore_ascii_case("http"));
        assert!(!address.is_plain || address.is_local, "plain http over a network: {text:?}");
    }
    if let Ok(domain) = Domain::parse(text) {
        let printed = domain.as_str();
        assert_eq!(Domain::parse(printed).unwrap(), domain, "printed and read again");
        let rest = printed.strip_prefix("https://").unwrap();
        assert!(rest.is_ascii() && !rest.contains(['/', '?', '#', '@', '\\', ' ']), "{printed:?}");
    }
}

/// What is read is printed and read again; an offset moves the instant by itself.
pub fn time(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(instant) = time::parse(text) {
        assert!(matches!(text.len(), 14 | 17) && text.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(time::parse_spaced(text), Ok(instant));
        // The last hours of that year lie beyond the greatest instant and become it.
        if !text.starts_with("9999") {
            let printed = time::print_milliseconds(instant);
            assert_eq!(&printed[..text.len()], text);
            let moved = time::parse_at(text, Offset::constant(8)).map(|moved| instant.duration_since(moved).as_hours());
            assert_eq!(moved, Ok(8), "{text}");
        }
    }
    if let Ok(instant) = time::parse_spaced(text)
        && !text.starts_with("9999")
    {
        assert_eq!(time::parse(&time::print_milliseconds(instant)), Ok(instant), "{text}");
    }
}
