//! The gap that a restore leaves: what KooGallery and the merchant's application may know and the copy does not.
//!
//! Findings come from three sides: the lost database, where it can still be read; the operationIds that the application
//! has; and the jobs that were under way when the copy was taken. What a finding means for the seller, and how it is
//! mended, is said here. Pure: reading files and databases lives in `commands` and `store`.

mod meaning;
pub mod told;

use std::collections::BTreeMap;

use jiff::Timestamp;

pub use self::meaning::Deed;
use self::told::Told;

/// From when to when, and what is numbered how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// When the copy was taken; `None`: it was a database, not a snapshot.
    pub copy_at: Option<Timestamp>,
    /// The last number that its journal had given. Calls with a higher one are lost, or came after the restore.
    pub last_exchange: i64,
    /// When its newest call came in.
    pub last_exchange_at: Option<Timestamp>,
    /// When the copy took the database's place; `None`: it has not yet.
    pub restored_at: Option<Timestamp>,
}

impl Gap {
    /// Since when something may be missing: the copy has everything from before.
    pub fn since(&self) -> Option<Timestamp> {
        self.copy_at.or(self.last_exchange_at)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A call that the lost database had recorded.
    Call,
    /// An instance as the lost database had it.
    Instance,
    /// An event that the application was told.
    Event,
    /// A job that was under way in the copy.
    Job,
}

impl What {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Instance => "instance",
            Self::Event => "event",
            Self::Job => "job",
        }
    }
}

/// Something that the copy lacks, or does again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: What,
    /// Number of the call or job; the event's operationId; `None` for an instance.
    pub id: Option<String>,
    /// When the call came in.
    pub at: Option<Timestamp>,
    /// The activity of the call, the name of the event or the task of the job.
    pub name: Option<String>,
    /// `instanceId`.
    pub instance_id: Option<String>,
    /// `orderId`.
    pub order_id: Option<String>,
    /// How the call was answered.
    pub result_code: Option<String>,
    /// What was found, in words.
    pub found: String,
    /// What to do about it; `None`: nothing.
    pub mend: Option<&'static str>,
}

/// A call that the lost database had recorded after the copy was taken.
#[derive(Debug, Clone)]
pub struct LostCall {
    /// Its number.
    pub exchange: i64,
    /// When it came in.
    pub received_at: Timestamp,
    /// Its activity, where it named a known one.
    pub activity: Option<String>,
    /// The order it named.
    pub order_id: Option<String>,
    /// The instance it was about.
    pub instance_id: Option<String>,
    /// How it was answered; `None`: koogate stopped before.
    pub result_code: Option<String>,
    /// It was answered from the record of an earlier call.
    pub replayed: bool,
}

/// How an instance stands in one of the databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// creating, active, frozen or released.
    pub status: String,
    /// The end of the paid time.
    pub expire_time: Option<Timestamp>,
    /// The order that bought it.
    pub order_id: Option<String>,
}

/// Instances by environment, kind and id.
pub type Instances = BTreeMap<(String, String, String), Standing>;

/// What the copy knows of something that the application was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The event and its end.
    Done,
    /// The event, which is told again.
    Open,
    /// Nothing of the event, but the instance.
    InstanceOnly,
    /// Nothing.
    Nothing,
}

/// A job that was under way when the copy was taken.
#[derive(Debug, Clone)]
pub struct OpenJob {
    /// Its number.
    pub job: i64,
    /// The event it tells, or what else it does.
    pub task: String,
    /// Its operationId, where it has one of its own.
    pub operation_id: Option<String>,
    /// The instance, tenant or order it is about.
    pub subject_id: String,
}

/// What a call means that only the lost database has. Repeats and questions leave nothing.
pub fn of_call(call: &LostCall) -> Option<Finding> {
    let deed = Deed::of_activity(call.activity.as_deref()?)?;
    if call.replayed {
        return None;
    }
    let is_done = call.result_code.as_deref() == Some("000000");
    let (found, mend) = if is_done {
        ("KooGallery has its success and does not call again", deed.mend_of_done())
    } else {
        ("KooGallery has no success and calls again, or you restart the call (生产接口消息 > 重新启动)", None)
    };
    Some(Finding {
        what: What::Call,
        id: Some(call.exchange.to_string()),
        at: Some(call.received_at),
        name: call.activity.clone(),
        instance_id: call.instance_id.clone(),
        order_id: call.order_id.clone(),
        result_code: call.result_code.clone(),
        found: found.to_owned(),
        mend,
    })
}

