//! The pages that the navigation leads to. A list that is added gets its line here and its routes in `admin/routes`.

use super::text::{Text, text};

/// A page of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its address.
    pub path: &'static str,
    /// What it is called.
    pub name: Text,
}

/// What costs money.
pub const FRONT: Place = Place { path: "/", name: text("总览", "Overview") };

/// The journal.
pub const EXCHANGES: Place = Place { path: "/exchanges", name: text("调用记录", "Exchanges") };

/// What was turned away.
pub const REFUSED: Place = Place { path: "/refused", name: text("被拒请求", "Refused") };

/// What was sold.
pub const INSTANCES: Place = Place { path: "/instances", name: text("实例", "Instances") };

/// Licences that were asked for.
pub const LICENSES: Place = Place { path: "/licenses", name: text("许可证", "Licences") };

/// What was ordered.
pub const ORDERS: Place = Place { path: "/orders", name: text("订单", "Orders") };

/// Work in the background.
pub const JOBS: Place = Place { path: "/jobs", name: text("任务", "Jobs") };

/// Ready-made accounts and codes.
pub const STOCK: Place = Place { path: "/stock", name: text("库存", "Stock") };

/// Enterprises of joint-operation products.
pub const TENANTS: Place = Place { path: "/tenants", name: text("租户", "Tenants") };

/// What on-demand instances have used.
pub const USAGE: Place = Place { path: "/usage", name: text("用量", "Usage") };

/// Charts.
pub const TRAFFIC: Place = Place { path: "/traffic", name: text("调用量", "Traffic") };

/// What was done here.
pub const ACTIONS: Place = Place { path: "/actions", name: text("操作记录", "Actions") };

/// The navigation, in order.
pub const NAVIGATION: &[Place] =
    &[FRONT, EXCHANGES, REFUSED, INSTANCES, LICENSES, ORDERS, JOBS, STOCK, TENANTS, USAGE, TRAFFIC, ACTIONS];
