//! What KooGallery says in a call, in the members of each generation (spec 1-basic-v2 §4, 2-basic-v1 §6, 4-license §3 to
//! §5). `None` where a generation has no word for it.

use serde_json::{Value, json};

use super::Generation;
use super::call::{Order, Subject};
use super::stage::new_business_id;
use crate::protocol::time;

/// How a V1 purchase is paid (`chargingMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charging {
    OnDemand,
    Period,
    OneTime,
    Package,
}

impl Generation {
    /// A purchase. Every one has a `businessId` of its own, retries included.
    pub(super) fn purchase(self, order: &Order) -> Option<Value> {
        let Order { order_id, order_line_id, .. } = order;
        match self {
            Self::V2 | Self::LicenseOnline => Some(json!({
                "activity": "newInstance", "orderId": order_id, "orderLineId": order_line_id,
                "businessId": new_business_id(),
            })),
            Self::V1 => Some(purchase_v1(order, Charging::Period)),
            Self::License => {
                let mut members = purchase_v1(order, Charging::Period);
                members["activity"] = json!("getLicense");
                Some(members)
            }
            Self::LicenseCode => None,
        }
    }

    /// Asks for instances by their ids, separated by commas.
    pub(super) fn query(self, ids: &str) -> Option<Value> {
        matches!(self, Self::V1 | Self::V2).then(|| json!({"activity": "queryInstance", "instanceId": ids}))
    }

    /// A renewal; `order` is its own.
    pub(super) fn renewal(self, of: &Subject, order: &Order, expire_time: &str) -> Value {
        let Order { order_id, order_line_id, product_id, .. } = order;
        match self {
            Self::V2 | Self::LicenseOnline => json!({
                "activity": "refreshInstance", "instanceId": of.id, "scene": "RENEWAL", "expireTime": expire_time,
                "orderId": order_id, "orderLineId": order_line_id, "productId": product_id,
            }),
            Self::LicenseCode => json!({
                "activity": "refreshLicenseCode", "license": of.id, "scene": "RENEWAL", "expireTime": expire_time,
                "orderId": order_id, "orderLineId": order_line_id, "productId": product_id,
            }),
            Self::V1 => json!({
                "activity": "refreshInstance", "instanceId": of.id, "orderId": order_id, "productId": product_id,
                "expireTime": expire_time, "periodType": "year", "periodNumber": "1", "orderAmount": "99.5",
            }),
            Self::License => json!({
                "activity": "refreshLicense", "instanceId": of.id, "orderId": order_id, "productId": product_id,
                "expireTime": expire_time, "periodType": "year", "periodNumber": "1",
            }),
        }
    }

    /// Takes a renewal back. It may carry the renewal's own order (spec 1-basic-v2 §9 b); V1 has a new one and a negative
    /// amount.
    pub(super) fn cancelled(self, renewal: &Value, order: &Order, expire_time: &str) -> Option<Value> {
        let mut cancelled = renewal.clone();
        cancelled["expireTime"] = json!(expire_time);
        match self {
            Self::V2 | Self::LicenseOnline | Self::LicenseCode => {
                cancelled["scene"] = json!("UNSUBSCRIBE_RENEWAL_PERIOD");
            }
            Self::V1 => {
                cancelled["orderId"] = json!(order.order_id);
                cancelled["orderAmount"] = json!("-99.5");
            }
            Self::License => return None,
        }
        Some(cancelled)
    }

    /// Freezes; in V1 and L1 because it has expired, with the order that bought it, the same every time.
    pub(super) fn freeze(self, of: &Subject) -> Value {
        let expired = |activity: &str| json!({"activity": activity, "instanceId": of.id, "orderId": of.order.order_id});
        match self {
            Self::V1 => expired("expireInstance"),
            Self::License => expired("expireLicense"),
            Self::V2 | Self::LicenseOnline | Self::LicenseCode => self.set_status(of, "FREEZE"),
        }
    }

