//! What is played besides before going live: the way to the address, what is large, and what a restart must not forget
//! (spec README §7.1, §7.3, §8).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::debugging::{test_order, test_subject};
use super::repeats::same_instance;
use super::{Case, SUCCESS, succeed};
use crate::protocol::reply_checks::Finding;
use crate::simulate::Options;
use crate::simulate::call::Call;
use crate::simulate::call::kit_post::KitPost;
use crate::simulate::client::Offer;
use crate::simulate::kit::KitGeneration;
use crate::simulate::kit::wording::{ADD, Enterprise};
use crate::simulate::stage::Stage;

/// A certificate that ends sooner is somebody's business.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);

/// A query of this length must pass, and one of the other had better (spec README §7.3).
const LONG_QUERIES: [usize; 2] = [6_000, 30_000];

/// The way to the production address, whatever is called there.
pub(in crate::simulate) fn way() -> Vec<Case> {
    vec![
        Case::new("address", "生产地址", address),
        Case::new("tls", "HTTPS证书", tls),
        Case::new("address-check", "地址校验", address_check),
        Case::new("header-spelling", "响应头大小写", header_spelling),
        Case::new("keep-alive", "连接复用", keep_alive),
    ]
}

/// What proxies cut off.
pub(in crate::simulate) fn large(options: &Options<'_>) -> Vec<Case> {
    if options.kit.is_none() && options.generation.has_token() {
        return vec![Case::new("long-query", "长参数", long_query)];
    }
    vec![Case::new("big-body", "大报文", big_body)]
}

/// A purchase whose answer is kept. The kit and licence codes have none.
pub(in crate::simulate) fn before_restart(options: &Options<'_>) -> Vec<Case> {
    let has_purchase = options.kit.is_none() && options.generation.purchase(&test_order()).is_some();
    if has_purchase { vec![Case::new("before-restart", "重启前新购", purchase)] } else { Vec::new() }
}

/// What must be as it was.
pub(in crate::simulate) fn after_restart(options: &Options<'_>) -> Vec<Case> {
    let mut cases = vec![Case::new("after-restart", "重启后调用", |stage| {
        let call = usual(stage);
        stage.expect("", &call, SUCCESS);
    })];
    if !before_restart(options).is_empty() {
        cases.push(Case::new("retry-after-restart", "重启后新购重试", retry));
    }
    cases
}

/// A call that every server of these interfaces answers, and that changes nothing.
fn usual(stage: &Stage<'_>) -> Call {
    if let Some(kit) = stage.options.kit {
        return department(kit.generations()[0]).into();
    }
    stage.test(stage.generation().freeze(&test_subject()))
}

fn department(generation: KitGeneration) -> KitPost {
    Enterprise::of_tests(generation).department(ADD, "1001", "研发部", "")
}

fn address(stage: &mut Stage<'_>) {
    let client = stage.client();
    let (host, port) = client.host();
    let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let finding = if is_local {
        Finding::warn("address", "this is a rehearsal on this machine; KooGallery needs a public domain name and HTTPS")
    } else if !client.is_https() {
        Finding::fail("address", "KooGallery calls by HTTPS only: docs/operations.md, HTTPS")
    } else if host.parse::<std::net::IpAddr>().is_ok() {
        Finding::fail("address", "the address must have a domain name, not a bare IP address")
    } else if port != 443 {
        Finding::warn("address", format!("port {port}: KooGallery's documents know 443 only"))
    } else {
        return;
    };
    stage.add("", finding);
}

fn tls(stage: &mut Stage<'_>) {
    let client = stage.client();
    let shown = match client.handshake(Offer::Usual) {
        Ok(Some(shown)) => shown,
        Ok(None) => return,
        Err(error) => {
            let fault = client.certificate_fault(&error, Timestamp::now()).unwrap_or_else(|| error.to_string());
            let console = Some(crate::simulate::console::of_error(&error).to_owned());
            return stage.add("", Finding { console, ..Finding::fail("tls", fault) });
        }
    };
    if let Some(certificate) = &shown.certificate {
        let left = certificate.not_after.duration_since(Timestamp::now());
        if left < SOON {
            let days = left.as_hours() / 24;
            stage.add(
                "",
                Finding::warn("tls", format!("the certificate ends in {days} days; is it renewed by itself?")),
            );
        }
    }
    if client.handshake(Offer::Tls12Only).is_err() {
        let text = "TLS 1.2 is refused; KooGallery's documents ask for 1.2 or later, so offer both 1.2 and 1.3";
        stage.add("", Finding::warn("tls", text));
    }
    if client.handshake(Offer::Http2).is_ok_and(|shown| shown.is_some_and(|shown| shown.is_http2)) {
        let text = "a client that offers HTTP/2 gets it, and HTTP/2 writes all header names in lower case: KooGallery does \
                    not find Body-Sign then. Let the proxy offer HTTP/1.1 only (docs/operations.md, The proxy)";
        stage.add("", Finding::warn("http-2", text));
    }
}

