//! The life-cycle of an instance as a pure state machine: what each operation does to each status.
//!
//! Who calls, what is stored and which application is told live elsewhere. The table is that of the protocol (operation
//! records, "status of an instance and what a new real operation does to it").

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::protocol::call::Terms;
use crate::protocol::result_code::ResultCode;

/// Where an instance stands. `Released` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Ordered, not usable yet.
    Creating,
    /// In use.
    Active,
    /// Data kept, use denied.
    Frozen,
    /// Deleted.
    Released,
}

/// What the life-cycle needs to know of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Where it stands.
    pub status: Status,
    /// Counts status changes, so that a second freeze is told from the retry of the first.
    pub status_serial: i64,
    /// When the paid time ends; `None`: unknown or not limited.
    pub expire_time: Option<Timestamp>,
    /// The product it is an instance of.
    pub product_id: Option<String>,
    /// The specification.
    pub sku_code: Option<String>,
}

/// An operation on an existing instance, stripped of the family it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A new expiry date.
    Renew {
        /// Set, never added; `None` clears it.
        expire_time: Option<Timestamp>,
        /// The product from now on, when it changes.
        product_id: Option<String>,
        /// The call takes back an earlier renewal: it never unfreezes.
        cancels_renewal: bool,
    },
    /// Deny use, keep data.
    Freeze,
    /// Allow use again.
    Unfreeze,
    /// New specification or totals.
    Upgrade {
        /// The product from now on, where the call or the order tells it.
        product_id: Option<String>,
        /// The specification from now on, where the call or the order tells it.
        sku_code: Option<String>,
    },
    /// Delete.
    Release,
    /// May this renewal with change be made? Changes nothing.
    CheckChange,
}

/// What happens to an instance. Serialised into jobs that apply it once the application has agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// Creation is finished.
    Ready,
    /// The expiry date is set; a frozen instance may come back.
    Renew {
        /// The new date.
        expire_time: Option<Timestamp>,
        /// The new product, if it changes.
        product_id: Option<String>,
        /// The new specification, if the order tells it.
        #[serde(default)]
        sku_code: Option<String>,
        /// A frozen instance becomes active.
        unfreeze: bool,
    },
    /// Active becomes frozen.
    Freeze,
    /// Frozen becomes active.
    Unfreeze,
    /// Product or specification change.
    Upgrade {
        /// The new product, if told.
        product_id: Option<String>,
        /// The new specification, if told.
        sku_code: Option<String>,
    },
    /// A repeated purchase call carried other dates (service supervision): they are set, the status stays.
    Supervise {
        /// The new date, if told.
        expire_time: Option<Timestamp>,
        /// What the purchase call says of dates and period now.
        terms: Terms,
    },
    /// A licence was made for it; nothing else changes.
    License,
    /// KooGallery has a licence of it; nothing else changes.
    Upload,
    /// Anything becomes released.
    Release,
}

/// What the life-cycle says to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Do this.
    Apply(Change),
    /// Success, and nothing is left to do.
    NoEffect,
    /// Answer this code; nothing changes.
    Refuse(ResultCode, &'static str),
}

/// Settings of the life-cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A renewal into the future unfreezes (setting `refresh_unfreezes`).
    pub refresh_unfreezes: bool,
}

impl Instance {
    /// What `request` does to this instance at `now`.
    pub fn decide(&self, request: &Request, now: Timestamp, rules: Rules) -> Verdict {
        use Status::{Active, Creating, Frozen, Released};
        match (request, self.status) {
            (Request::Release, Released) => Verdict::NoEffect,
            (Request::Release, _) => Verdict::Apply(Change::Release),
            (_, Released) => Verdict::Refuse(ResultCode::UNKNOWN_INSTANCE, "instance is released"),
            (_, Creating) => Verdict::Refuse(ResultCode::INTERNAL, "instance is still being created"),
            (Request::Renew { expire_time, product_id, cancels_renewal }, status) => {
                let into_future = expire_time.is_none_or(|end| end > now);
                let unfreeze = status == Frozen && rules.refresh_unfreezes && !cancels_renewal && into_future;
                let (expire_time, product_id) = (*expire_time, product_id.clone());
                Verdict::Apply(Change::Renew { expire_time, product_id, sku_code: None, unfreeze })
            }
            (Request::Freeze, Active) => Verdict::Apply(Change::Freeze),
            (Request::Unfreeze, Frozen) => Verdict::Apply(Change::Unfreeze),
            (Request::Freeze, Frozen) | (Request::Unfreeze, Active) => Verdict::NoEffect,
            (Request::Upgrade { product_id, sku_code }, _) => {
                Verdict::Apply(Change::Upgrade { product_id: product_id.clone(), sku_code: sku_code.clone() })
            }
            (Request::CheckChange, _) => Verdict::NoEffect,
        }
    }

