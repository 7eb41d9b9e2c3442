//! The lives that are played against servers that die: one for each way in which answers are made.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Ask, Gallery};
use crate::harness::{Application, new_instance, ready_answer, release, renewal, status_change, upgrade};
use crate::shop::{LATER, instance_id};
use crate::token_get::{self, Get, decrypted, expire, purchase, renew};

/// A life.
pub(super) struct Life {
    pub(super) name: &'static str,
    /// Of the product.
    pub(super) kind: &'static str,
    /// Makes the calls; returns the instance's id.
    pub(super) play: fn(&mut Gallery<'_>) -> String,
    /// What else must be true at the end.
    pub(super) check: fn(&mut Gallery<'_>, &str),
    /// The application's events in alphabetical order, and how many operations each stands for.
    pub(super) events: &'static [(&'static str, usize)],
    /// The instance's, at the end.
    pub(super) status: &'static str,
}

pub(super) const LIVES: [Life; 4] = [
    Life {
        name: "V2",
        kind: "saas",
        play: play_v2,
        check: |_, _| (),
        events: &[
            ("instance.create", 1),
            ("instance.freeze", 1),
            ("instance.release", 1),
            ("instance.renew", 1),
            ("instance.upgrade", 1),
        ],
        status: "released",
    },
    Life {
        name: "V1",
        kind: "saas",
        play: play_v1,
        check: |_, _| (),
        // New dates and a renewal.
        events: &[
            ("instance.create", 1),
            ("instance.freeze", 1),
            ("instance.release", 1),
            ("instance.renew", 2),
            ("instance.upgrade", 1),
        ],
        status: "released",
    },
    Life {
        name: "L1",
        kind: "license",
        play: play_l1,
        check: |_, _| (),
        // A release would cancel a freeze that is still on its way.
        events: &[("instance.freeze", 1), ("instance.renew", 1), ("license.issue", 1)],
        status: "frozen",
    },
    Life {
        name: "LO",
        kind: "license-online",
        play: play_lo,
        check: check_lo,
        events: &[("instance.create", 1), ("instance.freeze", 1), ("instance.renew", 1), ("license.issue", 2)],
        status: "frozen",
    },
];

/// One that makes everything ready at once, and another licence at every attempt.
pub(super) fn application() -> Application {
    Application::start(|event| {
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let license = format!("{} {} {}", text("operationId"), event["attempt"], crate::harness::nonce());
        let issues = event["event"] == "license.issue";
        let licensed = json!({ "status": "ready", "license": license }).to_string();
        (200, if issues { licensed } else { ready_answer(event) })
    })
}

fn play_v2(gallery: &mut Gallery<'_>) -> String {
    let id = instance_id(&gallery.succeed_twice(&Ask::Post(new_instance("CS1"))));
    for body in [renewal(&id, "CS2", 2099), status_change(&id, "FREEZE"), upgrade(&id, "CS3"), release(&id)] {
        gallery.succeed_twice(&Ask::Post(body));
    }
    id
}

fn play_v1(gallery: &mut Gallery<'_>) -> String {
    let created = gallery.succeed_twice(&Ask::Get(purchase("CS1")));
    let id = instance_id(&created);
    let password = created.json()["appInfo"]["password"].as_str().unwrap().to_owned();
    assert_eq!(decrypted(super::KEY, "1", &password), "p-1", "{}", gallery.fault);
    let with_dates = gallery.succeed_twice(&Ask::Get(purchase("CS1").with("expireTime", LATER)));
    assert_eq!(with_dates.verbatim(), created.verbatim(), "{}", gallery.fault);
    let calls =
        [renew(&id, "CS2", LATER), expire(&id, "CS1"), token_get::upgrade(&id, "CS3"), token_get::release(&id, "CS1")];
    for call in calls {
        gallery.succeed_twice(&Ask::Get(call));
    }
    id
}

/// Every attempt makes another licence: only one of them may ever be seen.
fn play_l1(gallery: &mut Gallery<'_>) -> String {
    let about = |activity: &str, id: &str, order: &str| {
        Get::new(activity, &[("instanceId", id), ("orderId", order), ("expireTime", LATER)])
    };
    let purchase = [("businessId", "b"), ("customerId", "c"), ("orderId", "CS1"), ("productId", "P")];
    let id = instance_id(&gallery.succeed_twice(&Ask::Get(Get::new("getLicense", &purchase))));
    for (activity, order) in [("refreshLicense", "CS2"), ("expireLicense", "CS1")] {
        gallery.succeed_twice(&Ask::Get(about(activity, &id, order)));
    }
    id
}

fn play_lo(gallery: &mut Gallery<'_>) -> String {
    let id = instance_id(&gallery.succeed_twice(&Ask::Post(new_instance("CS1"))));
    gallery.succeed_twice(&Ask::Post(renewal(&id, "CS2", 2099)));
    for device in ["D1", "D2"] {
        gallery.succeed_twice(&Ask::Post(request(&id, device)));
    }
    gallery.succeed_twice(&Ask::Post(status_change(&id, "FREEZE")));
    id
}

fn request(id: &str, device: &str) -> serde_json::Value {
    json!({
        "activity": "getLicenseAsync", "instanceId": id, "eventId": "E1", "deviceFingerprint": device,
        "effectiveTime": "2026-10-27 10:30:15 z", "expireTime": "2098-12-31 23:59:59 z", "testFlag": "0",
    })
}

/// Each request has the licence of its own operation, which stays as it is, and one upload that waits.
fn check_lo(gallery: &mut Gallery<'_>, id: &str) {
    let uploads = |gallery: &Gallery<'_>| {
        let jobs = gallery.scratch.instance(id)["jobs"].as_array().unwrap().clone();
        let waits = |job: &&serde_json::Value| job["task"] == "license.upload" && job["attempts"].as_u64() > Some(0);
        jobs.iter().filter(waits).count()
    };
    let contents = |gallery: &Gallery<'_>| {
        ["1", "2"].map(|number| gallery.scratch.run_ok(&["license", "show", number, "--out", "-"]))
    };
    let until = std::time::Instant::now() + crate::harness::PATIENCE;
    // A server that dies over an upload is started again by the next call.
    while uploads(gallery) < 2 {
        assert!(std::time::Instant::now() < until, "{}: {}", gallery.fault, gallery.scratch.instance(id));
        gallery.succeed(&Ask::Post(request(id, "D1")));
    }
    let before = contents(gallery);
    gallery.succeed_twice(&Ask::Post(request(id, "D2")));
    assert_eq!(contents(gallery), before, "{}", gallery.fault);
    let operations: BTreeSet<_> = before.iter().map(|content| content.split(' ').next().unwrap()).collect();
    assert_eq!((operations.len(), uploads(gallery)), (2, 2), "{}: {before:?}", gallery.fault);
    assert_eq!(gallery.scratch.run_json(&["license", "list", "--json"]).len(), 2, "{}", gallery.fault);
}
