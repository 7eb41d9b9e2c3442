//! Pages that say why there is no other.

use maud::{Markup, html};

use super::layout::View;
use super::text::{Text, Words, text, words};

/// Why a page is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing has this address.
    NotFound,
    /// The address has no such method; these it has.
    WrongMethod(String),
    /// The request cannot be read: what is wrong with it.
    BadRequest(Words),
    /// Things do not stand as the action needs them.
    Conflict(Words),
    /// The form was not of this session, or came from another site. Nothing was done.
    Forged,
    /// The session has ended meanwhile. Nothing was done.
    LoggedOut,
    /// The log says why.
    Internal,
}

impl Trouble {
    /// Its HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::WrongMethod(_) => 405,
            Self::BadRequest(_) => 400,
            Self::Conflict(_) => 409,
            Self::Forged | Self::LoggedOut => 403,
            Self::Internal => 500,
        }
    }

    /// The heading of its page.
    pub fn title(&self) -> Text {
        match self {
            Self::NotFound => text("没有此页面", "There is no such page"),
            Self::WrongMethod(_) => text("不支持的请求方式", "Not this way"),
            Self::BadRequest(_) => text("无法识别的请求", "This cannot be read"),
            Self::Conflict(_) => text("当前状态不允许此操作", "This cannot be done now"),
            Self::Forged => text("请求未被接受", "This was not accepted"),
            Self::LoggedOut => text("登录已结束", "You are not logged in any more"),
            Self::Internal => text("内部错误", "Internal error"),
        }
    }

    fn message(&self) -> Words {
        match self {
            Self::NotFound => words("地址有误，或记录已被清理。", "The address is wrong, or the record was purged."),
            Self::WrongMethod(allowed) => {
                words(format!("此地址仅支持 {allowed}。"), format!("This address answers {allowed} only."))
            }
            Self::BadRequest(message) | Self::Conflict(message) => message.clone(),
            Self::Forged => words(
                "表单不属于本次登录，或来自其他网站。未执行任何操作。请返回页面重新操作。",
                "The form was not of this login, or came from another site. Nothing was done. Go back, reload the page and \
                 try again.",
            ),
            Self::LoggedOut => words("未执行任何操作。请重新登录。", "Nothing was done. Log in and try again."),
            Self::Internal => words("原因见日志。", "The log says why."),
        }
    }
}

const GO_ON: Text = text("返回总览", "To the overview");

/// The body of its page.
pub fn body(view: &View<'_>, trouble: &Trouble) -> Markup {
    html! {
        p { (view.say(&trouble.message())) }
        p { a.button href="/" { (view.say(&GO_ON)) } }
    }
}
