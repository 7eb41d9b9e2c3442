//! `[login]`: the login helper, with which users of a joint-operation product log in through KooGallery (spec 3-kit §11).

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use toml::de::DeValue;

use crate::address::Address;
use crate::config::secrets;
use crate::config::section::Section;
use crate::config::value::{Mismatch, boolean, duration, short_text, text};
use crate::secret::Secret;

/// KooGallery's unified login page; `ind` is fixed (spec 3-kit §11.1).
const LOGIN_PAGE: &str = "https://macroverse.huaweicloud.com/unified-login/#/portal-login?ind=UNOP&appId={appId}";

/// Longest address.
const LONGEST: usize = 1024;

/// What the login helper works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The app id of the application credential 应用凭证.
    pub app_id: String,
    /// Where a user who has logged in is handed over: https, or http on this machine; without fragment.
    pub application_url: String,
    /// Signs the token: 32 to 256 visible ASCII characters.
    pub secret: Secret<String>,
    /// The callback's own address, where the token request is to name it; https, or http on this machine.
    pub callback_url: Option<String>,
    /// Where users log in, as a template: `{appId}` stands for the app id.
    pub login_page: String,
    /// How long the token is good for.
    pub token_lifetime: Duration,
    /// How long after the last refresh a session is forgotten.
    pub session_lifetime: Duration,
    /// Tenants' authentication centres may be on this machine or in a private network: for trying things out.
    pub local_centres: bool,
}

impl Login {
    /// The login page, unless configured.
    pub fn default_login_page() -> &'static str {
        LOGIN_PAGE
    }

    /// Lifetime of the token, unless configured.
    pub const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

    /// Lifetime of a session, unless configured: that of KooGallery's refresh tokens.
    pub const DEFAULT_SESSION_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

    /// The login page of this application.
    pub fn filled_login_page(&self) -> String {
        fill(&self.login_page, &self.app_id)
    }

    /// `None` when something without a default is missing, which is reported.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let app_id =
            section.required("app_id", "the app id of the credential: 应用工具 > 应用凭证管理", short_text(64));
        let application_url =
            section.required("application_url", "where your application takes users over", address_without_fragment);
        let secret = secrets::required(section, "secret", &secrets::LOGIN_SECRET);
        let callback_url = section.optional("callback_url", address_without_fragment);
        let login_page = section.or_default("login_page", LOGIN_PAGE.to_owned(), login_page);
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let token_lifetime =
            section.or_default("token_lifetime", Self::DEFAULT_TOKEN_LIFETIME, duration(5 * second..=600 * second));
        let session_lifetime =
            section.or_default("session_lifetime", Self::DEFAULT_SESSION_LIFETIME, duration(60 * second..=365 * day));
        let local_centres = section.or_default("local_centres", false, boolean);
        Some(Self {
            app_id: app_id?,
            application_url: application_url?,
            secret: secret?,
            callback_url,
            login_page,
            token_lifetime,
            session_lifetime,
            local_centres,
        })
    }
}

fn fill(login_page: &str, app_id: &str) -> String {
    login_page.replace("{appId}", &utf8_percent_encode(app_id, NON_ALPHANUMERIC).to_string())
}

fn address_without_fragment(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let written = text(value)?;
    match Address::parse(written) {
        Ok(_) if !written.contains('#') && written.len() <= LONGEST => Ok(written.to_owned()),
        _ => Err(expected_address(value)),
    }
}

fn login_page(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let written = text(value)?;
    match Address::parse(&fill(written, "A")) {
        Ok(_) if written.len() <= LONGEST => Ok(written.to_owned()),
        _ => Err(expected_address(value)),
    }
}

fn expected_address(value: &DeValue<'_>) -> Mismatch {
    let expected = format!(
        "an address with https:// (on this machine also http://), without user name, of at most {LONGEST} characters"
    );
    Mismatch::new(value, expected)
}
