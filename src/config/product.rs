//! `[[product]]`: which products are sold, and how their instances come into being.
//!
//! How an event reaches the merchant's application, and what `stock` means to the database, is not known here.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::access::AccessTemplate;
use crate::config::error::Problem;
use crate::config::secrets;
use crate::config::section::Section;
use crate::config::value::{Mismatch, any_of, boolean, duration, integer, list, one_of, short_text, text};
use crate::kind::Kind;
use crate::protocol::field_cipher::EncryptType;
use crate::secret::Secret;

/// One entry: which products it is for, and what happens when they are bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// What is sold.
    pub kind: Kind,
    /// KooGallery's id of the product; `None` matches every product.
    pub product_id: Option<String>,
    /// KooGallery's code of the specification; `None` matches every specification.
    pub sku_code: Option<String>,
    /// How an instance comes into being.
    pub fulfilment: Fulfilment,
    /// Access data for test calls, and for members that the application, the stock entry or the operator leaves out.
    /// Always `None` for [`Fulfilment::Fixed`], which has its own; ask [`Product::access`].
    pub default_access: Option<AccessTemplate>,
    /// When renew, freeze, unfreeze and release are answered.
    pub accept: Accept,
    /// What happens to KooGallery's test calls.
    pub test_calls: TestCalls,
    /// Who decides about a change at renewal.
    pub change_check: ChangeCheck,
    /// How long one call of the merchant's application may take.
    pub timeout: Duration,
    /// How user names and passwords are encrypted in V1 replies, as chosen in the seller console.
    pub encrypt_type: EncryptType,
    /// So many licences an instance may have; `None`: the application decides. Only with [`Kind::LicenseOnline`].
    pub max_licenses: Option<u32>,
    /// Whether a licence must be for a device. Only with [`Kind::LicenseOnline`].
    pub fingerprint: Fingerprint,
}

/// Whether a licence must be for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// It may be.
    Optional,
    /// A request without a device fingerprint is refused.
    Required,
}

/// How an instance comes into being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fulfilment {
    /// The event is posted to the merchant's application.
    Http {
        /// Where to: `http` or `https`, with a host, without user information or fragment.
        url: String,
        /// Signs the call (Standard Webhooks, `whsec_…`, 24 to 64 bytes).
        secret: Option<Secret<String>>,
    },
    /// A program is run, without a shell.
    Command {
        /// The program: a path, or a name to look up in `PATH`.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// The next unused entry of a stock is handed out.
    Stock {
        /// Name of the stock.
        name: String,
        /// From how many entries left the stock counts as low.
        low_stock: u32,
    },
    /// Every instance gets the same access data, but for the placeholders.
    Fixed {
        /// The access data.
        access: AccessTemplate,
        /// Whether to add a random password of 16 characters.
        generate_password: bool,
    },
    /// The operator says when it is ready.
    Manual,
}

/// When renew, freeze, unfreeze and release are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// As soon as the change is durable; koogate sees it through.
    AtOnce,
    /// When the merchant's application has done it.
    After,
}

/// What happens to KooGallery's test calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestCalls {
    /// koogate answers by itself.
    Answer,
    /// The merchant's application gets them, marked as tests.
    Forward,
}

/// Who decides about a change at renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeCheck {
    /// Every change is allowed.
    Allow,
    /// The merchant's application is asked.
    Ask,
}

/// The word behind `fulfilment = `.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http,
    Command,
    Stock,
    Fixed,
    Manual,
}

const WAYS: [(&str, Way); 5] = [
    ("http", Way::Http),
    ("command", Way::Command),
    ("stock", Way::Stock),
    ("fixed", Way::Fixed),
    ("manual", Way::Manual),
];

/// Which keys belong to which fulfilments, in words for the message. What is not here belongs to all.
const BELONGINGS: [(&str, &[Way], &str); 7] = [
    ("url", &[Way::Http], "fulfilment = \"http\""),
    ("secret", &[Way::Http], "fulfilment = \"http\""),
    ("command", &[Way::Command], "fulfilment = \"command\""),
    ("timeout", &[Way::Http, Way::Command], APPLICATION),
    ("stock", &[Way::Stock], "fulfilment = \"stock\""),
    ("low_stock", &[Way::Stock], "fulfilment = \"stock\""),
    ("generate_password", &[Way::Fixed], "fulfilment = \"fixed\""),
];

/// The fulfilments with an application of the merchant's that can be asked.
const APPLICATION: &str = "fulfilment = \"http\" or \"command\"";

