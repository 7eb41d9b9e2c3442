//! What is wrong with a configuration, and what the user is told: input on the left, the complete message on the right.

mod login;
mod open_api;
mod products;
mod secrets;

use super::*;

/// The shortest configuration that works. Tests add to it or take from it.
const MINIMAL: &str = "\
[keys]
basic = \"de305d54-75b4-431b-adb2-eb6b9e546014\"
sealing_key = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"
[[product]]
fulfilment = \"manual\"
";

fn read_in(base_dir: &Path, text: &str) -> Result<Config, ConfigErrors> {
    let environment = |name: &str| (name == "KOOGATE_TEST_KEY").then(|| "from-the-environment".into());
    let surroundings = Surroundings { file: "koogate.toml".to_owned(), base_dir: base_dir.to_owned(), environment };
    Config::read(text, &surroundings).map(|(config, _)| config)
}

fn read(text: &str) -> Result<Config, ConfigErrors> {
    read_in(Path::new("/etc/koogate"), text)
}

fn lines(message: &str) -> Vec<&str> {
    message.lines().map(|line| line.strip_prefix("koogate.toml:").unwrap_or(line)).collect()
}

/// Checks the complete list of errors, one a line, without the file name in front.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let message = read(text).expect_err("accepted").to_string();
    assert_eq!(lines(&message), expected, "\n{message}");
}

/// As [`check`], with lines added to the minimal configuration: they begin at line 6, within its product.
#[track_caller]
fn check_added(text: &str, expected: &[&str]) {
    check(&format!("{MINIMAL}{text}"), expected);
}

#[test]
fn the_minimal_configuration_is_accepted_without_warnings() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.server, Server::default());
    assert_eq!(config.products.len(), 1);
}

#[test]
fn an_empty_file_lacks_the_keys_and_a_product() {
    check(
        "",
        &[
            " keys.basic: missing; expected 8 to 256 visible ASCII characters in quotes, { file = \"…\" } or \
             { env = \"NAME\" }; paste the access key of the basic interface (基础接口) from the seller console: \
             应用工具 > 密钥管理",
            " keys.sealing_key: missing; expected 32 bytes as 64 hex digits in quotes, { file = \"…\" } or \
             { env = \"NAME\" }; `koogate init` writes one",
            " product: missing; expected at least one [[product]]",
        ],
    );
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    check_added(
        "prodct_id = 'x'\n[server]\nanwser_within = '4s'\n[server.acme]\n[sever]\n[access]\n\"a\\nb: c\" = 1\n",
        &[
            "6: product[0].prodct_id: unknown key; did you mean product_id?",
            "8: server.anwser_within: unknown key; did you mean answer_within?",
            "9: server.acme: unknown key; known here: listen, public_url, base_path, answer_within, max_connections, \
             max_body, tls",
            "10: sever: unknown key; did you mean server?",
            "11: access: unknown key; known here: server, database, product, keys, signature, lifecycle, jobs, admin, \
             login, open_api, alerts",
        ],
    );
}

#[test]
fn a_key_cannot_fake_a_message() {
    check_added(
        "[server]\n\"x\\nkoogate.toml:1: y\" = 1\n",
        &["7: server.\"x\\nkoogate.toml:1: y\": unknown key; known here: listen, public_url, base_path, \
           answer_within, max_connections, max_body, tls"],
    );
}

#[test]
fn a_production_address_is_one_that_koogallery_can_call() {
    let expected = "expected the production address, such as \"https://shop.example.com/saasproduce\": https:// (on this \
                    machine also http://), without user name and query";
    for wrong in
        ["shop.example.com", "http://shop.example.com", "https://a:b@shop.example.com", "https://a.example/?b=c"]
    {
        check_added(
            &format!("[server]\npublic_url = '{wrong}'\n"),
            &[&format!("7: server.public_url: found \"{wrong}\", {expected}")],
        );
    }
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    check(
        "[server]\nlisten = 'localhost'\nmax_body = '1KiB'\n[keys]\nbasic = 7\n[[product]]\n[[product]]\nfulfilment = 1\n",
        &[
            "2: server.listen: found \"localhost\", expected an IP address and port such as \"127.0.0.1:8080\"",
            "3: server.max_body: found \"1KiB\", expected a size from \"64KiB\" to \"64MiB\" (units B, KiB, MiB, GiB)",
            "4: keys.sealing_key: missing; expected 32 bytes as 64 hex digits in quotes, { file = \"…\" } or \
             { env = \"NAME\" }; `koogate init` writes one",
            "5: keys.basic: found a number, expected 8 to 256 visible ASCII characters in quotes, { file = \"…\" } or \
             { env = \"NAME\" }",
            "6: product[0].fulfilment: missing; expected \"http\", \"command\", \"stock\", \"fixed\" or \"manual\"",
            "8: product[1].fulfilment: found 1, expected \"http\", \"command\", \"stock\", \"fixed\" or \"manual\"",
        ],
    );
}

