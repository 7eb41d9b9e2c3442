//! A call as KooGallery makes it, in each transport, and who and what it is about.

pub(super) mod kit_post;
pub(super) mod signed_post;
pub(super) mod token_get;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Generation;
use super::client::{Answer, Both, Client, ClientError, Posting};
use crate::protocol::key::AccessKey;
use crate::protocol::reply_checks::{BodySign, ReplyShape};
use crate::secret::Secret;
use kit_post::KitPost;
use signed_post::SignedPost;
use token_get::TokenGet;

/// One call, not yet signed.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Post(SignedPost),
    Get(TokenGet),
    Kit(KitPost),
}

/// A call with its signature or token. Sent twice, it is the same call to the byte.
pub(super) struct Signed {
    /// What follows the production address in the path.
    sub_path: String,
    /// Those of the call's own, by name.
    headers: Vec<(&'static str, String)>,
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
            Self::Kit(_) => ReplyShape::Plain,
        }
    }

    /// Whether its reply must carry `Body-Sign`: the withdrawn generations cannot do without.
    pub(super) fn body_sign(&self) -> BodySign {
        match self {
            Self::Post(_) => BodySign::Advised,
            Self::Get(_) => BodySign::Mandatory,
            Self::Kit(post) => post.body_sign(),
        }
    }

    /// Whether there is such a call. Nothing is said of how another must be answered, but that it must not succeed.
    pub(super) fn exists(&self) -> bool {
        !matches!(self, Self::Kit(KitPost { exists: false, .. }))
    }

    /// Whether KooGallery could have made it: its key is that of the interfaces it is for.
    pub(super) fn is_genuine(&self) -> bool {
        match self {
            Self::Post(post) => post.is_genuine(),
            Self::Get(get) => get.is_genuine(),
            Self::Kit(post) => post.is_genuine(),
        }
    }

    /// Sends other members than those that are signed.
    pub(super) fn changed_to(self, members: &Value) -> Self {
        match self {
            Self::Post(post) => post.changed_to(members).into(),
            Self::Get(get) => get.changed_to(members).into(),
            Self::Kit(post) => post.changed_to(members).into(),
        }
    }

    /// Signs it as of `now`; `nonce` is for those that have one.
    pub(super) fn sign(&self, key: &AccessKey, now: Timestamp, nonce: &str) -> Signed {
        let (query, body) = match self {
            Self::Post(post) => (post.query(key, now.as_millisecond(), nonce), Some(post.body.clone())),
            Self::Get(get) => (get.query(key, now), None),
            Self::Kit(post) => return post.sign(key, now, nonce),
        };
        Signed { sub_path: String::new(), headers: Vec::new(), query, body }
    }
}

impl Signed {
    /// The query and the body, empty where it has none.
    pub(super) fn into_parts(self) -> (String, Vec<u8>) {
        (self.query, self.body.unwrap_or_default())
    }

    pub(super) fn send(&self, client: &Client) -> Result<Answer, ClientError> {
        match &self.body {
            Some(body) => client.post_below(&self.sub_path, &self.query, &self.headers, body),
            None => client.get(&self.query),
        }
    }

    /// Two calls of one transport on one connection.
    pub(super) fn send_both(both: &[Self; 2], client: &Client) -> Result<Both, ClientError> {
        let [first, second] = both;
        match (&first.body, &second.body) {
            (Some(body), Some(next)) => client.post_twice(
                &first.sub_path,
                [
                    Posting { query: &first.query, headers: &first.headers, body },
                    Posting { query: &second.query, headers: &second.headers, body: next },
                ],
            ),
            _ => client.get_twice([&first.query, &second.query]),
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

impl From<KitPost> for Call {
    fn from(post: KitPost) -> Self {
        Self::Kit(post)
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
