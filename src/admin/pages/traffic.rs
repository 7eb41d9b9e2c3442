//! Charts of the calls. An hour that is over does not change, so it is summed up once and kept; the running hour and the one
//! before are looked at again when they are older than some seconds. Each hour is read in a view of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::visit::{Fault, Visit};
use crate::http::Reply;
use crate::page::place;
use crate::page::traffic::{self, Spans, Sum};
use crate::store::{Store, StoreError};

const HOUR: i64 = 3600;
const FORTNIGHT: i64 = 14 * 24;

/// Numbers of hours that are not over are as old as this at most.
const FRESH: Duration = Duration::from_secs(30);

/// So many calls are looked at for one page. What is left is looked at for the next one: no look takes long, and none is lost.
const LOOKED_AT: usize = 100_000;

/// The hours that were summed up, by their number since 1970.
#[derive(Default)]
pub(super) struct Hours(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    over: BTreeMap<i64, Sum>,
    running: BTreeMap<i64, Sum>,
    looked_at: Option<Instant>,
}

/// `GET /traffic`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let hours = &visit.desk().hours;
    let this_hour = visit.now.as_second().div_euclid(HOUR);
    let (sums, is_whole) = hours.of(&visit.context.store, this_hour)?;
    let day = spans(&sums, this_hour - 23, this_hour, 1);
    // Six hours of Beijing begin at 00:00, 06:00 …, which is 16:00, 22:00 … in UTC.
    let first = this_hour - FORTNIGHT + 1;
    let fortnight = spans(&sums, first - (first - 4).rem_euclid(6), this_hour, 6);
    Ok(visit.page(Some(place::TRAFFIC), &traffic::TITLE, |view| traffic::body(view, &day, &fortnight, is_whole)))
}

fn spans(sums: &BTreeMap<i64, Sum>, first: i64, last: i64, hours: i64) -> Spans {
    let mut spans = Spans::new();
    let mut from = first;
    while from <= last {
        let mut sum = Sum::default();
        sums.range(from..from + hours).for_each(|(_, hour)| sum.add(hour));
        spans.extend(Timestamp::from_second(from * HOUR).ok().map(|at| (at, sum)));
        from += hours;
    }
    spans
}

impl Hours {
    /// The last fortnight and some hours, up to this one; and whether all of them were summed up.
    fn of(&self, store: &Store, this_hour: i64) -> Result<(BTreeMap<i64, Sum>, bool), StoreError> {
        // Who else asks meanwhile waits and finds it done: a crowd of lookers reads nothing twice.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = this_hour - FORTNIGHT - 6;
        let kept = &mut *kept;
        // After the clock was set, too, nothing is kept that is not asked for.
        kept.over.retain(|hour, _| (first..this_hour - 1).contains(hour));
        let is_fresh = kept.looked_at.is_some_and(|at| at.elapsed() < FRESH) && kept.running.contains_key(&this_hour);
        let (mut looked_at, mut is_whole) = (0, true);
        for hour in (first..=this_hour).rev() {
            // A call is answered within seconds of its coming, so an hour is over an hour later.
            let is_over = hour < this_hour - 1;
            if (is_over && kept.over.contains_key(&hour)) || (!is_over && is_fresh) {
                continue;
            }
            if is_over && looked_at >= LOOKED_AT {
                is_whole = false;
                break;
            }
            let (sum, sample) = sum_of(store, hour)?;
            looked_at += sample;
            if is_over { &mut kept.over } else { &mut kept.running }.insert(hour, sum);
        }
        if !is_fresh {
            kept.running.retain(|hour, _| *hour >= this_hour - 1 && *hour <= this_hour);
            kept.looked_at = Some(Instant::now());
        }
        let all = kept.over.iter().chain(&kept.running);
        Ok((all.map(|(hour, sum)| (*hour, sum.clone())).collect(), is_whole))
    }
}

/// An hour, and how many calls were looked at for it.
fn sum_of(store: &Store, hour: i64) -> Result<(Sum, usize), StoreError> {
    let at = |hour: i64| Timestamp::from_second(hour.saturating_mul(HOUR)).unwrap_or(Timestamp::MAX);
    let calls = store.read(|tx| tx.calls_of_time(at(hour), at(hour + 1)))?;
    let sample = calls.sample.iter().map(|call| (call.result_code.as_deref(), call.duration_us));
    Ok((Sum::of(calls.calls, calls.every, sample), calls.sample.len()))
}
