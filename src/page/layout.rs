//! What is around every page: head, navigation, the switch of languages, the message after an action, the footer.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::place::{NAVIGATION, Place};
use super::style;
use super::text::{Bilingual, Language, Text, Words, text};

/// Who looks at a page, and how.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// In which language.
    pub language: Language,
    /// When.
    pub now: Timestamp,
    /// What each form of this session carries; `None`: nobody is logged in.
    pub csrf: Option<&'a str>,
    /// Path and query of the page, to come back to.
    pub target: &'a str,
    /// What has become of the action before.
    pub flash: Option<&'a Flash>,
}

/// What has become of an action: shown once, on the page after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// Whether it was done.
    pub is_good: bool,
    /// In words.
    pub message: Words,
}

impl View<'_> {
    /// A text in the language of the page.
    pub fn say<'t>(&self, text: &'t (impl Bilingual + ?Sized)) -> &'t str {
        text.in_language(self.language)
    }
}

const SKIP: Text = text("跳到正文", "Skip to the content");
const NAVIGATION_NAME: Text = text("主导航", "Main");
const LOG_OUT: Text = text("退出", "Log out");
const LANGUAGE: Text = text("语言", "Language");
const ZONE: Text = text("时间均为北京时间（UTC+8）", "Times are Beijing time (UTC+8)");
const AS_OF: Text = text("本页生成于", "This page is of");

/// A whole page. `place` is the one of the navigation it belongs to; `title` is its heading, too.
pub fn page(view: &View<'_>, place: Option<Place>, title: &str, body: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang=(view.language.tag()) {
            (head(title))
            body {
                a.skip href="#content" { (view.say(&SKIP)) }
                header {
                    a.brand href="/" { "koogate" }
                    (languages(view))
                    @if let Some(csrf) = view.csrf {
                        form.logout method="post" action="/logout" {
                            input type="hidden" name="csrf" value=(csrf);
                            button.quiet type="submit" { (view.say(&LOG_OUT)) }
                        }
                    }
                }
                @if view.csrf.is_some() { (navigation(view, place)) }
                main #content tabindex="-1" {
                    @if let Some(flash) = view.flash {
                        p.flash .good[flash.is_good] .bad[!flash.is_good] role="status" {
                            span.sign aria-hidden="true" { @if flash.is_good { "✓" } @else { "✕" } }
                            " " (view.say(&flash.message))
                        }
                    }
                    h1 { (title) }
                    (body)
                }
                footer {
                    p { (view.say(&AS_OF)) " " (super::shown::time(view.now)) " · " (view.say(&ZONE)) }
                    p { "koogate " (env!("CARGO_PKG_VERSION")) }
                }
            }
        }
    };
    markup.into_string()
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            title { (title) " · koogate" }
            link rel="stylesheet" href={ "/static/" (style::sheet_name()) };
            link rel="icon" type="image/svg+xml" href={ "/static/" (style::ICON_NAME) };
        }
    }
}

fn navigation(view: &View<'_>, here: Option<Place>) -> Markup {
    html! {
        nav aria-label=(view.say(&NAVIGATION_NAME)) {
            ul {
                @for place in NAVIGATION {
                    li {
                        a href=(place.path) aria-current=[(here == Some(*place)).then_some("page")] {
                            (view.say(&place.name))
                        }
                    }
                }
            }
        }
    }
}

/// A link to the same page in the other language.
fn languages(view: &View<'_>) -> Markup {
    let other = match view.language {
        Language::Zh => Language::En,
        Language::En => Language::Zh,
    };
    let href = super::form::address("/language", &[("to", other.code()), ("next", view.target)]);
    html! {
        a.language href=(href) hreflang=(other.tag()) rel="nofollow" {
            span.unseen { (view.say(&LANGUAGE)) ": " }
            span lang=(other.tag()) { (other.name()) }
        }
    }
}
