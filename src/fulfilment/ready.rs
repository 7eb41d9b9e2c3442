//! An instance is ready because the operator or the application says so, and not as the answer to an event.

use jiff::Timestamp;

use super::answer::Handout;
use super::completion;
use crate::instance::Status;
use crate::kind::Kind;
use crate::settings::Settings;
use crate::store::{StoreError, Tx};

/// What became of marking an instance ready.
#[derive(Debug)]
pub enum Marked {
    /// It is active now; these operations ended.
    Ready(Vec<i64>),
    /// It was active before.
    Already,
    /// It stands elsewhere.
    Is(Status),
    /// What is handed out lacks something, or has no room in the interface that bought the instance.
    Unfit(String),
    /// There is none.
    Unknown,
}

/// Marks the one instance of this id that is being created as ready, as the operator or the application says. Without
/// access data it gets its product's own; a licence that is handed out in the reply must be there.
///
/// # Errors
/// When the rows cannot be written.
pub fn mark_ready(
    tx: &Tx<'_>,
    settings: &Settings,
    instance_id: &str,
    handout: Handout,
    note: &str,
) -> Result<Marked, StoreError> {
    let named = tx.instances_named(instance_id)?;
    if let Some(instance) = named.iter().find(|instance| instance.life.status == Status::Creating) {
        if instance.kind == Kind::License && handout.license.is_none() {
            let problem = "the instance is a licence: it needs \"license\"; by hand: `koogate license issue`";
            return Ok(Marked::Unfit(problem.to_owned()));
        }
        let handout = match completion::complete(settings, instance, handout) {
            Ok(handout) => handout,
            Err(problem) => return Ok(Marked::Unfit(problem)),
        };
        let ended = completion::finish_creation(tx, instance, &handout, note, Timestamp::now())?;
        return Ok(Marked::Ready(ended));
    }
    Ok(match named.first().map(|instance| instance.life.status) {
        None => Marked::Unknown,
        Some(Status::Active) => Marked::Already,
        Some(status) => Marked::Is(status),
    })
}
