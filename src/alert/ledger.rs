//! What stands, who was told of it, and what is to be told now. Pure: the time comes in, what is due goes out; keeping it
//! on disk and sending it is done elsewhere.
//!
//! The same alarm is told once, then after ten minutes, after an hour, and every day. What ends and comes back within ten
//! minutes is the same one still. What has come is told together with what comes soon after it.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::judge::Found;
use super::{Alarm, Ending, Kind, Severity};

/// Pauses between tellings; the last one stays.
const REMINDERS: [SignedDuration; 3] =
    [SignedDuration::from_mins(10), SignedDuration::from_hours(1), SignedDuration::from_hours(24)];

/// What comes back sooner has never been away.
const SAME_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// What has happened, and not again for so long, is forgotten.
const QUIET_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Figures that change while an alarm stands, such as the free space, are written no more often: each commit has the snapshot
/// taken anew.
const FIGURES_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// So many alerts of one kind stand at most: more of them tell nobody anything new, and they must not keep others out.
const MOST_OF_A_KIND: usize = 200;

/// So many stand at most.
pub const MOST: usize = MOST_OF_A_KIND * Kind::ALL.len();

/// What an alert is known by.
pub type Key = (Kind, String);

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its row, once it is recorded.
    pub row: Option<i64>,
    /// What is wrong.
    pub alarm: Alarm,
    /// The same as it was written last, and when.
    pub written: (Alarm, Timestamp),
    /// Since when.
    pub since: Timestamp,
    /// When it came to be known.
    pub noticed: Timestamp,
    /// When it was met last.
    pub last_met: Timestamp,
    /// How often.
    pub times: i64,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// It had ended before, and came back: its end is believed when it stays away.
    pub came_back: bool,
    /// Who was told, by the label of the webhook.
    pub told: BTreeMap<String, Told>,
    /// It is not on disk as it is here.
    pub is_dirty: bool,
}

impl Entry {
    /// What it is known by.
    pub fn key(&self) -> Key {
        key(&self.alarm)
    }
}

/// What one webhook knows of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When it was told last.
    pub at: Timestamp,
    /// How often.
    pub times: i64,
    /// It knows that it is over.
    pub end_told: bool,
}

/// Why something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// For the first time.
    New,
    /// It still stands, or has happened again.
    Again,
    /// It is over.
    Over,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What it is known by.
    pub key: Key,
    /// What is wrong.
    pub alarm: Alarm,
    /// Since when.
    pub since: Timestamp,
    /// How often it was met.
    pub times: i64,
    /// How often it was told before.
    pub told: i64,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it is told.
    pub why: Why,
}

/// All alerts that stand, and those that ended a moment ago.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: HashMap<Key, Entry>,
}

impl Ledger {
    /// What was recorded by an earlier process. What only the process itself can know is over with it, unless it says so
    /// again.
    pub fn resume(entries: Vec<Entry>, now: Timestamp) -> Self {
        let mut ledger = Self { entries: entries.into_iter().map(|entry| (key(&entry.alarm), entry)).collect() };
        ledger.end(now, |entry| entry.alarm.kind().ending() == Ending::Said);
        ledger
    }

    /// All of it, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Something was met.
    pub fn met(&mut self, alarm: Alarm, times: i64, now: Timestamp) {
        self.put(alarm, None, times, now);
    }

    /// A look has found this; what it covers and did not find is over.
    pub fn looked(&mut self, found: Vec<Found>, covers: impl Fn(Kind) -> bool, now: Timestamp) {
        let keys: std::collections::HashSet<Key> = found.iter().map(|found| key(&found.alarm)).collect();
        for Found { alarm, since } in found {
            self.put(alarm, since, 0, now);
        }
        self.end(now, |entry| covers(entry.alarm.kind()) && !keys.contains(&key(&entry.alarm)));
    }

    /// Who raised this kind says that it is over.
    pub fn over(&mut self, kind: Kind, now: Timestamp) {
        self.end(now, |entry| entry.alarm.kind() == kind);
    }

    /// Forgets what has happened and does not happen any more.
    pub fn fade(&mut self, now: Timestamp) {
        let is_old = |entry: &Entry| now.duration_since(entry.last_met).abs() > QUIET_AFTER;
        self.end(now, |entry| entry.alarm.kind().ending() == Ending::Quiet && is_old(entry));
    }

    /// What a webhook is to be told, the gravest and oldest first; nothing while what is new has not waited for `wait`.
    pub fn due(&self, webhook: &str, wait: SignedDuration, now: Timestamp) -> Vec<Due> {
        let mut all = Vec::new();
        let mut is_ripe = false;
        for (key, entry) in &self.entries {
            let told = entry.told.get(webhook);
            let Some(why) = why(entry, told, now) else { continue };
            let waited = now.duration_since(entry.noticed);
            is_ripe |= why != Why::New || waited >= wait || waited.is_negative();
            all.push(Due {
                key: key.clone(),
                alarm: entry.alarm.clone(),
                since: entry.since,
                times: entry.times,
                told: told.map_or(0, |told| told.times),
                ended: entry.ended,
                why,
            });
        }
        if !is_ripe {
            return Vec::new();
        }
        all.sort_by(|a, b| rank(a).cmp(&rank(b)));
        all
    }