#[test]
fn syntax_errors_are_told_without_the_text_around_them() {
    check("[keys]\nbasic = \"hunter2hunter2\n", &["2: not valid TOML: invalid basic string, expected `\"`"]);
    check("server.listen = 1\nserver.listen = 2\n", &["2: not valid TOML: duplicate key"]);
}

#[test]
fn values_outside_their_range_are_told_with_the_range() {
    let duration =
        |from: &str, to: &str| format!("expected a duration from \"{from}\" to \"{to}\" (units ms, s, m, h, d)");
    let whole = |from: u32, to: u32| format!("expected a whole number from {from} to {to}");
    for (section, key, value, expected) in [
        ("server", "answer_within", "\"99ms\"", duration("100ms", "15s")),
        ("server", "answer_within", "\"16s\"", duration("100ms", "15s")),
        ("server", "answer_within", "4", duration("100ms", "15s")),
        ("server", "max_connections", "7", whole(8, 10_000)),
        ("server", "max_connections", "10001", whole(8, 10_000)),
        ("server", "max_connections", "-9223372036854775808", whole(8, 10_000)),
        ("server", "max_connections", "99999999999999999999", whole(8, 10_000)),
        ("database", "keep_exchanges", "\"23h\"", duration("1d", "36500d")),
        ("database", "snapshot_every", "\"0s\"", duration("1s", "1d")),
        ("database", "commit_batch", "0", whole(1, 4096)),
        ("signature", "timestamp_window", "\"2h\"", duration("1s", "1h")),
        ("signature", "reject_future_timestamps", "1", "expected true or false".to_owned()),
        ("signature", "payload_candidates", "\"raw\"", "expected a list with at least one element in [ ]".to_owned()),
        ("lifecycle", "refresh_unfreezes", "\"sometimes\"", "expected \"always\" or \"never\"".to_owned()),
        (
            "lifecycle",
            "change_check_refusal_code",
            "\"000000\"",
            "expected six digits in quotes, not \"000000\"".to_owned(),
        ),
        ("lifecycle", "change_check_refusal_code", "5", "expected six digits in quotes, not \"000000\"".to_owned()),
        ("jobs", "workers", "257", whole(1, 256)),
    ] {
        let value_shown = value.replace("[]", "an empty list");
        check_added(
            &format!("[{section}]\n{key} = {value}\n"),
            &[&format!("7: {section}.{key}: found {value_shown}, {expected}")],
        );
    }
}

#[test]
fn candidates_must_be_known_and_must_not_repeat() {
    check_added(
        "[signature]\npayload_candidates = ['raw', 'cooked']\n",
        &["7: signature.payload_candidates: found \"cooked\", expected \"raw\", \"sorted\" or \"sorted-with-nulls\""],
    );
    check_added(
        "[signature]\npayload_candidates = ['raw', 'raw']\n",
        &["7: signature.payload_candidates: found a repeated element, expected each element once"],
    );
}

#[test]
fn the_slowest_retry_is_not_faster_than_the_first() {
    check_added(
        "[jobs]\nfirst_retry = '1m'\nslowest_retry = '30s'\n",
        &["8: jobs.slowest_retry: \"30s\" is shorter than first_retry (\"1m\")"],
    );
}

#[test]
fn the_base_path_is_a_plain_absolute_path() {
    let expected = "expected a path such as \"/saasproduce\": a slash first, none at the end, no query, not /healthz";
    for path in ["", "/", "saas", "/saas/", "/saas?x=1", "/saas#x", "/a b", "/a//b", "/../a", "/云", "/%2e", "/healthz"]
    {
        check_added(
            &format!("[server]\nbase_path = '{path}'\n"),
            &[&format!("7: server.base_path: found {path:?}, {expected}")],
        );
    }
    for path in ["/saasproduce", "/a/b-c_d.e~f"] {
        assert_eq!(read(&format!("{MINIMAL}[server]\nbase_path = '{path}'\n")).unwrap().server.base_path, path);
    }
}

#[test]
fn the_admin_listener_stays_at_home_unless_allowed_out() {
    let token = "token = '0123456789abcdef'";
    check_added(
        &format!("[admin]\nlisten = '0.0.0.0:8444'\n{token}\n"),
        &["7: admin.listen: found \"0.0.0.0:8444\", expected a loopback address such as \"127.0.0.1:8444\" \
           (or allow_remote = true)"],
    );
    let config = read(&format!("{MINIMAL}[admin]\nlisten = '0.0.0.0:8444'\nallow_remote = true\n{token}\n")).unwrap();
    assert_eq!(config.admin.unwrap().listen.to_string(), "0.0.0.0:8444");
    check_added(
        &format!("[admin]\nlisten = '127.0.0.1:8080'\n{token}\n"),
        &["6: admin: listens where [server] listens; give it another port"],
    );
    check_added(
        "[admin]\ntoken = 'short'\n",
        &["7: admin.token: it has 5 characters; expected 16 to 256 visible ASCII characters (the value is not shown)"],
    );
}

