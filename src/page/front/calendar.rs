//! The calendar of KooGallery's test calls, which come twice a day.

use std::collections::BTreeMap;

use super::{Day, Half};

/// So many days are shown: four weeks.
const DAYS: i64 = 28;

/// The days up to today. `calls` has calls and failures of half days, `now` is the half day that runs (even ones are
/// mornings), `name` what the day of a half day is called.
pub fn days(calls: &BTreeMap<i64, (i64, i64)>, now: i64, name: impl Fn(i64) -> String) -> Vec<Day> {
    let today = now.div_euclid(2);
    let first = calls.keys().next().copied().unwrap_or(now);
    let half = |half_day: i64| match calls.get(&half_day) {
        Some((calls, failures)) => Half::Called(*calls, *failures),
        None if half_day == now => Half::Awaited,
        None if half_day > now || half_day < first => Half::Outside,
        None => Half::Silent,
    };
    let days = today - DAYS + 1..=today;
    days.map(|day| Day { name: name(2 * day), halves: [half(2 * day), half(2 * day + 1)] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_day_without_calls_is_silent_only_between_the_first_and_now() {
        let calls = BTreeMap::from([(92, (2, 0)), (95, (1, 1))]);
        let days = days(&calls, 98, |half_day| half_day.to_string());
        assert_eq!(days.len(), 28);
        let last: Vec<_> = days[24..].iter().map(|day| (day.name.as_str(), day.halves)).collect();
        assert_eq!(
            last,
            [
                ("92", [Half::Called(2, 0), Half::Silent]),
                ("94", [Half::Silent, Half::Called(1, 1)]),
                ("96", [Half::Silent, Half::Silent]),
                ("98", [Half::Awaited, Half::Outside]),
            ]
        );
        assert!(days[..24].iter().all(|day| day.halves == [Half::Outside; 2]));
    }

    #[test]
    fn before_the_first_call_nothing_is_silent() {
        let days = days(&BTreeMap::new(), 99, |_| String::new());
        assert_eq!(days[27].halves, [Half::Outside, Half::Awaited]);
        assert!(days[..27].iter().all(|day| day.halves == [Half::Outside; 2]));
    }
}
