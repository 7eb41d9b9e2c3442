//! The simulated KooGallery finds nothing wrong with a correct seller, and the fault in every broken one.

mod generations;
mod itself;
mod kit;
mod rehearsal;
mod seller;

use std::collections::BTreeSet;
use std::time::Duration;

use koogate::simulate::{CaseReport, Generation, Options, Outcome, Report, Target, run};

use seller::{Creation, Fault, Seller, key};

fn play(seller: &Seller, real: bool) -> Report {
    play_as(Generation::V2, seller, real)
}

fn play_as(generation: Generation, seller: &Seller, real: bool) -> Report {
    let target = Target::new(&seller.url, key(), &[]).unwrap();
    let ready_within = Duration::from_secs(5);
    let options = Options { real, generation, ready_within, observer: Some(seller), ..Options::default() };
    run(&target, &options, &mut |_| {})
}

/// The faulty seller's run must have this finding in this case, and end as `outcome`.
fn check(fault: Fault, creation: Creation, case: &str, rule: &str, outcome: Outcome) -> Report {
    check_as(Generation::V2, fault, creation, case, rule, outcome)
}

fn check_as(
    generation: Generation,
    fault: Fault,
    creation: Creation,
    case: &str,
    rule: &str,
    outcome: Outcome,
) -> Report {
    let report = play_as(generation, &Seller::start(Some(fault), creation), true);
    let found = report.cases.iter().find(|played| played.name == case).unwrap();
    assert_eq!(found.outcome, outcome, "{fault:?}: {found:#?}");
    assert!(found.findings.iter().any(|finding| finding.rule == rule), "{fault:?}: {found:#?}");
    assert_eq!(report.is_success(), outcome == Outcome::Warned, "{fault:?}: {:#?}", complaints(&report));
    report
}

fn fails(fault: Fault, case: &str, rule: &str) -> Report {
    check(fault, Creation::AtOnce, case, rule, Outcome::Failed)
}

/// The fault is found by these cases and no other.
fn fails_only(fault: Fault, cases: &[&str], rule: &str) {
    let report = fails(fault, cases[0], rule);
    assert_eq!(complaining(&report), cases.iter().copied().collect(), "{fault:?}: {:#?}", complaints(&report));
}

fn complaints(report: &Report) -> Vec<&CaseReport> {
    report.cases.iter().filter(|case| case.outcome != Outcome::Passed).collect()
}

fn complaining(report: &Report) -> BTreeSet<&str> {
    complaints(report).iter().map(|case| case.name).collect()
}

#[test]
fn a_correct_seller_passes_everything() {
    for generation in Generation::ALL {
        for creation in [Creation::AtOnce, Creation::AfterQueries(3)] {
            let report = play_as(generation, &Seller::start(None, creation), true);
            assert!(complaints(&report).is_empty(), "{generation:?}: {:#?}", complaints(&report));
            assert!(report.is_success());
        }
    }
}

#[test]
fn without_the_real_option_only_test_calls_are_made() {
    for generation in Generation::ALL {
        let seller = Seller::start(None, Creation::AtOnce);
        let report = play_as(generation, &seller, false);
        assert!(report.is_success(), "{:#?}", complaints(&report));
        assert!(report.cases.iter().all(|case| !case.name.starts_with("real-")));
        assert_eq!(seller.instances(), 0);
    }
}

#[test]
fn each_case_is_reported_as_soon_as_it_is_played() {
    let seller = Seller::start(None, Creation::AtOnce);
    let target = Target::new(&seller.url, key(), &[]).unwrap();
    let mut seen = Vec::new();
    let report = run(&target, &Options::default(), &mut |case| seen.push(case.name));
    assert_eq!(seen, report.cases.iter().map(|case| case.name).collect::<Vec<_>>());
}

#[test]
fn faults_of_the_reply_are_found_in_the_first_case() {
    fails(Fault::NoResultMsg, "create", "result-msg");
    fails(Fault::NumericResultCode, "create", "result-code");
    fails(Fault::WrongBodySign, "create", "body-sign");
    fails(Fault::LowerCasedBodySign, "create", "body-sign");
    fails(Fault::Redirect, "create", "redirect");
    fails(Fault::ByteOrderMark, "create", "byte-order-mark");
    fails(Fault::TextHtml, "create", "content-type");
}

#[test]
fn a_missing_body_sign_is_a_warning() {
    check(Fault::NoBodySign, Creation::AtOnce, "create", "body-sign", Outcome::Warned);
}

#[test]
fn errors_with_another_http_status_are_found_in_every_refusal() {
    let report = fails(Fault::OtherStatusOnError, "refuse-wrong-key", "http-status");
    let create = report.cases.iter().find(|case| case.name == "create").unwrap();
    assert_eq!(create.outcome, Outcome::Passed);
}

#[test]
fn faults_of_the_query_are_found() {
    let queries = ["query", "query-several", "form-hundred-ids", "real-query", "real-freeze"];
    fails_only(Fault::LongMemo, &queries, "length");
    fails_only(Fault::NoFrontEndUrl, &queries, "missing");
    fails_only(Fault::TextUsage, &queries, "usage-value");
}

