//! One debugging call of everything that is sold, written in a way that whoever passes it on must not touch: names out of order,
//! blanks, escapes, characters that mean something in URLs. What was sent is told to the byte.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Generation;
use super::call::kit_post::KitPost;
use super::call::signed_post::SignedPost;
use super::call::token_get::TokenGet;
use super::call::{Call, Mode, Subject};
use super::cases::debugging::test_order;
use super::client::{Answer, Client, ClientError};
use super::kit::KitGeneration;
use super::kit::wording::{ADD, Enterprise};
use super::stage::new_nonce;
use crate::config::Config;
use crate::kind::Kind;
use crate::protocol::canonical_json::Nulls;
use crate::protocol::key::AccessKey;
use crate::secret::Secret;

/// Chinese, a pair of surrogates, blanks, and what has a meaning in URLs.
const TEXT: &str = "测试 🚀 a+b&c=d%20 e";

/// A call that can be made again and again, each time as another.
pub struct Probe {
    interfaces: Interfaces,
    key: AccessKey,
}

enum Interfaces {
    Basic(Generation),
    Kit,
}

/// A call that was answered.
pub struct Sent {
    /// The query as it was written.
    pub query: String,
    /// The body as it was written.
    pub body: Vec<u8>,
    /// What the call is about, which no other call is.
    pub instance_id: String,
    /// Whether a server that keeps a journal can find the call in it by that.
    pub is_findable: bool,
    /// The answer as it arrived.
    pub answer: Answer,
}

impl Probe {
    /// For all that is sold, each under its key.
    pub fn all(config: &Config) -> Vec<Self> {
        let keys = &config.keys;
        let sells = |kind| config.products.iter().any(|product| product.kind == kind);
        let mut probes = Vec::new();
        let mut add = |interfaces: Interfaces, key: Option<&Secret<String>>| {
            let key = key.map(|key| AccessKey::new("probe".to_owned(), key.clone()));
            probes.extend(key.map(|key| Self { interfaces, key }));
        };
        for generation in Generation::ALL.into_iter().filter(|generation| sells(generation.kind())) {
            let key = match generation.kind() {
                Kind::Saas => keys.basic.first(),
                Kind::LicenseCode => keys.license.first(),
                Kind::License | Kind::LicenseOnline => keys.license.first().or(keys.basic.first()),
            };
            add(Interfaces::Basic(generation), key);
        }
        add(Interfaces::Kit, keys.kit.first());
        probes
    }

    /// What people call these interfaces.
    pub fn name(&self) -> &'static str {
        match self.interfaces {
            Interfaces::Basic(Generation::V2) => "V2",
            Interfaces::Basic(Generation::V1) => "V1",
            Interfaces::Basic(Generation::License) => "L1",
            Interfaces::Basic(Generation::LicenseCode) => "L2",
            Interfaces::Basic(Generation::LicenseOnline) => "LO",
            Interfaces::Kit => "kit",
        }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub fn send(&self, client: &Client) -> Result<Sent, ClientError> {
        let instance_id = format!("huaweitest-{}", Uuid::new_v4().simple());
        let signed = self.call(&instance_id).sign(&self.key, Timestamp::now(), &new_nonce());
        let answer = signed.send(client)?;
        let is_findable = matches!(self.interfaces, Interfaces::Basic(_));
        let (query, body) = signed.into_parts();
        Ok(Sent { query, body, instance_id, is_findable, answer })
    }

    fn call(&self, id: &str) -> Call {
        let Interfaces::Basic(generation) = self.interfaces else { return department().into() };
        let subject = Subject { id: id.to_owned(), order: test_order() };
        let mut members = Mode::Test.flag(generation.freeze(&subject));
        members["memberOfTomorrow"] = json!(TEXT);
        if generation.has_token() {
            return TokenGet::new(&members).into();
        }
        // The sorted form is signed, so that a body that was written anew on the way is taken, and can be compared.
        SignedPost::raw(&written_oddly(&members)).signed_sorted(Nulls::Drop).into()
    }
}

fn department() -> KitPost {
    Enterprise::of_tests(KitGeneration::V2).department(ADD, "1001", "研发部", "")
}

/// An object with its names in descending order, blanks between, and one text escaped.
fn written_oddly(members: &Value) -> String {
    let members = members.as_object().into_iter().flatten();
    let written = members.rev().map(|(name, value)| format!("\"{name}\" : {value}"));
    let escaped = "\"escaped\": \"\\u6d4b\\/\\u8bd5\"".to_owned();
    format!("{{ {} }}", written.chain([escaped]).collect::<Vec<_>>().join(" ,\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_json_that_reads_as_it_was_meant() {
        let text = written_oddly(&json!({"a": 1, "b": TEXT}));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({"a": 1, "b": TEXT, "escaped": "测/试"}));
        assert!(text.find("\"b\"") < text.find("\"a\""), "{text}");
    }
}
