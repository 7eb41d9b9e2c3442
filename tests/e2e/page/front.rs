//! The first page: what costs money is on it as soon as it happens.

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
    for order in ["CS2611266010", "CS2611266011", "CS2611266012"] {
        assert!(open.contains(&format!("<a href=\"/exchanges?order={order}\">")), "{open}");
    }
    // Less than the three hours, for some time has passed.
    assert_eq!(open.matches("<span class=\"badge warn\">").count(), 3, "{open}");
    assert!(open.contains(" 2 h 5") && !open.contains("CS2611254310"), "{open}");

    let dead = part(&page, "dead");
    assert!(dead.contains("<code>instance.freeze</code>") && dead.contains("/retry\">Retry</a>"), "{dead}");

    let stock = part(&page, "stock");
    let badge = |tone: &str, sign: &str, left: u8| {
        format!("<span class=\"badge {tone}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span> {left}</span>")
    };
    assert!(stock.contains(&badge("warn", "!", 2)) && stock.contains(&badge("good", "✓", 40)), "{stock}");
    assert!(stock.contains("<a href=\"/stock/trial%2Daccounts\">"), "{stock}");

    assert!(part(&page, "frozen").contains("2100-01-01 07:59:59"), "{page}");
    assert_eq!(part(&page, "calendar").matches("calls: 1, all good").count(), 2, "as a title and for screen readers");
    assert!(part(&page, "sold").contains("CS2611258802"), "{page}");
    assert!(part(&page, "today").contains("Test calls"), "{page}");
    assert!(part(&page, "machine").contains("koogate 0."), "{page}");

    // And as alerts, the urgent first.
    let alerts = part(&page, "alerts");
    let order = ["a job was given up", "a stock is low", "an instance is frozen though it is paid"];
    let places: Vec<_> = order.iter().map(|heading| alerts.find(heading).expect(heading)).collect();
    assert!(places.is_sorted(), "{alerts}");
    assert!(alerts.contains("<div class=\"callout bad\">") && alerts.contains("koogate instance retry"), "{alerts}");
}
