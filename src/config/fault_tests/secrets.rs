//! Faults of secrets, wherever they come from; none of them shows a value.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// As [`check`], for a configuration with these keys and nothing else wrong; they are line 2 and following.
#[track_caller]
fn check_keys(keys: &str, expected: &[&str]) {
    check(&format!("[keys]\n{keys}\n[[product]]\nfulfilment = \"manual\"\n"), expected);
}

#[test]
fn a_key_left_as_the_placeholder_is_refused_with_where_to_find_it() {
    let hex = "sealing_key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'";
    for placeholder in ["CHANGE-ME", "…", ""] {
        check_keys(
            &format!("basic = '{placeholder}'\n{hex}"),
            &["2: keys.basic: still the placeholder; paste the access key of the basic interface (基础接口) from the \
               seller console: 应用工具 > 密钥管理"],
        );
    }
}

#[test]
fn bad_secrets_are_told_without_their_value() {
    check_keys(
        "basic = ['abc defgh', 'abcdefg', 'abcdefgh']\nsealing_key = 'xyz'",
        &[
            "2: keys.basic[0]: it has blanks, control characters or characters outside ASCII; expected 8 to 256 visible \
             ASCII characters (the value is not shown)",
            "2: keys.basic[1]: it has 7 characters; expected 8 to 256 visible ASCII characters (the value is not shown)",
            "3: keys.sealing_key: it has 3 characters; expected 32 bytes as 64 hex digits (the value is not shown)",
        ],
    );
}

#[test]
fn a_secret_has_exactly_one_source() {
    let hex = "sealing_key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'";
    let forms = "expected 8 to 256 visible ASCII characters in quotes, { file = \"…\" } or { env = \"NAME\" }";
    for (value, found) in [
        ("{}", "a table with 0 keys"),
        ("{ file = 'a', env = 'B' }", "a table with 2 keys"),
        ("{ path = 'a' }", "a table with the key \"path\""),
        ("{ file = '' }", "an empty name"),
        ("{ env = 7 }", "7"),
        ("{ env = 'A=B' }", "a text that cannot be the name of an environment variable"),
        (
            "{ env = 'de305d54-75b4-431b-adb2-eb6b9e546014' }",
            "a text that cannot be the name of an environment variable",
        ),
        ("[]", "an empty list"),
        ("123456789", "a number"),
    ] {
        check_keys(&format!("basic = {value}\n{hex}"), &[&format!("2: keys.basic: found {found}, {forms}")]);
    }
}

#[test]
fn a_secret_comes_from_a_variable_or_is_told_to_be_missing() {
    let config = read(&MINIMAL.replace("\"de305d54-75b4-431b-adb2-eb6b9e546014\"", "{ env = 'KOOGATE_TEST_KEY' }"));
    assert_eq!(config.unwrap().keys.basic[0].expose(), "from-the-environment");
    check(
        &MINIMAL.replace("\"de305d54-75b4-431b-adb2-eb6b9e546014\"", "{ env = 'KOOGATE_UNSET' }"),
        &["2: keys.basic: the environment variable KOOGATE_UNSET is not set"],
    );
}

#[test]
fn a_secret_comes_from_a_file_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let text = MINIMAL.replace("\"de305d54-75b4-431b-adb2-eb6b9e546014\"", "{ file = 'basic.key' }");
    let file = folder.path().join("basic.key");
    let shown = file.display();

    let missing = read_in(folder.path(), &text).unwrap_err().to_string();
    let expected = format!("2: keys.basic: the file {shown} cannot be read: No such file or directory (os error 2)");
    assert_eq!(lines(&missing), [expected]);

    fs::write(&file, "key-from-a-file\r\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let config = read_in(folder.path(), &text).unwrap();
    assert_eq!(config.keys.basic[0].expose(), "key-from-a-file");
    assert_eq!(config.warnings, []);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = read_in(folder.path(), &text).unwrap().warnings;
    let expected =
        format!("koogate.toml:2: keys.basic: {shown} is open to other users (mode 0644); run chmod 600 on it");
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);

    for (content, reason) in [(&[0xff][..], "it is not UTF-8 text"), (&[b'k'; (64 << 10) + 1][..], "it is too long")] {
        fs::write(&file, content).unwrap();
        let message = read_in(folder.path(), &text).unwrap_err().to_string();
        assert_eq!(lines(&message), [format!("2: keys.basic: the file {shown} does not hold one secret: {reason}")]);
    }

    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let message = read_in(folder.path(), &text).unwrap_err().to_string();
    assert!(message.ends_with("does not hold one secret: it is not a regular file"), "{message}");
}

