//! Texts with placeholders, such as `https://app.example.com/{instanceId}`: checked when the configuration is read,
//! filled in when an instance is created. Pure.

use std::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986: no value can leave the place in a URL it was put in.
const URL_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with placeholders, all of them known. `{{` and `}}` stand for the braces themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder(Placeholder),
}

/// What may stand in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Instance,
    Order,
    OrderLine,
    Product,
}

const PLACEHOLDERS: [(&str, Placeholder); 4] = [
    ("instanceId", Placeholder::Instance),
    ("orderId", Placeholder::Order),
    ("orderLineId", Placeholder::OrderLine),
    ("productId", Placeholder::Product),
];

/// The values for the placeholders; the wire's names, and empty for what a call did not carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlaceholderValues<'a> {
    /// `{instanceId}`
    pub instance_id: &'a str,
    /// `{orderId}`
    pub order_id: &'a str,
    /// `{orderLineId}`
    pub order_line_id: &'a str,
    /// `{productId}`
    pub product_id: &'a str,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that does not exist.
    #[error("unknown placeholder {{{0}}}; there are {{instanceId}}, {{orderId}}, {{orderLineId}} and {{productId}}")]
    UnknownPlaceholder(String),
    /// A brace without its partner.
    #[error("a single {0}; write {0}{0} for the character itself")]
    StrayBrace(char),
}

impl Template {
    /// Takes a text apart.
    ///
    /// # Errors
    ///
    /// When a brace is left open or names an unknown placeholder.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(position) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(position);
            literal.push_str(before);
            if let Some(after) = from_brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from_brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let (placeholder, after) = parse_placeholder(from_brace)?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(placeholder));
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether anything is filled in at all.
    pub fn has_placeholders(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Placeholder(_)))
    }

    /// The text with the values put in as they are.
    pub fn fill(&self, values: &PlaceholderValues<'_>) -> String {
        self.fill_with(values, |text, value| text.push_str(value))
    }

    /// The text with the values put in percent-encoded, for URLs.
    pub fn fill_url(&self, values: &PlaceholderValues<'_>) -> String {
        self.fill_with(values, |text, value| text.extend(utf8_percent_encode(value, URL_VALUE)))
    }

    fn fill_with(&self, values: &PlaceholderValues<'_>, put: impl Fn(&mut String, &str)) -> String {
        let mut text = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => put(&mut text, values.value_of(*placeholder)),
            }
        }
        text
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl<'a> PlaceholderValues<'a> {
    fn value_of(&self, placeholder: Placeholder) -> &'a str {
        match placeholder {
            Placeholder::Instance => self.instance_id,
            Placeholder::Order => self.order_id,
            Placeholder::OrderLine => self.order_line_id,
            Placeholder::Product => self.product_id,
        }
    }
}

/// Reads `{name}` at the start of a text that starts with a brace; returns what follows it.
fn parse_placeholder(text: &str) -> Result<(Placeholder, &str), TemplateError> {
    let Some(inside) = text.strip_prefix('{') else { return Err(TemplateError::StrayBrace('}')) };
    let Some((name, after)) = inside.split_once('}') else { return Err(TemplateError::StrayBrace('{')) };
    let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
    let (_, placeholder) = known.ok_or_else(|| TemplateError::UnknownPlaceholder(one_line(name)))?;
    Ok((*placeholder, after))
}

/// A piece of the text, fit for a message.
fn one_line(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(40) {
        // Writing to a String cannot fail.
        let _ = write!(shown, "{}", c.escape_debug());
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: PlaceholderValues<'_> =
        PlaceholderValues { instance_id: "i-1", order_id: "CS/1 2?", order_line_id: "00301-1", product_id: "云" };

    #[test]
    fn placeholders_are_filled_in() {
        for (source, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{instanceId}", "i-1"),
            ("a{orderLineId}b{productId}c{orderId}", "a00301-1b云cCS/1 2?"),
            ("{{instanceId}}", "{instanceId}"),
            ("{{{instanceId}}}", "{i-1}"),
        ] {
            let template = Template::parse(source).unwrap();
            assert_eq!(template.fill(&VALUES), filled, "{source}");
            assert_eq!(template.source(), source);
        }
    }

    #[test]
    fn values_in_a_url_are_percent_encoded() {
        let template = Template::parse("https://a.example/{orderId}?p={productId}").unwrap();
        assert_eq!(template.fill_url(&VALUES), "https://a.example/CS%2F1%202%3F?p=%E4%BA%91");
    }

    #[test]
    fn unknown_placeholders_and_stray_braces_are_refused() {
        for (source, message) in [
            (
                "{instanceid}",
                "unknown placeholder {instanceid}; there are {instanceId}, {orderId}, {orderLineId} and {productId}",
            ),
            ("a{", "a single {; write {{ for the character itself"),
            ("a}b", "a single }; write }} for the character itself"),
            ("{{}", "a single }; write }} for the character itself"),
        ] {
            assert_eq!(Template::parse(source).unwrap_err().to_string(), message, "{source}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_escaped_text_is_itself(text in ".*") {
            let _ = Template::parse(&text);
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(Template::parse(&escaped).unwrap().fill(&VALUES), text);
        }
    }
}
