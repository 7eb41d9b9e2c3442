//! Access data of an instance: what KooGallery shows the buyer, held to KooGallery's limits when it is accepted.
//!
//! Every way to fulfil makes its access data here, so that no reply can carry one that KooGallery would reject. Pure:
//! storing it (sealed) and encoding it (encrypted in V1) live elsewhere.

use thiserror::Error;

use crate::protocol::field_cipher;
use crate::secret::Secret;

const URL_LIMIT: usize = 512;
const CREDENTIAL_LIMIT: usize = 128;
const MEMO_LIMIT: usize = 1024;

/// Longest user name or password in a V1 reply, in bytes of UTF-8: the limit of 128 counts the encrypted field (V1
/// guide, encrypted fields).
pub const V1_CREDENTIAL_BYTES: usize = field_cipher::MAX_PLAINTEXT;

/// Access data that KooGallery will take (`appInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access(AccessParts);

/// Access data as somebody proposes it; [`Access::accept`] checks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessParts {
    /// Where the buyer goes; mandatory.
    pub front_end_url: String,
    /// Where the buyer's administrator goes.
    pub admin_url: Option<String>,
    /// First account.
    pub user_name: Option<Secret<String>>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// Anything else the buyer should read.
    pub memo: Option<String>,
}

/// Why access data was not accepted. Names the member, never shows its value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccessFault {
    /// The one mandatory member.
    #[error("access needs \"frontEndUrl\": the address where the buyer uses the product")]
    NoFrontEndUrl,
    /// KooGallery checks lengths.
    #[error("\"{member}\" has {length} characters; KooGallery takes at most {limit}")]
    TooLong {
        /// The member.
        member: &'static str,
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Only `memo` may have line breaks and tabs.
    #[error("\"{member}\" holds a control character such as a line break; remove it")]
    ControlCharacter {
        /// The member.
        member: &'static str,
    },
    /// Not an absolute http or https URL.
    #[error("\"{member}\" is not a complete http:// or https:// address without blanks")]
    NotAWebAddress {
        /// The member.
        member: &'static str,
    },
    /// A V1 reply has to encrypt it.
    #[error("\"{member}\" has {bytes} bytes; the V1 interface has room for {V1_CREDENTIAL_BYTES} before encryption")]
    TooLongForV1 {
        /// The member.
        member: &'static str,
        /// Its length in bytes of UTF-8.
        bytes: usize,
    },
}

impl Access {
    /// Checks proposed access data. Empty optional parts count as absent.
    ///
    /// # Errors
    /// Says which member breaks which limit of KooGallery.
    pub fn accept(proposed: AccessParts) -> Result<Self, AccessFault> {
        let parts = AccessParts {
            front_end_url: proposed.front_end_url,
            admin_url: proposed.admin_url.filter(|text| !text.is_empty()),
            user_name: proposed.user_name.filter(|text| !text.expose().is_empty()),
            password: proposed.password.filter(|text| !text.expose().is_empty()),
            memo: proposed.memo.filter(|text| !text.is_empty()),
        };
        if parts.front_end_url.is_empty() {
            return Err(AccessFault::NoFrontEndUrl);
        }
        check_url("frontEndUrl", &parts.front_end_url)?;
        parts.admin_url.as_ref().map_or(Ok(()), |url| check_url("adminUrl", url))?;
        for (member, value) in [("userName", &parts.user_name), ("password", &parts.password)] {
            value.as_ref().map_or(Ok(()), |text| check_text(member, text.expose(), CREDENTIAL_LIMIT, |_| false))?;
        }
        let line_structure = |c| matches!(c, '\n' | '\r' | '\t');
        parts.memo.as_ref().map_or(Ok(()), |text| check_text("memo", text, MEMO_LIMIT, line_structure))?;
        Ok(Self(parts))
    }

