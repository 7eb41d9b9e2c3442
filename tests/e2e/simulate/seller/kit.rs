//! The seller's side of the kit, both generations, by hand and from the specification as the rest.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use jiff::Timestamp;
use koogate::protocol::canonical_json::{Nulls, render};
use koogate::protocol::key::AccessKey;
use koogate::protocol::kit::client_secret::{Oaep, PrivateKeys};
use koogate::protocol::kit::sign_v2;
use koogate::protocol::signature;
use koogate::secret::Secret;
use koogate::simulate::{Kit, KitGenerations, ObservedDirectory};
use serde_json::Value;
use tiny_http::Request;

use super::state::State;
use super::{Call, Fault, key};

/// A key pair made for tests.
static PAIR: LazyLock<Value> = LazyLock::new(|| {
    let vectors: Value = serde_json::from_str(include_str!("../../../vectors/kit_oaep.json")).unwrap();
    vectors["keys"]["pkcs8"].clone()
});

/// The seller's kit as the simulator knows it.
pub fn kit(generations: KitGenerations) -> Kit {
    Kit::new(PAIR["public"].as_str().unwrap(), generations).unwrap()
}

/// Enterprises by their id.
pub type Directories = HashMap<String, ObservedDirectory>;

type Done = Result<(), &'static str>;

/// Answers a call below the production address.
pub fn answer(request: &Request, path: &str, body: &[u8], fault: Option<Fault>, state: &Mutex<State>) -> Done {
    let header = |name: &'static str| {
        let found = request.headers().iter().find(|header| header.field.equiv(name));
        found.map(|header| header.value.as_str().to_owned()).filter(|value| !value.is_empty())
    };
    let (name, is_v2) = path.strip_prefix("v2/").map_or((path, false), |name| (name, true));
    if !["tenantSync", "applicationSync", "authSync", "singleOrgSync", "allOrgSync"].contains(&name) {
        return if fault == Some(Fault::UnknownPathTaken) { Ok(()) } else { Err("000002") };
    }
    let parsed: Option<Call> = serde_json::from_slice(body).ok();
    let brings_secret = |call: &&Call| call.get("clientSecret").is_some_and(Value::is_string);
    if let Some(call) = parsed.as_ref().filter(brings_secret)
        && fault == Some(Fault::DecryptsFirst)
    {
        decrypted(call, fault)?;
    }
    if is_v2 {
        let values = [header("x-timestamp"), header("x-nonce"), header("x-sign")];
        authentic_v2(values, body, fault, state)?;
    } else {
        authentic_v1(header("authToken"), parsed.as_ref().ok_or("000002")?, fault)?;
    }
    state.lock().unwrap().sync(name, &parsed.ok_or("000002")?)
}

fn authentic_v2(values: [Option<String>; 3], body: &[u8], fault: Option<Fault>, state: &Mutex<State>) -> Done {
    if fault == Some(Fault::AcceptsAnyKey) {
        return Ok(());
    }
    let [timestamp, nonce, sign] = values;
    let timestamp = timestamp.ok_or("000002")?;
    let late_ms = Timestamp::now().as_millisecond() - timestamp.parse::<i64>().map_err(|_| "000002")?;
    if (late_ms > 60_000 && fault != Some(Fault::AcceptsStale))
        || (late_ms < -60_000 && fault != Some(Fault::AcceptsFuture))
    {
        return Err("000002");
    }
    let Some(nonce) = nonce else {
        return if fault == Some(Fault::AcceptsNoNonce) { Ok(()) } else { Err("000002") };
    };
    let Some(sign) = sign else {
        return if fault == Some(Fault::AcceptsUnsigned) { Ok(()) } else { Err("000001") };
    };
    let payloads = [Nulls::Drop, Nulls::Keep].map(|nulls| render(body, nulls).map(String::into_bytes));
    let payloads = || payloads.iter().flatten().map(Vec::as_slice).chain([body]);
    let is = |formula: fn(&AccessKey, &str, &str, &[u8]) -> String| {
        payloads().any(|payload| formula(&key(), &timestamp, &nonce, payload).eq_ignore_ascii_case(&sign))
    };
    let is_forgiven = fault == Some(Fault::BasicFormulaTaken) && is(signature::sign_v2);
    if !is(sign_v2) && !is_forgiven {
        return Err("000001");
    }
    if !state.lock().unwrap().is_new(nonce) && fault != Some(Fault::AcceptsRepeatedNonce) {
        return Err("000001");
    }
    Ok(())
}

