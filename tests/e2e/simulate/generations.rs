//! Every fault that only another generation than V2 can have, and those of all that are most dangerous, are found there.

use koogate::simulate::Generation::{License, LicenseCode, LicenseOnline, V1};
use koogate::simulate::{Generation, Options, Outcome, Report, Target, run};

use super::seller::{Creation, Fault, Seller, key, other_key};
use super::{check_as, complaining, complaints, play_as};

fn fails(generation: Generation, fault: Fault, case: &str, rule: &str) -> Report {
    check_as(generation, fault, Creation::AtOnce, case, rule, Outcome::Failed)
}

/// The fault is found by these cases and no other.
fn fails_only(generation: Generation, fault: Fault, cases: &[&str], rule: &str) {
    let report = fails(generation, fault, cases[0], rule);
    assert_eq!(complaining(&report), cases.iter().copied().collect(), "{fault:?}: {:#?}", complaints(&report));
}

fn warns(generation: Generation, fault: Fault, case: &str, rule: &str) {
    let report = check_as(generation, fault, Creation::AtOnce, case, rule, Outcome::Warned);
    assert_eq!(complaints(&report).len(), 1, "{fault:?}: {:#?}", complaints(&report));
}

#[test]
fn a_missing_body_sign_fails_where_it_is_mandatory() {
    for generation in [V1, License] {
        let report = fails(generation, Fault::NoBodySign, "release", "body-sign");
        assert!(report.cases.iter().filter(|case| !case.findings.is_empty()).count() > 20, "{report:#?}");
    }
    warns_everywhere(LicenseCode);
    warns_everywhere(LicenseOnline);
}

fn warns_everywhere(generation: Generation) {
    check_as(generation, Fault::NoBodySign, Creation::AtOnce, "release", "body-sign", Outcome::Warned);
}

#[test]
fn gaps_in_the_authentication_by_token_are_found() {
    for generation in [V1, License] {
        fails(generation, Fault::AcceptsAnyKey, "refuse-wrong-key", "accepted");
        fails(generation, Fault::AcceptsAnyKey, "refuse-changed-parameter", "accepted");
        fails_only(generation, Fault::AcceptsUnsigned, &["refuse-no-token"], "accepted");
        fails_only(generation, Fault::AcceptsUnsalted, &["refuse-unsalted-token"], "accepted");
        fails_only(generation, Fault::AcceptsNoTimeStamp, &["refuse-no-timestamp"], "accepted");
    }
}

#[test]
fn gaps_in_the_signatures_of_licence_calls_are_found() {
    for generation in [LicenseCode, LicenseOnline] {
        fails(generation, Fault::AcceptsAnyKey, "refuse-wrong-key", "accepted");
        fails_only(generation, Fault::AcceptsUnsigned, &["refuse-no-signature"], "accepted");
        fails_only(generation, Fault::AcceptsNoNonce, &["refuse-no-nonce"], "accepted");
    }
}

#[test]
fn refusals_of_calls_that_are_nobodys_may_bear_another_key_of_the_seller() {
    let (fault, creation) = (Fault::RefusesUnderAnotherKey, Creation::AtOnce);
    let report = play_as(LicenseOnline, &Seller::start(Some(fault), creation), false);
    let found = report.cases.iter().find(|case| case.name == "refuse-wrong-key").unwrap();
    assert!(found.outcome == Outcome::Warned && found.findings[0].rule == "body-sign", "{found:#?}");
    let seller = Seller::start(Some(fault), creation);
    let target = Target::new(&seller.url, key(), &[]).unwrap().with_other_keys(vec![other_key()]);
    let report = run(&target, &Options { generation: LicenseOnline, ..Options::default() }, &mut |_| {});
    // A nonce is refused after the signature, when the key is known.
    assert_eq!(complaining(&report), ["refuse-repeated-nonce"].into(), "{:#?}", complaints(&report));
}

#[test]
fn a_seller_that_is_stricter_with_gets_than_http_is_found() {
    fails_only(V1, Fault::RepeatedGetRefused, &["form-same-get-twice"], "repeated");
    fails_only(V1, Fault::LostPlusRefused, &["form-lost-plus"], "answer");
}

#[test]
fn carelessness_with_parameters_is_found() {
    for generation in [V1, License, LicenseCode, LicenseOnline] {
        fails_only(generation, Fault::BadDateTaken, &["refuse-expire-time"], "accepted");
        fails_only(generation, Fault::MissingMemberTaken, &["refuse-missing-member"], "accepted");
    }
    fails_only(V1, Fault::ManyIdsTaken, &["refuse-101-ids"], "accepted");
    fails_only(LicenseCode, Fault::UnknownSceneTaken, &["refuse-scene"], "accepted");
    warns(V1, Fault::BadExtendParamsTaken, "refuse-extend-params", "accepted");
}

