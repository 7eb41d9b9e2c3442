//! What can be wrong with a configuration, and how it is told: file, line, key, problem, and what to write instead.
//!
//! No text here ever holds the value of a secret: problems of secrets say what the value lacks, not what it is.

use std::fmt;
use std::io;

use crate::config::template::TemplateError;
use crate::kind::Kind;

/// Everything that is wrong with one configuration, in the order of the file.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors {
    /// The configuration file, as the user named it.
    pub file: String,
    /// At least one error.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    /// One line per error: `koogate.toml:14: server.anwser_within: unknown key; did you mean answer_within?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            Located { file: &self.file, line: error.line, key: &error.key, what: &error.problem }.fmt(f)?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct ConfigError {
    /// Line of the file, counted from 1; `None` when the problem has no place in it, such as a missing section.
    pub line: Option<usize>,
    /// Path of the key, such as `product[1].fulfilment` (entries counted from 0); empty for the file as a whole.
    pub key: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// Why a key, or the whole file, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The configuration file itself cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Not TOML at all; nothing else was looked at.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// A key that means nothing here.
    #[error("unknown key; {}", suggestion(nearest.as_deref(), known))]
    UnknownKey {
        /// The known key that looks most like it, if one does.
        nearest: Option<String>,
        /// Every key that may stand there.
        known: Vec<&'static str>,
    },
    /// A key without a default is not there.
    #[error("missing; expected {expected}")]
    Missing {
        /// What to write.
        expected: String,
    },
    /// A value of the wrong type, form or range.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// What stands there, shortened.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// A key, or a value of it, that has no effect for the entry's kind of fulfilment.
    #[error("only for {belongs_to}; this entry has fulfilment = \"{fulfilment}\"")]
    NotForFulfilment {
        /// What the key belongs to, in words.
        belongs_to: &'static str,
        /// The entry's own fulfilment.
        fulfilment: &'static str,
    },
    /// A key, or a value of it, that has no effect for the entry's kind of product.
    #[error("only for {belongs_to}; this entry has kind = \"{kind}\"")]
    NotForKind {
        /// What the key belongs to, in words.
        belongs_to: &'static str,
        /// The entry's own kind.
        kind: Kind,
    },
    /// A value that each on its own would be good contradicts another key.
    #[error("{0}")]
    Contradiction(String),
    /// A text with placeholders that cannot be filled in.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A secret that cannot be had or used.
    #[error(transparent)]
    Secret(#[from] SecretProblem),
}

/// Why a secret cannot be had or used. Says nothing about its value.
#[derive(Debug, thiserror::Error)]
pub enum SecretProblem {
    /// The file that should hold it cannot be read.
    #[error("the file {file} cannot be read: {source}")]
    Unreadable {
        /// The file, resolved against the configuration's folder.
        file: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Every user of the machine could put another in its place.
    #[error("the file {file} can be changed by every user of this machine (mode {mode:04o}); run chmod 600 on it")]
    Changeable {
        /// The file, resolved against the configuration's folder.
        file: String,
        /// Its permissions.
        mode: u32,
    },
    /// The file that should hold it is no text of a sensible length.
    #[error("the file {file} does not hold one secret: {reason}")]
    NotASecretFile {
        /// The file, resolved against the configuration's folder.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The environment variable that should hold it is not set, or is no Unicode.
    #[error("the environment variable {name} {reason}")]
    Environment {
        /// Name of the variable.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The value is still the one of the example.
    #[error("still the placeholder; {mend}")]
    Placeholder {
        /// Where the real value comes from.
        mend: &'static str,
    },
    /// The value has the wrong form.
    #[error("{fault}; expected {expected} (the value is not shown)")]
    Malformed {
        /// What is wrong, without the value.
        fault: String,
        /// What is right.
        expected: &'static str,
    },
}

/// Something that works but that the operator should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The configuration file, as the user named it.
    pub file: String,
    /// Line of the file, counted from 1, when it has one.
    pub line: Option<usize>,
    /// Path of the key, as in [`ConfigError::key`].
    pub key: String,
    /// What to know and what to do, as a sentence.
    pub message: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Located { file: &self.file, line: self.line, key: &self.key, what: &self.message }.fmt(f)
    }
}

/// `file:line: key: what`, leaving out what there is not.
struct Located<'a> {
    file: &'a str,
    line: Option<usize>,
    key: &'a str,
    what: &'a dyn fmt::Display,
}

impl fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.what)
    }
}

fn suggestion(nearest: Option<&str>, known: &[&'static str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}
