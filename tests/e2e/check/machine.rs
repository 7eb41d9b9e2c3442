//! What is looked at on this machine, and whom koogate calls for its work.

use std::os::unix::fs::PermissionsExt;

use super::{all, on};
use crate::broken_proxy::{Proxy, Spoil};
use crate::harness::{Application, ClosedDoor, KEY, Scratch};
use crate::koogallery::KooGallery;
use crate::shop::FIXED;

/// A folder with these products, whose database is there.
fn scratch(koogallery: &KooGallery, sections: &str, products: &str) -> Scratch {
    let scratch = Scratch::new(products);
    scratch.configure(&[KEY], &(koogallery.toml() + sections), products);
    scratch.serve().stop();
    scratch
}

/// The one finding on a subject has this level and these words.
#[track_caller]
fn check(scratch: &Scratch, subject: &str, level: &str, words: &str) {
    let lines = all(scratch, &[]);
    let found = on(&lines, subject);
    assert!(matches!(found[..], [(at, text)] if at == level && text.contains(words)), "{subject}: {found:?}");
}

#[test]
fn an_application_that_is_away_is_told_and_one_that_is_there_gets_no_event() {
    let (koogallery, application, closed) = (KooGallery::start(), Application::ready(), ClosedDoor::new());
    let there = scratch(&koogallery, "", &application.product(""));
    check(&there, "hook", "ok", "answers");
    let got = application.deliveries();
    assert!(got.iter().all(|delivery| delivery.body.is_empty()), "{got:#?}");
    let signed = got.iter().flat_map(|delivery| &delivery.headers).any(|(name, _)| name.starts_with("webhook-"));
    assert!(!signed, "{got:#?}");
    there.configure(&[KEY], &koogallery.toml(), &closed.product(""));
    check(&there, "hook", "error", "no connection");
    for (spoil, words) in [(Spoil::BadGateway, "answers 502"), (Spoil::NotFound, "answered 404")] {
        let proxy = Proxy::start(closed.address(), spoil);
        let url = format!("http://{}/koogate", proxy.address);
        let product = format!("[[product]]\nfulfilment = \"http\"\nurl = \"{url}\"\n");
        there.configure(&[KEY], &koogallery.toml(), &product);
        check(&there, "hook", "warning", words);
    }
}

#[test]
fn a_login_whose_pages_are_away_is_told() {
    let (koogallery, closed) = (KooGallery::start(), ClosedDoor::new());
    let page = Proxy::start(closed.address(), Spoil::NotFound);
    let login = |application: std::net::SocketAddr| {
        format!(
            "[login]\napp_id = \"A\"\napplication_url = \"http://{application}/sso\"\nsecret = \"{}\"\n\
             login_page = \"http://{}/#/login?appId={{appId}}\"\n",
            "0123456789abcdef".repeat(2),
            page.address
        )
    };
    let scratch = scratch(&koogallery, "", FIXED);
    scratch.configure(&[KEY], &(koogallery.toml() + &login(closed.address())), FIXED);
    let lines = all(&scratch, &[]);
    let found = on(&lines, "login");
    assert!(matches!(found[..], [("error", _), ("warning", text)] if text.contains("404")), "{found:?}");
    let application = closed.open(|_| (200, String::new()));
    let lines = all(&scratch, &[]);
    assert!(matches!(on(&lines, "login")[..], [("ok", _), ("warning", _)]), "{lines:#?}");
    drop(application);
}

#[test]
fn offline_nobody_is_called() {
    let (koogallery, application) = (KooGallery::start(), Application::ready());
    let scratch = scratch(&koogallery, "", &application.product(""));
    let (calls, deliveries) = (koogallery.calls().len(), application.deliveries().len());
    let lines = all(&scratch, &["--offline"]);
    for subject in ["hook", "koogallery", "address", "way", "public-tls"] {
        assert!(on(&lines, subject).is_empty(), "{subject}: {lines:#?}");
    }
    assert!(!on(&lines, "database").is_empty() && !on(&lines, "disk").is_empty());
    assert_eq!((koogallery.calls().len(), application.deliveries().len()), (calls, deliveries));
}

