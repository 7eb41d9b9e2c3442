//! What is due becomes one message: a block for each kind of alarm, the gravest first, within a limit of bytes. Pure.

use super::beijing::written;
use super::ledger::{Due, Why};
use super::{Kind, Severity};
use crate::text::{Both, Language};

/// So many alarms of a kind are named, the others counted.
const NAMED: usize = 5;

/// A message, before it takes a form that one kind of webhook understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// In a few words.
    pub title: String,
    /// Blocks of lines; bold is between two asterisks each.
    pub blocks: Vec<Vec<String>>,
    /// The gravest of it; `None`: all of it is over.
    pub severity: Option<Severity>,
}

impl Message {
    /// Lines joined by `end`, blocks set apart by one more; no longer than `limit` bytes. What has no room is counted.
    pub fn text(&self, end: &str, limit: usize) -> String {
        let blocks: Vec<String> = self.blocks.iter().map(|lines| lines.join(end)).collect();
        let gap = end.repeat(2);
        let rest = |count: usize| format!("… +{count}: koogate alert list");
        let mut text = format!("**{}**", self.title);
        for (index, block) in blocks.iter().enumerate() {
            let left = blocks.len() - index;
            let is_last = left == 1;
            let reserve = if is_last { 0 } else { gap.len() + rest(left).len() };
            if text.len() + gap.len() + block.len() + reserve > limit {
                text = text + &gap + &rest(left);
                break;
            }
            text = text + &gap + block;
        }
        truncated(text, limit)
    }
}

/// The message for what is due; `due` is in the order of the ledger.
pub fn compose(due: &[Due], languages: &[Language]) -> Message {
    let mut groups: Vec<(Kind, bool, Vec<&Due>)> = Vec::new();
    for due in due {
        let (kind, is_over) = (due.key.0, due.why == Why::Over);
        match groups.iter_mut().find(|(other, over, _)| (*other, *over) == (kind, is_over)) {
            Some((_, _, members)) => members.push(due),
            None => groups.push((kind, is_over, vec![due])),
        }
    }
    let standing: Vec<&Due> = due.iter().filter(|due| due.why != Why::Over).collect();
    let urgent = standing.iter().filter(|due| due.alarm.severity() == Severity::Urgent).count();
    let over = due.len() - standing.len();
    Message {
        title: joined(&title(standing.len(), urgent, over), languages, " / "),
        blocks: groups.iter().map(|(kind, is_over, members)| block(*kind, *is_over, members, languages)).collect(),
        severity: standing.iter().map(|due| due.alarm.severity()).min(),
    }
}

/// A message that only shows that messages arrive.
pub fn trial(languages: &[Language]) -> Message {
    let says =
        Both::new("koogate 的测试消息：告警会发送到这里。", "A test message of koogate: its alerts will come here.");
    Message {
        title: joined(&Both::new("koogate：测试", "koogate: test"), languages, " / "),
        blocks: vec![languages.iter().map(|language| says.of(*language).to_owned()).collect()],
        severity: None,
    }
}

fn title(standing: usize, urgent: usize, over: usize) -> Both {
    let alerts = if standing == 1 { "alert" } else { "alerts" };
    match (standing, over) {
        (0, over) => Both::new(format!("koogate：已恢复 {over} 项"), format!("koogate: {over} over")),
        (standing, 0) => Both::new(
            format!("koogate：{standing} 项告警，{urgent} 项紧急"),
            format!("koogate: {standing} {alerts}, {urgent} urgent"),
        ),
        (standing, over) => Both::new(
            format!("koogate：{standing} 项告警，{urgent} 项紧急，已恢复 {over} 项"),
            format!("koogate: {standing} {alerts}, {urgent} urgent, {over} over"),
        ),
    }
}

