//! `[open_api]`: calls to KooGallery (spec 5-open-api §1–§3, README §12).

use std::time::Duration;

use toml::de::DeValue;

use crate::address::Address;
use crate::config::secrets::{self, SECRET_ACCESS_KEY};
use crate::config::section::Section;
use crate::config::shown::Value;
use crate::config::value::{Mismatch, duration, integer, one_of, short_text, text};
use crate::protocol::open_api::aksk::Credentials;

/// How KooGallery is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenApi {
    /// Where.
    pub endpoint: Endpoint,
    /// The access key of the seller's Huawei Cloud account.
    pub credentials: Credentials,
    /// PEM text of the certificates that are trusted instead of the public ones.
    pub trusted_certificates: Option<String>,
    /// Whether orders are read.
    pub order_query: OrderQuery,
    /// Which form a push of usage records has.
    pub usage_interface: UsageInterface,
    /// Records in one push.
    pub usage_batch_size: usize,
    /// What stands for the body in the signature of an upload.
    pub multipart_payload: MultipartPayload,
    /// A heartbeat's answer this young is given again without asking KooGallery.
    pub heartbeat_fresh: Duration,
    /// A heartbeat's answer this young is given while KooGallery cannot be asked.
    pub heartbeat_stale: Duration,
}

/// Where KooGallery is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// The site's hosts.
    Site(Site),
    /// Scheme, host and port of something else instead, for tests: https, or http on this machine.
    Other(String),
}

/// A site of KooGallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// 中国站
    China,
    /// 国际站
    International,
    /// 欧洲站
    Europe,
}

/// Whether orders are read, since V2 and LO calls name little more than their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderQuery {
    /// Yes. Where KooGallery will not tell an order, the application gets the ids only.
    Auto,
    /// Yes, and nothing goes on without.
    Required,
    /// No.
    Off,
}

/// Which form a push of usage records has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageInterface {
    /// `isv/usage-data` of the open API, with `metering_sn` and a signature of its own.
    New,
    /// `/rest/marketplace/v1/isv/usage-data`, with `product_id`.
    Old,
}

/// What stands for the body in the signature of an upload; no document says what its gateway expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipartPayload {
    /// `UNSIGNED-PAYLOAD`, as official signers have it.
    Unsigned,
    /// The body's SHA-256.
    Hash,
}

impl Site {
    /// Its hosts, the first first.
    pub fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::China => &["mkt.myhuaweicloud.com", "mkt.myhuaweicloud.cn"],
            Self::International => &["mkt-intl.myhuaweicloud.com"],
            Self::Europe => &["mkt.myhuaweicloud.eu"],
        }
    }
}

impl OpenApi {
    /// Records in one push, unless configured: the smaller of the two limits that are documented.
    pub const DEFAULT_USAGE_BATCH_SIZE: usize = 100;

    /// See [`OpenApi::heartbeat_fresh`].
    pub const DEFAULT_HEARTBEAT_FRESH: Duration = Duration::from_secs(60);

    /// See [`OpenApi::heartbeat_stale`].
    pub const DEFAULT_HEARTBEAT_STALE: Duration = Duration::from_secs(3 * 86_400);

    /// The longest that [`OpenApi::heartbeat_stale`] may be: older answers are of no use to anybody.
    pub const LONGEST_HEARTBEAT_STALE: Duration = Duration::from_secs(30 * 86_400);

    /// `None` when something without a default is missing, which is reported.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let sites = [("china", Site::China), ("international", Site::International), ("europe", Site::Europe)];
        let site = section.optional("site", one_of(&sites));
        let other = section.optional("endpoint", endpoint);
        if !section.has("site") && other.is_none() {
            section.note_default("site", Value::Text("\"china\"".to_owned()));
        }
        let access_key_id = section.required(
            "access_key_id",
            "the AK of your Huawei Cloud account: 我的凭证 > 访问密钥",
            short_text(128),
        );
        let secret_access_key = secrets::required(section, "secret_access_key", &SECRET_ACCESS_KEY);
        let trusted_certificates = secrets::public_file(section, "ca_file");
        let orders = [("auto", OrderQuery::Auto), ("required", OrderQuery::Required), ("off", OrderQuery::Off)];
        let order_query = section.choice("order_query", OrderQuery::Auto, &orders);
        let interfaces = [("new", UsageInterface::New), ("old", UsageInterface::Old)];
        let usage_interface = section.choice("usage_interface", UsageInterface::New, &interfaces);
        let usage_batch_size =
            section.or_default("usage_batch_size", Self::DEFAULT_USAGE_BATCH_SIZE, integer(1..=1000));
        let payloads = [("unsigned", MultipartPayload::Unsigned), ("hash", MultipartPayload::Hash)];
        let multipart_payload = section.choice("multipart_payload", MultipartPayload::Unsigned, &payloads);
        let day = Duration::from_secs(86_400);
        let heartbeat_fresh =
            section.or_default("heartbeat_fresh", Self::DEFAULT_HEARTBEAT_FRESH, duration(Duration::ZERO..=day));
        let stale = duration(Duration::ZERO..=Self::LONGEST_HEARTBEAT_STALE);
        let heartbeat_stale = section.or_default("heartbeat_stale", Self::DEFAULT_HEARTBEAT_STALE, stale);
        let endpoint = other.map_or_else(|| Endpoint::Site(site.unwrap_or(Site::China)), Endpoint::Other);
        let credentials = Credentials { access_key_id: access_key_id?, secret_access_key: secret_access_key? };
        Some(Self {
            endpoint,
            credentials,
            trusted_certificates,
            order_query,
            usage_interface,
            usage_batch_size,
            multipart_payload,
            heartbeat_fresh,
            heartbeat_stale,
        })
    }
}

/// Scheme, host and port; paths are the open API's own.
fn endpoint(value: &DeValue<'_>) -> Result<String, Mismatch> {
    let written = text(value)?;
    match Address::parse(written) {
        Ok(address) if matches!(address.rest, "" | "/") => Ok(address.origin.to_owned()),
        _ => Err(Mismatch::new(
            value,
            "https:// (on this machine also http://), a host and perhaps a port, nothing behind",
        )),
    }
}
