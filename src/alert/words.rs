//! What is said of an alarm, in both languages: its heading, what has happened, what it costs and what to do. Headings,
//! costs and mends are those of its kind, so that many alarms of one kind can share them in a message; docs/alerts.md says
//! the same at greater length.

use super::beijing::written;
use super::{Alarm, alarm};
use crate::text::Both;

/// Longest id that is shown.
const SHOWN: usize = 64;

/// What is said of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Its kind, in a few words.
    pub heading: Both,
    /// What has happened.
    pub what: Both,
    /// What it costs.
    pub cost: Both,
    /// What to do.
    pub mend: Both,
}

impl Alarm {
    /// What is said of it.
    pub fn words(&self) -> Words {
        let kind = self.kind();
        Words { heading: kind.heading(), what: self.what(), cost: kind.cost(), mend: kind.mend() }
    }

    /// What has happened.
    pub fn what(&self) -> Both {
        let allowed = alarm::FAILED_ORDERS_ALLOWED;
        match self {
            Self::CreationOpen { instance_id, order_id, refund_at } => {
                let (id, order, at) = (id(instance_id), optional(order_id), written(*refund_at));
                Both::new(
                    format!("订单 {order}（实例 {id}）尚未开通，约北京时间 {at} 退款"),
                    format!("order {order} (instance {id}) is open, refunded at about {at} Beijing time"),
                )
            }
            Self::OrdersFailed { product_id, count, month } => {
                let product = optional(product_id);
                Both::new(
                    format!("商品 {product} 在 {month} 已有 {count} 个订单失败，上限 {allowed} 个"),
                    format!("product {product}: {} in {month}, of {allowed}", counted(*count, "failed order")),
                )
            }
            Self::TestCallsAway { last } => {
                let at = written(*last);
                Both::new(
                    format!("最后一次测试调用在北京时间 {at}"),
                    format!("the last test call came at {at} Beijing time"),
                )
            }
            Self::TestCallFailed { activity, result } => {
                let (activity, result) = (id(activity), id(result));
                Both::new(
                    format!("{activity} 的测试调用应答了 {result}"),
                    format!("a test call of {activity} was answered {result}"),
                )
            }
            Self::JobDead { job, task, about, retry } => {
                let (task, about, retry) = (id(task), id(about), id(retry));
                Both::new(
                    format!("任务 {job}（{task}，{about}）已放弃：koogate {retry}"),
                    format!("job {job} ({task}, {about}) was given up: koogate {retry}"),
                )
            }
            Self::StockEmpty { stock } => {
                let stock = id(stock);
                Both::new(format!("库存 {stock} 已空"), format!("stock {stock} is empty"))
            }
            Self::StockLow { stock, left } => {
                let stock = id(stock);
                Both::new(format!("库存 {stock} 剩余 {left}"), format!("stock {stock}: {left} left"))
            }
            Self::FrozenThoughPaid { instance_id, expire_time } => {
                let (id, at) = (id(instance_id), written(*expire_time));
                Both::new(
                    format!("实例 {id} 已冻结，但已付费至北京时间 {at}"),
                    format!("instance {id} is frozen, and paid until {at} Beijing time"),
                )
            }
            Self::NoProduct { product_kind, product_id, sku_code } => {
                let (kind, product, sku) = (id(product_kind), optional(product_id), optional(sku_code));
                Both::new(
                    format!("类型 {kind}、商品 {product}、规格 {sku} 没有匹配的 [[product]]"),
                    format!("no [[product]] entry matches kind {kind}, product {product}, sku {sku}"),
                )
            }
            Self::Misconfigured { about } => {
                let about = id(about);
                Both::new(
                    format!("{about}：无法交付，原因见日志"),
                    format!("nothing can be handed out for {about}; the log says why"),
                )
            }
            Self::InstanceWaiting { instance_id } => {
                let id = id(instance_id);
                Both::new(
                    format!("实例 {id} 等待人工开通：koogate instance ready {id} --front-end-url …"),
                    format!("instance {id} waits for you: koogate instance ready {id} --front-end-url …"),
                )
            }
            Self::LicenseWaiting { license, instance_id } => {
                let id = id(instance_id);
                Both::new(
                    format!("License {license}（实例 {id}）等待签发：koogate license issue {license} --text FILE"),
                    format!(
                        "licence {license} (instance {id}) waits for you: koogate license issue {license} --text FILE"
                    ),
                )
            }
            Self::DoByHand { instance_id, change } => {
                let (id, change) = (id(instance_id), id(change));
                Both::new(
                    format!("实例 {id} 在记录中已变更（{change}）"),
                    format!("instance {id} is {change} in the records"),
                )
            }
            Self::OrderUnread { instance_id, order_id } => {
                let (id, order) = (id(instance_id), id(order_id));
                Both::new(
                    format!("实例 {id} 的订单 {order} 无法查询"),
                    format!("order {order} of instance {id} could not be read"),
                )
            }
            Self::AccessNoRoom { instance_id } => {
                let id = id(instance_id);
                Both::new(
                    format!("实例 {id} 的登录信息超出旧版接口长度"),
                    format!("the access data of instance {id} are too long for V1"),
                )
            }
            Self::SecretUnreadable { app_id } => {
                let id = id(app_id);
                Both::new(
                    format!("应用 {id} 的 client secret 无法解密"),
                    format!("the client secret of application {id} cannot be opened"),
                )
            }
            Self::UsageOverdue { since, records } => {
                let at = written(*since);
                Both::new(
                    format!("{records} 条使用量自北京时间 {at} 起未推送"),
                    format!(
                        "{}, due since {at} Beijing time, {} not sent",
                        counted(*records, "usage record"),
                        if *records == 1 { "is" } else { "are" }
                    ),
                )
            }
            Self::UsageRejected { records } => Both::new(
                format!("24 小时内有 {records} 条使用量被拒绝"),
                format!(
                    "{} {} rejected within 24 h",
                    counted(*records, "usage record"),
                    if *records == 1 { "was" } else { "were" }
                ),
            ),
            Self::OpenApiLocked { until } => {
                let at = written(*until);
                Both::new(
                    format!("访问密钥被拒绝，北京时间 {at} 前不再调用"),
                    format!("the access key was refused; nothing is called before {at} Beijing time"),
                )
            }
            Self::ClockOff { seconds: Some(seconds) } => Both::new(
                format!("本机时钟与云商店相差 {seconds} 秒"),
                format!("this machine's clock is {seconds} s ahead of KooGallery's"),
            ),
            Self::CertificateEnds { name, until, .. } => {
                let (name, at) = (id(name), written(*until));
                Both::new(
                    format!("{name} 的证书有效期至北京时间 {at}"),
                    format!("the certificate for {name} is valid until {at} Beijing time"),
                )
            }
            Self::WalGrows { mebibytes } => {
                Both::new(format!("WAL 已有 {mebibytes} MiB"), format!("the WAL has {mebibytes} MiB"))
            }
            Self::DiskLow { free, wanted } => Both::new(
                format!("剩余 {free} MiB，至少需要 {wanted} MiB"),
                format!("{free} MiB are free, {wanted} MiB are wanted"),
            ),
            Self::SnapshotOld { limit_minutes } | Self::SeriesOld { limit_minutes } => Both::new(
                format!("超过 {limit_minutes} 分钟没有经过验证的新副本"),
                format!("no verified copy for more than {limit_minutes} min"),
            ),
            Self::RestoreGap { restored_at } => {
                let at = written(*restored_at);
                Both::new(
                    format!("北京时间 {at} 从备份恢复"),
                    format!("a copy took the place of the database at {at} Beijing time"),
                )
            }
            Self::FilesShort { allowed, needed } => Both::new(
                format!("最多打开 {allowed} 个文件，可能需要 {needed} 个"),
                format!("{allowed} files may be open, {needed} may be needed"),
            ),
            Self::LoginFailed
            | Self::CallFailed
            | Self::UsageStuck
            | Self::ClockOff { seconds: None }
            | Self::CertificateNotReplaced
            | Self::ReloadFailed
            | Self::DatabaseUnwritable
            | Self::DatabaseDamaged
            | Self::WalGone
            | Self::CopyDamaged
            | Self::ServiceIll
            | Self::ConnectionsRefused => self.kind().heading(),
        }
    }
}

