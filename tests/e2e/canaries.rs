//! Canaries: every secret and every piece of personal data has a value that is found nowhere by chance, everything is run with
//! them, and whatever koogate writes or says is searched for them (`everything`).
//!
//! The table is complete because it is held against two lists that nobody writes by hand: the keys of the configuration
//! that take secrets, as the configuration's own reader tells them, and the sealed columns of the schema.

mod everything;
mod traces;

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::json;

use crate::harness::Scratch;
use crate::koogallery::SECRET_ACCESS_KEY;
use crate::shop::FIXED;

/// A secret, and where it belongs.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    pub value: &'static str,
    pub home: Home,
}

/// Where a secret belongs: in clear text there, and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// The value of this key of the configuration.
    Key(&'static str),
    /// These columns, sealed. None: it is only passed on.
    Sealed(&'static [&'static str]),
}

use Home::{Key, Sealed};

const fn canary(value: &'static str, home: Home) -> Canary {
    Canary { value, home }
}

pub const BASIC: Canary = canary("cnry-basic-7f3a91c2e04b", Key("keys.basic"));
pub const OLD_BASIC: Canary = canary("cnry-basic-old-5d20e8b1", Key("keys.basic"));
pub const LICENSE: Canary = canary("cnry-license-18c4f09a66", Key("keys.license"));
pub const KIT: Canary = canary("cnry-kit-9be2d7713f05", Key("keys.kit"));
pub const SEALING: Canary =
    canary("c4a9e1730bd25f8846fe90ab13c7d6521e88f04b9a3d57c2604be1f97d3a8c25", Key("keys.sealing_key"));
pub const ADMIN: Canary = canary("cnry-admin-e3b8015a9d6c", Key("admin.token"));
pub const TOKEN: Canary = canary("cnry-login-secret-4c1e7702ab95d3f8", Key("login.secret"));
pub const ACCOUNT: Canary = canary(SECRET_ACCESS_KEY, Key("open_api.secret_access_key"));
/// `whsec_` before it: the base64 of 32 bytes.
pub const HOOK: Canary = canary("Y25yeS1ob29rLTNmOGEyMTdiNWNkOTA0ZTYxN2FiNDI=", Key("product.secret"));
/// What is signed with: those bytes.
pub const HOOK_BYTES: Canary = canary("cnry-hook-3f8a217b5cd904e617ab42", Key("product.secret"));

/// Whoever knows the address of a robot may send.
pub const ROBOT: Canary = canary("cnry-robot-address-0c2e55", Key("alerts.webhooks.url"));
pub const ROBOT_SECRET: Canary = canary("cnry-robot-secret-b7719d", Key("alerts.webhooks.secret"));
pub const HEARTBEAT: Canary = canary("cnry-heartbeat-71d3f0", Key("alerts.heartbeat_url"));

pub const USER_NAME: Canary = canary("cnry-user-name-61f0", Sealed(&["instance.user_name", "job.event"]));
pub const PASSWORD: Canary = canary("cnry+password/7c=d2", Sealed(&["instance.password"]));
pub const STOCK_USER: Canary = canary("cnry-stock-user-08ab", Sealed(&["stock_entry.user_name"]));
pub const STOCK_PASSWORD: Canary = canary("cnry-stock-pass-5e19", Sealed(&["stock_entry.password"]));
pub const SPARE_PASSWORD: Canary = canary("cnry-stock-spare-77d0", Sealed(&["stock_entry.password"]));
pub const TEXT_LICENSE: Canary = canary("CNRY-LICENSE-TEXT-4F9C", Sealed(&["license.content"]));
pub const FILE_LICENSE: Canary = canary("cnry-file-content-93be21", Sealed(&["license.content"]));
pub const STOCK_LICENSE: Canary = canary("CNRY-STOCK-CODE-A01B", Sealed(&["stock_entry.license"]));
pub const PHONE: Canary = canary("13877120456", Sealed(&["job.event"]));
pub const EMAIL: Canary = canary("cnry-buyer@mail.example", Sealed(&["job.event"]));
pub const ORDER_PHONE: Canary = canary("13966034578", Sealed(&["order_info.info"]));
pub const ORDER_EMAIL: Canary = canary("cnry-order@mail.example", Sealed(&["order_info.info"]));
pub const CLIENT_SECRET: Canary = canary("cnry-client-secret-2b7e", Sealed(&["application.client_secret"]));
pub const PERSON: Canary = canary("cnry-display-name-b8", Sealed(&["user.details", "job.event"]));
pub const PERSON_PHONE: Canary = canary("13755009911", Sealed(&["user.details", "job.event"]));
pub const PERSON_EMAIL: Canary = canary("cnry-tenant@mail.example", Sealed(&["user.details", "job.event"]));
pub const REFRESH: Canary = canary("cnry-refresh-token-f1", Sealed(&["login_session.refresh_token"]));
pub const ACCESS: Canary = canary("cnry-access-token-0d", Sealed(&[]));
pub const CODE: Canary = canary("cnry-login-code-c6", Sealed(&[]));
pub const CENTRE_EMAIL: Canary = canary("cnry-centre@mail.example", Sealed(&[]));

