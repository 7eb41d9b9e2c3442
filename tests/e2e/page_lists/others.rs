//! Licences, usage and tenants: pages with real data, and what is done on them.

use jiff::{SignedDuration, Timestamp};

use super::{bare, confirm, page, recorded, row_names, sections, send_form};
use crate::harness::{Application, KEY, PATIENCE, SEALING_KEY, Scratch, text};
use crate::kit_call;
use crate::licenses::LICENSE_KEY;
use crate::page::visitor::Visitor;
use crate::shop::{IMPATIENT, Shop, instance_id, look_up};
use crate::token_get::{Get, call_with, purchase};

#[test]
fn a_licence_is_issued_by_hand_once() {
    let scratch = Scratch::new("");
    let keys = format!("[keys]\nbasic = \"{KEY}\"\nlicense = \"{LICENSE_KEY}\"\nsealing_key = \"{SEALING_KEY}\"\n");
    let products = "[[product]]\nkind = \"license\"\nfulfilment = \"manual\"\n";
    std::fs::write(scratch.path("koogate.toml"), format!("{IMPATIENT}{keys}{}{products}", sections())).unwrap();
    let koogate = scratch.serve();
    let parameters = [("customerId", "c"), ("businessId", "b-l1"), ("orderId", "CS1"), ("productId", "P")];
    let get = Get::new("getLicense", &parameters);
    assert_ne!(call_with(&koogate, LICENSE_KEY, &get).code(), "000000");
    let mut visitor = Visitor::logged_in(&koogate);
    assert_eq!(row_names(&page(&mut visitor, "/licenses?state=requested")), ["1"]);
    let shown = page(&mut visitor, "/licenses/1");
    let empty = send_form(&mut visitor, &shown, "/licenses/1/issue", &[]);
    assert_eq!(empty.status, 409, "{}", text(&empty.body));
    assert_eq!(visitor.post("/licenses/1/issue", &[("license", "ABC")]).status, 403, "only with the form's token");
    let done = send_form(&mut visitor, &shown, "/licenses/1/issue", &[("license", "ABC-secret\r\n")]);
    assert_eq!((done.status, done.header("Location")), (303, Some("/licenses/1")), "{}", text(&done.body));
    let late = send_form(&mut visitor, &shown, "/licenses/1/issue", &[("license", "other")]);
    assert_eq!(late.status, 409, "{}", text(&late.body));
    let after = page(&mut visitor, "/licenses/1");
    assert!(after.contains("issued") && !after.contains("ABC-secret"), "{after}");
    let answer = call_with(&koogate, LICENSE_KEY, &get.again());
    assert_eq!(answer.code(), "000000");
    assert!(text(&answer.body).contains("ABC-secret"), "{}", text(&answer.body));
    assert_eq!(recorded(&scratch), ["issue licence 1"]);
    assert_eq!(visitor.get("/licenses/2").status, 404);
}

#[test]
fn usage_is_sent_now_and_taken_out_as_by_the_commands() {
    let shop = Shop::with(Application::ready(), &sections(), "");
    let on_demand = purchase("CS1").with("chargingMode", "0").without("expireTime");
    let id = instance_id(&shop.get("000000", &on_demand));
    // A report must not begin before the order.
    let database = rusqlite::Connection::open(shop.scratch.path("koogate.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database.execute("UPDATE instance SET created_at = created_at - ?1", [3 * 86_400_000_i64]).unwrap();
    // Whole seconds, as KooGallery counts.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let ago = |hours: i64| (now - SignedDuration::from_hours(hours)).to_string();
    let (begin, end) = (ago(3), ago(2));
    shop.scratch.run_ok(&["usage", "record", "--instance", &id, "--begin", &begin, "--end", &end, "--value", "1.5"]);
    let sn: String = look_up(&shop.scratch, "SELECT metering_sn FROM usage_record");
    let mut visitor = Visitor::logged_in(&shop.koogate);
    for filter in ["", "?state=waiting", &format!("?instance={id}"), &format!("?state=waiting&instance={id}")] {
        assert_eq!(row_names(&page(&mut visitor, &format!("/usage{filter}"))), std::slice::from_ref(&sn), "{filter}");
    }
    assert!(row_names(&page(&mut visitor, "/usage?state=rejected")).is_empty());
    let pushed = confirm(&mut visitor, "/usage/push", "/usage/push", &[]);
    assert_eq!(pushed.status, 303);
    assert!(page(&mut visitor, "/usage").contains("wait to be sent"));
    let path = format!("/usage/{sn}/withdraw");
    let done = confirm(&mut visitor, &path, &path, &[]);
    assert_eq!(done.status, 303, "{}", text(&done.body));
    let again = confirm(&mut visitor, &path, &path, &[]);
    assert_eq!(again.status, 409, "{}", text(&again.body));
    let rejected = page(&mut visitor, &format!("/usage?state=rejected&instance={id}"));
    assert!(rejected.contains("WITHDRAWN") && rejected.contains("report its time again"), "{rejected}");
    assert_eq!(recorded(&shop.scratch), ["push usage".to_owned(), format!("withdraw {sn}")]);
}

#[test]
fn tenants_are_shown_with_their_users_and_departments_and_without_personal_data() {
    let shop = Shop::with_kit_and(Application::ready(), &sections(), None);
    let id = shop.buy("CS1");
    for sync in kit_call::five(&id) {
        shop.sync("000000", &sync);
    }
    let mut visitor = Visitor::logged_in(&shop.koogate);
    let tenants = page(&mut visitor, "/tenants");
    assert_eq!(row_names(&tenants), [kit_call::TENANT]);
    let shown = page(&mut visitor, &format!("/tenants/{}", kit_call::TENANT));
    for part in ["zhangsan01", "测试部", "app-1", id.as_str()] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for hidden in ["13800138000", "zhang@example.com", "张三", "secret-1"] {
        assert!(!shown.contains(hidden), "{hidden}: {shown}");
    }
    // The body of a call with personal data is sealed in the journal, until somebody asks for it, which is recorded.
    let call: i64 =
        look_up(&shop.scratch, "SELECT id FROM exchange WHERE activity = 'authSync' OR request_line LIKE '%authSync%'");
    let path = format!("/exchanges/{call}");
    let sealed = page(&mut visitor, &path);
    assert!(!sealed.contains("13800138000") && bare(&sealed).contains("kept sealed"), "{sealed}");
    let revealed = send_form(&mut visitor, &sealed, &format!("{path}/reveal"), &[]);
    assert!(text(&revealed.body).contains("13800138000"), "{}", text(&revealed.body));
    assert_eq!(recorded(&shop.scratch), [format!("reveal exchange {call}")]);
}
