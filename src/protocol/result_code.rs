//! Result codes of the wire: six digits each. Which call may answer which code is said where the call is handled.

use std::fmt;

/// A six-digit `resultCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResultCode([u8; 6]);

impl ResultCode {
    /// Success.
    pub const SUCCESS: Self = Self(*b"000000");
    /// Authentication failed.
    pub const AUTHENTICATION: Self = Self(*b"000001");
    /// Illegal request parameter.
    pub const PARAMETER: Self = Self(*b"000002");
    /// The instance id does not exist.
    pub const UNKNOWN_INSTANCE: Self = Self(*b"000003");
    /// Processing; a failure everywhere but in the asynchronous creations and the query of what is not ready.
    pub const PROCESSING: Self = Self(*b"000004");
    /// Other internal error; KooGallery calls again.
    pub const INTERNAL: Self = Self(*b"000005");
    /// The kit's client secret cannot be decrypted; elsewhere, something about a mobile number.
    pub const CLIENT_SECRET: Self = Self(*b"000101");
    /// No instance resource available.
    pub const NO_RESOURCE: Self = Self(*b"000100");

    /// The licence quota of the instance is used up.
    pub const LICENSE_QUOTA: Self = Self(*b"000900");
    /// The licence would hold outside the order's validity.
    pub const LICENSE_VALIDITY: Self = Self(*b"000901");
    /// A licence of a period product needs an expiry date.
    pub const LICENSE_EXPIRY: Self = Self(*b"000902");
    /// A licence needs a device fingerprint.
    pub const LICENSE_FINGERPRINT: Self = Self(*b"000903");

    /// Reads six digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 6] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// Whether KooGallery takes the call for done.
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }

    /// The six digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_digits_are_a_result_code() {
        assert_eq!(ResultCode::parse("000107").map(|code| code.to_string()).as_deref(), Some("000107"));
        for text in ["", "00010", "0001077", "00010a", "０００"] {
            assert_eq!(ResultCode::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn six_zeros_alone_are_success() {
        assert!(ResultCode::SUCCESS.is_success());
        for code in [ResultCode::AUTHENTICATION, ResultCode::PROCESSING, ResultCode::INTERNAL] {
            assert!(!code.is_success(), "{code}");
        }
    }
}
