//! Background work: what was given up, what fails and is tried again, what waits.

use maud::{Markup, html};

use super::form::{Field, Input, Question, Weight, address, filter, question};
use super::layout::View;
use super::list::{Continued, continued, link_to, order_link, state};
use super::pieces::{Tone, callout};
use super::shown::{foreign, foreign_or_dash, time};
use super::table::{Column, column, number, table};
use super::text::{Text, text, words};
use crate::store::{JobRow, Subject};

/// The heading of the page.
pub const TITLE: Text = text("后台任务", "Jobs");

/// What is asked for, as the address says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'a> {
    /// `dead`, `failing`, `waiting`, `running` or `all`.
    pub state: &'a str,
    /// One task; empty: all.
    pub task: &'a str,
}

/// What jobs do, as the database has it.
pub const TASKS: [&str; 14] = [
    "instance.create",
    "instance.renew",
    "instance.freeze",
    "instance.unfreeze",
    "instance.upgrade",
    "instance.release",
    "license.issue",
    "license.upload",
    "order.query",
    "order.notify",
    "tenant.sync",
    "application.sync",
    "users.sync",
    "departments.sync",
];

const COLUMNS: [Column; 7] = [
    number("编号", "No."),
    column("任务", "Task"),
    column("对象", "About"),
    column("状态", "State"),
    number("次数", "Attempts"),
    column("下次执行", "Next"),
    column("最近的错误", "Last error"),
];

/// The body of the page. `dead` is how many jobs of the task were given up.
pub fn body(view: &View<'_>, asked: &Asked<'_>, dead: i64, jobs: &[JobRow], next: &Continued) -> Markup {
    let states = vec![
        ("dead", text("已放弃", "Given up")),
        ("failing", text("失败后等待重试", "Failing: to be tried again")),
        ("waiting", text("等待中", "Waiting")),
        ("running", text("执行中", "Running")),
        ("all", text("全部，最新在前", "All, newest first")),
    ];
    let all = std::iter::once(("", text("全部", "All")));
    let tasks = all.chain(TASKS.iter().map(|name| (*name, Text { zh: name, en: name }))).collect();
    html! {
        (filter(view, "/jobs", text("筛选任务", "Filter jobs"), &[
            Field { name: "state", label: text("状态", "State"), input: Input::Choice { options: states, chosen: asked.state } },
            Field { name: "task", label: text("任务", "Task"), input: Input::Choice { options: tasks, chosen: asked.task } },
        ]))
        @if asked.state == "dead" && dead > 0 {
            (callout(view, Tone::Bad, &words(format!("已放弃的任务：{dead}"), format!("Jobs given up: {dead}")), &html! {
                p { (view.say(&text(
                    "koogate 不会再自动重试。请先按“最近的错误”排除原因（应用不可达、返回错误、库存为空），再重试。",
                    "koogate does not try them again by itself. Mend what the last error says first (your application cannot be \
                     reached or refuses, a stock is empty), then retry.",
                ))) }
                p { a.button href=(address("/retry/jobs", &[("task", asked.task)])) { (view.say(&text("全部重试…", "Retry all…"))) } }
            }))
        }
        (jobs_table(view, jobs))
        (continued(view, next))
    }
}

/// Jobs as a table, each with the way to try it again.
pub fn jobs_table(view: &View<'_>, jobs: &[JobRow]) -> Markup {
    let rows: Vec<_> = jobs.iter().map(|job| row(view, job)).collect();
    table(view, view.say(&TITLE), &COLUMNS, &rows, &text("没有任务。", "There is no job."))
}

fn row(view: &View<'_>, job: &JobRow) -> Vec<Markup> {
    let about = match job.subject {
        Subject::Operation { instance, .. } => {
            html! { a href={ "/instances/" (instance) } { (super::shown::foreign_short(&job.subject_id)) } }
        }
        Subject::Tenant(_) => link_to("/tenants", &job.subject_id),
        Subject::Order => order_link(Some(&job.subject_id)),
    };
    let can_retry = job.state == "dead" || job.state == "waiting";
    vec![
        html! { (job.row) },
        html! { code { (job.task) } },
        about,
        html! {
            (state(view, &job.state))
            @if can_retry { " " a href={ "/jobs/" (job.row) "/retry" } { (view.say(&text("重试…", "Retry…"))) } }
        },
        html! { (job.attempt) },
        if matches!(job.state.as_str(), "waiting" | "running") {
            time(job.run_at)
        } else {
            html! { (super::shown::NOTHING) }
        },
        match job.last_error.as_deref() {
            Some(error) if error.chars().count() > 48 => {
                html! { details { summary { (super::shown::foreign_short(error)) } (foreign(error)) } }
            }
            error => foreign_or_dash(error),
        },
    ]
}

/// The question before all jobs that were given up are tried again: so many; `seen` tells which.
pub fn retry_all_question(view: &View<'_>, dead: i64, task: &str, seen: &str) -> Markup {
    let consequences = html! {
        p {
            (view.say(&words(
                format!("将立即重试已放弃的任务，共 {dead} 个"),
                format!("Jobs that were given up are tried again at once: {dead}"),
            )))
            @if !task.is_empty() { ", " code { (task) } } "."
        }
        p { (view.say(&text(
            "同一实例或租户的任务一起重试，按原来的顺序；已被后续操作取代的保持放弃。每个应用调用使用与之前相同的 operationId。",
            "Those of one instance or tenant go together, in their order. What later work has overtaken stays given up. Your \
             application sees the same operationIds as before.",
        ))) }
    };
    let back = address("/jobs", &[("task", task)]);
    let hidden = vec![("seen", seen), ("task", task)];
    question(
        view,
        &Question {
            consequences,
            action: "/retry/jobs",
            hidden,
            button: text("全部重试", "Retry all"),
            weight: Weight::Main,
            back: &back,
        },
    )
}