    /// A webhook has taken a message with these.
    pub fn told(&mut self, webhook: &str, due: &[Due], now: Timestamp) {
        for due in due {
            if let Some(entry) = self.entries.get_mut(&due.key) {
                let times = entry.told.get(webhook).map_or(0, |told| told.times);
                let is_over = due.why == Why::Over;
                let told = Told { at: now, times: times + i64::from(!is_over), end_told: is_over };
                entry.told.insert(webhook.to_owned(), told);
                entry.is_dirty = true;
            }
        }
    }

    /// What is not on disk as it is here.
    pub fn unrecorded(&self) -> Vec<Entry> {
        self.entries.values().filter(|entry| entry.is_dirty).cloned().collect()
    }

    /// These are on disk now, each in its row.
    pub fn recorded(&mut self, rows: impl IntoIterator<Item = (Key, i64)>, now: Timestamp) {
        for (key, row) in rows {
            if let Some(entry) = self.entries.get_mut(&key) {
                (entry.row, entry.is_dirty) = (Some(row), false);
                entry.written = (entry.alarm.clone(), now);
            }
        }
    }

    /// Drops what has ended, is on disk, and is known to be over by all who knew of it.
    pub fn tidy(&mut self, webhooks: &[String], now: Timestamp) {
        self.entries.retain(|_, entry| {
            let Some(ended) = entry.ended else { return true };
            let may_return = now.duration_since(ended).abs() < SAME_WITHIN;
            let owes = webhooks.iter().any(|webhook| why(entry, entry.told.get(webhook), now).is_some());
            entry.is_dirty || may_return || owes
        });
    }

    fn put(&mut self, alarm: Alarm, since: Option<Timestamp>, times: i64, now: Timestamp) {
        let key = key(&alarm);
        if let Some(entry) = self.entries.get_mut(&key) {
            let is_back = entry.ended.take().is_some();
            // Graver than what was told is told at once, as if it were new.
            let is_graver = is_graver(&alarm, &entry.alarm);
            if is_graver {
                entry.told.values_mut().for_each(|told| told.at = Timestamp::MIN);
            }
            let (written, at) = &entry.written;
            let is_stale = *written != alarm && now.duration_since(*at).abs() >= FIGURES_EVERY;
            entry.alarm = alarm;
            if times > 0 || is_back {
                entry.times = entry.times.saturating_add(times.max(1));
                entry.last_met = now;
            }
            if is_back {
                entry.came_back = true;
                entry.told.values_mut().for_each(|told| told.end_told = false);
            }
            entry.is_dirty |= is_graver || is_stale || times > 0 || is_back;
        } else if self.has_room_for(key.0) {
            let since = since.unwrap_or(now).min(now);
            let entry = Entry {
                row: None,
                written: (alarm.clone(), now),
                alarm,
                since,
                noticed: now,
                last_met: now,
                times: times.max(1),
                ended: None,
                came_back: false,
                told: BTreeMap::new(),
                is_dirty: true,
            };
            self.entries.insert(key, entry);
        }
    }

    fn has_room_for(&self, kind: Kind) -> bool {
        let of_kind = |entry: &&Entry| entry.ended.is_none() && entry.alarm.kind() == kind;
        self.entries.values().filter(of_kind).count() < MOST_OF_A_KIND
    }

    fn end(&mut self, now: Timestamp, is_over: impl Fn(&Entry) -> bool) {
        for entry in self.entries.values_mut().filter(|entry| entry.ended.is_none() && is_over(entry)) {
            entry.ended = Some(now);
            entry.is_dirty = true;
        }
    }
}

fn key(alarm: &Alarm) -> Key {
    (alarm.kind(), alarm.subject())
}

/// Urgent ones first, then those that are over last, then by kind and age.
fn rank(due: &Due) -> (bool, Severity, Kind, Timestamp, &str) {
    (due.why == Why::Over, due.alarm.severity(), due.key.0, due.since, &due.key.1)
}

fn is_graver(new: &Alarm, old: &Alarm) -> bool {
    let grows = match (new, old) {
        (Alarm::OrdersFailed { count: new, .. }, Alarm::OrdersFailed { count: old, .. }) => new > old,
        _ => false,
    };
    grows || new.severity() < old.severity()
}

/// Whether a webhook is to be told of an alert now, and why.
fn why(entry: &Entry, told: Option<&Told>, now: Timestamp) -> Option<Why> {
    let Some(told) = told else { return entry.ended.is_none().then_some(Why::New) };
    let ending = entry.alarm.kind().ending();
    if let Some(ended) = entry.ended {
        let is_told = matches!(ending, Ending::Looked | Ending::Said) && !told.end_told;
        let is_believed = !entry.came_back || now.duration_since(ended).abs() >= SAME_WITHIN;
        return (is_told && is_believed).then_some(Why::Over);
    }
    if ending == Ending::Quiet && entry.last_met <= told.at {
        return None;
    }
    let silence = now.duration_since(told.at);
    let index = usize::try_from(told.times.max(1) - 1).unwrap_or(usize::MAX);
    let pause = REMINDERS.get(index).or(REMINDERS.last()).copied().unwrap_or(SignedDuration::MAX);
    // A clock that was set back must not keep the reminder away.
    (silence >= pause || silence.is_negative()).then_some(Why::Again)
}

#[cfg(test)]
mod tests;
