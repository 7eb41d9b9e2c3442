//! The head's verdicts as a table, and two properties: no bytes panic, and no cut into packets changes a verdict.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 48 << 10;

/// A stream of bytes read as the door reads it, cut at the given places: the head, or why it is refused, or `None`
/// while more is needed.
fn read(bytes: &[u8], cuts: &[usize], limit: usize) -> Result<Option<(usize, Head)>, Refusal> {
    let mut scanner = HeadScanner::new(limit);
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    for end in ends {
        if let Some(length) = scanner.advance(&bytes[..end])? {
            return parse(&bytes[..length]).map(|head| Some((length, head)));
        }
    }
    Ok(None)
}

fn whole(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    read(bytes, &[], LIMIT).map(|found| found.map(|(_, head)| head))
}

fn accepted(bytes: &str) -> Head {
    whole(bytes.as_bytes()).unwrap_or_else(|refusal| panic!("{bytes:?}: {refusal:?}")).expect(bytes)
}

/// A request line and headers in between a sound beginning and the end.
fn with_headers(lines: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn every_malformed_head_gets_its_refusal() {
    use Refusal::*;
    let headers = |count: usize| with_headers(&"X: y\r\n".repeat(count));
    let table: Vec<(String, Refusal)> = [
        // Line ends.
        ("GET / HTTP/1.1\nHost: a\n\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineFeed),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", BareCarriageReturn),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n", BareCarriageReturn),
        ("\r\n\r\n", RequestLine),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        // The request line.
        ("GET /\r\n\r\n", RequestLine),
        ("GET\r\n\r\n", RequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
        ("PRI * HTTP/2.0\r\n\r\n", Version),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", Version),
        // The target.
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Connect),
        // Bytes.
        ("GET /ü HTTP/1.1\r\nHost: a\r\n\r\n", ForbiddenByte),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", ForbiddenByte),
        ("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", ForbiddenByte),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x0b\r\n\r\n", ForbiddenByte),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 商店\r\n\r\n", ForbiddenByte),
        ("\x16\x03\x01\x02\0\x01", ForbiddenByte),
        // Header lines.
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tfolded\r\n\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", HeaderLine),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(Y): z\r\n\r\n", HeaderLine),
        // Host.
        ("GET / HTTP/1.1\r\n\r\n", HostMissing),
        ("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", HostRepeated),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a%4\r\n\r\n", HostMalformed),
        ("GET / HTTP/1.1\r\nHost: a%zzb\r\n\r\n", HostMalformed),
    ]
    .into_iter()
    .map(|(text, refusal)| (text.to_owned(), refusal))
    .chain(
        [
            // Where the body ends.
            ("Content-Length: 1O\r\n", LengthMalformed),
            ("Content-Length: +5\r\n", LengthMalformed),
            ("Content-Length: -5\r\n", LengthMalformed),
            ("Content-Length: 0x5\r\n", LengthMalformed),
            ("Content-Length: 5.0\r\n", LengthMalformed),
            ("Content-Length: 5 5\r\n", LengthMalformed),
            ("Content-Length: 5, 5\r\n", LengthMalformed),
            ("Content-Length:\r\n", LengthMalformed),
            ("Content-Length : 5\r\n", HeaderLine),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", LengthRepeated),
            ("Content-Length: 5\r\ncontent-length: 6\r\n", LengthRepeated),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LengthAndCoding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", LengthAndCoding),
            ("Transfer-Encoding: chunked\r\n", TransferCoding),
            ("transfer-encoding: identity\r\n", TransferCoding),
            ("Transfer-Encoding: xchunked\r\n", TransferCoding),
            ("Transfer-Encoding:\r\n", TransferCoding),
            ("Expect: 200-ok\r\n", Expectation),
            ("Expect: 100-continue\r\nExpect: more\r\n", Expectation),
        ]
        .map(|(lines, refusal)| (with_headers(lines), refusal)),
    )
    .chain([
        // Sizes. Host is the 64th header.
        (headers(64), TooManyHeaders),
        (headers(1000), TooManyHeaders),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(LIMIT)), HeadTooLarge),
        (with_headers(&format!("X: {}\r\n", "y".repeat(LIMIT))), HeadTooLarge),
        ("X".repeat(LIMIT), HeadTooLarge),
    ])
    .collect();
    for (text, expected) in table {
        assert_eq!(whole(text.as_bytes()), Err(expected), "{:.200}", text.escape_debug().to_string());
    }
}

