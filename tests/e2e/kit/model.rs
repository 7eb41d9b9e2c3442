//! Thousands of calls at random, many tenants at once, with repeats, stragglers and a death in between: in the end the
//! tables are those of a model that knows nothing but "the last word counts".

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use crate::harness::Koogate;
use crate::kit_call::{GENERATIONS, Sync, all_org, application, auth, encrypted, public_key, single_org, tenant};
use crate::shop::Shop;

/// Tenants, each with a caller of its own.
const TENANTS: usize = 8;

/// Calls of each before the death, and after it. Three settings make 10,000.
const CALLS: usize = 210;

/// Ids and names that a careless program would confuse.
const WORDS: [&str; 12] =
    ["a", "A", "Å", "A\u{30A}", "a ", "测试", "'; DROP TABLE user; --", "\"\\", "\u{1F600}", "null", "0", "00"];

/// Numbers at random that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }

    fn instance(&mut self) -> &'static str {
        ["", "i-1", "i-2"][self.below(3)]
    }

    fn role(&mut self) -> &'static str {
        ["user", "admin"][self.below(2)]
    }

    /// A word or nothing.
    fn parent(&mut self) -> &'static str {
        if self.below(3) == 0 { "" } else { self.word() }
    }

    fn list<T>(&mut self, end: usize, mut element: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(end)).map(|_| element(self)).collect()
    }

    /// A call about the tenant.
    fn call(&mut self, secrets: &[String]) -> Sync {
        let instance = self.instance();
        match self.below(60) {
            0 => application(instance, self.word(), &secrets[self.below(secrets.len())]).with("clientId", self.word()),
            1..6 => application(instance, self.word(), "never opened").flag(0),
            6..12 => tenant(instance).with("name", self.word()).with("orderId", self.parent()).flag(1),
            12..14 => tenant(instance).flag(0),
            14..30 => {
                let users = self.list(6, |dice| {
                    json!({
                        "userName": dice.word(), "orgCode": dice.parent(), "role": dice.role(),
                        "enable": dice.below(2) == 0,
                    })
                });
                auth(instance, ["p", "q"][self.below(2)], json!(users)).flag([0, 1, 1, 2, 3][self.below(5)])
            }
            30..50 => {
                let flag = [0, 1, 2, 2][self.below(4)];
                single_org(instance, self.word(), self.word(), self.parent()).flag(flag)
            }
            _ => {
                let departments = self.list(
                    10,
                    |dice| json!({ "orgCode": dice.word(), "orgName": dice.word(), "parentCode": dice.parent() }),
                );
                all_org(instance, json!(departments))
            }
        }
    }
}

/// What should be known of a tenant.
#[derive(Default)]
struct Model {
    name: Option<String>,
    bindings: BTreeMap<String, Option<String>>,
    applications: BTreeMap<String, String>,
    /// By instance, application and name: department, role, enabled, authorised.
    users: BTreeMap<[String; 3], (Option<String>, String, bool, bool)>,
    /// By instance and code: name, parent, stale.
    departments: BTreeMap<[String; 2], (Option<String>, Option<String>, bool)>,
}

impl Model {
    fn apply(&mut self, setting: &str, Sync(name, body): &Sync) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let filled = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (instance, flag) = (text(&body["instanceId"]), body["flag"].as_i64());
        let of = |list: &Value| list.as_array().unwrap().clone();
        match (*name, flag) {
            ("tenantSync", Some(0)) => {
                self.bindings.remove(&instance);
                self.users.retain(|key, _| key[0] != instance);
                self.departments.retain(|key, _| key[0] != instance);
                if self.bindings.is_empty() {
                    self.applications.clear();
                }
            }
            ("tenantSync", _) => {
                self.name = filled(&body["name"]);
                let order = self.bindings.entry(instance).or_default();
                *order = filled(&body["orderId"]).or(order.take());
            }
            ("applicationSync", Some(0)) => drop(self.applications.remove(&text(&body["appId"]))),
            ("applicationSync", _) => drop(self.applications.insert(text(&body["appId"]), text(&body["clientId"]))),
            ("authSync", flag) => {
                for user in of(&body["userList"]) {
                    let key = [instance.clone(), text(&body["appId"]), text(&user["userName"])];
                    match flag {
                        Some(0) => drop(self.users.remove(&key)),
                        // Revoking what is not there makes nothing.
                        Some(3) => self.users.get_mut(&key).into_iter().for_each(|user| user.3 = false),
                        _ => {
                            let enabled = user["enable"].as_bool().unwrap();
                            let told = (filled(&user["orgCode"]), text(&user["role"]), enabled, true);
                            self.users.insert(key, told);
                        }
                    }
                }
            }
            ("singleOrgSync", Some(0)) => drop(self.departments.remove(&[instance, text(&body["orgCode"])])),
            ("singleOrgSync", _) => self.put(&instance, body),
            ("allOrgSync", _) => {
                let list = of(&body["orgInfoList"]);
                let listed = |code: &String| list.iter().any(|told| told["orgCode"] == *code);
                match setting {
                    "delete" => self.departments.retain(|[at, code], _| *at != instance || listed(code)),
                    "mark_stale" => {
                        let here = self.departments.iter_mut().filter(|([at, _], _)| *at == instance);
                        here.for_each(|(_, department)| department.2 = true);
                    }
                    _ => {}
                }
                // The last of several with one code counts, and only its parent gets a row.
                let last: BTreeMap<String, &Value> = list.iter().map(|told| (text(&told["orgCode"]), told)).collect();
                last.values().for_each(|told| self.put(&instance, told));
            }
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, instance: &str, told: &Value) {
        let key = |code: &str| [instance.to_owned(), code.to_owned()];
        let parent = told["parentCode"].as_str().filter(|parent| !parent.is_empty());
        let department = (told["orgName"].as_str().map(str::to_owned), parent.map(str::to_owned), false);
        self.departments.insert(key(told["orgCode"].as_str().unwrap()), department);
        if let Some(parent) = parent {
            let parent = self.departments.entry(key(parent)).or_default();
            if parent.0.is_none() {
                parent.2 = false;
            }
        }
    }