/// Instances that the lost database had and the copy has not, or has otherwise. Test instances do not count.
pub fn of_instances(lost: &Instances, copy: &Instances) -> Vec<Finding> {
    let differs = |((environment, kind, id), standing): (&(String, String, String), &Standing)| {
        let key = (environment.clone(), kind.clone(), id.clone());
        let in_copy = copy.get(&key);
        if environment == "test" || in_copy == Some(standing) {
            return None;
        }
        let (found, mend) = match in_copy {
            None => {
                // Nothing comes any more for one that was released.
                let mend = (standing.status != "released").then_some(meaning::UNKNOWN_INSTANCE);
                (format!("it was {}, the copy does not know it", told(standing)), mend)
            }
            Some(other) => {
                (format!("it was {}, in the copy it is {}", told(standing), told(other)), differing(standing, other))
            }
        };
        Some(Finding {
            what: What::Instance,
            id: None,
            at: None,
            name: None,
            instance_id: Some(id.clone()),
            order_id: standing.order_id.clone(),
            result_code: None,
            found,
            mend,
        })
    };
    lost.iter().filter_map(differs).collect()
}

fn differing(lost: &Standing, copy: &Standing) -> Option<&'static str> {
    match (lost.status.as_str(), copy.status.as_str()) {
        (one, other) if one == other => Deed::Renew.mend_of_done(),
        ("released", _) => Deed::Release.mend_of_done(),
        ("frozen", _) => Deed::Freeze.mend_of_done(),
        (_, "frozen") => Deed::Unfreeze.mend_of_done(),
        _ => None,
    }
}

fn told(standing: &Standing) -> String {
    match standing.expire_time {
        Some(end) => format!("{} until {end:.0}", standing.status),
        None => standing.status.clone(),
    }
}

/// What an event means that the application has got. What the copy knows to its end leaves nothing.
pub fn of_event(event: &Told, known: Known) -> Option<Finding> {
    let deed = event.event.as_deref().map(Deed::of_event);
    let (found, mend) = match (known, deed) {
        (Known::Done, _) => return None,
        // A question, which nobody records.
        (_, Some(None)) => return None,
        _ if event.test => return None,
        (Known::Open, _) => ("the copy knows it as under way: it is told again, with this operationId", None),
        (Known::Nothing, Some(Some(Deed::Create))) => {
            ("the copy does not know the instance", Some(meaning::UNKNOWN_INSTANCE))
        }
        (Known::Nothing, Some(Some(deed))) if deed.is_about_an_instance() => {
            ("the copy knows neither the event nor its instance", Some(meaning::UNKNOWN_INSTANCE))
        }
        (_, Some(Some(deed))) => ("the copy does not know it", deed.mend_of_done()),
        (Known::InstanceOnly, None) => ("the copy knows the instance, but not this", Some(meaning::SOME_CHANGE)),
        (_, None) => ("the copy does not know it", Some(meaning::SOMETHING)),
    };
    Some(Finding {
        what: What::Event,
        id: Some(event.operation_id.clone()),
        at: None,
        name: event.event.clone(),
        instance_id: event.instance_id.clone(),
        order_id: event.order_id.clone(),
        result_code: None,
        found: found.to_owned(),
        mend,
    })
}

