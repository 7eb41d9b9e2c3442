//! Faults of `[[product]]`, and which entry a product gets.

use super::*;

/// As [`check`], for the lines of one product: they begin at line 5.
#[track_caller]
fn check_product(text: &str, expected: &[&str]) {
    check(&MINIMAL.replace("fulfilment = \"manual\"", text), expected);
}

#[test]
fn keys_of_another_fulfilment_are_told_to_be_that() {
    let http = "only for fulfilment = \"http\"; this entry has fulfilment = \"manual\"";
    let application = "only for fulfilment = \"http\" or \"command\"; this entry has fulfilment = \"manual\"";
    check_added(
        "url = 'http://127.0.0.1/'\nsecret = 7\ntimeout = '60s'\nlow_stock = 5\n",
        &[
            &format!("6: product[0].url: {http}"),
            &format!("7: product[0].secret: {http}"),
            &format!("8: product[0].timeout: {application}"),
            "9: product[0].low_stock: only for fulfilment = \"stock\"; this entry has fulfilment = \"manual\"",
        ],
    );
    check_added(
        "accept = 'after'\ntest_calls = 'forward'\nchange_check = 'ask'\n",
        &[
            "6: product[0].accept: found \"after\", expected \"at-once\": fulfilment = \"manual\" has no application to call",
            "7: product[0].test_calls: found \"forward\", expected \"answer\": fulfilment = \"manual\" has no application \
             to call",
            "8: product[0].change_check: found \"ask\", expected \"allow\": fulfilment = \"manual\" has no application to call",
        ],
    );
}

#[test]
fn each_fulfilment_has_its_own_mandatory_keys() {
    for (fulfilment, missing) in [
        ("http", "url: missing; expected the address of your application"),
        (
            "command",
            "command: missing; expected the program and its arguments: \
             command = [\"/opt/shop/provision\", \"--from-koogate\"]",
        ),
        ("stock", "stock: missing; expected the name of a stock"),
        ("fixed", "access: missing; expected the access data: access = { front_end_url = \"https://…\" }"),
    ] {
        check_product(&format!("fulfilment = '{fulfilment}'"), &[&format!("4: product[0].{missing}")]);
    }
}

#[test]
fn a_kind_has_its_own_fulfilments_and_keys() {
    check_added(
        "kind = 'sass'\n",
        &["6: product[0].kind: found \"sass\", expected \"saas\", \"license\", \"license-code\" or \"license-online\""],
    );
    let licensed = |lines: &str| {
        MINIMAL.replace("[keys]\n", "[keys]\nlicense = 'another-key-1'\n").replace("fulfilment = \"manual\"", lines)
    };
    for (lines, expected) in [
        (
            "fulfilment = 'stock'\nstock = 's'\nkind = 'license-code'",
            "product[0].fulfilment: found \"stock\", expected another: kind = \"license-code\" cannot be fulfilled that way",
        ),
        (
            "fulfilment = 'manual'\nkind = 'license'\naccess = { front_end_url = 'https://a' }",
            "product[0].access: only for kind = \"saas\"; this entry has kind = \"license\"",
        ),
        (
            "fulfilment = 'manual'\nkind = 'license'\nencrypt_type = '2'",
            "product[0].encrypt_type: only for kind = \"saas\"; this entry has kind = \"license\"",
        ),
        (
            "fulfilment = 'manual'\nmax_licenses = 3",
            "product[0].max_licenses: only for kind = \"license-online\"; this entry has kind = \"saas\"",
        ),
    ] {
        let errors = read(&licensed(lines)).unwrap_err().to_string();
        assert!(errors.ends_with(expected) && errors.lines().count() == 1, "{errors}");
    }
    for kind in ["license", "license-code", "license-online"] {
        let config = read(&licensed(&format!("fulfilment = 'manual'\nkind = '{kind}'"))).unwrap();
        assert_eq!(config.products[0].kind.as_str(), kind);
    }
}

