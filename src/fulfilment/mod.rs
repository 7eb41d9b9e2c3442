//! How an instance comes into being: the kinds of fulfilment.
//!
//! `fixed` and `stock` finish a creation inside the call's own transaction ([`begin`]); `http` and `command` hand it to
//! the merchant's application by way of a job, whose end is recorded in [`completion`]; `manual` waits for the operator.
//! What is sent and answered ([`event`], [`answer`], [`webhook`]) is pure; [`http`] and [`command`] are the transports.

pub mod answer;
pub mod application;
pub mod command;
pub mod completion;
pub mod event;
mod excerpt;
pub mod http;
pub mod webhook;

use jiff::Timestamp;

use crate::access::{Access, AccessParts};
use crate::config::{AccessTemplate, Fulfilment, PlaceholderValues};
use crate::protocol::result_code::ResultCode;
use crate::secret::Secret;
use crate::settings::Product;
use crate::store::{InstanceRow, StoreError, Tx};

/// Length of generated passwords: 16 of 56 characters are more than 90 bits.
const PASSWORD_LENGTH: usize = 16;

/// Letters and digits that are not mistaken for one another.
const PASSWORD_ALPHABET: &[u8; 56] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";

/// How a creation goes on.
#[derive(Debug)]
pub enum Begun {
    /// It is finished.
    Ready(Access),
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

/// What came of one attempt to tell the merchant's application.
#[derive(Debug, Clone)]
pub enum AttemptResult {
    /// It has done it.
    Ready(Option<Access>),
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
}

/// Begins the creation of an instance, in the transaction that answers the call.
///
/// # Errors
/// When the stock cannot be read.
pub fn begin(tx: &Tx<'_>, product: &Product, instance: &InstanceRow, now: Timestamp) -> Result<Begun, StoreError> {
    Ok(match &product.entry().fulfilment {
        Fulfilment::Http { .. } | Fulfilment::Command { .. } => Begun::Application,
        Fulfilment::Manual => Begun::Operator,
        Fulfilment::Fixed { access, generate_password } => {
            let password = if *generate_password { generated_password() } else { Ok(None) };
            match password.and_then(|password| fill(access, &placeholder_values(instance), password)) {
                Ok(access) => Begun::Ready(access),
                Err(problem) => Begun::Misconfigured(problem),
            }
        }
        Fulfilment::Stock { name, low_stock } => match tx.take_stock(name, instance, now)? {
            None => Begun::NoStock { stock: name.clone() },
            Some(access) => {
                let left = tx.unused_stock(name)?;
                if left <= i64::from(*low_stock) {
                    log::warn!("ALERT stock {name:?} is low: {left} left; `koogate stock import` adds more");
                }
                Begun::Ready(access)
            }
        },
    })
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

fn generated_password() -> Result<Option<Secret<String>>, String> {
    use ring::rand::{SecureRandom, SystemRandom};
    let random = SystemRandom::new();
    let mut password = String::with_capacity(PASSWORD_LENGTH);
    let mut bytes = [0; 64];
    while password.len() < PASSWORD_LENGTH {
        random.fill(&mut bytes).map_err(|_| "the system's random numbers are not available".to_owned())?;
        // 224 is the greatest multiple of 56 below 256: every character is equally likely.
        let usable = bytes.iter().filter(|byte| **byte < 224);
        let left = PASSWORD_LENGTH - password.len();
        password.extend(usable.take(left).map(|byte| char::from(PASSWORD_ALPHABET[usize::from(*byte) % 56])));
    }
    Ok(Some(Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_long_plain_and_different() {
        let one = generated_password().unwrap().unwrap();
        let two = generated_password().unwrap().unwrap();
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), PASSWORD_LENGTH);
        assert!(one.expose().bytes().all(|byte| PASSWORD_ALPHABET.contains(&byte)));
    }
}
