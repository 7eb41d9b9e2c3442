//! Everything that can be told, told.

use std::collections::BTreeSet;

use super::calls::{Answered, Calls};
use super::hooks::Hooks;
use super::tally::{Batches, Times};
use super::*;
use crate::fulfilment::answer::Answer;
use crate::kind::Kind;
use crate::store;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Of a server that has done everything.
fn full() -> Snapshot {
    let (calls, hooks) = (Calls::default(), Hooks::default());
    let took = Duration::from_millis(3);
    let call = Answered {
        family: "basic-v2",
        activity: Some("newInstance"),
        is_test: true,
        result: "000000",
        replayed: true,
        waited: false,
        took,
    };
    calls.note(&call);
    hooks.note(Kind::Saas, &Ok(Answer::Pending), took);
    let (batches, times) = (Batches::default(), Times::default());
    batches.note(3);
    times.note_time(took);
    let counters = CountersNow {
        accepted: 9,
        accept_errors: 1,
        requests: 8,
        refused: 2,
        evicted: 1,
        handshakes: 5,
        handshakes_refused: 1,
        handshakes_abandoned: 2,
        panics: 0,
        threads: 3,
        open: 2,
    };
    let numbers = store::Numbers {
        licenses_requested: store::Waiting { count: 2, since: Some(at(500)) },
        alerts: vec![("job-dead".to_owned(), 3), ("of-a-newer-koogate".to_owned(), 1)],
        jobs_waiting: store::Waiting { count: 4, since: Some(at(990)) },
        jobs_running: 1,
        license_jobs: 2,
        creating: store::Waiting { count: 1, since: Some(at(400)) },
        frozen_paid: 1,
        last_call: Some(at(900)),
        last_test_call: Some(at(500)),
    };
    let copy = Copy { age: Duration::from_secs(59), limit: Duration::from_secs(900), taken: Some(at(941)) };
    Snapshot {
        now: at(1000),
        is_healthy: true,
        work: Work { jobs_dead: 1, jobs_failing: 2, numbers, stocks: vec![("a \"b\"\\".to_owned(), 7, 5)] },
        calls: calls.now(),
        unrecorded: 1,
        refused: vec![("key", 3), ("clock", 0)],
        hooks: hooks.now(),
        counts: Counts { commits: 6, works: 10 },
        commits: CommitsNow { failed: 1, queued: 2, batches: batches.now(), times: times.now(), syncs: times.now() },
        storage: Storage {
            is_writable: true,
            database: 4096,
            wal: 0,
            snapshot: Some(4096),
            free: Some(1 << 30),
            copy,
            series: Some(Copy { age: Duration::from_secs(3600), ..copy }),
            drilled: Some(at(100)),
        },
        certificate: Some(SignedDuration::from_hours(24)),
        usage: Usage { waiting: 3, due: 4, oldest_due: SignedDuration::from_secs(61) },
        open_api: Some(OpenApi {
            calls: vec![CallCount { call: "order query", result: "done", count: 7 }],
            is_locked: true,
            clock_difference: Some(SignedDuration::from_secs(-3)),
        }),
        listeners: vec![Listener { name: "public", limit: 256, is_tls: true, counters }],
        process: Process { cpu: Duration::from_millis(1500), resident: 1 << 20, ..Process::default() },
        started: at(1),
    }
}

#[track_caller]
fn says(text: &str, lines: &[&str]) {
    let block = lines.join("\n");
    assert!(text.contains(&format!("{block}\n")), "{block}\n\nis not in\n\n{text}");
}

#[test]
fn a_full_page_has_every_metric_of_the_table_in_its_order_and_no_other() {
    for format in [Format::OpenMetrics, Format::Plain] {
        let text = render(full(), format);
        let end = |metric: &table::Metric| format == Format::Plain && metric.sort == table::Sort::Counter;
        let expected: Vec<_> = table::ALL
            .iter()
            .map(|metric| format!("{}{}", metric.name, if end(metric) { "_total" } else { "" }))
            .collect();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        assert_eq!(types.collect::<Vec<_>>(), expected, "{format:?}");
    }
}

