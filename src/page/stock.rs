//! Stocks: how much is left of each, what goes next, and how entries are added.

use maud::{Markup, html};

use super::form::{Question, Weight, address, hidden_fields, question, segment};
use super::layout::View;
use super::list::{Continued, continued, link_to};
use super::pieces::{Tone, badge, callout, facts, masked, section};
use super::shown::{foreign, foreign_or_dash, time, visible};
use super::table::{Column, column, number, table};
use super::text::{Text, Words, text, words};
use crate::secret::Secret;
use crate::store::StockEntry;
use crate::store::pages::StockLine;

/// The heading of the page.
pub const TITLE: Text = text("库存", "Stock");

/// A stock, as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Its name.
    pub name: String,
    /// Entries that nobody has.
    pub unused: i64,
    /// Entries that were handed out.
    pub taken: i64,
    /// From how many entries left it counts as low; `None`: no product takes from it.
    pub low_from: Option<i64>,
}

impl Stock {
    fn standing(&self) -> (Tone, Text) {
        match self.low_from {
            None => (Tone::Quiet, text("没有商品使用", "no product takes from it")),
            Some(_) if self.unused == 0 => (Tone::Bad, text("已空", "empty")),
            Some(low) if self.unused <= low => (Tone::Warn, text("偏低", "low")),
            Some(_) => (Tone::Good, text("充足", "enough")),
        }
    }
}

/// The body of the page.
pub fn body(view: &View<'_>, stocks: &[Stock]) -> Markup {
    const COLUMNS: [Column; 5] = [
        column("库存名称", "Stock"),
        number("剩余", "Left"),
        number("已发放", "Handed out"),
        number("预警线", "Low from"),
        column("状态", "State"),
    ];
    let rows: Vec<_> = stocks
        .iter()
        .map(|stock| {
            let (tone, name) = stock.standing();
            vec![
                link_to("/stock", &stock.name),
                html! { (stock.unused) },
                html! { (stock.taken) },
                html! { @match stock.low_from { Some(low) => (low), None => "–" } },
                badge(view, tone, &name),
            ]
        })
        .collect();
    html! {
        @for empty in stocks.iter().filter(|stock| stock.unused == 0 && stock.low_from.is_some()) {
            (callout(view, Tone::Bad, &words(format!("库存 {} 已空", visible(&empty.name)), format!("The stock {} is empty", visible(&empty.name))), &html! {
                p { (view.say(&text(
                    "新订单无法开通，应答 000100；KooGallery 每小时重试，约三次后退款。请立即导入。",
                    "New orders cannot be opened and are answered 000100. KooGallery tries again every hour, about three times, and \
                     refunds then. Import now.",
                ))) }
            }))
        }
        (table(view, view.say(&TITLE), &COLUMNS, &rows, &text("没有库存，也没有商品使用库存。", "There is no stock, and no product takes from one.")))
    }
}

/// The body of the page of one stock.
pub fn one(view: &View<'_>, stock: &Stock, lines: &[StockLine], next: &Continued) -> Markup {
    let (tone, name) = stock.standing();
    let path = format!("/stock/{}", segment(&stock.name));
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let row = line.row.to_string();
            vec![
                html! { (line.row) },
                match &line.front_end_url {
                    Some(url) => foreign_or_dash(Some(url)),
                    None => html! { (view.say(&text("授权码", "licence code"))) },
                },
                time(line.imported_at),
                masked(view, &format!("{path}/reveal"), &[("entry", &row)]),
            ]
        })
        .collect();
    let columns = [
        number("编号", "No."),
        column("用户入口", "Front end"),
        column("导入时间", "Imported"),
        column("密码或授权码", "Secret"),
    ];
    html! {
        (section(view, "count", &text("数量", "Count"), &facts(view, &[
            (text("库存名称", "Stock"), foreign(&stock.name)),
            (text("剩余", "Left"), html! { (stock.unused) " " (badge(view, tone, &name)) }),
            (text("已发放", "Handed out"), html! { (stock.taken) }),
        ])))
        @if stock.low_from.is_some() { (section(view, "import", &text("导入", "Import"), &import_form(view, &path))) }
        (section(view, "entries", &text("尚未发放", "Not handed out yet"), &html! {
            (table(view, view.say(&text("最先发放的在前", "In the order in which they go")), &columns, &rows, &text("没有剩余。", "Nothing is left.")))
            (continued(view, next))
        }))
    }
}