    /// The instance after `change`. A change that no longer fits the status (the job of a freeze that ends after the
    /// release, say) leaves it as it is: `Released` is final, and only `Creating` becomes ready.
    pub fn after(&self, change: &Change) -> Self {
        let mut next = self.clone();
        if self.status == Status::Released {
            return next;
        }
        match change {
            Change::Ready if self.status == Status::Creating => next.status = Status::Active,
            Change::Freeze if self.status == Status::Active => next.status = Status::Frozen,
            Change::Unfreeze if self.status == Status::Frozen => next.status = Status::Active,
            Change::Ready | Change::Freeze | Change::Unfreeze | Change::License | Change::Upload => {}
            Change::Supervise { expire_time, .. } => next.expire_time = expire_time.or(next.expire_time),
            Change::Release => next.status = Status::Released,
            Change::Renew { expire_time, product_id, sku_code, unfreeze } => {
                next.expire_time = *expire_time;
                next.product_id = product_id.clone().or(next.product_id);
                next.sku_code = sku_code.clone().or(next.sku_code);
                if *unfreeze && self.status == Status::Frozen {
                    next.status = Status::Active;
                }
            }
            Change::Upgrade { product_id, sku_code } => {
                next.product_id = product_id.clone().or(next.product_id);
                next.sku_code = sku_code.clone().or(next.sku_code);
            }
        }
        if next.status != self.status {
            next.status_serial += 1;
        }
        next
    }

    /// Whether paid time is left: freezing such an instance is obeyed, but a person should look.
    pub fn is_paid_beyond(&self, now: Timestamp) -> bool {
        self.expire_time.is_some_and(|end| end > now)
    }
}

impl Change {
    /// The word for it in an instance's history.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Renew { .. } => "renewed",
            Self::Freeze => "frozen",
            Self::Unfreeze => "unfrozen",
            Self::Upgrade { .. } => "upgraded",
            Self::Supervise { .. } => "supervised",
            Self::License => "licensed",
            Self::Upload => "uploaded",
            Self::Release => "released",
        }
    }
}

impl Status {
    /// The word in the database, in listings and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Released => "released",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Creating, Self::Active, Self::Frozen, Self::Released]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no status; expected creating, active, frozen or released"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { refresh_unfreezes: true };
    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    fn instance(status: Status) -> Instance {
        Instance { status, status_serial: 4, expire_time: Some(at(100)), product_id: Some("P1".into()), sku_code: None }
    }

    fn renew(seconds: i64, cancels_renewal: bool) -> Request {
        Request::Renew { expire_time: Some(at(seconds)), product_id: None, cancels_renewal }
    }

    /// The protocol's table, row by row: request, then the verdict in words for creating, active, frozen, released.
    #[test]
    fn every_operation_does_to_every_status_what_the_table_says() {
        let upgrade = Request::Upgrade { product_id: Some("P2".into()), sku_code: None };
        let table = [
            (renew(50, false), ["000005", "renewed", "renewed+unfreeze", "000003"]),
            (renew(-50, false), ["000005", "renewed", "renewed", "000003"]),
            (renew(0, false), ["000005", "renewed", "renewed", "000003"]),
            (renew(50, true), ["000005", "renewed", "renewed", "000003"]),
            (Request::Freeze, ["000005", "frozen", "-", "000003"]),
            (Request::Unfreeze, ["000005", "-", "unfrozen", "000003"]),
            (upgrade, ["000005", "upgraded", "upgraded", "000003"]),
            (Request::Release, ["released", "released", "released", "-"]),
            (Request::CheckChange, ["000005", "-", "-", "000003"]),
        ];
        for (request, expected) in table {
            let statuses = [Status::Creating, Status::Active, Status::Frozen, Status::Released];
            for (status, expected) in statuses.into_iter().zip(expected) {
                let found = match instance(status).decide(&request, at(0), RULES) {
                    Verdict::NoEffect => "-".to_owned(),
                    Verdict::Refuse(code, _) => code.to_string(),
                    Verdict::Apply(change @ Change::Renew { unfreeze: true, .. }) => {
                        change.word().to_owned() + "+unfreeze"
                    }
                    Verdict::Apply(change) => change.word().to_owned(),
                };
                assert_eq!(found, expected, "{request:?} on {status}");
            }
        }
    }

