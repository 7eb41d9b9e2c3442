//! What is sold needs: the merchant's applications, programs and stocks, the login's pages, and an admin listener that strangers
//! cannot reach.
//!
//! An application is asked `OPTIONS` and nothing else: a method that must change nothing (RFC 9110 §9.2.1), without a signature
//! and without a body, so that nothing can take it for an event. Whatever it answers, it is there.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::account::{self, Account};
use super::{Sink, Subject};
use crate::config::{Config, Fulfilment, Product};
use crate::simulate::client::Client;
use crate::store::Store;

const HOOK: Subject = "hook";
const COMMAND: Subject = "command";
const STOCK: Subject = "stock";
const LOGIN: Subject = "login";
const ADMIN: Subject = "admin";

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Tells of the programs, which take no network.
pub(super) fn commands(config: &Config, account: &Account, to: &mut Sink<'_>) -> anyhow::Result<()> {
    for (index, product) in config.products.iter().enumerate() {
        let Some((written, found)) = account::program_of(&product.fulfilment) else { continue };
        let mend = format!("product[{index}].command: name a program that the server's user can start");
        match found {
            None => to.error(COMMAND, format!("{} is not there", written.display()), mend)?,
            Some(program) => match account.cannot_start(&program) {
                Some(why) => to.error(COMMAND, why, mend)?,
                None => to.ok(COMMAND, format!("{} is there and can be started", program.display()))?,
            },
        }
    }
    Ok(())
}

/// Tells of the stocks: how many are left of each.
pub(super) fn stocks(config: &Config, store: &Store, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let mut told = BTreeSet::new();
    for product in &config.products {
        let Fulfilment::Stock { name, low_stock } = &product.fulfilment else { continue };
        if !told.insert(name) {
            continue;
        }
        let mend = format!("`koogate stock import {name} FILE`");
        match store.read(|tx| tx.unused_stock(name)) {
            Err(error) => to.error(STOCK, error.to_string(), "see the disk")?,
            Ok(0) => to.error(STOCK, format!("{name:?} is empty: purchases are answered 000100"), mend)?,
            Ok(left) if left <= i64::from(*low_stock) => {
                to.warning(STOCK, format!("{left} are left in {name:?}"), mend)?;
            }
            Ok(left) => to.ok(STOCK, format!("{left} are left in {name:?}"))?,
        }
    }
    Ok(())
}

/// Tells whether the applications are there.
pub(super) fn hooks(config: &Config, roots: &[u8], to: &mut Sink<'_>) -> anyhow::Result<()> {
    let mut told = BTreeSet::new();
    for Product { fulfilment, .. } in &config.products {
        let Fulfilment::Http { url, .. } = fulfilment else { continue };
        if told.insert(url) {
            reach(HOOK, "your application", url, roots, to)?;
        }
    }
    Ok(())
}

/// Tells whether the pages of the login are there: KooGallery's, and the application's.
pub(super) fn login(config: &Config, roots: &[u8], to: &mut Sink<'_>) -> anyhow::Result<()> {
    let Some(login) = &config.login else { return Ok(()) };
    reach(LOGIN, "your application", &login.application_url, roots, to)?;
    let page = login.filled_login_page();
    reach(LOGIN, "the login page", page.split('#').next().unwrap_or_default(), roots, to)
}

/// Asks an address whether somebody is there. What stands behind its `?` may be a key, and is not told.
fn reach(subject: Subject, whose: &str, url: &str, roots: &[u8], to: &mut Sink<'_>) -> anyhow::Result<()> {
    let shown = url.split('?').next().unwrap_or_default();
    let client = match Client::new(url, roots) {
        Ok(client) => client.with_deadline(ANSWER_WITHIN),
        Err(error) => return to.error(subject, format!("{shown}: {error}"), "write a complete address"),
    };
    match client.ask("OPTIONS", None) {
        Err(error) => {
            let why = client.certificate_fault(&error, Timestamp::now()).unwrap_or_else(|| error.to_string());
            let mend = "start it, or mend its address; koogate tries deliveries again for a while, and purchases wait";
            to.error(subject, format!("{shown}: {why}"), mend)
        }
        Ok(answer) if matches!(answer.status, 502..=504) => {
            let text = format!("{shown}: what stands in front of {whose} answers {}", answer.status);
            to.warning(subject, text, "start the application behind it")
        }
        Ok(answer) if answer.status == 404 => {
            let text = format!("{shown}: answered 404 to OPTIONS");
            to.warning(subject, text, "is the path right? An application that knows no OPTIONS may say so, too")
        }
        Ok(_) => to.ok(subject, format!("{shown} answers")),
    }
}

/// Tells who can reach the admin listener.
pub(super) fn admin(config: &Config, to: &mut Sink<'_>) -> anyhow::Result<()> {
    match &config.admin {
        None => Ok(()),
        Some(admin) if admin.listen.ip().is_loopback() => {
            to.ok(ADMIN, format!("{} can be reached from this machine only", admin.listen))
        }
        Some(admin) => to.warning(
            ADMIN,
            format!("{} can be reached by other machines, and its token travels in the clear", admin.listen),
            "let it listen on 127.0.0.1, and come by SSH or through a proxy with HTTPS",
        ),
    }
}
