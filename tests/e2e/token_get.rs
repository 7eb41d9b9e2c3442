//! KooGallery as it calls with GET (V1 basic, L1): tokens, encrypted fields and the bodies of its calls. Written from the
//! protocol and not with koogate's own functions, so that it is a second opinion about them.

use data_encoding::BASE64;
use libaes::Cipher;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};

use crate::harness::{Answer, KEY, Koogate, nonce, text};
use crate::shop::Shop;

/// The parameters of a call, not encoded, without timeStamp and authToken.
#[derive(Debug, Clone)]
pub struct Get(pub Vec<(String, String)>);

impl Get {
    /// An activity with these parameters.
    pub fn new(activity: &str, parameters: &[(&str, &str)]) -> Self {
        let all = [("activity", activity)].into_iter().chain(parameters.iter().copied());
        Self(all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// With another value of a parameter, which may be new.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(pair) => value.clone_into(&mut pair.1),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Without a parameter.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// The same call as the seller console's debugger makes it.
    pub fn as_test(&self) -> Self {
        self.clone().with("testFlag", "1")
    }

    /// A retry as KooGallery makes it: only the businessId is new.
    pub fn again(&self) -> Self {
        let has_one = self.0.iter().any(|(name, _)| name == "businessId");
        if has_one { self.clone().with("businessId", &format!("b-{}", nonce())) } else { self.clone() }
    }

    /// The value of a parameter.
    pub fn value(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| known == name).unwrap().1
    }

    /// The target of the request: fresh time stamp, right token, everything percent-encoded.
    pub fn target(&self, key: &str) -> String {
        self.target_at(key, &time_stamp())
    }

    /// The same with this time stamp.
    pub fn target_at(&self, key: &str, time_stamp: &str) -> String {
        let mut all = self.0.clone();
        all.push(("timeStamp".to_owned(), time_stamp.to_owned()));
        let token = token(key, &all);
        all.push(("authToken".to_owned(), token));
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> = all.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        format!("/saasproduce?{}", pairs.join("&"))
    }
}

/// `base64(HMAC-SHA256(access key + timeStamp, "name=value&…" sorted by name))`; names are ASCII and stand there once.
pub fn token(key: &str, parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = parameters.iter().filter(|(name, _)| name != "authToken").collect();
    sorted.sort();
    let time_stamp = &sorted.iter().find(|(name, _)| name == "timeStamp").unwrap().1;
    let joined: Vec<_> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    hmac_base64(&format!("{key}{time_stamp}"), joined.join("&").as_bytes())
}

/// `yyyyMMddHHmmssSSS`, UTC, now.
pub fn time_stamp() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d%H%M%S%3f").to_string()
}

fn hmac_base64(key: &str, data: &[u8]) -> String {
    BASE64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), data).as_ref())
}

/// Checks what KooGallery checks of every answer: the status, the type, the signature over the exact bytes.
pub fn assert_signed(key: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")), "{answer:?}");
    let expected = format!("sign_type=\"HMAC-SHA256\", signature=\"{}\"", hmac_base64(key, &answer.body));
    assert_eq!(answer.header("Body-Sign"), Some(expected.as_str()), "{}", text(&answer.body));
}

/// A call that must be answered with a right signature.
pub fn call_with(koogate: &Koogate, key: &str, call: &Get) -> Answer {
    let answer = koogate.get(&call.target(key));
    assert_signed(key, &answer);
    answer
}

/// The same with the scratch key.
pub fn call(koogate: &Koogate, get: &Get) -> Answer {
    call_with(koogate, KEY, get)
}

impl Shop {
    /// A GET that must be answered with this code.
    pub fn get(&self, code: &str, get: &Get) -> Answer {
        let answer = call(&self.koogate, get);
        assert_eq!(answer.code(), code, "{get:?}: {}\n{}", answer.json(), self.koogate.log_text());
        answer
    }

    /// A call that must be answered with 000000, and two retries of it that must get the same bytes.
    pub fn get_thrice(&self, get: &Get) -> Answer {
        let first = self.get("000000", get);
        for _ in 0..2 {
            assert_eq!(call(&self.koogate, &get.again()).verbatim(), first.verbatim(), "{get:?}");
        }
        first
    }
}

