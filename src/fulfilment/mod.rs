//! How an instance comes into being: the kinds of fulfilment.
//!
//! `fixed` and `stock` finish a creation inside the call's own transaction ([`begin`]); `http` and `command` hand it to
//! the merchant's application by way of a job, whose end is recorded in [`completion`]; `manual` waits for the operator.
//! What is sent and answered ([`event`], [`answer`], [`webhook`]) is pure; [`http`] and [`command`] are the transports.

pub mod adopt;
pub mod answer;
pub mod application;
pub mod by_hand;
pub mod command;
pub mod completion;
pub mod event;
pub mod http;
pub mod ordered;
pub mod ready;
pub mod retell;
pub mod webhook;

use jiff::Timestamp;

use crate::access::{Access, AccessParts};
use crate::config::{AccessTemplate, Fulfilment, PlaceholderValues};
pub use crate::excerpt::blanked;
use crate::kind::Kind;
use crate::license::License;
use crate::protocol::result_code::ResultCode;
use crate::random;
use crate::secret::Secret;
use crate::settings::Product;
use crate::store::{InstanceRow, JobRow, StoreError, Tx};
use answer::Handout;
use event::Event;

/// How a creation goes on.
#[derive(Debug)]
pub enum Begun {
    /// It is finished.
    Ready(Handout),
    /// There is nothing left to hand out.
    NoStock {
        /// The stock's name.
        stock: String,
    },
    /// What is configured cannot be handed out.
    Misconfigured(String),
    /// The operator finishes it.
    Operator,
    /// The merchant's application finishes it: a job.
    Application,
}

