//! What the journals of this benchmark hold. Everything follows from a number, so that nothing needs to be remembered:
//! the tenth of the exchanges that opened an instance, their orders, their answers.

use koogate::protocol::key::AccessKey;
use koogate::secret::Secret;
use uuid::Uuid;

/// The access key of every server that is measured.
pub const KEY: &str = "11111111-2222-3333-4444-555555555555";

/// The key of the sealed columns.
pub const SEALING_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Exchanges for each instance: its purchase and what came later.
pub const PER_INSTANCE: u64 = 10;

/// Bytes of a purchase's body, filled up with a member that nobody knows.
const BODY: usize = 360;

/// The key that calls are signed with.
pub fn access_key() -> AccessKey {
    AccessKey::new("bench".to_owned(), Secret::new(KEY.to_owned()))
}

/// The id of an instance: a UUID, so they come in no order.
pub fn instance_id(instance: u64) -> String {
    Uuid::from_u64_pair(scattered(instance), scattered(!instance)).to_string()
}

/// The order that bought an instance. Orders are numbered in the order of time.
pub fn order_id(instance: u64) -> String {
    format!("CS26{instance:012}")
}

/// One in a thousand purchases never came to an end.
pub fn has_failed(instance: u64) -> bool {
    instance % 1000 == 501
}

/// Two in a thousand came to an end after KooGallery had given them up.
pub fn was_late(instance: u64) -> bool {
    instance % 500 == 250
}

/// One in twenty is gone.
pub fn is_released(instance: u64) -> bool {
    instance % 20 == 7 && !has_failed(instance)
}

/// One in fifty is frozen.
pub fn is_frozen(instance: u64) -> bool {
    instance % 50 == 3 && !has_failed(instance)
}

/// The body of a purchase.
pub fn purchase(business_id: &str, order_id: &str) -> Vec<u8> {
    let mut body = format!(
        r#"{{"activity":"newInstance","businessId":"{business_id}","orderId":"{order_id}","orderLineId":"{order_id}-000001","testFlag":"0","padding":""#
    )
    .into_bytes();
    body.resize(BODY - 2, b'x');
    body.extend_from_slice(b"\"}");
    body
}

/// How a purchase is answered.
pub fn purchase_answer(instance_id: &str) -> Vec<u8> {
    format!(r#"{{"resultCode":"000000","resultMsg":"success","instanceId":"{instance_id}"}}"#).into_bytes()
}

/// The body of a query.
pub fn query(business_id: &str, instance_id: &str) -> Vec<u8> {
    format!(
        r#"{{"activity":"queryInstance","businessId":"{business_id}","instanceId":"{instance_id}","testFlag":"0"}}"#
    )
    .into_bytes()
}

/// How a query is answered.
pub fn query_answer(instance_id: &str) -> Vec<u8> {
    format!(
        r#"{{"resultCode":"000000","resultMsg":"success","info":[{{"instanceId":"{instance_id}","appInfo":{{"frontEndUrl":"https://app.example.com/{instance_id}","adminUrl":"https://app.example.com/admin"}}}}]}}"#
    )
    .into_bytes()
}

/// A purchase that is repeated, or an instance that is asked about, of `instances`: any that is in use. The newest are left
/// out, because some of them were bought by test calls.
pub fn chosen(instances: u64, number: u64) -> u64 {
    let found = scattered(number) % (instances * 19 / 20).max(1);
    if has_failed(found) || is_released(found) || is_frozen(found) { found - 1 } else { found }
}

/// SplitMix64: numbers in a row become numbers all over the place.
pub fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
