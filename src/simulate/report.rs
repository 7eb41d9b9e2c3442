//! Prints what was found: a table for people, JSON lines for programs.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use super::rehearsal::PartReport;
use super::{CaseReport, Outcome, Report};
use crate::protocol::reply_checks::Severity;

/// The table of all cases and a closing line. `width` is the terminal's in columns; without one nothing is wrapped.
pub fn table(report: &Report, width: Option<u16>) -> String {
    format!("{}\n{}", rows(report, width), summary(report))
}

fn rows(report: &Report, width: Option<u16>) -> String {
    let mut table = Table::new();
    // A column for nothing would cost the others their room.
    let has_findings = report.cases.iter().any(|case| !case.findings.is_empty());
    let columns = if has_findings { 5 } else { 4 };
    let header = ["case", "", "result", "ms", "what to mend"];
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.into_iter().take(columns));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for case in &report.cases {
        let row = [
            case.name.to_owned(),
            case.title.to_owned(),
            word(case.outcome).to_owned(),
            case.elapsed.as_millis().to_string(),
            findings(case),
        ];
        table.add_row(row.into_iter().take(columns));
    }
    table.to_string()
}

/// One sentence with the numbers.
pub fn summary(report: &Report) -> String {
    verdict(|outcome| report.count(outcome), report.is_success())
}

fn verdict(count: impl Fn(Outcome) -> usize, is_success: bool) -> String {
    let parts = [Outcome::Passed, Outcome::Warned, Outcome::Failed, Outcome::Skipped].map(|outcome| {
        let count = count(outcome);
        (count > 0).then(|| format!("{count} {}", word(outcome)))
    });
    let counts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if is_success {
        format!("{counts}: KooGallery would accept this server")
    } else {
        format!("{counts}: KooGallery would not accept this server")
    }
}

/// The tables of a rehearsal with their headings, and its verdict.
pub fn rehearsal(parts: &[PartReport], width: Option<u16>) -> String {
    let table = |part: &PartReport| format!("{} ({})\n{}\n", part.title, part.name, rows(&part.report, width));
    let count = |outcome| parts.iter().map(|part| part.report.count(outcome)).sum();
    let verdict = verdict(count, super::rehearsal::is_success(parts));
    format!("{}\n{verdict}", parts.iter().map(table).collect::<Vec<_>>().join("\n"))
}

/// One case of a part of a rehearsal as one JSON object, without the line's end.
pub fn json_line_of(part: &str, case: &CaseReport) -> String {
    let mut object = json_object(case);
    object["part"] = json!(part);
    object.to_string()
}

/// One case as one JSON object, without the line's end.
pub fn json_line(case: &CaseReport) -> String {
    json_object(case).to_string()
}

fn json_object(case: &CaseReport) -> Value {
    let findings = case.findings.iter().map(|finding| {
        let severity = if finding.severity == Severity::Fail { "fail" } else { "warn" };
        json!({"severity": severity, "rule": finding.rule, "text": finding.text, "console": finding.console})
    });
    json!({
        "case": case.name,
        "title": case.title,
        "result": word(case.outcome),
        "milliseconds": u64::try_from(case.elapsed.as_millis()).unwrap_or(u64::MAX),
        "findings": findings.collect::<Vec<Value>>(),
    })
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Warned => "warned",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

fn findings(case: &CaseReport) -> String {
    let texts = case.findings.iter().map(|finding| {
        let kind = if finding.severity == Severity::Warn { "(warning) " } else { "" };
        let console = finding.console.as_ref().map(|said| format!("\n控制台: {said}")).unwrap_or_default();
        format!("{kind}{}{console}", finding.text)
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::reply_checks::Finding;

    fn case(name: &'static str, outcome: Outcome, findings: Vec<Finding>) -> CaseReport {
        CaseReport { name, title: "新购", outcome, findings, elapsed: Duration::from_millis(12) }
    }

    fn report() -> Report {
        let warned = Finding::warn("slow", "answered after 6000 ms");
        Report { cases: vec![case("create", Outcome::Passed, vec![]), case("query", Outcome::Warned, vec![warned])] }
    }

    #[test]
    fn the_table_has_a_row_for_each_case_and_ends_with_the_verdict() {
        let text = table(&report(), None);
        assert!(text.contains("create") && text.contains("新购") && text.contains("(warning) answered after 6000 ms"));
        assert!(text.ends_with("1 passed, 1 warned: KooGallery would accept this server"), "{text}");
    }

    #[test]
    fn where_nothing_is_to_be_mended_there_is_no_column_for_it() {
        let good = Report { cases: vec![case("create", Outcome::Passed, vec![])] };
        assert!(!table(&good, None).contains("what to mend"));
        assert!(table(&report(), None).contains("what to mend"));
    }

    #[test]
    fn the_table_keeps_to_the_terminal() {
        let mut report = report();
        let long = Finding::fail("length", "memo has 1025 characters; at most 1024 are allowed ".repeat(5));
        report.cases.push(case("release", Outcome::Failed, vec![long]));
        let text = table(&report, Some(80));
        // The presentation of wide characters aside, no line has more characters than columns.
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.ends_with("1 passed, 1 warned, 1 failed: KooGallery would not accept this server"), "{text}");
    }

    #[test]
    fn nothing_played_is_no_success() {
        assert!(!Report::default().is_success());
        assert!(!Report { cases: vec![case("create", Outcome::Skipped, vec![])] }.is_success());
    }

    #[test]
    fn a_json_line_is_one_object_on_one_line() {
        let line = json_line(&report().cases[1]);
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value,
            json!({
                "case": "query", "title": "新购", "result": "warned", "milliseconds": 12,
                "findings": [{"severity": "warn", "rule": "slow", "text": "answered after 6000 ms", "console": null}],
            })
        );
    }
}
