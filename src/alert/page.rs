//! What all alarms of a kind share, in both languages: heading, cost and mend.

use super::Kind;
use crate::text::Both;

/// What all alarms of a kind share.
struct Page {
    heading: [&'static str; 2],
    cost: [&'static str; 2],
    mend: [&'static str; 2],
}

fn both([zh, en]: [&'static str; 2]) -> Both {
    Both::new(zh, en)
}

impl Kind {
    /// In a few words.
    pub fn heading(self) -> Both {
        both(self.page().heading)
    }

    /// What it costs.
    pub fn cost(self) -> Both {
        both(self.page().cost)
    }

    /// What to do.
    pub fn mend(self) -> Both {
        both(self.page().mend)
    }

    /// Each text in Chinese and in English.
    #[rustfmt::skip]
    fn page(self) -> Page {
        let page = |heading, cost, mend| Page { heading, cost, mend };
        match self {
            Self::CreationOpen => page(
                ["订单即将退款", "an order is about to be refunded"],
                ["首次调用 3 小时后云商店自动退款，并计入失败订单", "three hours after its first call KooGallery refunds it, and counts a failed order"],
                ["koogate instance show ID 查看原因，修复后 koogate instance retry ID", "koogate instance show ID says why; mend it, then koogate instance retry ID"],
            ),
            Self::OrdersFailed => page(
                ["本月有失败订单", "orders failed this month"],
                ["每月失败超过 5 个，商品会被下架", "with more than five in a month the product is taken from the shelf"],
                ["koogate exchange list --result failed 查看原因", "koogate exchange list --result failed says why"],
            ),
            Self::TestCallsAway => page(
                ["云商店的测试调用没有到达", "KooGallery's test calls stay away"],
                ["真实订单多半也无法到达；持续失败会导致下架", "real orders probably do not arrive either; lasting failures lead to delisting"],
                ["检查域名解析、证书、代理和防火墙：koogate check", "look at DNS, certificate, proxy and firewall: koogate check"],
            ),
            Self::TestCallFailed => page(
                ["云商店的测试调用失败", "a test call of KooGallery failed"],
                ["持续失败会导致商品下架", "lasting failures lead to delisting"],
                ["koogate exchange list --result failed 查看原因", "koogate exchange list --result failed says why"],
            ),
            Self::JobDead => page(
                ["后台任务已放弃", "a job was given up"],
                ["买家没有得到所购买的服务，直到任务重试", "a buyer does not have what was bought until it is tried again"],
                ["修复应用后按提示的命令重试", "mend the application, then try again with the command shown"],
            ),
            Self::StockEmpty => page(
                ["库存已空", "a stock is empty"],
                ["订单无法开通，3 小时后退款", "orders are not fulfilled, and refunded after three hours"],
                ["koogate stock import NAME FILE", "koogate stock import NAME FILE"],
            ),
            Self::StockLow => page(
                ["库存不足", "a stock is low"],
                ["用完后订单无法开通", "when it is empty, orders are not fulfilled"],
                ["koogate stock import NAME FILE", "koogate stock import NAME FILE"],
            ),
            Self::FrozenThoughPaid => page(
                ["已付费的实例被冻结", "an instance is frozen though it is paid"],
                ["买家付费却不能使用", "a buyer pays for what does not work"],
                ["在卖家中心核实：违规处理，还是迟到的重试", "ask in the seller console: a violation, or a late retry?"],
            ),
            Self::NoProduct => page(
                ["收到未配置商品的调用", "a call for a product that is not configured"],
                ["订单没有开通，3 小时后退款", "the order is not fulfilled, and refunded after three hours"],
                ["在 koogate.toml 添加 [[product]]，然后重新加载 (SIGHUP)", "add a [[product]] entry to koogate.toml and reload (SIGHUP)"],
            ),
            Self::Misconfigured => page(
                ["商品配置无法交付", "a product's entry cannot hand out what it should"],
                ["订单没有开通，3 小时后退款", "the order is not fulfilled, and refunded after three hours"],
                ["按日志修改 [[product]] 或库存，然后重新加载 (SIGHUP)", "mend the [[product]] entry or the stock as the log says, and reload (SIGHUP)"],
            ),
            Self::InstanceWaiting => page(
                ["实例等待人工开通", "an instance waits for you"],
                ["首次调用 3 小时后云商店自动退款", "three hours after its first call KooGallery refunds it"],
                ["开通后执行 koogate instance ready ID", "make it, then koogate instance ready ID"],
            ),
            Self::LicenseWaiting => page(
                ["License 等待签发", "a licence waits for you"],
                ["买家无法使用所购软件", "a buyer cannot use what was bought"],
                ["koogate license issue ID --text FILE", "koogate license issue ID --text FILE"],
            ),
            Self::DoByHand => page(
                ["变更需要人工处理", "a change has to be carried out by hand"],
                ["已应答云商店，但您的应用没有变化", "KooGallery has its answer, but nothing has happened in your application"],
                ["在您的应用中手工完成", "do in your application what it means for the buyer"],
            ),
            Self::OrderUnread => page(
                ["订单无法查询", "an order could not be read"],
                ["应用只得到编号，可能开通错误的规格", "your application got ids only, and may have made the wrong thing"],
                ["koogate order show ORDER 查看原因", "koogate order show ORDER says why"],
            ),
            Self::AccessNoRoom => page(
                ["登录信息过长", "access data are too long"],
                ["查询应答中没有登录信息", "the query is answered without them"],
                ["缩短应用返回的登录信息", "have your application answer shorter ones"],
            ),
            Self::SecretUnreadable => page(
                ["应用凭证无法解密", "a client secret cannot be opened"],
                ["该企业的用户无法登录", "users of this tenant cannot log in"],
                ["核对卖家中心的公钥与 keys.kit_private_keys", "is the public key in the seller console that of keys.kit_private_keys?"],
            ),
            Self::LoginFailed => page(
                ["登录失败", "a login failed"],
                ["用户无法登录", "a user could not log in"],
                ["日志中有原因", "the log says why"],
            ),
            Self::CallFailed => page(
                ["调用未能完成", "a call could not be carried out"],
                ["应答 000005，云商店稍后重试", "it was answered 000005; KooGallery calls again"],
                ["日志中有原因", "the log says why"],
            ),
            Self::UsageOverdue => page(
                ["使用量没有按时推送", "usage is not sent in time"],
                ["过期未推送的使用量无法计费", "what is sent too late is not billed"],
                ["koogate usage push；koogate check 检查开放接口", "koogate usage push; koogate check looks at the open API"],
            ),
            Self::UsageStuck => page(
                ["云商店拒绝推送", "KooGallery turns usage away"],
                ["使用量没有计费", "usage is not billed"],
                ["日志中有原因，多为密钥或权限", "the log says why: mostly the key or its permissions"],
            ),
            Self::UsageRejected => page(
                ["使用量被拒绝", "usage was rejected"],
                ["被拒绝的记录没有计费", "what is rejected is not billed"],
                ["koogate usage list --rejected 查看原因，更正后重新上报", "koogate usage list --rejected says why; report it anew"],
            ),
            Self::OpenApiLocked => page(
                ["开放接口的访问密钥被拒绝", "the access key of the open API is refused"],
                ["订单无法查询，使用量和 License 无法推送", "no order is read, no usage pushed, no licence uploaded"],
                ["核对 [open_api] 的 access_key_id 与 secret_access_key，并校准时钟", "check access_key_id and secret_access_key in [open_api], and the clock"],
            ),
            Self::ClockOff => page(
                ["本机时钟不准", "this machine's clock is wrong"],
                ["云商店的调用会被当作过期而拒绝", "KooGallery's calls are refused as too old"],
                ["启用时间同步 (NTP)", "set it (NTP)"],
            ),
            Self::CertificateEnds => page(
                ["证书即将到期", "the certificate ends soon"],
                ["到期后云商店无法调用，订单失败", "then KooGallery cannot call, and orders fail"],
                ["更新证书：certbot renew", "renew it: certbot renew"],
            ),
            Self::CertificateNotReplaced => page(
                ["新证书无法使用", "the certificate was not replaced"],
                ["旧证书到期后云商店无法调用", "when the old one ends, KooGallery cannot call"],
                ["日志中有原因：证书与私钥须匹配", "the log says why: certificate and key must fit"],
            ),
            Self::ReloadFailed => page(
                ["配置未重新加载", "the configuration was not reloaded"],
                ["旧配置仍在使用；下次重启会失败", "the old one stays in force; the next start will fail"],
                ["koogate check 指出错误，修改后重新加载", "koogate check names what is wrong; mend it and reload"],
            ),
            Self::DatabaseUnwritable => page(
                ["数据库无法写入", "the database cannot be written"],
                ["所有调用应答 000005，订单无法开通", "all calls are answered 000005, no order is fulfilled"],
                ["检查磁盘空间、权限和磁盘故障", "look at disk space, permissions, and the disk itself"],
            ),
            Self::DatabaseDamaged => page(
                ["数据库已损坏", "the database is damaged"],
                ["已记录的应答无法重放", "a recorded answer cannot be given again"],
                ["停止 koogate，用 koogate restore 恢复最新的完好副本", "stop koogate and restore the newest good copy: koogate restore"],
            ),
            Self::WalGone => page(
                ["数据库的 -wal 文件丢失", "the -wal of the database is gone"],
                ["最新的调用可能缺失", "the newest calls may be missing"],
                ["将 koogate exchange list 与卖家中心核对", "compare koogate exchange list with the seller console"],
            ),
            Self::WalGrows => page(
                ["WAL 持续增长", "the WAL grows"],
                ["磁盘会被写满", "it fills the disk"],
                ["日志中有原因；结束长时间占用数据库的程序", "the log says why; end programs that keep the database open"],
            ),
            Self::DiskLow => page(
                ["磁盘空间不足", "the disk is nearly full"],
                ["写满后所有调用应答 000005", "when it is full, all calls are answered 000005"],
                ["清理或扩大数据库所在的磁盘", "make room on the disk of the database"],
            ),
            Self::SnapshotOld => page(
                ["快照过旧", "the snapshot is too old"],
                ["此时丢失数据库会丢失这之后的订单", "if the database is lost now, so is what was sold since"],
                ["日志中有原因：多为磁盘空间或权限", "the log says why: mostly space or permissions"],
            ),
            Self::SeriesOld => page(
                ["定期快照没有继续", "the series of snapshots does not go on"],
                ["没有可回退的旧副本", "there are no older copies to go back to"],
                ["日志中有原因：多为磁盘空间或权限", "the log says why: mostly space or permissions"],
            ),
            Self::CopyDamaged => page(
                ["副本已损坏", "a copy is damaged"],
                ["该副本无法用于恢复，磁盘可能有故障", "it cannot be restored; the disk may be failing"],
                ["检查磁盘，并把快照复制到别处", "look at the disk, and keep copies elsewhere"],
            ),
            Self::RestoreGap => page(
                ["恢复后的缺口尚未检查", "nobody has looked at what a restore lacks"],
                ["备份之后的订单可能缺失或重复", "orders after the copy may be missing, or made twice"],
                ["koogate restore --report", "koogate restore --report"],
            ),
            Self::ServiceIll => page(
                ["服务没有应答", "the service does not answer"],
                ["云商店的调用得不到应答", "KooGallery's calls get no answer"],
                ["日志中有原因：检查 CPU、磁盘和连接数", "the log says why: look at CPU, disk and connections"],
            ),
            Self::FilesShort => page(
                ["可打开的文件数不足", "too few files may be open"],
                ["繁忙时拒绝连接", "connections are refused when much is going on"],
                ["提高 LimitNOFILE，或降低 server.max_connections", "raise LimitNOFILE, or lower server.max_connections"],
            ),
            Self::ConnectionsRefused => page(
                ["无法接受连接", "connections cannot be accepted"],
                ["云商店的调用得不到应答", "KooGallery's calls get no answer"],
                ["日志中有原因：多为文件数或内存", "the log says why: mostly open files or memory"],
            ),
        }
    }
}
