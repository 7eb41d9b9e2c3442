//! The cases, in the order they are played. Each has a fixed name, the seller console's term, and what is played.

pub(super) mod debugging;
mod kit;
mod life_cycle;
mod refusals;
pub(super) mod rehearsal;
mod repeats;
mod spellings;

use serde_json::Value;

use super::Options;
use super::reply::Reply;
use super::stage::Stage;

const SUCCESS: &str = "000000";
const AUTHENTICATION: &str = "000001";
const PARAMETER: &str = "000002";
const UNKNOWN: &str = "000003";
const PROCESSING: &str = "000004";

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

    /// A debugging call that must succeed.
    fn succeeds(name: &'static str, title: &'static str, members: Value) -> Self {
        Self::new(name, title, move |stage| {
            succeed(stage, "", members.clone());
        })
    }
}

/// A debugging call that must succeed.
fn succeed(stage: &mut Stage<'_>, what: &str, members: Value) -> Option<Reply> {
    let call = stage.test(members);
    stage.expect(what, &call, SUCCESS)
}

/// Everything the options ask for.
pub(super) fn all(options: &Options<'_>) -> Vec<Case> {
    if let Some(kit) = options.kit {
        return kit::cases(kit, options.real);
    }
    let generation = options.generation;
    let mut cases = debugging::cases(generation);
    cases.extend(spellings::cases(generation));
    cases.extend(repeats::cases(generation));
    cases.extend(refusals::cases(generation));
    if options.real {
        cases.extend(life_cycle::cases(generation));
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::init::KeyPair;
    use crate::simulate::{Generation, Kit, KitGenerations};

    fn names(options: &Options<'_>) -> BTreeSet<&'static str> {
        let cases = all(options);
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len(), "{names:?}");
        names
    }

    #[test]
    fn every_case_of_a_generation_has_a_name_of_its_own() {
        for generation in Generation::ALL {
            names(&Options { real: true, generation, ..Options::default() });
        }
    }

    #[test]
    fn the_kit_is_played_in_both_generations_or_in_one() {
        let key = KeyPair::generate().unwrap().public_key;
        let of = |generations| {
            let kit = Kit::new(&key, generations).unwrap();
            names(&Options { real: true, kit: Some(&kit), ..Options::default() })
        };
        let (both, v1, v2) = (of(KitGenerations::Both), of(KitGenerations::V1), of(KitGenerations::V2));
        assert!(v1.iter().all(|name| name.starts_with("v1-")) && v2.iter().all(|name| name.starts_with("v2-")));
        assert_eq!(both, &v1 | &v2);
        for call in ["tenant", "application", "users", "department", "departments"] {
            assert!(both.contains(format!("v1-{call}").as_str()) && both.contains(format!("v2-{call}").as_str()));
        }
    }
}
