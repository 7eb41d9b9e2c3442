//! The cases, in the order they are played. Each has a fixed name, the seller console's term, and what is played.

mod debugging;
mod life_cycle;
mod refusals;
mod repeats;

use super::stage::Stage;
use super::{Generation, Options};

/// One case.
pub(super) struct Case {
    pub name: &'static str,
    pub title: &'static str,
    /// Whether it goes on with the real instance of an earlier case.
    pub needs_instance: bool,
    pub play: Box<dyn Fn(&mut Stage<'_>)>,
}

impl Case {
    fn new(name: &'static str, title: &'static str, play: impl Fn(&mut Stage<'_>) + 'static) -> Self {
        Self { name, title, needs_instance: false, play: Box::new(play) }
    }

    fn on_instance(name: &'static str, title: &'static str, play: impl Fn(&mut Stage<'_>) + 'static) -> Self {
        Self { needs_instance: true, ..Self::new(name, title, play) }
    }
}

/// Everything the options ask for.
pub(super) fn all(options: &Options<'_>) -> Vec<Case> {
    match options.generation {
        Generation::V2 => v2(options.real),
    }
}

fn v2(real: bool) -> Vec<Case> {
    let mut cases = debugging::cases();
    cases.extend(repeats::cases());
    cases.extend(refusals::cases());
    if real {
        cases.extend(life_cycle::cases());
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let cases = all(&Options { real: true, ..Options::default() });
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
    }
}
