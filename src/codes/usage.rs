//! Software usage: who uses the licensed software, held to KooGallery's limits before it is sent (spec 5-open-api §5.3).

use jiff::Timestamp;

use super::{CodeDesk, CodeFault, check, crowded, deadline, open_api, patience};
use crate::protocol::open_api::license::{LONGEST_CLIENT_ID, MOST, SoftwareUsage};
use crate::settings::Settings;
use crate::store::Store;

/// The largest number of 9 digits.
const LARGEST_NUMBER: u32 = 999_999_999;

impl CodeDesk {
    /// Hands on who uses the software, by code.
    ///
    /// # Errors
    /// See [`CodeFault`].
    pub fn software_usage(
        &self,
        store: &Store,
        settings: &Settings,
        usage: &[(String, Vec<SoftwareUsage>)],
    ) -> Result<(), CodeFault> {
        check_usage(usage)?;
        let open_api = open_api(settings)?;
        let _seat = self.heartbeats.seat().ok_or_else(crowded)?;
        let sent = open_api.software_usage(store, usage, patience(deadline()));
        let codes = || usage.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>().join(", ");
        sent.map_err(|error| CodeFault::of(&codes(), &error, Timestamp::now()))
    }
}

fn check_usage(usage: &[(String, Vec<SoftwareUsage>)]) -> Result<(), CodeFault> {
    let invalid = |problem: String| Err(CodeFault::Invalid(problem));
    if usage.is_empty() || usage.len() > MOST {
        return invalid(format!("\"usage\" must be of 1 to {MOST} codes; these are {}", usage.len()));
    }
    for (code, entries) in usage {
        check(code)?;
        if entries.is_empty() || entries.len() > MOST {
            return invalid(format!("{code:?}: 1 to {MOST} clients go into one call; these are {}", entries.len()));
        }
        for entry in entries {
            match entry {
                SoftwareUsage::Id(id) if id.is_empty() || id.chars().count() > LONGEST_CLIENT_ID => {
                    return invalid(format!("{code:?}: a client's id must be 1 to {LONGEST_CLIENT_ID} characters"));
                }
                SoftwareUsage::ActiveNum(number) if *number > LARGEST_NUMBER => {
                    return invalid(format!("{code:?}: \"activeNum\" must be at most {LARGEST_NUMBER}"));
                }
                SoftwareUsage::Id(_) | SoftwareUsage::ActiveNum(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize, length: usize) -> Vec<SoftwareUsage> {
        vec![SoftwareUsage::Id("云".repeat(length)); count]
    }

    #[test]
    fn what_koogallery_would_refuse_is_not_sent() {
        let of = |entries: Vec<SoftwareUsage>| vec![("PL1".to_owned(), entries)];
        for good in
            [of(ids(100, 256)), of(vec![SoftwareUsage::ActiveNum(999_999_999)]), vec![("P".repeat(64), ids(1, 1)); 100]]
        {
            assert_eq!(check_usage(&good), Ok(()));
        }
        for (bad, expected) in [
            (vec![], "1 to 100 codes; these are 0"),
            (vec![("PL1".to_owned(), ids(1, 1)); 101], "these are 101"),
            (vec![("P".repeat(65), ids(1, 1))], "one has 65"),
            (vec![(String::new(), ids(1, 1))], "one has 0"),
            (of(vec![]), "1 to 100 clients"),
            (of(ids(101, 1)), "these are 101"),
            (of(ids(1, 0)), "1 to 256"),
            (of(ids(1, 257)), "1 to 256"),
            (of(vec![SoftwareUsage::ActiveNum(1_000_000_000)]), "at most 999999999"),
        ] {
            let fault = check_usage(&bad).unwrap_err();
            assert!(fault.to_string().contains(expected) && fault.status() == 400, "{fault}");
        }
    }
}
