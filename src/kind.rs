//! What is sold: the kinds of product, which differ in the calls KooGallery makes for them.
//!
//! Instances of one kind share their ids, whatever generation of the interface names them; ids of different kinds have
//! nothing to do with each other (spec README §8, R1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Software as a service, called through the basic interfaces of either generation.
    Saas,
    /// L1: the seller makes a licence code and hands it out in the reply.
    License,
    /// L2: KooGallery makes the code; the seller is told what becomes of it.
    LicenseCode,
    /// LO: the seller makes licences for devices and uploads them.
    LicenseOnline,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Saas, Self::License, Self::LicenseCode, Self::LicenseOnline];

    /// The word in configuration, database, events and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Saas => "saas",
            Self::License => "license",
            Self::LicenseCode => "license-code",
            Self::LicenseOnline => "license-online",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no kind of product; expected saas, license, license-code or license-online")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_word_everywhere() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("SaaS".parse::<Kind>().is_err());
    }
}
