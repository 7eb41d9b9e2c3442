//! A V1 call that somebody has seen and makes again, word for word, does nothing a second time, however old it is: V1 has no
//! nonce and no limit of age, and koogate's journal stands in for both.

use crate::harness::{Answer, KEY, text};
use crate::shop::{FIXED, FUTURE, LATER, LATER_SHOWN, Shop, instance_id};
use crate::token_get::{Get, assert_signed, expire, purchase, renew, status};

/// A call that was seen on its way, with its token.
struct Seen(String);

impl Seen {
    /// One of KooGallery's, as it makes it now.
    fn now(get: &Get) -> Self {
        Self(get.target(KEY))
    }

    /// Sent, by KooGallery or by whoever has seen it.
    fn send(&self, shop: &Shop, code: &str) -> Answer {
        self.send_as(&self.0, shop, code)
    }

    fn send_as(&self, target: &str, shop: &Shop, code: &str) -> Answer {
        let answer = shop.koogate.get(target);
        assert_signed(KEY, &answer);
        assert_eq!(answer.code(), code, "{}\n{}", text(&answer.body), shop.koogate.log_text());
        answer
    }

    /// The same call with its parameters in another order, one of them written otherwise, and one more behind the token.
    fn rearranged(&self) -> String {
        let (path, query) = self.0.split_once('?').unwrap();
        let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
        pairs.reverse();
        format!("{path}?{}", pairs.join("&").replacen("authToken", "%61uthToken", 1).replace("activity", "a%63tivity"))
    }
}

#[test]
fn a_freeze_that_was_seen_does_nothing_after_the_renewal_and_a_new_one_does() {
    let shop = Shop::open("");
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    let seen = Seen::now(&expire(&id, "CS1"));
    let first = seen.send(&shop, "000000");
    assert_eq!(shop.status(&id), "frozen");
    assert_eq!(seen.send(&shop, "000000").verbatim(), first.verbatim(), "an HTTP client may repeat a GET");
    shop.get("000000", &renew(&id, "CS2", LATER));
    assert_eq!(shop.status(&id), "active");

    for target in [seen.0.clone(), seen.rearranged()] {
        let again = seen.send_as(&target, &shop, "000000");
        assert_eq!(again.verbatim(), first.verbatim());
        assert_eq!(shop.status(&id), "active", "{target}");
    }
    let shop = shop.restarted(|koogate| drop(koogate.stop()));
    assert_eq!(seen.send(&shop, "000000").verbatim(), first.verbatim());
    assert_eq!(shop.status(&id), "active");
    assert_eq!(shop.count("exchange WHERE activity = 'expireInstance' AND replayed"), 4, "each is in the journal");

    shop.get("000000", &expire(&id, "CS1"));
    assert_eq!(shop.status(&id), "frozen", "a call with a stamp of its own is another one");
    shop.told_only(&id, &["instance.create", "instance.freeze", "instance.renew", "instance.freeze"]);
}

#[test]
fn an_unfreeze_that_was_seen_opens_nothing_that_was_frozen_since() {
    let shop = Shop::open("");
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    shop.get("000000", &status(&id, "FREEZE"));
    let seen = Seen::now(&status(&id, "NORMAL"));
    seen.send(&shop, "000000");
    shop.get("000000", &status(&id, "FREEZE"));
    seen.send(&shop, "000000");
    assert_eq!(shop.status(&id), "frozen");
}

#[test]
fn a_retry_that_was_answered_from_the_record_does_nothing_later_either() {
    let shop = Shop::open("");
    let id = instance_id(&shop.get("000000", &purchase("CS1")));
    shop.get("000000", &expire(&id, "CS1"));
    let retry = Seen::now(&expire(&id, "CS1"));
    retry.send(&shop, "000000");
    shop.get("000000", &renew(&id, "CS2", LATER));
    retry.send(&shop, "000000");
    assert_eq!(shop.status(&id), "active");
}

#[test]
fn dates_of_a_purchase_that_was_seen_do_not_replace_newer_ones() {
    let shop = Shop::open("");
    let ordered = purchase("CS1").with("provisionType", "1");
    let seen = Seen::now(&ordered);
    let first = seen.send(&shop, "000000");
    let id = instance_id(&first);
    shop.get("000000", &ordered.again().with("expireTime", LATER));
    assert_eq!(seen.send(&shop, "000000").verbatim(), first.verbatim());
    assert_eq!(shop.instance(&id)["expireTime"], LATER_SHOWN);
    // KooGallery may say the first date anew.
    shop.get("000000", &ordered.again().with("expireTime", FUTURE));
    assert_ne!(shop.instance(&id)["expireTime"], LATER_SHOWN);
}

#[test]
fn a_call_that_failed_is_worked_on_when_it_comes_again_but_not_once_others_have_overtaken_it() {
    let product = format!("[[product]]\nproduct_id = \"BY-HAND\"\nfulfilment = \"manual\"\n{FIXED}");
    let shop = Shop::with_products(crate::harness::Application::ready(), "", &product);
    shop.get("000005", &purchase("CS1").with("productId", "BY-HAND"));
    let id: String = crate::shop::look_up(&shop.scratch, "SELECT instance_id FROM instance");
    let seen = Seen::now(&expire(&id, "CS1"));
    // It is still being created.
    seen.send(&shop, "000005");
    seen.send(&shop, "000005");
    shop.scratch.run_ok(&["instance", "ready", &id, "--front-end-url", "https://a/"]);
    seen.send(&shop, "000005");
    assert_eq!(shop.status(&id), "active");
    shop.get("000000", &expire(&id, "CS1"));
    shop.get("000000", &renew(&id, "CS2", LATER));
    seen.send(&shop, "000005");
    assert_eq!(shop.status(&id), "active");
}
