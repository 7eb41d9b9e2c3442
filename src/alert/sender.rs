//! The calls that carry messages: to the webhooks of the configuration, and to the address that hears that all is well.
//! Addresses are held to the rules of the application's own address; redirects are not followed.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::header;
use ureq::{Agent, Body};

use super::ledger::Due;
use super::message::Message;
use super::wire::{self, Outlet, Post, Signing};
use crate::config::Alerts;
use crate::excerpt::excerpt;
use crate::fulfilment::http::{HttpSetupError, NamedBy, check_address, guarded_agent};
use crate::fulfilment::webhook::{WebhookSecret, WebhookSecretError};
use crate::sealing::SealingKey;
use crate::secret::Secret;
use crate::text::Language;

/// A call may take so long: the thread that makes it has others to tell, and a stop waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// So much of a reply is read, and so many characters of it are shown.
const REPLY_LIMIT: u64 = 4096;
const SHOWN: usize = 200;

/// Everybody who is told.
#[derive(Debug, Default)]
pub struct Outlets {
    /// What messages are written in, in this order.
    pub languages: Vec<Language>,
    /// Where they go.
    pub webhooks: Vec<Webhook>,
    /// Who hears that all is well.
    pub heartbeat: Option<Heartbeat>,
}

/// A webhook.
pub struct Webhook {
    /// What it is.
    pub outlet: Outlet,
    /// What it is known by in the database: nobody learns the address from it.
    pub label: String,
    url: Secret<String>,
    signing: Signing,
    secret: Option<Secret<String>>,
    agent: Agent,
}

/// An address that is called while all is well.
pub struct Heartbeat {
    url: Secret<String>,
    agent: Agent,
}

/// `[alerts]` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutletError {
    /// An address.
    #[error("{0}: {1}")]
    Address(String, HttpSetupError),
    /// The secret of a generic webhook.
    #[error("alerts.webhooks[{0}].secret: {1}")]
    Secret(usize, WebhookSecretError),
}

impl Outlets {
    /// From the configuration.
    ///
    /// # Errors
    /// Which address or secret cannot be used, without showing it.
    pub fn new(alerts: &Alerts, sealing: &SealingKey) -> Result<Self, OutletError> {
        let agent = guarded_agent(TIMEOUT, NamedBy::Merchant);
        let checked = |key: String, url: &Secret<String>| match check_address(url.expose()) {
            Ok(()) => Ok(url.clone()),
            Err(error) => Err(OutletError::Address(key, error)),
        };
        let mut webhooks = Vec::with_capacity(alerts.webhooks.len());
        for (index, webhook) in alerts.webhooks.iter().enumerate() {
            let signing = match (&webhook.secret, webhook.kind) {
                (None, _) => Signing::None,
                (Some(secret), Outlet::Generic) => {
                    let parsed = WebhookSecret::parse(secret.expose());
                    Signing::Standard(parsed.map_err(|error| OutletError::Secret(index, error))?)
                }
                (Some(secret), _) => Signing::Robot(secret.clone()),
            };
            webhooks.push(Webhook {
                outlet: webhook.kind,
                label: sealing.label(webhook.url.expose()),
                url: checked(format!("alerts.webhooks[{index}].url"), &webhook.url)?,
                signing,
                secret: webhook.secret.clone(),
                agent: agent.clone(),
            });
        }
        let heartbeat = alerts.heartbeat_url.as_ref().map(|url| checked("alerts.heartbeat_url".to_owned(), url));
        let heartbeat = heartbeat.transpose()?.map(|url| Heartbeat { url, agent });
        Ok(Self { languages: alerts.language.languages().to_vec(), webhooks, heartbeat })
    }
}

impl Webhook {
    /// Sends a message.
    ///
    /// # Errors
    /// Why it was not taken, in words without the address and the secret.
    pub fn send(&self, message: &Message, due: &[Due], now: Timestamp) -> Result<(), String> {
        let Post { query, headers, body } = wire::post(self.outlet, &self.signing, message, due, now);
        let url = self.url.expose();
        let url = match (query.is_empty(), url.contains('?')) {
            (true, _) => url.clone(),
            (false, true) => format!("{url}&{query}"),
            (false, false) => format!("{url}?{query}"),
        };
        let mut request = self
            .agent
            .post(&url)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let private = self.private();
        let private: Vec<&str> = private.iter().map(String::as_str).collect();
        let mut response = request.send(body.as_bytes()).map_err(|error| words(&error, &private))?;
        let status = response.status().as_u16();
        let reply = read(response.body_mut());
        wire::taken(self.outlet, status, &reply).map_err(|told| excerpt(told.as_bytes(), &private, SHOWN))
    }

    /// What must not stand in an error.
    fn private(&self) -> Vec<String> {
        let mut all = parts_of(self.url.expose());
        all.extend(self.secret.iter().map(|secret| secret.expose().clone()));
        all
    }
}

impl Heartbeat {
    /// Says that all is well.
    ///
    /// # Errors
    /// Why it was not heard, without the address.
    pub fn beat(&self) -> Result<(), String> {
        let private = parts_of(self.url.expose());
        let private: Vec<&str> = private.iter().map(String::as_str).collect();
        let request = self.agent.get(self.url.expose()).header(header::CONNECTION, "close");
        let mut response = request.call().map_err(|error| words(&error, &private))?;
        let status = response.status().as_u16();
        let reply = read(response.body_mut());
        if response.status().is_success() {
            return Ok(());
        }
        Err(excerpt(format!("HTTP {status}: {}", String::from_utf8_lossy(&reply)).as_bytes(), &private, SHOWN))
    }
}

/// An address and what stands behind its host, where the secret of it is.
fn parts_of(url: &str) -> Vec<String> {
    let behind = url.splitn(4, '/').nth(3).unwrap_or_default();
    let values = behind.split(['/', '?', '&', '=']).filter(|part| part.len() >= 8);
    [url, behind].into_iter().chain(values).map(str::to_owned).collect()
}

fn words(error: &ureq::Error, private: &[&str]) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {TIMEOUT:?}"),
        ureq::Error::HostNotFound => "the name has no address".to_owned(),
        error => excerpt(error.to_string().as_bytes(), private, SHOWN),
    }
}

/// As far as it came.
fn read(body: &mut Body) -> Vec<u8> {
    let mut reply = Vec::new();
    let _as_far_as_it_came = body.as_reader().take(REPLY_LIMIT).read_to_end(&mut reply);
    reply
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("outlet", &self.outlet).field("label", &self.label).finish_non_exhaustive()
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_of_an_address_is_known_in_all_its_parts() {
        let parts = parts_of("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx");
        assert!(parts.contains(&"693a91f6-7xxx".to_owned()), "{parts:?}");
        let parts = parts_of("https://open.feishu.cn/open-apis/bot/v2/hook/0123456789");
        assert!(parts.contains(&"0123456789".to_owned()), "{parts:?}");
    }
}
