//! The way from outside: name, certificate, and what a proxy makes of a call.

use serde_json::Value;

use super::{all, on};
use crate::broken_proxy::{Proxy, Spoil};
use crate::harness::{KEY, Koogate, Scratch};
use crate::koogallery::KooGallery;
use crate::shop::FIXED;
use crate::supervisor::Reserved;
use crate::tls::peer::Authority;

/// A server behind a proxy, whose address is the production address.
struct Behind {
    scratch: Scratch,
    koogate: Koogate,
    proxy: Proxy,
    _koogallery: KooGallery,
    _reserved: Reserved,
}

impl Behind {
    fn new(spoil: Spoil) -> Self {
        let (scratch, reserved, koogallery) = (Scratch::new(FIXED), Reserved::new(), KooGallery::start());
        let proxy = Proxy::start(reserved.address, spoil);
        let server =
            format!("[server]\nlisten = \"{}\"\npublic_url = \"http://{}\"\n", reserved.address, proxy.address);
        scratch.configure(&[KEY], &(server + &koogallery.toml()), FIXED);
        Self { koogate: scratch.serve(), scratch, proxy, _koogallery: koogallery, _reserved: reserved }
    }

    fn way(&self) -> Vec<Value> {
        all(&self.scratch, &[])
    }
}

#[test]
fn what_a_proxy_spoils_on_the_way_is_told_and_what_it_leaves_alone_is_well() {
    let behind = Behind::new(Spoil::Nothing);
    let lines = behind.way();
    let found = on(&lines, "way");
    assert!(found.len() == 2 && found.iter().all(|(level, _)| *level == "ok"), "{lines:#?}");
    for (spoil, words) in [
        (Spoil::LowerCase, "the header Body-Sign arrives as body-sign"),
        (Spoil::Gzip, "the answer arrives compressed (gzip)"),
        (Spoil::Redirect, "the address redirects (301)"),
        (Spoil::BadGateway, "the address answers HTTP status 502, the server 200"),
        (Spoil::OtherBody, "the body arrives as other bytes"),
        (Spoil::OtherBlanks, "the query arrives written otherwise"),
        (Spoil::OtherAnswer, "the body of the answer is another"),
    ] {
        behind.proxy.spoil(spoil);
        let lines = behind.way();
        let found = on(&lines, "way");
        assert!(found.iter().any(|(level, text)| *level == "error" && text.contains(words)), "{spoil:?}: {found:?}");
    }
    // How it is framed is the proxy's own.
    behind.proxy.spoil(Spoil::Chunked);
    let lines = behind.way();
    assert!(on(&lines, "way").iter().all(|(level, _)| *level == "ok"), "{lines:#?}");
    // Nothing real came of all that.
    assert_eq!(behind.scratch.run_ok(&["instance", "list", "--json"]), "");
    let log = behind.koogate.stop();
    assert!(!log.contains("ALERT"), "{log}");
    let lines = all(&behind.scratch, &[]);
    assert!(
        on(&lines, "way").iter().all(|(level, text)| *level == "warning" && text.contains("does not answer")),
        "{lines:#?}"
    );
}

#[test]
fn an_admin_listener_that_the_proxy_passes_on_is_told() {
    let (scratch, reserved, koogallery) = (Scratch::new(FIXED), Reserved::new(), KooGallery::start());
    let (admin, proxy) = (Reserved::new(), Proxy::start(reserved.address, Spoil::Nothing));
    let configure = |proxy: &Proxy| {
        let sections = format!(
            "[server]\nlisten = \"{}\"\npublic_url = \"http://{}\"\n[admin]\nlisten = \"{}\"\ntoken = \"0123456789abcdef\"\n",
            reserved.address, proxy.address, admin.address
        );
        scratch.configure(&[KEY], &(sections + &koogallery.toml()), FIXED);
    };
    configure(&proxy);
    let koogate = scratch.serve();
    let told = |lines: &[Value]| on(lines, "way").iter().any(|(_, text)| text.contains("passes the admin listener on"));
    let lines = all(&scratch, &[]);
    assert!(!told(&lines), "{lines:#?}");
    let wrong = Proxy::start(admin.address, Spoil::Nothing);
    configure(&wrong);
    let lines = all(&scratch, &[]);
    assert!(told(&lines), "{lines:#?}");
    koogate.stop();
}