fn authentic_v1(token: Option<String>, call: &Call, fault: Option<Fault>) -> Done {
    let Some(token) = token else {
        return if fault == Some(Fault::AcceptsUnsigned) { Ok(()) } else { Err("000001") };
    };
    let stamp = call.get("timeStamp").and_then(Value::as_str).ok_or("000002")?;
    let salted = format!("11111111-2222-3333-4444-555555555555{stamp}");
    let salted = AccessKey::new("salted".to_owned(), Secret::new(salted));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is = |signer: &AccessKey, has_blanks: bool| {
        let values = call.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, text(value)));
        let values = values.filter(|(_, value)| has_blanks || !value.trim().is_empty());
        let joined: Vec<String> = values.map(|(name, value)| format!("{name}={value}")).collect();
        data_encoding::BASE64.encode(&signer.sign(joined.join("&").as_bytes())) == token
    };
    let is_right = is(&salted, false) || (is(&salted, true) && fault != Some(Fault::BlanksLeftOut));
    let is_forgiven = match fault {
        Some(Fault::AcceptsAnyKey) => true,
        Some(Fault::AcceptsUnsalted) => is(&key(), false),
        _ => false,
    };
    if is_right || is_forgiven { Ok(()) } else { Err("000001") }
}

/// The client secret of a call.
fn decrypted(call: &Call, fault: Option<Fault>) -> Result<Secret<String>, &'static str> {
    let text = call.get("clientSecret").and_then(Value::as_str).unwrap_or_default();
    let keys = PrivateKeys::parse([PAIR["private"].as_str().unwrap()]).unwrap();
    let all: &[Oaep] = if fault == Some(Fault::OneDigestKnown) { &[Oaep::Sha1] } else { &Oaep::AUTO };
    match keys.decrypt(text, all) {
        Ok((secret, _, _)) => Ok(secret),
        Err(_) if fault == Some(Fault::NothingDecrypted) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err("000101"),
    }
}

impl State {
    fn sync(&mut self, name: &str, call: &Call) -> Done {
        if self.has(Fault::NoDepartments) && name.ends_with("OrgSync") {
            return Ok(());
        }
        let texts = self.texts(name, call)?;
        let [tenant, flag] = [texts["tenantId"].clone(), texts["flag"].clone()];
        let instance = call.get("instanceId").and_then(Value::as_str).unwrap_or_default();
        if self.has(Fault::InstanceRequired) && !instance.is_empty() {
            return Err("000003");
        }
        let is_test = matches!(call.get("testFlag"), Some(flag) if *flag == 1 || *flag == "1")
            && !self.has(Fault::TestCallsWrite);
        // What only a test says is written where nobody looks.
        let tenant = if is_test { format!("test of {tenant}") } else { tenant };
        let is_removal = flag == "0";
        if is_removal && self.has(Fault::NothingRemoved) {
            return Ok(());
        }
        let mut known = self.directories.get(&tenant).cloned().unwrap_or_default();
        if name == "tenantSync" {
            if is_removal && !is_test && known.domain.is_none() && self.has(Fault::RemovedOnce) {
                return Err("000003");
            }
            if is_removal {
                known = ObservedDirectory::default();
            }
            known.domain = (!is_removal).then(|| format!("https://{}", texts["domainName"].replace("https://", "")));
        } else if name == "applicationSync" {
            let secret = if is_removal { None } else { Some(decrypted(call, self.fault())?) };
            if !(self.has(Fault::FirstSecretKept) && known.client_secret.is_some() && !is_removal) {
                known.client_secret = secret;
            }
        } else if name == "authSync" {
            for user in self.list(call, "userList")? {
                let name = self.named(&user, "userName")?;
                match flag.as_str() {
                    "0" => drop(known.users.remove(&name)),
                    "3" => drop(known.users.insert(name, false)),
                    _ => drop(known.users.insert(name, user["enable"] == "true")),
                }
            }
        } else {
            self.set_departments(name, call, is_removal, &mut known)?;
        }
        self.directories.insert(tenant, known);
        Ok(())
    }

