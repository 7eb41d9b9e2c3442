//! Attempts to tell or ask a merchant's application: how they ended, how long they took.

use std::time::Duration;

use super::tally::{Count, Distribution, Times};
use crate::fulfilment::answer::Answer;
use crate::fulfilment::application::AttemptError;
use crate::kind::Kind;

/// How an attempt may end. `refused`: the application will not do it; `timed-out`: it has not answered within the product's
/// `timeout`; `failed`: whatever else is no answer.
pub const OUTCOMES: [&str; 5] = ["ready", "pending", "refused", "timed-out", "failed"];

/// What all attempts come to, by kind of product.
#[derive(Debug, Default)]
pub struct Hooks([OfKind; Kind::ALL.len()]);

#[derive(Debug, Default)]
struct OfKind {
    outcomes: [Count; OUTCOMES.len()],
    times: Times,
}

/// Of one kind of product: how many attempts ended in each way, and how long they took.
#[derive(Debug, Clone)]
pub struct HooksNow {
    /// The kind of product.
    pub kind: Kind,
    /// How many ended so.
    pub outcomes: [(&'static str, u64); OUTCOMES.len()],
    /// How long all took.
    pub times: Distribution,
}

impl Hooks {
    /// Counts an attempt.
    pub fn note(&self, kind: Kind, ended: &Result<Answer, AttemptError>, took: Duration) {
        let outcome = match ended {
            Ok(Answer::Ready(_)) => 0,
            Ok(Answer::Pending) => 1,
            Ok(Answer::Refused { .. }) => 2,
            Err(AttemptError::TimedOut { .. }) => 3,
            Err(_) => 4,
        };
        if let Some(of_kind) = Kind::ALL.iter().position(|known| *known == kind).and_then(|at| self.0.get(at)) {
            of_kind.outcomes.get(outcome).into_iter().for_each(Count::add);
            of_kind.times.note_time(took);
        }
    }

    /// The numbers, of the kinds there were attempts for.
    pub fn now(&self) -> Vec<HooksNow> {
        let of_kind = |(kind, counted): (Kind, &OfKind)| {
            let outcomes = std::array::from_fn(|at| (OUTCOMES[at], counted.outcomes[at].now()));
            HooksNow { kind, outcomes, times: counted.times.now() }
        };
        Kind::ALL.into_iter().zip(&self.0).map(of_kind).filter(|now| now.times.count() > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fulfilment::answer::Handout;

    #[test]
    fn an_attempt_is_counted_by_its_kind_and_its_end() {
        let hooks = Hooks::default();
        let second = Duration::from_secs(1);
        hooks.note(Kind::Saas, &Ok(Answer::Ready(Handout::default())), second);
        hooks.note(Kind::Saas, &Ok(Answer::Pending), second);
        hooks.note(Kind::License, &Err(AttemptError::TimedOut { after: second }), second);
        hooks.note(Kind::License, &Err(AttemptError::TooLong), second);
        let told: Vec<_> = hooks.now().iter().map(|now| (now.kind, now.outcomes.map(|(_, count)| count))).collect();
        assert_eq!(told, [(Kind::Saas, [1, 1, 0, 0, 0]), (Kind::License, [0, 0, 0, 1, 1])]);
        assert_eq!(hooks.now()[0].times.sum, 2_000_000);
    }
}
