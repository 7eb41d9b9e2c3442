//! What the calls of a drive come to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::calls::Said;
use super::open::{Call, End};

/// When an answer must be there: the server's `answer_within`, and a little for the way.
pub const WITHIN: Duration = Duration::from_millis(4100);

/// The figures of one drive.
pub struct Figures {
    /// Successes a second, while calls were planned.
    pub rate: f64,
    /// How often a second calls ended in each way.
    pub ends: BTreeMap<String, f64>,
    /// Milliseconds from the plan to the answer, whatever it says: half, 99 of 100, all.
    pub from_plan: [f64; 3],
    /// The same from the sending.
    pub from_send: [f64; 3],
    /// Of all planned calls: the part that had an answer in time, whatever it says, or was cut off so soon.
    pub in_time: f64,
    /// The same from the sending, of those that were sent: a caller with few connections keeps the others waiting himself.
    pub in_time_sent: f64,
}

/// Of the calls planned from `from` until `until`.
pub fn figures(calls: &[Call], from: Duration, until: Duration) -> Figures {
    let seconds = (until - from).as_secs_f64();
    let range = from..until;
    let planned: Vec<&Call> = calls.iter().filter(|call| range.contains(&call.planned)).collect();
    let good = |call: &&Call| call.end == End::Said(Said::Code(*b"000000"));
    let rate = calls.iter().filter(good).filter(|call| range.contains(&call.ended)).count() as f64 / seconds;
    let mut ends = BTreeMap::new();
    for call in &planned {
        *ends.entry(word(call.end)).or_insert(0.0) += 1.0 / seconds;
    }
    let answered: Vec<&&Call> = planned.iter().filter(|call| matches!(call.end, End::Said(_))).collect();
    let from_plan = answered.iter().map(|call| call.ended - call.planned).collect();
    let from_send = answered.iter().filter_map(|call| call.sent.map(|sent| call.ended - sent)).collect();
    let told = |call: &&&Call| call.end != End::GivenUp;
    let sent: Vec<(&&Call, Duration)> = planned.iter().filter_map(|call| Some((call, call.sent?))).collect();
    let in_time = planned.iter().filter(told).filter(|call| call.ended - call.planned <= WITHIN).count();
    let in_time_sent = sent.iter().filter(|(call, sent)| told(call) && call.ended - *sent <= WITHIN).count();
    let part = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let (in_time, in_time_sent) = (part(in_time, planned.len()), part(in_time_sent, sent.len()));
    Figures { rate, ends, from_plan: percentiles(from_plan), from_send: percentiles(from_send), in_time, in_time_sent }
}

/// Half, 99 of 100, all; in milliseconds.
pub fn percentiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort_unstable();
    let at = |hundredths: usize| {
        let index = (times.len() * hundredths / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    [at(50), at(99), at(100)]
}

fn word(end: End) -> String {
    match end {
        End::Said(Said::Code(code)) => String::from_utf8_lossy(&code).into_owned(),
        End::Said(Said::Status(status)) => status.to_string(),
        End::Cut => "cut".to_owned(),
        End::NotConnected => "not connected".to_owned(),
        End::GivenUp => "given up".to_owned(),
    }
}
