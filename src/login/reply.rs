//! What an authentication centre answers: tokens, a user, or an error (spec 3-kit §11.3, §11.4).
//!
//! Pure. Read tolerantly: members that are not known are left alone, texts may be numbers. Nothing of a code, a secret
//! or a token comes into an error.

use serde::Serialize;
use serde_json::{Map, Value};

use super::fault::{CentreFault, Endpoint};
use crate::excerpt::excerpt;
use crate::secret::Secret;

/// How much of a centre's words is shown.
const SHOWN: usize = 200;

/// Longest token.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Longest user name; the directory has 64 characters.
const LONGEST_NAME: usize = 128;

/// Of other texts about a user only so many characters are kept.
const LONGEST_TEXT: usize = 255;

/// What a centre gave for a code or a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Opens userinfo.
    pub access: Secret<String>,
    /// Renews the login; may be absent.
    pub refresh: Option<Secret<String>>,
}

/// Who has logged in, in the words of the token that the application gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Account, unique within the tenant.
    pub user_name: String,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `user` or `admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_code: Option<String>,
    /// Only where seller and buyer have agreed on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
}

/// Reads the reply to a token request. `private` are the values that must not be shown.
///
/// # Errors
/// What the centre refuses, or that its reply cannot be used.
pub fn tokens(status: u16, body: &[u8], private: &[&str]) -> Result<Tokens, CentreFault> {
    let members = object(body);
    if !(200..300).contains(&status) || (!members.contains_key("access_token") && members.contains_key("error")) {
        return Err(refusal(status, body, &members, private));
    }
    let unreadable = |what| CentreFault::Unreadable { endpoint: Endpoint::Token, what };
    let access = token(&members, "access_token").ok_or_else(|| unreadable("no usable access_token"))?;
    Ok(Tokens { access, refresh: token(&members, "refresh_token") })
}

/// Reads the reply to userinfo, which must be about a user of this tenant.
///
/// # Errors
/// What the centre refuses, that its reply cannot be used, or that the user is of another tenant.
pub fn user(status: u16, body: &[u8], tenant_id: &str, private: &[&str]) -> Result<User, CentreFault> {
    let members = object(body);
    if !(200..300).contains(&status) {
        let words = words(body, &members, private);
        return Err(CentreFault::Unexpected { endpoint: Endpoint::UserInfo, status, words });
    }
    // Whoever holds a tenant's domain may tell of its own users only.
    if text(&members, "tenant").is_some_and(|tenant| tenant != tenant_id) {
        return Err(CentreFault::WrongTenant);
    }
    let good = |name: &String| name.chars().count() <= LONGEST_NAME && !name.contains(char::is_control);
    let Some(user_name) = text(&members, "userName").filter(good) else {
        return Err(CentreFault::Unreadable { endpoint: Endpoint::UserInfo, what: "no usable userName" });
    };
    let told = |name: &str| text(&members, name).map(|text| text.chars().take(LONGEST_TEXT).collect());
    Ok(User {
        user_name,
        name: told("name"),
        role: told("role"),
        org_code: told("organizationCode"),
        email: told("email"),
        mobile: told("mobile"),
    })
}

/// Why a token request was refused (spec 3-kit §11.5).
fn refusal(status: u16, body: &[u8], members: &Map<String, Value>, private: &[&str]) -> CentreFault {
    let words = words(body, members, private);
    let error = text(members, "error").unwrap_or_default();
    let said = words.to_ascii_lowercase();
    match status {
        _ if said.contains("client id mismatch") => CentreFault::ClientMismatch { words },
        _ if error == "invalid_client" || said.contains("bad client credentials") => {
            CentreFault::BadClient { status, words }
        }
        _ if error == "invalid_grant" => CentreFault::InvalidGrant { words },
        401 => CentreFault::BadClient { status, words },
        403 => CentreFault::Forbidden { words },
        _ => CentreFault::Unexpected { endpoint: Endpoint::Token, status, words },
    }
}

/// The centre's own words as one short line.
fn words(body: &[u8], members: &Map<String, Value>, private: &[&str]) -> String {
    let parts: Vec<_> = ["error", "error_description"].iter().filter_map(|name| text(members, name)).collect();
    match parts.is_empty() {
        true => excerpt(body, private, SHOWN),
        false => excerpt(parts.join(": ").as_bytes(), private, SHOWN),
    }
}

fn object(body: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A member with something in it.
fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    match members.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A token that can stand in a header: visible ASCII.
fn token(members: &Map<String, Value>, name: &str) -> Option<Secret<String>> {
    let token = text(members, name)?;
    let good = token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| Secret::new(token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(status: u16, body: &str) -> CentreFault {
        tokens(status, body.as_bytes(), &["the-secret"]).unwrap_err()
    }

    #[test]
    fn tokens_are_read_and_the_one_for_renewal_may_be_absent() {
        let body = br#"{"access_token":"a-1","token_type":"Bearer","expires_in":7200,"refresh_token":"r-1"}"#;
        let read = tokens(200, body, &[]).unwrap();
        assert_eq!((read.access.expose().as_str(), read.refresh.unwrap().expose().as_str()), ("a-1", "r-1"));
        for body in [&br#"{"access_token":"a-1"}"#[..], br#"{"access_token":"a-1","refresh_token":null}"#] {
            assert_eq!(tokens(200, body, &[]).unwrap().refresh, None);
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let grant = r#"{"error":"invalid_grant","error_description":"Invalid authorization code"}"#;
        for status in [400, 200] {
            let expected = CentreFault::InvalidGrant { words: "invalid_grant: Invalid authorization code".to_owned() };
            assert_eq!(refused(status, grant), expected);
        }
        let client = r#"{"error":"invalid_client","error_description":"Bad client credentials"}"#;
        assert!(matches!(refused(401, client), CentreFault::BadClient { status: 401, .. }));
        assert!(matches!(refused(401, "who?"), CentreFault::BadClient { .. }));
        let mismatch = r#"{"error":"invalid_grant","error_description":"Client ID mismatch"}"#;
        assert!(matches!(refused(400, mismatch), CentreFault::ClientMismatch { .. }));
        assert!(matches!(refused(403, "<html>"), CentreFault::Forbidden { .. }));
        assert!(matches!(refused(500, ""), CentreFault::Unexpected { status: 500, .. }));
        assert!(matches!(refused(404, "{"), CentreFault::Unexpected { status: 404, .. }));
    }

    #[test]
    fn replies_without_a_usable_token_are_refused() {
        let unreadable = |body: &str| matches!(refused(200, body), CentreFault::Unreadable { .. });
        for body in ["", "null", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":{"a":1}}"#] {
            assert!(unreadable(body), "{body}");
        }
        assert!(unreadable(r#"{"access_token":"a\r\nX: y"}"#));
        assert!(unreadable(&format!(r#"{{"access_token":"{}"}}"#, "a".repeat(9000))));
    }

    #[test]
    fn the_words_of_a_centre_show_no_secret() {
        let body = r#"{"error":"invalid_client","error_description":"the-secret\n is <b>wrong</b>"}"#;
        let CentreFault::BadClient { words, .. } = refused(401, body) else { panic!() };
        assert_eq!(words, "invalid_client: *** is <b>wrong</b>");
    }

    #[test]
    fn a_user_is_read_with_what_was_told() {
        let body = r#"{"id":"20201029190841785-CB37","userName":"zhangsan01","name":"张三","email":"","mobile":null,
            "role":"admin","organizationName":"产品部","organizationCode":1001,"projectName":"p","tenant":"t-1"}"#;
        let expected = User {
            user_name: "zhangsan01".to_owned(),
            name: Some("张三".to_owned()),
            role: Some("admin".to_owned()),
            org_code: Some("1001".to_owned()),
            email: None,
            mobile: None,
        };
        assert_eq!(user(200, body.as_bytes(), "t-1", &[]), Ok(expected));
        assert_eq!(user(200, body.as_bytes(), "t-2", &[]), Err(CentreFault::WrongTenant));
        assert_eq!(user(200, br#"{"userName":"u"}"#, "t-2", &[]).unwrap().user_name, "u");
    }

    #[test]
    fn a_user_without_a_usable_name_is_none() {
        for body in ["", "{}", r#"{"userName":" "}"#, r#"{"userName":["u"]}"#, r#"{"userName":"a\u0000b"}"#] {
            assert!(matches!(user(200, body.as_bytes(), "t", &[]), Err(CentreFault::Unreadable { .. })), "{body}");
        }
        let unauthorised = br#"{"error":"unauthorized","error_description":"Full authentication is required"}"#;
        assert!(matches!(user(401, unauthorised, "t", &[]), Err(CentreFault::Unexpected { status: 401, .. })));
    }

    proptest! {
        #[test]
        fn no_reply_makes_the_readers_panic(status in 100_u16..600, body in "(\\{\"(error|userName|access_token)\":)?[\\PC]{0,20}\\}?") {
            let _ = (tokens(status, body.as_bytes(), &["x"]), user(status, body.as_bytes(), "t", &["x"]));
        }
    }
}
