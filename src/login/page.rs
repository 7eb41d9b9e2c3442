//! The pages of the login helper, in Chinese and English: what the user and what the seller should do.
//!
//! Pure. A page loads nothing and runs nothing; its one style is allowed by its hash. It may stand in an iframe, where
//! the industrial cloud opens applications (spec 3-kit §9.7).

use data_encoding::BASE64;
use ring::digest;

use super::fault::{CentreFault, Failure};

const STYLE: &str = "body{font:16px/1.6 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color:#222}\
h1{font-size:1.3em}h2{font-size:1em;margin:1.5em 0 0}p{margin:.3em 0}\
a.go{display:inline-block;margin:1em 0;padding:.5em 1.5em;background:#c7000b;color:#fff;text-decoration:none}\
footer{margin-top:2em;color:#777;font-size:.85em}";

/// The same in Chinese and in English.
type Both = (&'static str, &'static str);

/// What a page says.
struct Words {
    title: Both,
    user: Both,
    seller: Both,
}

/// The page of a failure, HTML. `begin` is the address of a new login; `reference` stands in the log, too.
pub fn failure(failure: &Failure, begin: &str, reference: &str) -> String {
    let Words { title, user, seller } = words(failure);
    let button = if failure.may_begin_anew() {
        format!("<a class=\"go\" href=\"{}\">重新登录 · Log in</a>", escape(begin))
    } else {
        String::new()
    };
    let both = |(chinese, english): Both| format!("<p>{}</p><p lang=\"en\">{}</p>", escape(chinese), escape(english));
    format!(
        "<!DOCTYPE html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title_zh} · {title_en}</title>\
         <style>{STYLE}</style></head><body><h1>{title_zh}<br><span lang=\"en\">{title_en}</span></h1>{user}{button}\
         <h2>致服务商 · For the seller</h2>{seller}\
         <footer>编号 Reference: {reference}</footer></body></html>",
        title_zh = escape(title.0),
        title_en = escape(title.1),
        user = both(user),
        seller = both(seller),
        reference = escape(reference),
    )
}

/// The value of `Content-Security-Policy` for these pages. It says nothing of frames: the pages may stand in one.
pub fn security_policy() -> String {
    let hash = BASE64.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()).as_ref());
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

const TRY_AGAIN: Both = ("请重新登录。", "Please log in again.");
const TELL_THE_SELLER: Both =
    ("请把本页的编号告诉您的服务商。", "Please tell your seller the reference number of this page.");
const ASK_YOUR_ADMINISTRATOR: Both = (
    "请联系贵公司的管理员或服务商，并告知本页的编号。",
    "Please ask your administrator or your seller, and tell them the reference number of this page.",
);
const NOTHING_TO_DO: Both = ("一般无需处理。", "Usually there is nothing to do.");

/// Of failures that begin in the browser, and with them of the others.
fn words(failure: &Failure) -> Words {
    match failure {
        Failure::NotBegun => Words {
            title: ("登录不是从这里开始的", "This login was not begun here"),
            user: ("请点击下面的按钮登录。", "Use the button below to log in."),
            seller: (
                "浏览器没有带回 koogate 的 Cookie。请检查回调地址与登录地址是否在同一域名下。",
                "The browser did not bring the cookie of koogate. Check that the callback address and the login address \
                 have the same host.",
            ),
        },
        Failure::CookiesRefused => Words {
            title: ("浏览器没有保存 Cookie", "Your browser keeps no cookies"),
            user: (
                "请允许本网站使用 Cookie，或在新的浏览器窗口中打开应用，不要使用无痕模式。",
                "Allow cookies for this site, or open the application in a window of its own, not in incognito mode.",
            ),
            seller: (
                "在 iframe 或 WebView 中打开时，需要允许第三方 Cookie；生产地址必须是 HTTPS。",
                "In an iframe or a WebView third-party cookies must be allowed; the production address must be HTTPS.",
            ),
        },
        Failure::BadReturnTo => Words {
            title: ("返回地址不正确", "The return address is not allowed"),
            user: ("请从应用首页重新登录。", "Please log in from the start page of the application."),
            seller: (
                "return_to 必须是应用内以 / 开头的路径。",
                "return_to must be a path of your application that begins with a slash.",
            ),
        },
        Failure::Incomplete => Words {
            title: ("登录信息不完整", "The login is incomplete"),
            user: TRY_AGAIN,
            seller: (
                "回调缺少 code 或 tenant 参数。请检查应用凭证中的回调地址。",
                "The callback has no code or no tenant. Check the callback address of the application credential.",
            ),
        },
        Failure::Declined(_) => Words {
            title: ("登录被拒绝", "The login was declined"),
            user: ASK_YOUR_ADMINISTRATOR,
            seller: ("拒绝的原因见日志。", "The log tells the reason that was given."),
        },
        Failure::Used => {
            Words {
                title: ("登录已使用过", "This login was used already"), user: TRY_AGAIN, seller: NOTHING_TO_DO
            }
        }
        other => words_of_the_server(other),
    }
}

