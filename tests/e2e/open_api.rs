//! The client of the open API against a KooGallery that misbehaves: what each fault is called, whether the call may have
//! been carried out, and what is sent after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use koogate::config::Config;
use koogate::open_api::error::{Again, OpenApiError};
use koogate::open_api::{OpenApi, Patience};
use koogate::sealing::SealingKey;
use koogate::store::{self, Role, Store};

use crate::harness::{Gate, KEY, SEALING_KEY, Scratch, text};
use crate::koogallery::{Behaviour, Certificate, KooGallery, License, Reply, Route};
use crate::shop::FIXED;

const MOCKED: &str = "MOCKPERIODYEARNEW";

/// A client that calls a KooGallery, with a store of its own.
struct Client {
    open_api: OpenApi,
    store: Store,
    _scratch: Scratch,
}

impl Client {
    fn new(section: &str) -> Self {
        let scratch = Scratch::new("");
        scratch.configure(&[KEY], section, FIXED);
        let config = Config::load(&scratch.path("koogate.toml")).unwrap();
        let settings = store::Settings {
            path: scratch.path("koogate.db"),
            snapshot: "none.snapshot.db".into(),
            commit_batch: 512,
        };
        let key = Arc::new(SealingKey::from_hex(SEALING_KEY).unwrap());
        let store = Store::open(&settings, Role::Server, key).unwrap();
        Self { open_api: OpenApi::new(config.open_api.as_ref().unwrap()).unwrap(), store, _scratch: scratch }
    }

    fn of(mock: &KooGallery) -> Self {
        Self::new(&mock.toml())
    }

    fn order(&self, patience: Patience) -> Result<(), OpenApiError> {
        self.open_api.order(&self.store, MOCKED, patience).map(drop)
    }
}

/// What such a call comes to, and whether it may have been carried out.
#[track_caller]
fn check(behaviour: Behaviour, expected: fn(&OpenApiError) -> bool, may_be_done: bool) {
    let mock = KooGallery::start();
    mock.next(Route::OrderQuery, 1, behaviour);
    let client = Client::of(&mock);
    let error = client.order(Patience::Once).unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert_eq!((error.may_be_done(), error.again()), (may_be_done, Again::Later), "{error:?}");
    assert_eq!(mock.count(Route::OrderQuery), 1, "nothing repeats it behind the caller's back");
    client.order(Patience::Once).unwrap();
}

#[test]
fn whatever_comes_instead_of_an_answer_has_its_name() {
    let redirect = Reply::redirect("http://127.0.0.1:1/elsewhere");
    check(Behaviour::Instead(redirect), |error| matches!(error, OpenApiError::Redirected { status: 302, .. }), false);
    for behaviour in [Behaviour::Close, Behaviour::LoseReply, Behaviour::CutHead, Behaviour::CutBody] {
        check(behaviour, |error| matches!(error, OpenApiError::Broken { .. }), true);
    }
    for behaviour in [Behaviour::Flood(2 << 20), Behaviour::Endless] {
        check(behaviour, |error| matches!(error, OpenApiError::TooLong { .. }), true);
    }
    for reply in [Reply::broken_json(), Reply::html(200)] {
        check(Behaviour::Despite(reply), |error| matches!(error, OpenApiError::Unreadable { .. }), true);
    }
    for reply in [Reply::html(504), Reply::result(500, "MKT.0999")] {
        check(Behaviour::Despite(reply), |error| error.refusal().is_some(), true);
    }
}

#[test]
fn who_waits_gets_no_more_than_the_time_there_is() {
    let mock = KooGallery::start();
    let gate = Gate::default();
    mock.next(Route::OrderQuery, 1, Behaviour::Hang(gate.clone()));
    mock.next(Route::OrderQuery, 1, Behaviour::Drip(Duration::from_millis(50)));
    let client = Client::of(&mock);
    for _ in 0..2 {
        let error = client.order(Patience::Until(Instant::now() + Duration::from_millis(400))).unwrap_err();
        assert!(matches!(error, OpenApiError::TimedOut { .. }) && error.may_be_done(), "{error:?}");
    }
    gate.open();
    // With more of it, what may pass is tried again.
    mock.next(Route::OrderQuery, 2, Behaviour::Instead(Reply::html(502)));
    client.order(Patience::Until(Instant::now() + Duration::from_secs(60))).unwrap();
    assert_eq!((mock.count(Route::OrderQuery), mock.refusals()), (5, Vec::new()));
}

