//! The heartbeat: how a code stands, from KooGallery or from the record of what it said last.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{CodeDesk, CodeFault, check, crowded, deadline, open_api, patience};
use crate::instance::Status;
use crate::kind::Kind;
use crate::open_api::OpenApi;
use crate::operation::Environment;
use crate::protocol::open_api::license::CodeInfo;
use crate::settings::Settings;
use crate::store::{HeartbeatRow, InstanceRow, Said, Store};

/// After KooGallery could not be asked, codes that are on record are answered from it for so long without trying.
const AWAY_FOR: Duration = Duration::from_secs(5);

/// How a code stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The code.
    pub license: String,
    /// What KooGallery says of it.
    pub info: CodeInfo,
    /// When it said so.
    pub checked_at: Timestamp,
    /// It cannot be asked now; this is what it said last.
    pub stale: bool,
}

/// Since when KooGallery has not been within reach.
#[derive(Debug, Default)]
pub(super) struct KooGalleryAway(Mutex<Option<Instant>>);

impl KooGalleryAway {
    fn is_away(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < AWAY_FOR)
    }

    fn note(&self, is_away: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = is_away.then(Instant::now);
    }
}

impl CodeDesk {
    /// How a code stands.
    ///
    /// # Errors
    /// See [`CodeFault`].
    pub fn heartbeat(&self, store: &Store, settings: &Settings, code: &str) -> Result<Heartbeat, CodeFault> {
        check(code)?;
        let open_api = open_api(settings)?;
        let recorded = store.read(|tx| tx.heartbeat(code))?;
        let (fresh, stale) = (open_api.settings().heartbeat_fresh, open_api.settings().heartbeat_stale);
        let within = |age: Duration| recorded.clone().filter(|row| is_younger(row, age, Timestamp::now()));
        if let Some(row) = within(fresh) {
            return answer(row, false);
        }
        let asked = match within(stale) {
            Some(row) if self.away.is_away() => return outdated(store, row),
            _ => self.ask(store, open_api, code, deadline()),
        };
        match (asked, within(stale)) {
            (Ok(row), _) => answer(row, false),
            (Err(fault), Some(row)) if fault.leaves_open() => {
                log::warn!("the heartbeat of {code:?} is answered from the record of {:.0}: {fault}", row.checked_at);
                outdated(store, row)
            }
            (Err(fault), _) => Err(fault),
        }
    }

    /// Asks KooGallery, or waits for somebody who asks it the same; what it says of the code is recorded.
    pub(super) fn ask(
        &self,
        store: &Store,
        open_api: &OpenApi,
        code: &str,
        deadline: Instant,
    ) -> Result<HeartbeatRow, CodeFault> {
        let lost = Err(CodeFault::Store("internal error (a panic; see the log)".to_owned()));
        let asked = self.heartbeats.join(code, lost, || self.call(store, open_api, code, deadline));
        asked.unwrap_or_else(|| Err(crowded()))
    }

    fn call(
        &self,
        store: &Store,
        open_api: &OpenApi,
        code: &str,
        deadline: Instant,
    ) -> Result<HeartbeatRow, CodeFault> {
        let info = open_api.heartbeat(store, code, patience(deadline));
        let now = Timestamp::now();
        let told = info.map_err(|error| CodeFault::of(code, &error, now));
        self.away.note(matches!(told, Err(CodeFault::Away { .. })));
        let said = match told {
            Ok(info) => Said::Info(CodeInfo { order_id: None, amount: None, ..info }),
            // Whatever was recorded before, it is no longer so.
            Err(CodeFault::Refused { code, message, .. }) if is_kept(&code) => Said::Refused { code, message },
            Err(fault) => return Err(fault),
        };
        let row = HeartbeatRow { code: code.to_owned(), said, checked_at: now };
        let kept = row.clone();
        store.write(None, move |tx| tx.put_heartbeat(&kept))?;
        Ok(row)
    }
}

/// What is on record, and what KooGallery's calls have told of the code since.
fn outdated(store: &Store, row: HeartbeatRow) -> Result<Heartbeat, CodeFault> {
    let instance = store.read(|tx| tx.instance(Environment::Real, Kind::LicenseCode, &row.code))?;
    let mut heartbeat = answer(row, true)?;
    as_things_stand(&mut heartbeat.info, instance.as_ref(), Timestamp::now());
    Ok(heartbeat)
}