/// What a job means that was under way in the copy: it is done again.
pub fn of_job(job: &OpenJob) -> Finding {
    let found = match &job.operation_id {
        Some(id) => format!("your application is told again, with operationId {id}"),
        None => "it is done again".to_owned(),
    };
    Finding {
        what: What::Job,
        id: Some(job.job.to_string()),
        at: None,
        name: Some(job.task.clone()),
        instance_id: Some(job.subject_id.clone()),
        order_id: None,
        result_code: None,
        found,
        mend: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(activity: &str, result_code: Option<&str>) -> LostCall {
        LostCall {
            exchange: 7,
            received_at: Timestamp::UNIX_EPOCH,
            activity: Some(activity.to_owned()),
            order_id: Some("CS1".to_owned()),
            instance_id: Some("i-1".to_owned()),
            result_code: result_code.map(str::to_owned),
            replayed: false,
        }
    }

    #[test]
    fn a_call_with_a_success_is_not_repeated_and_one_without_is() {
        let done = of_call(&call("releaseInstance", Some("000000"))).unwrap();
        assert!(done.found.contains("does not call again") && done.mend.is_some(), "{done:?}");
        for code in [None, Some("000005"), Some("000004")] {
            let open = of_call(&call("releaseInstance", code)).unwrap();
            assert!(open.found.contains("calls again") && open.mend.is_none(), "{open:?}");
        }
    }

    #[test]
    fn questions_and_repeats_leave_nothing() {
        for activity in ["queryInstance", "changeInstanceCheck", "something"] {
            assert_eq!(of_call(&call(activity, Some("000000"))), None, "{activity}");
        }
        let repeat = LostCall { replayed: true, ..call("newInstance", Some("000000")) };
        assert_eq!(of_call(&repeat), None);
    }

    fn standing(status: &str, second: Option<i64>) -> Standing {
        let expire_time = second.map(|second| Timestamp::from_second(second).unwrap());
        Standing { status: status.to_owned(), expire_time, order_id: None }
    }

    fn instances(environment: &str, standings: &[(&str, Standing)]) -> Instances {
        let key = |id: &str| (environment.to_owned(), "saas".to_owned(), id.to_owned());
        standings.iter().map(|(id, standing)| (key(id), standing.clone())).collect()
    }

    #[test]
    fn instances_are_missing_or_differ_or_are_the_same() {
        let lost = instances(
            "real",
            &[
                ("gone", standing("active", None)),
                ("frozen", standing("frozen", None)),
                ("renewed", standing("active", Some(2))),
                ("same", standing("active", Some(1))),
            ],
        );
        let copy = instances(
            "real",
            &[
                ("frozen", standing("active", None)),
                ("renewed", standing("active", Some(1))),
                ("same", standing("active", Some(1))),
                ("bought since", standing("active", None)),
            ],
        );
        let found = of_instances(&lost, &copy);
        let told: Vec<_> =
            found.iter().map(|finding| (finding.instance_id.as_deref().unwrap(), finding.mend)).collect();
        let expected = [
            ("frozen", Deed::Freeze.mend_of_done()),
            ("gone", Some(meaning::UNKNOWN_INSTANCE)),
            ("renewed", Deed::Renew.mend_of_done()),
        ];
        assert_eq!(told, expected);
        assert_eq!(
            found[2].found,
            "it was active until 1970-01-01T00:00:02Z, in the copy it is active until 1970-01-01T00:00:01Z"
        );
        assert_eq!(of_instances(&instances("test", &[("gone", standing("active", None))]), &copy), []);
    }

    #[track_caller]
    fn check_event(name: Option<&str>, known: Known, expected: Option<Option<&str>>) {
        let event = Told { event: name.map(str::to_owned), ..Told::bare("op") };
        assert_eq!(of_event(&event, known).map(|finding| finding.mend), expected, "{name:?} {known:?}");
    }

    #[test]
    fn an_event_means_what_its_name_says_and_what_the_copy_knows() {
        check_event(Some("instance.create"), Known::Done, None);
        check_event(Some("instance.create"), Known::Open, Some(None));
        check_event(Some("instance.create"), Known::Nothing, Some(Some(meaning::UNKNOWN_INSTANCE)));
        check_event(Some("instance.renew"), Known::Nothing, Some(Some(meaning::UNKNOWN_INSTANCE)));
        check_event(Some("instance.renew"), Known::InstanceOnly, Some(Deed::Renew.mend_of_done()));
        check_event(Some("instance.check_change"), Known::Nothing, None);
        check_event(Some("tenant.sync"), Known::Nothing, Some(Deed::Directory.mend_of_done()));
        check_event(None, Known::Nothing, Some(Some(meaning::SOMETHING)));
        check_event(None, Known::Done, None);
    }
}
