//! The login form.

use maud::{Markup, html};

use super::layout::View;
use super::text::{Bilingual, Text, Words, text, words};

/// The heading of the page.
pub const TITLE: Text = text("登录", "Log in");

const TOKEN: Text = text("管理令牌", "Admin token");
const LOG_IN: Text = text("登录", "Log in");

/// Why the form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token is not the one of the configuration.
    WrongToken,
    /// Too many wrong ones; so many seconds until the next is looked at.
    TooMany(u64),
    /// The form was not one that this browser was given lately.
    StaleForm,
}

impl Refusal {
    fn message(self) -> Words {
        match self {
            Self::WrongToken => words("令牌不正确。", "This is not the token."),
            Self::TooMany(seconds) => words(
                format!("错误次数过多，请 {seconds} 秒后再试。曾在此登录过的浏览器不受影响。"),
                format!("Too many wrong tokens: wait {seconds} s. A browser that has logged in before need not."),
            ),
            Self::StaleForm => words(
                "登录表单已过期，请重试。浏览器需允许本站的 Cookie。",
                "This form was out of date: try again. The browser must allow cookies here.",
            ),
        }
    }
}

/// The body of the page. `form` is the token of the form, `next` the path to go on to.
pub fn body(view: &View<'_>, form: &str, next: &str, refusal: Option<Refusal>) -> Markup {
    let hint = html! {
        @match view.language {
            super::Language::Zh => {
                "即 " code { "koogate.toml" } " 中 " code { "[admin] token" } " 的值，通常保存在 " code { "admin.token" } " 文件中。"
            }
            super::Language::En => {
                "The value of " code { "[admin] token" } " in " code { "koogate.toml" } "; usually in the file "
                code { "admin.token" } "."
            }
        }
    };
    html! {
        @if let Some(refusal) = refusal {
            p.flash.bad role="alert" #refusal {
                span.sign aria-hidden="true" { "✕" } " " (refusal.message().in_language(view.language))
            }
        }
        form.login method="post" action="/login" {
            input type="hidden" name="form" value=(form);
            input type="hidden" name="next" value=(next);
            // Password managers ask for it; whoever operates koogate is one.
            input.unseen type="text" name="username" value="koogate" autocomplete="username" readonly tabindex="-1"
                aria-hidden="true";
            div.field {
                label for="token" { (view.say(&TOKEN)) }
                input #token type="password" name="token" required autocomplete="current-password" autofocus
                    aria-describedby=[refusal.map_or(Some("token-hint"), |_| Some("refusal token-hint"))]
                    aria-invalid=[(refusal == Some(Refusal::WrongToken)).then_some("true")];
                p.hint #token-hint { (hint) }
            }
            div.buttons { button.main type="submit" { (view.say(&LOG_IN)) } }
        }
    }
}

/// The body of the page that a form leads to whose session has ended.
pub fn again(view: &View<'_>) -> Markup {
    html! {
        p { (view.say(&text("未执行任何操作。请重新登录后再试。", "Nothing was done. Log in and try again."))) }
        p { a.button.main href="/login" { (view.say(&LOG_IN)) } }
    }
}
