//! The directory of joint-operation products: enterprises, their users and departments.

use maud::{Markup, html};

use super::form::segment;
use super::jobs::jobs_table;
use super::layout::View;
use super::list::{Continued, continued, instance_link, link_to};
use super::pieces::{Tone, badge, facts, section};
use super::shown::{foreign, foreign_or_dash, time};
use super::table::{Column, column, number, table};
use super::text::{Text, text, words};
use crate::store::{ApplicationRow, BindingRow, DepartmentRow, JobRow, TenantRow, UserRow};

/// The heading of the page.
pub const TITLE: Text = text("租户", "Tenants");

/// A tenant with how many users are authorised, how many departments known, and how many of its jobs were given up.
pub type Line = (TenantRow, (i64, i64), i64);

/// The body of the page.
pub fn body(view: &View<'_>, rows: &[Line], next: &Continued) -> Markup {
    const COLUMNS: [Column; 6] = [
        column("租户 ID", "Tenant"),
        column("企业", "Enterprise"),
        number("用户", "Users"),
        number("部门", "Departments"),
        column("问题", "Problems"),
        column("更新时间", "Told"),
    ];
    let lines: Vec<_> = rows
        .iter()
        .map(|(tenant, (users, departments), dead)| {
            vec![
                link_to("/tenants", &tenant.tenant_id),
                foreign_or_dash(tenant.name.as_deref()),
                html! { (users) },
                html! { (departments) },
                problem(view, tenant, *dead),
                time(tenant.updated_at),
            ]
        })
        .collect();
    html! {
        (table(view, view.say(&text("最新的在前", "Newest first")), &COLUMNS, &lines, &text("没有租户。只有联营商品才有租户。", "There is no tenant. Only joint-operation products have some.")))
        (continued(view, next))
    }
}

fn problem(view: &View<'_>, tenant: &TenantRow, dead: i64) -> Markup {
    html! {
        @if dead > 0 { (badge(view, Tone::Bad, &words(format!("已放弃的任务：{dead}"), format!("jobs given up: {dead}")))) }
        @else if tenant.domain_name.is_none() {
            (badge(view, Tone::Warn, &text("尚未收到租户信息", "nothing was told of it yet")))
        } @else { "–" }
    }
}

/// What the page of one tenant shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The tenant.
    pub tenant: TenantRow,
    /// Its users and departments.
    pub size: (i64, i64),
    /// The instances it has bound.
    pub bindings: Vec<BindingRow>,
    /// Its credentials.
    pub applications: Vec<ApplicationRow>,
    /// Its newest jobs.
    pub jobs: Vec<JobRow>,
    /// A piece of its users, and the address of the next one.
    pub users: (Vec<UserRow>, Option<String>),
    /// A piece of its departments, and the address of the next one.
    pub departments: (Vec<DepartmentRow>, Option<String>),
}

/// The body of the page of one tenant.
pub fn one(view: &View<'_>, shown: &Shown) -> Markup {
    let tenant = &shown.tenant;
    let path = format!("/tenants/{}", segment(&tenant.tenant_id));
    let can_retry = shown.jobs.iter().any(|job| job.state == "dead" || job.state == "waiting");
    html! {
        (section(view, "tenant", &text("租户", "Tenant"), &html! {
            (facts(view, &[
                (text("租户 ID", "Tenant id"), foreign(&tenant.tenant_id)),
                (text("企业", "Enterprise"), foreign_or_dash(tenant.name.as_deref())),
                (text("租户编码", "Code"), foreign_or_dash(tenant.tenant_code.as_deref())),
                (text("域名", "Domain"), foreign_or_dash(tenant.domain_name.as_deref())),
                (text("已授权用户", "Authorised users"), html! { (shown.size.0) }),
                (text("部门", "Departments"), html! { (shown.size.1) }),
                (text("更新时间", "Told"), time(tenant.updated_at)),
            ]))
            @if can_retry { p { a.button href={ (path) "/retry" } { (view.say(&text("重试…", "Retry…"))) } } }
        }))
        (section(view, "bindings", &text("绑定的实例", "Instances"), &bindings(view, &shown.bindings)))
        (section(view, "applications", &text("应用凭证", "Applications"), &applications(view, &shown.applications)))
        (section(view, "jobs", &text("后台任务", "Jobs"), &jobs_table(view, &shown.jobs)))
        (section(view, "users", &text("用户", "Users"), &html! { (users(view, &shown.users.0)) (more(view, shown.users.1.as_deref())) }))
        (section(view, "departments", &text("部门", "Departments"), &html! { (departments(view, &shown.departments.0)) (more(view, shown.departments.1.as_deref())) }))
    }
}