/// All of them but private keys, which are longer than a line (`everything` adds them).
pub const CANARIES: [Canary; 34] = [
    BASIC,
    OLD_BASIC,
    LICENSE,
    KIT,
    SEALING,
    ADMIN,
    TOKEN,
    ACCOUNT,
    HOOK,
    HOOK_BYTES,
    ROBOT,
    ROBOT_SECRET,
    HEARTBEAT,
    USER_NAME,
    PASSWORD,
    STOCK_USER,
    STOCK_PASSWORD,
    SPARE_PASSWORD,
    TEXT_LICENSE,
    FILE_LICENSE,
    STOCK_LICENSE,
    PHONE,
    EMAIL,
    ORDER_PHONE,
    ORDER_EMAIL,
    CLIENT_SECRET,
    PERSON,
    PERSON_PHONE,
    PERSON_EMAIL,
    REFRESH,
    ACCESS,
    CODE,
    CENTRE_EMAIL,
    canary("", Key("keys.kit_private_keys")),
];

/// Keys of the configuration with secrets that are read elsewhere than the others; `tls` and `traces` have their tests.
const READ_ELSEWHERE: [&str; 1] = ["server.tls.private_key"];

/// The forms in which a value may stand somewhere: as it is, in hex, percent-encoded, escaped, and in base64 wherever it begins
/// within what was encoded.
pub fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let percent = percent_encode(value, NON_ALPHANUMERIC).to_string();
    let mut forms = vec![HEXLOWER.encode(value), HEXUPPER.encode(value), percent.to_ascii_lowercase(), percent];
    if let Ok(text) = std::str::from_utf8(value) {
        forms.push(json!(text).to_string().trim_matches('"').to_owned());
        forms.push(text.escape_default().to_string());
        forms.push(text.escape_unicode().to_string());
    }
    for shift in 0..3 {
        let shifted = [&b"xx"[..shift], value].concat();
        // Without the characters at the ends that hold bits of neighbours.
        let whole = &shifted[..shifted.len() / 3 * 3];
        for encoded in [BASE64.encode(whole), BASE64URL_NOPAD.encode(whole)] {
            forms.push(encoded[if shift == 0 { 0 } else { 4 }..].to_owned());
        }
    }
    let mut forms: Vec<_> = forms.into_iter().map(String::into_bytes).chain([value.to_vec()]).collect();
    forms.retain(|form| form.len() >= 8);
    forms.sort();
    forms.dedup();
    forms
}

/// Looks for many texts at once: one walk through what is searched, however many there are.
pub struct Search {
    /// By the first two bytes: the texts that begin so, by their numbers.
    beginning: Vec<Vec<usize>>,
    texts: Vec<Vec<u8>>,
}

impl Search {
    /// For these, none shorter than two bytes.
    pub fn new(texts: Vec<Vec<u8>>) -> Self {
        let mut beginning = vec![Vec::new(); 1 << 16];
        for (number, text) in texts.iter().enumerate() {
            beginning[Self::place(text)].push(number);
        }
        Self { beginning, texts }
    }

    fn place(bytes: &[u8]) -> usize {
        usize::from(bytes[0]) << 8 | usize::from(bytes[1])
    }

