//! What each activity asks for, and which of its members must be there.

use jiff::Timestamp;
use koogate::protocol::extend_params;
use koogate::protocol::time;
use serde_json::{Value, json};

use super::state::{Outcome, Purchase, Renewal, State, success};
use super::{Call, Fault};

impl State {
    pub(super) fn act(&mut self, call: &Call) -> Outcome {
        let test = matches!(call.get("testFlag"), Some(flag) if *flag == json!("1") || *flag == json!(1));
        let has_token = call.contains_key("authToken") || call.contains_key("timeStamp");
        match call.get("activity").and_then(Value::as_str).unwrap_or_default() {
            "newInstance" | "getLicense" if has_token => self.buy_v1(call, test),
            "newInstance" => self.buy_v2(call, test),
            "queryInstance" => {
                let ids = self.member(call, "instanceId")?;
                self.query(&ids, test, has_token)
            }
            "refreshInstance" | "refreshLicense" if has_token => self.refresh_v1(call, test),
            "refreshInstance" => self.refresh_v2(call, "instanceId", test),
            "refreshLicenseCode" => self.refresh_v2(call, "license", test),
            "expireInstance" | "expireLicense" => {
                let id = self.member(call, "instanceId")?;
                self.member(call, "orderId")?;
                self.set_status(&id, "frozen", test)
            }
            "instanceStatus" => self.named_status(call, ["instanceId", "instanceStatus", "NORMAL"], test),
            "updateInstanceStatus" => self.named_status(call, ["instanceId", "status", "UNFREEZE"], test),
            "updateLicenseCodeStatus" => self.named_status(call, ["license", "status", "UNFREEZE"], test),
            activity @ ("upgrade" | "upgradeInstance") => {
                let id = self.member(call, "instanceId")?;
                let others = if activity == "upgrade" { ["skuCode", "productId"] } else { ["orderLineId"; 2] };
                for name in ["orderId"].iter().chain(&others) {
                    self.member(call, name)?;
                }
                self.upgrade(&id, test)
            }
            "releaseInstance" | "releaseLicense" => {
                let id = self.member(call, "instanceId")?;
                if has_token {
                    self.member(call, "orderId")?;
                }
                self.release(&id, test)
            }
            "releaseLicenseCode" => {
                let id = self.member(call, "license")?;
                self.release(&id, test)
            }
            "getLicenseAsync" => self.issue(call, test),
            "changeInstanceCheck" => {
                self.member(call, "instanceId")?;
                call.get("productInfo").filter(|info| info.is_object() || info.is_string()).ok_or("000002")?;
                Ok(success())
            }
            "orderNotify" => self.member(call, "orderId").map(|_| success()),
            _ => Err("000002"),
        }
    }

    fn member(&self, call: &Call, name: &str) -> Result<String, &'static str> {
        match call.get(name).and_then(Value::as_str).filter(|value| !value.is_empty()) {
            Some(value) => Ok(value.to_owned()),
            None if self.has(Fault::MissingMemberTaken) => Ok("assumed".to_owned()),
            None => Err("000002"),
        }
    }

    fn buy_v2(&mut self, call: &Call, test: bool) -> Outcome {
        let order = self.member(call, "orderId")?;
        self.member(call, "orderLineId")?;
        let business_id = self.member(call, "businessId")?;
        self.create(Purchase { order, business_id, expires: None, v1: None }, test)
    }

    fn buy_v1(&mut self, call: &Call, test: bool) -> Outcome {
        let (order_id, product) = (self.member(call, "orderId")?, self.member(call, "productId")?);
        self.member(call, "customerId")?;
        let business_id = self.member(call, "businessId")?;
        let parameters = call.get("saasExtendParams").and_then(Value::as_str).unwrap_or_default();
        if extend_params::parse(parameters).is_err() && !self.has(Fault::BadExtendParamsTaken) {
            return Err("000002");
        }
        let by_use = !matches!(call.get("chargingMode").and_then(Value::as_str), Some("1" | "3"));
        let apart = by_use && !self.has(Fault::OneInstanceForAllProducts);
        let order = if apart { format!("{order_id} {product}") } else { order_id };
        let expires = call.get("expireTime").and_then(Value::as_str);
        let expires = expires.map(|text| self.date(text)).transpose()?;
        let licensed = call.get("activity") == Some(&json!("getLicense"));
        self.create(Purchase { order, business_id, expires, v1: Some(licensed) }, test)
    }

    fn date(&self, text: &str) -> Result<Timestamp, &'static str> {
        match time::parse(text) {
            Ok(date) => Ok(date),
            Err(_) if self.has(Fault::BadDateTaken) || text == "assumed" => Ok(Timestamp::UNIX_EPOCH),
            Err(_) => Err("000002"),
        }
    }

    fn refresh_v2(&mut self, call: &Call, id: &str, test: bool) -> Outcome {
        let id = self.member(call, id)?;
        let order = self.member(call, "orderId")?;
        self.member(call, "orderLineId")?;
        let scene = self.member(call, "scene")?;
        let scenes = ["TRIAL_TO_FORMAL", "RENEWAL", "UNSUBSCRIBE_RENEWAL_PERIOD", "RENEWAL_CHANGE"];
        if !scenes.contains(&scene.as_str()) && !self.has(Fault::UnknownSceneTaken) && scene != "assumed" {
            return Err("000002");
        }
        let expires = self.member(call, "expireTime")?;
        let expires = self.date(&expires)?;
        let cancels = scene == "UNSUBSCRIBE_RENEWAL_PERIOD";
        self.renew(&Renewal { id, order, what: scene, expires, cancels }, test)
    }

    fn refresh_v1(&mut self, call: &Call, test: bool) -> Outcome {
        let (id, order) = (self.member(call, "instanceId")?, self.member(call, "orderId")?);
        let expires = self.member(call, "expireTime")?;
        let expires = self.date(&expires)?;
        let amount = call.get("orderAmount").and_then(Value::as_str).unwrap_or_default();
        if self.has(Fault::RefundUnread) && amount.starts_with('-') {
            return Err("000002");
        }
        self.renew(&Renewal { id, order, what: String::new(), expires, cancels: amount.starts_with('-') }, test)
    }

    fn named_status(&mut self, call: &Call, [id, name, back]: [&str; 3], test: bool) -> Outcome {
        let id = self.member(call, id)?;
        let status = match self.member(call, name)?.as_str() {
            "FREEZE" => "frozen",
            word if word == back || word == "assumed" => "active",
            _ => return Err("000002"),
        };
        self.set_status(&id, status, test)
    }

    fn issue(&mut self, call: &Call, test: bool) -> Outcome {
        let (id, event) = (self.member(call, "instanceId")?, self.member(call, "eventId")?);
        let effective = self.member(call, "effectiveTime")?;
        if time::parse_spaced(&effective).is_err() && effective != "assumed" {
            return Err("000002");
        }
        let has_end = call.get("expireTime").and_then(Value::as_str).is_some_and(|end| !end.is_empty());
        self.license(&id, &event, has_end, test)
    }
}
