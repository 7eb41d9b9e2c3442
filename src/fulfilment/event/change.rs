//! What is particular to each event: the members `event` and `change`, with one complete example per event.
//!
//! What directory calls carry is in `directory`. The examples are part of the user documentation; a test reads them from this file and holds them to the types.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::directory::{ApplicationSync, DepartmentsSync, TenantSync, User, UsersSync};
use super::{EventName, Product};

/// What happened. The variant is the member `event`, its content the member `change`; a bare variant has no `change`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", content = "change")]
pub enum Change {
    /// Something was bought: create the instance and answer how to get in.
    ///
    /// ```json
    /// {"event":"instance.create","operationId":"4f1c","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///  "order":{"orderId":"CS2211","orderLineId":"CS2211-000001","orderType":"NEW","chargingMode":"PERIOD",
    ///           "periodType":"year","periodNumber":1,"quantity":10,"amount":"12.78",
    ///           "expireTime":"2027-11-23T15:59:59Z"},
    ///  "buyer":{"customerId":"68cb","customerName":"Example Ltd","userId":null,"userName":null,
    ///           "mobilePhone":"13800138000","email":null},
    ///  "parameters":{"emailDomainName":"test.xxxx.com"}}
    /// ```
    #[serde(rename = "instance.create")]
    InstanceCreate,
    /// The paid time has a new end: set it, never add to it. `instance.status` says whether the instance is to be
    /// usable: a renewal unfreezes a frozen one.
    ///
    /// ```json
    /// {"event":"instance.renew","operationId":"4f1d","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///  "order":{"orderId":"CS2212","orderLineId":"CS2212-000001","orderType":"RENEW","chargingMode":"PERIOD",
    ///           "periodType":"year","periodNumber":1,"quantity":10,"amount":"12.78",
    ///           "expireTime":"2028-11-23T15:59:59Z"},
    ///  "instance":{"status":"active","expireTime":"2028-11-23T15:59:59Z"},
    ///  "change":{"scene":"RENEWAL","expireTime":"2028-11-23T15:59:59Z","previousExpireTime":"2027-11-23T15:59:59Z"},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "instance.renew")]
    InstanceRenew(Renewal),
    /// Deny use and keep the data. KooGallery does not tell expiry from violation.
    ///
    /// ```json
    /// {"event":"instance.freeze","operationId":"4f1e","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///  "instance":{"status":"frozen","expireTime":"2027-11-23T15:59:59Z"},"parameters":{}}
    /// ```
    #[serde(rename = "instance.freeze")]
    InstanceFreeze,
    /// Allow use again.
    ///
    /// ```json
    /// {"event":"instance.unfreeze","operationId":"4f1f","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///  "instance":{"status":"active","expireTime":"2027-11-23T15:59:59Z"},"parameters":{}}
    /// ```
    #[serde(rename = "instance.unfreeze")]
    InstanceUnfreeze,
    /// Another specification or a larger quantity, at once: `product` and `order.quantity` are the new totals.
    ///
    /// ```json
    /// {"event":"instance.upgrade","operationId":"4f20","attempt":2,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178241","skuCode":"pro","name":"Mail"},
    ///  "order":{"orderId":"CS2213","orderLineId":"CS2213-000001","orderType":"CHANGE","chargingMode":"PERIOD",
    ///           "periodType":"year","periodNumber":1,"quantity":20,"amount":"40.00","expireTime":null},
    ///  "instance":{"status":"active","expireTime":"2027-11-23T15:59:59Z"},
    ///  "change":{"previousProduct":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///            "previousQuantity":10},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "instance.upgrade")]
    InstanceUpgrade(Upgrade),
    /// Delete the instance: not renewed in time, or refunded (then with the refund's `order`).
    ///
    /// ```json
    /// {"event":"instance.release","operationId":"4f21","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///  "instance":{"status":"released","expireTime":"2027-11-23T15:59:59Z"},"parameters":{}}
    /// ```
    #[serde(rename = "instance.release")]
    InstanceRelease,
    /// May this instance be renewed as that product? Answer `ready` or `refused`, and change nothing.
    ///
    /// ```json
    /// {"event":"instance.check_change","operationId":"4f22","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"Mail"},
    ///  "instance":{"status":"active","expireTime":"2027-11-23T15:59:59Z"},
    ///  "change":{"product":{"productId":"OFFI461867333479178239","skuCode":"small","name":"Mail"},"quantity":5,
    ///            "productInfo":{"productId":"OFFI461867333479178239","skuCode":"small","linearValue":5}},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "instance.check_change")]
    InstanceCheckChange(ChangeTarget),
    /// Make a licence for an instance. The same operation must always give the same licence.
    ///
    /// ```json
    /// {"event":"license.issue","operationId":"4f23","attempt":1,"test":false,"kind":"license-online","instanceId":"87b94795",
    ///  "product":{"productId":"OFFI461867333479178240","skuCode":"basic","name":"CAD"},
    ///  "instance":{"status":"active","expireTime":"2027-11-23T15:59:59Z"},
    ///  "change":{"eventId":"e-77","effectiveTime":"2026-10-27T10:30:15Z","expireTime":"2027-10-27T10:30:15Z",
    ///            "deviceFingerprint":"00-16-3E-01-02-03"},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "license.issue")]
    LicenseIssue(LicenseRequest),
    /// An enterprise was bound to an instance, changed, or unbound.
    ///
    /// ```json
    /// {"event":"tenant.sync","operationId":"4f24","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "change":{"action":"upsert","orderId":"CS2211","tenantId":"68cb","tenantCode":"huawei","name":"Example Ltd",
    ///            "domainName":"https://example.tenantaccount.com"},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "tenant.sync")]
    TenantSync(TenantSync),
    /// The OAuth credentials of an enterprise for an application. The client secret is decrypted.
    ///
    /// ```json
    /// {"event":"application.sync","operationId":"4f25","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "change":{"action":"upsert","tenantId":"68cb","appId":"KSIDJF1234456","clientId":"cid","clientSecret":"cs-77"},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "application.sync")]
    ApplicationSync(ApplicationSync),
    /// Users were authorised for an application, changed, or lost the authorisation: all of them or, on a failed
    /// attempt, none.
    ///
    /// ```json
    /// {"event":"users.sync","operationId":"4f26","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "change":{"action":"upsert","tenantId":"68cb","appId":"KSIDJF1234456","syncTime":"2026-04-20T03:41:17.642Z",
    ///            "users":[{"userName":"zhangsan01","name":"张三","orgCode":"123456789","position":null,
    ///                      "employeeCode":null,"employeeType":1,"role":"admin","enabled":true,
    ///                      "mobile":"13900139000","email":"zs@example.com","workPlace":"南京",
    ///                      "entryDate":"2022-11-9","extension":{}}]},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "users.sync")]
    UsersSync(UsersSync),
    /// Departments of an enterprise: one that changed, or (`complete`) all of them. A parent may come after its child
    /// or not at all.
    ///
    /// ```json
    /// {"event":"departments.sync","operationId":"4f27","attempt":1,"test":false,"kind":"saas","instanceId":"87b94795",
    ///  "change":{"action":"upsert","complete":false,"tenantId":"68cb",
    ///            "departments":[{"orgCode":"10000","orgName":"开发部","parentCode":null}]},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "departments.sync")]
    DepartmentsSync(DepartmentsSync),
    /// An order was announced. For information; the same order may be announced several times.
    ///
    /// ```json
    /// {"event":"order.notify","operationId":"4f28","attempt":1,"test":false,"kind":"saas","instanceId":null,
    ///  "order":{"orderId":"CS2211","orderLineId":"CS2211-000001","orderType":"NEW","chargingMode":"PERIOD",
    ///           "periodType":"year","periodNumber":1,"quantity":10,"amount":null,
    ///           "expireTime":"2027-11-23T15:59:59Z"},
    ///  "parameters":{}}
    /// ```
    #[serde(rename = "order.notify")]
    OrderNotify,
}

