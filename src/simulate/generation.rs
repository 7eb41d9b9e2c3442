//! The generations of the interfaces, and in what they differ before any call is made.

use crate::kind::Kind;

/// Which calls are played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Generation {
    /// The basic interfaces that were withdrawn for new products: GET with authToken 基础接口 V1
    V1,
    /// The basic interfaces: POST with a signature 基础接口 V2
    #[default]
    V2,
    /// L1, licences handed out in the reply, withdrawn: GET with authToken
    License,
    /// L2, licence codes that KooGallery makes: POST with a signature
    LicenseCode,
    /// LO, licences made online: POST with a signature
    LicenseOnline,
}

impl Generation {
    /// Every generation, today's first.
    pub const ALL: [Self; 5] = [Self::V2, Self::V1, Self::License, Self::LicenseCode, Self::LicenseOnline];

    /// A heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::V1 => "V1, basic interfaces with authToken 基础接口（旧版）",
            Self::V2 => "V2, basic interfaces 基础接口",
            Self::License => "L1, licences handed out in the reply License授权码（旧版）",
            Self::LicenseCode => "L2, licence codes made by KooGallery License授权码2.0",
            Self::LicenseOnline => "LO, licences made online 在线开通License",
        }
    }

    /// What is sold by these calls.
    pub fn kind(self) -> Kind {
        match self {
            Self::V1 | Self::V2 => Kind::Saas,
            Self::License => Kind::License,
            Self::LicenseCode => Kind::LicenseCode,
            Self::LicenseOnline => Kind::LicenseOnline,
        }
    }

    /// Whether calls are GETs with an `authToken`; otherwise POSTs with a signature.
    pub(super) fn has_token(self) -> bool {
        matches!(self, Self::V1 | Self::License)
    }

    /// Whether user name and password are encrypted in replies.
    pub(super) fn encrypts_credentials(self) -> bool {
        self == Self::V1
    }

    /// The answer to a purchase that is not finished yet (spec 2-basic-v1 §6.1: there is no "processing").
    pub(super) fn unfinished(self) -> &'static str {
        if self.has_token() { "000005" } else { "000004" }
    }
}
