//! `[alerts]`: who is told when something is wrong, and who is told that nothing is.

use crate::alert::wire::Outlet;
use crate::config::error::Problem;
use crate::config::secrets::{self, SecretKind, WEBHOOK_SECRET, visible_ascii_fault};
use crate::config::section::Section;
use crate::config::value::one_of;
use crate::secret::Secret;
use crate::text::Language;

/// The address of a webhook that alerts go to: whoever knows it may send.
const ALERT_URL: SecretKind = SecretKind {
    expected: "an address with https://, as the robot's settings show it",
    mend: "docs/alerts.md says where to find it",
    fault: web_address_fault,
};

/// The address that is called while all is well.
const HEARTBEAT_URL: SecretKind = SecretKind {
    expected: "an address with https://",
    mend: "docs/alerts.md names services that watch for it",
    fault: web_address_fault,
};

fn web_address_fault(value: &str) -> Option<String> {
    if !(value.starts_with("https://") || value.starts_with("http://")) {
        return Some("it does not start with https:// (or, within your own network, http://)".to_owned());
    }
    visible_ascii_fault(value, 10, 2048)
}

/// The secret that a robot checks signatures with.
const ROBOT_SECRET: SecretKind = SecretKind {
    expected: "8 to 256 visible ASCII characters",
    mend: "the robot's settings show it: 加签 or 签名校验; docs/alerts.md",
    fault: |value| visible_ascii_fault(value, 8, 256),
};

/// More webhooks would make the last one hear late.
const MOST: usize = 8;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alerts {
    /// Where messages go, up to eight.
    pub webhooks: Vec<AlertWebhook>,
    /// Called every minute while all is well.
    pub heartbeat_url: Option<Secret<String>>,
    /// What messages are written in.
    pub language: AlertLanguage,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertWebhook {
    /// What it is.
    pub kind: Outlet,
    /// Its address: whoever knows it may send.
    pub url: Secret<String>,
    /// What messages are signed with; a robot of WeCom knows none.
    pub secret: Option<Secret<String>>,
}

/// What messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlertLanguage {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
    /// Chinese, then English.
    Both,
}

impl AlertLanguage {
    /// In this order.
    pub fn languages(self) -> &'static [Language] {
        match self {
            Self::Zh => &[Language::Zh],
            Self::En => &[Language::En],
            Self::Both => &[Language::Zh, Language::En],
        }
    }
}

impl Alerts {
    /// `None` when something is wrong, which is reported.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let languages = [("zh", AlertLanguage::Zh), ("en", AlertLanguage::En), ("both", AlertLanguage::Both)];
        let language = section.choice("language", AlertLanguage::Zh, &languages);
        let heartbeat_url = secrets::optional(section, "heartbeat_url", &HEARTBEAT_URL);
        let webhooks = section.sections("webhooks", AlertWebhook::read);
        if webhooks.len() > MOST {
            section.error("webhooks", Problem::Contradiction(format!("has more than {MOST} entries")));
        }
        let webhooks = webhooks.into_iter().map(|(_, webhook)| webhook).collect::<Option<Vec<_>>>()?;
        if webhooks.is_empty() && heartbeat_url.is_none() {
            section.warn("webhooks", "there are none: nobody is told of anything");
        }
        Some(Self { webhooks, heartbeat_url, language })
    }
}

impl AlertWebhook {
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let kinds = Outlet::ALL.map(|kind| (kind.as_str(), kind));
        let kind = section.required("kind", "wecom, dingtalk, feishu or generic", one_of(&kinds));
        let url = secrets::required(section, "url", &ALERT_URL);
        let of_secret = if kind == Some(Outlet::Generic) { &WEBHOOK_SECRET } else { &ROBOT_SECRET };
        let secret = secrets::optional(section, "secret", of_secret);
        if kind == Some(Outlet::WeCom) && section.has("secret") {
            let told = "robots of WeCom know none: take it out".to_owned();
            section.error("secret", Problem::Contradiction(told));
        }
        Some(Self { kind: kind?, url: url?, secret })
    }
}
