//! The first page: what stands wrong, as the alerts and one look at the database tell it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::super::health;
use super::visit::{Fault, Visit};
use crate::alert::judge::{self, Rules};
use crate::alert::standing::{Standing, StandingQuery};
use crate::alert::{Alarm, Kind, Severity, beijing};
use crate::http::Reply;
use crate::operation::Environment;
use crate::page::front::{self, Alert, Day, Front, Frozen, Machine, Sold, Stock};
use crate::page::front::{calendar, parts};
use crate::page::place;
use crate::store::{AlertRow, InstanceFilter, InstanceRow, SCHEMA_VERSION};
use crate::usage::pusher::LATE;

/// So many of what was sold last are shown.
const SOLD: i64 = 8;

/// So many alerts are read.
const ALERTS: i64 = 2000;

/// So many of one kind are told one by one.
const TOLD: usize = 5;

/// `GET /`
pub(in crate::admin) fn show(visit: &Visit<'_>) -> Result<Reply, Fault> {
    let settings = visit.context.dispatcher.settings();
    let rules = Rules { stocks: settings.stocks(), usage_late: LATE };
    let front = read(visit, &rules)?;
    Ok(visit.page(Some(place::FRONT), &front::TITLE, |view| front::body(view, &front)))
}

fn read(visit: &Visit<'_>, rules: &Rules) -> Result<Front, Fault> {
    let now = visit.now;
    let half_day = beijing::half_day(now);
    let query = StandingQuery::new(now, rules.stocks.iter().map(|(stock, _)| stock.clone()).collect());
    let midnight = beijing::begin_of(half_day - half_day.rem_euclid(2));
    let filter = InstanceFilter { environment: Some(Environment::Real), ..InstanceFilter::default() };
    let (standing, recorded, today, sold) = visit.context.store.read(|tx| {
        let (standing, recorded) = (tx.standing(&query)?, tx.standing_alerts(ALERTS)?);
        Ok((standing, recorded, tx.calls_since(midnight)?, tx.instances(&filter, None, SOLD)?))
    })?;
    Ok(Front {
        alerts: grouped(alarms(&standing, recorded, rules, now)),
        calendar: days(&standing, half_day),
        stocks: standing
            .stocks
            .iter()
            .zip(&rules.stocks)
            .map(|((name, left), (_, low))| stock(name, *left, *low))
            .collect(),
        open_orders: standing.open_orders,
        failed_orders: standing.failed_orders,
        dead_jobs: standing.dead_jobs,
        frozen: standing.frozen_paid.into_iter().map(frozen).collect(),
        today,
        sold: sold.into_iter().map(sold_lately).collect(),
        machine: machine(visit),
    })
}

/// An alarm that stands, since when, and how often it was met.
type Stands = (Alarm, Timestamp, i64);

/// What stands now. What a look at the database finds is looked for anew, so that the page is never behind its own lists; the rest
/// is as the keeper of the alerts has recorded it within the last minute.
fn alarms(standing: &Standing, recorded: Vec<AlertRow>, rules: &Rules, now: Timestamp) -> Vec<Stands> {
    // That needs to know how long the process has been up.
    let is_looked_for =
        |kind: Kind| judge::covers(kind, true) && !judge::covers(kind, false) && kind != Kind::TestCallsAway;
    let mut known = HashMap::new();
    let mut all = Vec::new();
    for row in recorded {
        // A newer koogate may have recorded what this one has no words for.
        let Ok(alarm) = serde_json::from_str::<Alarm>(&row.alarm) else { continue };
        if is_looked_for(alarm.kind()) {
            known.insert((alarm.kind(), alarm.subject()), row.since);
        } else {
            all.push((alarm, row.since, row.times));
        }
    }
    for found in judge::judge(Some(standing), &judge::Machine::default(), rules, now) {
        if is_looked_for(found.alarm.kind()) {
            let since = known.get(&(found.alarm.kind(), found.alarm.subject())).copied();
            all.push((found.alarm, found.since.or(since).unwrap_or(now), 1));
        }
    }
    all
}

/// Alarms of one kind as one, the urgent first and the oldest first within.
fn grouped(mut all: Vec<Stands>) -> Vec<Alert> {
    all.sort_by_key(|(alarm, since, _)| (alarm.severity(), alarm.kind(), *since));
    let mut alerts: Vec<(Kind, Alert)> = Vec::new();
    for (alarm, since, times) in all {
        let is_urgent = alarm.severity() == Severity::Urgent;
        let words = alarm.words();
        match alerts.last_mut() {
            Some((kind, alert)) if *kind == alarm.kind() && alert.is_urgent == is_urgent => {
                alert.since = alert.since.min(since);
                alert.times += times;
                if alert.what.len() < TOLD {
                    alert.what.push(words.what);
                } else {
                    alert.more += 1;
                }
            }
            _ => {
                let (heading, cost, mend) = (words.heading, words.cost, words.mend);
                let look = parts::look(alarm.kind());
                let alert =
                    Alert { is_urgent, heading, what: vec![words.what], more: 0, cost, mend, since, times, look };
                alerts.push((alarm.kind(), alert));
            }
        }
    }
    alerts.into_iter().map(|(_, alert)| alert).collect()
}

fn days(standing: &Standing, today: i64) -> Vec<Day> {
    let calls: BTreeMap<_, _> =
        standing.test_calls.iter().map(|half| (half.half_day, (half.calls, half.failures))).collect();
    calendar::days(&calls, today, |half_day| beijing::day_of(half_day).0.strftime("%m-%d").to_string())
}

fn machine(visit: &Visit<'_>) -> Machine {
    let context = visit.context;
    let snapshot = context.ages.snapshot();
    let settings = context.dispatcher.settings();
    Machine {
        not_ready: health::not_ready(context),
        snapshot: Some((snapshot.behind, snapshot.limit)),
        certificate: context.tls.as_ref().map(|tls| tls.identity().not_after()),
        clock: settings.open_api.as_ref().and_then(|client| client.clock_difference()),
        refused: context.dispatcher.refused().total(),
        schema: SCHEMA_VERSION,
    }
}

fn stock(name: &str, left: i64, low: i64) -> Stock {
    Stock { name: name.to_owned(), left, low }
}

fn frozen((instance_id, expire_time): (String, Timestamp)) -> Frozen {
    Frozen { instance_id, expire_time }
}

fn sold_lately(instance: InstanceRow) -> Sold {
    Sold {
        instance_id: instance.instance_id,
        order_id: instance.order_id,
        product_id: instance.life.product_id,
        status: instance.life.status.as_str().to_owned(),
        at: instance.created_at,
    }
}
