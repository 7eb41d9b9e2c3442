//! This machine's clock: against the calls on record, against KooGallery's `Date`, and whether somebody keeps it right.

use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Sink, Subject, clock_doubt};
use crate::config::{Config, Endpoint, Site};
use crate::simulate::client::Client;
use crate::store::Store;

const SUBJECT: Subject = "clock";
const NTP: Subject = "ntp";

/// A call is fresh for 60 s, and takes some of them on its way.
const TOO_FAR: SignedDuration = SignedDuration::from_secs(30);
/// `Date` has whole seconds, and its way takes one.
const NOTABLE: SignedDuration = SignedDuration::from_secs(3);

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const MEND: &str = "run an NTP client (chrony, systemd-timesyncd); calls are fresh for a minute only";

/// What needs nobody outside.
pub(super) fn look(store: Option<&Store>, to: &mut Sink<'_>) -> anyhow::Result<()> {
    if let Some(doubt) = store.and_then(|store| clock_doubt(store, Timestamp::now())) {
        to.error(SUBJECT, doubt, MEND)?;
    }
    match is_synchronised() {
        Some(true) => to.ok(NTP, "this machine's clock is kept by NTP".to_owned()),
        Some(false) => to.warning(NTP, "this machine's clock is kept by nobody that systemd knows of", MEND),
        None => Ok(()),
    }
}

/// Asks KooGallery what time it is, without a key and without asking for anything.
pub(super) fn compare(config: &Config, roots: &[u8], to: &mut Sink<'_>) -> anyhow::Result<()> {
    let origin = match config.open_api.as_ref().map(|open_api| &open_api.endpoint) {
        Some(Endpoint::Other(origin)) => origin.clone(),
        Some(Endpoint::Site(site)) => origin_of(*site),
        None => origin_of(Site::China),
    };
    let asked = Client::new(&origin, roots).map(|client| client.with_deadline(ANSWER_WITHIN));
    let answer = match asked.map_err(|error| error.to_string()).and_then(|client| {
        let before = Timestamp::now();
        client.ask("GET", Some("/")).map(|answer| (answer, before)).map_err(|error| error.to_string())
    }) {
        Ok(answer) => answer,
        Err(why) => {
            let text = format!("it could not be compared with KooGallery's: {why}");
            return to.warning(SUBJECT, text, "let this machine reach it by HTTPS, or check with --offline");
        }
    };
    let (answer, before) = answer;
    let date = answer.header("Date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let Some(date) = date else {
        return to.warning(SUBJECT, format!("{origin} tells no time"), "is a proxy in between?");
    };
    // Somewhere on the way the time was taken.
    let halfway = before + (Timestamp::now().duration_since(before) / 2);
    tell(halfway.duration_since(date.timestamp()), to)
}

fn tell(ahead: SignedDuration, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let direction = if ahead.is_negative() { "behind" } else { "ahead of" };
    let text = format!("this machine's clock is {} s {direction} KooGallery's", ahead.abs().as_secs());
    if ahead.abs() >= TOO_FAR {
        return to.error(SUBJECT, text, MEND);
    }
    if ahead.abs() > NOTABLE {
        return to.warning(SUBJECT, text, MEND);
    }
    to.ok(SUBJECT, format!("{:.0}, as KooGallery's", Timestamp::now()))
}

fn origin_of(site: Site) -> String {
    format!("https://{}", site.hosts().first().copied().unwrap_or_default())
}

/// Whether the system's clock is kept; `None` where nobody can be asked.
fn is_synchronised() -> Option<bool> {
    let output = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Finding, Level};

    #[test]
    fn a_difference_is_judged_by_what_calls_bear() {
        for (seconds, level, words) in [
            (0, Level::Ok, "as KooGallery's"),
            (-2, Level::Ok, "as KooGallery's"),
            (10, Level::Warning, "10 s ahead of"),
            (-10, Level::Warning, "10 s behind"),
            (30, Level::Error, "30 s ahead of"),
            (-3600, Level::Error, "3600 s behind"),
        ] {
            let mut found: Vec<Finding> = Vec::new();
            let mut note = |finding: &Finding| {
                found.push(finding.clone());
                Ok(())
            };
            tell(SignedDuration::from_secs(seconds), &mut Sink::new(&mut note)).unwrap();
            assert!(found[0].level == level && found[0].text.contains(words), "{found:?}");
        }
    }
}
