//! KooGallery as it makes the calls of the joint-operation kit: bodies, both signatures, encrypted client secrets. Written
//! from the protocol and not with koogate's own functions, so that it is a second opinion about them.

use std::convert::Infallible;

use data_encoding::{BASE64, HEXUPPER};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::sha2::Sha256;
use rsa::{Oaep, PublicKey};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::harness::{Answer, Application, KEY, Koogate, Scratch, nonce, now_ms, send};
use crate::shop::Shop;
use crate::token_get::assert_signed;

/// The kit key of every configuration with one.
pub const KIT_KEY: &str = "kit-key-0123456789-abcdef";

/// Enterprises.
pub const TENANT: &str = "68cbc86abc2018ab880d92f36422fa0e";
pub const OTHER_TENANT: &str = "11111111bc2018ab880d92f36422fa0e";

/// What is written to the folder as `current.pem` and `former.pem`, PKCS#8 and PKCS#1.
pub const KIT_KEYS: &str =
    "kit = \"kit-key-0123456789-abcdef\"\nkit_private_keys = [\"current.pem\", \"former.pem\"]\n";

/// A product that tells nobody.
pub const SILENT: &str = "[[product]]\nfulfilment = \"manual\"\n";

/// Which generation of the kit calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    V1,
    V2,
}

pub use Generation::{V1, V2};

/// Both.
pub const GENERATIONS: [Generation; 2] = [V1, V2];

/// A call, not signed yet: the name in the path, and the body.
#[derive(Debug, Clone)]
pub struct Sync(pub &'static str, pub Value);

impl Sync {
    /// With another value of a member.
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.1[member] = value.into();
        self
    }

    /// Without a member.
    pub fn without(mut self, member: &str) -> Self {
        self.1.as_object_mut().unwrap().remove(member);
        self
    }

    /// With this flag.
    pub fn flag(self, flag: i64) -> Self {
        self.with("flag", flag)
    }

    /// Of another enterprise.
    pub fn of(self, tenant: &str) -> Self {
        self.with("tenantId", tenant)
    }

    /// As the seller console's debugger makes it.
    pub fn as_test(&self) -> Self {
        self.clone().with("testFlag", 1)
    }

    /// The path of a generation.
    pub fn path(&self, generation: Generation) -> String {
        let version = if generation == V2 { "v2/" } else { "" };
        format!("/saasproduce/produceAPI/{version}{}", self.0)
    }

    /// The body as it is sent, its members in no order.
    pub fn bytes(&self) -> Vec<u8> {
        let member = |(name, value): (&String, &Value)| format!("{}:{value}", json!(name));
        let members: Vec<_> = self.1.as_object().unwrap().iter().rev().map(member).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }

    /// The headers that authenticate it, fresh.
    pub fn headers(&self, generation: Generation, key: &str) -> Vec<(&'static str, String)> {
        match generation {
            V1 => vec![("authToken", auth_token(key, &self.1))],
            V2 => self.headers_at(key, &now_ms().to_string(), &nonce()),
        }
    }

    /// The headers of V2 with this stamp and nonce; what is signed is the sorted body without nulls.
    pub fn headers_at(&self, key: &str, timestamp: &str, nonce: &str) -> Vec<(&'static str, String)> {
        let mut sorted = self.1.clone();
        sorted.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let sign = x_sign(key, nonce, timestamp, sorted.to_string().as_bytes());
        vec![("x-sign", sign), ("x-timestamp", timestamp.to_owned()), ("x-nonce", nonce.to_owned())]
    }
}

/// `hex(HMAC-SHA256(key, key + nonce + timestamp + payload))`.
pub fn x_sign(key: &str, nonce: &str, timestamp: &str, payload: &[u8]) -> String {
    let canonical = [format!("{key}{nonce}{timestamp}").as_bytes(), payload].concat();
    HEXUPPER.encode(hmac_sha256(key, &canonical).as_ref())
}

/// `base64(HMAC-SHA256(key + timeStamp, "name=value&…" sorted by name))`, blank values left out.
pub fn auth_token(key: &str, body: &Value) -> String {
    let pair = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(format!("{name}={text}")),
        other => Some(format!("{name}={other}")),
    };
    let mut pairs: Vec<_> = body.as_object().unwrap().iter().filter_map(pair).collect();
    pairs.sort();
    let time_stamp = body["timeStamp"].as_str().unwrap_or_default();
    BASE64.encode(hmac_sha256(&format!("{key}{time_stamp}"), pairs.join("&").as_bytes()).as_ref())
}

