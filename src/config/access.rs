//! `access = { … }` of a product: what a buyer is told to log in with, as templates. Pure but for the reader.

use toml::de::DeValue;

use crate::config::error::Problem;
use crate::config::section::Section;
use crate::config::shown::{Origin, Value};
use crate::config::template::{PlaceholderValues, Template};
use crate::config::value::{Mismatch, text};

/// Access data with placeholders: the `appInfo` that KooGallery shows to a buyer (spec 1-basic-v2 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTemplate {
    /// Where the buyer uses the product.
    pub front_end_url: Template,
    /// Where the buyer administers it.
    pub admin_url: Option<Template>,
    /// The user name to log in with.
    pub user_name: Option<Template>,
    /// Anything else the buyer should know.
    pub memo: Option<Template>,
}

/// Access data for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledAccess {
    /// `frontEndUrl`
    pub front_end_url: String,
    /// `adminUrl`
    pub admin_url: Option<String>,
    /// `userName`
    pub user_name: Option<String>,
    /// `memo`
    pub memo: Option<String>,
}

impl AccessTemplate {
    /// Puts the values in: percent-encoded in the URLs, as they are elsewhere.
    pub fn fill(&self, values: &PlaceholderValues<'_>) -> FilledAccess {
        let plain = |template: &Template| template.fill(values);
        FilledAccess {
            front_end_url: self.front_end_url.fill_url(values),
            admin_url: self.admin_url.as_ref().map(|template| template.fill_url(values)),
            user_name: self.user_name.as_ref().map(plain),
            memo: self.memo.as_ref().map(plain),
        }
    }

    /// `None` when there is no usable `front_end_url`, which is reported.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        // The lengths are KooGallery's for the finished text; here they catch what is too long before anything is
        // filled in.
        if !section.has("front_end_url") {
            let expected = "the address your customers use".to_owned();
            section.error("front_end_url", Problem::Missing { expected });
        }
        let front_end_url = template(section, "front_end_url", |value| url(value, 512));
        let admin_url = template(section, "admin_url", |value| url(value, 512));
        let user_name = template(section, "user_name", |value| short(value, 128));
        // What everybody logs in with is half of what one needs for it.
        if let (Some(name), Some(line)) = (&user_name, section.line("user_name"))
            && !name.has_placeholders()
        {
            section.note("user_name", Value::Secret, Origin::Line(line));
        }
        let memo = template(section, "memo", |value| short(value, 1024));
        Some(Self { front_end_url: front_end_url?, admin_url, user_name, memo })
    }
}

fn template<'t>(
    section: &mut Section<'_, 't>,
    key: &'static str,
    check: impl FnOnce(&'t DeValue<'t>) -> Result<&'t str, Mismatch>,
) -> Option<Template> {
    let text = section.optional(key, check)?;
    Template::parse(text).map_err(|error| section.error(key, Problem::Template(error))).ok()
}

fn url<'v>(value: &'v DeValue<'_>, longest: usize) -> Result<&'v str, Mismatch> {
    let good = |url: &&str| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']))
            && !url.chars().any(|c| c.is_whitespace() || c.is_control())
            && url.chars().count() <= longest
    };
    value.as_str().filter(good).ok_or_else(|| {
        Mismatch::new(
            value,
            format!("an address that starts with https:// or http://, of at most {longest} characters"),
        )
    })
}

fn short<'v>(value: &'v DeValue<'_>, longest: usize) -> Result<&'v str, Mismatch> {
    let text = text(value)?;
    if !(1..=longest).contains(&text.chars().count()) {
        return Err(Mismatch::new(value, format!("a text of 1 to {longest} characters")));
    }
    Ok(text)
}
