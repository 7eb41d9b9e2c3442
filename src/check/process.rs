//! The running server as the system sees it: its process, how many files it may open, and its systemd unit.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Sink, Subject};
use crate::config::Config;
use crate::open_files;

const SERVER: Subject = "server";
const FILES: Subject = "descriptors";
const UNIT: Subject = "unit";

/// Connections of the admin listener, questions and logins: what `run` counts besides.
const BESIDES: (usize, usize) = (64, 24);

/// A unit, as far as systemd tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    name: String,
    pub(super) user: Option<String>,
    active: String,
    enabled: String,
    restarts: u64,
}

/// The number of the server's process, where one runs on this database: its lock file tells, and the process must be there.
pub(super) fn running(database: &Path) -> Option<u32> {
    let mut lock = database.as_os_str().to_owned();
    lock.push(".lock");
    let pid: u32 = fs::read_to_string(lock).ok()?.lines().next()?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    name.starts_with("koogate").then_some(pid).filter(|pid| *pid != std::process::id())
}

/// The unit that the process belongs to, or the usual one where systemd knows it.
pub(super) fn unit(pid: Option<u32>) -> Option<Unit> {
    let of_process = pid.and_then(|pid| unit_in(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?));
    let name = of_process.unwrap_or_else(|| "koogate.service".to_owned());
    let asked = "--property=LoadState,ActiveState,UnitFileState,NRestarts,User";
    let output = Command::new("systemctl").args(["show", &name, asked]).output().ok()?;
    output.status.success().then(|| parse(&name, &String::from_utf8_lossy(&output.stdout))).flatten()
}

/// The service in `0::/system.slice/koogate.service`.
fn unit_in(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.split('/').rev().find(|part| part.ends_with(".service")).map(str::to_owned)
}

fn parse(name: &str, shown: &str) -> Option<Unit> {
    let value =
        |key: &str| shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    (value("LoadState") == "loaded").then(|| Unit {
        name: name.to_owned(),
        user: Some(value("User").to_owned()).filter(|user| !user.is_empty()),
        active: value("ActiveState").to_owned(),
        enabled: value("UnitFileState").to_owned(),
        restarts: value("NRestarts").parse().unwrap_or(0),
    })
}

pub(super) fn look(config: &Config, pid: Option<u32>, unit: Option<&Unit>, to: &mut Sink<'_>) -> anyhow::Result<()> {
    match pid {
        Some(pid) => to.ok(SERVER, format!("it runs (process {pid})"))?,
        None => to.warning(
            SERVER,
            "no server runs on this database",
            "`systemctl start koogate`; KooGallery's calls find nobody until it runs",
        )?,
    }
    if let Some(unit) = unit {
        of_unit(unit, to)?;
    }
    let (connections, attempts) = BESIDES;
    let needed = open_files::needed(config.server.max_connections + connections, config.jobs.workers + attempts);
    let Some(limit) = pid.and_then(|pid| most_open(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)) else {
        return Ok(());
    };
    match limit >= needed {
        true => to.ok(FILES, format!("{limit} files and sockets may be open at once, {needed} may be needed")),
        false => to.warning(
            FILES,
            format!("only {limit} files and sockets may be open at once, and {needed} may be needed"),
            "raise LimitNOFILE in the unit (ulimit -Hn), or lower server.max_connections or jobs.workers",
        ),
    }
}

fn of_unit(unit: &Unit, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let Unit { name, active, enabled, restarts, .. } = unit;
    if active == "failed" {
        to.error(UNIT, format!("{name} has failed"), format!("`journalctl -u {name}` says why"))?;
    } else if *restarts > 0 {
        let text = format!("systemd has restarted {name} {restarts} times by itself");
        to.warning(UNIT, text, format!("`journalctl -u {name} -g ALERT` says why"))?;
    } else if matches!(enabled.as_str(), "disabled" | "masked") {
        let text = format!("{name} is {enabled}: it does not start with the machine");
        to.warning(UNIT, text, format!("`systemctl enable {name}`"))?;
    } else {
        to.ok(UNIT, format!("{name} is {active}, {enabled}, and was never restarted by systemd"))?;
    }
    Ok(())
}

/// The soft limit in `/proc/N/limits`.
fn most_open(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Finding, Level};

    fn told(unit: &Unit) -> (Level, String) {
        let mut found: Vec<Finding> = Vec::new();
        let mut tell = |finding: &Finding| {
            found.push(finding.clone());
            Ok(())
        };
        of_unit(unit, &mut Sink::new(&mut tell)).unwrap();
        (found[0].level, found[0].text.clone())
    }

    #[test]
    fn a_unit_is_read_and_what_is_wrong_with_it_told() {
        let shown = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNRestarts=0\nUser=koogate\n";
        let unit = parse("koogate.service", shown).unwrap();
        assert_eq!(unit.user.as_deref(), Some("koogate"));
        assert_eq!(told(&unit).0, Level::Ok);
        for (from, to, level, words) in [
            ("=active", "=failed", Level::Error, "has failed"),
            ("NRestarts=0", "NRestarts=3", Level::Warning, "3 times"),
            ("=enabled", "=disabled", Level::Warning, "does not start with the machine"),
        ] {
            let (found, text) = told(&parse("koogate.service", &shown.replace(from, to)).unwrap());
            assert!(found == level && text.contains(words), "{text}");
        }
        assert_eq!(parse("koogate.service", "LoadState=not-found\nActiveState=inactive\n"), None);
    }

    #[test]
    fn the_unit_of_a_process_is_found_in_its_control_group() {
        assert_eq!(unit_in("0::/system.slice/shop.service\n").as_deref(), Some("shop.service"));
        assert_eq!(unit_in("0::/system.slice/koogate.service/sub\n").as_deref(), Some("koogate.service"));
        assert_eq!(unit_in("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(unit_in("1:name=systemd:/x.service\n"), None);
    }

    #[test]
    fn the_limit_of_a_process_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(most_open(limits), Some(1024));
        assert_eq!(most_open(&limits.replace("1024  ", "unlimited")), Some(u64::MAX));
        assert_eq!(most_open(""), None);
    }
}