    /// Checks that user name and password also fit a V1 reply, which encrypts them.
    ///
    /// # Errors
    /// [`AccessFault::TooLongForV1`].
    pub fn check_v1(&self) -> Result<(), AccessFault> {
        for (member, value) in [("userName", self.user_name()), ("password", self.password())] {
            let bytes = value.map_or(0, |text| text.expose().len());
            if bytes > V1_CREDENTIAL_BYTES {
                return Err(AccessFault::TooLongForV1 { member, bytes });
            }
        }
        Ok(())
    }

    /// Where the buyer goes.
    pub fn front_end_url(&self) -> &str {
        &self.0.front_end_url
    }

    /// Where the buyer's administrator goes.
    pub fn admin_url(&self) -> Option<&str> {
        self.0.admin_url.as_deref()
    }

    /// First account.
    pub fn user_name(&self) -> Option<&Secret<String>> {
        self.0.user_name.as_ref()
    }

    /// Its password.
    pub fn password(&self) -> Option<&Secret<String>> {
        self.0.password.as_ref()
    }

    /// Anything else the buyer should read.
    pub fn memo(&self) -> Option<&str> {
        self.0.memo.as_deref()
    }

    /// The same with user name and password blanked, for the journal.
    #[must_use]
    pub fn blanked(&self) -> Self {
        let blank = |secret: &Option<Secret<String>>| secret.as_ref().map(|_| Secret::new("***".to_owned()));
        let parts = &self.0;
        Self(AccessParts { user_name: blank(&parts.user_name), password: blank(&parts.password), ..parts.clone() })
    }

    /// The parts, to be taken apart.
    pub fn into_parts(self) -> AccessParts {
        self.0
    }
}

fn check_url(member: &'static str, url: &str) -> Result<(), AccessFault> {
    check_text(member, url, URL_LIMIT, |_| false)?;
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let head = url.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
    });
    let host_is_named = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':', '\\']));
    if host_is_named && !url.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err(AccessFault::NotAWebAddress { member })
    }
}

