//! Calls that were answered: how many of each sort, how long the answer took. The sorts are known beforehand, so that
//! nobody outside can make a series of numbers; what none of the lists has is counted as [`OTHER`].

use std::time::Duration;

use super::tally::{Count, Distribution, Times};

/// What is in none of the lists.
pub const OTHER: &str = "other";

/// The families of calls.
pub const FAMILIES: [&str; 7] =
    ["basic-v1", "basic-v2", "license", "license-code", "license-online", "kit-v1", "kit-v2"];

/// Whatever can be asked for.
pub const ACTIVITIES: [&str; 24] = [
    "newInstance",
    "refreshInstance",
    "expireInstance",
    "releaseInstance",
    "upgrade",
    "upgradeInstance",
    "instanceStatus",
    "updateInstanceStatus",
    "queryInstance",
    "changeInstanceCheck",
    "orderNotify",
    "getLicense",
    "refreshLicense",
    "expireLicense",
    "releaseLicense",
    "refreshLicenseCode",
    "updateLicenseCodeStatus",
    "releaseLicenseCode",
    "getLicenseAsync",
    "tenantSync",
    "applicationSync",
    "authSync",
    "singleOrgSync",
    "allOrgSync",
];

/// The result codes of the documents. An application may refuse with another one.
pub const RESULTS: [&str; 18] = [
    "000000", "000001", "000002", "000003", "000004", "000005", "000100", "000101", "000102", "000103", "000104",
    "000105", "000106", "000107", "000900", "000901", "000902", "000903",
];

/// The worlds that calls are about.
pub const ENVIRONMENTS: [&str; 2] = ["real", "test"];

/// A call, once its answer is on disk.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The family's name.
    pub family: &'a str,
    /// What was asked for; `None`: nobody knows.
    pub activity: Option<&'a str>,
    /// It is a test call.
    pub is_test: bool,
    /// The answer's result code.
    pub result: &'a str,
    /// The answer was an earlier call's.
    pub replayed: bool,
    /// It has waited for work in the background.
    pub waited: bool,
    /// From the whole request to the answer.
    pub took: Duration,
}

/// What all calls come to.
#[derive(Debug)]
pub struct Calls {
    /// By world, family, activity and result, one after the other.
    counts: Box<[Count]>,
    by_family: [OfFamily; FAMILIES.len() + 1],
}

#[derive(Debug, Default)]
struct OfFamily {
    replayed: Count,
    waited: Count,
    times: Times,
}

