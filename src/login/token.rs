//! The token that hands a user over to the application: a JSON Web Token (RFC 7519), HS256 (RFC 7515, RFC 7518 §3.2).
//!
//! Any JWT library verifies it with the bytes of `login.secret` as the key. Pure: time and ids are handed in.

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde::Serialize;

use super::reply::User;
use crate::secret::Secret;

/// The issuer.
pub const ISSUER: &str = "koogate";

/// Signs tokens.
pub struct TokenKey(hmac::Key);

/// What a token says.
#[derive(Debug, Clone, Serialize)]
pub struct Claims<'a> {
    /// `koogate`.
    pub iss: &'static str,
    /// The app id of the credential.
    pub aud: &'a str,
    /// `<tenant id>/<user name>`: the identity of a person (spec 3-kit §11.4).
    pub sub: String,
    /// Tenant id.
    pub tenant: &'a str,
    /// Who it is.
    #[serde(flatten)]
    pub user: &'a User,
    /// The login session: for refreshes and the logout.
    pub sid: &'a str,
    /// Unique.
    pub jti: &'a str,
    /// Unix seconds of its making.
    pub iat: i64,
    /// Unix seconds after which it is no longer good.
    pub exp: i64,
    /// Where in the application the user wanted to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_to: Option<&'a str>,
}

impl TokenKey {
    /// A key of the secret's bytes.
    pub fn new(secret: &Secret<String>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()))
    }

    /// The token in its compact form. Who holds it may log in.
    pub fn sign(&self, claims: &Claims<'_>) -> Secret<String> {
        let header = BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        // A struct of texts and numbers: it always can be written.
        let payload = BASE64URL_NOPAD.encode(&serde_json::to_vec(claims).unwrap_or_default());
        let signed = format!("{header}.{payload}");
        let signature = BASE64URL_NOPAD.encode(hmac::sign(&self.0, signed.as_bytes()).as_ref());
        Secret::new(format!("{signed}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn user(user_name: &str) -> User {
        User { user_name: user_name.to_owned(), ..User::default() }
    }

    fn claims<'a>(user: &'a User, return_to: Option<&'a str>) -> Claims<'a> {
        Claims {
            iss: ISSUER,
            aud: "APP",
            sub: format!("t-1/{}", user.user_name),
            tenant: "t-1",
            user,
            sid: "s",
            jti: "j",
            iat: 1_800_000_000,
            exp: 1_800_000_060,
            return_to,
        }
    }

    /// What a JWT library does.
    fn verified(token: &str, secret: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, signed.as_bytes(), &BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?).ok()?;
        let (header, payload) = signed.split_once('.')?;
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()
        };
        (read(header)? == json!({ "alg": "HS256", "typ": "JWT" })).then(|| read(payload)).flatten()
    }

    fn signed(claims: &Claims<'_>) -> String {
        TokenKey::new(&Secret::new(SECRET.to_owned())).sign(claims).expose().clone()
    }

    #[test]
    fn a_token_says_who_came_and_leaves_out_what_was_not_told() {
        let told = User {
            name: Some("张三".to_owned()),
            role: Some("admin".to_owned()),
            org_code: Some("0001".to_owned()),
            email: Some("a@example.com".to_owned()),
            mobile: Some("13800138000".to_owned()),
            ..user("zhangsan01")
        };
        let common = json!({
            "iss": "koogate", "aud": "APP", "sub": "t-1/zhangsan01", "tenant": "t-1", "userName": "zhangsan01",
            "sid": "s", "jti": "j", "iat": 1_800_000_000, "exp": 1_800_000_060,
        });
        assert_eq!(verified(&signed(&claims(&user("zhangsan01"), None)), SECRET), Some(common.clone()));
        let mut more = common;
        for (name, value) in [
            ("name", "张三"),
            ("role", "admin"),
            ("orgCode", "0001"),
            ("email", "a@example.com"),
            ("mobile", "13800138000"),
            ("return_to", "/a?b=c"),
        ] {
            more[name] = value.into();
        }
        assert_eq!(verified(&signed(&claims(&told, Some("/a?b=c"))), SECRET), Some(more));
    }

    /// Computed with Python's `hmac`: any other implementation finds the same bytes.
    #[test]
    fn the_bytes_are_those_of_the_standard() {
        let token = signed(&claims(&user("u"), None));
        assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."), "{token}");
        assert_eq!(token.rsplit('.').next(), Some("vzQEUI6Nxr0U_rjSkrd1_GUUpExIh4Ruq1rYb58sP6g"));
    }

    #[test]
    fn another_secret_and_every_changed_character_are_noticed() {
        let token = signed(&claims(&user("u"), None));
        assert!(verified(&token, SECRET).is_some());
        assert_eq!(verified(&token, "another secret of 32 characters!"), None);
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            assert_eq!(verified(&String::from_utf8(changed).unwrap(), SECRET), None, "{position}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_centre_tells_makes_a_token_of_url_characters(name in ".{0,40}", path in "/[a-z]{0,8}") {
            let user = User { name: Some(name.clone()), ..user(&name) };
            let token = signed(&claims(&user, Some(&path)));
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            prop_assert_eq!(&verified(&token, SECRET).unwrap()["name"], &json!(name));
        }
    }
}
