//! The order query (查询订单): what KooGallery tells of an order (spec 5-open-api §4).
//!
//! Everything but the order's id is optional, words that are not known are kept as they came, and what has not the
//! documented form is left out rather than refused: an order that is half understood still opens an instance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::protocol::call::Buyer;
use crate::protocol::time;
use crate::secret::Secret;

/// The path of the query; its parameters are `orderId` and, where it is known, `orderLineId`.
pub const PATH: &str = "/api/mkp-openapi-public/global/v1/order/query";

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// `orderId`.
    pub order_id: String,
    /// `NEW`, `TRIAL`, `TRIAL_TO_FORMAL`, `UNSUBSCRIBE`, `RENEW`, `CHANGE`, or what else was said.
    pub order_type: Option<String>,
    /// When it was placed; not when it takes effect.
    pub create_time: Option<Timestamp>,
    /// Its lines.
    pub lines: Vec<OrderLine>,
    /// Who bought.
    pub buyer: Buyer,
    /// The extension parameters the buyer filled in.
    pub parameters: BTreeMap<String, String>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// `orderLineId`.
    pub order_line_id: Option<String>,
    /// `ON_DEMAND`, `ONE_TIME`, `PERIOD`, `ON_DEMAND_PKG`, or what else was said.
    pub charging_mode: Option<String>,
    /// The end of the paid time, an estimate; period products only.
    pub expire_time: Option<Timestamp>,
    /// `year`, `month`, for trials possibly others.
    pub period_type: Option<String>,
    /// How many periods.
    pub period_number: Option<u32>,
    /// What was bought; an on-demand line has one for each billing item.
    pub products: Vec<Product>,
    /// Extension parameters, where they stand at the line.
    pub parameters: BTreeMap<String, String>,
}

/// A product in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `productId`.
    pub product_id: Option<String>,
    /// `skuCode`.
    pub sku_code: Option<String>,
    /// `linearValue`, where it is a whole number.
    pub quantity: Option<u64>,
    /// `productName`.
    pub name: Option<String>,
}

/// Why an `orderInfo` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// It names no order.
    #[error("the reply tells no order")]
    Missing,
    /// Another order than was asked for.
    #[error("the reply tells order {told:?} instead of {asked:?}")]
    Another {
        /// Which was asked for.
        asked: String,
        /// Which was told.
        told: String,
    },
    /// The line that a call named.
    #[error("the order has no line {0:?}")]
    NoLine(String),
}

impl Order {
    /// Reads the member `orderInfo` of a reply, or a stored one.
    ///
    /// # Errors
    /// When it tells no order, or another than `asked`.
    pub fn read(order_info: Option<&Value>, asked: &str) -> Result<Self, OrderFault> {
        let info = order_info.and_then(Value::as_object).ok_or(OrderFault::Missing)?;
        let order_id = text(info, "orderId").ok_or(OrderFault::Missing)?;
        if order_id != asked {
            return Err(OrderFault::Another { asked: asked.to_owned(), told: order_id });
        }
        Ok(Self {
            order_id,
            order_type: text(info, "orderType"),
            create_time: instant(info, "createTime"),
            lines: objects(info, "orderLine").map(OrderLine::read).collect(),
            buyer: info.get("buyerInfo").and_then(Value::as_object).map(buyer).unwrap_or_default(),
            parameters: parameters(info),
        })
    }

    /// The line a call is about: the one it names, or, where one of the two names none, the only one.
    ///
    /// # Errors
    /// [`OrderFault::NoLine`].
    pub fn line(&self, order_line_id: Option<&str>) -> Result<&OrderLine, OrderFault> {
        let only = self.lines.first().filter(|_| self.lines.len() == 1);
        let found = match order_line_id {
            Some(id) => self
                .lines
                .iter()
                .find(|line| line.order_line_id.as_deref() == Some(id))
                .or_else(|| only.filter(|line| line.order_line_id.is_none())),
            None => only,
        };
        found.ok_or_else(|| OrderFault::NoLine(order_line_id.unwrap_or_default().to_owned()))
    }
}

impl OrderLine {
    fn read(line: &Map<String, Value>) -> Self {
        Self {
            order_line_id: text(line, "orderLineId"),
            charging_mode: text(line, "chargingMode"),
            expire_time: instant(line, "expireTime"),
            period_type: text(line, "periodType"),
            period_number: whole(line, "periodNumber").and_then(|number| number.try_into().ok()),
            products: objects(line, "productInfo").map(Product::read).collect(),
            parameters: parameters(line),
        }
    }

    /// The product a call is about: the billing item it names, else the first.
    pub fn product(&self, product_id: Option<&str>) -> Option<&Product> {
        let named = |product: &&Product| product_id.is_some() && product.product_id.as_deref() == product_id;
        self.products.iter().find(named).or_else(|| self.products.first().filter(|_| product_id.is_none()))
    }
}

impl Product {
    fn read(product: &Map<String, Value>) -> Self {
        Self {
            product_id: text(product, "productId"),
            sku_code: text(product, "skuCode"),
            quantity: whole(product, "linearValue"),
            name: text(product, "productName"),
        }
    }
}

/// Who bought; the wire has this data in plain text.
fn buyer(told: &Map<String, Value>) -> Buyer {
    let secret = |name| text(told, name).map(Secret::new);
    Buyer {
        customer_id: text(told, "customerId"),
        customer_name: text(told, "customerName"),
        user_id: text(told, "userId"),
        user_name: text(told, "userName"),
        mobile_phone: secret("mobilePhone"),
        email: secret("email"),
    }
}

