//! What to do about a record that KooGallery refused, by its code (spec 5-open-api §6.3).

/// A sentence for the operator and the application's developer. Codes are as [`super::judge`] keeps them: without blanks
/// and without the prefix that is sometimes printed before them.
pub fn what_to_do(code: &str) -> &'static str {
    match super::judge::bare(code).as_str() {
        "001" | "9001" => {
            "KooGallery does not know the instance: check that it was bought on this site and is not a test, then report \
             again"
        }
        "002" => "the time format was refused, which is koogate's fault: please report it as a bug with the record",
        "003" | "9002" => {
            "the value was refused: it must be greater than 0 with at most 4 decimals and 8 digits before the point \
             (international sites); report again in the unit that is billed"
        }
        "004" => "the metering_sn was missing: check that the usage interface is the one that the product is set to",
        "006" => "the product was withdrawn: ask KooGallery's support how its last usage is billed",
        "007" | "9004" => {
            "the time began more than 21 days before it arrived: it cannot be billed any more; settle it with the buyer \
             by hand"
        }
        "009" => {
            "the instance belongs to another seller: check that the AK/SK and the access key are of the account that \
             sells the product"
        }
        "010" => {
            "KooGallery has a record of the same instance and time from elsewhere: compare them in 交易管理 > 话单管理; \
             only the first counts"
        }
        "011" => {
            "the time range was refused: it must lie after the instance was opened, before it was closed, and in the \
             past; report what lies in between"
        }
        "012" => "the instance is not pay-per-use: report usage for the on-demand instance, not the package",
        "013" => {
            "the instance is in a state that takes no usage, mostly released or not opened yet: check it in the seller \
             console, then report again"
        }
        "WITHDRAWN" => "it was taken out by `koogate usage reject`: report its time again, with the right value",
        "0100" | "0101" | "0199" | "94060999" => {
            "KooGallery refused the record without saying why: compare it with the instance in the seller console, then \
             report again"
        }
        _ => "the code is not documented: ask KooGallery's support, then report again",
    }
}

/// The same in Chinese.
pub fn what_to_do_zh(code: &str) -> &'static str {
    match super::judge::bare(code).as_str() {
        "001" | "9001" => "KooGallery 不认识该实例：确认它在本站点购买且不是测试实例，然后重新上报",
        "002" => "时间格式被拒，这是 koogate 的问题：请附上该记录反馈",
        "003" | "9002" => "用量值被拒：必须大于 0，最多 4 位小数，小数点前最多 8 位（国际站）；请按计费单位重新上报",
        "004" => "缺少话单号：确认用量接口与商品设置的一致",
        "006" => "商品已下架：请向 KooGallery 客服确认最后的用量如何计费",
        "007" | "9004" => "时段开始于到达前 21 天以上：已不能计费，请与买家另行结算",
        "009" => "实例属于其他卖家：确认 AK/SK 与访问密钥属于销售该商品的账号",
        "010" => "KooGallery 已有同一实例同一时段的记录：在“交易管理 > 话单管理”中核对；只计第一条",
        "011" => "时段被拒：必须在实例开通之后、关闭之前且已结束；请上报其中有效的部分",
        "012" => "该实例不是按需计费：请对按需实例上报，而不是套餐包",
        "013" => "实例当前状态不接受用量，多为已释放或尚未开通：在卖家中心核对后重新上报",
        "WITHDRAWN" => "已由操作员撤回：请以正确的值重新上报该时段",
        "0100" | "0101" | "0199" | "94060999" => "KooGallery 未说明原因：在卖家中心核对该实例后重新上报",
        _ => "文档中没有此代码：请咨询 KooGallery 客服后重新上报",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_know_the_same_codes() {
        let codes = (0..10_000).map(|code| format!("{code:04}")).chain((0..1000).map(|code| format!("{code:03}")));
        for code in codes.chain(["WITHDRAWN".to_owned(), "94060999".to_owned()]) {
            let is_known = what_to_do(&code) != what_to_do("none");
            assert_eq!(what_to_do_zh(&code) != what_to_do_zh("none"), is_known, "{code}");
        }
    }
}
