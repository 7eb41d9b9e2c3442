//! What KooGallery says in a call of the kit, in the members of either generation (spec 3-kit §4, §5).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{KitGeneration, print_time};
use crate::simulate::call::Mode;
use crate::simulate::call::kit_post::KitPost;

/// Flags of a call.
pub(in crate::simulate) const REMOVE: u8 = 0;
pub(in crate::simulate) const ADD: u8 = 1;
pub(in crate::simulate) const MODIFY: u8 = 2;
pub(in crate::simulate) const REVOKE: u8 = 3;

/// An enterprise that uses the seller's application, and who speaks of it.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Enterprise {
    pub generation: KitGeneration,
    pub mode: Mode,
    /// Empty while a credential is applied for and debugged, as is the order.
    pub instance_id: String,
    pub order_id: String,
    pub tenant_id: String,
    pub app_id: String,
}

impl Enterprise {
    /// The enterprise of the console's debugging.
    pub(in crate::simulate) fn of_tests(generation: KitGeneration) -> Self {
        Self::new(generation, Mode::Test, "68cbc86abc2018ab880d92f36422fa0e".to_owned())
    }

    pub(in crate::simulate) fn new(generation: KitGeneration, mode: Mode, tenant_id: String) -> Self {
        let (instance_id, order_id, app_id) = (String::new(), String::new(), "KSIDJF1234456".to_owned());
        Self { generation, mode, instance_id, order_id, tenant_id, app_id }
    }

    /// The enterprise is bound to, or no longer bound to, the application.
    pub(in crate::simulate) fn tenant(&self, flag: u8, domain: &str) -> KitPost {
        let members = json!({
            "orderId": self.order_id, "tenantCode": "koogate-simulate", "name": "测试企业", "domainName": domain,
        });
        self.call("tenantSync", Some(flag), members)
    }

    /// Its client credentials; the secret is encrypted.
    pub(in crate::simulate) fn application(&self, flag: u8, encrypted: &str) -> KitPost {
        let members = json!({"appId": self.app_id, "clientId": "client-of-simulate", "clientSecret": encrypted});
        self.call("applicationSync", Some(flag), members)
    }

    /// Users, in a text in V1 and a list in V2.
    pub(in crate::simulate) fn users(&self, flag: u8, users: Value) -> KitPost {
        let members = json!({
            "appId": self.app_id, "currentSyncTime": print_time(Timestamp::now()), "userList": self.list(users),
        });
        self.call("authSync", Some(flag), members)
    }

    /// A user with all there is to say. In V1's sample three members stand in `extension`.
    pub(in crate::simulate) fn user(&self, user_name: &str, role: &str, enable: bool) -> Value {
        let mut user = json!({
            "userName": user_name, "name": "张三", "orgCode": "10000", "position": "系统管理员", "employeeCode": "",
            "role": role, "enable": enable.to_string(), "mobile": "13800138000", "email": "zhang.san@example.com",
        });
        if self.generation == KitGeneration::V1 {
            user["extension"] = json!({"entryDate": "2022-11-9", "employeeType": "4", "workPlace": "南京"});
        } else {
            user["entryDate"] = json!("2022-11-9");
            user["employeeType"] = json!(4);
            user["workPlace"] = json!("南京");
        }
        user
    }

    /// One department; without a parent it is at the top.
    pub(in crate::simulate) fn department(&self, flag: u8, code: &str, name: &str, parent: &str) -> KitPost {
        let members = json!({"orgCode": code, "orgName": name, "parentCode": parent});
        self.call("singleOrgSync", Some(flag), members)
    }

    /// All departments, as code, name and parent.
    pub(in crate::simulate) fn departments(&self, all: &[(&str, &str, &str)]) -> KitPost {
        let name_of = if self.generation == KitGeneration::V1 { "name" } else { "orgName" };
        let one =
            |(code, name, parent): &(&str, &str, &str)| json!({"orgCode": code, name_of: name, "parentCode": parent});
        let list = self.list(all.iter().map(one).collect());
        self.call("allOrgSync", None, json!({self.departments_member(): list}))
    }

    /// What V1 and V2 call the list of departments.
    pub(in crate::simulate) fn departments_member(&self) -> &'static str {
        if self.generation == KitGeneration::V1 { "orgInfo" } else { "orgInfoList" }
    }

    fn list(&self, list: Value) -> Value {
        if self.generation == KitGeneration::V1 { Value::String(list.to_string()) } else { list }
    }

    fn call(&self, name: &'static str, flag: Option<u8>, mut members: Value) -> KitPost {
        members["instanceId"] = json!(self.instance_id);
        members["tenantId"] = json!(self.tenant_id);
        // The sample of allOrgSync has one, its table has none.
        members["flag"] = json!(flag.unwrap_or(ADD));
        members["testFlag"] = json!(u8::from(self.mode == Mode::Test));
        KitPost::new(self.generation, name, members)
    }
}