/// So much can be pasted. The question carries it along, sealed and encoded twice, and the listener takes forms of 1 MiB.
pub const MOST_BYTES: usize = 512 << 10;

fn import_form(view: &View<'_>, path: &str) -> Markup {
    html! {
        form.question method="post" action={ (path) "/import" } {
            (hidden_fields(view, &[]))
            div.field {
                label for="field-csv" { (view.say(&text("粘贴 CSV（第一行为列名）", "Paste CSV; its first line names the columns"))) }
                textarea #field-csv name="csv" required autocomplete="off" spellcheck="false" placeholder="user_name,password,front_end_url,admin_url,memo" {}
            }
            p.hint {
                (view.say(&text("账号：", "Accounts: "))) code { "user_name,password,front_end_url,admin_url,memo" } ". "
                (view.say(&text("授权码：", "Licence codes: "))) code { "license" } ". "
                (view.say(&text("下一步会先说明将导入多少条。较大的文件（512 KiB 以上）请用命令行：", "The next page says how many there are. For a file over 512 KiB use ")))
                code { "koogate stock import" } "."
            }
            div.buttons { button.main type="submit" { (view.say(&text("检查…", "Look at it…"))) } }
        }
    }
}

/// The question before entries are added. `sealed` holds them, unreadable for whoever sees the page.
pub fn import_question(view: &View<'_>, stock: &str, entries: usize, known: usize, sealed: &str) -> Markup {
    let path = format!("/stock/{}", segment(stock));
    let new = entries - known;
    let consequences = html! {
        p {
            (view.say(&words(
                format!("共 {entries} 条：将加入 {new} 条；{known} 条已在库存中，会跳过。目标库存："),
                format!("{entries} entries: {new} are added, {known} are there already and left out. The stock is "),
            )))
            (foreign(stock)) "."
        }
        p.hint { (view.say(&text("加入后按顺序自动发放给新订单。", "They are handed out to new orders by themselves, one by one."))) }
    };
    question(
        view,
        &Question {
            consequences,
            action: &format!("{path}/add"),
            hidden: vec![("entries", sealed)],
            button: text("加入库存", "Add to the stock"),
            weight: Weight::Main,
            back: &path,
        },
    )
}

/// An entry whose showing was asked for and recorded.
pub fn revealed(view: &View<'_>, stock: &str, entry: &StockEntry) -> Markup {
    let secret = |value: Option<&Secret<String>>| match value {
        Some(value) => html! { code { (visible(value.expose())) } },
        None => html! { "–" },
    };
    let shown = match entry {
        StockEntry::Account(access) => vec![
            (text("用户入口", "Front end"), foreign(access.front_end_url())),
            (text("管理入口", "Administration"), foreign_or_dash(access.admin_url())),
            (text("备注", "Memo"), foreign_or_dash(access.memo())),
            (text("用户名", "User name"), secret(access.user_name())),
            (text("密码", "Password"), secret(access.password())),
        ],
        StockEntry::License(code) => vec![(text("授权码", "Licence code"), secret(Some(code)))],
    };
    html! {
        (facts(view, &shown))
        p { a.button href=(address(&format!("/stock/{}", segment(stock)), &[])) { (view.say(&text("返回库存", "Back to the stock"))) } }
    }
}

/// What an import has done.
pub fn imported(stock: &str, added: usize, known: usize) -> Words {
    let stock = visible(stock);
    words(
        format!("库存 {stock}：已加入 {added} 条，{known} 条原已存在"),
        format!("Stock {stock}: {added} entries were added, {known} were there already"),
    )
}