/// Of failures that lie with the seller's records, the authentication centre or koogate.
fn words_of_the_server(failure: &Failure) -> Words {
    match failure {
        Failure::UnknownTenant(_) | Failure::NoDomain(_) => Words {
            title: ("企业尚未开通", "Your enterprise is not known here"),
            user: ASK_YOUR_ADMINISTRATOR,
            seller: (
                "没有收到该企业的 tenantSync，或其中没有域名。请在卖家中心重新同步，并用 koogate tenant list 查看。",
                "No tenantSync, or none with a domain, has come for this enterprise. Have it synchronised again and look \
                 with koogate tenant list.",
            ),
        },
        Failure::UnknownApplication(_) => Words {
            title: ("企业尚未开通此应用", "Your enterprise has not got this application"),
            user: ASK_YOUR_ADMINISTRATOR,
            seller: (
                "没有收到该企业对此应用的 applicationSync，或 login.app_id 与应用凭证不一致。",
                "No applicationSync has come for this enterprise, or login.app_id is not that of the credential.",
            ),
        },
        Failure::NotAuthorised(_) => Words {
            title: ("您的账号未获授权使用此应用", "Your account is not authorised for this application"),
            user: (
                "请联系贵公司的管理员为您授权或启用账号，然后重新登录。",
                "Ask your enterprise's administrator to authorise or enable your account, then log in again.",
            ),
            seller: (
                "authSync 已取消该用户的授权或停用了该用户。可用 koogate tenant users 查看。",
                "authSync has taken this user's authorisation, or disabled it. Look with koogate tenant users.",
            ),
        },
        Failure::Centre { fault, .. } => centre_words(fault),
        Failure::Busy => Words {
            title: ("登录人数过多", "Too many logins at once"),
            user: ("请稍候再试。", "Please try again in a moment."),
            seller: (
                "认证中心响应缓慢，登录请求排队过多。详见日志。",
                "Authentication centres answer slowly and too many logins wait for them. The log tells more.",
            ),
        },
        Failure::NoSession => Words {
            title: ("登录会话已结束", "This login has ended"),
            user: ("您已退出，无需其他操作。", "You are logged out; there is nothing else to do."),
            seller: NOTHING_TO_DO,
        },
        _ => Words {
            title: ("内部错误", "Internal error"),
            user: TELL_THE_SELLER,
            seller: ("请按编号查看 koogate 日志。", "Look for the reference number in the log of koogate."),
        },
    }
}