impl Change {
    /// The event's name.
    pub fn name(&self) -> EventName {
        match self {
            Self::InstanceCreate => EventName::InstanceCreate,
            Self::InstanceRenew(_) => EventName::InstanceRenew,
            Self::InstanceFreeze => EventName::InstanceFreeze,
            Self::InstanceUnfreeze => EventName::InstanceUnfreeze,
            Self::InstanceUpgrade(_) => EventName::InstanceUpgrade,
            Self::InstanceRelease => EventName::InstanceRelease,
            Self::InstanceCheckChange(_) => EventName::InstanceCheckChange,
            Self::LicenseIssue(_) => EventName::LicenseIssue,
            Self::TenantSync(_) => EventName::TenantSync,
            Self::ApplicationSync(_) => EventName::ApplicationSync,
            Self::UsersSync(_) => EventName::UsersSync,
            Self::DepartmentsSync(_) => EventName::DepartmentsSync,
            Self::OrderNotify => EventName::OrderNotify,
        }
    }

    /// The values of this change that are a secret or personal.
    pub(super) fn private_values(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::ApplicationSync(sync) => sync.client_secret.iter().map(|secret| secret.expose().into()).collect(),
            Self::UsersSync(sync) => sync.users.iter().flat_map(User::private_values).collect(),
            _ => Vec::new(),
        }
    }
}