#[test]
fn the_address_of_the_application_is_checked() {
    let good = ["http://127.0.0.1:3000/koogate", "https://app.example.com", "http://[::1]:80/?x=1", "http://app:3000"];
    for url in good {
        let text = MINIMAL.replace("\"manual\"", &format!("'http'\nurl = '{url}'"));
        let Fulfilment::Http { url: read, .. } = &read(&text).unwrap().products[0].fulfilment else { panic!("{url}") };
        assert_eq!(read, url);
    }
    for url in [
        "",
        "app.example.com",
        "ftp://a/",
        "http://",
        "http:///x",
        "http://a:0/",
        "http://a:x/",
        "http://[::1/",
        "http://[::1]x/",
        "http://a/ b",
        "http://a/#b",
    ] {
        check_product(
            &format!("fulfilment = 'http'\nurl = '{url}'"),
            &[&format!(
                "6: product[0].url: found {url:?}, expected an address such as \"http://127.0.0.1:3000/koogate\""
            )],
        );
    }
    check_product(
        "fulfilment = 'http'\nurl = 'http://me:hunter2@a/'",
        &[
            "6: product[0].url: found an address with a user name or password in it, expected one without; koogate signs \
           its calls with secret",
        ],
    );
}

#[test]
fn templates_are_checked() {
    check_product(
        "fulfilment = 'fixed'\naccess = { front_end_url = 'app.example.com', user_name = '{user}', memo = '{', x = 1 }",
        &[
            "6: product[0].access.front_end_url: found \"app.example.com\", expected an address that starts with https:// \
             or http://, of at most 512 characters",
            "6: product[0].access.user_name: unknown placeholder {user}; there are {instanceId}, {orderId}, \
             {orderLineId} and {productId}",
            "6: product[0].access.memo: a single {; write {{ for the character itself",
            "6: product[0].access.x: unknown key; known here: front_end_url, admin_url, user_name, memo",
        ],
    );
}

#[test]
fn a_command_is_a_program_and_arguments() {
    for (command, program) in [("provision", "provision"), ("./p", "/etc/koogate/./p"), ("/opt/p", "/opt/p")] {
        let text = MINIMAL.replace("\"manual\"", &format!("'command'\ncommand = ['{command}', '', 'x y']"));
        let expected = Fulfilment::Command { program: program.into(), args: vec![String::new(), "x y".to_owned()] };
        assert_eq!(read(&text).unwrap().products[0].fulfilment, expected);
    }
    check_product(
        "fulfilment = 'command'\ncommand = ['', 'x']",
        &["6: product[0].command: found an empty one, expected a program as first element"],
    );
    check_product(
        "fulfilment = 'command'\ncommand = ['a', 1]",
        &["6: product[0].command: found 1, expected a text in quotes"],
    );
}

#[test]
fn the_first_matching_product_wins() {
    let entry = |id: &str, sku: &str, name: &str| {
        let (id, sku) = (format!("product_id = '{id}'\n"), format!("sku_code = '{sku}'\n"));
        let keep = |line: String| if line.contains("''") { String::new() } else { line };
        format!("[[product]]\n{}{}fulfilment = 'stock'\nstock = '{name}'\n", keep(id), keep(sku))
    };
    let keys = MINIMAL.split("[[product]]").next().unwrap();
    let entries = [entry("A", "1", "a1"), entry("A", "", "a"), entry("", "2", "any2"), entry("B", "", "b")].concat();
    let config = read(&format!("{keys}{entries}")).unwrap();
    for (product_id, sku_code, expected) in [
        (Some("A"), Some("1"), Some("a1")),
        (Some("A"), Some("2"), Some("a")),
        (Some("A"), None, Some("a")),
        (Some("B"), Some("2"), Some("any2")),
        (Some("B"), Some("1"), Some("b")),
        (Some("C"), Some("1"), None),
        (None, Some("2"), Some("any2")),
        (None, None, None),
    ] {
        let name =
            config.products.iter().find(|product| product.matches(Kind::Saas, product_id, sku_code)).map(|product| {
                match &product.fulfilment {
                    Fulfilment::Stock { name, .. } => name.as_str(),
                    other => panic!("{other:?}"),
                }
            });
        assert_eq!(name, expected, "{product_id:?} {sku_code:?}");
    }
}