    /// Unfreezes; what is paid by period in V1 and L1 comes back by a renewal only.
    pub(super) fn unfreeze(self, of: &Subject) -> Option<Value> {
        (!self.has_token()).then(|| self.set_status(of, "UNFREEZE"))
    }

    /// Sets a status by its name. In V1 that is for what is paid by use; L1 has no such call, and gets V1's.
    pub(super) fn set_status(self, of: &Subject, status: &str) -> Value {
        match self {
            Self::V2 | Self::LicenseOnline => {
                json!({"activity": "updateInstanceStatus", "instanceId": of.id, "status": status})
            }
            Self::LicenseCode => json!({"activity": "updateLicenseCodeStatus", "license": of.id, "status": status}),
            Self::V1 | Self::License => {
                json!({"activity": "instanceStatus", "instanceId": of.id, "instanceStatus": status})
            }
        }
    }

    /// An upgrade; `order` is its own.
    pub(super) fn upgrade(self, of: &Subject, order: &Order) -> Option<Value> {
        let Order { order_id, order_line_id, product_id, .. } = order;
        match self {
            Self::V2 => Some(json!({
                "activity": "upgradeInstance", "instanceId": of.id, "orderId": order_id, "orderLineId": order_line_id,
            })),
            Self::V1 => Some(json!({
                "activity": "upgrade", "instanceId": of.id, "orderId": order_id, "productId": product_id,
                "skuCode": "sku-1", "amount": "20",
            })),
            Self::License | Self::LicenseCode | Self::LicenseOnline => None,
        }
    }

    pub(super) fn release(self, of: &Subject) -> Value {
        match self {
            Self::V2 | Self::LicenseOnline => json!({"activity": "releaseInstance", "instanceId": of.id}),
            Self::LicenseCode => json!({"activity": "releaseLicenseCode", "license": of.id}),
            Self::V1 => json!({
                "activity": "releaseInstance", "instanceId": of.id, "orderId": of.order.order_id,
            }),
            Self::License => json!({
                "activity": "releaseLicense", "instanceId": of.id, "orderId": of.order.order_id,
            }),
        }
    }

    /// Asks for a licence for a device.
    pub(super) fn issue(self, of: &Subject, event_id: &str) -> Option<Value> {
        let issue = || {
            json!({
                "activity": "getLicenseAsync", "instanceId": of.id, "eventId": event_id,
                "effectiveTime": "2023-10-27 10:30:15 z",
                "expireTime": of.order.expires.strftime("%Y-%m-%d %H:%M:%S z").to_string(),
                "deviceFingerprint": "00-11-22-33-44-55",
            })
        };
        (self == Self::LicenseOnline).then(issue)
    }
}

/// A V1 purchase. What is paid by use or once has no period, and only a package has an end besides.
pub(super) fn purchase_v1(order: &Order, charging: Charging) -> Value {
    let Order { order_id, product_id, expires, .. } = order;
    let mode = match charging {
        Charging::OnDemand => "0",
        Charging::Period => "1",
        Charging::OneTime => "3",
        Charging::Package => "5",
    };
    let mut members = json!({
        "activity": "newInstance", "customerId": "68cbc86abc2018ab880d92f36422fa0e", "customerName": "koogate-simulate",
        "businessId": new_business_id(), "orderId": order_id, "productId": product_id, "skuCode": "sku-1",
        "chargingMode": mode, "orderAmount": "99.5",
    });
    if matches!(charging, Charging::Period | Charging::Package) {
        members["expireTime"] = json!(time::print_seconds(*expires));
    }
    if charging == Charging::Period {
        members["periodType"] = json!("year");
        members["periodNumber"] = json!("1");
    }
    members
}

/// A change check of V2.
pub(super) fn change_check(of: &Subject, product_info: &Value) -> Value {
    json!({"activity": "changeInstanceCheck", "instanceId": of.id, "productInfo": product_info})
}

/// The announcement of an order, in V2 and LO.
pub(super) fn order_notify(order: &Order) -> Value {
    json!({"activity": "orderNotify", "orderId": order.order_id, "orderLineId": order.order_line_id})
}
