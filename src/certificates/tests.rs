//! The certificate over time, and its files as they change.

use std::os::unix::fs::PermissionsExt;

use data_encoding::BASE64_MIME;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A certificate for `name` from one day (year, month, day) to another, and its key, as PEM.
fn pair(name: &str, from: (i32, u8, u8), until: (i32, u8, u8)) -> [String; 2] {
    let pem = |label: &str, der: &[u8]| {
        let base64 = BASE64_MIME.encode(der);
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64.trim_end())
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    [pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der())]
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(pair: &[String; 2]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(0, &pair[0]);
        folder.write(1, &pair[1]);
        folder
    }

    fn files(&self) -> config::Tls {
        let path = |name| self.0.path().join(name);
        config::Tls { certificate: path("chain.pem"), private_key: path("key.pem") }
    }

    fn write(&self, index: usize, text: &str) {
        let config::Tls { certificate, private_key } = self.files();
        let path = [certificate, private_key][index].clone();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn it_is_told_when_the_certificate_ends_and_not_before_it_matters() {
    let of = |from, until| {
        let [certificate, key] = pair("shop.example.com", from, until);
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
    };
    let (quarter, short) = (of((2026, 1, 1), (2026, 4, 1)), of((2026, 1, 1), (2026, 2, 15)));
    for (identity, now, expected) in [
        (&quarter, "2025-12-31T23:59:59Z", Some((true, "is not valid before 2026-01-01T00:00:00Z"))),
        (&quarter, "2026-01-01T00:00:00Z", None),
        (&quarter, "2026-03-11T00:00:00Z", None),
        (&quarter, "2026-03-11T00:00:01Z", Some((false, "expires in 20 days, at 2026-04-01T00:00:00Z"))),
        (&quarter, "2026-04-01T00:00:00Z", Some((false, "expires in 0 days, at 2026-04-01T00:00:00Z"))),
        (&quarter, "2026-04-01T00:00:01Z", Some((true, "has expired: it was valid until 2026-04-01T00:00:00Z"))),
        // One that is renewed 15 days before its end.
        (&short, "2026-02-01T00:00:00Z", None),
        (&short, "2026-02-05T00:00:00Z", Some((false, "expires in 10 days, at 2026-02-15T00:00:00Z"))),
    ] {
        let remark = time_remark(identity, at(now)).map(|remark| (remark.is_grave, remark.text));
        let expected = expected.map(|(grave, text)| (grave, format!("the certificate for shop.example.com {text}")));
        assert_eq!(remark, expected, "{now}");
    }
}

#[test]
fn files_that_do_not_fit_leave_the_certificate_as_it_is_until_both_do() {
    let [one, two] = ["one.example", "two.example"].map(|name| pair(name, (2026, 1, 1), (2036, 1, 1)));
    let folder = Folder::new(&one);
    let now = at("2026-02-01T00:00:00Z");
    let keeper = Keeper::start(&folder.files(), now).unwrap();
    let shown = || keeper.tls().identity().names()[0].clone();
    folder.write(0, &two[0]);
    for _ in 0..3 {
        keeper.look(now);
        assert_eq!(shown(), "one.example");
    }
    let failure = keeper.state().failure.take().unwrap();
    assert!(failure.is_alerted, "by the second look");
    assert!(failure.text.ends_with("key.pem: the private key is not that of the certificate"), "{}", failure.text);
    folder.write(1, &two[1]);
    keeper.look(now);
    assert_eq!(shown(), "two.example");
    assert!(keeper.state().failure.is_none());
    fs::remove_file(folder.files().certificate).unwrap();
    keeper.look(now);
    assert_eq!(shown(), "two.example");
    let failure = keeper.state().failure.take().unwrap();
    assert!(!failure.is_alerted, "at the first look somebody may be at it");
}

#[test]
fn files_that_have_settled_are_not_read_again_before_they_change() {
    let folder = Folder::new(&pair("one.example", (2026, 1, 1), (2036, 1, 1)));
    let keeper = Keeper::start(&folder.files(), Timestamp::now()).unwrap();
    assert_eq!(keeper.state().read, None, "they were written a moment ago");
    let later = Timestamp::now() + SignedDuration::from_secs(60);
    keeper.look(later);
    assert_eq!(keeper.state().read, Stamp::of(&folder.files()));
    let before = keeper.state().read;
    folder.write(1, "");
    assert_ne!(Stamp::of(&folder.files()), before);
}

#[test]
fn reminders_come_once_a_day_and_start_over_with_a_new_certificate() {
    let folder = Folder::new(&pair("one.example", (2026, 1, 1), (2026, 4, 1)));
    let keeper = Keeper::start(&folder.files(), at("2026-02-01T00:00:00Z")).unwrap();
    let reminded = || keeper.state().reminded;
    assert_eq!(reminded(), None);
    let first = at("2026-03-12T00:00:00Z");
    keeper.look(first);
    keeper.look(first + SignedDuration::from_hours(23));
    assert_eq!(reminded(), Some(first));
    keeper.look(first + SignedDuration::from_hours(24));
    assert_eq!(reminded(), Some(first + SignedDuration::from_hours(24)));
    let [certificate, key] = pair("one.example", (2026, 3, 1), (2026, 6, 1));
    folder.write(0, &certificate);
    folder.write(1, &key);
    keeper.look(first + SignedDuration::from_hours(25));
    assert_eq!(reminded(), None);
}

#[test]
fn a_key_that_everybody_may_read_is_told_and_one_lent_to_the_group_is_not() {
    let folder = Folder::new(&pair("one.example", (2026, 1, 1), (2036, 1, 1)));
    for (mode, advice) in [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o660, true)] {
        fs::set_permissions(folder.files().private_key, fs::Permissions::from_mode(mode)).unwrap();
        let exposed = load(&folder.files()).unwrap().exposed;
        assert_eq!(exposed.is_some(), advice, "{mode:o} {exposed:?}");
        assert!(exposed.is_none_or(|text| text.contains("chmod 640")));
    }
}

#[test]
fn the_file_that_is_to_be_looked_at_is_named() {
    let folder = Folder::new(&pair("one.example", (2026, 1, 1), (2036, 1, 1)));
    let told = || load(&folder.files()).unwrap_err().to_string();
    folder.write(1, "");
    let path = folder.files().private_key;
    let expected = "there is no private key in it (PEM is expected, not encrypted)";
    assert_eq!(told(), format!("server.tls.private_key: {}: {expected}", path.display()));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(told(), format!("server.tls.private_key: {} cannot be read: it is not a regular file", path.display()));
    folder.write(0, &"x".repeat((1 << 20) + 1));
    assert!(told().starts_with("server.tls.certificate: ") && told().ends_with(" cannot be read: it is too long"));
}
