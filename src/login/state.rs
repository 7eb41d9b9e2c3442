//! The state of a login that has begun, in a signed cookie of the browser that began it.
//!
//! The unified login page gives no `state` back (spec 3-kit §11.1), so the cookie is what ties a callback to its browser: without it,
//! somebody could make a user log in to somebody else's account. Pure: keys, time and chance are handed in.
//!
//! SameSite: the way back is a redirect from another site, and the application may live in an iframe of the industrial
//! cloud, where browsers send only `SameSite=None; Secure` (spec 3-kit §9.7), and many only with `Partitioned`. Both come
//! back at the top level, too. The prefix `__Host-` keeps other hosts of the domain from planting a cookie. Only where
//! the application runs on the user's own machine, over plain http, is it a plain `SameSite=Lax` cookie.

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::return_to::ReturnTo;
use crate::sealing::SealingKey;

/// What the signature is for: no other signature passes for it.
const PURPOSE: &str = "login state";

/// A login may take so long, from the redirect to the callback.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// A clock that was set back meanwhile may lag so much.
const LAG: SignedDuration = SignedDuration::from_secs(60);

/// Cookies of the right name that are looked at: more are somebody's play.
const MOST_LOOKED_AT: usize = 4;

/// What the browser has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was sent to the login page.
    Begun {
        /// Unguessable, and good for one callback.
        id: String,
        /// Where it wanted to go.
        return_to: Option<ReturnTo>,
        /// The tenant whose centre was asked with this id as `state`; `None`: the login page, which gives none back.
        tenant_id: Option<String>,
    },
    /// It came to the callback without having begun here, and was sent to the beginning.
    SentBack,
}

/// What is signed.
#[derive(Serialize, Deserialize)]
struct Wire {
    /// Unix seconds.
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    return_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
}

/// How cookies are made: secure ones, or plain ones for a browser on the same machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieForm {
    /// The browser reaches everything over https.
    pub is_secure: bool,
}

impl CookieForm {
    fn name(self) -> &'static str {
        if self.is_secure { "__Host-koogate_login" } else { "koogate_login" }
    }

    fn attributes(self) -> &'static str {
        if self.is_secure {
            "Path=/; HttpOnly; Secure; SameSite=None; Partitioned"
        } else {
            "Path=/; HttpOnly; SameSite=Lax"
        }
    }

    /// The value of a `Set-Cookie` header that sets a state.
    pub fn set(self, state: &State, key: &SealingKey, now: Timestamp) -> String {
        format!("{}={}; Max-Age={}; {}", self.name(), sign(state, key, now), LIFETIME.as_secs(), self.attributes())
    }

    /// The value of a `Set-Cookie` header that removes it.
    pub fn clear(self) -> String {
        format!("{}=; Max-Age=0; {}", self.name(), self.attributes())
    }

    /// The state in `Cookie` headers: the first that was signed here and is fresh.
    pub fn find<'h>(self, headers: impl Iterator<Item = &'h str>, key: &SealingKey, now: Timestamp) -> Option<State> {
        headers
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            .take(MOST_LOOKED_AT)
            .find_map(|(_, value)| verify(value, key, now))
    }
}

/// `payload.signature`, both base64url.
fn sign(state: &State, key: &SealingKey, now: Timestamp) -> String {
    let at = now.as_second();
    let wire = match state.clone() {
        State::Begun { id, return_to, tenant_id } => {
            let return_to = return_to.map(|path| path.as_str().to_owned());
            Wire { at, id: Some(id), return_to, tenant_id }
        }
        State::SentBack => Wire { at, id: None, return_to: None, tenant_id: None },
    };
    // A struct of texts and a number: it always can be written.
    let payload = BASE64URL_NOPAD.encode(&serde_json::to_vec(&wire).unwrap_or_default());
    let signature = BASE64URL_NOPAD.encode(&key.sign(PURPOSE, payload.as_bytes()));
    format!("{payload}.{signature}")
}

fn verify(value: &str, key: &SealingKey, now: Timestamp) -> Option<State> {
    let (payload, signature) = value.split_once('.')?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    if !key.is_signed(PURPOSE, payload.as_bytes(), &signature) {
        return None;
    }
    let wire: Wire = serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()?;
    let age = now.duration_since(Timestamp::from_second(wire.at).ok()?);
    if age > LIFETIME || age < -LAG {
        return None;
    }
    Some(match wire.id {
        Some(id) => State::Begun {
            id,
            return_to: wire.return_to.and_then(|path| ReturnTo::parse(&path).ok()),
            tenant_id: wire.tenant_id,
        },
        None => State::SentBack,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECURE: CookieForm = CookieForm { is_secure: true };
    const PLAIN: CookieForm = CookieForm { is_secure: false };

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_hex(&format!("{byte:02x}").repeat(32)).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn begun() -> State {
        State::Begun {
            id: "0123456789abcdef".to_owned(),
            return_to: Some(ReturnTo::parse("/a?b=c").unwrap()),
            tenant_id: Some("t-1".to_owned()),
        }
    }

    /// What a browser sends of a `Set-Cookie` header.
    fn sent(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    fn found(form: CookieForm, cookie: &str, second: i64) -> Option<State> {
        form.find([cookie].into_iter(), &key(1), at(second))
    }

    #[test]
    fn a_state_comes_back_from_the_browser_for_ten_minutes() {
        for form in [SECURE, PLAIN] {
            for state in
                [begun(), State::SentBack, State::Begun { id: "x".to_owned(), return_to: None, tenant_id: None }]
            {
                let cookie = form.set(&state, &key(1), at(0));
                let cookie = format!("other=1; {}; more=2", sent(&cookie));
                assert_eq!(found(form, &cookie, 600), Some(state));
                assert_eq!(found(form, &cookie, 601), None);
                assert_eq!(found(form, &cookie, -61), None);
            }
        }
    }

    #[test]
    fn cookies_suit_a_redirect_from_another_site_and_an_iframe() {
        let secure = SECURE.set(&begun(), &key(1), at(0));
        assert!(secure.starts_with("__Host-koogate_login="), "{secure}");
        assert!(secure.ends_with("; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"), "{secure}");
        let plain = PLAIN.set(&begun(), &key(1), at(0));
        assert!(plain.ends_with("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax"), "{plain}");
        assert_eq!(PLAIN.clear(), "koogate_login=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn another_key_another_name_and_planted_ones_before_it_do_not_count() {
        let set = SECURE.set(&begun(), &key(1), at(0));
        let cookie = sent(&set);
        assert_eq!(SECURE.find([cookie].into_iter(), &key(2), at(0)), None);
        assert_eq!(found(PLAIN, cookie, 0), None);
        let planted = format!("__Host-koogate_login=planted; {cookie}");
        assert_eq!(found(SECURE, &planted, 0), Some(begun()));
        assert_eq!(SECURE.find(["a=b", cookie].into_iter(), &key(1), at(0)), Some(begun()));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let set = PLAIN.set(&begun(), &key(1), at(0));
        let (name, value) = sent(&set).split_once('=').unwrap();
        for position in 0..value.len() {
            let mut changed = value.as_bytes().to_vec();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let cookie = format!("{name}={}", String::from_utf8(changed).unwrap());
            assert_eq!(found(PLAIN, &cookie, 0), None, "{position}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "((koogate_login)?=?[\\PC]{0,20}[.;]?){0,4}") {
            prop_assert_eq!(found(PLAIN, &header, 0), None);
        }
    }
}