fn hmac_sha256(key: &str, data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), data)
}

/// `yyyyMMddHHmmssSSS`, UTC+8, now.
pub fn time_stamp() -> String {
    jiff::tz::Offset::constant(8).to_datetime(jiff::Timestamp::now()).strftime("%Y%m%d%H%M%S%3f").to_string()
}

fn body(instance: &str, members: Value) -> Value {
    let mut body = json!({
        "instanceId": instance, "tenantId": TENANT, "flag": 1, "testFlag": 0, "timeStamp": time_stamp(),
    });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// tenantSync.
pub fn tenant(instance: &str) -> Sync {
    let members = json!({
        "orderId": "CS1906666666ABCDE", "tenantCode": "huawei", "name": "测试企业",
        "domainName": "https://example.tenantaccount.com",
    });
    Sync("tenantSync", body(instance, members))
}

/// applicationSync, with this client secret encrypted already.
pub fn application(instance: &str, app: &str, encrypted_secret: &str) -> Sync {
    let members = json!({ "appId": app, "clientId": format!("client-of-{app}"), "clientSecret": encrypted_secret });
    Sync("applicationSync", body(instance, members))
}

/// authSync.
pub fn auth(instance: &str, app: &str, users: Value) -> Sync {
    let members = json!({ "appId": app, "userList": users, "currentSyncTime": "20220420114117642" });
    Sync("authSync", body(instance, members))
}

/// singleOrgSync.
pub fn single_org(instance: &str, code: &str, name: &str, parent: &str) -> Sync {
    Sync("singleOrgSync", body(instance, json!({ "orgCode": code, "orgName": name, "parentCode": parent })))
}

/// allOrgSync as V2 has it.
pub fn all_org(instance: &str, departments: Value) -> Sync {
    Sync("allOrgSync", body(instance, json!({ "orgInfoList": departments }))).without("flag")
}

/// A user of authSync.
pub fn user(name: &str) -> Value {
    json!({
        "userName": name, "name": "张三", "orgCode": "10000", "position": "系统管理员", "employeeCode": "007",
        "employeeType": 4, "role": "admin", "enable": "true", "mobile": "13800138000", "email": "zhang@example.com",
        "workPlace": "南京", "entryDate": "2022-11-9",
    })
}

/// A department of allOrgSync.
pub fn department(code: &str, name: &str, parent: &str) -> Value {
    json!({ "orgCode": code, "orgName": name, "parentCode": parent })
}

/// One of each of the five.
pub fn five(instance: &str) -> [Sync; 5] {
    [
        tenant(instance),
        application(instance, "app-1", &encrypted(&public_key("pkcs8"), "secret-1")),
        auth(instance, "app-1", json!([user("zhangsan01")])),
        single_org(instance, "10000", "开发部", ""),
        all_org(instance, json!([department("10000", "开发部", ""), department("10001", "测试部", "10000")])),
    ]
}

/// A call with the right headers, whose answer must be signed with the kit key.
pub fn call(koogate: &Koogate, generation: Generation, sync: &Sync) -> Answer {
    call_with(koogate, generation, KIT_KEY, sync)
}

/// The same with another key.
pub fn call_with(koogate: &Koogate, generation: Generation, key: &str, sync: &Sync) -> Answer {
    let answer = post(koogate, &sync.path(generation), &sync.headers(generation, key), &sync.bytes());
    assert_signed(key, &answer);
    answer
}

/// A POST with exactly these headers.
pub fn post(koogate: &Koogate, path: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    send(koogate.address, "POST", path, &headers, body).unwrap()
}

/// A folder in which the kit's keys lie, not configured for them yet.
pub fn folder(products: &str) -> Scratch {
    let scratch = Scratch::new(products);
    std::fs::write(scratch.path("current.pem"), private_key("pkcs8")).unwrap();
    std::fs::write(scratch.path("former.pem"), private_key("pkcs1")).unwrap();
    scratch
}

impl Shop {
    /// With the kit's keys and an application that makes everything ready at once.
    pub fn with_kit() -> Self {
        Self::with_kit_and(Application::ready(), "", None)
    }

    /// With the kit's keys and products that tell nobody.
    pub fn with_silent_kit(sections: &str) -> Self {
        Self::with_kit_and(Application::ready(), sections, Some(SILENT))
    }

    /// With the kit's keys, this application, further sections, and other products.
    pub fn with_kit_and(application: Application, sections: &str, products: Option<&str>) -> Self {
        let products = products.map_or_else(|| application.product(""), str::to_owned);
        let scratch = folder(&products);
        scratch.configure(&[KEY], &format!("{KIT_KEYS}{sections}"), &products);
        Self { koogate: scratch.serve(), application, scratch }
    }

    /// A call of V2 that must be answered with this code.
    pub fn sync(&self, code: &str, sync: &Sync) -> Answer {
        self.sync_by(V2, code, sync)
    }

    /// The same of a generation.
    pub fn sync_by(&self, generation: Generation, code: &str, sync: &Sync) -> Answer {
        let answer = call(&self.koogate, generation, sync);
        assert_eq!(answer.code(), code, "{generation:?} {sync:?}: {}\n{}", answer.json(), self.koogate.log_text());
        answer
    }

    /// `koogate tenant … --json` of an enterprise.
    pub fn tenant_lines(&self, command: &str, tenant: &str) -> Vec<Value> {
        self.scratch.run_json(&["tenant", command, tenant, "--json", "--limit", "1000000"])
    }

    /// `koogate tenant show` of an enterprise.
    pub fn tenant(&self, tenant: &str) -> Value {
        self.scratch.run_json(&["tenant", "show", tenant, "--json"]).remove(0)
    }

    /// Departments as `[instance, code, name, parent, stale]`.
    pub fn departments(&self, tenant: &str) -> Vec<Value> {
        let row =
            |row: &Value| json!([row["instanceId"], row["orgCode"], row["orgName"], row["parentCode"], row["stale"]]);
        self.tenant_lines("departments", tenant).iter().map(row).collect()
    }

    /// Users as `[instance, app, name, role, enabled, authorised]`.
    pub fn users(&self, tenant: &str) -> Vec<Value> {
        let row = |row: &Value| {
            let of = |name: &str| row[name].clone();
            json!([of("instanceId"), of("appId"), of("userName"), of("role"), of("enabled"), of("authorised")])
        };
        self.tenant_lines("users", tenant).iter().map(row).collect()
    }

    /// The rows of the five tables.
    pub fn directory_sizes(&self) -> [i64; 5] {
        ["tenant", "tenant_binding", "application", "user", "department"].map(|table| self.count(table))
    }
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/kit_oaep.json")).unwrap()
}

/// The private key of a pair of the vectors, PEM.
pub fn private_key(name: &str) -> String {
    vectors()["keys"][name]["private"].as_str().unwrap().to_owned()
}

/// The public key, in the form of the seller console.
pub fn public_key(name: &str) -> String {
    vectors()["keys"][name]["public"].as_str().unwrap().to_owned()
}

/// A client secret that another tool encrypted.
pub struct Foreign {
    /// The tool and its cipher.
    pub made_by: String,
    pub text: String,
    pub ciphertext: String,
}

/// What OpenSSL, a JDK and WebCrypto made.
pub fn foreign_ciphertexts() -> Vec<Foreign> {
    let of = |case: &Value, name: &str| case[name].as_str().unwrap().to_owned();
    let foreign = |case: &Value| Foreign {
        made_by: of(case, "made_by"),
        text: of(case, "text"),
        ciphertext: of(case, "ciphertext"),
    };
    vectors()["cases"].as_array().unwrap().iter().map(foreign).collect()
}

/// A client secret as KooGallery encrypts it, SHA-256 for both digests.
pub fn encrypted(public_key: &str, text: &str) -> String {
    encrypted_in_forms(public_key, text).remove(0)
}

/// The same in each of the three forms.
pub fn encrypted_in_forms(public_key: &str, text: &str) -> Vec<String> {
    let key = PublicKey::from_public_key_der(&BASE64.decode(public_key.as_bytes()).unwrap()).unwrap();
    let ciphertexts = [
        key.encrypt(&mut Chance, Oaep::<Sha256>::new(), text.as_bytes()),
        key.encrypt(&mut Chance, Oaep::<Sha256, Sha1>::new_with_mgf_hash(), text.as_bytes()),
        key.encrypt(&mut Chance, Oaep::<Sha1>::new(), text.as_bytes()),
    ];
    ciphertexts.into_iter().map(|ciphertext| BASE64.encode(&ciphertext.unwrap())).collect()
}

/// Random numbers in the form that `rsa` takes them.
struct Chance;

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        SystemRandom::new().fill(bytes).unwrap();
        Ok(())
    }
}

impl TryCryptoRng for Chance {}