fn centre_words(fault: &CentreFault) -> Words {
    let (title, user) = match fault {
        CentreFault::InvalidGrant { .. } => (("登录已失效", "The login is no longer good"), TRY_AGAIN),
        CentreFault::TimedOut => (("认证中心没有及时响应", "The authentication centre is slow"), TRY_AGAIN),
        CentreFault::WrongTenant | CentreFault::WrongUser => {
            (("登录的企业或用户不一致", "Another enterprise or user was logged in"), TRY_AGAIN)
        }
        _ => (("认证中心无法完成登录", "The authentication centre cannot complete the login"), TELL_THE_SELLER),
    };
    let seller = match fault {
        CentreFault::InvalidGrant { .. } => (
            "授权码已过期或已使用。如果经常出现，请检查服务器时间与网络延迟。",
            "The code has expired or was used. If it happens often, look at the network and how long logins take.",
        ),
        CentreFault::ClientMismatch { .. } => (
            "Client ID mismatch：请为该企业重新绑定应用。",
            "Client ID mismatch: have the application bound to this enterprise again.",
        ),
        CentreFault::BadClient { .. } | CentreFault::Forbidden { .. } => (
            "认证中心拒绝了客户端凭证：请检查域名、client id 和 client secret（是否正确解密），并重新同步应用。",
            "The centre refuses the client credential: check domain, client id and client secret (was it decrypted with \
             the right key?) and have the application synchronised again.",
        ),
        CentreFault::Address(_) | CentreFault::Redirected { .. } => (
            "tenantSync 给出的域名不可用，见日志；可用 koogate tenant show 查看。",
            "The domain that tenantSync told cannot be used, see the log; koogate tenant show shows it.",
        ),
        CentreFault::Unreachable { .. } | CentreFault::TimedOut => (
            "请检查本机能否访问该企业的认证中心域名（DNS、防火墙、代理）。",
            "Check that this machine reaches the enterprise's authentication centre (DNS, firewall).",
        ),
        CentreFault::WrongTenant | CentreFault::WrongUser => (
            "认证中心返回的企业或用户与本次登录不一致，请联系云商店。",
            "The centre tells of another enterprise or user than this login is of: ask KooGallery.",
        ),
        CentreFault::TooLong | CentreFault::Unexpected { .. } | CentreFault::Unreadable { .. } => {
            ("认证中心的响应不符合文档，详见日志。", "The centre's reply is not as documented; the log tells more.")
        }
    };
    Words { title, user, seller }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_runs_and_loads_nothing_and_its_style_is_the_one_its_policy_allows() {
        let page = failure(&Failure::NotBegun, "/saasproduce/login", "AB12CD34");
        for forbidden in ["<script", "http://", "https://", "src=", "url(", "@import", " style=", "onclick"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("AB12CD34") && page.contains("href=\"/saasproduce/login\""));
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = BASE64.encode(digest::digest(&digest::SHA256, style.as_bytes()).as_ref());
        assert!(security_policy().starts_with("default-src 'none'; "));
        assert!(security_policy().contains(&format!("style-src 'sha256-{hash}'")));
        assert!(!security_policy().contains("frame-ancestors"));
    }

    #[test]
    fn a_page_offers_a_new_login_only_where_it_may_help() {
        assert!(failure(&Failure::Busy, "/x", "R").contains("href="));
        assert!(!failure(&Failure::UnknownTenant("t".to_owned()), "/x", "R").contains("href="));
        assert!(!failure(&Failure::NotAuthorised("t".to_owned()), "/x", "R").contains("href="));
    }

    #[test]
    fn what_a_centre_or_a_browser_says_is_not_on_the_page() {
        let fault = CentreFault::BadClient { status: 401, words: "WORDS".to_owned() };
        let page = failure(&Failure::Centre { tenant: "TENANT".to_owned(), fault }, "/x", "R");
        assert!(!page.contains("WORDS") && !page.contains("TENANT"));
        assert!(!failure(&Failure::Declined("<b>WORDS".to_owned()), "/x", "R").contains("WORDS"));
    }

    proptest! {
        #[test]
        fn escaped_text_ends_no_text_and_no_attribute(text in "[\\PC<>&\"']{0,20}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let link = format!("href=\"{escaped}\"");
            prop_assert!(failure(&Failure::Busy, &text, "R").contains(&link));
        }
    }
}
