//! Secrets of the configuration: given inline, as `{ file = "…" }` or as `{ env = "NAME" }`, and what each kind of
//! secret must look like. Values never reach a message.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use toml::de::DeValue;
use zeroize::Zeroizing;

use crate::config::error::{Problem, SecretProblem};
use crate::config::section::Section;
use crate::config::shown::{Origin, Value};
use crate::config::value::{Mismatch, kind, list, text};
use crate::secret::Secret;

/// What one kind of secret must look like.
pub(super) struct SecretKind {
    /// What to write, for messages.
    pub(super) expected: &'static str,
    /// Where the real value comes from, for a placeholder left standing.
    pub(super) mend: &'static str,
    /// Says what is wrong with a value, without repeating any of it.
    pub(super) fault: fn(&str) -> Option<String>,
}

/// The access key of the basic interfaces: the marketplace issues short visible texts.
pub(super) const ACCESS_KEY: SecretKind =
    access_key("paste the access key of the basic interface (基础接口) from the seller console: 应用工具 > 密钥管理");

/// The access key of the licence interface.
pub(super) const LICENSE_KEY: SecretKind = access_key(
    "paste the access key of the licence interface (License授权码交付接口) from the seller console: 应用工具 > 密钥管理",
);

/// The access key of the joint-operation kit.
pub(super) const KIT_KEY: SecretKind =
    access_key("paste the access key of the kit (联营SaaS同步接口) from the seller console: 应用工具 > 密钥管理");

const fn access_key(mend: &'static str) -> SecretKind {
    SecretKind {
        expected: "8 to 256 visible ASCII characters",
        mend,
        fault: |value| visible_ascii_fault(value, 8, 256),
    }
}

/// The key that seals secret columns.
pub(super) const SEALING_KEY: SecretKind = SecretKind {
    expected: "32 bytes as 64 hex digits",
    mend: "`koogate init` writes one",
    fault: |value| {
        let digits = value.chars().filter(char::is_ascii_hexdigit).count();
        match value.chars().count() {
            64 if digits == 64 => None,
            64 => Some("it has characters that are no hex digits".to_owned()),
            length => Some(format!("it has {length} characters")),
        }
    },
};

/// The token of the admin listener.
pub(super) const ADMIN_TOKEN: SecretKind = SecretKind {
    expected: "16 to 256 visible ASCII characters",
    mend: "`koogate init` writes one; so does `openssl rand -hex 32`",
    fault: |value| visible_ascii_fault(value, 16, 256),
};

/// The secret that signs the token of the login helper: a key as long as its hash at least (RFC 7518 §3.2).
pub(super) const LOGIN_SECRET: SecretKind = SecretKind {
    expected: "32 to 256 visible ASCII characters",
    mend: "`openssl rand -hex 32` writes one; your application needs it too",
    fault: |value| visible_ascii_fault(value, 32, 256),
};

/// The secret half of the access key of the seller's Huawei Cloud account.
pub(super) const SECRET_ACCESS_KEY: SecretKind = SecretKind {
    expected: "16 to 256 visible ASCII characters",
    mend: "it is the SK of your Huawei Cloud account: 我的凭证 > 访问密钥; it is shown once, when it is made",
    fault: |value| visible_ascii_fault(value, 16, 256),
};

/// The secret that signs calls to the merchant's application (Standard Webhooks: 24 to 64 bytes).
pub(super) const WEBHOOK_SECRET: SecretKind = SecretKind {
    expected: "whsec_ and the base64 of 24 to 64 bytes",
    mend: "`koogate init` writes one",
    fault: |value| {
        let Some(encoded) = value.strip_prefix("whsec_") else {
            return Some("it does not start with whsec_".to_owned());
        };
        match BASE64.decode(encoded.as_bytes()).map(Zeroizing::new) {
            Err(_) => Some("what follows whsec_ is not base64".to_owned()),
            Ok(bytes) if !(24..=64).contains(&bytes.len()) => Some(format!("it holds {} bytes", bytes.len())),
            Ok(_) => None,
        }
    },
};

