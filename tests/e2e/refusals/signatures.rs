//! Who is let in: the V2 signature as it is checked over HTTP, the freshness of the time stamp, the memory of nonces
//! (V2 signature, KooGallery access guide).

use ring::{digest, hmac};

use super::{Journal, refused, shop};
use crate::harness::{Application, KEY, Signed, nonce, now_ms};
use crate::shop::{FIXED, Shop};

/// The body that every test here signs or misuses: compact and sorted, so that the raw and the sorted form are one.
const BODY: &str = "{\"activity\":\"newInstance\",\"businessId\":\"b-1\",\"orderId\":\"CS1\",\
    \"orderLineId\":\"CS1-000001\",\"testFlag\":\"0\"}";

/// A call that is nobody's.
fn stranger(shop: &Shop, what: &str, query: &str, code: &str) {
    refused(shop, what, ("POST", &format!("/saasproduce?{query}"), BODY.as_bytes()), code, Journal::Nothing);
}

/// A call that must be let in.
fn let_in(shop: &Shop, what: &str, query: &str, body: &str) {
    let answer = shop.koogate.post(&format!("/saasproduce?{query}"), body.as_bytes()).unwrap();
    assert_eq!(answer.code(), "000000", "{what}: {}", answer.json());
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(bytes.as_ref())
}

fn hmac_hex(data: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), data.as_bytes()))
}

fn signed() -> Signed {
    Signed::now(KEY, BODY.as_bytes())
}

#[test]
fn a_parameter_that_is_missing_empty_or_ill_formed_is_refused_in_the_documented_order() {
    let shop = shop();
    let Signed { timestamp, nonce, signature } = signed();
    let (t, n, s) = (format!("timestamp={timestamp}"), format!("nonce={nonce}"), format!("signature={signature}"));
    let cases = [
        ("nothing", String::new(), "000002"),
        ("no timestamp", format!("{s}&{n}"), "000002"),
        ("no nonce", format!("{s}&{t}"), "000002"),
        ("no signature", format!("{t}&{n}"), "000001"),
        ("an empty timestamp", format!("{s}&{n}&timestamp="), "000002"),
        ("an empty nonce", format!("{s}&{t}&nonce="), "000002"),
        ("an empty signature", format!("{t}&{n}&signature="), "000001"),
        ("names in another case", format!("Signature={signature}&Timestamp={timestamp}&Nonce={nonce}"), "000002"),
        ("a timestamp with a letter", format!("{s}&{n}&timestamp={timestamp}x"), "000002"),
        ("a negative timestamp", format!("{s}&{n}&timestamp=-{timestamp}"), "000002"),
        ("a timestamp with a blank", format!("{s}&{n}&timestamp=+{timestamp}"), "000002"),
        ("a timestamp too great for a number", format!("{s}&{n}&timestamp={}", "9".repeat(40)), "000002"),
        ("a query that is not UTF-8", format!("{s}&{n}&{t}&x=%ff"), "000002"),
        ("a signature cut short", format!("{t}&{n}&signature={}", &signature[1..]), "000001"),
        ("a signature too long", format!("{t}&{n}&{s}0"), "000001"),
        ("a signature that is not hex", format!("{t}&{n}&signature={}", "g".repeat(64)), "000001"),
        // Steps 1 and 2 come before step 3.
        ("no nonce and no signature", t.clone(), "000002"),
        ("old and without signature", format!("{n}&timestamp=1680508066618"), "000002"),
    ];
    for (what, query, code) in cases {
        stranger(&shop, what, &query, code);
    }
    let_in(&shop, "all three", &format!("{t}&{n}&{s}"), BODY);
}