/// From how many entries left a stock counts as low, unless configured.
pub(super) const DEFAULT_LOW_STOCK: u32 = 5;

/// Which keys belong to which kinds of product, in words for the message. What is not here belongs to all.
const BELONGINGS_BY_KIND: [(&str, Kind, &str); 5] = [
    ("encrypt_type", Kind::Saas, "kind = \"saas\""),
    ("change_check", Kind::Saas, "kind = \"saas\""),
    ("access", Kind::Saas, "kind = \"saas\""),
    ("max_licenses", Kind::LicenseOnline, "kind = \"license-online\""),
    ("fingerprint", Kind::LicenseOnline, "kind = \"license-online\""),
];

impl Way {
    /// Whether a product of this kind can be fulfilled so. Licence codes are KooGallery's: nothing is handed out.
    fn makes(self, kind: Kind) -> bool {
        match self {
            Self::Http | Self::Command | Self::Manual => true,
            Self::Stock => kind != Kind::LicenseCode,
            Self::Fixed => kind == Kind::Saas,
        }
    }
}

impl Product {
    /// How long one call of the merchant's application may take, unless configured.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// Whether this entry is for a product. What a call does not say matches only an entry that does not ask.
    pub fn matches(&self, kind: Kind, product_id: Option<&str>, sku_code: Option<&str>) -> bool {
        let agrees = |wanted: &Option<String>, given: Option<&str>| wanted.is_none() || wanted.as_deref() == given;
        self.kind == kind && agrees(&self.product_id, product_id) && agrees(&self.sku_code, sku_code)
    }

    /// The configured access data, whichever kind of fulfilment it stands with.
    pub fn access(&self) -> Option<&AccessTemplate> {
        match &self.fulfilment {
            Fulfilment::Fixed { access, .. } => Some(access),
            _ => self.default_access.as_ref(),
        }
    }

    /// Whether every product that `other` is for is also one for this entry.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.matches(other.kind, other.product_id.as_deref(), other.sku_code.as_deref())
    }

    /// `None` when the entry has no usable fulfilment, which is reported.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let product_id = section.optional("product_id", short_text(64));
        let sku_code = section.optional("sku_code", short_text(64));
        let kind = section.choice("kind", Kind::Saas, &Kind::ALL.map(|kind| (kind.as_str(), kind)));
        let way = section.required("fulfilment", &any_of(WAYS.iter().map(|(word, _)| *word)), one_of(&WAYS));
        refuse_keys_of_other_kinds(section, kind);
        if let Some(way) = way.filter(|way| !way.makes(kind)) {
            let found = format!("\"{}\"", word_of(way));
            let expected = format!("another: kind = \"{kind}\" cannot be fulfilled that way");
            section.error("fulfilment", Problem::Unexpected { found, expected });
        }
        refuse_foreign_keys(section, way);
        let accept = read_choice(section, "accept", way, [("at-once", Accept::AtOnce), ("after", Accept::After)]);
        let test_calls =
            read_choice(section, "test_calls", way, [("answer", TestCalls::Answer), ("forward", TestCalls::Forward)]);
        let change_check =
            read_choice(section, "change_check", way, [("allow", ChangeCheck::Allow), ("ask", ChangeCheck::Ask)]);
        let timeout = section.or_default(
            "timeout",
            Self::DEFAULT_TIMEOUT,
            duration(Duration::from_secs(1)..=Duration::from_secs(600)),
        );
        let encrypt_types = [EncryptType::Aes256, EncryptType::Aes128].map(|size| (size.code(), size));
        let encrypt_type = section.choice("encrypt_type", EncryptType::default(), &encrypt_types);
        let max_licenses = section.optional("max_licenses", integer(1..=1_000_000));
        let words = [("optional", Fingerprint::Optional), ("required", Fingerprint::Required)];
        let fingerprint = section.choice("fingerprint", Fingerprint::Optional, &words);
        let access = section.optional_section("access", AccessTemplate::read).flatten();
        let fulfilment = read_fulfilment(section, way, access.clone())?;
        let default_access = access.filter(|_| way != Some(Way::Fixed));
        Some(Self {
            kind,
            product_id,
            sku_code,
            fulfilment,
            default_access,
            accept,
            test_calls,
            change_check,
            timeout,
            encrypt_type,
            max_licenses,
            fingerprint,
        })
    }
}

