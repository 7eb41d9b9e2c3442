//! An order as KooGallery told it.

use serde_json::{Map, Value, json};

use super::time;
use crate::protocol::time as wire;
use crate::store::OrderRow;

/// Members of `buyerInfo` that are shown only to whoever asks for them.
const PERSONAL: [&str; 2] = ["mobilePhone", "email"];

/// By itself: KooGallery's `orderInfo`, with times as in all listings, and `fetchedAt`.
pub fn shown(row: &OrderRow, mut info: Value, with_personal: bool) -> Value {
    if !with_personal {
        mask(&mut info);
    }
    write_times_as_elsewhere(&mut info);
    info["fetchedAt"] = time(row.fetched_at).into();
    info
}

/// In a listing.
pub fn listed(row: &OrderRow) -> Value {
    json!({
        "orderId": row.order_id, "orderType": row.order_type, "createTime": row.create_time.map(time),
        "fetchedAt": time(row.fetched_at),
    })
}

/// Times of the wire, in the form that all listings have.
fn write_times_as_elsewhere(info: &mut Value) {
    let rewrite = |members: &mut Value, name: &str| {
        if let Some(member) = members.get_mut(name)
            && let Some(at) = member.as_str().and_then(|text| wire::parse(text).ok())
        {
            *member = time(at).into();
        }
    };
    rewrite(info, "createTime");
    for line in info.get_mut("orderLine").and_then(Value::as_array_mut).into_iter().flatten() {
        rewrite(line, "expireTime");
    }
}

/// Blanks what is personal, but for its ends.
pub fn mask(info: &mut Value) {
    let Some(buyer) = info.get_mut("buyerInfo").and_then(Value::as_object_mut) else { return };
    let hide = |buyer: &mut Map<String, Value>, name: &str| {
        if let Some(value) = buyer.get_mut(name).filter(|value| !value.is_null()) {
            *value = masked(value.as_str().unwrap_or_default()).into();
        }
    };
    PERSONAL.iter().for_each(|name| hide(buyer, name));
}

fn masked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    match chars.as_slice() {
        [first, second, middle @ .., before, last] if middle.len() > 4 => format!("{first}{second}***{before}{last}"),
        _ => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobile_numbers_and_addresses_are_masked_whatever_they_are() {
        let mut info = json!({
            "orderId": "CS1",
            "buyerInfo": { "customerId": "c-1", "mobilePhone": "13800138000", "email": "a@b.cn", "userName": null },
        });
        mask(&mut info);
        assert_eq!(
            info["buyerInfo"],
            json!({ "customerId": "c-1", "mobilePhone": "13***00", "email": "***", "userName": null })
        );
        let mut odd = json!({ "orderId": "CS1", "buyerInfo": { "mobilePhone": 13_800_138_000_u64, "email": ["a"] } });
        mask(&mut odd);
        assert_eq!(odd["buyerInfo"], json!({ "mobilePhone": "***", "email": "***" }));
    }
}
