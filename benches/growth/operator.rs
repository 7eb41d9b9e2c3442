//! What a person asks for: lists by command, by the admin API and on the status page, and how long each takes.

use std::time::Duration;

use jiff::Timestamp;

use crate::report::{Table, median};
use crate::rows;
use crate::subject::{Server, Subject, TOKEN};

/// Each is asked for so often; the median counts.
const TIMES: usize = 3;

/// Measures and prints all of it.
pub fn measure(subjects: &mut [Subject]) -> Vec<Table> {
    let sizes: Vec<u64> = subjects.iter().map(|subject| subject.exchanges).collect();
    let mut tables = Vec::new();
    let mut table = Table::new("command beside the server, ms", &sizes);
    for (name, _) in commands(&subjects[0]) {
        let of = |subject: &Subject| {
            let arguments = commands(subject).into_iter().find(|(found, _)| *found == name).unwrap().1;
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            often(|| subject.command(&arguments))
        };
        table.row(format!("`{name}`"), 1, subjects.iter().map(|subject| Some(of(subject))).collect());
    }
    table.print();
    tables.push(table);
    let mut table = Table::new("status page and admin API, ms", &sizes);
    let sessions: Vec<String> = subjects.iter().map(|subject| log_in(subject.server())).collect();
    for (name, _) in pages(&subjects[0]) {
        let figures = subjects.iter().zip(&sessions).map(|(subject, session)| {
            let target = pages(subject).into_iter().find(|(found, _)| *found == name).unwrap().1;
            let bearer = format!("Bearer {TOKEN}");
            let is_api = target.starts_with("/api") || target == "/metrics";
            let header = if is_api { ("Authorization", bearer.as_str()) } else { ("Cookie", session.as_str()) };
            Some(often(|| {
                let (head, _, time) = subject.server().admin(&target, &[header]);
                assert!(head.starts_with("HTTP/1.1 200"), "{target}: {head}");
                time
            }))
        });
        table.row(format!("`{name}`"), 1, figures.collect());
    }
    table.print();
    tables.push(table);
    tables
}

fn often(mut ask: impl FnMut() -> Duration) -> f64 {
    let times: Vec<f64> = (0..TIMES).map(|_| ask().as_secs_f64() * 1e3).collect();
    median(&times)
}

/// A day half-way, from and to.
fn old_day() -> (String, String) {
    let at = |days: i64| (Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string();
    (at(90), at(89))
}

/// Names and arguments: of each filter one that finds much and one that finds little.
fn commands(subject: &Subject) -> Vec<(&'static str, Vec<String>)> {
    let middle = subject.instances() / 2 + 1;
    let (from, until) = old_day();
    let list =
        |arguments: &[&str]| ["exchange", "list"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    let instances =
        |arguments: &[&str]| ["instance", "list"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    vec![
        ("exchange list", list(&[])),
        ("exchange list --order", list(&["--order", &rows::order_id(middle)])),
        ("exchange list --order (unknown)", list(&["--order", "none"])),
        ("exchange list --instance", list(&["--instance", &rows::instance_id(middle)])),
        ("exchange list --result 000002", list(&["--result", "000002"])),
        ("exchange list --result 000009 (none)", list(&["--result", "000009"])),
        ("exchange list --result failed", list(&["--result", "failed"])),
        ("exchange list --result failed --limit 1000", list(&["--result", "failed", "--limit", "1000"])),
        ("exchange list --since (a day of months ago)", list(&["--since", &from])),
        ("exchange list --until (the same)", list(&["--until", &until])),
        ("exchange list --since --until (one day)", list(&["--since", &from, "--until", &until])),
        (
            "exchange list --since --until --result 000009",
            list(&["--since", &from, "--until", &until, "--result", "000009"]),
        ),
        ("exchange list --test", list(&["--test"])),
        ("exchange list --test --limit 1000000", list(&["--test", "--limit", "1000000"])),
        ("exchange list --real", list(&["--real"])),
        ("instance list", instances(&[])),
        ("instance list --status frozen", instances(&["--status", "frozen"])),
        ("instance list --status creating", instances(&["--status", "creating"])),
        ("instance list --test", instances(&["--test"])),
        ("instance show", vec!["instance".to_owned(), "show".to_owned(), rows::instance_id(middle)]),
    ]
}

/// Names and targets.
fn pages(subject: &Subject) -> Vec<(&'static str, String)> {
    let middle = subject.instances() / 2 + 1;
    let (order, id) = (rows::order_id(middle), rows::instance_id(middle));
    let plain = |target: &'static str| (target, target.to_owned());
    vec![
        plain("/"),
        plain("/exchanges"),
        ("/exchanges?order=", format!("/exchanges?order={order}")),
        ("/exchanges?instance=", format!("/exchanges?instance={id}")),
        plain("/exchanges?result=failed"),
        plain("/exchanges?result=unanswered"),
        plain("/exchanges?result=000009"),
        plain("/exchanges?environment=test"),
        plain("/exchanges?activity=releaseInstance"),
        plain("/instances"),
        plain("/instances?status=frozen"),
        plain("/instances?status=released"),
        ("/instances?text= (an order)", format!("/instances?text={order}")),
        ("/instances?text= (begins an id)", format!("/instances?text={}", &id[..6])),
        plain("/jobs"),
        plain("/licenses"),
        plain("/traffic"),
        plain("/metrics"),
        plain("/api/v1/instances"),
        plain("/api/v1/instances?status=frozen"),
        ("/api/v1/instances?order=", format!("/api/v1/instances?order={order}")),
        plain("/api/v1/instances?test=true"),
        plain("/api/v1/alerts"),
        plain("/api/v1/licenses"),
    ]
}

/// The cookie of a session of the status page.
fn log_in(server: &Server) -> String {
    let (head, page, _) = server.admin("/login", &[]);
    let form_cookie = cookie(&head, "koogate-form=");
    let form = page.split_once(r#"name="form" value=""#).expect("a login form").1.split_once('"').unwrap().0;
    let head = server.post("/login", &form_cookie, &format!("form={form}&token={TOKEN}"));
    cookie(&head, "koogate-session=")
}

fn cookie(head: &str, name: &str) -> String {
    let at = head.find(name).unwrap_or_else(|| panic!("no cookie: {head}"));
    head[at..].split(';').next().unwrap().to_owned()
}
