//! Orders, as the order query tells them: those of the test and KooGallery's nine mock orders.

use serde_json::{Value, json};

use super::reply::Reply;

/// KooGallery's mock orders: id, orderType, chargingMode, periodType.
const MOCK_ORDERS: [(&str, &str, &str, Option<&str>); 9] = [
    ("MOCKPERIODYEARNEW", "NEW", "PERIOD", Some("year")),
    ("MOCKONETIMENEW", "NEW", "ONE_TIME", None),
    ("MOCKONDEMAND", "NEW", "ON_DEMAND", None),
    ("MOCKONDEMANDPKG", "NEW", "ON_DEMAND_PKG", None),
    ("MOCKPERIODDAYTRIAL", "TRIAL", "PERIOD", Some("day")),
    ("MOCKMONTYTRIALTOFORMAL", "TRIAL_TO_FORMAL", "PERIOD", Some("month")),
    ("MOCKMONTYUNSUBSCRIBE", "UNSUBSCRIBE", "PERIOD", Some("month")),
    ("MOCKMONTYRENEW", "RENEW", "PERIOD", Some("month")),
    ("MOCKMONTYCHANGE", "CHANGE", "PERIOD", Some("month")),
];

/// What is known.
pub struct Orders {
    orders: Vec<Value>,
}

impl Default for Orders {
    fn default() -> Self {
        let orders = MOCK_ORDERS.map(|(id, order_type, charging_mode, period_type)| {
            let mut line = json!({
                "orderLineId": format!("{id}-000001"),
                "chargingMode": charging_mode,
                "productInfo": [{
                    "productId": "OFFI000000000000000001", "skuCode": "sku-mock-1", "linearValue": 20,
                    "productName": "Mock product",
                }],
            });
            if let Some(period_type) = period_type {
                line["periodType"] = period_type.into();
                line["periodNumber"] = 1.into();
                line["expireTime"] = "20300726155959".into();
            }
            json!({
                "orderId": id, "orderType": order_type, "createTime": "20220726064736", "orderLine": [line],
                "buyerInfo": { "customerId": "customer-mock-1", "customerName": "mock-customer" },
            })
        });
        Self { orders: orders.to_vec() }
    }
}

impl Orders {
    /// Takes one in, in place of another with its id.
    pub fn put(&mut self, order_info: Value) {
        assert!(order_info["orderId"].is_string(), "an order without orderId: {order_info}");
        self.orders.retain(|order| order["orderId"] != order_info["orderId"]);
        self.orders.push(order_info);
    }

    /// Answers a query; with an order line, the order has only this one.
    pub fn query(&self, query: &[(String, String)]) -> Reply {
        let (mut order_id, mut line_id) = (None, None);
        for (name, value) in query {
            let place = match name.as_str() {
                "orderId" => &mut order_id,
                "orderLineId" => &mut line_id,
                _ => return Reply::result(400, "MKT.0101"),
            };
            if value.is_empty() || place.replace(value).is_some() {
                return Reply::result(400, "MKT.0101");
            }
            if value.chars().count() > 64 {
                return Reply::result(500, "MKT.0100").with("extra_info", json!({ "name": name }));
            }
        }
        let Some(order_id) = order_id else { return Reply::result(400, "MKT.0101") };
        let stranger = || Reply::result(401, "MKT.0150").with("extra_info", json!({ "orderId": order_id }));
        let Some(mut order) = self.orders.iter().find(|order| order["orderId"] == **order_id).cloned() else {
            return stranger();
        };
        if let (Some(line_id), Some(lines)) = (line_id, order["orderLine"].as_array_mut()) {
            lines.retain(|line| line["orderLineId"] == **line_id);
            if lines.is_empty() {
                return stranger();
            }
        }
        Reply::result(200, "MKT.0000").with("orderInfo", order)
    }
}
