//! KooGallery fails in all ways it can, and every record is billed once.

use super::*;
use crate::harness::Gate;
use crate::koogallery::{Behaviour, Judgement, Reply};

#[test]
fn whatever_happens_to_calls_and_replies_each_record_is_billed_once() {
    let scene = Scene::open("");
    for behaviour in [
        Behaviour::LoseReply,
        Behaviour::CutBody,
        Behaviour::CutHead,
        Behaviour::Close,
        Behaviour::Despite(Reply::html(502)),
        Behaviour::Instead(Reply::html(503)),
        Behaviour::Despite(Reply::html(504)),
        Behaviour::Despite(Reply::broken_json()),
        Behaviour::Instead(Reply::code(500, "MKT.0999")),
        Behaviour::Despite(Reply::throttled()),
        Behaviour::Instead(Reply::throttled_by_gateway()),
        Behaviour::Despite(Reply::redirect("http://127.0.0.1:1/")),
        Behaviour::Instead(Reply::text(403, "text/html", "<html>a proxy</html>")),
        Behaviour::OtherEnvelope,
    ] {
        scene.mock.next(Route::UsageData, 1, behaviour);
    }
    let numbers = scene.report_all(&minutes(&scene.used, 40));
    scene.settled();
    assert_billed_once(&scene.mock, &numbers);
    assert_eq!((scene.count("accepted"), scene.mock.billed(&scene.used)), (40, 40 * 15_000));
    // No attempt more than there were failures, but for batches that had been made smaller.
    assert!((14..30).contains(&scene.calls()), "{}", scene.calls());
    assert!(!scene.shop.koogate.log_text().contains("ALERT"), "{}", scene.shop.koogate.log_text());
}

#[test]
fn a_record_whose_reply_was_lost_is_accepted_whatever_its_repeat_is_told() {
    for repeat in [None, Some("005"), Some("010")] {
        let scene = Scene::open("");
        scene.mock.judge_usage(Judgement { repeat, ..Judgement::default() });
        scene.mock.next(Route::UsageData, 1, Behaviour::LoseReply);
        let numbers = scene.report_all(&minutes(&scene.used, 3));
        scene.settled();
        assert_billed_once(&scene.mock, &numbers);
        assert_eq!((scene.count("accepted"), scene.calls()), (3, 2), "{repeat:?}");
        assert_eq!(scene.record(&numbers[0])["sent"], 2);
        assert!(scene.mock.records().iter().all(|record| record.arrivals == 2));
    }
}

#[test]
fn a_record_that_koogallery_cannot_cope_with_holds_up_no_other() {
    let scene = Scene::open("");
    let poison = buy(&scene.shop, &scene.mock, "CS2");
    age(&scene.shop);
    let mark = poison.clone();
    scene.mock.decide(Route::UsageData, move |_, call| match call.json.to_string().contains(&mark) {
        true => Behaviour::Instead(Reply::code(500, "MKT.0999")),
        false => Behaviour::Normal,
    });
    let mut reports = minutes(&scene.used, 8);
    reports.insert(4, report(&poison, 4, "1"));
    let numbers = scene.report_all(&reports);
    eventually(|| (scene.count("accepted") == 8).then_some(()), || scene.shop.koogate.log_text());
    let alone = scene.record(&numbers[4]);
    assert_eq!(alone["state"], "waiting");
    // As soon as it can.
    scene.mock.always(Route::UsageData, Behaviour::Normal);
    scene.settled();
    assert_billed_once(&scene.mock, &numbers);
}

#[test]
fn what_was_not_sent_is_not_counted_as_sent() {
    let scene = Scene::at(KooGallery::down(), "");
    let number = scene.report(3, "1");
    scene.wait_for_log("usage records could not be sent");
    eventually(|| (scene.record(&number)["sent"] == 0).then_some(()), || scene.record(&number).to_string());
    // So the operator may still take it back.
    let withdrawn = || scene.shop.scratch.run(&["usage", "reject", &number]).status.success().then_some(());
    eventually(withdrawn, || scene.shop.koogate.log_text());
    let other = scene.report(3, "2");
    scene.mock.come_up();
    scene.settled();
    assert_billed_once(&scene.mock, &[other]);
    assert_eq!(scene.mock.billed(&scene.used), 20_000);
}

#[test]
fn a_reload_counts_from_the_next_call_on_however_much_waits() {
    let scene = Scene::open("usage_batch_size = 1");
    let gate = Gate::default();
    scene.mock.next(Route::UsageData, 1, Behaviour::HoldReply(gate.clone()));
    let numbers = scene.report_all(&minutes(&scene.used, 5));
    eventually(|| (scene.calls() == 1).then_some(()), || scene.shop.koogate.log_text());
    scene.shop.reload(&[KEY], &format!("{}{ADMIN}", scene.mock.toml()), FIXED);
    gate.open();
    scene.settled();
    assert_billed_once(&scene.mock, &numbers);
    // The one that was on its way, and the others together.
    assert_eq!(scene.calls(), 2);
}