/// Lengths count UTF-16 code units, as KooGallery's Java does; that is never less than the number of characters.
fn check_text(
    member: &'static str,
    text: &str,
    limit: usize,
    is_allowed_control: fn(char) -> bool,
) -> Result<(), AccessFault> {
    let length = text.encode_utf16().count();
    if length > limit {
        return Err(AccessFault::TooLong { member, length, limit });
    }
    if text.chars().any(|c| c.is_control() && !is_allowed_control(c)) {
        return Err(AccessFault::ControlCharacter { member });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> AccessParts {
        AccessParts { front_end_url: "https://app.example.com/i-1".into(), ..AccessParts::default() }
    }

    fn fault(change: impl FnOnce(&mut AccessParts)) -> Option<AccessFault> {
        let mut proposed = parts();
        change(&mut proposed);
        Access::accept(proposed).err()
    }

    #[test]
    fn every_limit_is_kept_to_the_character() {
        let url = |length: usize| format!("https://{}", "a".repeat(length - 8));
        let secret = |length: usize| Some(Secret::new("密".repeat(length)));
        assert_eq!(fault(|p| p.front_end_url = url(512)), None);
        assert_eq!(fault(|p| p.admin_url = Some(url(512))), None);
        assert_eq!(fault(|p| (p.user_name, p.password) = (secret(128), secret(128))), None);
        assert_eq!(fault(|p| p.memo = Some("云".repeat(1024))), None);

        let too_long = |member, length| Some(AccessFault::TooLong { member, length, limit: length - 1 });
        assert_eq!(fault(|p| p.front_end_url = url(513)), too_long("frontEndUrl", 513));
        assert_eq!(fault(|p| p.admin_url = Some(url(513))), too_long("adminUrl", 513));
        assert_eq!(fault(|p| p.user_name = secret(129)), too_long("userName", 129));
        assert_eq!(fault(|p| p.password = secret(129)), too_long("password", 129));
        assert_eq!(fault(|p| p.memo = Some("云".repeat(1025))), too_long("memo", 1025));
        assert_eq!(
            fault(|p| p.memo = Some("😀".repeat(513))),
            Some(AccessFault::TooLong { member: "memo", length: 1026, limit: 1024 })
        );
    }

    #[test]
    fn addresses_are_complete_and_of_the_web() {
        for good in ["http://h", "HTTPS://例え.com/路径?a=b#c", "https://[::1]:8443/"] {
            assert_eq!(fault(|p| p.front_end_url = good.into()), None, "{good}");
        }
        for bad in ["app.example.com", "ftp://h/", "javascript:alert(1)", "https://", "https:///x", "http://a b/", "h"]
        {
            assert_eq!(
                fault(|p| p.admin_url = Some(bad.into())),
                Some(AccessFault::NotAWebAddress { member: "adminUrl" }),
                "{bad}"
            );
        }
        assert_eq!(fault(|p| p.front_end_url.clear()), Some(AccessFault::NoFrontEndUrl));
    }

    #[test]
    fn only_the_memo_may_have_several_lines() {
        assert_eq!(fault(|p| p.memo = Some("one\r\n\ttwo".into())), None);
        assert_eq!(fault(|p| p.memo = Some("a\0b".into())), Some(AccessFault::ControlCharacter { member: "memo" }));
        for (member, result) in [
            ("frontEndUrl", fault(|p| p.front_end_url.push('\n'))),
            ("userName", fault(|p| p.user_name = Some(Secret::new("a\tb".into())))),
            ("password", fault(|p| p.password = Some(Secret::new("a\u{7f}".into())))),
        ] {
            assert_eq!(result, Some(AccessFault::ControlCharacter { member }));
        }
    }

    #[test]
    fn what_is_accepted_is_told_part_by_part_and_an_empty_part_is_none() {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let whole = AccessParts {
            admin_url: Some("https://app.example.com/admin".into()),
            user_name: secret("u"),
            password: secret("p"),
            memo: Some("m".into()),
            ..parts()
        };
        let access = Access::accept(whole.clone()).unwrap();
        assert_eq!(access.front_end_url(), whole.front_end_url);
        assert_eq!(access.admin_url(), whole.admin_url.as_deref());
        assert_eq!(access.user_name(), whole.user_name.as_ref());
        assert_eq!(access.password(), whole.password.as_ref());
        assert_eq!(access.memo(), whole.memo.as_deref());
        assert_eq!(access.into_parts(), whole);

        let (empty, nothing) = (Some(String::new()), secret(""));
        let hollow = AccessParts {
            admin_url: empty.clone(),
            user_name: nothing.clone(),
            password: nothing,
            memo: empty,
            ..parts()
        };
        assert_eq!(Access::accept(hollow).unwrap().into_parts(), parts());
    }

    #[test]
    fn the_journals_copy_is_blanked_where_there_is_a_secret_and_nowhere_else() {
        let whole = AccessParts {
            user_name: Some(Secret::new("u".to_owned())),
            password: Some(Secret::new("p".to_owned())),
            memo: Some("m".into()),
            ..parts()
        };
        let blanked = Access::accept(whole.clone()).unwrap().blanked();
        let blank = Some(Secret::new("***".to_owned()));
        assert_eq!(blanked.into_parts(), AccessParts { user_name: blank.clone(), password: blank, ..whole });
        assert_eq!(Access::accept(parts()).unwrap().blanked().into_parts(), parts());
    }

    #[test]
    fn v1_has_room_for_79_bytes_before_encryption() {
        let with = |password: String| {
            Access::accept(AccessParts { password: Some(Secret::new(password)), ..parts() }).unwrap().check_v1()
        };
        assert_eq!(with("p".repeat(79)), Ok(()));
        assert_eq!(with("密".repeat(27)), Err(AccessFault::TooLongForV1 { member: "password", bytes: 81 }));
    }
}
