//! The JSON of replies on the production address: the members that all its families answer with (spec 1-basic-v2 §4,
//! 2-basic-v1 §6, 4-license §5).

use std::borrow::Cow;

use serde::Serialize;

use crate::access::Access;
use crate::protocol::call::{Detail, InstanceInfo, Outcome};
use crate::protocol::field_cipher::EncryptType;
use crate::protocol::{Encrypt, ascii_json, text, time};

/// How a family tells access data.
#[derive(Clone, Copy)]
pub(super) enum AccessForm<'a> {
    /// In the answer to a query only, and as it is (V2).
    Plain,
    /// In the answer to a creation too, user name and password encrypted (V1).
    Encrypted(Encrypt<'a>),
}

/// Writes an outcome.
pub(super) fn write(outcome: &Outcome, form: AccessForm<'_>) -> Vec<u8> {
    let mut reply = Reply {
        result_code: outcome.code.as_str(),
        result_msg: text::message(&outcome.message),
        encrypt_type: None,
        instance_id: None,
        app_info: None,
        license: None,
        info: None,
    };
    match &outcome.detail {
        Detail::None => {}
        Detail::Created { instance_id, access, license, encrypt_type } => {
            reply.instance_id = Some(instance_id);
            reply.license = license.as_ref().map(|license| license.expose().as_str());
            if let (AccessForm::Encrypted(_), Some(access)) = (form, access) {
                reply.encrypt_type = has_credentials(access).then(|| encrypt_type.code());
                reply.app_info = Some(AppInfo::of(access, form, *encrypt_type));
            }
        }
        Detail::Instances { found, encrypt_type } => {
            let any = found.iter().any(|instance| instance.access.as_ref().is_some_and(has_credentials));
            if let (AccessForm::Encrypted(_), true) = (form, any) {
                reply.encrypt_type = Some(encrypt_type.code());
            }
            reply.info = Some(found.iter().map(|instance| Info::of(instance, form, *encrypt_type)).collect());
        }
    }
    // Plain structs of texts and numbers always have a JSON form; an empty body would be caught by the reply checks.
    ascii_json::to_vec(&reply).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    result_code: &'a str,
    result_msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypt_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_info: Option<AppInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Vec<Info<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    instance_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_info: Option<AppInfo<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    usage_info: Vec<Usage<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppInfo<'a> {
    front_end_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    related_instance_id: Option<&'a str>,
    usage_value: &'a serde_json::Number,
    statistical_time: String,
}

fn has_credentials(access: &Access) -> bool {
    access.user_name().is_some() || access.password().is_some()
}

impl<'a> Info<'a> {
    fn of(instance: &'a InstanceInfo, form: AccessForm<'_>, encrypt_type: EncryptType) -> Self {
        let usage = instance.usage.iter().map(|usage| Usage {
            related_instance_id: usage.related_instance_id.as_deref(),
            usage_value: &usage.usage_value,
            statistical_time: time::print_milliseconds(usage.statistical_time),
        });
        Self {
            instance_id: &instance.instance_id,
            app_info: instance.access.as_ref().map(|access| AppInfo::of(access, form, encrypt_type)),
            usage_info: usage.collect(),
        }
    }
}

impl<'a> AppInfo<'a> {
    fn of(access: &'a Access, form: AccessForm<'_>, encrypt_type: EncryptType) -> Self {
        let credential = |text: &'a str| match form {
            AccessForm::Plain => Cow::Borrowed(text),
            AccessForm::Encrypted(encrypt) => Cow::Owned(encrypt(encrypt_type, text)),
        };
        Self {
            front_end_url: access.front_end_url(),
            admin_url: access.admin_url(),
            user_name: access.user_name().map(|name| credential(name.expose())),
            password: access.password().map(|password| credential(password.expose())),
            memo: access.memo(),
        }
    }
}