/// What came of one attempt to tell the merchant's application, or to hand a licence to KooGallery.
#[derive(Debug, Clone)]
pub enum AttemptResult {
    /// It has done it.
    Ready(Handout),
    /// It has begun and will report.
    Pending,
    /// It will not do it.
    Refused {
        /// What KooGallery is told.
        code: ResultCode,
        /// Why.
        message: String,
    },
    /// No answer, or none that counts.
    Failed(String),
    /// It cannot be tried yet, for a reason that is nobody's failure.
    Postponed {
        /// When it is looked at again.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// KooGallery has the licence.
    Uploaded,
    /// KooGallery will not have the licence, however often it is tried: why, and what to do.
    Rejected(String),
}

/// Begins the creation of an instance, or of the licence in row `license`, in the transaction that answers the call.
///
/// # Errors
/// When the stock cannot be read.
pub fn begin(
    tx: &Tx<'_>,
    product: &Product,
    instance: &InstanceRow,
    license: Option<i64>,
    now: Timestamp,
) -> Result<Begun, StoreError> {
    let begun = match &product.entry().fulfilment {
        Fulfilment::Http { .. } | Fulfilment::Command { .. } => Begun::Application,
        // Such an instance is nothing by itself: what is made by hand or taken from the stock is each licence of it.
        Fulfilment::Manual | Fulfilment::Stock { .. } if instance.kind == Kind::LicenseOnline && license.is_none() => {
            Begun::Ready(Handout::default())
        }
        Fulfilment::Manual => Begun::Operator,
        Fulfilment::Fixed { access, generate_password } => match fixed(access, *generate_password, instance) {
            Ok(handout) => Begun::Ready(handout),
            Err(problem) => Begun::Misconfigured(problem),
        },
        Fulfilment::Stock { name, low_stock } => from_stock(tx, name, *low_stock, instance, license, now)?,
    };
    Ok(match begun {
        Begun::Ready(handout) => match check(instance, &handout) {
            Ok(()) => Begun::Ready(handout),
            Err(problem) => Begun::Misconfigured(problem),
        },
        begun => begun,
    })
}

/// What is handed out with an instance that nobody has to make. `None`: somebody has to, or what is configured cannot be
/// handed out; [`begin`] tells.
pub fn at_once(product: &Product, instance: &InstanceRow) -> Option<Handout> {
    match &product.entry().fulfilment {
        Fulfilment::Fixed { access, generate_password } if instance.kind != Kind::License => {
            fixed(access, *generate_password, instance).ok().filter(|handout| check(instance, handout).is_ok())
        }
        _ => None,
    }
}

fn fixed(template: &AccessTemplate, generate_password: bool, instance: &InstanceRow) -> Result<Handout, String> {
    let password = generate_password.then(random::password).transpose().map_err(|error| error.to_string())?;
    let access = fill(template, &placeholder_values(instance), password)?;
    Ok(Handout { access: Some(access), license: None })
}

fn from_stock(
    tx: &Tx<'_>,
    stock: &str,
    low: u32,
    instance: &InstanceRow,
    license: Option<i64>,
    now: Timestamp,
) -> Result<Begun, StoreError> {
    let handout = match license {
        None => tx.take_account(stock, instance, now)?.map(|access| Handout { access: Some(access), license: None }),
        Some(license) => match tx.take_license(stock, license, now)?.map(License::text).transpose() {
            Ok(code) => code.map(|code| Handout { access: None, license: Some(code) }),
            Err(fault) => return Ok(Begun::Misconfigured(format!("an entry of stock {stock:?}: {fault}"))),
        },
    };
    let Some(handout) = handout else { return Ok(Begun::NoStock { stock: stock.to_owned() }) };
    let left = tx.unused_stock(stock)?;
    if left <= i64::from(low) {
        log::warn!("ALERT stock {stock:?} is low: {left} left; `koogate stock import` adds more");
    }
    Ok(Begun::Ready(handout))
}

/// The event of a job.
///
/// # Errors
/// When it cannot be read.
pub fn stored_event(tx: &Tx<'_>, job: &JobRow) -> Result<Event, StoreError> {
    serde_json::from_str(&tx.event_of(job)?)
        .map_err(|error| StoreError::BadRow { table: "job", problem: format!("the event of job {}: {error}", job.row) })
}

/// Checks that the interface that bought an instance can hand this out.
///
/// # Errors
/// Which member breaks which limit, without its value.
pub fn check(instance: &InstanceRow, handout: &Handout) -> Result<(), String> {
    if let Some(access) = &handout.access {
        instance.check_access(access).map_err(|fault| format!("access data not accepted: {fault}"))?;
    }
    if let (Kind::License, Some(license)) = (instance.kind, &handout.license) {
        license.as_text().map_err(|fault| format!("licence not accepted: {fault}"))?;
    }
    Ok(())
}

/// Access data for answers to test calls, which name made-up instances but must be complete (spec 1-basic-v2 §8): the
/// product's own where there is one, else an example.
pub fn demonstration_access(product: Option<&Product>, values: &PlaceholderValues<'_>) -> Option<Access> {
    let configured = product.and_then(|product| product.entry().access());
    configured.and_then(|template| fill(template, values, None).ok()).or_else(|| {
        Access::accept(AccessParts {
            front_end_url: "https://www.example.com/login".to_owned(),
            admin_url: Some("https://www.example.com/admin".to_owned()),
            user_name: Some(Secret::new("demo".to_owned())),
            password: Some(Secret::new("demo-password".to_owned())),
            memo: Some("Answer to a test call / 调试应答".to_owned()),
        })
        .ok()
    })
}

/// The licence in answers to test calls.
pub fn demonstration_license(instance_id: &str) -> Secret<String> {
    Secret::new(format!("TEST-LICENSE-{instance_id}"))
}

/// A product's access data with its placeholders filled in.
///
/// # Errors
/// When what comes out breaks a limit of KooGallery.
pub fn fill(
    template: &AccessTemplate,
    values: &PlaceholderValues<'_>,
    password: Option<Secret<String>>,
) -> Result<Access, String> {
    let filled = template.fill(values);
    Access::accept(AccessParts {
        front_end_url: filled.front_end_url,
        admin_url: filled.admin_url,
        user_name: filled.user_name.map(Secret::new),
        password,
        memo: filled.memo,
    })
    .map_err(|fault| format!("the product's access cannot be handed out: {fault}"))
}

/// What an instance puts in the place of the placeholders.
pub fn placeholder_values(instance: &InstanceRow) -> PlaceholderValues<'_> {
    PlaceholderValues {
        instance_id: &instance.instance_id,
        order_id: instance.order_id.as_deref().unwrap_or_default(),
        order_line_id: instance.order_line_id.as_deref().unwrap_or_default(),
        product_id: instance.life.product_id.as_deref().unwrap_or_default(),
    }
}
