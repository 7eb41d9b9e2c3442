//! What a call asks for and what is answered, in words that no family owns.
//!
//! A family reads its wire form into a [`Call`] and writes an [`Outcome`] in its wire form; everything between (identity,
//! life-cycle, fulfilment, journal) works on these types alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::access::Access;
use crate::instance;
use crate::kind::Kind;
use crate::operation::Environment;
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::kit::calls::DirectorySync;
use crate::protocol::result_code::ResultCode;
use crate::secret::Secret;

/// What `koogate simulate` calls itself in `User-Agent`, before its version. No call of KooGallery does.
pub const SIMULATE_AGENT: &str = "koogate-simulate/";

/// An authenticated, well-formed call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The wire's word for it.
    pub activity: &'static str,
    /// Real, or a test call (`testFlag` 1).
    pub environment: Environment,
    /// The kind of product it is about; instances of one kind share their ids.
    pub kind: Kind,
    /// What it asks for.
    pub intent: Intent,
    /// The order it names.
    pub order: Option<Order>,
    /// Who bought, where the interface tells it.
    pub buyer: Option<Buyer>,
    /// The extension parameters the buyer filled in, where the interface tells them.
    pub parameters: BTreeMap<String, String>,
    /// Differs in every request; the first one of a creation becomes the instance id.
    pub business_id: Option<String>,
    /// The interface has a "processing" answer (`000004`) for this call.
    pub may_answer_processing: bool,
    /// The interface encrypts user name and password, which bounds their length.
    pub encrypts_credentials: bool,
    /// The order is only named: what was ordered is told by the order query.
    pub order_query: bool,
    /// A change of an instance nobody has heard of begins its record instead of being refused.
    pub adopts_unknown: bool,
    /// What could not be read and was left out; for the operator, without values.
    pub remarks: Vec<String>,
    /// The request's members without those that differ in every retry.
    pub content: Map<String, Value>,
}

/// An order, as far as a call tells of it. In words of the event, whatever the interface calls them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// `orderId`.
    pub order_id: String,
    /// `orderLineId`, where the family knows lines.
    pub order_line_id: Option<String>,
    /// `NEW`, `TRIAL`, `RENEW` …
    pub order_type: Option<&'static str>,
    /// `PERIOD`, `ON_DEMAND`, `ONE_TIME`, `ON_DEMAND_PKG`, or what else was said.
    pub charging_mode: Option<String>,
    /// `year`, `month` …
    pub period_type: Option<String>,
    /// How many periods.
    pub period_number: Option<u32>,
    /// The linear attribute "quantity", a total.
    pub quantity: Option<u64>,
    /// The linear attribute disk size in GB, a total.
    pub disk_size: Option<u64>,
    /// The linear attribute bandwidth in Mbit/s, a total.
    pub band_width: Option<u64>,
    /// What the customer paid, a decimal number.
    pub amount: Option<String>,
    /// End of the paid time, an estimate.
    pub expire_time: Option<Timestamp>,
}

/// Who bought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buyer {
    /// Account id.
    pub customer_id: Option<String>,
    /// Account name.
    pub customer_name: Option<String>,
    /// IAM user id.
    pub user_id: Option<String>,
    /// IAM user name.
    pub user_name: Option<String>,
    /// Mobile number, decrypted.
    pub mobile_phone: Option<Secret<String>>,
    /// E-mail address, decrypted.
    pub email: Option<Secret<String>>,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Create an instance.
    Create {
        /// What makes two of these calls the same, beside environment and kind.
        identity: Vec<String>,
        /// The product, where the call names it.
        product_id: Option<String>,
        /// The specification, where the call names it.
        sku_code: Option<String>,
        /// The expiry date, where the call names it; an estimate.
        expire_time: Option<Timestamp>,
        /// What a repeat of the call may change (service supervision), where the interface knows that.
        terms: Option<Terms>,
    },
    /// Change an instance.
    Change {
        /// Which one.
        instance_id: String,
        /// How.
        request: instance::Request,
        /// What makes two of these calls the same, beside instance and request kind.
        identity: Vec<String>,
        /// The reason KooGallery gives for a new date.
        scene: Option<&'static str>,
    },
    /// Make a licence for an instance.
    Issue {
        /// Which one.
        instance_id: String,
        /// For what.
        request: LicenseRequest,
    },
    /// Access data and usage of instances.
    Query {
        /// Which ones, without repetition, in the order asked.
        instance_ids: Vec<String>,
    },
    /// May this change be made at the next renewal?
    CheckChange {
        /// Which instance.
        instance_id: String,
        /// The target product as received.
        product_info: Value,
    },
    /// An order exists.
    Notify,
    /// Change what is known of an enterprise: its OAuth client, its users, its departments.
    Sync(Box<DirectorySync>),
}

