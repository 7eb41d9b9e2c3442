//! Activation of codes. One that is active already is no failure: a heartbeat confirms it (spec 5-open-api §5.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{CodeDesk, CodeFault, check, crowded, deadline, open_api, patience};
use crate::instance::Change;
use crate::kind::Kind;
use crate::open_api::OpenApi;
use crate::operation::Environment;
use crate::protocol::open_api::license::{CodeInfo, MOST};
use crate::settings::Settings;
use crate::store::{Cause, HeartbeatRow, NewInstance, Said, Store, StoreError, Tx};

/// A code that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activated {
    /// The code.
    pub license: String,
    /// It was active before.
    pub already_active: bool,
    /// What KooGallery said of it; of several codes that were activated in one call it says nothing.
    pub info: CodeInfo,
}

/// What all codes of one activation have in common.
struct Activation<'a> {
    store: &'a Store,
    open_api: &'a OpenApi,
    real_effect_time: Option<Timestamp>,
    deadline: Instant,
}

impl CodeDesk {
    /// Activates codes; those that koogate had not heard of begin their record. All are active then, or none is known to
    /// be: the same call may be made again.
    ///
    /// # Errors
    /// See [`CodeFault`]; of several codes, of the first that is refused.
    pub fn activate(
        &self,
        store: &Store,
        settings: &Settings,
        codes: &[String],
        real_effect_time: Option<Timestamp>,
    ) -> Result<Vec<Activated>, CodeFault> {
        if codes.is_empty() || codes.len() > MOST {
            return Err(CodeFault::Invalid(format!(
                "\"licenses\" must be 1 to {MOST} codes; these are {}",
                codes.len()
            )));
        }
        codes.iter().try_for_each(|code| check(code))?;
        let call = Activation { store, open_api: open_api(settings)?, real_effect_time, deadline: deadline() };
        let _seat = self.heartbeats.seat().ok_or_else(crowded)?;
        let activated = match codes {
            [code] => vec![self.activate_one(&call, code)?],
            codes => self.activate_list(&call, codes)?,
        };
        let recorded = Arc::new(activated);
        let told = Arc::clone(&recorded);
        store.write(None, move |tx| told.iter().try_for_each(|one| record(tx, one, Timestamp::now())))?;
        Ok(Arc::unwrap_or_clone(recorded))
    }

    fn activate_one(&self, call: &Activation<'_>, code: &str) -> Result<Activated, CodeFault> {
        let &Activation { store, open_api, real_effect_time, deadline } = call;
        let license = code.to_owned();
        match open_api.activate(store, code, real_effect_time, patience(deadline)) {
            Ok(info) => Ok(Activated { license, already_active: false, info }),
            Err(error) => {
                let fault = CodeFault::of(code, &error, Timestamp::now());
                if !fault.is_illegal_state() {
                    return Err(fault);
                }
                let confirmed = self.ask(store, open_api, code, deadline)?;
                active(&confirmed).map_or(Err(fault), |info| Ok(Activated { license, already_active: true, info }))
            }
        }
    }

    fn activate_list(&self, call: &Activation<'_>, codes: &[String]) -> Result<Vec<Activated>, CodeFault> {
        let &Activation { store, open_api, real_effect_time, deadline } = call;
        let Err(error) = open_api.activate_list(store, codes, real_effect_time, patience(deadline)) else {
            let activated = |code: &String| {
                let (license, info) = (code.clone(), CodeInfo::default());
                Activated { license, already_active: false, info }
            };
            return Ok(codes.iter().map(activated).collect());
        };
        let fault = CodeFault::of(&codes.join(", "), &error, Timestamp::now());
        if !fault.is_of_the_code() {
            return Err(fault);
        }
        // KooGallery does not say which code it means: one by one. What is active is known from its heartbeat, so that a
        // call that is made again goes on where the one before it ended.
        let mut activated = Vec::with_capacity(codes.len());
        for code in codes {
            if Instant::now() >= deadline {
                let error = format!("{} of {} codes are active so far; call again", activated.len(), codes.len());
                return Err(CodeFault::Away { after: Duration::from_secs(1), error });
            }
            let recorded = store.read(|tx| tx.heartbeat(code))?;
            let known = recorded.as_ref().filter(|row| is_recent(row)).and_then(active);
            activated.push(match known {
                Some(info) => Activated { license: code.clone(), already_active: true, info },
                None => {
                    let one = self.activate_one(call, code)?;
                    // Whatever becomes of the others: KooGallery's calls about this one will come.
                    let active = one.clone();
                    store.write(None, move |tx| record(tx, &active, Timestamp::now()))?;
                    // For the next call.
                    self.ask(store, open_api, code, deadline)?;
                    one
                }
            });
        }
        Ok(activated)
    }
}

/// Heard within the last ten minutes.
fn is_recent(row: &HeartbeatRow) -> bool {
    let age = Timestamp::now().duration_since(row.checked_at);
    !age.is_negative() && age.as_secs() < 600
}

/// What KooGallery says of a code that is active.
fn active(row: &HeartbeatRow) -> Option<CodeInfo> {
    match &row.said {
        Said::Info(info) if info.status.as_deref() == Some("ALIVE") => Some(info.clone()),
        Said::Info(_) | Said::Refused { .. } => None,
    }
}

/// Begins the record of a code that koogate has not heard of. That it was refused before it was active is no answer to
/// a heartbeat any more.
fn record(tx: &Tx<'_>, activated: &Activated, now: Timestamp) -> Result<(), StoreError> {
    let Activated { license, info, .. } = activated;
    tx.forget_refused_heartbeat(license)?;
    if tx.instance(Environment::Real, Kind::LicenseCode, license)?.is_some() {
        return Ok(());
    }
    let new = NewInstance {
        environment: Environment::Real,
        kind: Kind::LicenseCode,
        instance_id: license,
        order_id: info.order_id.as_deref(),
        order_line_id: None,
        product_id: info.product_id.as_deref(),
        sku_code: None,
        expire_time: info.expire_time,
        charging_mode: None,
        encrypts_credentials: false,
        terms: None,
        is_ready: false,
    };
    let cause = Cause { exchange: None, job: None, note: Some("activated by the software") };
    let instance = tx.insert_instance(&new, cause, now)?;
    tx.apply(&instance, &Change::Ready, cause, now).map(drop)
}