#[test]
fn a_signature_by_another_key_formula_or_for_another_call_is_000001() {
    let shop = shop();
    let now = now_ms();
    let right = Signed::at(KEY, BODY.as_bytes(), now, &nonce());
    let (timestamp, nonce) = (&right.timestamp, &right.nonce);
    let outer = |inner: &str| hmac_hex(&format!("{KEY}{nonce}{timestamp}{inner}"));
    assert_eq!(outer(&hmac_hex(BODY)), right.signature, "the helper knows the right formula");
    let descending = "{\"testFlag\":\"0\",\"orderLineId\":\"CS1-000001\",\"orderId\":\"CS1\",\"businessId\":\"b-1\",\
        \"activity\":\"newInstance\"}";
    let cases = [
        ("another key", Signed::at("another key", BODY.as_bytes(), now, nonce).signature),
        ("a changed body", Signed::at(KEY, BODY.replace("CS1", "CS2").as_bytes(), now, nonce).signature),
        ("the kit's formula", outer(BODY)),
        ("a plain SHA-256 inside", outer(&hex(digest::digest(&digest::SHA256, BODY.as_bytes())))),
        ("an inner hash in upper case", outer(&hmac_hex(BODY).to_uppercase())),
        ("members in descending order", outer(&hmac_hex(descending))),
        ("the body's hash alone", hmac_hex(BODY)),
        ("timestamp before nonce", hmac_hex(&format!("{KEY}{timestamp}{nonce}{}", hmac_hex(BODY)))),
        ("zeros", "0".repeat(64)),
    ];
    for (what, signature) in cases {
        stranger(&shop, what, &format!("signature={signature}&timestamp={timestamp}&nonce={nonce}"), "000001");
    }
    // Stamp and nonce are signed too.
    let (later, other) = (now + 1_000, crate::harness::nonce());
    let signature = &right.signature;
    stranger(&shop, "another timestamp", &format!("signature={signature}&timestamp={later}&nonce={nonce}"), "000001");
    stranger(&shop, "another nonce", &format!("signature={signature}&timestamp={timestamp}&nonce={other}"), "000001");
    let_in(&shop, "the right one", &right.query(), BODY);
}

#[test]
fn a_call_from_more_than_a_minute_away_is_000002_and_one_from_less_is_let_in() {
    let shop = shop();
    let at = |ahead_ms: i64| Signed::at(KEY, BODY.as_bytes(), now_ms() + ahead_ms, &nonce()).query();
    // The clock goes on while a call travels: the exact bound is tested where the clock is an argument.
    let future = [90_000, 3_600_000, 100 * 366 * 86_400_000];
    for ahead_ms in [-60_001, -3_600_000].into_iter().chain(future) {
        let target = format!("/saasproduce?{}", at(ahead_ms));
        let what = format!("{ahead_ms} ms ahead");
        let answer = refused(&shop, &what, ("POST", &target, BODY.as_bytes()), "000002", Journal::Nothing);
        assert!(answer.json()["resultMsg"].as_str().unwrap().contains("clock"), "{}", answer.json());
    }
    for ahead_ms in [-30_000, 0, 59_999] {
        let_in(&shop, &format!("{ahead_ms} ms ahead"), &at(ahead_ms), BODY);
    }
}

#[test]
fn times_ahead_are_let_in_where_the_configuration_says_so_and_old_ones_never() {
    let sections = "[signature]\nreject_future_timestamps = false\n";
    let shop = Shop::with_products(Application::ready(), sections, FIXED);
    let at = |ahead_ms: i64| Signed::at(KEY, BODY.as_bytes(), now_ms() + ahead_ms, &nonce()).query();
    let_in(&shop, "an hour ahead", &at(3_600_000), BODY);
    stranger(&shop, "a minute old", &at(-60_001), "000002");
}