/// What the console's check of an address may ask: nothing (spec README §6).
fn address_check(stage: &mut Stage<'_>) {
    let found = match stage.client().ask("GET", None) {
        Ok(answer) if answer.status == 200 => return,
        Ok(answer) => format!("answered with HTTP status {}", answer.status),
        Err(error) => error.to_string(),
    };
    let text = format!("a plain GET of the address is {found}; let it be answered with 200, the console may check so");
    stage.add("", Finding::warn("address-check", text));
}

/// Every reply is looked at for this; here it has a line of its own, because it is what most often goes wrong.
fn header_spelling(stage: &mut Stage<'_>) {
    let call = usual(stage);
    let Some(reply) = stage.expect("", &call, SUCCESS) else { return };
    let names = reply.answer.headers.iter().map(|(name, _)| name.as_str());
    let spelled: Vec<&str> = names.filter(|name| name.eq_ignore_ascii_case("Body-Sign")).collect();
    if let [name] = spelled[..]
        && name != "Body-Sign"
    {
        let text = format!(
            "`{name}` arrives where the server writes `Body-Sign`: what stands in front of it changes the spelling. HAProxy: \
             h1-case-adjust; Envoy: preserve_case; a CDN or WAF: past it"
        );
        stage.add("", Finding::fail("header-spelling", text));
    }
}

fn keep_alive(stage: &mut Stage<'_>) {
    let call = usual(stage);
    stage.call_on_one_connection([&call, &call]);
}

/// KooGallery's lists of departments are long, and what a purchase says may be.
fn big_body(stage: &mut Stage<'_>) {
    let filler = "x".repeat(stage.options.big_body);
    let call = match stage.options.kit {
        Some(kit) => department(kit.generations()[0]).with("memberOfTomorrow", filler).into(),
        None => {
            let mut members = stage.generation().freeze(&test_subject());
            members["memberOfTomorrow"] = Value::String(filler);
            stage.test(members)
        }
    };
    if stage.expect("", &call, SUCCESS).is_none() {
        let size = stage.options.big_body;
        let text = format!(
            "a body of {size} bytes does not get through; take 10 MiB (nginx: client_max_body_size 10m; koogate: \
             server.max_body)"
        );
        stage.add("", Finding::fail("big-body", text));
    }
}

fn long_query(stage: &mut Stage<'_>) {
    let Some(mut members) = stage.generation().purchase(&test_order()) else { return };
    for length in LONG_QUERIES {
        members["memberOfTomorrow"] = json!("x".repeat(length));
        let call = stage.test(members.clone());
        if length == LONG_QUERIES[0] {
            if stage.expect("", &call, SUCCESS).is_none() {
                let text =
                    "a query of 6,000 characters does not get through (nginx: large_client_header_buffers 4 64k)";
                return stage.add("", Finding::fail("long-query", text));
            }
        } else if let Some(status) = stage.status_of(&call)
            && status != 200
        {
            let text = format!(
                "a query of {length} characters is answered with HTTP status {status}; better let it through (nginx: \
                 large_client_header_buffers 4 64k)"
            );
            stage.add("", Finding::warn("long-query", text));
        }
    }
}

fn purchase(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let Some(purchase) = stage.generation().purchase(&order) else { return };
    stage.world.kept = succeed(stage, "", purchase).map(|reply| (order, reply));
}

fn retry(stage: &mut Stage<'_>) {
    let Some((order, first)) = stage.world.kept.clone() else { return };
    let Some(purchase) = stage.generation().purchase(&order) else { return };
    if let Some(again) = succeed(stage, "", purchase) {
        same_instance(stage, [&first, &again]);
    }
}
