//! The configuration in the form the running server uses: keys ready to verify, applications ready to call.

use std::sync::Arc;
use std::time::Duration;

use crate::alert::sender::{OutletError, Outlets};
use crate::config::{
    self, Accept, ChangeCheck, Config, ExtendParamsError, Fulfilment, MissingDepartments, OrderQuery, RefreshUnfreezes,
    UnknownCode,
};
use crate::fulfilment::application::Application;
use crate::fulfilment::command::{CommandApplication, CommandSetupError};
use crate::fulfilment::http::{HttpApplication, HttpSetupError};
use crate::fulfilment::webhook::{WebhookSecret, WebhookSecretError};
use crate::instance::{self, Change};
use crate::kind::Kind;
use crate::open_api::{BadCertificates, OpenApi};
use crate::protocol::auth_token::AuthTokenRules;
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::key::AccessKey;
use crate::protocol::kit::client_secret::{PrivateKeyFault, PrivateKeys};
use crate::protocol::result_code::ResultCode;
use crate::protocol::signature::{PayloadCandidate, SignatureRules};
use crate::protocol::{Keyring, Rules};
use crate::store::InstanceRow;

pub use crate::config::TestCalls;

/// Everything a call needs to know of the configuration. Replaced as a whole.
#[derive(Debug)]
pub struct Settings {
    /// The access keys.
    pub keyring: Keyring,
    /// Settings of the protocol.
    pub rules: Rules,
    /// Settings of the life-cycle.
    pub life: instance::Rules,
    /// An answer leaves at the latest so long after its request was complete.
    pub answer_within: Duration,
    /// So many calls may wait at a time for what takes long; the other places are for those that need nothing of it.
    pub most_waiting: usize,
    /// Whether a nonce may be used once only.
    pub nonce_replay_check: bool,
    /// The code of a refused change check.
    pub change_check_refusal: ResultCode,
    /// What happens to departments that are missing from a full list.
    pub missing_departments: MissingDepartments,
    /// The keys that open the kit's client secrets.
    pub kit_private_keys: PrivateKeys,
    /// The client of KooGallery's open API, where it is configured.
    pub open_api: Option<Arc<OpenApi>>,
    /// Who is told when something is wrong.
    pub alerts: Outlets,
    products: Vec<Product>,
}

/// A `[[product]]` entry with its application.
#[derive(Debug)]
pub struct Product {
    entry: config::Product,
    application: Option<Application>,
}