/// The numbers of one moment; what has not happened is not in it.
#[derive(Debug, Clone, Default)]
pub struct CallsNow {
    /// World, family, activity and result, with how many calls there were.
    pub counts: Vec<([&'static str; 4], u64)>,
    /// Of each family: answered from the record, waited, and how long answers took.
    pub by_family: Vec<(&'static str, u64, u64, Distribution)>,
}

/// The numbers of places in the dimensions of [`Calls::counts`].
const SHAPE: [usize; 4] = [ENVIRONMENTS.len(), FAMILIES.len() + 1, ACTIVITIES.len() + 1, RESULTS.len() + 1];

impl Default for Calls {
    fn default() -> Self {
        let size = SHAPE.iter().product();
        Self {
            counts: std::iter::repeat_with(Count::default).take(size).collect(),
            by_family: std::array::from_fn(|_| OfFamily::default()),
        }
    }
}

impl Calls {
    /// Counts a call.
    pub fn note(&self, call: &Answered<'_>) {
        let family = place(&FAMILIES, call.family);
        let activity = place(&ACTIVITIES, call.activity.unwrap_or(OTHER));
        let at = [usize::from(call.is_test), family, activity, place(&RESULTS, call.result)];
        // Both are there for every place.
        if let (Some(count), Some(of_family)) = (self.counts.get(index(at)), self.by_family.get(family)) {
            count.add();
            of_family.times.note_time(call.took);
            if call.replayed {
                of_family.replayed.add();
            }
            if call.waited {
                of_family.waited.add();
            }
        }
    }

    /// The numbers.
    pub fn now(&self) -> CallsNow {
        let mut now = CallsNow::default();
        for (at, count) in self.counts.iter().enumerate() {
            let count = count.now();
            if count > 0 {
                now.counts.push((names(at), count));
            }
        }
        for (at, of_family) in self.by_family.iter().enumerate() {
            let times = of_family.times.now();
            if times.count() > 0 {
                now.by_family.push((name(&FAMILIES, at), of_family.replayed.now(), of_family.waited.now(), times));
            }
        }
        now
    }
}

/// Where a name is in its list; behind its end, if it is not.
fn place(list: &[&str], name: &str) -> usize {
    list.iter().position(|known| *known == name).unwrap_or(list.len())
}

fn name(list: &'static [&'static str], place: usize) -> &'static str {
    list.get(place).copied().unwrap_or(OTHER)
}

fn index(places: [usize; 4]) -> usize {
    places.iter().zip(SHAPE).fold(0, |index, (place, size)| index * size + place)
}

fn names(index: usize) -> [&'static str; 4] {
    let (rest, result) = (index / SHAPE[3], index % SHAPE[3]);
    let (rest, activity) = (rest / SHAPE[2], rest % SHAPE[2]);
    let (environment, family) = (rest / SHAPE[1], rest % SHAPE[1]);
    [name(&ENVIRONMENTS, environment), name(&FAMILIES, family), name(&ACTIVITIES, activity), name(&RESULTS, result)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Family;
    use crate::protocol::basic_v1::BASIC_V1;
    use crate::protocol::basic_v2::BASIC_V2;
    use crate::protocol::kit::{KIT_V1, KIT_V2};
    use crate::protocol::license::LICENSE;
    use crate::protocol::license_code::LICENSE_CODE;
    use crate::protocol::license_online::LICENSE_ONLINE;

    fn call(family: &'static str, activity: Option<&'static str>, result: &'static str) -> Answered<'static> {
        let took = Duration::from_millis(3);
        Answered { family, activity, is_test: false, result, replayed: false, waited: false, took }
    }

    #[test]
    fn every_call_that_koogallery_makes_has_a_name_of_its_own() {
        let mut activities = Vec::new();
        let mut families = vec![KIT_V1[0].name(), KIT_V2[0].name()];
        for family in [&BASIC_V1, &BASIC_V2, &LICENSE, &LICENSE_CODE, &LICENSE_ONLINE] {
            families.push(family.name());
            activities.extend(family.activity_names());
        }
        activities.extend(KIT_V2.iter().map(|family| family.sub_path().rsplit('/').next().unwrap().to_owned()).map(
            |name| ACTIVITIES.into_iter().find(|known| *known == name).unwrap_or_else(|| panic!("{name} is missing")),
        ));
        for name in activities {
            assert!(ACTIVITIES.contains(&name), "{name} is missing");
        }
        families.sort_unstable();
        let mut known = FAMILIES;
        known.sort_unstable();
        assert_eq!(families, known);
    }

    #[test]
    fn a_call_is_counted_under_its_own_names() {
        let calls = Calls::default();
        for environment in [false, true] {
            for (family, activity, result) in [
                ("basic-v1", Some("newInstance"), "000000"),
                ("basic-v2", Some("newInstance"), "000004"),
                ("kit-v2", Some("allOrgSync"), "000903"),
            ] {
                calls.note(&Answered { is_test: environment, ..call(family, activity, result) });
                let names = [ENVIRONMENTS[usize::from(environment)], family, activity.unwrap(), result];
                assert!(calls.now().counts.contains(&(names, 1)), "{names:?}: {:?}", calls.now());
            }
        }
        assert_eq!(calls.now().counts.len(), 6);
    }

    #[test]
    fn whatever_is_not_known_is_counted_together() {
        let calls = Calls::default();
        calls.note(&call("basic-v2", None, "000002"));
        calls.note(&call("basic-v2", Some("made up"), "000002"));
        calls.note(&call("new", Some("newInstance"), "123456"));
        let counts = calls.now().counts;
        assert_eq!(counts, [(["real", "basic-v2", OTHER, "000002"], 2), (["real", OTHER, "newInstance", OTHER], 1)]);
    }

    #[test]
    fn repeats_and_waits_are_counted_by_family() {
        let calls = Calls::default();
        calls.note(&Answered { replayed: true, ..call("basic-v1", None, "000000") });
        calls.note(&Answered { waited: true, ..call("basic-v1", None, "000000") });
        let now = calls.now();
        let (family, replayed, waited, times) = &now.by_family[0];
        assert_eq!((*family, *replayed, *waited, times.count(), now.by_family.len()), ("basic-v1", 1, 1, 2, 1));
    }
}
