//! The rehearsal before going live: koogate passes it, nothing real is touched, and what stands in the way is found.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use koogate::init::KeyPair;
use koogate::simulate::rehearsal::{self, Part, PartReport, Restart};
use koogate::simulate::{CaseReport, Generation, Options, Outcome, Target};
use serde_json::Value;

use super::seller::{Creation, Seller, key};
use crate::broken_proxy::{Proxy, Spoil};
use crate::harness::{Application, Koogate, PATIENCE, SEALING_KEY, Scratch, text};
use crate::shop::FIXED;
use crate::supervisor::Reserved;
use crate::tls::peer::Authority;

/// Everything koogate can sell, a stock among it.
fn configuration(listen: SocketAddr, application: &Application) -> String {
    let kinds = ["license", "license-code"].map(|kind| application.product(&format!("kind = \"{kind}\"\n")));
    let stock = "[[product]]\nkind = \"license-online\"\nfulfilment = \"stock\"\nstock = \"codes\"\n";
    let saas = application.product("");
    format!(
        "[server]\nlisten = \"{listen}\"\n[keys]\nbasic = \"basic-access-key\"\nlicense = \"license-access-key\"\n\
         kit = \"kit-access-key\"\nkit_private_keys = [\"kit-private.pem\"]\nsealing_key = \"{SEALING_KEY}\"\n{}{stock}{saas}",
        kinds.concat()
    )
}

/// Runs the rehearsal, and restarts the server when its restart command asks for that.
fn rehearsed(scratch: &Scratch, koogate: Koogate, args: &[&str]) -> (Koogate, Option<i32>, String) {
    let command = "touch wanted; while [ ! -e done ]; do sleep 0.05; done";
    let all = [&["simulate", "--rehearse", "--restart-command", command], args].concat();
    let mut playing = scratch.command(&all);
    let mut playing = playing.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = playing.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut out).unwrap();
        text(&out)
    });
    // Hundreds of calls come first: as long as it plays, nothing hangs.
    let until = Instant::now() + 10 * PATIENCE;
    while !scratch.path("wanted").exists() && playing.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "no restart was asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    koogate.stop();
    let koogate = scratch.serve();
    std::fs::write(scratch.path("done"), "").unwrap();
    let code = playing.wait().unwrap().code();
    (koogate, code, reader.join().unwrap())
}

#[test]
fn koogate_passes_with_everything_it_can_sell_and_nothing_real_is_touched() {
    let (scratch, reserved, application) = (Scratch::new(FIXED), Reserved::new(), Application::ready());
    std::fs::write(scratch.path("kit-private.pem"), KeyPair::generate().unwrap().private_key.as_bytes()).unwrap();
    std::fs::write(scratch.path("koogate.toml"), configuration(reserved.address, &application)).unwrap();
    std::fs::write(scratch.path("codes.csv"), "license\nCODE-1\nCODE-2\n").unwrap();
    let koogate = scratch.serve();
    scratch.run_ok(&["stock", "import", "codes", "codes.csv"]);
    let stock = scratch.run_ok(&["stock", "list", "--json"]);
    let url = format!("http://{}/saasproduce", koogate.address);
    let (koogate, code, out) = rehearsed(&scratch, koogate, &["--to", &url, "--json"]);
    let cases: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let wrong: Vec<_> = cases.iter().filter(|case| case["result"] != "passed" && case["case"] != "address").collect();
    assert_eq!((code, &wrong[..]), (Some(0), &[][..]), "{}", koogate.log_text());
    for part in ["way", "v2", "v1", "license", "license-code", "license-online", "kit", "restart"] {
        let played = cases.iter().filter(|case| case["part"] == part).count();
        assert!(played > 0, "{part}");
        let after = cases.iter().any(|case| case["part"] == part && case["case"] == "after-restart");
        assert_eq!(after, !matches!(part, "way" | "restart"), "{part}");
    }
    // Nothing real: no instance, no call that is none of a test, no event, no account or code, no enterprise.
    assert_eq!(scratch.run_ok(&["instance", "list", "--json"]), "");
    let exchanges = scratch.run_json(&["exchange", "list", "--json", "--limit", "100000"]);
    // What nobody can read has no flag to be read, and was refused.
    let touches = |exchange: &&Value| exchange["environment"] != "test" && exchange["resultCode"] != "000002";
    let real: Vec<_> = exchanges.iter().filter(touches).collect();
    assert!(exchanges.len() > 100 && real.is_empty(), "{real:#?}");
    assert!(application.deliveries().is_empty(), "{:#?}", application.deliveries());
    assert_eq!(scratch.run_ok(&["stock", "list", "--json"]), stock);
    assert_eq!(scratch.run_ok(&["tenant", "list", "--json"]), "");
    koogate.stop();
}

