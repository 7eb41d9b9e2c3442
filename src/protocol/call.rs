//! What a call asks for and what is answered, in words that no family owns.
//!
//! A family reads its wire form into a [`Call`] and writes an [`Outcome`] in its wire form; everything between (identity,
//! life-cycle, fulfilment, journal) works on these types alone.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::access::Access;
use crate::instance;
use crate::operation::Environment;
use crate::protocol::result_code::ResultCode;

/// An authenticated, well-formed call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The wire's word for it.
    pub activity: &'static str,
    /// Real, or a test call (`testFlag` 1).
    pub environment: Environment,
    /// Which families share instance ids with this one.
    pub namespace: &'static str,
    /// What it asks for.
    pub intent: Intent,
    /// The order it names.
    pub order: Option<OrderLine>,
    /// Differs in every request; the first one of a creation becomes the instance id.
    pub business_id: Option<String>,
    /// The interface has a "processing" answer (`000004`) for this call.
    pub may_answer_processing: bool,
    /// The request's members without those that differ in every retry.
    pub content: Map<String, Value>,
}

/// An order, and the line in it where the family knows lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// `orderId`.
    pub order_id: String,
    /// `orderLineId`.
    pub order_line_id: Option<String>,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Create an instance.
    Create {
        /// What makes two of these calls the same, beside environment and namespace.
        identity: Vec<String>,
        /// The product, where the call names it.
        product_id: Option<String>,
        /// The specification, where the call names it.
        sku_code: Option<String>,
        /// The expiry date, where the call names it; an estimate.
        expire_time: Option<Timestamp>,
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
        scene: Option<String>,
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
}

impl Intent {
    /// The one instance the call is about.
    pub fn instance_id(&self) -> Option<&str> {
        match self {
            Self::Change { instance_id, .. } | Self::CheckChange { instance_id, .. } => Some(instance_id),
            Self::Query { instance_ids } if instance_ids.len() == 1 => instance_ids.first().map(String::as_str),
            Self::Create { .. } | Self::Query { .. } | Self::Notify => None,
        }
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
    },
    /// The instances a query found.
    Instances(Vec<InstanceInfo>),
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
    /// JSON number with at most 4 decimals.
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

    /// Whether a user name or a password is in it.
    pub fn has_secrets(&self) -> bool {
        let in_access = |access: &Option<Access>| {
            access.as_ref().is_some_and(|access| access.user_name().is_some() || access.password().is_some())
        };
        match &self.detail {
            Detail::None => false,
            Detail::Created { access, .. } => in_access(access),
            Detail::Instances(instances) => instances.iter().any(|instance| in_access(&instance.access)),
        }
    }

    /// The same without user names and passwords, for the journal.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let blanked = |access: &Option<Access>| access.as_ref().map(Access::blanked);
        let detail = match &self.detail {
            Detail::None => Detail::None,
            Detail::Created { instance_id, access } => {
                Detail::Created { instance_id: instance_id.clone(), access: blanked(access) }
            }
            Detail::Instances(instances) => Detail::Instances(
                instances
                    .iter()
                    .map(|instance| InstanceInfo { access: blanked(&instance.access), ..instance.clone() })
                    .collect(),
            ),
        };
        Self { code: self.code, message: self.message.clone(), detail }
    }

    /// The same with a detail.
    pub fn with(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }
}
