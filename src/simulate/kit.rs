//! The joint-operation kit of a seller's server under test: which generations of its calls are played, and the public key
//! that client secrets are encrypted under, as in the console's debugging (spec 3-kit §7, §9).
//!
//! The kit sells nothing and has no instances, so it is no generation of the interfaces that do; what its calls say is in
//! `wording`.

pub(super) mod wording;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::protocol::kit::client_secret::{self, EncryptFault, Oaep};
use crate::protocol::reply_checks::BodySign;
use crate::random;

/// Which generations of the kit are played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KitGenerations {
    /// All ten calls
    #[default]
    Both,
    /// The five calls with authToken, withdrawn for new products
    V1,
    /// The five calls with x-sign
    V2,
}

/// The seller's kit.
#[derive(Clone, Debug)]
pub struct Kit {
    generations: KitGenerations,
    public_key: String,
}

impl Kit {
    /// `public_key` is what was typed in the seller console, one line of base64; PEM is taken as well.
    ///
    /// # Errors
    /// When it is no public key.
    pub fn new(public_key: &str, generations: KitGenerations) -> Result<Self, EncryptFault> {
        let public_key = public_key.lines().filter(|line| !line.starts_with("-----")).collect();
        let kit = Self { generations, public_key };
        kit.encrypted(Oaep::Sha256, "a trial")?;
        Ok(kit)
    }

    /// The generations, today's first.
    pub(super) fn generations(&self) -> &'static [KitGeneration] {
        match self.generations {
            KitGenerations::Both => &[KitGeneration::V2, KitGeneration::V1],
            KitGenerations::V1 => &[KitGeneration::V1],
            KitGenerations::V2 => &[KitGeneration::V2],
        }
    }

    /// A client secret as KooGallery sends it.
    pub(super) fn encrypted(&self, oaep: Oaep, secret: &str) -> Result<String, EncryptFault> {
        client_secret::encrypt(&self.public_key, oaep, secret, &mut random::fill)
    }
}

/// A generation of the kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KitGeneration {
    V1,
    V2,
}

impl KitGeneration {
    /// What follows the production address in the path of a call.
    pub(super) fn sub_path(self, call: &str) -> String {
        let generation = if self == Self::V2 { "v2/" } else { "" };
        format!("/produceAPI/{generation}{call}")
    }

    pub(super) fn body_sign(self) -> BodySign {
        if self == Self::V1 { BodySign::Mandatory } else { BodySign::Advised }
    }
}

/// A time as the kit writes it: UTC+8, where the basic interfaces have UTC (spec 3-kit §4).
pub(super) fn print_time(at: Timestamp) -> String {
    Offset::constant(8).to_datetime(at).strftime("%Y%m%d%H%M%S%3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::KeyPair;

    #[test]
    fn a_public_key_may_be_the_consoles_line_or_pem() {
        let key = KeyPair::generate().unwrap().public_key;
        let pem = format!("-----BEGIN PUBLIC KEY-----\r\n{}\r\n{}\n-----END PUBLIC KEY-----\n", &key[..64], &key[64..]);
        for text in [&key, &format!("{key}\n"), &pem] {
            assert_eq!(Kit::new(text, KitGenerations::Both).unwrap().public_key, key);
        }
        for text in ["", "none", &key[..100]] {
            assert_eq!(Kit::new(text, KitGenerations::Both).unwrap_err(), EncryptFault::NoPublicKey);
        }
    }

    #[test]
    fn times_are_those_of_china() {
        assert_eq!(print_time("2022-04-13T01:35:39.534Z".parse().unwrap()), "20220413093539534");
    }
}