    /// The numbers of those that are there, with where they are.
    pub fn in_bytes(&self, content: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for at in 0..content.len().saturating_sub(1) {
            let here = &content[at..];
            for number in &self.beginning[Self::place(here)] {
                if here.starts_with(&self.texts[*number]) {
                    found.push((*number, at));
                }
            }
        }
        found
    }
}

/// Whether a value is there in any form.
pub fn is_in(value: &[u8], content: &[u8]) -> bool {
    !Search::new(forms(value)).in_bytes(content).is_empty()
}

#[test]
fn a_canary_is_found_in_whatever_form_it_stands() {
    let value = PASSWORD.value.as_bytes();
    let inside = |bytes: &[u8]| [b"\x00\xFFbefore ", bytes, b" after\xFE"].concat();
    for hidden in [
        inside(value),
        inside(HEXUPPER.encode(value).as_bytes()),
        BASE64.encode(&inside(value)).into_bytes(),
        BASE64.encode(&inside(value)[1..]).into_bytes(),
        BASE64.encode(&inside(value)[2..]).into_bytes(),
        BASE64URL_NOPAD.encode(&inside(value)[2..]).into_bytes(),
        inside(b"cnry%2Bpassword%2F7c%3Dd2"),
        inside(b"cnry%2bpassword%2f7c%3dd2"),
    ] {
        assert!(is_in(value, &hidden), "{}", crate::harness::text(&hidden));
    }
    assert!(!is_in(value, b"cnry+password/7c=d"));
}

/// The configuration's own reader tells which keys take secrets: those that look for a file when they are given one.
#[test]
fn every_key_that_takes_a_secret_has_a_canary() {
    let example = include_str!("../../config.example.toml");
    // Keys that are switched off are written `#key = …`, sections `#[name]`; comments have a blank after the `#`.
    let on = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest,
        _ => line,
    };
    let text: Vec<&str> = example.lines().map(on).collect();
    let scratch = Scratch::new(FIXED);
    let is_secret = |at: usize, stand_in: &str| {
        let mut lines: Vec<String> = text.iter().map(|line| (*line).to_owned()).collect();
        let key = lines[at].split_once(" = ").unwrap().0.to_owned();
        lines[at] = format!("{key} = {stand_in}");
        std::fs::write(scratch.path("koogate.toml"), lines.join("\n")).unwrap();
        let output = scratch.run(&["exchange", "list"]);
        let told = crate::harness::text(&output.stderr);
        told.lines().any(|line| line.contains(&format!(":{}:", at + 1)) && line.contains("no-such-file cannot be read"))
    };
    let (mut section, mut secrets) = (String::new(), BTreeSet::new());
    for (at, line) in text.iter().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with(['#', ' '])) {
            let names = || format!("{section}.{key}");
            let is_public = names() == "open_api.ca_file";
            if is_secret(at, "{ file = \"no-such-file\" }") || (!is_public && is_secret(at, "[\"no-such-file\"]")) {
                secrets.insert(names());
            }
        }
    }
    let home = |canary: &Canary| if let Key(key) = canary.home { Some(key.to_owned()) } else { None };
    let expected: BTreeSet<String> = CANARIES.iter().filter_map(home).collect();
    assert_eq!(secrets, expected, "a key of the configuration takes a secret and has no canary, or the reverse");
    assert!(READ_ELSEWHERE.iter().all(|key| example.contains(key.rsplit('.').next().unwrap())));
}

#[test]
fn every_sealed_column_has_a_canary() {
    let (mut table, mut columns) = ("", BTreeSet::new());
    for line in include_str!("../../schema.sql").lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = rest.split(' ').next().unwrap();
        }
        let name = line.trim_start().split(' ').next().unwrap();
        columns.extend(name.strip_suffix("_sealed").filter(|name| *name != "request").map(|c| format!("{table}.{c}")));
    }
    let of = |canary: &Canary| if let Sealed(columns) = canary.home { columns } else { &[] };
    let expected: BTreeSet<String> = CANARIES.iter().flat_map(of).map(|column| (*column).to_owned()).collect();
    assert_eq!(columns, expected, "a sealed column has no canary, or the reverse");
}