/// The members of a purchase call that service supervision (服务监管) may send again with other values, as received but
/// for milliseconds; those that are absent say nothing (spec 2-basic-v1 §11.5, §12 d).
pub type Terms = BTreeMap<String, String>;

/// What a licence is asked for (spec 4-license §4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseRequest {
    /// KooGallery's id of the event; the upload names it.
    pub event_id: String,
    /// The licence holds from here.
    pub effective_time: Timestamp,
    /// The licence holds until here.
    pub expire_time: Option<Timestamp>,
    /// The device it is for.
    pub device_fingerprint: Option<String>,
}

impl LicenseRequest {
    /// What makes two requests of an instance the same: a broken transfer is repeated with the same event for the same
    /// device, and must find the same licence.
    pub fn identity(&self) -> [&str; 2] {
        [&self.event_id, self.device_fingerprint.as_deref().unwrap_or_default()]
    }
}

impl Intent {
    /// The one instance the call is about.
    pub fn instance_id(&self) -> Option<&str> {
        match self {
            Self::Change { instance_id, .. }
            | Self::Issue { instance_id, .. }
            | Self::CheckChange { instance_id, .. } => Some(instance_id),
            Self::Query { instance_ids } if instance_ids.len() == 1 => instance_ids.first().map(String::as_str),
            Self::Sync(sync) => sync.instance_id.as_deref(),
            Self::Create { .. } | Self::Query { .. } | Self::Notify => None,
        }
    }

    /// Whether it has an effect on an instance, which a repeat must not have again.
    pub fn is_operation(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Change { .. } | Self::Issue { .. })
    }
}

/// An authenticated request that is not well-formed: answered `000002`, recorded, nothing done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadCall {
    /// The activity, if it is a known one.
    pub activity: Option<&'static str>,
    /// The request says that it is a test.
    pub test: bool,
    /// What is wrong, naming the member; goes into `resultMsg` and the log.
    pub reason: String,
}

/// What is answered, before a family writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The code.
    pub code: ResultCode,
    /// Text for `resultMsg`; families cut it to the documented length.
    pub message: String,
    /// The rest.
    pub detail: Detail,
}

/// The part of an answer that is neither code nor message.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Nothing.
    None,
    /// A creation's instance.
    Created {
        /// Its id.
        instance_id: String,
        /// How to get in, where it is known.
        access: Option<Access>,
        /// The licence, where it is handed out in the reply.
        license: Option<Secret<String>>,
        /// How user name and password are encrypted, in families that do.
        encrypt_type: EncryptType,
    },
    /// The instances a query found.
    Instances {
        /// They.
        found: Vec<InstanceInfo>,
        /// How user names and passwords are encrypted, in families that do.
        encrypt_type: EncryptType,
    },
}

/// One instance in the answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceInfo {
    /// Its id.
    pub instance_id: String,
    /// How to get in.
    pub access: Option<Access>,
    /// What has been used.
    pub usage: Vec<UsageInfo>,
}

/// A usage figure in the answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageInfo {
    /// Of a package: the on-demand instance the usage belongs to.
    pub related_instance_id: Option<String>,
    /// JSON number with at most 4 decimals; see [`crate::usage::told`].
    pub usage_value: serde_json::Number,
    /// Up to when it was counted.
    pub statistical_time: Timestamp,
}

impl Outcome {
    /// Success without further members.
    pub fn success() -> Self {
        Self { code: ResultCode::SUCCESS, message: "success".to_owned(), detail: Detail::None }
    }