#[test]
fn a_program_that_cannot_be_started_is_told() {
    let koogallery = KooGallery::start();
    let product = |program: &str| format!("[[product]]\nfulfilment = \"command\"\ncommand = [\"{program}\"]\n");
    let scratch = scratch(&koogallery, "", &product("true"));
    check(&scratch, "command", "ok", "can be started");
    for (program, words) in [("./is-not-there", "is not there"), ("is-nowhere-in-the-path", "is not there")] {
        scratch.configure(&[KEY], &koogallery.toml(), &product(program));
        check(&scratch, "command", "error", words);
    }
    std::fs::write(scratch.path("provision"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(scratch.path("provision"), std::fs::Permissions::from_mode(0o644)).unwrap();
    scratch.configure(&[KEY], &koogallery.toml(), &product("./provision"));
    check(&scratch, "command", "error", "cannot start it");
}

#[test]
fn a_stock_that_runs_out_is_told_before_it_has() {
    let koogallery = KooGallery::start();
    let products = "[[product]]\nfulfilment = \"stock\"\nstock = \"accounts\"\nlow_stock = 2\n";
    let scratch = scratch(&koogallery, "", products);
    check(&scratch, "stock", "error", "is empty");
    let import = |from: usize, to: usize| {
        let rows: String = (from..to).map(|row| format!("user-{row},secret,https://app.example.com\n")).collect();
        std::fs::write(scratch.path("stock.csv"), format!("user_name,password,front_end_url\n{rows}")).unwrap();
        scratch.run_ok(&["stock", "import", "accounts", "stock.csv"]);
    };
    import(0, 2);
    check(&scratch, "stock", "warning", "2 are left");
    import(2, 4);
    check(&scratch, "stock", "ok", "4 are left");
}

#[test]
fn an_admin_listener_for_everybody_is_told() {
    let koogallery = KooGallery::start();
    let admin = |listen: &str, more: &str| {
        format!("{}[admin]\nlisten = \"{listen}\"\n{more}token = \"0123456789abcdef\"\n", koogallery.toml())
    };
    let scratch = scratch(&koogallery, "", FIXED);
    scratch.configure(&[KEY], &admin("127.0.0.1:8444", ""), FIXED);
    check(&scratch, "admin", "ok", "from this machine only");
    scratch.configure(&[KEY], &admin("0.0.0.0:8444", "allow_remote = true\n"), FIXED);
    check(&scratch, "admin", "warning", "by other machines");
}

#[test]
fn the_running_server_is_found_and_one_that_does_not_run_is_told() {
    let koogallery = KooGallery::start();
    let scratch = scratch(&koogallery, "", FIXED);
    check(&scratch, "server", "warning", "no server runs");
    assert!(on(&all(&scratch, &["--offline"]), "descriptors").is_empty());
    let koogate = scratch.serve();
    check(&scratch, "server", "ok", &format!("process {}", koogate.pid()));
    check(&scratch, "descriptors", "ok", "may be open at once");
    koogate.stop();
}

/// What systemd and timedatectl say comes from programs of theirs; here from others of the same names.
#[test]
fn what_the_system_says_of_unit_and_clock_is_told() {
    let koogallery = KooGallery::start();
    let scratch = scratch(&koogallery, "", FIXED);
    let program = |name: &str, says: &str| {
        std::fs::write(scratch.path(name), format!("#!/bin/sh\nprintf '{says}'\n")).unwrap();
        std::fs::set_permissions(scratch.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let found = |subject: &str| {
        let path = format!("{}:{}", scratch.path("").display(), std::env::var("PATH").unwrap());
        let output = scratch.command(&["check", "--offline", "--json"]).env("PATH", path).output().unwrap();
        let lines: Vec<serde_json::Value> =
            crate::harness::text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found = lines.iter().find(|line| line["subject"] == subject);
        found.map_or_else(String::new, |line| format!("{}: {}", line["level"].as_str().unwrap(), line["text"]))
    };
    let unit = "LoadState=loaded\\nActiveState=active\\nUnitFileState=enabled\\nNRestarts=0\\nUser=\\n";
    program("systemctl", unit);
    program("timedatectl", "yes");
    assert!(found("unit").starts_with("ok: "), "{}", found("unit"));
    assert!(found("ntp").starts_with("ok: "), "{}", found("ntp"));
    program("systemctl", &unit.replace("NRestarts=0", "NRestarts=7"));
    program("timedatectl", "no");
    assert!(found("unit").starts_with("warning: "), "{}", found("unit"));
    assert!(found("ntp").starts_with("warning: "), "{}", found("ntp"));
}

mod needs_root {
    use super::*;

    #[test]
    #[ignore = "needs root; .ci/run runs it where it is"]
    fn what_root_has_left_in_a_service_users_folder_is_told_with_the_chown() {
        assert!(rustix::process::geteuid().is_root(), "run as root");
        let koogallery = KooGallery::start();
        let scratch = scratch(&koogallery, "", FIXED);
        // A user that every system has.
        let (uid, gid) = (Some(65_534), Some(65_534));
        for entry in std::fs::read_dir(scratch.path("")).unwrap() {
            std::os::unix::fs::chown(entry.unwrap().path(), uid, gid).unwrap();
        }
        std::os::unix::fs::chown(scratch.path(""), uid, gid).unwrap();
        check(&scratch, "account", "ok", "can use every file");
        std::os::unix::fs::chown(scratch.path("koogate.db"), Some(0), Some(0)).unwrap();
        let lines = all(&scratch, &["--offline"]);
        let line = lines.iter().find(|line| line["subject"] == "account").unwrap();
        assert_eq!(line["level"], "error", "{line}");
        assert!(line["text"].as_str().unwrap().contains("belongs to root"), "{line}");
        assert!(line["mend"].as_str().unwrap().starts_with("chown "), "{line}");
    }
}