    /// Row by row: a change, then the status it leads to from creating, active, frozen, released.
    #[test]
    fn a_change_that_no_longer_fits_the_status_leaves_it_as_it_is() {
        use Status::{Active, Creating, Frozen, Released};
        let renewed = |unfreeze| Change::Renew { expire_time: None, product_id: None, sku_code: None, unfreeze };
        let table = [
            (Change::Ready, [Active, Active, Frozen, Released]),
            (Change::Freeze, [Creating, Frozen, Frozen, Released]),
            (Change::Unfreeze, [Creating, Active, Active, Released]),
            (renewed(true), [Creating, Active, Active, Released]),
            (renewed(false), [Creating, Active, Frozen, Released]),
            (Change::Upgrade { product_id: None, sku_code: None }, [Creating, Active, Frozen, Released]),
            (Change::Supervise { expire_time: None, terms: Terms::new() }, [Creating, Active, Frozen, Released]),
            (Change::License, [Creating, Active, Frozen, Released]),
            (Change::Upload, [Creating, Active, Frozen, Released]),
            (Change::Release, [Released, Released, Released, Released]),
        ];
        for (change, expected) in table {
            for (status, expected) in [Creating, Active, Frozen, Released].into_iter().zip(expected) {
                let (before, after) = (instance(status), instance(status).after(&change));
                assert_eq!(after.status, expected, "{change:?} on {status}");
                assert_eq!(after.status_serial - before.status_serial, i64::from(expected != status), "{change:?}");
            }
        }
    }

    #[test]
    fn supervision_sets_the_date_it_tells_and_keeps_the_one_it_does_not() {
        let supervised =
            |expire_time| instance(Status::Frozen).after(&Change::Supervise { expire_time, terms: Terms::new() });
        assert_eq!(supervised(Some(at(7))).expire_time, Some(at(7)));
        assert_eq!(supervised(None).expire_time, Some(at(100)));
    }

    #[test]
    fn time_is_paid_until_its_end_and_not_where_no_end_is_known() {
        let ends = |expire_time| Instance { expire_time, ..instance(Status::Active) };
        assert!(ends(Some(at(1))).is_paid_beyond(at(0)));
        assert!(!ends(Some(at(0))).is_paid_beyond(at(0)));
        assert!(!ends(Some(at(-1))).is_paid_beyond(at(0)));
        assert!(!ends(None).is_paid_beyond(at(0)));
    }

    #[test]
    fn a_status_has_one_word_everywhere() {
        for (status, word) in [
            (Status::Creating, "creating"),
            (Status::Active, "active"),
            (Status::Frozen, "frozen"),
            (Status::Released, "released"),
        ] {
            assert_eq!((status.as_str(), status.to_string().as_str()), (word, word));
            assert_eq!(word.parse(), Ok(status));
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{word}\""));
        }
        assert!("Active".parse::<Status>().is_err() && "".parse::<Status>().is_err());
    }

    #[test]
    fn a_renewal_leaves_a_frozen_instance_frozen_when_the_setting_says_so() {
        let verdict = instance(Status::Frozen).decide(&renew(50, false), at(0), Rules { refresh_unfreezes: false });
        assert!(matches!(verdict, Verdict::Apply(Change::Renew { unfreeze: false, .. })));
    }

    #[test]
    fn an_upgrade_of_a_frozen_instance_keeps_it_frozen_and_its_expiry() {
        let before = instance(Status::Frozen);
        let after = before.after(&Change::Upgrade { product_id: Some("P2".into()), sku_code: Some("S2".into()) });
        assert_eq!((after.status, after.expire_time), (Status::Frozen, before.expire_time));
        assert_eq!((after.product_id.as_deref(), after.sku_code.as_deref()), (Some("P2"), Some("S2")));
    }

    fn any_request() -> impl Strategy<Value = Request> {
        prop_oneof![
            (-200i64..200, any::<bool>()).prop_map(|(seconds, cancels)| renew(seconds, cancels)),
            Just(Request::Freeze),
            Just(Request::Unfreeze),
            Just(Request::Upgrade { product_id: None, sku_code: Some("S".into()) }),
            Just(Request::Release),
            Just(Request::CheckChange),
        ]
    }

    proptest! {
        /// Released is final, the serial counts exactly the status changes, expiry is set and never added, and a
        /// request that was applied once has no further effect on the status when it is applied at once again.
        #[test]
        fn the_state_machine_keeps_its_invariants(requests in proptest::collection::vec(any_request(), 1..40)) {
            let mut current = instance(Status::Active);
            for request in requests {
                let Verdict::Apply(change) = current.decide(&request, at(0), RULES) else { continue };
                let next = current.after(&change);
                prop_assert_ne!(current.status, Status::Released);
                prop_assert_eq!(next.status_serial - current.status_serial, i64::from(next.status != current.status));
                if let Request::Renew { expire_time, cancels_renewal, .. } = &request {
                    prop_assert_eq!(next.expire_time, *expire_time);
                    prop_assert!(!(*cancels_renewal && current.status != next.status));
                } else {
                    prop_assert_eq!(next.expire_time, current.expire_time);
                }
                prop_assert_eq!(&next.after(&change), &next);
                current = next;
            }
        }

        #[test]
        fn a_change_survives_its_way_through_a_job_row(request in any_request()) {
            if let Verdict::Apply(change) = instance(Status::Frozen).decide(&request, at(0), RULES) {
                let text = serde_json::to_string(&change).unwrap();
                prop_assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
            }
        }
    }
}
