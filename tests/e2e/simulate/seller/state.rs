//! What the seller knows, and what its operations do.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use koogate::protocol::time;
use koogate::simulate::Observed;
use serde_json::{Value, json};

use super::fields::field;
use super::{Creation, Fault, Meeting};

#[derive(Default)]
pub struct State {
    fault: Option<Fault>,
    creation: Option<Creation>,
    /// Nonces, and whatever else may not come twice.
    seen: HashSet<String>,
    /// Final answers of purchases by what identifies them, test orders included.
    orders: HashMap<String, Value>,
    /// Final answers of refreshes by identity.
    done: HashMap<String, Value>,
    instances: HashMap<String, Instance>,
    /// Of the kit.
    pub(super) directories: super::kit::Directories,
    /// Set while creations are to meet.
    pub(super) racing: Option<Meeting>,
}

struct Instance {
    status: &'static str,
    expires: Option<Timestamp>,
    /// While creating: how often it has been asked for.
    asked: u32,
    freezes: u32,
}

/// A purchase of either generation.
pub(super) struct Purchase {
    /// What identifies it.
    pub order: String,
    pub business_id: String,
    pub expires: Option<Timestamp>,
    /// Of V1; true: of a licence.
    pub v1: Option<bool>,
}

/// A new date.
pub(super) struct Renewal {
    pub id: String,
    pub order: String,
    /// What tells it from others of its order besides the date.
    pub what: String,
    pub expires: Timestamp,
    pub cancels: bool,
}

pub(super) type Outcome = Result<Value, &'static str>;

pub(super) fn success() -> Value {
    json!({"resultCode": "000000", "resultMsg": "success"})
}