/// So many of something, in English.
fn counted(count: i64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

fn optional(text: &Option<String>) -> String {
    text.as_deref().map_or_else(|| "?".to_owned(), id)
}

/// An id as it is shown. Ids come from outside: what a chat program would take for markup is left out.
pub(super) fn id(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | ':' | '/' | '_' | '+' | '=' | ' ' | ',');
    text.chars().take(SHOWN).map(|c| if plain(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Kind;

    #[test]
    fn every_kind_says_what_it_is_what_it_costs_and_what_to_do() {
        for kind in Kind::ALL {
            for text in [kind.heading(), kind.cost(), kind.mend()] {
                assert!(text.zh.chars().count() >= 4 && text.en.len() > 8, "{kind}: {text:?}");
                assert!(!text.en.contains(|c: char| !c.is_ascii()), "{kind}: {text:?}");
            }
        }
    }

    #[test]
    fn one_of_something_is_told_as_one() {
        let what = |count| Alarm::OrdersFailed { product_id: None, count, month: "2026-11".to_owned() }.what().en;
        assert_eq!(what(1), "product ?: 1 failed order in 2026-11, of 5");
        assert_eq!(what(2), "product ?: 2 failed orders in 2026-11, of 5");
    }

    #[test]
    fn an_id_from_outside_cannot_be_markup() {
        let what = Alarm::StockEmpty { stock: "a](http://x)<@all>\n# b".to_owned() }.what();
        assert_eq!(what.en, "stock a??http://x???all??? b is empty");
    }
}