#[test]
fn credentials_that_koogallery_cannot_decrypt_are_found() {
    for fault in [Fault::PlainPassword, Fault::ShortKey] {
        for case in ["create-period", "query", "real-create", "real-query"] {
            fails(V1, fault, case, "encryption");
        }
    }
    fails(V1, Fault::WrongEncryptType, "create-one-time", "encryption");
    fails(V1, Fault::NoAppInfo, "create-package", "app-info");
}

#[test]
fn a_retry_answered_otherwise_is_found() {
    let repeats = ["real-retry-create", "real-supervision", "real-after-release"];
    fails_only(V1, Fault::EncryptedAgainOnRetry, &repeats, "verbatim");
    fails_only(V1, Fault::OtherAnswerOnRetry, &repeats, "verbatim");
    fails(License, Fault::OtherLicenseOnRetry, "retry-create", "license");
    fails(License, Fault::OtherLicenseOnRetry, "real-retry-create", "verbatim");
    fails(License, Fault::OtherLicenseOnRetry, "parallel-create", "license");
}

#[test]
fn a_second_instance_for_one_order_is_found() {
    for generation in [V1, License, LicenseOnline] {
        fails(generation, Fault::NewInstanceOnRetry, "retry-create", "instance-id");
        fails(generation, Fault::NewInstanceOnRetry, "real-retry-create", "instance-id");
    }
    fails_only(V1, Fault::OneInstanceForAllProducts, &["create-on-demand"], "instance-id");
}

#[test]
fn processing_is_no_answer_in_v1() {
    for generation in [V1, License] {
        let creation = Creation::AfterQueries(2);
        check_as(generation, Fault::AnswersProcessing, creation, "real-create", "answer", Outcome::Failed);
    }
}

#[test]
fn ignored_dates_of_a_supervised_purchase_are_found() {
    fails_only(V1, Fault::NewDatesIgnored, &["real-supervision"], "expire-time");
}

#[test]
fn a_swallowed_freeze_is_found() {
    fails_only(V1, Fault::SecondExpirySwallowed, &["real-renewal-unfreezes", "real-pay-per-use"], "state");
    fails_only(License, Fault::SecondExpirySwallowed, &["real-renewal-unfreezes"], "state");
    // The life of a code begins with two.
    fails_only(LicenseCode, Fault::ThirdFreezeSwallowed, &["real-freeze"], "state");
    fails_only(LicenseOnline, Fault::ThirdFreezeSwallowed, &["real-freeze-again"], "state");
}

#[test]
fn faults_of_renewals_are_found() {
    for generation in [V1, License, LicenseCode, LicenseOnline] {
        fails(generation, Fault::RenewalDoesNotUnfreeze, "real-renewal-unfreezes", "state");
        fails(generation, Fault::RenewalAdds, "real-renewal-unfreezes", "expire-time");
    }
    for generation in [V1, LicenseCode, LicenseOnline] {
        fails_only(generation, Fault::LateRenewalApplied, &["real-cancelled-renewal"], "expire-time");
    }
    fails_only(V1, Fault::RefundUnread, &["refresh-unsubscribe", "real-cancelled-renewal"], "answer");
    fails_only(LicenseCode, Fault::CancellationTakenForRetry, &["real-cancelled-renewal"], "expire-time");
}

#[test]
fn faults_around_the_release_are_found() {
    for generation in [V1, License, LicenseOnline] {
        fails_only(generation, Fault::CreatedAgainAfterRelease, &["real-after-release"], "instance-id");
        fails(generation, Fault::UnknownInstanceTaken, "real-unknown-instance", "answer");
    }
    for generation in [V1, License, LicenseCode, LicenseOnline] {
        fails(generation, Fault::ReleaseOnce, "real-release", "answer");
    }
}

#[test]
fn a_seller_that_knows_no_test_calls_is_found() {
    for (generation, case) in
        [(V1, "expire"), (License, "expire"), (LicenseCode, "freeze"), (LicenseOnline, "get-license")]
    {
        fails(generation, Fault::TestCallsUnknown, case, "answer");
    }
}

#[test]
fn a_code_that_was_never_activated_may_be_refused_with_a_warning_and_ends_the_life() {
    let report = check_as(
        LicenseCode,
        Fault::UnknownCodeRefused,
        Creation::AtOnce,
        "real-first-call",
        "unknown-code",
        Outcome::Warned,
    );
    assert_eq!(report.cases.last().unwrap().name, "real-first-call");
}

#[test]
fn faults_of_licence_requests_are_found() {
    fails_only(LicenseOnline, Fault::SecondRequestRefused, &["real-get-license"], "answer");
    warns(LicenseOnline, Fault::EndlessLicenseTaken, "real-license-without-end", "endless-license");
    warns(LicenseOnline, Fault::TestLicensePending, "get-license", "processing");
}
