//! One request as a handler sees it. Parameters are read strictly: what is not known, cannot be read or is said twice is
//! refused by name, so that a misspelt filter does not list everything.

use std::fmt::Display;
use std::str::FromStr;

use super::Context;
use super::reply::Problem;
use crate::http::Request;
use crate::protocol::query::Query;

/// The most entries one answer holds.
const MAX_LIMIT: i64 = 1000;

/// A request that has come to its handler.
pub(super) struct Call<'a> {
    /// What handlers work with.
    pub(super) context: &'a Context,
    /// The request itself.
    pub(super) request: &'a Request,
    path: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
}

impl<'a> Call<'a> {
    /// Reads the query of a request whose route knows these parameters.
    pub(super) fn read(
        context: &'a Context,
        request: &'a Request,
        path: Vec<(&'static str, String)>,
        known: &[&str],
    ) -> Result<Self, Problem> {
        let query = read_query(request.query(), known).map_err(Problem::bad_request)?;
        Ok(Self { context, request, path, query })
    }

    /// What the path has for a name of its template; decoded, never empty.
    pub(super) fn path(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(candidate, _)| *candidate == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A query parameter as text; never empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a word of some kind.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| text.parse().map_err(|problem| unreadable(name, problem));
        self.text(name).map(parse).transpose()
    }

    /// A query parameter that is one of these words.
    pub(super) fn one_of(&self, name: &str, words: &[&str]) -> Result<Option<&str>, Problem> {
        match self.text(name) {
            Some(text) if !words.contains(&text) => {
                Err(unreadable(name, format_args!("{text:?} is none of {}", words.join(", "))))
            }
            text => Ok(text),
        }
    }

    /// A query parameter that is `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let word = self.one_of(name, &["true", "false"])?;
        Ok(word.map(|word| word == "true"))
    }

    /// The parameter `limit`: how many entries at most.
    pub(super) fn limit(&self, default: i64) -> Result<i64, Problem> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| unreadable("limit", format_args!("{text:?} is no whole number from 1 to {MAX_LIMIT}")))
    }
}

/// A parameter that cannot be read, by its name.
pub(super) fn unreadable(name: &str, problem: impl Display) -> Problem {
    Problem::bad_request(format!("parameter \"{name}\": {problem}"))
}

fn read_query(raw: &str, known: &[&str]) -> Result<Vec<(String, String)>, String> {
    let query = Query::parse(raw).map_err(|error| error.to_string())?;
    let mut read: Vec<(String, String)> = Vec::new();
    for (name, value) in query.pairs() {
        if !known.contains(&name) {
            let known = if known.is_empty() {
                "this route knows none".into()
            } else {
                format!("known here: {}", known.join(", "))
            };
            return Err(format!("parameter {name:?} is unknown; {known}"));
        }
        if value.is_empty() {
            return Err(format!("parameter {name:?} is empty; leave it out instead"));
        }
        if read.iter().any(|(before, _)| before == name) {
            return Err(format!("parameter {name:?} is there twice"));
        }
        read.push((name.to_owned(), value.to_owned()));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Result<&[(&str, &str)], &str>) {
        let read = read_query(raw, &["status", "limit"]);
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(read, expected.map(pairs).map_err(str::to_owned), "{raw}");
    }

    #[test]
    fn a_parameter_that_is_not_known_or_said_twice_or_empty_is_refused_by_name() {
        check("", Ok(&[]));
        check("limit=5&status=a%20b", Ok(&[("limit", "5"), ("status", "a b")]));
        check("limit=5&Status=x", Err("parameter \"Status\" is unknown; known here: status, limit"));
        check("limit=5&limit=6", Err("parameter \"limit\" is there twice"));
        check("status=", Err("parameter \"status\" is empty; leave it out instead"));
        check("status", Err("parameter \"status\" is empty; leave it out instead"));
        check("status=%FF", Err("the query parameter number 1 is not UTF-8 after percent-decoding"));
        assert_eq!(
            read_query("\u{1b}=1", &[]),
            Err("parameter \"\\u{1b}\" is unknown; this route knows none".to_owned())
        );
    }
}
