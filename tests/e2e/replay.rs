//! Once and verbatim: retries, parallel duplicates and late repeats get the same bytes and have one effect.

use std::sync::Arc;
use std::thread;

use crate::harness::{Application, Scratch, new_instance};

#[test]
fn a_retry_after_success_gets_the_same_bytes() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    let first = koogate.call(&new_instance("CS1"));
    assert_eq!(first.code(), "000000");
    for _ in 0..3 {
        assert_eq!(koogate.call(&new_instance("CS1")).verbatim(), first.verbatim());
    }
    assert_eq!(application.events().len(), 1);
}

#[test]
fn thirty_two_parallel_duplicates_are_one_creation_with_one_answer() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(""));
    let koogate = Arc::new(scratch.serve());
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let koogate = Arc::clone(&koogate);
            thread::spawn(move || koogate.call(&new_instance("CS1")))
        })
        .collect();
    let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(answers[0].code(), "000000");
    for answer in &answers {
        assert_eq!(answer.verbatim(), answers[0].verbatim());
    }
    assert_eq!(application.events().len(), 1);
    assert_eq!(scratch.run_json(&["instance", "list", "--json"]).len(), 1);
}