/// Reads the keys of the fulfilment. All their keys become known on the way, so that a key of another one is reported as
/// that, not as unknown.
fn read_fulfilment(
    section: &mut Section<'_, '_>,
    way: Option<Way>,
    access: Option<AccessTemplate>,
) -> Option<Fulfilment> {
    for (key, owners, _) in BELONGINGS {
        if way.is_none_or(|way| !owners.contains(&way)) {
            section.entry(key);
        }
    }
    match way? {
        Way::Http => {
            let url = section.required("url", "the address of your application", http_url);
            let secret = secrets::optional(section, "secret", &secrets::WEBHOOK_SECRET);
            if !section.has("secret") {
                section.warn("secret", "calls to the application are not signed: it cannot tell koogate from others");
            }
            Some(Fulfilment::Http { url: url?, secret })
        }
        Way::Command => read_command(section),
        Way::Stock => {
            let name = section.required("stock", "the name of a stock", short_text(64));
            let low_stock = section.or_default("low_stock", DEFAULT_LOW_STOCK, integer(0..=1_000_000));
            Some(Fulfilment::Stock { name: name?, low_stock })
        }
        Way::Fixed => {
            if !section.has("access") {
                let expected = "the access data: access = { front_end_url = \"https://…\" }".to_owned();
                section.error("access", Problem::Missing { expected });
            }
            let generate_password = section.or_default("generate_password", false, boolean);
            Some(Fulfilment::Fixed { access: access?, generate_password })
        }
        Way::Manual => Some(Fulfilment::Manual),
    }
}

fn read_command(section: &mut Section<'_, '_>) -> Option<Fulfilment> {
    let expected = "the program and its arguments: command = [\"/opt/shop/provision\", \"--from-koogate\"]";
    let mut words = section.required("command", expected, list(command_word))?.into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let Some(program) = program else {
        let expected = "a program as first element".to_owned();
        section.error("command", Problem::Unexpected { found: "an empty one".to_owned(), expected });
        return None;
    };
    // A bare name is looked up in PATH; anything with a folder in it is a path like every other in this file.
    let program =
        if program.contains('/') { section.log.surroundings.base_dir.join(program) } else { PathBuf::from(program) };
    Some(Fulfilment::Command { program, args: words.collect() })
}

/// A choice whose second word needs an application of the merchant's that can be asked; the first is the default.
fn read_choice<T: Copy + PartialEq>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    way: Option<Way>,
    words: [(&'static str, T); 2],
) -> T {
    let [(_, default), (_, asks)] = words;
    let choice = section.choice(key, default, &words);
    if let Some(way) = way.filter(|way| choice == asks && !matches!(way, Way::Http | Way::Command)) {
        let [(ours, _), (asking, _)] = words;
        let expected = format!("\"{ours}\": fulfilment = \"{}\" has no application to call", word_of(way));
        section.error(key, Problem::Unexpected { found: format!("\"{asking}\""), expected });
    }
    choice
}

fn refuse_keys_of_other_kinds(section: &mut Section<'_, '_>, kind: Kind) {
    for (key, owner, belongs_to) in BELONGINGS_BY_KIND {
        if section.has(key) && kind != owner {
            section.error(key, Problem::NotForKind { belongs_to, kind });
        }
    }
}

fn refuse_foreign_keys(section: &mut Section<'_, '_>, way: Option<Way>) {
    // Without a fulfilment nothing can be said about what belongs to it.
    let Some(way) = way else { return };
    for (key, owners, belongs_to) in BELONGINGS {
        if section.has(key) && !owners.contains(&way) {
            section.error(key, Problem::NotForFulfilment { belongs_to, fulfilment: word_of(way) });
        }
    }
}

/// A URL to post to. Its text is shown in messages and logs, so it must not carry a password.
fn http_url(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let written = text(value)?;
    let expected = "an address such as \"http://127.0.0.1:3000/koogate\"";
    let (_, rest) = written
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .ok_or_else(|| Mismatch::new(value, expected))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        let found = "an address with a user name or password in it".to_owned();
        return Err(Mismatch { found, expected: "one without; koogate signs its calls with secret".to_owned() });
    }
    let host_and_port = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => Some((host, port.strip_prefix(':'))).filter(|_| port.is_empty() || port.starts_with(':')),
        None => Some(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))),
    };
    let good = host_and_port.is_some_and(|(host, port)| {
        !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    });
    if !good || written.contains('#') || !written.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Mismatch::new(value, expected));
    }
    Ok(written.to_owned())
}

fn command_word(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let word = text(value)?;
    if word.contains('\0') {
        return Err(Mismatch::new(value, "texts without NUL characters"));
    }
    Ok(word.to_owned())
}

fn word_of(wanted: Way) -> &'static str {
    WAYS.iter().find(|(_, way)| *way == wanted).map_or("", |(word, _)| word)
}
