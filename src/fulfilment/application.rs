//! The merchant's application as koogate sees it: something that is given an event and answers, or fails.
//!
//! One attempt is made here, with a bound on its time; when to try again is the job runner's business.

use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thiserror::Error;

use super::answer::{Answer, AnswerFault};
use super::command::CommandApplication;
use super::event::Event;
use super::http::HttpApplication;

/// Longest answer that is read, in bytes, from either transport. Licence files come in base64.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// How the merchant's application is reached.
#[derive(Debug, Clone)]
pub enum Application {
    /// `fulfilment = "http"`
    Http(HttpApplication),
    /// `fulfilment = "command"`
    Command(CommandApplication),
}

impl Application {
    /// Makes one attempt: hands the event over and waits for the answer. Blocks, for the configured time at most (a
    /// command that must be killed: up to 2 s more). A command is ended early once `stop` is set.
    ///
    /// # Errors
    /// Whatever is not an answer is a failed attempt, to be made again later.
    pub fn call(&self, event: &Event, stop: &AtomicBool) -> Result<Answer, AttemptError> {
        match self {
            // What is on its way over the network cannot be taken back; the socket ends with the process.
            Self::Http(application) => application.call(event),
            Self::Command(application) => application.call(event, stop),
        }
    }
}

/// Why an attempt failed, in words for the operator. Texts of the application are shortened and made harmless; no variant
/// holds a secret, the query of an address, or a value of the answer.
#[derive(Debug, Error)]
pub enum AttemptError {
    /// The time is over.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// The configured time.
        after: Duration,
    },
    /// koogate stops, and the program with it.
    #[error("ended because koogate stops")]
    Stopped,
    /// More than [`ANSWER_LIMIT`].
    #[error("the answer is longer than {ANSWER_LIMIT} bytes")]
    TooLong,
    /// It answered something else than an answer.
    #[error(transparent)]
    Answer(#[from] AnswerFault),
    /// No connection came about.
    #[error("no connection to {origin}: {reason}")]
    NoConnection {
        /// Scheme, host and port.
        origin: String,
        /// Why not.
        reason: String,
    },
    /// The connection ended, or what came was not HTTP.
    #[error("{origin} gave no complete answer: {reason}")]
    Broken {
        /// Scheme, host and port.
        origin: String,
        /// What happened.
        reason: String,
    },
    /// A redirect is not followed: the event would go to an address nobody configured.
    #[error("HTTP {status}: the application redirects{target}, which is not followed; configure the final address")]
    Redirected {
        /// The HTTP status.
        status: u16,
        /// " to …", without query, or empty.
        target: String,
    },
    /// An HTTP status other than 2xx.
    #[error("HTTP {status}: {body}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The first 200 characters of the body.
        body: String,
    },
    /// The program could not be started.
    #[error("{program} could not be started: {source}")]
    NotStarted {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The program ended with an exit code other than 0.
    #[error("exit code {code}{last_words}")]
    ExitCode {
        /// The exit code.
        code: i32,
        /// ": " and the last line it wrote to stderr, or empty.
        last_words: String,
    },
    /// The program was ended by a signal that koogate did not send.
    #[error("killed by signal {signal}{last_words}")]
    Signal {
        /// The signal's number.
        signal: i32,
        /// ": " and the last line it wrote to stderr, or empty.
        last_words: String,
    },
    /// The system failed while the program ran; it has been killed.
    #[error("the program could not be watched: {0}")]
    Unwatched(#[source] io::Error),
}