fn more(view: &View<'_>, address: Option<&str>) -> Markup {
    continued(view, &Continued { newest: None, more: address.map(str::to_owned), looked_enough: false })
}

fn bindings(view: &View<'_>, rows: &[BindingRow]) -> Markup {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![instance_link(Some(&row.instance_id)), foreign_or_dash(row.order_id.as_deref()), time(row.bound_at)]
        })
        .collect();
    let columns = [column("实例", "Instance"), column("订单", "Order"), column("绑定时间", "Bound")];
    table(view, view.say(&text("绑定的实例", "Instances")), &columns, &rows, &text("没有绑定。", "None is bound."))
}

fn applications(view: &View<'_>, rows: &[ApplicationRow]) -> Markup {
    let rows: Vec<_> =
        rows.iter().map(|row| vec![foreign(&row.app_id), foreign(&row.client_id), time(row.updated_at)]).collect();
    let columns = [column("应用 ID", "Application"), column("Client ID", "Client id"), column("更新时间", "Told")];
    table(view, view.say(&text("应用凭证", "Applications")), &columns, &rows, &text("没有凭证。", "There is none."))
}

fn users(view: &View<'_>, rows: &[UserRow]) -> Markup {
    let rows: Vec<_> = rows
        .iter()
        .map(|user| {
            let standing = match (user.authorised, user.enabled) {
                (true, true) => badge(view, Tone::Good, &text("已授权", "authorised")),
                (true, false) => badge(view, Tone::Warn, &text("已停用", "disabled")),
                (false, _) => badge(view, Tone::Quiet, &text("已取消授权", "revoked")),
            };
            vec![
                foreign(&user.user_name),
                standing,
                foreign_or_dash(user.role.as_deref()),
                foreign_or_dash(user.org_code.as_deref()),
                foreign(&user.app_id),
                instance_link(Some(&user.instance_id)),
            ]
        })
        .collect();
    let columns = [
        column("用户名", "User"),
        column("状态", "State"),
        column("角色", "Role"),
        column("部门", "Department"),
        column("应用", "Application"),
        column("实例", "Instance"),
    ];
    table(
        view,
        view.say(&text(
            "按用户名；姓名、手机号、邮箱不在页面上显示",
            "By name. Names, numbers and addresses are not shown here",
        )),
        &columns,
        &rows,
        &text("没有用户。", "There is none."),
    )
}

fn departments(view: &View<'_>, rows: &[DepartmentRow]) -> Markup {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                foreign(&row.org_code),
                foreign_or_dash(row.org_name.as_deref()),
                foreign_or_dash(row.parent_code.as_deref()),
                instance_link(Some(&row.instance_id)),
                if row.stale {
                    badge(view, Tone::Warn, &text("不在最近的全量列表中", "missing from the last full list"))
                } else {
                    html! { "–" }
                },
            ]
        })
        .collect();
    let columns = [
        column("部门编码", "Department"),
        column("名称", "Name"),
        column("上级", "Parent"),
        column("实例", "Instance"),
        column("备注", "Note"),
    ];
    table(view, view.say(&text("部门", "Departments")), &columns, &rows, &text("没有部门。", "There is none."))
}
