//! What KooGallery's answer to a push means for each record in it (spec 5-open-api §6.3, README U33).
//!
//! Two rules decide everything: no record is given up for what may not be its own fault, and a record that may have
//! arrived is only ever sent again under its own `metering_sn`, by which KooGallery knows it.

mod codes;

use super::batch::Record;

/// Reply data kept with a rejected record, in characters.
const KEPT_DATA: usize = 2000;

/// How a push ended, as whoever made the call saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed<'a> {
    /// `MKT.0000`.
    Accepted,
    /// An answer with another code; `data` is the raw JSON of that member, where there is one.
    Refused {
        /// `error_code` as received.
        code: &'a str,
        /// `error_msg`.
        message: &'a str,
        /// `data`, raw.
        data: Option<&'a str>,
    },
    /// No answer that says anything: a connection that failed, a timeout, HTTP 5xx without a code, throttling.
    Unknown {
        /// What was seen, for the log.
        why: &'a str,
    },
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdicts {
    /// One for each record, in the order of the batch.
    Each(Vec<Verdict>),
    /// Something in the batch is at fault and nobody says what: send its halves ([`super::batch::halves`]).
    Halve,
    /// The batch has too many records for KooGallery: send its halves, and take fewer from now on.
    Fewer,
    /// Everything waits; try again later.
    Later {
        /// Why, for the log.
        why: String,
    },
    /// Everything waits until somebody mends the configuration or the contract.
    Trouble {
        /// What to tell the operator.
        alert: String,
    },
}

/// What an answer means for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Accepted,
    /// It is not wanted.
    Rejected(Rejection),
    /// Nothing was said about it: send it again under the same `metering_sn`.
    Again,
}

/// Why a record is not wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The code, without blanks and prefix; [`super::advice::what_to_do`] explains it.
    pub code: String,
    /// KooGallery's words.
    pub message: String,
    /// The raw data of the answer, cut to 2,000 characters.
    pub data: Option<String>,
}

/// Reads what the end of a push means. `batch` is what was sent, in this order.
pub fn judge(batch: &[Record], pushed: Pushed<'_>) -> Verdicts {
    let (code, message, data) = match pushed {
        Pushed::Accepted => return Verdicts::Each(vec![Verdict::Accepted; batch.len()]),
        Pushed::Unknown { why } => return Verdicts::Later { why: why.to_owned() },
        Pushed::Refused { code, message, data } => (bare(code), message, data),
    };
    let rejection = |code: &str| {
        let data = data.map(|data| data.chars().take(KEPT_DATA).collect());
        Verdict::Rejected(Rejection { code: code.to_owned(), message: message.to_owned(), data })
    };
    if code == PARTLY {
        let found = data.map(|data| codes::find(batch, data)).unwrap_or_default();
        if found.iter().any(Option::is_some) {
            let verdict = |(record, code): (&Record, &Option<String>)| match code.as_deref() {
                None => Verdict::Again,
                // Its metering_sn is known there: an earlier attempt had arrived, whatever was answered.
                Some("005") => Verdict::Accepted,
                // The record itself is known there, and nobody else can have sent it.
                Some("010") if record.sent > 1 => Verdict::Accepted,
                Some(code) => rejection(code),
            };
            return Verdicts::Each(batch.iter().zip(&found).map(verdict).collect());
        }
    }
    match code.as_str() {
        PARTLY | "9001" | "9002" | "9004" | "0100" | "0101" | "0199" if batch.len() > 1 => Verdicts::Halve,
        PARTLY | "9001" | "9002" | "9004" | "0100" | "0101" | "0199" => {
            Verdicts::Each(batch.iter().map(|_| rejection(&code)).collect())
        }
        "9003" if batch.len() > 1 => Verdicts::Fewer,
        _ => match trouble(&code) {
            Some(mend) => Verdicts::Trouble { alert: format!("{} ({message}): {mend}", shown(&code)) },
            None => Verdicts::Later { why: format!("{}: {message}", shown(&code)) },
        },
    }
}

/// Some records were refused, some perhaps not; `data` says which, in a way that is not documented.
const PARTLY: &str = "94060999";

/// What to mend where a code is about the seller and not about any record.
fn trouble(code: &str) -> Option<&'static str> {
    Some(match code {
        "0102" => {
            "the body signature is wrong: [keys] basic must begin with the access key that the seller console shows for \
             the basic interface"
        }
        "0150" | "0151" | "0154" => {
            "the account may not push usage: check in the seller console that the AK/SK belongs to the seller's own \
             account and that the product is charged by usage"
        }
        // Throttled, which time mends.
        "APIGW.0308" | "APIG.0308" => return None,
        code if code.starts_with("APIGW.") || code.starts_with("APIG.") => {
            "the gateway refused the call: check [open_api] access_key_id, secret_access_key and site, and the clock"
        }
        _ => return None,
    })
}

/// A code without the blanks that some pages print in it and the prefix that means nothing (spec 5-open-api §1).
pub fn bare(code: &str) -> String {
    let code: String =
        code.chars().filter(|char| !char.is_whitespace()).map(|char| char.to_ascii_uppercase()).collect();
    code.strip_prefix("MKT.").or_else(|| code.strip_prefix("CBC.")).map(str::to_owned).unwrap_or(code)
}

/// A code as the seller console prints it.
fn shown(code: &str) -> String {
    if code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("MKT.{code}")
    } else {
        code.to_owned()
    }
}

#[cfg(test)]
mod tests;