/// Reads a secret that may be absent; `None` also when it was reported.
pub(super) fn optional(section: &mut Section<'_, '_>, key: &'static str, kind: &SecretKind) -> Option<Secret<String>> {
    let Some(entry) = section.entry(key) else {
        section.note_default(key, Value::Nothing);
        return None;
    };
    one(section, key, entry.value, kind)
}

/// Reads a secret that must be there; `None` when it was reported.
pub(super) fn required(section: &mut Section<'_, '_>, key: &'static str, kind: &SecretKind) -> Option<Secret<String>> {
    if !section.has(key) {
        section.error(key, missing(kind));
    }
    optional(section, key, kind)
}

/// Reads one secret or a list of them; empty when there is none, or when it was reported.
pub(super) fn any_number(section: &mut Section<'_, '_>, key: &'static str, kind: &SecretKind) -> Vec<Secret<String>> {
    let Some(entry) = section.entry(key) else {
        section.note_default(key, Value::Nothing);
        return Vec::new();
    };
    let value = entry.value;
    let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
        return one(section, key, value, kind).into_iter().collect();
    };
    section.forget(key);
    let read =
        |(index, value): (usize, &toml::Spanned<_>)| one(section, &format!("{key}[{index}]"), value.get_ref(), kind);
    list.iter().enumerate().filter_map(read).collect()
}

/// A file with a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKeyFile {
    /// As the configuration writes it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub pem: Secret<String>,
}

/// Reads files that hold a secret each, named in a list; `what` says what is in them. Those that cannot be read are
/// reported.
pub(super) fn files(section: &mut Section<'_, '_>, key: &'static str, what: &str) -> Vec<PrivateKeyFile> {
    let names = section.optional(key, |value| {
        let path = |item: &DeValue<'_>| Ok(text(item)?.to_owned());
        list(path)(value).map_err(|fault| Mismatch { expected: format!("a list of files with {what}"), ..fault })
    });
    let mut contents = Vec::new();
    for (index, name) in names.unwrap_or_default().into_iter().enumerate() {
        let (key, path) = (format!("{key}[{index}]"), section.log.surroundings.base_dir.join(&name));
        match read_file(&path) {
            Ok((content, mode)) => {
                if let Some(advice) = exposed(mode) {
                    section.warn(&key, format!("{} {advice}", path.display()));
                }
                contents.push(PrivateKeyFile { name, path, pem: content });
            }
            Err(problem) => section.error(&key, problem.into()),
        }
    }
    contents
}

/// Reads a file of which everybody may know what is in it; `None` when none is named, or when it was reported.
pub(super) fn public_file(section: &mut Section<'_, '_>, key: &'static str) -> Option<String> {
    let name = section.optional(key, |value| Ok(text(value)?.to_owned()))?;
    match read_file(&section.log.surroundings.base_dir.join(name)) {
        Ok((content, _)) => Some(content.expose().clone()),
        Err(problem) => {
            section.error(key, problem.into());
            None
        }
    }
}

fn one(section: &mut Section<'_, '_>, key: &str, value: &DeValue<'_>, kind: &SecretKind) -> Option<Secret<String>> {
    match given(section, key, value, kind).and_then(|secret| checked(secret, kind)) {
        Ok(secret) => Some(secret),
        Err(problem) => {
            section.error(key, problem);
            None
        }
    }
}

/// Gets hold of the value, from wherever it is.
fn given(
    section: &mut Section<'_, '_>,
    key: &str,
    value: &DeValue<'_>,
    kind: &SecretKind,
) -> Result<Secret<String>, Problem> {
    let line = section.line(key).unwrap_or_default();
    section.note(key, Value::Secret, Origin::Line(line));
    if let Some(inline) = value.as_str() {
        section.log.holds_secrets = true;
        return Ok(Secret::new(inline.to_owned()));
    }
    let (source, name) = source(value, kind)?;
    let secret = match source {
        Source::File => {
            let path = section.log.surroundings.base_dir.join(name);
            section.note(key, Value::Secret, Origin::File(path.clone(), line));
            let (secret, mode) = read_file(&path)?;
            if let Some(advice) = exposed(mode) {
                section.warn(key, format!("{} {advice}", path.display()));
            }
            secret
        }
        Source::Environment => {
            section.note(key, Value::Secret, Origin::Environment(name.to_owned(), line));
            let problem = |reason| SecretProblem::Environment { name: name.to_owned(), reason };
            let value = (section.log.surroundings.environment)(name).ok_or_else(|| problem("is not set"))?;
            Secret::new(value.into_string().map_err(|_| problem("is not Unicode text"))?)
        }
    };
    Ok(secret)
}

