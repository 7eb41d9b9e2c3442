//! Faults of `[login]`.

use super::*;

const ADDRESS: &str = "expected an address with https:// (on this machine also http://), without user name, of at most \
                       1024 characters";

#[test]
fn a_login_needs_an_app_an_address_and_a_secret() {
    check_added(
        "[login]\n",
        &[
            "6: login.app_id: missing; expected the app id of the credential: 应用工具 > 应用凭证管理",
            "6: login.application_url: missing; expected where your application takes users over",
            "6: login.secret: missing; expected 32 to 256 visible ASCII characters in quotes, { file = \"…\" } or \
             { env = \"NAME\" }; `openssl rand -hex 32` writes one; your application needs it too",
        ],
    );
}

#[test]
fn tokens_go_over_https_or_stay_on_this_machine_and_secrets_are_long() {
    check_added(
        "[login]\napp_id = 'A'\napplication_url = 'http://app.example.com/sso'\ncallback_url = 'https://a/#x'\n\
         login_page = '//a/{appId}'\nsecret = 'too-short-for-a-hash-of-32-byte'\ntoken_lifetime = '1h'\n\
         session_lifetime = '1s'\n",
        &[
            &format!("8: login.application_url: found \"http://app.example.com/sso\", {ADDRESS}"),
            &format!("9: login.callback_url: found \"https://a/#x\", {ADDRESS}"),
            &format!("10: login.login_page: found \"//a/{{appId}}\", {ADDRESS}"),
            "11: login.secret: it has 31 characters; expected 32 to 256 visible ASCII characters (the value is not shown)",
            "12: login.token_lifetime: found \"1h\", expected a duration from \"5s\" to \"10m\" (units ms, s, m, h, d)",
            "13: login.session_lifetime: found \"1s\", expected a duration from \"1m\" to \"365d\" (units ms, s, m, h, d)",
        ],
    );
}

#[test]
fn the_login_page_names_the_app_in_the_form_of_an_address() {
    let text = format!(
        "{MINIMAL}[login]\napp_id = 'A 1&'\napplication_url = 'http://127.0.0.1:3000/sso'\nsecret = '{}'\n",
        "s".repeat(32)
    );
    assert_eq!(
        read(&text).unwrap().login.unwrap().filled_login_page(),
        "https://macroverse.huaweicloud.com/unified-login/#/portal-login?ind=UNOP&appId=A%201%26"
    );
}

#[test]
fn a_login_without_the_kits_calls_is_a_warning() {
    let login = format!(
        "[login]\napp_id = 'A'\napplication_url = 'http://127.0.0.1:3000/sso'\nsecret = '{}'\n",
        "s".repeat(32)
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kit.pem"), "the private key").unwrap();
    let warnings = |text: &str| {
        let config = read_in(folder.path(), text).unwrap();
        config.warnings.iter().map(ToString::to_string).filter(|warning| warning.contains("login")).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(&format!("{MINIMAL}{login}")),
        [
            "koogate.toml:6: login: users are refused until KooGallery has said their tenant, with calls under keys.kit: it \
             is missing"
        ]
    );
    let with_kit =
        MINIMAL.replace("[[product]]", "kit = \"0123456789abcdef\"\nkit_private_keys = [\"kit.pem\"]\n[[product]]");
    assert_eq!(warnings(&format!("{with_kit}{login}")), [] as [&str; 0]);
}