/// A text or a number as text; `None` when absent, empty or something else.
fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    match members.get(name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn instant(members: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    text(members, name).and_then(|text| time::parse(&text).ok())
}

/// A whole number, `20.0` included.
fn whole(members: &Map<String, Value>, name: &str) -> Option<u64> {
    let text = text(members, name)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    whole.parse().ok().filter(|_| fraction.bytes().all(|digit| digit == b'0'))
}

/// The objects of a list; one object that stands in its place counts as a list of one.
fn objects<'v>(members: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = &'v Map<String, Value>> {
    let list = match members.get(name) {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_object)
}

/// `[{"name":…,"value":…}]`.
fn parameters(members: &Map<String, Value>) -> BTreeMap<String, String> {
    let pair = |one: &Map<String, Value>| Some((text(one, "name")?, text(one, "value").unwrap_or_default()));
    objects(members, "extendParams").filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info() -> Value {
        json!({
            "orderId": "CS1", "orderType": "NEW", "createTime": "20220726064736", "later": {"x": 1},
            "orderLine": [{
                "orderLineId": "CS1-000001", "chargingMode": "PERIOD", "periodType": "year", "periodNumber": 1,
                "expireTime": "20230726155959", "extendParams": [{"name": "seat", "value": "5"}],
                "productInfo": [{"productId": "OFFI1", "skuCode": "sku", "linearValue": 20, "productName": "邮箱"}],
            }, {
                "orderLineId": "CS1-000002", "chargingMode": "ON_DEMAND",
                "productInfo": [{"productId": "A"}, {"productId": "B", "linearValue": "2.50"}],
            }],
            "buyerInfo": {"customerId": "c-1", "customerName": "Shop", "mobilePhone": "13800138000", "email": ""},
            "extendParams": [{"name": "emailDomainName", "value": "test.xxxx.com"}, {"value": "nameless"}, 7],
        })
    }

    fn order() -> Order {
        Order::read(Some(&info()), "CS1").unwrap()
    }

    #[test]
    fn an_order_is_read_with_its_lines_buyer_and_parameters() {
        let order = order();
        assert_eq!(order.create_time, Some("2022-07-26T06:47:36Z".parse().unwrap()));
        let line = order.line(Some("CS1-000001")).unwrap();
        assert_eq!((line.charging_mode.as_deref(), line.period_number), (Some("PERIOD"), Some(1)));
        assert_eq!(line.expire_time, Some("2023-07-26T15:59:59Z".parse().unwrap()));
        let product = line.product(None).unwrap();
        assert_eq!((product.quantity, product.name.as_deref()), (Some(20), Some("邮箱")));
        assert_eq!(line.parameters["seat"], "5");
        assert_eq!(order.parameters, BTreeMap::from([("emailDomainName".to_owned(), "test.xxxx.com".to_owned())]));
        assert_eq!(order.buyer.mobile_phone.as_ref().map(|phone| phone.expose().as_str()), Some("13800138000"));
        assert_eq!(order.buyer.email, None);
        assert!(!format!("{order:?}").contains("13800138000"));
    }

    #[test]
    fn the_line_and_the_billing_item_of_a_call_are_found_and_never_guessed() {
        let order = order();
        assert_eq!(order.line(Some("CS1-9")), Err(OrderFault::NoLine("CS1-9".to_owned())));
        assert_eq!(order.line(None), Err(OrderFault::NoLine(String::new())), "of two lines none is meant");
        let line = order.line(Some("CS1-000002")).unwrap();
        assert_eq!(line.product(Some("B")).unwrap().product_id.as_deref(), Some("B"));
        assert_eq!(line.product(Some("C")), None);
        assert_eq!(line.product(None).unwrap().product_id.as_deref(), Some("A"));
        assert_eq!(line.product(Some("B")).unwrap().quantity, None, "half a seat is none");
    }

    #[test]
    fn sparse_orders_are_read_as_far_as_they_go() {
        let order =
            Order::read(Some(&json!({ "orderId": "CS2", "orderLine": {"productInfo": {"skuCode": 7}} })), "CS2");
        let order = order.unwrap();
        let line = order.line(None).unwrap();
        assert_eq!(line.product(None).unwrap().sku_code.as_deref(), Some("7"));
        assert_eq!((line.expire_time, &order.buyer), (None, &Buyer::default()));
        assert_eq!(order.line(Some("CS2-000001")), Ok(line), "an order of one line that names none has no other");
        let odd = json!({ "orderId": "CS2", "createTime": "yesterday", "orderLine": "x", "buyerInfo": [], "extendParams": {} });
        assert!(Order::read(Some(&odd), "CS2").unwrap().lines.is_empty());
    }

    #[test]
    fn another_order_is_not_taken_for_the_one_that_was_asked_for() {
        assert_eq!(Order::read(None, "CS1"), Err(OrderFault::Missing));
        assert_eq!(Order::read(Some(&json!([])), "CS1"), Err(OrderFault::Missing));
        let (asked, told) = ("CS2".to_owned(), "CS1".to_owned());
        assert_eq!(Order::read(Some(&info()), "CS2"), Err(OrderFault::Another { asked, told }));
    }
}