/// A product's application cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Its address.
    #[error("product[{0}].url: {1}")]
    Http(usize, HttpSetupError),
    /// Its secret.
    #[error("product[{0}].secret: {1}")]
    Secret(usize, WebhookSecretError),
    /// The kit's private keys.
    #[error("keys.kit_private_keys: {0}")]
    KitPrivateKeys(#[from] PrivateKeyFault),
    /// The certificates that the open API's client is to trust.
    #[error("open_api.ca_file: {0}")]
    OpenApi(#[from] BadCertificates),
    /// Who is told when something is wrong.
    #[error("{0}")]
    Alerts(#[from] OutletError),
    /// Its command.
    #[error("product[{0}].command: {1}")]
    Command(usize, CommandSetupError),
}

impl Settings {
    /// From a configuration.
    ///
    /// # Errors
    /// When an application cannot be set up: its entry is named.
    pub fn new(config: &Config) -> Result<Self, SettingsError> {
        let sealing = &config.keys.sealing;
        let label = |key: &crate::secret::Secret<String>| AccessKey::new(sealing.label(key.expose()), key.clone());
        let labelled = |keys: &[crate::secret::Secret<String>]| keys.iter().map(label).collect();
        let products = config.products.iter().enumerate().map(|(index, entry)| Product::new(index, entry));
        Ok(Self {
            // The kit has no keys before there is a place for its calls.
            keyring: Keyring::new(
                labelled(&config.keys.basic),
                labelled(&config.keys.license),
                labelled(&config.keys.kit),
            ),
            rules: rules(config),
            life: instance::Rules { refresh_unfreezes: config.lifecycle.refresh_unfreezes == RefreshUnfreezes::Always },
            answer_within: config.server.answer_within,
            most_waiting: config.server.max_connections / 8 * 7,
            nonce_replay_check: config.signature.nonce_replay_check,
            change_check_refusal: ResultCode::parse(&config.lifecycle.change_check_refusal_code)
                .unwrap_or(ResultCode::INTERNAL),
            missing_departments: config.lifecycle.all_org_missing,
            kit_private_keys: kit_private_keys(&config.keys)?,
            open_api: config.open_api.as_ref().map(OpenApi::new).transpose()?.map(Arc::new),
            alerts: match &config.alerts {
                Some(alerts) => Outlets::new(alerts, sealing)?,
                None => Outlets::default(),
            },
            products: products.collect::<Result<_, _>>()?,
        })
    }

    /// The longest time one attempt may take.
    pub fn longest_attempt(&self) -> Duration {
        self.products.iter().map(|product| product.entry.timeout).max().unwrap_or_default()
    }

    /// The first entry that matches.
    pub fn product_for(&self, kind: Kind, product_id: Option<&str>, sku_code: Option<&str>) -> Option<&Product> {
        self.products.iter().find(|product| product.entry.matches(kind, product_id, sku_code))
    }

    /// The entry an instance belongs to.
    pub fn product_of(&self, instance: &InstanceRow) -> Option<&Product> {
        self.product_for(instance.kind, instance.life.product_id.as_deref(), instance.life.sku_code.as_deref())
    }

    /// The entry whose application is told of a directory. Where the call names no instance that is known, a credential is
    /// applied for and the login tried, before anything is sold: then an entry for any product, or else the first, so
    /// that somebody is told.
    pub fn product_of_directory(&self, instance: Option<&InstanceRow>) -> Option<&Product> {
        let first = || self.products.iter().find(|product| product.entry.kind == Kind::Saas);
        match instance {
            Some(instance) => self.product_of(instance),
            None => self.product_for(Kind::Saas, None, None).or_else(first),
        }
    }

    /// The client that asks for orders, and whether anything goes on without them; `None`: orders are not read.
    pub fn order_query(&self) -> Option<(&OpenApi, OrderQuery)> {
        let open_api = self.open_api.as_deref()?;
        let mode = open_api.settings().order_query;
        (mode != OrderQuery::Off).then_some((open_api, mode))
    }

    /// The `[[product]]` entries as they are configured, in their order.
    pub fn products(&self) -> impl Iterator<Item = &config::Product> {
        self.products.iter().map(|product| &product.entry)
    }

    /// The stocks that products take from, each once, with the number of entries left from which it is low.
    pub fn stocks(&self) -> Vec<(String, i64)> {
        let mut all: Vec<(String, i64)> = Vec::new();
        for entry in self.products() {
            let Fulfilment::Stock { name, low_stock } = &entry.fulfilment else { continue };
            let low = i64::from(*low_stock);
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = low.max(*known),
                None => all.push((name.clone(), low)),
            }
        }
        all
    }

    /// Whether anything of this kind is sold.
    pub fn sells(&self, kind: Kind) -> bool {
        self.products.iter().any(|product| product.entry.kind == kind)
    }
}

impl Product {
    fn new(index: usize, entry: &config::Product) -> Result<Self, SettingsError> {
        Ok(Self { entry: entry.clone(), application: application(index, entry)? })
    }

    /// The entry itself.
    pub fn entry(&self) -> &config::Product {
        &self.entry
    }

    /// The merchant's application, where the fulfilment has one.
    pub fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// Whether the application is asked before a change at the next renewal is allowed.
    pub fn asks_about_changes(&self) -> bool {
        self.entry.change_check == ChangeCheck::Ask
    }

    /// How user names and passwords are encrypted in V1 replies.
    pub fn encrypt_type(&self) -> EncryptType {
        self.entry.encrypt_type
    }

    /// What becomes of test calls.
    pub fn test_calls(&self) -> TestCalls {
        self.entry.test_calls
    }

    /// Whether a change counts only once the application has agreed. Upgrades always do: they are answered honestly.
    pub fn waits_for_application(&self, change: &Change) -> bool {
        matches!(change, Change::Upgrade { .. } | Change::Ready | Change::License) || self.entry.accept == Accept::After
    }
}

/// The keys that open the kit's client secrets.
///
/// # Errors
/// Which of them is none.
pub fn kit_private_keys(keys: &config::Keys) -> Result<PrivateKeys, SettingsError> {
    Ok(PrivateKeys::parse(keys.kit_private_keys.iter().map(|file| file.pem.expose().as_str()))?)
}

fn application(index: usize, entry: &config::Product) -> Result<Option<Application>, SettingsError> {
    match &entry.fulfilment {
        Fulfilment::Http { url, secret } => {
            let secret = secret.as_ref().map(|secret| WebhookSecret::parse(secret.expose())).transpose();
            let secret = secret.map_err(|error| SettingsError::Secret(index, error))?;
            let application = HttpApplication::new(url, secret, entry.timeout);
            application
                .map(|application| Some(Application::Http(application)))
                .map_err(|e| SettingsError::Http(index, e))
        }
        Fulfilment::Command { program, args } => {
            let mut command = vec![program.to_string_lossy().into_owned()];
            command.extend(args.iter().cloned());
            let application = CommandApplication::new(&command, entry.timeout);
            application
                .map(|application| Some(Application::Command(application)))
                .map_err(|error| SettingsError::Command(index, error))
        }
        Fulfilment::Stock { .. } | Fulfilment::Fixed { .. } | Fulfilment::Manual => Ok(None),
    }
}

fn rules(config: &Config) -> Rules {
    let sells_v1 = |product: &&config::Product| product.kind == Kind::Saas;
    Rules {
        signature: signature_rules(&config.signature),
        body_sign_v2: config.signature.body_sign_v2,
        auth_token: AuthTokenRules {
            max_age_ms: config.signature.v1_max_age.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        },
        v1_expire_time_offset: config.lifecycle.v1_expire_time_zone.offset(),
        // A seller chooses one algorithm in the console; the other is tried as well.
        request_encrypt_type: config
            .products
            .iter()
            .find(sells_v1)
            .map(|product| product.encrypt_type)
            .unwrap_or_default(),
        ignores_bad_extend_params: config.lifecycle.extend_params_error == ExtendParamsError::Ignore,
        adopts_unknown_codes: config.lifecycle.l2_unknown_code == UnknownCode::Accept,
    }
}

fn signature_rules(signature: &config::Signature) -> SignatureRules {
    let candidates = signature.payload_candidates.iter().map(|candidate| match candidate {
        config::PayloadCandidate::Raw => PayloadCandidate::Raw,
        config::PayloadCandidate::Sorted => PayloadCandidate::Sorted,
        config::PayloadCandidate::SortedWithNulls => PayloadCandidate::SortedWithNulls,
    });
    SignatureRules {
        window_ms: i64::try_from(signature.timestamp_window.as_millis()).unwrap_or(i64::MAX),
        reject_future: signature.reject_future_timestamps,
        candidates: candidates.collect(),
    }
}

#[cfg(test)]
mod tests;