    /// A code that is not success, and why.
    pub fn refusal(code: ResultCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: Detail::None }
    }

    /// Whether a user name, a password or a licence is in it.
    pub fn has_secrets(&self) -> bool {
        let in_access = |access: &Option<Access>| {
            access.as_ref().is_some_and(|access| access.user_name().is_some() || access.password().is_some())
        };
        match &self.detail {
            Detail::None => false,
            Detail::Created { access, license, .. } => in_access(access) || license.is_some(),
            Detail::Instances { found, .. } => found.iter().any(|instance| in_access(&instance.access)),
        }
    }

    /// The same with user names, passwords and licences blanked, for the journal.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut blanked = self.clone();
        match &mut blanked.detail {
            Detail::None => {}
            Detail::Created { access, license, .. } => {
                *access = access.as_ref().map(Access::blanked);
                *license = license.as_ref().map(|_| Secret::new("***".to_owned()));
            }
            Detail::Instances { found, .. } => {
                for instance in found {
                    instance.access = instance.access.as_ref().map(Access::blanked);
                }
            }
        }
        blanked
    }

    /// The same with a detail.
    pub fn with(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessParts;

    #[test]
    fn a_licence_is_the_same_for_the_same_event_and_device() {
        let request = |fingerprint: Option<&str>| LicenseRequest {
            event_id: "e".to_owned(),
            effective_time: Timestamp::UNIX_EPOCH,
            expire_time: None,
            device_fingerprint: fingerprint.map(str::to_owned),
        };
        assert_eq!(request(Some("d")).identity(), ["e", "d"]);
        assert_eq!(request(None).identity(), ["e", ""]);
    }

    #[test]
    fn a_call_is_about_an_instance_when_it_names_exactly_one() {
        let id = || "i".to_owned();
        let (request, identity) = (instance::Request::Freeze, Vec::new());
        let query = |ids: &[&str]| Intent::Query { instance_ids: ids.iter().map(|id| (*id).to_owned()).collect() };
        for (intent, expected) in [
            (Intent::Change { instance_id: id(), request, identity, scene: None }, Some("i")),
            (Intent::CheckChange { instance_id: id(), product_info: Value::Null }, Some("i")),
            (query(&["i"]), Some("i")),
            (query(&["i", "j"]), None),
            (Intent::Notify, None),
        ] {
            assert_eq!(intent.instance_id(), expected, "{intent:?}");
        }
    }

    fn access(user_name: Option<&str>, password: Option<&str>) -> Option<Access> {
        let secret = |text: &str| Secret::new(text.to_owned());
        let front_end_url = "https://a.example".to_owned();
        let (user_name, password) = (user_name.map(secret), password.map(secret));
        Access::accept(AccessParts { front_end_url, user_name, password, ..AccessParts::default() }).ok()
    }

    fn created(access: Option<Access>, license: Option<&str>) -> Outcome {
        let license = license.map(|text| Secret::new(text.to_owned()));
        let detail =
            Detail::Created { instance_id: "i".to_owned(), access, license, encrypt_type: EncryptType::default() };
        Outcome::success().with(detail)
    }

    fn found(access: Option<Access>) -> Outcome {
        let public = InstanceInfo { instance_id: "i".to_owned(), access: None, usage: Vec::new() };
        let found = vec![public.clone(), InstanceInfo { access, ..public }];
        Outcome::success().with(Detail::Instances { found, encrypt_type: EncryptType::default() })
    }

    /// What has a secret is kept sealed, with a blanked twin for people; what has none is its own twin.
    #[test]
    fn user_names_passwords_and_licences_are_secrets_and_are_blanked() {
        for (outcome, blanked) in [
            (created(access(Some("u"), None), None), created(access(Some("***"), None), None)),
            (created(access(None, Some("p")), None), created(access(None, Some("***")), None)),
            (created(None, Some("A-1")), created(None, Some("***"))),
            (found(access(Some("u"), None)), found(access(Some("***"), None))),
            (found(access(None, Some("p"))), found(access(None, Some("***")))),
        ] {
            assert!(outcome.has_secrets(), "{outcome:?}");
            assert_eq!(outcome.without_secrets(), blanked);
        }
        for outcome in [
            Outcome::success(),
            Outcome::refusal(ResultCode::INTERNAL, "no"),
            created(access(None, None), None),
            created(None, None),
            found(access(None, None)),
            found(None),
        ] {
            assert!(!outcome.has_secrets(), "{outcome:?}");
            assert_eq!(outcome.without_secrets(), outcome);
        }
    }
}
