//! `[keys]`: the access keys of the marketplace, and the key that seals secrets in the database.

use crate::config::error::{Problem, SecretProblem};
use crate::config::secrets::{self, PrivateKeyFile, SecretKind};
use crate::config::section::Section;
use crate::kind::Kind;
use crate::sealing::SealingKey;
use crate::secret::Secret;

/// The keys that koogate works with. What is sold decides which access keys there must be; there is one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Access keys of the basic interfaces: any of them verifies a call, and the one that did signs the answer (spec §4).
    /// Each is 8 to 256 visible ASCII characters.
    pub basic: Vec<Secret<String>>,
    /// Access keys of the licence interface.
    pub license: Vec<Secret<String>>,
    /// Access keys of the joint-operation kit.
    pub kit: Vec<Secret<String>>,
    /// Private keys that open the kit's client secrets, in PEM, the one in use first; none without `kit`.
    pub kit_private_keys: Vec<PrivateKeyFile>,
    /// Seals secret columns and labels access keys.
    pub sealing: SealingKey,
}

impl Keys {
    /// `sold` are the kinds of the product entries, as far as they could be read. `None` when a key is missing or bad,
    /// which is reported: without a key there is no start, never a start without a check.
    pub(super) fn read(section: &mut Section<'_, '_>, sold: &[Kind]) -> Option<Self> {
        let basic = access_keys(section, "basic", &secrets::ACCESS_KEY);
        let license = access_keys(section, "license", &secrets::LICENSE_KEY);
        let kit = access_keys(section, "kit", &secrets::KIT_KEY);
        let kit_private_keys = secrets::files(section, "kit_private_keys", "RSA private keys in PEM");
        if section.has("kit") && !section.has("kit_private_keys") {
            let expected = "[\"kit-private.pem\"]: the private key whose public key the seller console has; \
                            `koogate init` writes one";
            section.error("kit_private_keys", Problem::Missing { expected: expected.to_owned() });
        }
        let sells = |kind: Kind| sold.contains(&kind);
        if (sells(Kind::Saas) || sold.is_empty()) && !section.has("basic") {
            section.error("basic", secrets::missing(&secrets::ACCESS_KEY));
        }
        // The documents leave open which key L1 and LO use: either will do (spec README §4).
        let either = (sells(Kind::License) || sells(Kind::LicenseOnline)) && !section.has("basic");
        if (sells(Kind::LicenseCode) || either) && !section.has("license") {
            section.error("license", secrets::missing(&secrets::LICENSE_KEY));
        }
        if sells(Kind::Saas) && sells(Kind::LicenseOnline) {
            tell_apart(section, &basic, &license);
        }
        let sealing = secrets::required(section, "sealing_key", &secrets::SEALING_KEY).and_then(|hex| {
            SealingKey::from_hex(hex.expose())
                .map_err(|error| {
                    let problem = SecretProblem::Malformed { fault: error.to_string(), expected: "64 hex digits" };
                    section.error("sealing_key", Problem::Secret(problem));
                })
                .ok()
        });
        sealing.map(|sealing| Self { basic, license, kit, kit_private_keys, sealing })
    }
}

fn access_keys(section: &mut Section<'_, '_>, key: &'static str, kind: &SecretKind) -> Vec<Secret<String>> {
    let keys = secrets::any_number(section, key, kind);
    let repeated = |(index, one)| keys[..index].contains(one);
    if keys.iter().enumerate().any(repeated) {
        section.warn(key, "the same key stands here twice");
    }
    keys
}

/// On one production address a purchase of SaaS and one of an online licence look alike: only the key that signed tells
/// them apart (spec README §6).
fn tell_apart(section: &mut Section<'_, '_>, basic: &[Secret<String>], license: &[Secret<String>]) {
    if !section.has("license") {
        let message =
            "needed beside basic: purchases of kind saas and of kind license-online are told apart by their key";
        section.error("license", Problem::Contradiction(message.to_owned()));
    } else if license.iter().any(|key| basic.contains(key)) {
        let message = "the same key stands in basic: purchases of kind license-online cannot be told from those of kind \
                       saas, and are taken for saas";
        section.warn("license", message);
    }
}