#[test]
fn over_https_the_address_of_the_configuration_is_rehearsed_and_shown_as_a_table() {
    let (scratch, reserved, authority) = (Scratch::new(FIXED), Reserved::new(), Authority::new());
    let pair = authority.issue(&["shop.example.com"]);
    for (name, content) in
        [("ca.pem", authority.pem()), ("fullchain.pem", pair.certificate), ("privkey.pem", pair.private_key)]
    {
        std::fs::write(scratch.path(name), content).unwrap();
    }
    let port = reserved.address.port();
    let server = format!(
        "[server]\nlisten = \"{}\"\npublic_url = \"https://localhost:{port}\"\n[server.tls]\n\
         certificate = \"fullchain.pem\"\nprivate_key = \"privkey.pem\"\n",
        reserved.address
    );
    scratch.configure(&[crate::harness::KEY], &server, FIXED);
    let koogate = scratch.serve();
    // Nobody can be asked here, and no command is given: that is said, and no failure.
    let shown = scratch.run_ok(&["simulate", "--rehearse", "--ca", "ca.pem"]);
    assert!(shown.contains("not rehearsed: there is no terminal"), "{shown}");
    assert!(shown.trim_end().ends_with("KooGallery would accept this server"), "{shown}");
    assert!(shown.contains("HTTPS证书") && !shown.contains("after-restart"), "{shown}");
    // Without the CA it is what KooGallery sees of a certificate that nobody knows.
    let output = scratch.run(&["simulate", "--rehearse"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("调测失败,生产地址不可达."), "{}", text(&output.stdout));
    // A restart that fails is one.
    let output = scratch.run(&["simulate", "--rehearse", "--ca", "ca.pem", "--restart-command", "exit 3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("the restart command ended with"), "{}", text(&output.stdout));
    koogate.stop();
}

/// Rehearses current SaaS against a seller at this address.
fn play(url: &str, generation: Generation, restart: &mut dyn FnMut() -> Restart) -> Vec<PartReport> {
    let target = Target::new(url, key(), &[]).unwrap();
    let options = Options { generation, ..Options::default() };
    let part = Part { name: "it", title: "", target, options };
    rehearsal::run(&[part], restart, &mut |_, _| {})
}

fn case<'r>(parts: &'r [PartReport], part: &str, name: &str) -> &'r CaseReport {
    let part = parts.iter().find(|found| found.name == part).unwrap();
    part.report.cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("{part:#?}"))
}

/// The proxy's fault must be found in this case with these words, and said by the console so.
fn check(generation: Generation, spoil: Spoil, (part, name): (&str, &str), words: &str, console: Option<&str>) {
    let seller = Seller::start(None, Creation::AtOnce);
    let proxy = Proxy::start(seller.address(), spoil);
    let parts = play(&proxy.url(), generation, &mut || Restart::NotAsked("of the proxy".to_owned()));
    let found = case(&parts, part, name);
    let told = found.findings.iter().find(|finding| finding.text.contains(words));
    let told = told.unwrap_or_else(|| panic!("{spoil:?}: {found:#?}"));
    assert_eq!(told.console.as_deref(), console, "{spoil:?}: {told:#?}");
}

