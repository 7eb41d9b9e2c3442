//! What somebody must mend: nothing is rejected for it, KooGallery is not called over and over, and after a reload it goes
//! on at once.

use super::*;
use crate::koogallery::{Behaviour, Reply};

#[test]
fn a_wrong_body_signature_is_told_and_mended_by_a_reload() {
    let scene = Scene::open("");
    let right = "99999999-2222-3333-4444-555555555555";
    scene.mock.expect_access_key(right);
    let numbers = scene.report_all(&minutes(&scene.used, 3));
    scene.wait_for_log("ALERT usage records are not sent");
    assert!(
        scene.shop.koogate.log_text().contains("[keys] basic must begin with"),
        "{}",
        scene.shop.koogate.log_text()
    );
    // Nothing has arrived, and nothing is counted as sent.
    let unsent = || (scene.record(&numbers[0])["sent"] == 0).then_some(());
    eventually(unsent, || scene.record(&numbers[0]).to_string());
    assert_eq!((scene.count("waiting"), scene.count("rejected")), (3, 0));
    // KooGallery's calls may still be verified with the other key.
    scene.shop.reload(&[right, KEY], &format!("{}{ADMIN}", scene.mock.toml()), FIXED);
    scene.settled();
    assert_billed_once(&scene.mock, &numbers);
    assert_eq!(scene.calls(), 2);
}

#[test]
fn a_wrong_secret_key_costs_one_call_and_is_mended_by_a_reload() {
    let mock = KooGallery::start();
    let wrong = format!("{}{ADMIN}", mock.toml().replace("sk-test", "sk-wrong"));
    let scene = Scene::with(mock, &wrong);
    let numbers = scene.report_all(&minutes(&scene.used, 3));
    scene.wait_for_log("ALERT KooGallery refused the access key");
    // Whatever made the pusher hurry would show here: it looks every two seconds, and each look costs nothing.
    scene.shop.scratch.run_ok(&["usage", "push"]);
    let unsent = || (scene.record(&numbers[0])["sent"] == 0).then_some(());
    eventually(unsent, || scene.record(&numbers[0]).to_string());
    assert_eq!((scene.count("waiting"), scene.calls()), (3, 1));
    // A reload that mends nothing makes no call either.
    scene.shop.reload(&[KEY], &format!("{wrong}\n"), FIXED);
    scene.report(30, "1.5");
    scene.shop.reload(&[KEY], &format!("{}{ADMIN}", scene.mock.toml()), FIXED);
    scene.settled();
    assert_eq!((scene.calls(), scene.mock.locked(), scene.mock.refusals().len()), (2, false, 1));
    assert_eq!(scene.mock.billed(&scene.used), 60_000);
}

#[test]
fn nobody_is_rejected_for_what_is_wrong_with_the_account() {
    for (reply, expected) in [
        (Reply::code(401, "MKT.0151"), "may not push usage"),
        (Reply::gateway(403, "APIGW.0302", "not permitted"), "the gateway refused the call"),
        (Reply::gateway(404, "APIGW.0101", "unknown"), "the gateway refused the call"),
    ] {
        let scene = Scene::open("");
        scene.mock.always(Route::UsageData, Behaviour::Instead(reply));
        let number = scene.report(3, "1");
        scene.wait_for_log(expected);
        assert_eq!((scene.count("waiting"), scene.calls()), (1, 1));
        scene.mock.always(Route::UsageData, Behaviour::Normal);
        scene.shop.reload(&[KEY], &format!("{}{ADMIN}\n", scene.mock.toml()), FIXED);
        scene.settled();
        assert_billed_once(&scene.mock, &[number]);
        assert_eq!(scene.calls(), 2);
    }
}