impl State {
    pub(super) fn new(fault: Option<Fault>, creation: Creation) -> Self {
        Self { fault, creation: Some(creation), ..Self::default() }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    pub(super) fn is_new(&mut self, once: String) -> bool {
        self.seen.insert(once)
    }

    pub(super) fn count(&self) -> usize {
        self.instances.len()
    }

    pub(super) fn observed(&self, id: &str) -> Option<Observed> {
        let instance = self.instances.get(id)?;
        Some(Observed { status: instance.status.to_owned(), expire_time: instance.expires })
    }

    pub(super) fn answer_of(&self, order: &str) -> Option<Value> {
        self.orders.get(order).cloned()
    }

    pub(super) fn forget(&mut self, order: &str) {
        self.orders.remove(order);
    }

    /// As a server that keeps everything in memory.
    pub(super) fn forget_everything(&mut self) {
        *self = Self { fault: self.fault, creation: self.creation, ..Self::default() };
    }

    pub(super) fn create(&mut self, bought: Purchase, test: bool) -> Outcome {
        let instance_id =
            if self.has(Fault::OneInstanceForAll) && !test { "the-instance".to_owned() } else { bought.business_id };
        if let Some(answer) = self.answer_of(&bought.order) {
            let id = answer["instanceId"].as_str().unwrap_or_default();
            let released = self.instances.get(id).is_some_and(|instance| instance.status == "released");
            let again = self.has(Fault::NewInstanceOnRetry) || (self.has(Fault::CreatedAgainAfterRelease) && released);
            if !again {
                return self.repeated(answer, bought.v1, bought.expires);
            }
        }
        let mut answer = success();
        answer["instanceId"] = json!(instance_id);
        match bought.v1 {
            Some(true) => answer["license"] = json!(format!("L-{instance_id}")),
            Some(false) if !self.has(Fault::NoAppInfo) => {
                answer["encryptType"] = json!(if self.has(Fault::WrongEncryptType) { "2" } else { "1" });
                answer["appInfo"] = self.app_info();
            }
            _ => {}
        }
        let at_once = test || self.creation == Some(Creation::AtOnce);
        let status = if at_once { "active" } else { "creating" };
        if !test {
            let instance = Instance { status, expires: bought.expires, asked: 0, freezes: 0 };
            self.instances.insert(instance_id, instance);
        }
        self.orders.insert(bought.order, answer.clone());
        if at_once { Ok(answer) } else { self.unfinished(answer, bought.v1) }
    }

    fn unfinished(&self, mut answer: Value, v1: Option<bool>) -> Outcome {
        if v1.is_some() && !self.has(Fault::AnswersProcessing) {
            return Err("000005");
        }
        answer["resultCode"] = json!("000004");
        Ok(answer)
    }

    /// The answer of a purchase that is known: while it is being created, that; then the final one.
    fn repeated(&mut self, mut answer: Value, v1: Option<bool>, expires: Option<Timestamp>) -> Outcome {
        let id = answer["instanceId"].as_str().unwrap_or_default().to_owned();
        let has_dates = !self.has(Fault::NewDatesIgnored);
        if let Some(instance) = self.instances.get_mut(&id).filter(|instance| instance.status != "released")
            && has_dates
        {
            instance.expires = expires.or(instance.expires);
        }
        if self.instances.get(&id).is_some_and(|instance| instance.status == "creating") {
            self.ask(&id);
            return self.unfinished(answer, v1);
        }
        if self.has(Fault::OtherAnswerOnRetry) {
            answer["resultMsg"] = json!("already created");
        }
        if self.has(Fault::OtherLicenseOnRetry) && v1 == Some(true) {
            answer["license"] = json!(format!("L-{id}-{}", self.seen.len()));
            self.seen.insert(answer["license"].to_string());
        }
        if self.has(Fault::EncryptedAgainOnRetry) && v1 == Some(false) {
            answer["appInfo"] = self.app_info();
        }
        Ok(answer)
    }

    pub(super) fn query(&mut self, ids: &str, test: bool, v1: bool) -> Outcome {
        let ids: Vec<&str> = ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        if ids.len() > 100 && !self.has(Fault::ManyIdsTaken) {
            return Err("000002");
        }
        let mut creating = false;
        let mut info = Vec::new();
        for id in ids {
            self.ask(id);
            match self.instances.get(id).map(|instance| instance.status) {
                _ if test => info.push(self.info(id, v1)),
                Some("active" | "frozen") => info.push(self.info(id, v1)),
                Some("creating") => creating = true,
                _ => {}
            }
        }
        let code = match (info.is_empty(), creating) {
            (false, _) => "000000",
            (true, true) => "000004",
            (true, false) => "000003",
        };
        Ok(json!({"resultCode": code, "resultMsg": "asked", "info": info}))
    }

    /// Finishes a creation that has been asked for often enough.
    fn ask(&mut self, id: &str) {
        let enough = match self.creation {
            Some(Creation::AfterQueries(enough)) if !self.has(Fault::NeverReady) => enough,
            _ => u32::MAX,
        };
        if let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.status == "creating") {
            instance.asked += 1;
            if instance.asked >= enough {
                instance.status = "active";
            }
        }
    }

    fn app_info(&self) -> Value {
        let password = field(self.fault, "p-1");
        json!({"frontEndUrl": "https://app.example.com", "userName": field(self.fault, "u"), "password": password})
    }

    fn info(&self, id: &str, v1: bool) -> Value {
        let memo = "m".repeat(if self.has(Fault::LongMemo) { 1025 } else { 1024 });
        let value = if self.has(Fault::TextUsage) { json!("0") } else { json!(0.5) };
        let plain = json!({"frontEndUrl": "https://app.example.com", "userName": "u", "password": "p"});
        let mut info = json!({
            "instanceId": id,
            "appInfo": if v1 { self.app_info() } else { plain },
            "usageInfo": [{"usageValue": value, "statisticalTime": time::print_milliseconds(Timestamp::now())}],
        });
        info["appInfo"]["memo"] = json!(memo);
        if self.has(Fault::NoFrontEndUrl) {
            info["appInfo"]["frontEndUrl"] = Value::Null;
        }
        info
    }

