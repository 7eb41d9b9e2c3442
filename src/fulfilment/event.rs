//! What a merchant's application is told: one [`Event`], the same JSON for every transport.
//!
//! An event has a common head, the sections that apply (`product`, `order`, `buyer`, `instance`), the buyer's
//! `parameters`, and what is particular to its kind in `change` ([`Change`], with an example of every event). A section
//! that does not apply is absent; inside a section, what is not known is `null`. Times are RFC 3339 in UTC.
//!
//! Pure: how events are sent lives in the transports, when and how often in the job runner.

mod change;
mod directory;
mod order;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::change::{Change, ChangeTarget, LicenseRequest, RenewScene, Renewal, Upgrade};
pub use self::directory::{ApplicationSync, Department, DepartmentsSync, SyncAction, TenantSync, User, UsersSync};
pub use self::order::OrderTold;
use crate::instance::Status;
use crate::kind::Kind;
use crate::protocol::call;
use crate::secret::Secret;

/// One event, as it is stored with its job and sent to the merchant's application.
///
/// The JSON holds personal data and, in `application.sync`, a client secret in plain text: whoever stores it seals it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Members `event` (its name) and, where the name leaves something to say, `change`.
    #[serde(flatten)]
    pub change: Change,
    /// The same in every attempt and for every repeat of KooGallery's call: what the application stays idempotent by.
    pub operation_id: String,
    /// Counts from 1; set just before sending ([`Event::with_attempt`]).
    pub attempt: u32,
    /// A debugging call from the seller console that was forwarded: it must have no real effect.
    pub test: bool,
    /// The kind of product, as in the configuration.
    pub kind: Kind,
    /// The instance; for kind `license-code` the code. `null` where there is none (`order.notify`, directory calls while a credential is applied for).
    pub instance_id: Option<String>,
    /// What was bought, as it is after this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// The order that caused the event: purchase, renewal, upgrade or refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Who bought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<Buyer>,
    /// How the instance stands in koogate's records once this event is done; absent in `instance.create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceFacts>,
    /// The extension parameters the buyer filled in, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

impl Event {
    /// The event's name.
    pub fn name(&self) -> EventName {
        self.change.name()
    }

    /// The same event as attempt number `attempt`.
    #[must_use]
    pub fn with_attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// The JSON that is stored and sent.
    pub fn to_json(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "serde_json fails on maps whose keys are not strings and on Serialize impls that fail; an event \
                      has string keys only, derived impls, and Timestamp's, which prints every value it can hold"
        )]
        serde_json::to_string(self).expect("an event is always JSON")
    }

    /// The values that must not show up in a log or an error, should the application quote them back.
    pub fn private_values(&self) -> Vec<Cow<'_, str>> {
        let buyer = self.buyer.iter().flat_map(|buyer| [&buyer.mobile_phone, &buyer.email]);
        buyer.flatten().map(|secret| secret.expose().into()).chain(self.change.private_values()).collect()
    }
}

/// The names of all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventName {
    /// `instance.create`
    InstanceCreate,
    /// `instance.renew`
    InstanceRenew,
    /// `instance.freeze`
    InstanceFreeze,
    /// `instance.unfreeze`
    InstanceUnfreeze,
    /// `instance.upgrade`
    InstanceUpgrade,
    /// `instance.release`
    InstanceRelease,
    /// `instance.check_change`
    InstanceCheckChange,
    /// `license.issue`
    LicenseIssue,
    /// `tenant.sync`
    TenantSync,
    /// `application.sync`
    ApplicationSync,
    /// `users.sync`
    UsersSync,
    /// `departments.sync`
    DepartmentsSync,
    /// `order.notify`
    OrderNotify,
}

impl EventName {
    /// Every name, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::InstanceCreate,
        Self::InstanceRenew,
        Self::InstanceFreeze,
        Self::InstanceUnfreeze,
        Self::InstanceUpgrade,
        Self::InstanceRelease,
        Self::InstanceCheckChange,
        Self::LicenseIssue,
        Self::TenantSync,
        Self::ApplicationSync,
        Self::UsersSync,
        Self::DepartmentsSync,
        Self::OrderNotify,
    ];

    /// The name as it stands in the member `event`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstanceCreate => "instance.create",
            Self::InstanceRenew => "instance.renew",
            Self::InstanceFreeze => "instance.freeze",
            Self::InstanceUnfreeze => "instance.unfreeze",
            Self::InstanceUpgrade => "instance.upgrade",
            Self::InstanceRelease => "instance.release",
            Self::InstanceCheckChange => "instance.check_change",
            Self::LicenseIssue => "license.issue",
            Self::TenantSync => "tenant.sync",
            Self::ApplicationSync => "application.sync",
            Self::UsersSync => "users.sync",
            Self::DepartmentsSync => "departments.sync",
            Self::OrderNotify => "order.notify",
        }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Section `product`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// KooGallery's product id: one per specification and period type.
    pub product_id: Option<String>,
    /// The specification.
    pub sku_code: Option<String>,
    /// The product's name, where the order tells it.
    pub name: Option<String>,
}

