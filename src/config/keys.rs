//! `[keys]`: the access keys of the marketplace, and the key that seals secrets in the database.

use crate::config::error::{Problem, SecretProblem};
use crate::config::secrets;
use crate::config::section::Section;
use crate::sealing::SealingKey;
use crate::secret::Secret;

/// The keys that koogate works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Access keys of the basic interfaces, at least one: any of them verifies a call, and the one that did signs the
    /// answer (spec §4). Each is 8 to 256 visible ASCII characters.
    pub basic: Vec<Secret<String>>,
    /// Seals secret columns and labels access keys.
    pub sealing: SealingKey,
}

impl Keys {
    /// `None` when a key is missing or bad, which is reported: without a key there is no start, never a start without
    /// a check.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let basic = secrets::one_or_more(section, "basic", &secrets::ACCESS_KEY);
        let repeated = |(index, key)| basic[..index].contains(key);
        if basic.iter().enumerate().any(repeated) {
            section.warn("basic", "the same key stands here twice");
        }
        let sealing = secrets::required(section, "sealing_key", &secrets::SEALING_KEY).and_then(|hex| {
            SealingKey::from_hex(hex.expose())
                .map_err(|error| {
                    let problem = SecretProblem::Malformed { fault: error.to_string(), expected: "64 hex digits" };
                    section.error("sealing_key", Problem::Secret(problem));
                })
                .ok()
        });
        (!basic.is_empty()).then_some(basic).zip(sealing).map(|(basic, sealing)| Self { basic, sealing })
    }
}