#[test]
fn what_everybody_can_change_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("shop.toml"), folder.path().join("basic.key"));
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let message = || Config::load(&path).unwrap_err().to_string();
    fs::write(&path, MINIMAL.replace("\"de305d54-75b4-431b-adb2-eb6b9e546014\"", "{ file = 'basic.key' }")).unwrap();
    fs::write(&key, "key-from-a-file").unwrap();
    for mode in [0o602, 0o666, 0o777] {
        set(&path, mode);
        assert!(message().contains(&format!("can be changed by every user of this machine (mode {mode:04o})")));
        set(&path, 0o600);
        set(&key, mode);
        let told = message();
        assert!(told.contains("2: keys.basic: the file") && told.contains("can be changed by every user"), "{told}");
        set(&key, 0o444);
        assert_eq!(Config::load(&path).unwrap().warnings.len(), 1, "what others can only read is warned of");
    }
}

#[test]
fn a_file_that_holds_secrets_should_not_be_open_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.toml");
    fs::write(&path, MINIMAL).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let config = Config::load(&path).unwrap();
    let file = path.display();
    assert_eq!(
        config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("{file}: it holds secrets and is open to other users (mode 0604); run chmod 600 on it")]
    );
    assert_eq!(config.database.path, folder.path().join("koogate.db"));
}

#[test]
fn what_is_sold_decides_which_access_keys_there_must_be() {
    let hex = "sealing_key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'";
    let outcome = |keys: &str, kinds: &[&str]| {
        let entry = |kind: &&str| format!("[[product]]\nkind = '{kind}'\nfulfilment = 'manual'\n");
        let text = format!("[keys]\n{keys}\n{hex}\n{}", kinds.iter().map(entry).collect::<String>());
        match read(&text) {
            Ok(config) => {
                let warnings = config.warnings.iter().filter(|warning| warning.key != "open_api");
                warnings.map(|warning| format!("warning: {}", warning.key)).collect::<Vec<_>>()
            }
            Err(errors) => errors.errors.iter().map(|error| error.key.clone()).collect(),
        }
    };
    let (basic, license) = ("basic = 'basic-key-1'", "license = 'license-key-1'");
    let both = format!("{basic}\n{license}");
    let none: [&str; 0] = [];
    assert_eq!(outcome(basic, &["saas"]), none);
    assert_eq!(outcome(license, &["saas"]), ["keys.basic"]);
    assert_eq!(outcome(license, &["license-code"]), none);
    assert_eq!(outcome(basic, &["license-code"]), ["keys.license"]);
    for kind in ["license", "license-online"] {
        assert_eq!(outcome(basic, &[kind]), none, "{kind}");
        assert_eq!(outcome(license, &[kind]), none, "{kind}");
        assert_eq!(outcome("", &[kind]), ["keys.license"], "{kind}");
    }
    assert_eq!(outcome(basic, &["saas", "license"]), none);
    assert_eq!(outcome(&both, &["saas", "license-online"]), none);
    assert_eq!(outcome(basic, &["saas", "license-online"]), ["keys.license"]);
    let same = format!("{basic}\nlicense = 'basic-key-1'");
    assert_eq!(outcome(&same, &["saas", "license-online"]), ["warning: keys.license"]);
    assert_eq!(outcome(&same, &["saas", "license-code"]), none);
}