#[test]
fn a_seller_that_knows_no_test_calls_is_found() {
    fails(Fault::TestCallsUnknown, "refresh-renewal", "answer");
}

#[test]
fn gaps_in_the_authentication_are_found() {
    // Its window is too wide on both sides.
    fails_only(Fault::AcceptsStale, &["refuse-stale", "refuse-future"], "accepted");
    fails(Fault::AcceptsAnyKey, "refuse-wrong-key", "accepted");
    fails(Fault::AcceptsAnyKey, "refuse-changed-body", "accepted");
    fails_only(Fault::AcceptsUnsigned, &["refuse-no-signature"], "accepted");
    fails_only(Fault::AcceptsNoNonce, &["refuse-no-nonce"], "accepted");
}

#[test]
fn gaps_that_the_documents_leave_open_are_warnings() {
    check(Fault::AcceptsFuture, Creation::AtOnce, "refuse-future", "accepted", Outcome::Warned);
    check(Fault::AcceptsRepeatedNonce, Creation::AtOnce, "refuse-repeated-nonce", "accepted", Outcome::Warned);
}

#[test]
fn a_seller_that_verifies_the_raw_bytes_only_is_found() {
    let cases =
        ["form-signed-sorted", "form-pretty-printed", "form-null-left-out", "form-null-signed", "form-escaped-text"];
    fails_only(Fault::RawSignatureOnly, &cases, "answer");
}

#[test]
fn carelessness_with_parameters_is_found() {
    fails_only(Fault::UnknownSceneTaken, &["refuse-scene"], "accepted");
    fails_only(Fault::BadDateTaken, &["refuse-expire-time"], "accepted");
    fails_only(Fault::MissingMemberTaken, &["refuse-missing-member"], "accepted");
    fails_only(Fault::ManyIdsTaken, &["refuse-101-ids"], "accepted");
}

#[test]
fn a_second_instance_for_one_order_is_found() {
    fails(Fault::NewInstanceOnRetry, "retry-create", "instance-id");
    fails(Fault::NewInstanceOnRetry, "real-retry-create", "instance-id");
    fails_only(Fault::OneInstanceForAll, &["real-parallel-create"], "instance-id");
}

#[test]
fn a_race_between_duplicates_is_found() {
    let seller = Seller::start(Some(Fault::InstancePerParallelCall), Creation::AtOnce);
    let target = Target::new(&seller.url, key(), &[]).unwrap();
    // Single calls would wait in vain for company.
    let report = run(&target, &Options::default(), &mut |case| seller.race(case.name == "retry-create"));
    assert_eq!(complaining(&report), BTreeSet::from(["parallel-create"]), "{:#?}", complaints(&report));
    assert!(complaints(&report)[0].findings.iter().any(|finding| finding.rule == "instance-id"));
}

#[test]
fn a_retry_answered_otherwise_is_found() {
    fails_only(Fault::OtherAnswerOnRetry, &["real-retry-create", "real-after-release"], "verbatim");
}

#[test]
fn a_swallowed_freeze_is_found() {
    fails_only(Fault::ThirdFreezeSwallowed, &["real-freeze-again"], "state");
    fails_only(Fault::ThirdFreezeRefused, &["real-freeze-again"], "answer");
}

#[test]
fn faults_of_renewals_are_found() {
    fails(Fault::RenewalAdds, "real-cancelled-renewal", "expire-time");
    fails_only(Fault::RenewalDoesNotUnfreeze, &["real-renewal-unfreezes"], "state");
    fails_only(Fault::LateRenewalApplied, &["real-cancelled-renewal"], "expire-time");
    fails_only(Fault::CancellationTakenForRetry, &["real-cancelled-renewal"], "expire-time");
}

#[test]
fn faults_around_the_release_are_found() {
    fails_only(Fault::CreatedAgainAfterRelease, &["real-after-release"], "instance-id");
    fails_only(Fault::ReleaseOnce, &["real-release", "real-after-release"], "answer");
    fails(Fault::UnknownInstanceTaken, "real-unknown-instance", "answer");
}

#[test]
fn a_creation_that_never_ends_is_found_and_what_builds_on_it_is_skipped() {
    let seller = Seller::start(Some(Fault::NeverReady), Creation::AfterQueries(1));
    let target = Target::new(&seller.url, key(), &[]).unwrap();
    let options = Options { real: true, ready_within: Duration::from_millis(300), ..Options::default() };
    let report = run(&target, &options, &mut |_| {});
    let find = |name: &str| report.cases.iter().find(|case| case.name == name).unwrap();
    assert!(find("real-create").findings.iter().any(|finding| finding.rule == "not-ready"), "{report:#?}");
    assert_eq!(find("real-renewal").outcome, Outcome::Skipped);
    assert_eq!(find("real-unknown-instance").outcome, Outcome::Passed);
    assert!(!report.is_success());
}

#[test]
fn after_a_first_call_without_an_answer_nothing_else_is_tried() {
    let report = play(&Seller::start(Some(Fault::HangsUp), Creation::AtOnce), true);
    assert_eq!(report.cases[0].outcome, Outcome::Failed);
    assert_eq!(report.cases[0].findings[0].rule, "no-answer");
    assert_eq!(report.count(Outcome::Skipped), report.cases.len() - 1);
}
