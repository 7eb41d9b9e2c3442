//! A call as KooGallery makes it, in either transport, and who and what it is about.

pub(super) mod signed_post;
pub(super) mod token_get;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Generation;
use super::client::{Answer, Client, ClientError};
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::ReplyShape;
use crate::secret::Secret;
use signed_post::SignedPost;
use token_get::TokenGet;

/// One call, not yet signed.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Post(SignedPost),
    Get(TokenGet),
}

/// A call with its signature or token. Sent twice, it is the same call to the byte.
pub(super) struct Signed {
    query: String,
    /// `None` for a GET.
    body: Option<Vec<u8>>,
}

impl Call {
    /// A call with these members, `testFlag` among them if it is a debugging call.
    pub(super) fn new(generation: Generation, members: &Value) -> Self {
        if generation.has_token() { TokenGet::new(members).into() } else { SignedPost::new(members).into() }
    }

    /// What its reply must have.
    pub(super) fn shape(&self) -> ReplyShape {
        match self {
            Self::Post(post) => post.shape,
            Self::Get(get) => get.shape,
        }
    }

    /// Whether KooGallery could have made it: its key is that of the interfaces it is for.
    pub(super) fn is_genuine(&self) -> bool {
        match self {
            Self::Post(post) => post.is_genuine(),
            Self::Get(get) => get.is_genuine(),
        }
    }

    /// Sends other members than those that are signed.
    pub(super) fn changed_to(self, members: &Value) -> Self {
        match self {
            Self::Post(post) => post.changed_to(members).into(),
            Self::Get(get) => get.changed_to(members).into(),
        }
    }

    /// Signs it as of `now`; `nonce` is for those that have one.
    pub(super) fn sign(&self, key: &AccessKey, now: Timestamp, nonce: &str) -> Signed {
        match self {
            Self::Post(post) => {
                Signed { query: post.query(key, now.as_millisecond(), nonce), body: Some(post.body.clone()) }
            }
            Self::Get(get) => Signed { query: get.query(key, now), body: None },
        }
    }
}

impl Signed {
    pub(super) fn send(&self, client: &Client) -> Result<Answer, ClientError> {
        match &self.body {
            Some(body) => client.post(&self.query, body),
            None => client.get(&self.query),
        }
    }
}

impl From<SignedPost> for Call {
    fn from(post: SignedPost) -> Self {
        Self::Post(post)
    }
}

impl From<TokenGet> for Call {
    fn from(get: TokenGet) -> Self {
        Self::Get(get)
    }
}

/// What the reply to a call of this activity must have.
fn shape_of(activity: Option<&str>) -> ReplyShape {
    match activity {
        Some("newInstance") => ReplyShape::NewInstance,
        Some("queryInstance") => ReplyShape::QueryInstance,
        Some("getLicense") => ReplyShape::GetLicense,
        Some("getLicenseAsync") => ReplyShape::GetLicenseAsync,
        _ => ReplyShape::Plain,
    }
}

/// A key that no seller has.
fn strange_key() -> AccessKey {
    AccessKey::new("another".to_owned(), Secret::new("not-the-key-of-this-seller".to_owned()))
}

/// Whether a call is a debugging call or stands for a real order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Test,
    Real,
}

impl Mode {
    /// The members of a call, with `testFlag` for debugging calls; real calls do not carry it (the pages of 2025).
    pub(super) fn flag(self, mut members: Value) -> Value {
        if self == Self::Test {
            members["testFlag"] = json!("1");
        }
        members
    }
}

/// An order line to act on.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub order_id: String,
    pub order_line_id: String,
    pub product_id: String,
    /// When what was bought ends: told by calls of purchase that tell an end, to the second and in every repeat.
    pub expires: Timestamp,
}

impl Order {
    pub(super) fn new(order_id: String, product_id: &str, expires: Timestamp) -> Self {
        let order_line_id = format!("{order_id}-000001");
        Self { order_id, order_line_id, product_id: product_id.to_owned(), expires }
    }
}

/// What a call acts on: an instance, or a licence code, and the order that bought it.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub id: String,
    pub order: Order,
}
