//! KooGallery hangs: whoever asks for orders does not take the listener from everybody else.

use std::sync::mpsc;
use std::thread;

use super::{ADMIN, TOKEN};
use crate::harness::{Gate, KEY, Scratch};
use crate::koogallery::{Behaviour, KooGallery, Route};
use crate::shop::FIXED;

#[test]
fn orders_that_wait_for_koogallery_leave_the_listener_to_others() {
    let koogallery = KooGallery::start();
    let gate = Gate::default();
    koogallery.always(Route::OrderQuery, Behaviour::Hang(gate.clone()));
    let scratch = Scratch::new("");
    scratch.configure(&[KEY], &format!("{}{ADMIN}", koogallery.toml()), FIXED);
    let koogate = scratch.serve();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..24 {
            let (tell, koogate) = (tell.clone(), &koogate);
            scope.spawn(move || {
                tell.send(koogate.admin("GET", &format!("/api/v1/orders/CS{number}"), Some(TOKEN), "")).unwrap();
            });
        }
        // Turned away at once, in words that nobody gets whose time is over.
        for _ in 0..24 - 16 {
            let answer = told.recv().unwrap();
            let error = answer.json()["error"].as_str().unwrap().to_owned();
            assert_eq!((answer.status, error.as_str()), (503, "too many questions about orders wait for KooGallery"));
            assert_eq!(answer.header("Retry-After"), Some("5"));
        }
        assert_eq!(koogate.admin("GET", "/healthz", None, "").status, 200);
        gate.open();
    });
    koogate.stop();
}