enum Source {
    File,
    Environment,
}

/// `{ file = "…" }` or `{ env = "NAME" }`, exactly one.
fn source<'v>(value: &'v DeValue<'_>, secret: &SecretKind) -> Result<(Source, &'v str), Problem> {
    // Not `describe`: what stands here may be the secret itself in the wrong clothes, such as a number.
    let unexpected = |found: String| Problem::Unexpected { found, expected: forms(secret) };
    let table = value.as_table().ok_or_else(|| unexpected(kind(value).to_owned()))?;
    let mut pairs = table.iter();
    let (Some((name, place)), None) = (pairs.next(), pairs.next()) else {
        return Err(unexpected(format!("a table with {} keys", table.len())));
    };
    let source = match &**name.get_ref() {
        "file" => Source::File,
        "env" => Source::Environment,
        other => return Err(unexpected(format!("a table with the key {other:?}"))),
    };
    match text(place.get_ref()) {
        // Not shown: the secret itself may stand where its name belongs.
        Ok(name) if matches!(source, Source::Environment) && !is_variable_name(name) => {
            Err(unexpected("a text that cannot be the name of an environment variable".to_owned()))
        }
        Ok(place) if !place.is_empty() => Ok((source, place)),
        Ok(_) => Err(unexpected("an empty name".to_owned())),
        Err(Mismatch { found, .. }) => Err(unexpected(found)),
    }
}

fn is_variable_name(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| part(c) && !c.is_ascii_digit()) && name.chars().all(part)
}

fn forms(kind: &SecretKind) -> String {
    format!("{} in quotes, {{ file = \"…\" }} or {{ env = \"NAME\" }}", kind.expected)
}

/// What to say about a secret that must be there and is not.
pub(super) fn missing(kind: &SecretKind) -> Problem {
    Problem::Missing { expected: format!("{}; {}", forms(kind), kind.mend) }
}