fn block(kind: Kind, is_over: bool, members: &[&Due], languages: &[Language]) -> Vec<String> {
    let count = members.len();
    let times = if count > 1 { format!(" ×{count}") } else { String::new() };
    if is_over {
        let over = Both::new("已恢复：", "over: ");
        let ids: Vec<&str> = members.iter().map(|due| due.key.1.as_str()).filter(|id| !id.is_empty()).collect();
        let mut lines: Vec<String> = languages
            .iter()
            .map(|language| format!("🟢 {}{}{times}", over.of(*language), kind.heading().of(*language)))
            .collect();
        if !ids.is_empty() {
            let shown: Vec<String> = ids.iter().take(NAMED).map(|id| super::words::id(id)).collect();
            lines.push(format!("{}{}", shown.join(", "), more(ids.len())));
        }
        return lines;
    }
    let is_urgent = members.iter().any(|due| due.alarm.severity() == Severity::Urgent);
    let sign = if is_urgent { "🔴" } else { "🟡" };
    let still = members.iter().all(|due| due.why == Why::Again);
    let since = members.iter().map(|due| due.since).min();
    let mut lines = Vec::new();
    for language in languages {
        let words = |zh: &'static str, en: &'static str| match language {
            Language::Zh => zh,
            Language::En => en,
        };
        let still = if still { words("（仍未解决）", " (still)") } else { "" };
        lines.push(format!("{sign} **{}{times}{still}**", kind.heading().of(*language)));
        let whats = members.iter().take(NAMED).map(|due| due.alarm.what());
        let heading = kind.heading();
        lines.extend(whats.filter(|what| *what != heading).map(|what| what.of(*language).to_owned()));
        if count > NAMED {
            lines.push(more(count));
        }
        if let Some(since) = since {
            lines.push(format!("{}{}", words("自（北京时间）：", "Since (Beijing): "), written(since)));
        }
        lines.push(format!("{}{}", words("影响：", "Cost: "), kind.cost().of(*language)));
        lines.push(format!("{}{}", words("处理：", "Mend: "), kind.mend().of(*language)));
    }
    lines
}

fn more(count: usize) -> String {
    if count > NAMED { format!(" … +{}", count - NAMED) } else { String::new() }
}

fn joined(text: &Both, languages: &[Language], between: &str) -> String {
    languages.iter().map(|language| text.of(*language)).collect::<Vec<_>>().join(between)
}

fn truncated(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::alert::Alarm;

    fn due(alarm: Alarm, why: Why) -> Due {
        Due {
            key: (alarm.kind(), alarm.subject()),
            alarm,
            since: Timestamp::from_second(1_795_674_300).unwrap(),
            times: 1,
            told: 0,
            ended: None,
            why,
        }
    }

    fn dead(job: i64) -> Alarm {
        let about = format!("i-{job}");
        Alarm::JobDead { job, task: "instance.create".to_owned(), retry: format!("instance retry {about}"), about }
    }

    #[test]
    fn a_hundred_dead_jobs_are_one_block_with_a_count_and_the_first() {
        let all: Vec<Due> = (1..=100).map(|job| due(dead(job), Why::New)).collect();
        let message = compose(&all, &[Language::En]);
        assert_eq!(message.blocks.len(), 1);
        let text = message.text("\n", 4096);
        assert_eq!(
            text,
            "**koogate: 100 alerts, 100 urgent**\n\n🔴 **a job was given up ×100**\n\
             job 1 (instance.create, i-1) was given up: koogate instance retry i-1\n\
             job 2 (instance.create, i-2) was given up: koogate instance retry i-2\n\
             job 3 (instance.create, i-3) was given up: koogate instance retry i-3\n\
             job 4 (instance.create, i-4) was given up: koogate instance retry i-4\n\
             job 5 (instance.create, i-5) was given up: koogate instance retry i-5\n … +95\n\
             Since (Beijing): 2026-11-26 14:25\n\
             Cost: a buyer does not have what was bought until it is tried again\n\
             Mend: mend the application, then try again with the command shown"
        );
    }

    #[test]
    fn both_languages_stand_one_after_the_other_and_ends_are_short() {
        let all = [due(Alarm::DatabaseUnwritable, Why::Again), due(dead(7), Why::Over)];
        let text = compose(&all, &[Language::Zh, Language::En]).text("\n", 4096);
        assert!(
            text.starts_with("**koogate：1 项告警，1 项紧急，已恢复 1 项 / koogate: 1 alert, 1 urgent, 1 over**"),
            "{text}"
        );
        assert!(
            text.contains("🔴 **数据库无法写入（仍未解决）**\n自") && text.contains("written (still)**\nSince"),
            "{text}"
        );
        assert!(text.ends_with("🟢 已恢复：后台任务已放弃\n🟢 over: a job was given up\n7"), "{text}");
    }

    proptest! {
        #[test]
        fn no_message_is_longer_than_its_limit(kinds in 1_i64..60, limit in 80_usize..4096) {
            let mut all: Vec<Due> = (0..kinds).map(|job| due(dead(job), Why::New)).collect();
            all.extend((0..kinds).map(|n| due(Alarm::StockEmpty { stock: format!("库存{n}") }, Why::New)));
            all.push(due(Alarm::CallFailed, Why::New));
            let text = compose(&all, &[Language::Zh, Language::En]).text("\n\n", limit);
            prop_assert!(text.len() <= limit);
        }
    }
}
