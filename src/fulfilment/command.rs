//! The transport `command`: run the merchant's program, the event on stdin, the answer on stdout, stderr to the log.
//!
//! No shell is involved. The program gets a process group of its own and hardly any environment. It must have written its
//! answer before it exits: what it leaves running in the background is neither waited for nor ended, only its pipes are
//! closed. When its time is over the whole group is ended, SIGTERM first, SIGKILL two seconds later.
//!
//! Watching the processes and their pipes lives in `run`, what becomes of stderr in `stderr`; when to try again, in
//! the job runner.

mod run;
mod stderr;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thiserror::Error;

use self::run::{End, Limits};
use self::stderr::StderrLines;
use super::answer::Answer;
use super::application::{ANSWER_LIMIT, AttemptError};
use super::event::Event;

/// What the program inherits: enough to find programs and files and to speak the operator's language, none of the
/// secrets that may be in koogate's environment.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// An application that is a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandApplication {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
}

/// Why a command cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandSetupError {
    /// No program.
    #[error("the command is empty; it is a list of a program and its arguments")]
    Empty,
    /// The system's calls end a text there.
    #[error("the command holds a NUL character")]
    Nul,
}

impl CommandApplication {
    /// An application that is started as `command`: a program (looked up in PATH unless it has a slash) and its
    /// arguments. `timeout` bounds a whole attempt.
    ///
    /// # Errors
    /// See [`CommandSetupError`].
    pub fn new(command: &[String], timeout: Duration) -> Result<Self, CommandSetupError> {
        let (program, arguments) = command.split_first().ok_or(CommandSetupError::Empty)?;
        if program.is_empty() {
            return Err(CommandSetupError::Empty);
        }
        if command.iter().any(|part| part.contains('\0')) {
            return Err(CommandSetupError::Nul);
        }
        Ok(Self { program: program.clone(), arguments: arguments.to_vec(), timeout })
    }

    /// Makes one attempt. Environment: `PATH`, `HOME`, `LANG`, `TZ`, and `KOOGATE_EVENT` (the event's name) and
    /// `KOOGATE_OPERATION_ID`, for programs that would rather not read JSON to tell what is wanted.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub fn call(&self, event: &Event, stop: &AtomicBool) -> Result<Answer, AttemptError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("KOOGATE_EVENT", event.name().as_str()).env("KOOGATE_OPERATION_ID", &event.operation_id);

        let private = event.private_values();
        let private: Vec<&str> = private.iter().map(AsRef::as_ref).collect();
        let mut stderr = StderrLines::new(&private, |line| {
            log::info!("{} for {} ({}): {line}", self.program, event.name(), event.operation_id);
        });
        let limits = Limits { timeout: self.timeout, grace: GRACE, output: ANSWER_LIMIT, stop };
        let not_started = |source| AttemptError::NotStarted { program: self.program.clone(), source };
        let child = run::spawn(command).map_err(not_started)?;
        let (end, output) = run::watch(child, event.to_json().as_bytes(), &mut stderr, limits);
        let last_words = stderr.finish();
        match end.map_err(AttemptError::Unwatched)? {
            End::Exited(status) if status.success() => Ok(Answer::parse(event.name(), &output)?),
            End::Exited(status) => Err(failed(status, &last_words)),
            End::TimedOut => Err(AttemptError::TimedOut { after: self.timeout }),
            End::Stopped => Err(AttemptError::Stopped),
            End::TooMuchOutput => Err(AttemptError::TooLong),
        }
    }
}

fn failed(status: ExitStatus, last_words: &str) -> AttemptError {
    let last_words = if last_words.is_empty() { String::new() } else { format!(": {last_words}") };
    match status.signal() {
        Some(signal) => AttemptError::Signal { signal, last_words },
        None => AttemptError::ExitCode { code: status.code().unwrap_or(-1), last_words },
    }
}

#[cfg(test)]
mod tests;