/// `change` of `instance.renew`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// Why.
    pub scene: RenewScene,
    /// The new end of the paid time; `null`: unlimited (a trial that became on-demand).
    pub expire_time: Option<Timestamp>,
    /// The end before; `null`: not known or not limited.
    pub previous_expire_time: Option<Timestamp>,
    /// With `SERVICE_SUPERVISION`: what the purchase call says of dates and period now, by the wire's names and as
    /// received (`expireTime`, `periodType`, `periodNumber`, `provisionType`, `acceptanceTime`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, String>,
}

/// Why an instance has a new expiry date; V1 calls are given the V2 name of what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RenewScene {
    /// A trial was bought.
    TrialToFormal,
    /// The ordinary renewal.
    Renewal,
    /// A renewal was cancelled and refunded: the date goes back.
    UnsubscribeRenewalPeriod,
    /// Renewed as another product.
    RenewalChange,
    /// koogate's own: a repeated purchase call under service supervision carried other dates (V1 guide, 服务监管).
    ServiceSupervision,
}

/// `change` of `instance.upgrade`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// The product before, as far as koogate knows it.
    pub previous_product: Option<Product>,
    /// The quantity before.
    pub previous_quantity: Option<u64>,
}

/// `change` of `instance.check_change`: what the buyer would like to renew as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeTarget {
    /// The product asked for.
    pub product: Product,
    /// The quantity asked for.
    pub quantity: Option<u64>,
    /// `productInfo` as KooGallery sent it: its members are not documented, so none is held back.
    pub product_info: Value,
}

/// `change` of `license.issue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LicenseRequest {
    /// KooGallery's id of the application for a licence.
    pub event_id: Option<String>,
    /// The licence holds from here.
    pub effective_time: Option<Timestamp>,
    /// The licence holds until here; `null`: not limited.
    pub expire_time: Option<Timestamp>,
    /// Device or hardware code to bind the licence to.
    pub device_fingerprint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::*;

    /// The JSON examples in this file's doc comments, in order.
    fn documented_examples() -> Vec<String> {
        let (documented, _) = include_str!("change.rs").split_once("pub struct Renewal").unwrap();
        let blocks = documented.split("    /// ```json\n").skip(1);
        blocks.map(|block| block.split_once("    /// ```").unwrap().0.replace("    ///", "")).collect()
    }

    #[test]
    fn every_event_has_an_example_that_is_exactly_what_is_sent() {
        let names: Vec<_> = documented_examples()
            .iter()
            .map(|example| {
                let documented: Value = serde_json::from_str(example).unwrap_or_else(|e| panic!("{e}: {example}"));
                let event: Event = serde_json::from_str(example).unwrap_or_else(|e| panic!("{e}: {example}"));
                assert_eq!(serde_json::from_str::<Value>(&event.to_json()).unwrap(), documented);
                assert_eq!(serde_json::from_str::<Event>(&event.to_json()).unwrap(), event);
                assert_eq!(documented["event"], event.name().as_str());
                event.name()
            })
            .collect();
        assert_eq!(names, EventName::ALL);
    }

    #[test]
    fn a_change_without_its_members_is_no_event() {
        let bare =
            r#"{"event":"instance.renew","operationId":"o","attempt":1,"test":false,"kind":"saas","instanceId":"i"}"#;
        assert!(serde_json::from_str::<Event>(bare).is_err());
    }

    #[test]
    fn client_secrets_and_personal_data_of_users_are_private() {
        let private: Vec<String> = documented_examples()
            .iter()
            .map(|example| serde_json::from_str::<Event>(example).unwrap())
            .flat_map(|event| {
                let shown = format!("{event:?}");
                let values: Vec<String> = event.private_values().into_iter().map(Cow::into_owned).collect();
                assert!(values.iter().all(|value| !shown.contains(value)), "{shown}");
                values
            })
            .collect();
        let person = ["13900139000", "zs@example.com", "张三", "南京", "2022-11-9"];
        assert_eq!(private, [&["13800138000", "cs-77"][..], &person].concat());
    }
}