/// Whether a refusal says how the code stands.
fn is_kept(code: &str) -> bool {
    let (license, code, message) = (String::new(), code.to_owned(), String::new());
    CodeFault::Refused { license, code, message }.is_of_the_code()
}

fn answer(row: HeartbeatRow, stale: bool) -> Result<Heartbeat, CodeFault> {
    match row.said {
        Said::Info(info) => Ok(Heartbeat { license: row.code, info, checked_at: row.checked_at, stale }),
        Said::Refused { code, message } => Err(CodeFault::Refused { license: row.code, code, message }),
    }
}

/// A record from the future was made by a clock that was wrong: it is asked again.
fn is_younger(row: &HeartbeatRow, age: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(row.checked_at)).is_ok_and(|old| old < age)
}

/// Brings what KooGallery said a while ago up to date with what its calls about the code have said since: that it was
/// released, or renewed; and with the time that has passed.
fn as_things_stand(info: &mut CodeInfo, instance: Option<&InstanceRow>, now: Timestamp) {
    let life = instance.map(|instance| &instance.life);
    if life.is_some_and(|life| life.status == Status::Released) {
        info.status = Some("RELEASED".to_owned());
    }
    let renewed = life.and_then(|life| life.expire_time);
    if info.expire_time.is_some() && renewed > info.expire_time {
        info.expire_time = renewed;
    }
    if info.status.as_deref() == Some("ALIVE") && info.expire_time.is_some_and(|end| end <= now) {
        info.status = Some("EXPIRED".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn instance(status: Status, expire: Option<i64>) -> InstanceRow {
        InstanceRow {
            row: 1,
            environment: Environment::Real,
            kind: Kind::LicenseCode,
            instance_id: "PL1".to_owned(),
            life: Instance { status, status_serial: 0, expire_time: expire.map(at), product_id: None, sku_code: None },
            order_id: None,
            order_line_id: None,
            front_end_url: None,
            charging_mode: None,
            encrypts_credentials: false,
            terms: None,
            terms_serial: 0,
            created_at: at(0),
            ready_at: None,
            released_at: None,
        }
    }

    #[test]
    fn an_old_answer_is_brought_up_to_date_and_never_made_better_than_what_was_paid() {
        for (status, expire, row, expected) in [
            ("ALIVE", Some(10), None, ("ALIVE", Some(10))),
            ("ALIVE", Some(0), None, ("EXPIRED", Some(0))),
            ("ALIVE", Some(-5), Some(instance(Status::Active, Some(-9))), ("EXPIRED", Some(-5))),
            ("ALIVE", Some(-5), Some(instance(Status::Active, Some(9))), ("ALIVE", Some(9))),
            ("ALIVE", Some(10), Some(instance(Status::Released, Some(10))), ("RELEASED", Some(10))),
            ("ALIVE", None, Some(instance(Status::Active, Some(-9))), ("ALIVE", None)),
            ("EXPIRED", Some(-5), Some(instance(Status::Active, Some(9))), ("EXPIRED", Some(9))),
            ("RELEASED", Some(10), None, ("RELEASED", Some(10))),
        ] {
            let mut info =
                CodeInfo { status: Some(status.to_owned()), expire_time: expire.map(at), ..CodeInfo::default() };
            as_things_stand(&mut info, row.as_ref(), at(0));
            assert_eq!((info.status.as_deref().unwrap(), info.expire_time), (expected.0, expected.1.map(at)));
        }
    }

    #[test]
    fn a_record_is_young_for_its_time_and_never_when_it_is_of_the_future() {
        let row = HeartbeatRow { code: "PL1".to_owned(), said: Said::Info(CodeInfo::default()), checked_at: at(0) };
        let young = |now, age| is_younger(&row, Duration::from_secs(age), at(now));
        assert_eq!(
            [young(0, 60), young(59, 60), young(60, 60), young(0, 0), young(-1, 60)],
            [true, true, false, false, false]
        );
    }
}