#[test]
fn names_are_said_once_and_follow_the_conventions() {
    let names: BTreeSet<_> = table::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), table::ALL.len());
    for metric in table::ALL {
        let (name, ours) = (metric.name, metric.name.starts_with("koogate_") || metric.name.starts_with("process_"));
        assert!(ours && !name.ends_with("_total") && !name.ends_with("_count"), "{name}");
        assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
    }
}

/// A series with its value, whatever the order of its labels and the form of whole numbers.
fn unified(line: &str) -> String {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').map(|label| label.replace(".0\"", "\"")).collect();
    labels.sort_unstable();
    format!("{name} {} {}", labels.join(","), value.parse::<f64>().unwrap())
}

#[test]
fn the_two_formats_tell_the_same_numbers() {
    let numbers = |format| -> BTreeSet<String> {
        render(full(), format).lines().filter(|line| !line.starts_with('#')).map(unified).collect()
    };
    assert_eq!(numbers(Format::OpenMetrics), numbers(Format::Plain));
    assert!(render(full(), Format::OpenMetrics).ends_with("# EOF\n"));
}

#[test]
fn the_text_is_that_of_prometheus() {
    let text = render(full(), Format::Plain);
    says(
        &text,
        &[
            "# HELP koogate_jobs_dead Jobs that were given up and wait for somebody",
            "# TYPE koogate_jobs_dead gauge",
            "koogate_jobs_dead 1",
        ],
    );
    says(
        &text,
        &[
            "# TYPE koogate_calls_total counter",
            "koogate_calls_total{environment=\"test\",family=\"basic-v2\",activity=\"newInstance\",result=\"000000\"} 1",
        ],
    );
    says(&text, &["koogate_call_duration_seconds_bucket{family=\"basic-v2\",le=\"0.0025\"} 0"]);
    says(&text, &["koogate_call_duration_seconds_bucket{family=\"basic-v2\",le=\"0.005\"} 1"]);
    says(&text, &["koogate_call_duration_seconds_bucket{family=\"basic-v2\",le=\"+Inf\"} 1"]);
    says(&text, &["koogate_call_duration_seconds_count{family=\"basic-v2\"} 1"]);
    says(&text, &["koogate_creations_oldest_seconds 600"]);
    says(
        &text,
        &["koogate_jobs{state=\"waiting\"} 4", "koogate_jobs{state=\"running\"} 1", "koogate_jobs{state=\"dead\"} 1"],
    );
    says(&text, &["koogate_stock_unused{stock=\"a \\\"b\\\"\\\\\"} 7"]);
    says(&text, &["koogate_hook_attempts_total{kind=\"saas\",outcome=\"pending\"} 1"]);
    says(&text, &["koogate_tls_handshakes_total{result=\"done\"} 5"]);
    says(&text, &["koogate_open_api_calls_total{call=\"order query\",result=\"done\"} 7"]);
    says(&text, &["koogate_open_api_clock_difference_seconds -3"]);
    says(&text, &["process_cpu_seconds_total 1.5"]);
    says(&text, &["process_resident_memory_bytes 1048576"]);
}

#[test]
fn what_does_not_apply_is_not_told() {
    let text = render(Snapshot::default(), Format::Plain);
    for absent in [
        "koogate_certificate",
        "koogate_open_api",
        "koogate_snapshot_series",
        "koogate_stock",
        "koogate_calls_total",
        "koogate_last_call",
        "koogate_connections",
    ] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    says(&text, &["koogate_creations_oldest_seconds 0"]);
}

#[test]
fn alerts_are_told_of_every_kind_that_is_known() {
    let text = render(full(), Format::Plain);
    says(&text, &["koogate_alerts{kind=\"job-dead\"} 3"]);
    says(&text, &["koogate_alerts{kind=\"stock-empty\"} 0"]);
    assert!(!text.contains("newer-koogate"), "{text}");
    says(&text, &["koogate_licenses_requested 2"]);
    says(&text, &["koogate_licenses_requested_oldest_seconds 500"]);
}