#[test]
fn a_proxy_that_passes_everything_on_is_none() {
    for (generation, spoil) in [(Generation::V2, Spoil::Nothing), (Generation::V1, Spoil::Chunked)] {
        let seller = Seller::start(None, Creation::AtOnce);
        let proxy = Proxy::start(seller.address(), spoil);
        let parts = play(&proxy.url(), generation, &mut || Restart::Done);
        let wrong = |case: &&CaseReport| case.outcome != Outcome::Passed && case.name != "address";
        let wrong: Vec<_> = parts.iter().flat_map(|part| part.report.cases.iter().filter(wrong)).collect();
        assert!(rehearsal::is_success(&parts) && wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn what_a_proxy_spoils_is_found_and_told_in_the_consoles_words() {
    use Generation::{V1, V2};
    let status = |code| Some(format!("调测失败,接口响应httpCode={code},请检查服务器日志,定位失败原因."));
    let spelling = ("way", "header-spelling");
    let body_sign = "调测失败,生产接口响应头缺少Body-Sign,或Body-Sign格式错误.";
    check(V2, Spoil::LowerCase, spelling, "the header is spelled `body-sign`", Some(body_sign));
    check(V2, Spoil::LowerCase, spelling, "HAProxy: h1-case-adjust", None);
    let json = r#"调测失败,解析响应体失败,响应格式参考{"resultCode":"000000","resultMsg":"success."}."#;
    check(V2, Spoil::Gzip, spelling, "switch compression off", Some(json));
    check(V2, Spoil::Redirect, spelling, "register the final URL", status(301).as_deref());
    check(V2, Spoil::BadGateway, spelling, "HTTP status 502", status(502).as_deref());
    check(V2, Spoil::OtherAnswer, spelling, "does not fit", Some("响应Http Body签名校验失败,预期的签名值:…"));
    let result_code = Some("调用失败,生产接口resultCode返回错误.");
    check(V2, Spoil::SmallBodies, ("it", "big-body"), "client_max_body_size 10m", None);
    check(V1, Spoil::ShortLines, ("it", "long-query"), "large_client_header_buffers", None);
    // Most calls survive that: what is signed may be the sorted form.
    check(V2, Spoil::OtherBody, ("it", "form-unsorted"), "answered 000001", result_code);
}

#[test]
fn a_connection_that_is_kept_and_never_answered_again_is_found() {
    let seller = Seller::start(None, Creation::AtOnce);
    let proxy = Proxy::start(seller.address(), Spoil::DeadKeepAlive);
    let parts = play(&proxy.url(), Generation::V2, &mut || Restart::Done);
    let found = case(&parts, "way", "keep-alive");
    assert!(found.findings.iter().any(|finding| finding.rule == "keep-alive"), "{found:#?}");
}

#[test]
fn a_server_that_forgets_in_a_restart_is_found() {
    for generation in [Generation::V2, Generation::V1] {
        let seller = Seller::start(None, Creation::AtOnce);
        let parts = play(&seller.url, generation, &mut || {
            seller.forget_everything();
            Restart::Done
        });
        let found = case(&parts, "it", "retry-after-restart");
        assert!(found.findings.iter().any(|finding| finding.rule == "instance-id"), "{found:#?}");
        assert!(!rehearsal::is_success(&parts));
    }
}

#[test]
fn where_nobody_answers_one_call_is_tried_and_all_else_is_left_out() {
    let reserved = Reserved::new();
    let mut asked = false;
    let parts = play(&format!("http://{}/saasproduce", reserved.address), Generation::V2, &mut || {
        asked = true;
        Restart::Done
    });
    assert!(!asked && !rehearsal::is_success(&parts));
    let played = parts.iter().flat_map(|part| &part.report.cases);
    let failed: Vec<_> = played.filter(|case| case.outcome == Outcome::Failed).map(|case| case.name).collect();
    assert_eq!(failed, ["header-spelling"], "{parts:#?}");
    let said = &case(&parts, "way", "header-spelling").findings[0].console;
    assert_eq!(said.as_deref(), Some("调测失败,生产地址不可达."));
}
