//! `/api/v1/licenses/activate`, `…/heartbeat` and `…/software-usage`: licensed software asks koogate, koogate asks KooGallery.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::call::Call;
use super::reply::{self, Problem};
use crate::http::Reply;
use crate::protocol::open_api::license::SoftwareUsage;
use crate::view;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Activate {
    licenses: Vec<String>,
    real_effect_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heartbeat {
    license: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Usage {
    usage: Vec<UsageOfCode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UsageOfCode {
    license: String,
    clients: Option<Vec<String>>,
    active_num: Option<u32>,
}

/// `POST /api/v1/licenses/activate`
pub(super) fn activate(call: &Call<'_>) -> Result<Reply, Problem> {
    let Activate { licenses, real_effect_time } = read(call)?;
    let parse = |text: String| text.parse::<Timestamp>();
    let real_effect_time = real_effect_time.map(parse).transpose();
    let real_effect_time = real_effect_time
        .map_err(|error| Problem::bad_request(format!("\"realEffectTime\" is no time in RFC 3339: {error}")))?;
    let (store, settings) = (&call.context.store, call.context.dispatcher.settings());
    let activated = call.context.codes.activate(store, &settings, &licenses, real_effect_time)?;
    let shown: Vec<_> = activated.iter().map(view::code::activated).collect();
    Ok(reply::ok(&json!({ "licenses": shown })))
}

/// `POST /api/v1/licenses/heartbeat`
pub(super) fn heartbeat(call: &Call<'_>) -> Result<Reply, Problem> {
    let Heartbeat { license } = read(call)?;
    let (store, settings) = (&call.context.store, call.context.dispatcher.settings());
    let heartbeat = call.context.codes.heartbeat(store, &settings, &license)?;
    Ok(reply::ok(&view::code::heartbeat(&heartbeat)))
}

/// `POST /api/v1/licenses/software-usage`
pub(super) fn software_usage(call: &Call<'_>) -> Result<Reply, Problem> {
    let Usage { usage } = read(call)?;
    let usage = usage.into_iter().map(UsageOfCode::entries).collect::<Result<Vec<_>, _>>()?;
    let (store, settings) = (&call.context.store, call.context.dispatcher.settings());
    call.context.codes.software_usage(store, &settings, &usage)?;
    Ok(reply::ok(&json!({ "licenses": usage.len() })))
}

impl UsageOfCode {
    fn entries(self) -> Result<(String, Vec<SoftwareUsage>), Problem> {
        let entries = match (self.clients, self.active_num) {
            (Some(clients), None) => clients.into_iter().map(SoftwareUsage::Id).collect(),
            (None, Some(number)) => vec![SoftwareUsage::ActiveNum(number)],
            _ => {
                let problem = format!("{:?}: give either \"clients\" or \"activeNum\"", self.license);
                return Err(Problem::bad_request(problem));
            }
        };
        Ok((self.license, entries))
    }
}

fn read<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Problem> {
    let unreadable = |error| Problem::bad_request(format!("the body is not as docs/openapi.yaml says: {error}"));
    serde_json::from_slice(&call.request.body).map_err(unreadable)
}
