//! The first page: what costs money is on it as soon as it happens.

use jiff::{SignedDuration, Timestamp};
use koogate::alert::beijing;

use crate::harness::text;
use crate::page::crawl::elements;
use crate::page::scene;
use crate::page::visitor::Visitor;

/// The part of a page with this id.
#[track_caller]
fn part<'p>(page: &'p str, id: &str) -> &'p str {
    let sections = elements(page, "section");
    let found = sections.into_iter().find(|(attributes, _)| attributes.contains(&format!("id=\"{id}\"")));
    found.unwrap_or_else(|| panic!("no part {id}: {page}")).1
}

#[test]
fn what_costs_money_stands_on_the_first_page_at_once_with_the_way_to_mend_it() {
    let scene = scene::busy();
    let page = text(&Visitor::logged_in(&scene.koogate).get("/").body);

    let open = part(&page, "open");
    for (order, is_open) in
        [("CS2611266010", false), ("CS2611266011", true), ("CS2611266012", true), ("CS2611254310", false)]
    {
        assert_eq!(open.contains(&format!("<a href=\"/exchanges?order={order}\">")), is_open, "{order}: {open}");
    }
    // The one has less than half an hour, the other less than three.
    assert_eq!((open.matches("badge bad").count(), open.matches("badge warn").count()), (1, 1), "{open}");
    // The failed one began four hours ago, which may have been last month.
    let began = Timestamp::now() - SignedDuration::from_hours(4);
    let is_of_this_month = beijing::month(began).0 == beijing::month(Timestamp::now()).0;
    assert_eq!(part(&page, "failed").contains("1 of 5"), is_of_this_month, "{page}");

    let dead = part(&page, "dead");
    assert!(dead.contains("<code>instance.freeze</code>") && dead.contains("/retry\">Retry</a>"), "{dead}");

    let stock = part(&page, "stock");
    let badge = |tone: &str, sign: &str, left: u8| {
        format!("<span class=\"badge {tone}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span> {left}</span>")
    };
    assert!(stock.contains(&badge("warn", "!", 2)) && stock.contains(&badge("good", "✓", 40)), "{stock}");
    assert!(stock.contains("<a href=\"/stock/trial%2Daccounts\">"), "{stock}");

    assert!(part(&page, "frozen").contains("2100-01-01 07:59:59"), "{page}");
    let calendar = part(&page, "calendar");
    for (class, least) in [("good", 30), ("bad", 1), ("silent", 1)] {
        assert!(calendar.matches(&format!("<span class=\"half {class}\"")).count() >= least, "{class}: {calendar}");
    }
    assert!(part(&page, "sold").contains("CS2611258802"), "{page}");
    assert!(part(&page, "today").contains("Test calls"), "{page}");
    assert!(part(&page, "machine").contains("koogate 0."), "{page}");

    // And as alerts, the urgent first.
    let alerts = part(&page, "alerts");
    let order = [
        "An order is about to be refunded",
        "A job was given up",
        "A stock is low",
        "An instance is frozen though it is paid",
    ];
    let places: Vec<_> = order.iter().map(|heading| alerts.find(heading).expect(heading)).collect();
    assert!(places.is_sorted(), "{alerts}");
    assert!(alerts.contains("<div class=\"callout bad\">") && alerts.contains("koogate instance retry"), "{alerts}");
}