    /// In the form of [`known`].
    fn told(&self) -> Value {
        let bindings: Vec<_> = self.bindings.iter().map(|(instance, order)| json!([instance, order])).collect();
        let applications: Vec<_> = self.applications.iter().map(|(app, client)| json!([app, client])).collect();
        let users: Vec<_> = self
            .users
            .iter()
            .map(|([instance, app, name], (org, role, enabled, authorised))| {
                json!([instance, app, name, org, role, enabled, authorised])
            })
            .collect();
        let departments: Vec<_> = self
            .departments
            .iter()
            .map(|([instance, code], (name, parent, stale))| json!([instance, code, name, parent, stale]))
            .collect();
        json!([self.name, bindings, applications, users, departments])
    }
}

/// What the commands tell of a tenant.
fn known(shop: &Shop, id: &str) -> Value {
    let shown = shop.tenant(id);
    let pairs = |list: &str, names: [&str; 2]| -> Vec<Value> {
        shown[list].as_array().unwrap().iter().map(|row| json!([row[names[0]], row[names[1]]])).collect()
    };
    let user = |row: &Value| {
        let of = |name: &str| row[name].clone();
        let [instance, app, name] = ["instanceId", "appId", "userName"].map(of);
        json!([instance, app, name, of("orgCode"), of("role"), of("enabled"), of("authorised")])
    };
    let mut users: Vec<Value> = shop.tenant_lines("users", id).iter().map(user).collect();
    users.sort_by_key(|row| [0, 1, 2].map(|column| row[column].as_str().unwrap().to_owned()));
    json!([
        shown["name"],
        pairs("bindings", ["instanceId", "orderId"]),
        pairs("applications", ["appId", "clientId"]),
        users,
        shop.departments(id),
    ])
}

#[test]
fn ten_thousand_calls_at_random_leave_what_a_naive_model_says() {
    let secrets: Vec<String> = ["pkcs8", "pkcs1"].map(|key| encrypted(&public_key(key), "s")).into();
    for (number, setting) in ["mark_stale", "delete", "keep"].into_iter().enumerate() {
        let mut shop = Shop::with_silent_kit(&format!("[lifecycle]\nall_org_missing = \"{setting}\"\n"));
        let seed = |tenant: usize| 0x6B6F_6F67 + u64::try_from(number * TENANTS + tenant).unwrap();
        let mut tenants: Vec<_> =
            (0..TENANTS).map(|tenant| (Model::default(), Dice(seed(tenant)), Vec::<Sync>::new())).collect();
        for _ in 0..2 {
            thread::scope(|scope| {
                for (tenant, (model, dice, sent)) in tenants.iter_mut().enumerate() {
                    let (shop, secrets) = (&shop, &secrets);
                    scope.spawn(move || {
                        for _ in 0..CALLS {
                            let sync = match dice.below(10) {
                                // A straggler: what was said long ago is said again, and counts.
                                0 if !sent.is_empty() => sent[dice.below(sent.len())].clone(),
                                _ => dice.call(secrets).of(&format!("{}{tenant}", WORDS[tenant])),
                            };
                            // Some come twice.
                            for _ in 0..1 + usize::from(dice.below(8) == 0) {
                                shop.sync_by(GENERATIONS[dice.below(2)], "000000", &sync);
                                model.apply(setting, &sync);
                            }
                            sent.push(sync);
                        }
                    });
                }
            });
            shop = shop.restarted(Koogate::kill);
        }
        let mut filled = [0; 5];
        for (tenant, (model, ..)) in tenants.iter().enumerate() {
            let expected = model.told();
            let known = known(&shop, &format!("{}{tenant}", WORDS[tenant]));
            for part in 0..5 {
                assert_eq!(known[part], expected[part], "{setting}, tenant {tenant}, part {part}");
                filled[part] += expected[part].as_array().map_or(1, Vec::len);
            }
        }
        assert!(filled.iter().all(|count| *count > 0) && filled[4] > 50, "{filled:?}");
        let calls = shop.count("exchange");
        println!("{setting}: {calls} calls, rows compared: {filled:?}");
        assert!(calls >= i64::try_from(2 * CALLS * TENANTS).unwrap());
    }
}
