//! What a support bundle tells of the machine, the unit's log and the running server.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::scrub;
use crate::config::Config;
use crate::simulate::client::Client;

/// So many lines of the log.
const LINES: &str = "500";

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Versions, the system, and the sizes of koogate's files; they are asked for by name, and none is opened.
pub(super) fn facts(config: &Config) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let os = read("/etc/os-release");
    let os = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default().trim_matches('"');
    let size = |path: &Path| std::fs::metadata(path).map(|found| found.len()).ok();
    let beside = |end: &str| {
        let mut name = config.database.path.as_os_str().to_owned();
        name.push(end);
        size(Path::new(&name))
    };
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim();
    json!({
        "koogate": env!("CARGO_PKG_VERSION"),
        "os": os,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "architecture": std::env::consts::ARCH,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory,
        "files": {
            "database": size(&config.database.path),
            "log": beside("-wal"),
            "snapshot": size(&config.database.snapshot_path()),
        },
    })
}

/// The running server's metrics, and the calls it has refused by reason, as the admin listener tells them: without peers.
pub(super) fn of_server(config: &Config) -> String {
    let Some(admin) = &config.admin else { return "[admin] is not configured: nothing can be asked\n".to_owned() };
    let bearer = [("Authorization", format!("Bearer {}", admin.token.expose()))];
    let ask = |target: &str| -> Result<String, String> {
        let client = Client::new(&format!("http://{}/", admin.listen), &[]).map_err(|error| error.to_string())?;
        let answer = client.with_deadline(ANSWER_WITHIN).ask_with("GET", Some(target), &bearer);
        let answer = answer.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status == 200 { Ok(text) } else { Err(format!("HTTP status {}", answer.status)) }
    };
    let refused = match ask("/api/v1/refused") {
        Ok(text) => by_reason(&text),
        Err(error) => format!("the refused calls cannot be asked for: {error}\n"),
    };
    let metrics = ask("/metrics").unwrap_or_else(|error| format!("the metrics cannot be asked for: {error}\n"));
    format!("{refused}\n{metrics}")
}

/// Counts the refused calls; peers and times go.
fn by_reason(refused: &str) -> String {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let read: Option<Value> = serde_json::from_str(refused).ok();
    let list =
        read.as_ref().and_then(|read| read.as_array().or_else(|| read.as_object()?.values().find_map(Value::as_array)));
    for call in list.into_iter().flatten() {
        let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
        *counts.entry((text("family"), scrub(&text("reason")))).or_default() += 1;
    }
    let lines = counts.into_iter().map(|((family, reason), count)| format!("{count:6}  {family}: {reason}\n"));
    format!("refused calls, the last 200 at most:\n{}", lines.collect::<String>())
}

/// The end of the unit's log in koogate's own words; or why there is none.
pub(super) fn log() -> String {
    let asked = ["--unit", "koogate", "--lines", LINES, "--no-pager", "--output", "cat", "--quiet"];
    match Command::new("journalctl").args(asked).output() {
        Ok(output) if output.status.success() => reduced(&String::from_utf8_lossy(&output.stdout)),
        Ok(output) => format!("journalctl: {}\n", output.status),
        Err(error) => format!("journalctl: {error}\n"),
    }
}

/// Lines begin as koogate's do, with time, level and module (`commands/logging`); all others are somebody else's.
fn reduced(log: &str) -> String {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (time, level, module) = (words.next()?, words.next()?, words.next()?);
        let is_time = time.len() <= 30 && time.starts_with("20") && time.ends_with('Z');
        let is_level = matches!(level, "ERROR" | "WARN" | "INFO" | "DEBUG");
        let text = line.split_once(module)?.1;
        let is_module = module.split("::").next() == Some("koogate");
        (is_time && is_level && is_module).then(|| format!("{time} {level} {module} {}\n", scrub(text)))
    };
    log.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_koogates_own_lines_stay_in_its_own_words() {
        let log = "2026-11-26T15:00:00.123Z INFO  koogate::commands::serve stopped by Zhang\nZhang San has called\n\
                   2026-11-26T15:00:01Z WARN  other x\nlater INFO koogate x\n";
        assert_eq!(reduced(log), "2026-11-26T15:00:00.123Z INFO koogate::commands::serve stopped by …\n");
    }

    #[test]
    fn refused_calls_are_counted_without_their_peers() {
        let refused = r#"{"calls":[{"family":"basic-v2","reason":"no key verifies the signature","peer":"192.0.2.7"},
                          {"family":"basic-v2","reason":"no key verifies the signature","peer":"192.0.2.8"}]}"#;
        let told = by_reason(refused);
        assert!(told.contains("     2  basic-v2: ") && !told.contains("192.0.2"), "{told}");
    }
}