/// AES-CBC under the first bytes of Java's SHA1PRNG, the vector in front; `size` is the wire's encryptType.
pub fn encrypted(key: &str, size: &str, plain: &str) -> String {
    let iv = b"Abcdefgh12345678";
    let field = BASE64.encode(&cipher(key, size).cbc_encrypt(iv, plain.as_bytes()));
    format!("{}{field}", text(iv))
}

/// The plain text of a field.
pub fn decrypted(key: &str, size: &str, field: &str) -> String {
    assert!(field.len() <= 128, "{} characters do not fit: {field}", field.len());
    let (iv, field) = field.split_at(16);
    assert!(iv.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{iv}");
    let plain = cipher(key, size).cbc_decrypt(iv.as_bytes(), &BASE64.decode(field.as_bytes()).unwrap());
    String::from_utf8(plain).unwrap()
}

fn cipher(key: &str, size: &str) -> Cipher {
    let stream = sha1prng(key.as_bytes());
    match size {
        "1" => Cipher::new_256(&stream),
        "2" => Cipher::new_128(stream[..16].try_into().unwrap()),
        other => panic!("encryptType {other:?}"),
    }
}

/// The first 32 bytes of Java's SHA1PRNG with this seed.
fn sha1prng(seed: &[u8]) -> [u8; 32] {
    let sha1 = |bytes: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec();
    let mut state = sha1(seed);
    let first = sha1(&state);
    let mut last = 1_i32;
    let before = state.clone();
    for (byte, output) in state.iter_mut().zip(&first) {
        let sum = i32::from(byte.cast_signed()) + i32::from(output.cast_signed()) + last;
        *byte = sum.to_le_bytes()[0];
        last = sum >> 8;
    }
    assert_ne!(state, before, "a seed in so many billions");
    let stream = [first, sha1(&state)].concat();
    stream[..32].try_into().unwrap()
}

/// newInstance of a period order; what it says of dates is [`crate::shop::FUTURE`] and one year.
pub fn purchase(order: &str) -> Get {
    Get::new(
        "newInstance",
        &[
            ("businessId", &format!("b-{}", nonce())),
            ("customerId", "68cbc86abc2018ab880d92f36422fa0e"),
            ("customerName", "测试 客户+A&B="),
            ("orderId", order),
            ("productId", "00301-666666-0--0"),
            ("skuCode", "sku-1"),
            ("chargingMode", "1"),
            ("periodType", "year"),
            ("periodNumber", "1"),
            ("expireTime", crate::shop::FUTURE),
            ("orderAmount", "12.78"),
        ],
    )
}

/// refreshInstance, a renewal.
pub fn renew(instance: &str, order: &str, expire_time: &str) -> Get {
    Get::new("refreshInstance", &[("instanceId", instance), ("orderId", order), ("expireTime", expire_time)])
}

/// refreshInstance, the refund of a renewal.
pub fn refund(instance: &str, order: &str, expire_time: &str) -> Get {
    renew(instance, order, expire_time).with("orderAmount", "-12.78")
}

/// expireInstance; the order is the one that bought it.
pub fn expire(instance: &str, order: &str) -> Get {
    Get::new("expireInstance", &[("instanceId", instance), ("orderId", order)])
}

/// instanceStatus, `FREEZE` or `NORMAL`.
pub fn status(instance: &str, status: &str) -> Get {
    Get::new("instanceStatus", &[("instanceId", instance), ("instanceStatus", status)])
}

/// upgrade, to a total of 20 users.
pub fn upgrade(instance: &str, order: &str) -> Get {
    Get::new(
        "upgrade",
        &[
            ("instanceId", instance),
            ("orderId", order),
            ("productId", "00301-666666-0--1"),
            ("skuCode", "sku-2"),
            ("amount", "20"),
            ("diskSize", "100"),
        ],
    )
}

/// releaseInstance.
pub fn release(instance: &str, order: &str) -> Get {
    Get::new("releaseInstance", &[("instanceId", instance), ("orderId", order)])
}

/// queryInstance.
pub fn query(ids: &str) -> Get {
    Get::new("queryInstance", &[("instanceId", ids)])
}
