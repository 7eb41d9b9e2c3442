//! What a stage finds of its own in replies.

use super::*;
use crate::protocol::key::AccessKey;
use crate::secret::Secret;
use crate::simulate::call::signed_post::SignedPost;

/// What a stage finds about replies to a call, with headers and duration as given.
fn findings(replies: &[(&[(&str, String)], Duration)]) -> Vec<&'static str> {
    let key = AccessKey::new("k".to_owned(), Secret::new("k".to_owned()));
    let target = Target::new("http://127.0.0.1:1/", key, &[]).unwrap();
    let (options, mut world) = (Options::default(), World::new());
    let mut stage = Stage::new(&target, &options, &mut world);
    let body = br#"{"resultCode":"000000","resultMsg":"ok"}"#;
    let signed = crate::protocol::body_sign::header_value(&target.key, body);
    for (headers, elapsed) in replies {
        let good = [("Content-Type", "application/json".to_owned()), ("Body-Sign", signed.clone())];
        let headers = good.iter().chain(*headers).map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let status_line = "HTTP/1.1 200 OK".to_owned();
        let answer = Answer { status: 200, status_line, headers, body: body.to_vec(), elapsed: *elapsed };
        assert!(stage.receive("", &SignedPost::raw("{}").into(), Ok(answer)).is_some());
    }
    stage.into_findings().iter().map(|finding| finding.rule).collect()
}

fn date(seconds_off: i64) -> String {
    let instant = Timestamp::from_second(Timestamp::now().as_second() + seconds_off).unwrap();
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_slow_reply_is_a_warning() {
    assert_eq!(findings(&[(&[], Duration::from_millis(5000))]), [""; 0]);
    assert_eq!(findings(&[(&[], Duration::from_millis(5001))]), ["slow"]);
}

#[test]
fn a_clock_that_is_off_is_reported_once() {
    let dated = |seconds_off| [("Date", date(seconds_off))];
    assert_eq!(findings(&[(&dated(0), Duration::ZERO)]), [""; 0]);
    assert_eq!(findings(&[(&dated(-300), Duration::ZERO), (&dated(300), Duration::ZERO)]), ["clock"]);
    assert_eq!(findings(&[(&[("Date", "soon".to_owned())], Duration::ZERO)]), [""; 0]);
}

#[test]
fn a_server_that_stops_answering_is_left_alone_and_one_that_stumbles_is_not() {
    let mut world = World::new();
    assert!(!world.gave_up());
    world.unanswered = 1;
    assert!(world.gave_up(), "it has never answered");
    world.answered = true;
    assert!(!world.gave_up());
    world.unanswered = UNANSWERED_LIMIT;
    assert!(world.gave_up());
}

#[test]
fn findings_hold_no_control_characters_of_the_peer() {
    let key = AccessKey::new("k".to_owned(), Secret::new("k".to_owned()));
    let target = Target::new("http://127.0.0.1:1/", key, &[]).unwrap();
    let (options, mut world) = (Options::default(), World::new());
    let mut stage = Stage::new(&target, &options, &mut world);
    stage.add("call", Finding::fail("answer", "answered 000005 (\u{1b}[2Jgone\r\n)"));
    assert_eq!(stage.into_findings()[0].text, "call: answered 000005 ([2Jgone)");
}
