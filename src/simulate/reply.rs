//! A reply that could be read.

use serde_json::{Map, Value};

use super::client::Answer;

/// A reply that could be read.
#[derive(Clone)]
pub(super) struct Reply {
    pub code: String,
    message: String,
    pub members: Map<String, Value>,
    pub answer: Answer,
}

impl Reply {
    /// `None` when the body is no JSON object.
    pub(super) fn read(answer: Answer) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { code: text("resultCode"), message: text("resultMsg"), members, answer })
    }

    pub(super) fn instance_id(&self) -> Option<&str> {
        self.text("instanceId")
    }

    pub(super) fn license(&self) -> Option<&str> {
        self.text("license")
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// What the buyer is told, where the reply to a purchase tells it.
    pub(super) fn app_info(&self) -> Option<&Value> {
        self.members.get("appInfo").filter(|app_info| !app_info.is_null())
    }

    /// The entry of `info` for this instance.
    pub(super) fn info(&self, instance_id: &str) -> Option<&Value> {
        let info = self.members.get("info")?.as_array()?;
        info.iter().find(|entry| entry["instanceId"].as_str() == Some(instance_id))
    }

    /// The result code and message, for a finding.
    pub(super) fn described(&self) -> String {
        let code = if self.code.is_empty() { "without resultCode" } else { &self.code };
        let message: String = self.message.chars().take(120).collect();
        if message.is_empty() { code.to_owned() } else { format!("{code} ({message})") }
    }
}