#[test]
fn names_of_the_status_page_are_hosts_without_scheme_and_port() {
    let token = "token = '0123456789abcdef'";
    for wrong in ["['https://a.example']", "['a.example:443']", "['']", "['*']", "['a.example.']", "[7]", "'a.example'"]
    {
        let config = format!("{MINIMAL}[admin]\nhost_names = {wrong}\n{token}\n");
        assert!(read(&config).unwrap_err().to_string().contains("admin.host_names"), "{wrong}");
    }
    let config = read(&format!("{MINIMAL}[admin]\nhost_names = ['A.example', 'b']\n{token}\n")).unwrap();
    assert_eq!(config.admin.unwrap().host_names, ["a.example", "b"]);
}

#[test]
fn a_table_is_no_list_and_a_list_no_table() {
    check(
        &MINIMAL.replace("[[product]]", "[product]"),
        &["4: product: found a table, expected one or more tables: [[product]]"],
    );
    check_added("[[server]]\n", &["6: server: found a list, expected a table: [server]"]);
}

#[test]
fn what_works_but_should_be_known_is_a_warning() {
    let text = format!(
        "{MINIMAL}[[product]]\nproduct_id = 'A'\nfulfilment = 'http'\nurl = 'http://127.0.0.1/'\n\
         [server]\nlisten = '0.0.0.0:8443'\n"
    );
    let text = text.replace("basic = \"", "basic = [\"abcdefgh\", \"abcdefgh\", \"").replace("014\"", "014\"]");
    let warnings: Vec<_> = read(&text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "koogate.toml:2: keys.basic: the same key stands here twice",
            "koogate.toml:6: product[1].secret: calls to the application are not signed: it cannot tell koogate from \
             others",
            "koogate.toml:6: product[1]: never used: product[0] stands before it and matches everything it matches",
            "koogate.toml:11: server.listen: this address is reachable from outside and speaks plain HTTP; KooGallery \
             requires HTTPS, so configure [server.tls], or let a reverse proxy terminate TLS in front of it",
        ]
    );
}

#[test]
fn https_needs_both_files_and_may_be_reached_from_outside() {
    check_added(
        "[server.tls]\nprivate_key = ''\nkey = 'x'\n",
        &[
            "6: server.tls.certificate: missing; expected the path of the certificate with its chain, PEM: fullchain.pem",
            "7: server.tls.private_key: found \"\", expected a path in quotes",
            "8: server.tls.key: unknown key; known here: certificate, private_key",
        ],
    );
    let text = format!(
        "{MINIMAL}[server]\nlisten = '0.0.0.0:443'\ntls = {{ certificate = 'tls/chain.pem', private_key = '/key.pem' }}\n"
    );
    let config = read(&text).unwrap();
    assert_eq!(config.warnings, []);
    let (certificate, private_key) = ("/etc/koogate/tls/chain.pem".into(), "/key.pem".into());
    assert_eq!(config.server.tls, Some(Tls { certificate, private_key }));
}

#[test]
fn entries_that_no_v2_purchase_can_match_are_a_warning() {
    let text = MINIMAL.replace("fulfilment", "product_id = 'A'\nfulfilment");
    let warnings: Vec<_> = read(&text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "koogate.toml: product: no entry of kind \"saas\" is without product_id and sku_code: a V2 purchase names no product, so it would \
          match nothing and be answered 000005"
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() {
    let message = Config::load(Path::new("/nonexistent/koogate.toml")).unwrap_err().to_string();
    assert_eq!(message, "/nonexistent/koogate.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn webhooks_of_alerts_are_told_what_is_wrong_with_them() {
    let address = "it does not start with https:// (or, within your own network, http://)";
    check_added(
        "[alerts]\n[[alerts.webhooks]]\nkind = 'wecom'\nurl = 'qyapi.weixin.qq.com/robot'\nsecret = 'SEC0123456789'\n\
         [[alerts.webhooks]]\nkind = 'slack'\nurl = 'https://a.example.com/robot'\n",
        &[
            &format!(
                "9: alerts.webhooks[0].url: {address}; expected an address with https://, as the robot's settings show it \
                 (the value is not shown)"
            ),
            "10: alerts.webhooks[0].secret: robots of WeCom know none: take it out",
            "12: alerts.webhooks[1].kind: found \"slack\", expected \"wecom\", \"dingtalk\", \"feishu\" or \"generic\"",
        ],
    );
}
