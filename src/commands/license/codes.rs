//! `koogate license activate` and `heartbeat`: authorisation codes at KooGallery, for the console's debugging.

use crate::codes::CodeDesk;
use crate::commands::output;
use crate::config::Config;
use crate::settings::Settings;
use crate::store::Store;
use crate::view;

pub(super) fn activate(config: &Config, store: &Store, codes: &[String], json: bool) -> anyhow::Result<()> {
    let activated = CodeDesk::default().activate(store, &Settings::new(config)?, codes, None)?;
    let header = ["code", "", "status", "expires", "product", "order"];
    let table = activated.iter().map(|one| {
        vec![
            one.license.clone(),
            if one.already_active { "was active already" } else { "activated" }.to_owned(),
            output::or_dash(one.info.status.as_deref()),
            output::time_or_dash(one.info.expire_time),
            output::or_dash(one.info.product_id.as_deref()),
            output::or_dash(one.info.order_id.as_deref()),
        ]
    });
    output::listing(json, &header, table, activated.iter().map(view::code::activated))
}

/// KooGallery's text, or a dash.
fn harmless(text: Option<&str>) -> String {
    output::harmless(&output::or_dash(text))
}

pub(super) fn heartbeat(config: &Config, store: &Store, code: &str, json: bool) -> anyhow::Result<()> {
    let heartbeat = CodeDesk::default().heartbeat(store, &Settings::new(config)?, code)?;
    if json {
        return output::line(&view::code::heartbeat(&heartbeat).to_string());
    }
    let info = &heartbeat.info;
    let product = [info.product_id.as_deref(), info.product_name.as_deref()].map(harmless).join(", ");
    output::line(&format!("code      {}, {}", heartbeat.license, harmless(info.status.as_deref())))?;
    let (from, until) = (output::time_or_dash(info.activate_time), output::time_or_dash(info.expire_time));
    output::line(&format!("holds     from {from} until {until}"))?;
    output::line(&format!("product   {product}"))?;
    let stale = if heartbeat.stale { ", from the record: KooGallery cannot be asked now" } else { "" };
    output::line(&format!("checked   {}{stale}", output::time_or_dash(Some(heartbeat.checked_at))))
}
