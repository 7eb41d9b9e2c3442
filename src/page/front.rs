//! The first page: what costs money, then what happened, then how koogate is.

use maud::{Markup, html};

use super::layout::View;
use super::pieces::{Tone, badge, facts, section};
use super::text::{Text, Words, text, words};

/// What the page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Why koogate is not ready, as `/readyz` says it.
    pub not_ready: Option<String>,
    /// Jobs that have been given up.
    pub jobs_dead: i64,
    /// Requests that were turned away since the start.
    pub refused: u64,
}

/// The heading of the page.
pub const TITLE: Text = text("总览", "Overview");

const HEALTH: Text = text("运行状况", "Health");

/// The body of the page.
pub fn body(view: &View<'_>, front: &Front) -> Markup {
    let ready: Words = match &front.not_ready {
        None => words("就绪", "ready"),
        Some(problem) => words(format!("未就绪：{problem}"), format!("not ready: {problem}")),
    };
    let tone = if front.not_ready.is_none() { Tone::Good } else { Tone::Bad };
    let facts = facts(
        view,
        &[
            (text("状态", "State"), badge(view, tone, &ready)),
            (text("已放弃的任务", "Jobs given up"), html! { (front.jobs_dead) }),
            (text("启动以来拒绝的请求", "Requests refused since the start"), html! { (front.refused) }),
        ],
    );
    html! { (section(view, "health", &HEALTH, &facts)) }
}
