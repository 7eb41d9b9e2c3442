//! Faults of `[open_api]`.

use super::*;

#[test]
fn calls_to_koogallery_need_both_halves_of_the_access_key() {
    check_added(
        "[open_api]\n",
        &[
            "6: open_api.access_key_id: missing; expected the AK of your Huawei Cloud account: 我的凭证 > 访问密钥",
            "6: open_api.secret_access_key: missing; expected 16 to 256 visible ASCII characters in quotes, \
             { file = \"…\" } or { env = \"NAME\" }; it is the SK of your Huawei Cloud account: 我的凭证 > 访问密钥; it is \
             shown once, when it is made",
        ],
    );
}

#[test]
fn an_endpoint_is_a_host_and_plain_http_stays_on_this_machine() {
    let expected = "expected https:// (on this machine also http://), a host and perhaps a port, nothing behind";
    for endpoint in ["http://mkt.myhuaweicloud.com", "https://host/path", "https://user@host", "host:9000", ""] {
        let text = format!(
            "[open_api]\naccess_key_id = 'AK'\nsecret_access_key = '0123456789abcdef'\nendpoint = '{endpoint}'\n"
        );
        check_added(&text, &[&format!("9: open_api.endpoint: found {endpoint:?}, {expected}")]);
    }
    let good =
        "[open_api]\naccess_key_id = 'AK'\nsecret_access_key = '0123456789abcdef'\nendpoint = 'http://[::1]:9/'\n";
    let config = read(&format!("{MINIMAL}{good}")).unwrap();
    assert_eq!(config.open_api.unwrap().endpoint, Endpoint::Other("http://[::1]:9".to_owned()));
}

#[test]
fn a_secret_access_key_is_never_shown() {
    check_added(
        "[open_api]\naccess_key_id = ' AK'\nsecret_access_key = 'too-short'\nusage_batch_size = 1001\n",
        &[
            "7: open_api.access_key_id: found \" AK\", expected a text of 1 to 128 characters, without blanks around it",
            "8: open_api.secret_access_key: it has 9 characters; expected 16 to 256 visible ASCII characters (the value is \
             not shown)",
            "9: open_api.usage_batch_size: found 1001, expected a whole number from 1 to 1000",
        ],
    );
}

#[test]
fn online_licences_without_calls_to_koogallery_are_warned_of() {
    let calls = "[open_api]\naccess_key_id = 'AK'\nsecret_access_key = '0123456789abcdef'\n";
    let warned = |kind: &str, calls: &str| {
        let license = format!("[keys]\nlicense = '{kind}-key-0001'\n");
        let text =
            MINIMAL.replace("[keys]\n", &license).replace("[[product]]\n", &format!("[[product]]\nkind = '{kind}'\n"));
        let config = read(&format!("{text}{calls}")).unwrap();
        config.warnings.iter().filter(|warning| warning.key == "open_api").count()
    };
    let counts = [warned("saas", ""), warned("license-online", ""), warned("license-online", calls)];
    assert_eq!(counts, [0, 1, 0]);
}
