//! The cases of the joint-operation kit, each in either generation (spec 3-kit). The five calls of a generation must all
//! pass before the console lets a credential be made, and are played again every morning and afternoon (§9).

mod debugging;
mod life_cycle;
mod refusals;
mod spellings;

use super::{Case, SUCCESS};
use crate::protocol::kit::client_secret::Oaep;
use crate::protocol::reply_checks::Finding;
use crate::simulate::Kit;
use crate::simulate::call::kit_post::KitPost;
use crate::simulate::kit::KitGeneration;
use crate::simulate::reply::Reply;
use crate::simulate::stage::Stage;

/// A domain as the documentation has it.
const DOMAIN: &str = "https://example.tenantaccount.com";

/// What is typed as client secret.
const SECRET: &str = "secret-of-simulate-0001";

/// A case: its names in V1 and V2, its title, what is played.
type Entry = ([&'static str; 2], &'static str, fn(&mut Stage<'_>, KitGeneration));

/// The names of a case in V1 and in V2.
macro_rules! both {
    ($name:literal) => {
        [concat!("v1-", $name), concat!("v2-", $name)]
    };
}
use both;

pub(super) fn cases(kit: &Kit, real: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for generation in kit.generations() {
        let mut entries = debugging::entries();
        entries.extend(spellings::entries(*generation));
        entries.extend(refusals::entries(*generation));
        if real {
            entries.extend(life_cycle::entries());
        }
        cases.extend(entries.into_iter().map(|entry| case(*generation, entry)));
    }
    cases
}

fn case(generation: KitGeneration, ([v1, v2], title, play): Entry) -> Case {
    let name = if generation == KitGeneration::V1 { v1 } else { v2 };
    Case::new(name, title, move |stage| play(stage, generation))
}

/// A call that must succeed.
fn succeed(stage: &mut Stage<'_>, what: &str, call: KitPost) -> Option<Reply> {
    stage.expect(what, &call.into(), SUCCESS)
}

/// What had better succeed, where the documents leave it open: its refusal is a warning.
fn better_taken(stage: &mut Stage<'_>, what: &str, call: KitPost, why: &str) {
    let Some(reply) = stage.call(what, &call.into()) else { return };
    if reply.code != SUCCESS {
        stage.add(what, Finding::warn("refused", format!("answered {}; {why}", reply.described())));
    }
}

/// A client secret, encrypted so that the server is known to take it.
fn encrypted(stage: &mut Stage<'_>, secret: &str) -> String {
    let oaep = stage.world.oaep;
    encrypted_with(stage, oaep, secret)
}

fn encrypted_with(stage: &mut Stage<'_>, oaep: Oaep, secret: &str) -> String {
    let encrypted = stage.options.kit.map(|kit| kit.encrypted(oaep, secret));
    match encrypted {
        Some(Ok(encrypted)) => encrypted,
        Some(Err(fault)) => {
            stage.add("", Finding::fail("encryption", fault.to_string()));
            String::new()
        }
        // These cases are played where there is a kit only.
        None => String::new(),
    }
}