#[test]
fn well_formed_targets_arrive_as_path_and_query() {
    for (line, method, target) in [
        ("GET / HTTP/1.1", "GET", "/"),
        ("GET /a?b=c?d&e=%2F HTTP/1.1", "GET", "/a?b=c?d&e=%2F"),
        ("GET //a/../b HTTP/1.1", "GET", "//a/../b"),
        ("GET /{\"a\":\"b\"} HTTP/1.1", "GET", "/{\"a\":\"b\"}"),
        ("GET http://a:80/b?c HTTP/1.1", "GET", "/b?c"),
        ("GET HTTPS://[::1] HTTP/1.1", "GET", "/"),
        ("GET http://a?b HTTP/1.1", "GET", "/?b"),
        ("GET /http://a HTTP/1.1", "GET", "/http://a"),
        ("OPTIONS * HTTP/1.1", "OPTIONS", "*"),
        ("BREW /pot HTTP/1.1", "BREW", "/pot"),
        ("get / HTTP/1.1", "get", "/"),
    ] {
        let head = accepted(&format!("{line}\r\nHost: a\r\n\r\n"));
        assert_eq!((head.method.as_str(), head.target.as_str()), (method, target), "{line}");
    }
}

#[test]
fn the_length_of_the_body_is_what_content_length_says() {
    for (lines, length) in [
        ("", 0),
        ("Content-Length: 0\r\n", 0),
        ("content-length:  42  \r\n", 42),
        ("Content-Length: 007\r\n", 7),
        ("Content-Length: 1000000000000000\r\n", 1_000_000_000_000_000),
        ("Content-Length: 99999999999999999999999999\r\n", u64::MAX),
        ("X-Content-Length: 5\r\n", 0),
    ] {
        assert_eq!(accepted(&with_headers(lines)).body_length, length, "{lines}");
    }
}

#[test]
fn only_http_1_1_without_close_keeps_the_connection() {
    for (version, lines, keeps) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: Upgrade, CLOSE\r\n", false),
        ("1.1", "Connection: upgrade\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", false),
    ] {
        let head = accepted(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(head.keep_alive, keeps, "{version} {lines}");
    }
}

#[test]
fn only_http_1_1_clients_are_invited_to_send_a_body() {
    assert!(accepted("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").expects_continue);
    assert!(!accepted("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
    assert!(!accepted("POST / HTTP/1.1\r\nHost: a\r\n\r\n").expects_continue);
}

#[test]
fn every_form_of_a_host_is_taken() {
    for host in
        ["a", "A.example.com.", "my_shop", "192.0.2.1:80", "[2001:db8::1]", "[::1]:65535", "a:", "a%2Db", "a%2d"]
    {
        accepted(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        accepted(&format!("GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
}

#[test]
fn headers_keep_their_order_spelling_and_repetitions() {
    let head = accepted("GET / HTTP/1.1\r\nhOst: a\r\nX:\ta b \t\r\nx: \r\n\r\n");
    let headers = head.headers.0.iter().map(|header| (header.field.as_str().as_str(), header.value.as_str()));
    assert_eq!(headers.collect::<Vec<_>>(), [("hOst", "a"), ("X", "a b"), ("x", "")]);
}

#[test]
fn sixty_four_headers_and_one_empty_line_before_the_request_are_fine() {
    assert_eq!(accepted(&with_headers(&"X: y\r\n".repeat(MAX_HEADERS - 1))).headers.0.len(), MAX_HEADERS);
    assert_eq!(accepted("\r\nGET / HTTP/1.0\r\n\r\n").target, "/");
}

#[test]
fn a_head_may_be_exactly_as_large_as_the_limit() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(matches!(read(bytes, &[], bytes.len()), Ok(Some(_))));
    assert_eq!(read(bytes, &[], bytes.len() - 1), Err(Refusal::HeadTooLarge));
}

#[test]
fn what_follows_the_head_is_left_alone() {
    let (length, _) = read(b"GET / HTTP/1.0\r\n\r\n\n\0garbage", &[], LIMIT).unwrap().unwrap();
    assert_eq!(length, b"GET / HTTP/1.0\r\n\r\n".len());
}

#[test]
fn a_head_without_its_end_is_waited_for() {
    for bytes in ["", "\r", "\r\n", "G", "GET / HTTP/1.1\r\nHost: a\r\n\r", "GET / HTTP/2.0\r\n", "GET / HTTP/1.1\r"] {
        assert_eq!(whole(bytes.as_bytes()), Ok(None), "{bytes:?}");
    }
}

/// Bytes that look like requests often enough to get past the first checks.
fn request_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "GET ",
            "POST ",
            "/",
            "*",
            "http://a",
            "?q=1",
            " HTTP/1.1",
            " HTTP/1.0",
            " HTTP/2.0",
            "\r\n",
            "\r\n\r\n",
            "\n",
            "\r",
            " ",
            "\t",
            ":",
            "Host: a",
            "Content-Length: 5",
            "Content-Length: 1O",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Connection: close",
            "GET / HTTP/1.1\r\nHost: a\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_cut_changes_the_verdict(
        bytes in request_like(),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        limit in prop::sample::select(vec![16usize, 40, 80, LIMIT]),
    ) {
        let expected = read(&bytes, &[], limit);
        prop_assert_eq!(&read(&bytes, &cuts, limit), &expected);
        let each: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(read(&bytes, &each, limit), expected);
    }

    #[test]
    fn parsing_bytes_that_were_never_scanned_does_not_panic_either(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
