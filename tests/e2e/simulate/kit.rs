//! Every fault that only the kit can have, and those of all calls that are most dangerous, are found there.

use std::time::Duration;

use koogate::simulate::{KitGenerations, Options, Outcome, Report, Target, run};

use super::seller::{Creation, Fault, Seller, key, kit};
use super::{complaining, complaints};

fn play(fault: Option<Fault>, real: bool, generations: KitGenerations) -> Report {
    let seller = Seller::start(fault, Creation::AtOnce);
    let target = Target::new(&seller.url, key(), &[]).unwrap();
    let kit = kit(generations);
    let ready_within = Duration::from_secs(5);
    let options = Options { real, kit: Some(&kit), ready_within, observer: Some(&seller), ..Options::default() };
    run(&target, &options, &mut |_| {})
}

/// The fault is found by these cases and no other, each with this rule, and they end as `outcome`.
fn finds(fault: Fault, cases: &[&str], rule: &str, outcome: Outcome) {
    let report = play(Some(fault), true, KitGenerations::Both);
    assert_eq!(complaining(&report), cases.iter().copied().collect(), "{fault:?}: {:#?}", complaints(&report));
    for case in complaints(&report) {
        assert_eq!(case.outcome, outcome, "{fault:?}: {case:#?}");
        assert!(case.findings.iter().any(|finding| finding.rule == rule), "{fault:?}: {case:#?}");
    }
    assert_eq!(report.is_success(), outcome == Outcome::Warned);
}

/// The same in both generations.
fn fails(fault: Fault, cases: &[&str], rule: &str) {
    let both: Vec<String> = cases.iter().flat_map(|case| [format!("v1-{case}"), format!("v2-{case}")]).collect();
    finds(fault, &both.iter().map(String::as_str).collect::<Vec<_>>(), rule, Outcome::Failed);
}

#[test]
fn a_correct_seller_passes_everything() {
    for (real, generations) in [
        (true, KitGenerations::Both),
        (false, KitGenerations::Both),
        (true, KitGenerations::V1),
        (true, KitGenerations::V2),
    ] {
        let report = play(None, real, generations);
        assert!(report.is_success() && complaints(&report).is_empty(), "{:#?}", complaints(&report));
        assert_eq!(report.cases.iter().any(|case| case.name.contains("real-")), real);
    }
}

#[test]
fn a_missing_body_sign_fails_in_v1_and_warns_in_v2() {
    let report = play(Some(Fault::NoBodySign), false, KitGenerations::Both);
    for case in report.cases.iter().filter(|case| !case.name.ends_with("refuse-wrong-path")) {
        let is_refusal = case.name.contains("-refuse-");
        let expected = if case.name.starts_with("v1-") { Outcome::Failed } else { Outcome::Warned };
        assert!(case.outcome == expected || is_refusal && case.outcome == Outcome::Warned, "{case:#?}");
    }
    assert!(play(Some(Fault::NoBodySign), true, KitGenerations::V2).is_success());
}

#[test]
fn gaps_in_the_authentication_are_found() {
    fails(Fault::AcceptsUnsigned, &["refuse-no-signature"], "accepted");
    finds(Fault::AcceptsUnsalted, &["v1-refuse-unsalted-token"], "accepted", Outcome::Failed);
    finds(Fault::BasicFormulaTaken, &["v2-refuse-basic-formula"], "accepted", Outcome::Failed);
    finds(Fault::AcceptsStale, &["v2-refuse-stale"], "accepted", Outcome::Failed);
    finds(Fault::AcceptsNoNonce, &["v2-refuse-no-nonce"], "accepted", Outcome::Failed);
    finds(Fault::AcceptsFuture, &["v2-refuse-future"], "accepted", Outcome::Warned);
    finds(Fault::AcceptsRepeatedNonce, &["v2-refuse-repeated-nonce"], "accepted", Outcome::Warned);
    let report = play(Some(Fault::AcceptsAnyKey), false, KitGenerations::Both);
    for case in ["refuse-wrong-key", "refuse-changed-body"] {
        for generation in ["v1-", "v2-"] {
            assert!(complaining(&report).contains(format!("{generation}{case}").as_str()), "{case}");
        }
    }
}

#[test]
fn faults_of_the_decryption_are_found() {
    fails(Fault::NothingDecrypted, &["refuse-secret"], "accepted");
    fails(Fault::DecryptsFirst, &["refuse-before-decryption"], "oracle");
    finds(Fault::OneDigestKnown, &["v1-application", "v2-application"], "oaep", Outcome::Warned);
    fails(Fault::FirstSecretKept, &["real-application"], "directory");
}

#[test]
fn a_seller_that_asks_for_more_than_the_kit_promises_is_found() {
    fails(Fault::InstanceRequired, &["form-made-up-ids", "real-unknown-removal"], "answer");
    fails(Fault::ParentRequired, &["form-child-first", "real-departments"], "answer");
}

#[test]
fn faults_of_removals_and_of_test_calls_are_found() {
    fails(Fault::RemovedOnce, &["real-removal", "real-unknown-removal"], "answer");
    let all = ["real-departments", "real-users", "real-removal", "real-bound-again"];
    fails(Fault::NothingRemoved, &all, "directory");
    fails(Fault::TestCallsWrite, &["real-test-calls"], "directory");
}

#[test]
fn carelessness_with_members_is_found() {
    fails(Fault::MissingMemberTaken, &["refuse-missing-member"], "accepted");
    fails(Fault::FlagsUnread, &["refuse-flag"], "accepted");
    fails(Fault::UnknownPathTaken, &["refuse-wrong-path"], "accepted");
}

#[test]
fn what_the_documents_leave_open_and_a_seller_does_not_read_is_a_warning() {
    let numbers = ["v1-form-numbers-as-text", "v2-form-numbers-as-text"];
    finds(Fault::NumbersOnly, &numbers, "refused", Outcome::Warned);
    finds(Fault::QuotedNamesOnly, &["v2-form-bare-names"], "refused", Outcome::Warned);
    finds(Fault::BlanksLeftOut, &["v1-form-blanks-signed"], "refused", Outcome::Warned);
}

#[test]
fn a_seller_without_departments_may_answer_calls_about_them_with_bare_success() {
    let report = play(Some(Fault::NoDepartments), false, KitGenerations::V2);
    assert_eq!(complaining(&report), ["v2-refuse-flag", "v2-refuse-missing-member"].into());
    assert!(report.is_success(), "{:#?}", complaints(&report));
}

#[test]
fn a_seller_that_cannot_read_a_list_in_a_text_is_found() {
    let report = play(Some(Fault::ListsOnly), false, KitGenerations::V2);
    assert_eq!(complaining(&report), ["v2-form-bare-names", "v2-form-list-as-text"].into());
    assert!(!report.is_success());
}