#[test]
fn an_address_that_leads_to_another_server_is_told() {
    let (one, other) = (Behind::new(Spoil::Nothing), Behind::new(Spoil::Nothing));
    let toml = std::fs::read_to_string(one.scratch.path("koogate.toml")).unwrap();
    let toml = toml.replace(&one.proxy.address.to_string(), &other.proxy.address.to_string());
    std::fs::write(one.scratch.path("koogate.toml"), toml).unwrap();
    let lines = one.way();
    assert!(on(&lines, "way").iter().any(|(_, text)| text.contains("has not arrived here")), "{lines:#?}");
}

#[test]
fn name_and_certificate_of_the_address_are_looked_at() {
    let (scratch, reserved, authority, koogallery) =
        (Scratch::new(FIXED), Reserved::new(), Authority::new(), KooGallery::start());
    let show = |pair: crate::tls::peer::Pair| {
        std::fs::write(scratch.path("fullchain.pem"), pair.certificate).unwrap();
        std::fs::write(scratch.path("privkey.pem"), pair.private_key).unwrap();
    };
    std::fs::write(scratch.path("ca.pem"), authority.pem()).unwrap();
    let configure = |host: &str| {
        let server = format!(
            "[server]\nlisten = \"{}\"\npublic_url = \"https://{host}:{}\"\n[server.tls]\n\
             certificate = \"fullchain.pem\"\nprivate_key = \"privkey.pem\"\n",
            reserved.address,
            reserved.address.port()
        );
        scratch.configure(&[KEY], &(server + &koogallery.toml()), FIXED);
    };
    let found = |args: &[&str], subject: &str| {
        let lines = all(&scratch, args);
        let found = on(&lines, subject).first().map(|(level, text)| format!("{level}: {text}"));
        found.unwrap_or_else(|| format!("{lines:#?}"))
    };
    let trusted: &[&str] = &["--ca", "ca.pem"];
    configure("localhost");
    show(authority.issue(&["shop.example.com"]));
    let koogate = scratch.serve();
    assert!(found(trusted, "public-tls").starts_with("ok: TLS 1.3, a chain of 2"), "{}", found(trusted, "public-tls"));
    assert!(found(trusted, "address").starts_with("ok: localhost is "), "{}", found(trusted, "address"));
    assert!(found(trusted, "way").starts_with("ok: "), "{}", found(trusted, "way"));
    // Of a CA that nobody else knows.
    assert!(
        found(&[], "public-tls").starts_with("error: the certificate is not accepted"),
        "{}",
        found(&[], "public-tls")
    );
    configure("no-such-host.invalid");
    assert!(
        found(trusted, "address").starts_with("error: no-such-host.invalid has no address"),
        "{}",
        found(trusted, "address")
    );
    koogate.stop();
    // The name is another, or its time is over.
    configure("127.0.0.2");
    let koogate = scratch.serve();
    let listening_elsewhere = found(trusted, "public-tls");
    assert!(listening_elsewhere.starts_with("error: "), "{listening_elsewhere}");
    koogate.stop();
    configure("localhost");
    show(authority.issue_until(&["shop.example.com"], (2021, 1, 1)));
    let koogate = scratch.serve();
    let expired = found(trusted, "public-tls");
    assert!(expired.contains("the certificate has expired at 2021-01-01"), "{expired}");
    koogate.stop();
}

#[test]
fn without_an_address_in_the_configuration_it_is_asked_for() {
    let (scratch, koogallery) = (Scratch::new(FIXED), KooGallery::start());
    scratch.configure(&[KEY], &koogallery.toml(), FIXED);
    let lines = all(&scratch, &[]);
    let found = on(&lines, "address");
    assert!(matches!(found[..], [("warning", text)] if text.contains("server.public_url")), "{lines:#?}");
}