#[test]
fn every_documented_way_to_sign_is_let_in() {
    let shop = shop();
    let Signed { timestamp, nonce, signature } = signed();
    let_in(&shop, "lower case", &format!("signature={signature}&timestamp={timestamp}&nonce={nonce}"), BODY);

    let Signed { timestamp, nonce, signature } = signed();
    let upper = signature.to_uppercase();
    let_in(&shop, "upper case", &format!("nonce={nonce}&signature={upper}&timestamp={timestamp}"), BODY);

    // One page says "seconds".
    let seconds = Signed::at(KEY, BODY.as_bytes(), now_ms() / 1000, &crate::harness::nonce());
    let_in(&shop, "seconds", &seconds.query(), BODY);

    // Percent-decoded once; other parameters and repetitions do not count.
    let Signed { timestamp, signature, .. } = Signed::at(KEY, BODY.as_bytes(), now_ms(), "a+b/c=%20 调");
    let query = format!("x=1&signature={signature}&timestamp={timestamp}&nonce=a%2Bb%2Fc%3D%2520+%E8%B0%83&nonce=x");
    let_in(&shop, "an encoded nonce", &query, BODY);

    let long = Signed::at(KEY, BODY.as_bytes(), now_ms(), &"n".repeat(8_000));
    let_in(&shop, "a long nonce", &long.query(), BODY);
}

#[test]
fn the_body_may_be_signed_as_sent_or_in_its_sorted_form_with_and_without_nulls() {
    let shop = shop();
    let sent = "{ \"testFlag\": \"0\",\n \"orderId\":\"CS1\", \"orderLineId\":\"CS1-000001\", \"productId\":null, \
        \"memo\":\"\\u8c03/试\", \"businessId\":\"b-1\", \"activity\":\"newInstance\" }";
    let sorted = |nulls: &str| {
        format!(
            "{{\"activity\":\"newInstance\",\"businessId\":\"b-1\",\"memo\":\"调/试\",\"orderId\":\"CS1\",\
             \"orderLineId\":\"CS1-000001\",{nulls}\"testFlag\":\"0\"}}"
        )
    };
    for (what, payload) in
        [("raw", sent.to_owned()), ("sorted", sorted("")), ("sorted with nulls", sorted("\"productId\":null,"))]
    {
        let_in(&shop, what, &Signed::now(KEY, payload.as_bytes()).query(), sent);
    }
    assert_eq!(shop.count("instance"), 1);

    // What the configuration leaves out is not tried.
    shop.reload(&[KEY], "[signature]\npayload_candidates = [\"raw\"]\n", FIXED);
    let_in(&shop, "raw", &Signed::now(KEY, sent.as_bytes()).query(), sent);
    let target = format!("/saasproduce?{}", Signed::now(KEY, sorted("").as_bytes()).query());
    refused(&shop, "sorted", ("POST", &target, sent.as_bytes()), "000001", Journal::Nothing);
}

#[test]
fn a_nonce_counts_once_and_only_a_verified_call_uses_it_up() {
    let shop = shop();
    let nonce = nonce();
    let forged = Signed { signature: "0".repeat(64), ..Signed::at(KEY, BODY.as_bytes(), now_ms(), &nonce) };
    stranger(&shop, "a forged call", &forged.query(), "000001");
    let_in(&shop, "the first use", &Signed::at(KEY, BODY.as_bytes(), now_ms(), &nonce).query(), BODY);
    // The same call again, and another call with the same nonce.
    stranger(&shop, "a second use", &Signed::at(KEY, BODY.as_bytes(), now_ms() + 1, &nonce).query(), "000001");
    let target = format!("/saasproduce?{}", Signed::at(KEY, b"{}", now_ms(), &nonce).query());
    refused(&shop, "another call", ("POST", &target, b"{}"), "000001", Journal::Nothing);
}

#[test]
fn a_nonce_may_come_again_where_the_configuration_says_so() {
    let shop = Shop::with_products(Application::ready(), "[signature]\nnonce_replay_check = false\n", FIXED);
    // A whole request, recorded and played back.
    let recorded = signed().query();
    for what in ["first", "second"] {
        let_in(&shop, what, &recorded, BODY);
    }
}
