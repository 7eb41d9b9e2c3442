//! The small pieces of pages: badges, callouts, lists of facts, masked secrets.

use maud::{Markup, html};

use super::form::{Weight, button};
use super::layout::View;
use super::text::{Bilingual, Text, text};

/// How things stand. Each has a sign besides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Costs money, or will.
    Bad,
    /// Neither good nor bad.
    Quiet,
}

impl Tone {
    /// Its class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }

    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Warn => "!",
            Self::Bad => "✕",
            Self::Quiet => "·",
        }
    }
}

/// A word about a state.
pub fn badge(view: &View<'_>, tone: Tone, name: &impl Bilingual) -> Markup {
    html! {
        span class={ "badge " (tone.class()) } { span.sign aria-hidden="true" { (tone.sign()) } " " (view.say(name)) }
    }
}

/// Something that stands out, with a heading.
pub fn callout(view: &View<'_>, tone: Tone, heading: &impl Bilingual, body: &Markup) -> Markup {
    html! {
        div class={ "callout " (tone.class()) } {
            p.head { span.sign aria-hidden="true" { (tone.sign()) } " " (view.say(heading)) }
            (body)
        }
    }
}

/// Facts with their names.
pub fn facts(view: &View<'_>, facts: &[(Text, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts { div { dt { (view.say(name)) } dd { (value) } } }
        }
    }
}

/// A part of a page with its heading. `id` is unique on the page.
pub fn section(view: &View<'_>, id: &str, heading: &impl Bilingual, body: &Markup) -> Markup {
    let heading_id = format!("{id}-heading");
    html! {
        section #(id) aria-labelledby=(heading_id) {
            h2 #(heading_id) { (view.say(heading)) }
            (body)
        }
    }
}

const HIDDEN: Text = text("已隐藏", "hidden");
const REVEAL: Text = text("显示（将被记录）", "Show (recorded)");

/// A secret that is there and not shown, with the button that shows it; `action` records the click.
pub fn masked(view: &View<'_>, action: &str, hidden: &[(&str, &str)]) -> Markup {
    html! {
        span.masked { span aria-hidden="true" { "••••••••" } span.unseen { (view.say(&HIDDEN)) } }
        " " (button(view, action, REVEAL, Weight::Plain, hidden))
    }
}