/// Reads a file that holds one secret, without the line ends after it, and the file's permissions.
fn read_file(path: &Path) -> Result<(Secret<String>, u32), SecretProblem> {
    /// No secret comes near it; it only bounds what a wrong path (a log, a device) can make us read.
    const LONGEST: u64 = 64 << 10;

    let file = path.display().to_string();
    let unreadable = |source: io::Error| SecretProblem::Unreadable { file: file.clone(), source };
    let bad = |reason| SecretProblem::NotASecretFile { file: file.clone(), reason };

    // Asked before opening: opening a named pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(bad("it is not a regular file"));
    }
    let opened = File::open(path).map_err(unreadable)?;
    let mode = mode_for_others(&opened.metadata().map_err(unreadable)?);
    if is_changeable(mode) {
        return Err(SecretProblem::Changeable { file, mode: mode & 0o777 });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(bad("it is too long"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is not UTF-8 text"))?;
    Ok((Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()), mode))
}

/// What to say about a file with secrets that others than its owner can read; `None` when they cannot.
pub fn exposed(mode: u32) -> Option<String> {
    let permissions = mode & 0o777;
    (permissions & 0o077 != 0).then(|| format!("is open to other users (mode {permissions:04o}); run chmod 600 on it"))
}

/// A file's mode, without the group's right to read what belongs to root where koogate runs as somebody else. That is how
/// secrets are given to a service which is not to change them; only root can let anybody into the group, and the service
/// could not read the file under the mode 600.
pub(super) fn mode_for_others(found: &Metadata) -> u32 {
    judged(found.mode(), found.uid(), rustix::process::geteuid().as_raw())
}

fn judged(mode: u32, owner: u32, own: u32) -> u32 {
    const ROOT: u32 = 0;
    const READ_BY_GROUP: u32 = 0o040;
    if owner == ROOT && own != ROOT { mode & !READ_BY_GROUP } else { mode }
}

/// Whether every user of the machine can change a file. Who can do that to the configuration decides which program
/// koogate runs; that is refused, where a file that can only be read is warned of: secrets of containers often come so.
pub(super) fn is_changeable(mode: u32) -> bool {
    mode & 0o002 != 0
}

fn checked(secret: Secret<String>, kind: &SecretKind) -> Result<Secret<String>, Problem> {
    if is_placeholder(secret.expose()) {
        return Err(SecretProblem::Placeholder { mend: kind.mend }.into());
    }
    match (kind.fault)(secret.expose()) {
        None => Ok(secret),
        Some(fault) => Err(SecretProblem::Malformed { fault, expected: kind.expected }.into()),
    }
}

/// Whether this is a text that documentation and examples put where a secret belongs.
fn is_placeholder(value: &str) -> bool {
    let letters: String = value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    value.trim().is_empty()
        || value.contains('…')
        || value.trim() == "..."
        || (value.starts_with('<') && value.ends_with('>'))
        || ["CHANGEME", "PASTEHERE", "YOURKEY", "TODO"].iter().any(|placeholder| letters == *placeholder)
}

pub(super) fn visible_ascii_fault(value: &str, shortest: usize, longest: usize) -> Option<String> {
    let length = value.chars().count();
    if !value.chars().all(|c| c.is_ascii_graphic()) {
        Some("it has blanks, control characters or characters outside ASCII".to_owned())
    } else if length < shortest || length > longest {
        Some(format!("it has {length} characters"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_recognised_and_real_keys_are_not() {
        for text in ["", "  ", "…", "...", "CHANGE-ME", "change_me", "changeme", "<your key>", "abc…", "TODO"] {
            assert!(is_placeholder(text), "{text:?}");
        }
        for text in ["de305d54-75b4-431b-adb2-eb6b9e546014", "Todo7nine", "changeme-not-really"] {
            assert!(!is_placeholder(text), "{text:?}");
        }
    }

    #[test]
    fn each_kind_of_secret_says_what_is_wrong_with_a_value() {
        let at = |length: usize| "k".repeat(length);
        let whsec = |length: usize| format!("whsec_{}", BASE64.encode(&vec![7; length]));
        for (kind, value, good) in [
            (&ACCESS_KEY, at(7), false),
            (&ACCESS_KEY, at(8), true),
            (&ACCESS_KEY, at(256), true),
            (&ACCESS_KEY, at(257), false),
            (&ACCESS_KEY, "with a blank".into(), false),
            (&ACCESS_KEY, "钥匙钥匙钥匙钥匙".into(), false),
            (&SEALING_KEY, "0aF9".repeat(16), true),
            (&SEALING_KEY, "0aG9".repeat(16), false),
            (&SEALING_KEY, at(63), false),
            (&ADMIN_TOKEN, at(15), false),
            (&ADMIN_TOKEN, at(16), true),
            (&LOGIN_SECRET, at(31), false),
            (&LOGIN_SECRET, at(32), true),
            (&WEBHOOK_SECRET, whsec(23), false),
            (&WEBHOOK_SECRET, whsec(24), true),
            (&WEBHOOK_SECRET, whsec(64), true),
            (&WEBHOOK_SECRET, whsec(65), false),
            (&WEBHOOK_SECRET, BASE64.encode(&[7; 32]), false),
            (&WEBHOOK_SECRET, "whsec_???".into(), false),
        ] {
            assert_eq!((kind.fault)(&value).is_none(), good, "{} {value}", kind.expected);
        }
    }

    #[test]
    fn only_the_owner_may_read_a_secret_file() {
        for (mode, owner, own, expected) in [
            (0o640, 0, 999, 0o600),
            (0o644, 0, 999, 0o604),
            (0o660, 0, 999, 0o620),
            (0o640, 0, 0, 0o640),
            (0o640, 999, 999, 0o640),
            (0o640, 998, 999, 0o640),
        ] {
            assert_eq!(judged(mode, owner, own), expected, "{mode:o} of {owner} for {own}");
        }
        assert_eq!(exposed(0o100_600), None);
        assert_eq!(exposed(0o100_400), None);
        assert_eq!(exposed(0o100_640).as_deref(), Some("is open to other users (mode 0640); run chmod 600 on it"));
    }
}