    pub(super) fn renew(&mut self, wanted: &Renewal, test: bool) -> Outcome {
        if test {
            return self.test_call();
        }
        let Renewal { id, order, what, expires, cancels } = wanted;
        let identity = match self.fault {
            Some(Fault::CancellationTakenForRetry) => format!("{id} {order}"),
            _ => format!("{id} {order} {what} {expires}"),
        };
        if let Some(answer) = self.done.get(&identity).cloned()
            && !self.has(Fault::LateRenewalApplied)
        {
            return Ok(answer);
        }
        let (adds, unfreezes) = (self.has(Fault::RenewalAdds), !self.has(Fault::RenewalDoesNotUnfreeze));
        let instance = self.living(id)?;
        instance.expires = Some(match instance.expires {
            Some(before) if adds => before + (expires.duration_since(Timestamp::now())),
            _ => *expires,
        });
        if unfreezes && !cancels {
            instance.status = "active";
        }
        self.done.insert(identity, success());
        Ok(success())
    }

    fn test_call(&self) -> Outcome {
        if self.has(Fault::TestCallsUnknown) { Err("000003") } else { Ok(success()) }
    }

    fn living(&mut self, id: &str) -> Result<&mut Instance, &'static str> {
        // KooGallery has made such a code without telling.
        let adopted = id.starts_with("PL") && !self.has(Fault::UnknownCodeRefused);
        if adopted || self.has(Fault::UnknownInstanceTaken) {
            let instance = Instance { status: "active", expires: None, asked: 0, freezes: 0 };
            self.instances.entry(id.to_owned()).or_insert(instance);
        }
        match self.instances.get_mut(id) {
            Some(instance) if instance.status == "creating" => Err("000005"),
            Some(instance) if instance.status != "released" => Ok(instance),
            _ => Err("000003"),
        }
    }

    pub(super) fn set_status(&mut self, id: &str, status: &'static str, test: bool) -> Outcome {
        if test {
            return self.test_call();
        }
        let fault = self.fault;
        let instance = self.living(id)?;
        if status == "frozen" {
            instance.freezes += 1;
        }
        // The freeze, its retry, and then the one after the unfreeze.
        if status == "frozen" && instance.freezes >= 3 {
            match fault {
                Some(Fault::SecondExpirySwallowed) => return Ok(success()),
                Some(Fault::ThirdFreezeSwallowed) if instance.freezes == 3 => return Ok(success()),
                Some(Fault::ThirdFreezeRefused) if instance.freezes == 3 => return Err("000005"),
                _ => {}
            }
        }
        instance.status = status;
        Ok(success())
    }

    pub(super) fn upgrade(&mut self, id: &str, test: bool) -> Outcome {
        if test { self.test_call() } else { self.living(id).map(|_| success()) }
    }

    pub(super) fn release(&mut self, id: &str, test: bool) -> Outcome {
        if test {
            return self.test_call();
        }
        let once = self.has(Fault::ReleaseOnce);
        match self.instances.get_mut(id) {
            None => Err("000003"),
            Some(instance) if instance.status == "released" && once => Err("000003"),
            Some(instance) => {
                instance.status = "released";
                Ok(success())
            }
        }
    }

    /// A licence is made in the background and uploaded, which is not seen here.
    pub(super) fn license(&mut self, id: &str, event: &str, has_end: bool, test: bool) -> Outcome {
        let pending = || json!({"resultCode": "000004", "resultMsg": "being made"});
        if test {
            return if self.has(Fault::TestLicensePending) { Ok(pending()) } else { self.test_call() };
        }
        let (once, endless) = (self.has(Fault::SecondRequestRefused), self.has(Fault::EndlessLicenseTaken));
        if self.living(id)?.expires.is_some() && !has_end && !endless {
            return Err("000902");
        }
        if !self.is_new(event.to_owned()) {
            return if once { Err("000900") } else { Ok(success()) };
        }
        Ok(pending())
    }
}
