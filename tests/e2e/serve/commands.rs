//! The first hour: the demo, `init`, and what the command line says about itself.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{FIXED, path_text};
use crate::harness::{Koogate, Scratch, files_in, new_instance, text};

const PASTED_KEY: &str = "de305d54-75b4-431b-adb2-eb6b9e546014";

#[test]
fn the_demo_passes_all_its_cases_and_leaves_nothing_behind() {
    let scratch = Scratch::new("");
    std::fs::create_dir(scratch.path("tmp")).unwrap();
    let mut demo = scratch.command(&["serve", "--demo", "--once", "--port", "0"]);
    let output = demo.env("TMPDIR", scratch.path("tmp")).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.contains("a simulated KooGallery calls http://127.0.0.1:"), "{out}");
    let verdicts: Vec<_> = out.lines().filter(|line| line.contains("KooGallery would")).collect();
    assert_eq!(err, "", "what is played on purpose is nothing to alarm anybody with");
    // One for each generation and one for the kit, all without a warning.
    let is_clean = |line: &&str| line.ends_with(" passed: KooGallery would accept this server") && !line.contains(',');
    assert!(verdicts.len() == 6 && verdicts.iter().all(is_clean), "{verdicts:#?}");
    for case in ["real-supervision", "real-pay-per-use", "real-first-call", "real-get-license", "v1-real-users"] {
        assert!(out.contains(case), "{case} was not played:\n{out}");
    }
    assert!(files_in(&scratch.path("tmp")).is_empty());
    assert_eq!(files_in(&scratch.path(".")), ["koogate.toml", "tmp"]);
}

#[test]
fn the_demo_serves_on_and_tells_where_to_look() {
    let scratch = Scratch::new("");
    let mut demo = scratch.command(&["serve", "--demo", "--port", "0"]);
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let told = told.join("\n");
    for key in ["demo-access-key-0000", "demo-license-key-0000", "demo-kit-key-0000"] {
        assert!(told.contains(&format!("{key}-not-a-secret")), "{told}");
    }
    let page = told.split("The status page is http://").nth(1).unwrap().split('/').next().unwrap();
    let mut page = std::net::TcpStream::connect(page).unwrap();
    page.write_all(b"GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    assert!(std::io::read_to_string(page).unwrap().starts_with("HTTP/1.1 200 "), "{told}");
    let config = told.split("--config ").nth(1).unwrap().split(' ').next().unwrap();
    for listing in ["exchange", "instance", "license", "tenant"] {
        assert!(told.contains(&format!("{config} {listing} list")), "{told}");
        let listed = scratch.run_json(&["--config", config, listing, "list", "--json"]);
        assert!(!listed.is_empty(), "{listing}");
    }
    let ended = Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().unwrap();
    assert!(ended.success() && demo.wait().unwrap().success());
    assert!(!Path::new(config).exists());
}

#[test]
fn init_writes_a_folder_that_serves_once_the_key_is_pasted() {
    let scratch = Scratch::new("");
    let told = scratch.run_ok(&["init", "shop"]);
    assert!(told.contains("CHANGE-ME"), "{told}");
    let config = scratch.path("shop/koogate.toml");
    let serve = ["--config", path_text(&config), "serve"];

    let early = scratch.run(&serve);
    assert_eq!(early.status.code(), Some(1));
    assert!(text(&early.stderr).contains("keys.basic: still the placeholder"), "{}", text(&early.stderr));

    let written = std::fs::read_to_string(&config).unwrap();
    let free_ports = written.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8444", "127.0.0.1:0");
    assert_ne!(free_ports, written);
    std::fs::write(&config, free_ports.replace("CHANGE-ME", PASTED_KEY)).unwrap();
    let koogate = Koogate::start(scratch.command(&serve), true).unwrap_or_else(|ended| panic!("{}", ended.log));
    let mut test_call = new_instance("CS1");
    test_call["testFlag"] = "1".into();
    assert_eq!(koogate.call_with(PASTED_KEY, &test_call).code(), "000000");
    let token = std::fs::read_to_string(scratch.path("shop/admin.token")).unwrap();
    let known = koogate.admin("POST", "/api/v1/instances/x/ready", Some(token.trim_end()), "");
    assert_eq!(known.status, 404);
    // All of it lies in the folder of the configuration, wherever koogate was started.
    assert!(scratch.path("shop/koogate.db").exists() && !scratch.path("koogate.db").exists());

    let again = scratch.run(&["init", "shop"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("never overwrites"), "{}", text(&again.stderr));
}

/// The commands that a help text lists.
fn commands_in(help: &str) -> Vec<String> {
    let section = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_command_explains_itself() {
    let scratch = Scratch::new("");
    let mut left = vec![Vec::<String>::new()];
    let mut seen = Vec::new();
    while let Some(command) = left.pop() {
        let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
        args.push("--help");
        let help = scratch.run_ok(&args);
        let mut lines = help.lines();
        assert!(lines.next().is_some_and(|line| line.len() > 10), "{command:?} says nothing:\n{help}");
        assert!(help.contains("Usage: koogate"), "{help}");
        assert!(help.contains("--config <FILE>"), "{command:?}:\n{help}");
        for name in commands_in(&help) {
            left.push(command.iter().cloned().chain([name]).collect());
        }
        seen.push(command.join(" "));
    }
    for wanted in
        ["serve", "init", "simulate", "exchange export", "instance ready", "stock import", "key rotate", "restore"]
    {
        assert!(seen.iter().any(|command| command == wanted), "{wanted} is missing in {seen:?}");
    }
}

#[test]
fn the_version_is_told_and_wrong_usage_is_exit_code_2() {
    let scratch = Scratch::new("");
    assert_eq!(scratch.run_ok(&["--version"]), format!("koogate {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in [&["sell"][..], &[], &["serve", "--once"], &["instance", "list", "--status", "sold"]] {
        let output = scratch.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_listing_into_a_closed_pipe_is_no_failure() {
    let scratch = Scratch::new(FIXED);
    let koogate = scratch.serve();
    koogate.call(&new_instance("CS1"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = scratch.command(&["exchange", "list", "--json"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_command_that_finds_no_database_makes_none() {
    let scratch = Scratch::new("[[product]]\nfulfilment = \"manual\"\n");
    for args in [&["exchange", "list"][..], &["instance", "list"], &["stock", "list"], &["backup", "copy.db"]] {
        let output = scratch.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = crate::harness::text(&output.stderr);
        assert!(said.contains("there is no database") && said.contains("koogate serve"), "{said}");
    }
    assert_eq!(crate::harness::files_in(&scratch.path(".")), ["koogate.toml"]);
}
