//! `koogate simulate --rehearse`: which parts the configuration makes, and how the server is restarted in between.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use super::{Args, EXIT_FAILED, named, output, public_key};
use crate::config::Config;
use crate::kind::Kind;
use crate::secret::Secret;
use crate::simulate::rehearsal::{self, Part, Restart};
use crate::simulate::{self, Generation, Kit, KitGenerations, Options, Target, report};

pub(super) fn run(config: &Path, args: &Args, roots: &[u8]) -> anyhow::Result<ExitCode> {
    let config = crate::commands::load(config).context("a rehearsal is made with the keys of the configuration")?;
    let url = args.to.clone().or_else(|| config.server.production_address());
    let url = url.context("no address: give --to, or server.public_url in the configuration")?;
    let kit = match config.keys.kit.is_empty() {
        true => None,
        false => Some(Kit::new(&public_key(&config.keys)?, KitGenerations::Both)?),
    };
    let parts = parts(&config, args, &url, roots, kit.as_ref())?;
    let progress = output::progress(None, "cases played:");
    let mut broken = None;
    let mut restart = || progress.suspend(|| restart(args));
    let played = rehearsal::run(&parts, &mut restart, &mut |part, case| {
        progress.inc(1);
        if args.json && broken.is_none() {
            broken = output::line(&report::json_line_of(part, case)).err();
        }
    });
    progress.finish_and_clear();
    if let Some(error) = broken {
        return Err(error);
    }
    if !args.json {
        output::line(&report::rehearsal(&played, output::width()))?;
    }
    Ok(if rehearsal::is_success(&played) { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

/// The interfaces of everything that is sold. Whether a SaaS product was listed under the current guide or the older one is
/// not in the configuration: both are played.
fn parts<'r>(
    config: &'r Config,
    args: &'r Args,
    url: &str,
    roots: &[u8],
    kit: Option<&'r Kit>,
) -> anyhow::Result<Vec<Part<'r>>> {
    let [basic, license] = [&config.keys.basic, &config.keys.license];
    let all: Vec<&Secret<String>> = [basic, license, &config.keys.kit].into_iter().flatten().collect();
    let target = |key: &Secret<String>| {
        let others = all.iter().filter(|other| **other != key).map(|other| named((*other).clone())).collect();
        Ok::<_, anyhow::Error>(Target::new(url, named(key.clone()), roots)?.with_other_keys(others))
    };
    let mut parts = Vec::new();
    for generation in Generation::ALL {
        let mut entries = config.products.iter().filter(|product| product.kind == generation.kind()).peekable();
        if entries.peek().is_none() {
            continue;
        }
        // As in `simulate` without --rehearse: the server takes the licence key first.
        let key = match generation.kind() {
            Kind::Saas => basic.first(),
            Kind::LicenseCode => license.first(),
            Kind::License | Kind::LicenseOnline => license.first().or(basic.first()),
        };
        let key = key.context("the configuration has no access key for what it sells")?;
        let configured = entries.find_map(|entry| entry.product_id.as_deref().filter(|_| entry.sku_code.is_none()));
        let product_id = match configured {
            Some(configured) if args.product_id == simulate::PRODUCT => configured,
            _ => &args.product_id,
        };
        let big_body = simulate::BIG_BODY.min(config.server.max_body / 2);
        let options = Options { generation, big_body, product_id, ..Options::default() };
        parts.push(Part { name: name(generation), title: generation.title(), target: target(key)?, options });
    }
    if let (Some(kit), Some(key)) = (kit, config.keys.kit.first()) {
        let options = Options { kit: Some(kit), ..Options::default() };
        parts.push(Part { name: "kit", title: "the joint-operation kit 联营Kit", target: target(key)?, options });
    }
    if parts.is_empty() {
        bail!("the configuration sells nothing");
    }
    Ok(parts)
}

/// The same words as `--generation` takes.
fn name(generation: Generation) -> &'static str {
    match generation {
        Generation::V1 => "v1",
        Generation::V2 => "v2",
        Generation::License => "license",
        Generation::LicenseCode => "license-code",
        Generation::LicenseOnline => "license-online",
    }
}

fn restart(args: &Args) -> Restart {
    if let Some(command) = &args.restart_command {
        // Its own words go where ours for people go: stdout is for what was found.
        let ended = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stdout(std::io::stderr()).status();
        return match ended {
            Ok(status) if status.success() => Restart::Done,
            Ok(status) => Restart::Failed(format!("the restart command ended with {status}")),
            Err(error) => Restart::Failed(format!("the restart command cannot be run: {error}")),
        };
    }
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Restart::NotAsked("there is no terminal to ask for a restart, and no --restart-command".to_owned());
    }
    let asked = write!(
        stderr,
        "Restart the server now 请立即重启服务 (such as `systemctl restart koogate`), then press Enter; s and Enter leaves it out: "
    );
    let mut answer = String::new();
    match asked.and_then(|()| stderr.flush()).and_then(|()| stdin.lock().read_line(&mut answer)) {
        Ok(length) if length > 0 && !answer.trim().eq_ignore_ascii_case("s") => Restart::Done,
        _ => Restart::NotAsked("you have left the restart out".to_owned()),
    }
}