/// Section `order`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The order.
    pub order_id: String,
    /// The order line; V1 knows none.
    pub order_line_id: Option<String>,
    /// `NEW`, `TRIAL`, `TRIAL_TO_FORMAL`, `RENEW`, `CHANGE`, `UNSUBSCRIBE`, or what else KooGallery says.
    pub order_type: Option<String>,
    /// `PERIOD`, `ON_DEMAND`, `ONE_TIME` or `ON_DEMAND_PKG`, whatever generation the call was of.
    pub charging_mode: Option<String>,
    /// `year`, `month`, for trials possibly others.
    pub period_type: Option<String>,
    /// How many periods.
    pub period_number: Option<u32>,
    /// The linear attribute ("amount"), always the new total (V1: `amount`, V2: `linearValue`).
    pub quantity: Option<u64>,
    /// Disk size in GB, where the product is sold by it (V1 only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_size: Option<u64>,
    /// Bandwidth in Mbit/s, where the product is sold by it (V1 only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band_width: Option<u64>,
    /// What the customer paid, as decimal text: CNY on the China site, USD on the international site.
    pub amount: Option<String>,
    /// End of the paid time as the order estimates it.
    pub expire_time: Option<Timestamp>,
}

/// Section `buyer`. Personal data is decrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    /// The buyer's Huawei Cloud account id.
    pub customer_id: Option<String>,
    /// The account's name.
    pub customer_name: Option<String>,
    /// IAM user id, for products that create accounts by IAM user.
    pub user_id: Option<String>,
    /// IAM user name, likewise.
    pub user_name: Option<String>,
    /// Mobile number without country code, for products published with it.
    #[serde(with = "exposed")]
    pub mobile_phone: Option<Secret<String>>,
    /// E-mail address, likewise.
    #[serde(with = "exposed")]
    pub email: Option<Secret<String>>,
}

impl From<call::Buyer> for Buyer {
    fn from(told: call::Buyer) -> Self {
        Self {
            customer_id: told.customer_id,
            customer_name: told.customer_name,
            user_id: told.user_id,
            user_name: told.user_name,
            mobile_phone: told.mobile_phone,
            email: told.email,
        }
    }
}

/// Section `instance`: how the instance stands in koogate's records once this event is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceFacts {
    /// Its status.
    pub status: Status,
    /// End of the paid time; `null`: not known or not limited.
    pub expire_time: Option<Timestamp>,
}

/// Writes secrets in plain text: the merchant's application needs them. Named at every member that does so.
mod exposed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(value: &Option<Secret<String>>, out: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Secret::expose).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(input)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = concat!(
        r#"{"event":"instance.create","operationId":"op-1","attempt":1,"test":false,"kind":"saas","instanceId":"i-1","#,
        r#""product":{"productId":"OFFI461867333479178240","skuCode":"sku-1","name":"Mail"},"#,
        r#""order":{"orderId":"CS1","orderLineId":"CS1-000001","orderType":"NEW","chargingMode":"PERIOD","#,
        r#""periodType":"year","periodNumber":1,"quantity":10,"amount":"12.78","expireTime":"2027-11-23T15:59:59Z"},"#,
        r#""buyer":{"customerId":"c-1","customerName":"Shop","userId":null,"userName":null,"#,
        r#""mobilePhone":"13800138000","email":"a@example.com"},"parameters":{"emailDomainName":"test.xxxx.com"}}"#
    );

    fn create() -> Event {
        serde_json::from_str(CREATE).unwrap()
    }

    #[test]
    fn a_creation_is_written_exactly_as_documented() {
        let event = create();
        assert_eq!(event.name(), EventName::InstanceCreate);
        assert_eq!(event.to_json(), CREATE);
    }

    #[test]
    fn only_the_attempt_differs_between_attempts() {
        let third = create().with_attempt(3);
        assert_eq!(third.attempt, 3);
        assert_eq!(third.with_attempt(1), create());
    }

    #[test]
    fn sections_that_do_not_apply_are_absent_and_what_is_unknown_inside_one_is_null() {
        let event = Event {
            change: Change::OrderNotify,
            operation_id: "op-2".into(),
            attempt: 1,
            test: true,
            kind: Kind::Saas,
            instance_id: None,
            product: None,
            order: Some(Order { order_id: "CS2".into(), ..Order::default() }),
            buyer: None,
            instance: None,
            parameters: BTreeMap::new(),
        };
        assert_eq!(
            event.to_json(),
            concat!(
                r#"{"event":"order.notify","operationId":"op-2","attempt":1,"test":true,"kind":"saas","instanceId":null,"#,
                r#""order":{"orderId":"CS2","orderLineId":null,"orderType":null,"chargingMode":null,"#,
                r#""periodType":null,"periodNumber":null,"quantity":null,"amount":null,"expireTime":null},"#,
                r#""parameters":{}}"#
            )
        );
        assert_eq!(serde_json::from_str::<Event>(&event.to_json()).unwrap(), event);
    }

    #[test]
    fn an_event_stored_by_a_newer_version_is_still_read() {
        let newer = CREATE.replacen("{\"event\"", "{\"color\":[1,{\"a\":null}],\"event\"", 1);
        assert_eq!(serde_json::from_str::<Event>(&newer).unwrap(), create());
    }

    #[test]
    fn debug_output_hides_personal_data() {
        let shown = format!("{:?}", create());
        assert!(!shown.contains("13800138000") && !shown.contains("a@example.com"), "{shown}");
        assert_eq!(create().private_values(), ["13800138000", "a@example.com"]);
    }
}