#[test]
fn only_a_certificate_that_is_trusted_and_right_is_spoken_to() {
    for certificate in [Certificate::Right, Certificate::WrongName, Certificate::Expired, Certificate::SelfSigned] {
        let mock = KooGallery::start_tls(certificate);
        let trusted = tempfile::tempdir().unwrap();
        let file = trusted.path().join("ca.pem");
        std::fs::write(&file, mock.ca_pem()).unwrap();
        let told = Client::new(&format!("{}ca_file = {:?}\n", mock.toml(), file.to_str().unwrap()));
        let found = told.order(Patience::Once);
        if certificate == Certificate::Right {
            found.unwrap();
            // Nobody said that this CA is to be trusted.
            let error = Client::of(&mock).order(Patience::Once).unwrap_err();
            assert!(matches!(error, OpenApiError::NoConnection { .. }), "{error:?}");
            assert_eq!((mock.count(Route::OrderQuery), mock.refusals()), (1, Vec::new()));
            continue;
        }
        let error = found.unwrap_err();
        assert!(
            matches!(error, OpenApiError::NoConnection { .. }) && !error.may_be_done(),
            "{certificate:?}: {error:?}"
        );
        assert!(error.to_string().contains("certificate"), "{certificate:?}: {error}");
        assert_eq!(mock.calls().len(), 0, "{certificate:?}");
    }
}

#[test]
fn when_there_were_too_many_calls_none_of_any_kind_is_made_before_the_pause_is_over() {
    for reply in [Reply::throttled(), Reply::throttled_by_gateway()] {
        let mock = KooGallery::start();
        mock.put_license("PL1", License::Expired);
        mock.next(Route::OrderQuery, 1, Behaviour::Instead(reply));
        let client = Client::of(&mock);
        let error = client.order(Patience::Once).unwrap_err();
        assert!(matches!(error.again(), Again::NotBefore(_)), "{error:?}");
        let error = client.open_api.heartbeat(&client.store, "PL1", Patience::Once).unwrap_err();
        assert!(matches!(error, OpenApiError::Throttled { .. }) && !error.may_be_done(), "{error:?}");
        assert_eq!(mock.calls().len(), 1);
        let minute = Patience::Until(Instant::now() + Duration::from_secs(60));
        client.open_api.heartbeat(&client.store, "PL1", minute).unwrap();
        client.order(Patience::Once).unwrap();
    }
}

#[test]
fn a_wrong_clock_is_told_as_one_and_never_locks_the_key() {
    for (shift, said) in [(20, "behind KooGallery's"), (-20, "ahead of KooGallery's")] {
        let mock = KooGallery::start();
        mock.shift_clock(SignedDuration::from_mins(shift));
        let client = Client::of(&mock);
        let error = client.order(Patience::Until(Instant::now() + Duration::from_secs(60))).unwrap_err();
        assert!(error.refuses_key() && error.to_string().contains(said), "{error}");
        for _ in 0..8 {
            assert!(matches!(client.order(Patience::Once), Err(OpenApiError::Locked { .. })));
        }
        assert_eq!((mock.count(Route::OrderQuery), mock.locked()), (1, false));
    }
}

#[test]
fn a_proxy_that_cannot_be_reached_is_no_connection_and_this_machine_needs_none() {
    let mock = KooGallery::start();
    mock.put_license("PL1", License::Expired);
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &mock.toml(), FIXED);
    drop(scratch.serve());
    let ask = || {
        let mut command = scratch.command(&["license", "heartbeat", "PL1"]);
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1").env_remove("NO_PROXY");
        let output = command.env_remove("no_proxy").output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (status, said) = ask();
    assert!(status == Some(0) && said.contains("EXPIRED"), "{said}");
    let elsewhere = mock.toml().replace(&mock.endpoint(), "https://koogallery.example.com");
    scratch.configure(&[KEY], &format!("{elsewhere}heartbeat_fresh = \"0s\"\nheartbeat_stale = \"0s\"\n"), FIXED);
    let (status, said) = ask();
    assert!(status == Some(1) && said.contains("no connection to koogallery.example.com"), "{said}");
}
