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

/// What was done here.
pub const ACTIONS: Place = Place { path: "/actions", name: text("操作记录", "Actions") };

/// The navigation, in order.
pub const NAVIGATION: &[Place] = &[FRONT, ACTIONS];
