//! The wire protocols of KooGallery: what a request says, whether it is genuine, and how an answer is written.
//!
//! Everything here is pure: bytes and values in, values out; the clock comes in as an argument. A family of calls (V2
//! basic, V1 basic, the kit, licences) is one implementation of [`Family`] in a file of its own; dispatcher, journal and
//! store know only [`Call`] and [`Outcome`].

mod activity;
pub mod ascii_json;
pub mod auth_token;
pub mod basic_v1;
pub mod basic_v2;
pub mod body_sign;
pub mod call;
pub mod canonical_json;
pub mod extend_params;
pub mod field_cipher;
pub mod key;
pub mod kit;
pub mod license;
pub mod license_code;
pub mod license_online;
#[cfg(test)]
mod license_tests;
pub mod members;
pub mod open_api;
pub mod query;
mod reply;
pub mod reply_checks;
pub mod result_code;
pub mod signature;
pub mod text;
pub mod time;
mod transport;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Map, Value};

use crate::protocol::auth_token::AuthTokenRules;
use crate::protocol::auth_token::Mark;
use crate::protocol::call::{BadCall, Call, Outcome};
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::signature::{SignatureRefusal, SignatureRules};

/// The parts of an HTTP request that a family may look at.
pub struct Received<'a> {
    /// What follows `?`, as on the wire; empty if nothing does.
    pub query: &'a str,
    /// Looks a header up by its name, whatever the case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body as received.
    pub body: &'a [u8],
}

/// The access keys by interface type. Several of one type are a rotation: any of them verifies.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    basic: Vec<AccessKey>,
    license: Vec<AccessKey>,
    license_then_basic: Vec<AccessKey>,
    kit: Vec<AccessKey>,
}

impl Keyring {
    /// The keys of each interface type, most likely one first.
    pub fn new(basic: Vec<AccessKey>, license: Vec<AccessKey>, kit: Vec<AccessKey>) -> Self {
        let license_then_basic = license.iter().chain(&basic).cloned().collect();
        Self { basic, license, license_then_basic, kit }
    }

    /// Keys of the basic interfaces (基础接口).
    pub fn basic(&self) -> &[AccessKey] {
        &self.basic
    }

    /// Keys of the licence interface (License授权码交付接口).
    pub fn license(&self) -> &[AccessKey] {
        &self.license
    }

    /// Both, for the licence families whose interface type the documents do not say (spec README §4).
    pub fn license_then_basic(&self) -> &[AccessKey] {
        &self.license_then_basic
    }

    /// Keys of the joint-operation interface (联营SaaS同步接口), for both generations of the kit.
    pub fn kit(&self) -> &[AccessKey] {
        &self.kit
    }
}

/// Encrypts a user name or a password for a reply, under a fresh IV. Handed in, because the core knows no randomness.
pub type Encrypt<'a> = &'a dyn Fn(EncryptType, &str) -> String;

/// A family of calls: how its requests are authenticated and read, and how its replies are written.
pub trait Family: Send + Sync {
    /// The word for it in the journal and in listings.
    fn name(&self) -> &'static str;

    /// The keys that may have signed a call of this family, most likely one first. The first also signs the refusal of
    /// a call that none of them verified.
    fn keys<'k>(&self, keyring: &'k Keyring) -> &'k [AccessKey];

    /// Whether replies carry `Body-Sign`.
    fn signs_replies(&self, rules: &Rules) -> bool;

    /// Checks that KooGallery sent this, and recently. Nothing in the body counts before.
    ///
    /// # Errors
    /// The reason for the log, and the result code for the answer.
    fn authenticate<'k>(
        &self,
        received: &Received<'_>,
        keys: &'k [AccessKey],
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Proof<'k>, SignatureRefusal>;

    /// Reads what an authenticated request asks for.
    ///
    /// # Errors
    /// Which member is missing or ill-formed.
    fn read(&self, call: &VerifiedCall<'_>, rules: &Rules) -> Result<Call, BadCall>;

    /// The members of a request that was read before, without those that differ in every retry: what a repeat is
    /// compared with. `None` when it is not one of this family's.
    fn content(&self, query: &str, body: &[u8]) -> Option<Map<String, Value>>;

    /// What tells a request of this family, read by its query, from every other; `None` in families whose calls cannot come
    /// twice.
    fn mark(&self, _query: &str) -> Option<Mark> {
        None
    }

    /// Whether requests hold personal data in the clear, so that the journal must keep their bodies sealed.
    fn seals_requests(&self) -> bool {
        false
    }

    /// The body of the reply to `call`, or to a request that could not be read (`None`).
    fn reply(&self, call: Option<&Call>, outcome: &Outcome, encrypt: Encrypt<'_>) -> Vec<u8>;

    /// What KooGallery will check in the reply to `call`.
    fn reply_shape(&self, call: Option<&Call>) -> ReplyShape;
}

/// Settings of the protocol that a merchant may change.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How V2 signatures are verified.
    pub signature: SignatureRules,
    /// Whether V2 replies carry `Body-Sign`.
    pub body_sign_v2: bool,
    /// How V1 tokens are verified.
    pub auth_token: AuthTokenRules,
    /// The zone of `expireTime` in V1 and L1, which the documents do not say.
    pub v1_expire_time_offset: Offset,
    /// The size that encrypted members of V1 requests are tried with first.
    pub request_encrypt_type: EncryptType,
    /// Unreadable `saasExtendParams` are left out instead of refused.
    pub ignores_bad_extend_params: bool,
    /// A licence code nobody has heard of begins its record instead of being refused.
    pub adopts_unknown_codes: bool,
}

/// What authentication found.
#[derive(Debug)]
pub struct Proof<'k> {
    /// The key that verified the request; it also signs the answer.
    pub key: &'k AccessKey,
    /// The value that must not come twice with this key, in families that have one.
    pub nonce: Option<String>,
}

/// A request that KooGallery has sent. Only [`verify`] makes one.
pub struct VerifiedCall<'a> {
    received: &'a Received<'a>,
    proof: Proof<'a>,
}

/// Authenticates a request.
///
/// # Errors
/// As [`Family::authenticate`].
pub fn verify<'a>(
    family: &dyn Family,
    received: &'a Received<'a>,
    keyring: &'a Keyring,
    now: Timestamp,
    rules: &Rules,
) -> Result<VerifiedCall<'a>, SignatureRefusal> {
    let proof = family.authenticate(received, family.keys(keyring), now, rules)?;
    Ok(VerifiedCall { received, proof })
}

impl VerifiedCall<'_> {
    /// The key that verified the request.
    pub fn key(&self) -> &AccessKey {
        self.proof.key
    }

    /// The value that must not come twice with this key.
    pub fn nonce(&self) -> Option<&str> {
        self.proof.nonce.as_deref()
    }

    /// The query string as on the wire.
    pub fn query(&self) -> &str {
        self.received.query
    }

    /// The body as received.
    pub fn body(&self) -> &[u8] {
        self.received.body
    }
}
