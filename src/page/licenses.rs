//! Licences that were asked for, and one of them.

use maud::{Markup, html};

use super::form::{Field, Input, filter, hidden_fields};
use super::jobs::jobs_table;
use super::layout::View;
use super::list::{Continued, continued, environments, state};
use super::pieces::{facts, section};
use super::shown::{foreign, foreign_or_dash, foreign_short, time, time_or_dash};
use super::table::{Column, column, number, table};
use super::text::{Text, text};
use crate::store::{JobRow, LicenseRow, LicensedRow};

/// The heading of the page.
pub const TITLE: Text = text("许可证", "Licences");

/// What is asked for, as the address says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// A state.
    pub state: &'a str,
    /// A kind.
    pub kind: &'a str,
    /// `real` or `test`.
    pub environment: &'a str,
}

const COLUMNS: [Column; 7] = [
    number("编号", "No."),
    column("状态", "State"),
    column("实例", "Instance"),
    column("种类", "Kind"),
    column("设备", "Device"),
    column("请求时间", "Asked for"),
    column("签发时间", "Issued"),
];

/// The body of the page.
pub fn body(view: &View<'_>, asked: &Asked<'_>, rows: &[LicensedRow], next: &Continued) -> Markup {
    let all = || ("", text("全部", "All"));
    let states = vec![
        all(),
        ("requested", text("待签发", "asked for")),
        ("refused", text("已拒绝", "refused")),
        ("issued", text("已签发", "issued")),
        ("uploaded", text("已上传", "uploaded")),
    ];
    let kinds = vec![
        all(),
        ("license", text("许可证 license", "license")),
        ("license-online", text("在线许可证 license-online", "license-online")),
    ];
    let lines: Vec<_> = rows.iter().filter_map(|row| Some(line(view, row, row.license.as_ref()?))).collect();
    let choice = |name, label, options, chosen| Field { name, label, input: Input::Choice { options, chosen } };
    html! {
        (filter(view, "/licenses", text("筛选许可证", "Filter licences"), &[
            choice("state", text("状态", "State"), states, asked.state),
            choice("kind", text("种类", "Kind"), kinds, asked.kind),
            choice("environment", text("正式或测试", "Real or test"), environments(), asked.environment),
        ]))
        p.hint {
            (view.say(&text("由 KooGallery 生成的授权码列在", "Authorisation codes, which are KooGallery's own, stand among the ")))
            a href="/instances?kind=license-code" { (view.say(&text("实例", "instances"))) } "."
        }
        (table(view, view.say(&text("最新的在前", "Newest first")), &COLUMNS, &lines, &text("没有符合条件的许可证。", "No licence is like this.")))
        (continued(view, next))
    }
}

fn line(view: &View<'_>, row: &LicensedRow, license: &LicenseRow) -> Vec<Markup> {
    vec![
        html! { a href={ "/licenses/" (license.row) } { (license.row) } },
        state(view, &license.state),
        html! { a href={ "/instances/" (row.instance) } { (foreign_short(&row.instance_id)) } },
        html! { (row.kind) },
        foreign_or_dash(license.device_fingerprint.as_deref()),
        time(license.requested_at),
        time_or_dash(license.issued_at),
    ]
}

/// The body of the page of one licence.
pub fn one(view: &View<'_>, row: &LicensedRow, license: &LicenseRow, jobs: &[JobRow]) -> Markup {
    let what = match (&license.file_name, license.issued_at) {
        (_, None) => html! { "–" },
        (Some(name), _) => foreign(name),
        (None, _) => html! { (view.say(&text("文本", "a text"))) },
    };
    html! {
        (section(view, "standing", &text("现状", "Standing"), &facts(view, &[
            (text("状态", "State"), state(view, &license.state)),
            (text("实例", "Instance"), html! { a href={ "/instances/" (row.instance) } { (foreign(&row.instance_id)) } " " (state(view, row.status.as_str())) }),
            (text("种类", "Kind"), html! { (row.kind) }),
            (text("请求事件", "Event"), foreign_or_dash(license.event_id.as_deref())),
            (text("设备", "Device"), foreign_or_dash(license.device_fingerprint.as_deref())),
            (text("生效", "Holds from"), time_or_dash(license.effective_time)),
            (text("到期", "Holds until"), time_or_dash(license.expire_time)),
            (text("请求时间", "Asked for"), time(license.requested_at)),
            (text("签发时间", "Issued"), time_or_dash(license.issued_at)),
            (text("上传时间", "Uploaded"), time_or_dash(license.uploaded_at)),
            (text("内容", "Content"), what),
        ])))
        @if license.issued_at.is_none() { (section(view, "issue", &text("签发", "Issue"), &issue_form(view, license))) }
        (section(view, "jobs", &text("后台任务", "Jobs"), &jobs_table(view, jobs)))
        p.hint { (view.say(&text("许可证内容不在页面上显示；请用命令 ", "What is in the licence is not shown here: "))) code { "koogate license show " (license.row) " --out FILE" } }
    }
}

fn issue_form(view: &View<'_>, license: &LicenseRow) -> Markup {
    html! {
        form.question method="post" action={ "/licenses/" (license.row) "/issue" } {
            (hidden_fields(view, &[]))
            p { (view.say(&text(
                "签发后不能更换：同一请求永远得到同一许可证。",
                "What was issued cannot be replaced: the same request always gets the same licence.",
            ))) }
            div.field {
                label for="field-license" { (view.say(&text("许可证文本", "The licence, as a text"))) }
                textarea #field-license name="license" required autocomplete="off" spellcheck="false" {}
            }
            div.buttons { button.grave type="submit" { (view.say(&text("签发", "Issue it"))) } }
        }
    }
}
