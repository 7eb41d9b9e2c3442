//! Who may call: the ten calls under both signatures, and everything that is turned away before the body counts.

use serde_json::json;

use crate::harness::{KEY, Scratch, Signed, nonce, now_ms, send};
use crate::kit_call::{
    GENERATIONS, Generation, KIT_KEY, KIT_KEYS, SILENT, Sync, V1, V2, application, auth_token, call, call_with, five,
    folder, post, tenant, x_sign,
};
use crate::shop::{Shop, count, new_item};
use crate::token_get::assert_signed;

type Headers = Vec<(&'static str, String)>;

/// Nothing of a call was taken: neither applied nor written down.
fn untouched(shop: &Shop) {
    assert_eq!((shop.directory_sizes(), shop.count("exchange"), shop.count("job")), ([0; 5], 0, 0));
}

/// A refusal that a caller can verify.
fn refused(shop: &Shop, code: &str, path: &str, headers: &Headers, body: &[u8]) {
    let answer = post(&shop.koogate, path, headers, body);
    assert_signed(KIT_KEY, &answer);
    assert_eq!(answer.code(), code, "{path} {headers:?}: {}\n{}", answer.json(), shop.koogate.log_text());
    assert!(answer.json()["resultMsg"].as_str().is_some_and(|message| !message.is_empty()));
}

#[test]
fn each_of_the_ten_calls_is_taken_and_its_answer_is_signed() {
    for generation in GENERATIONS {
        let shop = Shop::with_kit();
        for sync in five("i-1") {
            for _ in 0..2 {
                let answer = shop.sync_by(generation, "000000", &sync);
                let members = answer.json().as_object().unwrap().len();
                assert!(members == 2 && answer.json()["resultMsg"].is_string(), "{}", answer.json());
            }
        }
        assert_eq!(shop.directory_sizes(), [1, 1, 1, 1, 2], "{generation:?}");
        let rows = shop.scratch.run_json(&["exchange", "list", "--json"]);
        let expected = if generation == V1 { "kit-v1" } else { "kit-v2" };
        assert!(rows.len() == 10 && rows.iter().all(|row| row["family"] == expected), "{rows:?}");
    }
}

#[test]
fn the_documentations_example_of_a_token_and_a_signature_is_what_the_tests_sign() {
    let sync = tenant("huaiweitest123456").with("timeStamp", "20220413093539534");
    let key = "11111111-2222-3333-4444-555555555555";
    assert_eq!(auth_token(key, &sync.1), "BB+PUQfTFFKslre1kz2d6bOov9NWrxb/L1FRkBLwPtc=");
    let nonce = "50D83FDECAED6CCD8EF597F2A577950527928BA287D04E6036E92B2806FD17DA";
    let sign = x_sign(key, nonce, "1680508066618", sync.1.to_string().as_bytes());
    assert_eq!(sign.to_lowercase(), "948ea54fb619f70729d2c99d4b9ec2714434133464fb41abc8024a09113494ae");
}

#[test]
fn wrong_keys_and_the_key_of_the_basic_interfaces_are_refused() {
    let shop = Shop::with_kit();
    for generation in GENERATIONS {
        for sync in five("i-1") {
            for key in ["another-key-0123456789", KEY] {
                let headers = sync.headers(generation, key);
                refused(&shop, "000001", &sync.path(generation), &headers, &sync.bytes());
            }
        }
    }
    untouched(&shop);
}

#[test]
fn a_signature_of_one_interface_or_generation_is_none_of_another() {
    // One key for all, so that only the formula tells them apart.
    let scratch = folder(SILENT);
    scratch.configure(&[KIT_KEY], KIT_KEYS, SILENT);
    let shop = Shop { koogate: scratch.serve(), application: crate::harness::Application::ready(), scratch };
    let sync = tenant("i-1");
    let body = sync.bytes();
    let basic = Signed::now(KIT_KEY, &body);
    let headers = vec![("x-sign", basic.signature), ("x-timestamp", basic.timestamp), ("x-nonce", basic.nonce)];
    refused(&shop, "000001", &sync.path(V2), &headers, &body);
    // In the query instead of the headers.
    refused(&shop, "000002", &format!("{}?{}", sync.path(V2), Signed::now(KIT_KEY, &body).query()), &vec![], &body);
    refused(&shop, "000002", &sync.path(V2), &sync.headers(V1, KIT_KEY), &body);
    refused(&shop, "000001", &sync.path(V1), &sync.headers(V2, KIT_KEY), &body);

    let purchase = new_item("CS1", "P1").to_string();
    let (timestamp, nonce) = (now_ms().to_string(), nonce());
    let signature = x_sign(KIT_KEY, &nonce, &timestamp, purchase.as_bytes());
    let target = format!("/saasproduce?signature={signature}&timestamp={timestamp}&nonce={nonce}");
    let answer = shop.koogate.post(&target, purchase.as_bytes()).unwrap();
    assert_signed(KIT_KEY, &answer);
    assert_eq!((answer.code().as_str(), shop.count("instance")), ("000001", 0));
    // A kit call at the production address itself is none of the basic interfaces.
    let answer = post(&shop.koogate, "/saasproduce", &sync.headers(V2, KIT_KEY), &body);
    assert_ne!(answer.code(), "000000");
    untouched(&shop);
}

#[test]
fn missing_and_ill_formed_headers_are_refused_with_their_codes() {
    let shop = Shop::with_kit();
    for sync in five("i-1") {
        let (path, body) = (sync.path(V2), sync.bytes());
        let good = || sync.headers(V2, KIT_KEY);
        for (name, absent, ill) in [("x-sign", "000001", "000001"), ("x-timestamp", "000002", "000002")] {
            let without: Headers = good().into_iter().filter(|(header, _)| *header != name).collect();
            refused(&shop, absent, &path, &without, &body);
            for value in ["", "zz"] {
                let with = |(header, old)| (header, if header == name { value.to_owned() } else { old });
                refused(&shop, ill, &path, &good().into_iter().map(with).collect(), &body);
            }
        }
        let without: Headers = good().into_iter().filter(|(header, _)| *header != "x-nonce").collect();
        refused(&shop, "000002", &path, &without, &body);
        refused(&shop, "000002", &path, &vec![], &body);
        let path = sync.path(V1);
        for headers in [vec![], vec![("authToken", String::new())], vec![("authToken", "\"\"".to_owned())]] {
            refused(&shop, "000001", &path, &headers, &body);
        }
        refused(&shop, "000001", &path, &vec![("authToken", "no base64!".to_owned())], &body);
        for stamp in [json!(null), json!("")] {
            let stampless = sync.clone().with("timeStamp", stamp);
            refused(&shop, "000002", &path, &stampless.headers(V1, KIT_KEY), &stampless.bytes());
        }
        let stampless = sync.clone().without("timeStamp");
        refused(&shop, "000002", &path, &stampless.headers(V1, KIT_KEY), &stampless.bytes());
    }
    for body in ["", "no JSON", "[]", "null", "\u{FEFF}"] {
        let (timestamp, nonce) = (now_ms().to_string(), nonce());
        let sign = x_sign(KIT_KEY, &nonce, &timestamp, body.as_bytes());
        let headers = vec![("x-sign", sign), ("x-timestamp", timestamp), ("x-nonce", nonce)];
        refused(&shop, "000002", &tenant("").path(V2), &headers, body.as_bytes());
        let token = auth_token(KIT_KEY, &json!({}));
        refused(&shop, "000002", &tenant("").path(V1), &vec![("authToken", token)], body.as_bytes());
    }
    assert_eq!(shop.directory_sizes(), [0; 5]);
    assert_eq!(shop.count("exchange WHERE result_code <> '000002' OR family <> 'kit-v2'"), 0, "signed nonsense only");
}

#[test]
fn stale_and_future_stamps_repeated_nonces_and_changed_members_are_refused() {
    let shop = Shop::with_kit();
    let sync = tenant("i-1");
    let path = sync.path(V2);
    for away in [-70_000, 70_000, -86_400_000, 86_400_000] {
        let stamp = (now_ms() + away).to_string();
        refused(&shop, "000002", &path, &sync.headers_at(KIT_KEY, &stamp, &nonce()), &sync.bytes());
    }
    let changed = sync.clone().with("name", "另一企业").bytes();
    refused(&shop, "000001", &path, &sync.headers(V2, KIT_KEY), &changed);
    refused(&shop, "000001", &path, &sync.headers(V2, KIT_KEY), &sync.clone().without("name").bytes());
    refused(&shop, "000001", &sync.path(V1), &sync.headers(V1, KIT_KEY), &changed);
    refused(&shop, "000001", &sync.path(V1), &sync.headers(V1, KIT_KEY), &sync.clone().with("more", "x").bytes());
    untouched(&shop);

    // A nonce that a forged call used up is still good for the genuine one, once, whatever the second one says.
    let headers = sync.headers(V2, KIT_KEY);
    refused(&shop, "000001", &path, &headers, &changed);
    assert_eq!(post(&shop.koogate, &path, &headers, &sync.bytes()).code(), "000000");
    refused(&shop, "000001", &path, &headers, &sync.bytes());
    let used = headers.iter().find(|(name, _)| *name == "x-nonce").unwrap().1.clone();
    let other = sync.clone().flag(0);
    refused(&shop, "000001", &path, &other.headers_at(KIT_KEY, &now_ms().to_string(), &used), &other.bytes());
    assert_eq!((shop.directory_sizes(), shop.count("exchange")), ([1, 1, 0, 0, 0], 1));
}

#[test]
fn headers_are_read_as_lenient_proxies_leave_them() {
    let shop = Shop::with_kit();
    let sync = tenant("i-1");
    let mut headers = sync.headers(V2, KIT_KEY);
    headers[0].1 = headers[0].1.to_lowercase();
    let upper: Vec<_> = headers.iter().map(|(name, value)| (name.to_uppercase(), format!(" {value} "))).collect();
    let upper: Vec<_> = upper.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(send(shop.koogate.address, "POST", &sync.path(V2), &upper, &sync.bytes()).unwrap().code(), "000000");
    let token = format!("\"{}\"", auth_token(KIT_KEY, &sync.1));
    let quoted = [("AUTHTOKEN", token.as_str())];
    assert_eq!(send(shop.koogate.address, "POST", &sync.path(V1), &quoted, &sync.bytes()).unwrap().code(), "000000");
}

#[test]
fn names_that_no_call_has_and_other_methods_are_refused_and_other_paths_are_not_there() {
    let shop = Shop::with_kit();
    let sync = tenant("i-1");
    for name in ["", "tenantsync", "tenantSync/", "userSync", "v2", "v2/", "v2/userSync", "v3/tenantSync", "v2/v2/x"] {
        for generation in GENERATIONS {
            let path = format!("/saasproduce/produceAPI/{name}");
            refused(&shop, "000002", &path, &sync.headers(generation, KIT_KEY), &sync.bytes());
        }
    }
    for path in [sync.path(V1), sync.path(V2), "/saasproduce/produceAPI/nothing".to_owned()] {
        for method in ["GET", "PUT", "DELETE"] {
            for query in ["", "?activity=newInstance&authToken=x"] {
                let answer = send(shop.koogate.address, method, &format!("{path}{query}"), &[], b"").unwrap();
                assert_eq!((answer.status, answer.code().as_str()), (200, "000002"), "{method} {path}");
                assert_signed(KIT_KEY, &answer);
            }
        }
    }
    for path in
        ["/produceAPI/tenantSync", "/saasproduceproduceAPI/tenantSync", "/saasproduce/produceAPI", "/saasproduce/x"]
    {
        let answer = post(&shop.koogate, path, &sync.headers(V1, KIT_KEY), &sync.bytes());
        assert_eq!(answer.status, 404, "{path}");
    }
    untouched(&shop);
}

#[test]
fn a_production_address_that_was_entered_with_a_slash_at_its_end_works_too() {
    let shop = Shop::with_kit();
    let sync = tenant("i-1");
    for generation in GENERATIONS {
        let path = sync.path(generation).replace("/produceAPI", "//produceAPI");
        assert_eq!(post(&shop.koogate, &path, &sync.headers(generation, KIT_KEY), &sync.bytes()).code(), "000000");
    }
}

#[test]
fn the_production_address_may_have_any_path() {
    for base in ["/x", "/a/b"] {
        let scratch = folder(SILENT);
        let server = format!("[server]\nlisten = \"127.0.0.1:0\"\nbase_path = \"{base}\"\n");
        scratch.configure(&[KEY], &format!("{KIT_KEYS}{server}"), SILENT);
        let koogate = scratch.serve();
        let sync = tenant("i-1");
        for generation in GENERATIONS {
            let path = sync.path(generation).replace("/saasproduce", base);
            let answer = post(&koogate, &path, &sync.headers(generation, KIT_KEY), &sync.bytes());
            assert_eq!((answer.status, answer.code().as_str()), (200, "000000"), "{path}");
        }
    }
}

#[test]
fn without_a_kit_key_everything_is_refused_signed_and_said_why() {
    let scratch = Scratch::new(SILENT);
    let koogate = scratch.serve();
    for generation in GENERATIONS {
        for sync in five("i-1") {
            for key in [KIT_KEY, KEY, ""] {
                let headers = sync.headers(generation, key);
                let answer = post(&koogate, &sync.path(generation), &headers, &sync.bytes());
                // The first key there is, whatever key was meant.
                assert_signed(KEY, &answer);
                assert_eq!(answer.code(), "000001");
            }
        }
    }
    assert_eq!((count(&scratch, "tenant"), count(&scratch, "exchange")), (0, 0));
    koogate.wait_for_log("no access key for kit-v");
}

#[test]
fn nothing_is_opened_before_the_signature_is_verified() {
    let shop = Shop::with_kit();
    let garbage = application("i-1", "app-1", "garbage");
    for generation in GENERATIONS {
        let headers = garbage.headers(generation, KEY);
        refused(&shop, "000001", &garbage.path(generation), &headers, &garbage.bytes());
        let spoilt = garbage.clone().with("clientId", "changed").bytes();
        refused(&shop, "000001", &garbage.path(generation), &garbage.headers(generation, KIT_KEY), &spoilt);
    }
    untouched(&shop);
    let headers = garbage.headers(V2, KIT_KEY);
    assert_eq!(post(&shop.koogate, &garbage.path(V2), &headers, &garbage.bytes()).code(), "000101");
    // Not for a repeated call either: its nonce is spent.
    refused(&shop, "000001", &garbage.path(V2), &headers, &garbage.bytes());
    assert_eq!(shop.koogate.log_text().matches("ALERT").count(), 1, "{}", shop.koogate.log_text());
}

#[test]
fn answers_of_v2_are_signed_as_it_is_set_and_those_of_v1_always() {
    let sections = "[signature]\nbody_sign_v2 = false\n";
    let shop = Shop::with_silent_kit(sections);
    let calls = [("000000", tenant("i-1")), ("000002", tenant("i-1").flag(9)), ("000101", application("", "a", "x"))];
    for (code, sync) in calls {
        let answer = call(&shop.koogate, V1, &sync);
        assert_eq!(answer.code(), code);
        for key in [KIT_KEY, KEY] {
            let answer = post(&shop.koogate, &sync.path(V2), &sync.headers(V2, key), &sync.bytes());
            let expected = if key == KIT_KEY { code } else { "000001" };
            assert_eq!((answer.header("Body-Sign"), answer.code().as_str()), (None, expected));
        }
        let answer = post(&shop.koogate, &sync.path(V1), &sync.headers(V1, KEY), &sync.bytes());
        assert_signed(KIT_KEY, &answer);
    }
}

#[test]
fn access_keys_are_rotated_by_a_reload_and_each_answer_is_signed_by_the_key_that_called() {
    let shop = Shop::with_silent_kit("");
    let new = "new-kit-key-9876543210";
    let both = KIT_KEYS.replace("kit = \"", "kit = [\"new-kit-key-9876543210\", \"").replace("\"\nkit_p", "\"]\nkit_p");
    let sync = tenant("i-1");
    let answers = |generation: Generation, key: &str, sync: &Sync| {
        post(&shop.koogate, &sync.path(generation), &sync.headers(generation, key), &sync.bytes()).code()
    };
    for generation in GENERATIONS {
        assert_eq!(answers(generation, new, &sync), "000001");
    }
    shop.reload(&[KEY], &both, SILENT);
    for generation in GENERATIONS {
        for key in [new, KIT_KEY] {
            assert_eq!(call_with(&shop.koogate, generation, key, &sync).code(), "000000");
        }
    }
    shop.reload(&[KEY], &KIT_KEYS.replace(KIT_KEY, new), SILENT);
    for generation in GENERATIONS {
        assert_eq!(answers(generation, KIT_KEY, &sync), "000001");
        assert_eq!(call_with(&shop.koogate, generation, new, &sync).code(), "000000");
    }
}

#[test]
fn the_greatest_age_of_v1_calls_counts_in_the_kits_own_zone() {
    let shop = Shop::with_silent_kit("[signature]\nv1_max_age = \"1h\"\n");
    let at = |hours: i8, ago: i64| {
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(ago);
        let text = jiff::tz::Offset::constant(hours).to_datetime(time).strftime("%Y%m%d%H%M%S%3f").to_string();
        tenant("i-1").with("timeStamp", text)
    };
    for (code, sync) in [("000000", at(8, 0)), ("000000", at(8, 50)), ("000002", at(8, 70)), ("000002", at(0, 0))] {
        let answer = post(&shop.koogate, &sync.path(V1), &sync.headers(V1, KIT_KEY), &sync.bytes());
        assert_eq!(answer.code(), code, "{sync:?}");
        // V2 has a stamp of its own among the headers.
        shop.sync("000000", &sync);
    }
    shop.sync_by(V1, "000002", &tenant("i-1").with("timeStamp", "yesterday"));
}