    fn set_departments(&self, name: &str, call: &Call, is_removal: bool, known: &mut ObservedDirectory) -> Done {
        let is_all = name == "allOrgSync";
        let all = if is_all {
            self.list(call, if call.contains_key("orgInfo") { "orgInfo" } else { "orgInfoList" })?
        } else {
            vec![Value::Object(call.clone())]
        };
        for department in all {
            let code = self.named(&department, "orgCode")?;
            let parent = department["parentCode"].as_str().filter(|parent| !parent.is_empty()).map(str::to_owned);
            let has_parent = parent.as_ref().is_none_or(|parent| known.departments.contains_key(parent));
            if is_removal && !is_all {
                known.departments.remove(&code);
            } else if self.has(Fault::ParentRequired) && !is_all && !has_parent {
                return Err("000002");
            } else {
                known.departments.insert(code, parent);
            }
        }
        Ok(())
    }

    /// The mandatory members of a call that are texts, and its flag.
    fn texts(&self, name: &str, call: &Call) -> Result<HashMap<&'static str, String>, &'static str> {
        let text = |name: &str| match call.get(name) {
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let (flags, mandatory): (_, &[&'static str]) = match name {
            "tenantSync" => ("012", &["tenantCode", "name", "domainName"]),
            "applicationSync" => ("012", &["appId", "clientId", "clientSecret"]),
            "authSync" => ("0123", &["appId"]),
            "singleOrgSync" => ("012", &["orgCode", "orgName"]),
            _ => ("0123456789", &[]),
        };
        let mut texts = HashMap::from([("flag", text("flag").unwrap_or_else(|| "1".to_owned()))]);
        let flag = texts["flag"].clone();
        let is_known = flags.contains(&flag) || self.has(Fault::FlagsUnread);
        let is_number = !call.get("flag").is_some_and(Value::is_string) || !self.has(Fault::NumbersOnly);
        if !is_known || !is_number {
            return Err("000002");
        }
        // A removal needs no more than what names the thing.
        let named = mandatory.iter().filter(|name| flag != "0" || ["appId", "orgCode"].contains(*name));
        let is_all = name == "allOrgSync";
        let flag_member = (!is_all).then_some(&"flag");
        for name in ["tenantId", "timeStamp"].iter().chain(flag_member).chain(named) {
            match text(name) {
                Some(text) => drop(texts.insert(name, text)),
                None if self.has(Fault::MissingMemberTaken) => drop(texts.insert(name, "assumed".to_owned())),
                None => return Err("000002"),
            }
        }
        Ok(texts)
    }

    fn named(&self, element: &Value, name: &str) -> Result<String, &'static str> {
        match element[name].as_str().filter(|name| !name.is_empty()) {
            Some(name) => Ok(name.to_owned()),
            None if self.has(Fault::MissingMemberTaken) => Ok("assumed".to_owned()),
            None => Err("000002"),
        }
    }

    /// A list, or a text that holds one, with or without quotation marks around names.
    fn list(&self, call: &Call, name: &str) -> Result<Vec<Value>, &'static str> {
        match call.get(name) {
            Some(Value::Array(list)) => Ok(list.clone()),
            Some(Value::String(_)) if self.has(Fault::ListsOnly) && name != "orgInfo" => Err("000002"),
            Some(Value::String(text)) => {
                let mut text = text.clone();
                if !self.has(Fault::QuotedNamesOnly) {
                    for name in ["orgCode", "orgName", "parentCode"] {
                        text = text.replace(&format!("{{{name}:"), &format!("{{\"{name}\":"));
                        text = text.replace(&format!(" {name}:"), &format!("\"{name}\":"));
                    }
                }
                serde_json::from_str(&text).map_err(|_| "000002")
            }
            _ if self.has(Fault::MissingMemberTaken) => Ok(Vec::new()),
            _ => Err("000002"),
        }
    }
}
