//! The architecture, held by reading the source: what the core must not know, which place names which crate, and how a
//! file looks.
//!
//! Source is read as Rust tokens, so that comments, texts and the form of an import play no part. Code for tests
//! (`#[cfg(test)]`, files named for tests) may do anything.

mod paths;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use paths::named_paths;

/// The core: bytes and values in, values out.
const CORE: [&str; 63] = [
    "src/address.rs",
    "src/alert/alarm.rs",
    "src/alert/beijing.rs",
    "src/alert/judge.rs",
    "src/alert/kind.rs",
    "src/alert/ledger.rs",
    "src/alert/message.rs",
    "src/alert/page.rs",
    "src/alert/standing.rs",
    "src/alert/wire.rs",
    "src/alert/words.rs",
    "src/bundle/scrub.rs",
    "src/excerpt.rs",
    "src/gap/",
    "src/health/judge.rs",
    "src/kind.rs",
    "src/license.rs",
    "src/operation.rs",
    "src/instance.rs",
    "src/access.rs",
    "src/secret.rs",
    "src/stock_file.rs",
    "src/text.rs",
    "src/fulfilment/answer.rs",
    "src/fulfilment/event.rs",
    "src/fulfilment/event/",
    "src/fulfilment/webhook.rs",
    "src/login/fault.rs",
    "src/login/page.rs",
    "src/login/reply.rs",
    "src/login/return_to.rs",
    "src/login/state.rs",
    "src/login/token.rs",
    "src/page/actions.rs",
    "src/page/chart.rs",
    "src/page/form.rs",
    "src/page/front.rs",
    "src/page/front/",
    "src/page/layout.rs",
    "src/page/list.rs",
    "src/page/login.rs",
    "src/page/mod.rs",
    "src/page/pieces.rs",
    "src/page/place.rs",
    "src/page/refused.rs",
    "src/page/shown.rs",
    "src/page/style.rs",
    "src/page/table.rs",
    "src/page/text.rs",
    "src/page/traffic.rs",
    "src/page/trouble.rs",
    "src/protocol/",
    "src/usage/mod.rs",
    "src/usage/advice.rs",
    "src/usage/batch.rs",
    "src/usage/check.rs",
    "src/usage/fault.rs",
    "src/usage/file.rs",
    "src/usage/intake.rs",
    "src/usage/judge.rs",
    "src/usage/judge/",
    "src/usage/quantity.rs",
    "src/usage/report.rs",
];

/// What the core must not know: files, sockets, threads, clocks, chance, logs and the shell around it.
const OUTSIDE: [&str; 22] = [
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::time::Instant",
    "std::time::SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "Uuid::new_v4",
    "SystemRandom",
    "rand",
    "rusqlite",
    "tiny_http",
    "ureq",
    "log",
    "crate::store",
    "crate::http",
    "crate::dispatch",
    "crate::jobs",
    "crate::run",
    "crate::commands",
];

/// Each crate and the only places that name it.
const HOMES: [(&str, &[&str]); 15] = [
    ("aes", &["src/protocol/field_cipher.rs", "src/protocol/field_cipher/"]),
    ("cbc", &["src/protocol/field_cipher.rs", "src/protocol/field_cipher/"]),
    ("maud", &["src/page/", "src/admin/pages/"]),
    ("prometheus_client", &["src/metrics/"]),
    ("rusqlite", &["src/store/"]),
    ("tiny_http", &["src/http/", "src/demo.rs"]),
    (
        "ureq",
        &[
            "src/alert/sender.rs",
            "src/fulfilment/http.rs",
            "src/fulfilment/http/",
            "src/login/centre.rs",
            "src/open_api/",
        ],
    ),
    ("httparse", &["src/http/", "src/simulate/"]),
    (
        "rustls",
        &["src/simulate/", "src/http/", "src/open_api/transport.rs", "src/health/call.rs", "src/any_certificate.rs"],
    ),
    ("x509_cert", &["src/http/tls/identity.rs"]),
    ("rsa", &["src/init.rs", "src/init/", "src/protocol/kit/client_secret.rs"]),
    ("sha1", &["src/protocol/kit/client_secret.rs"]),
    ("toml", &["src/config/"]),
    ("flate2", &["src/bundle/"]),
    ("tar", &["src/bundle/"]),
];

/// A longer file has two jobs.
const LONGEST: usize = 420;

#[test]
fn the_core_knows_nothing_of_the_world() {
    let core: Vec<_> = sources().into_iter().filter(|file| is_in(file, &CORE)).collect();
    assert!(core.len() > 20, "the core was looked for in the wrong place: {core:?}");
    let mut found = Vec::new();
    for file in core {
        for path in named_paths(&read(&file)) {
            found.extend(
                OUTSIDE.iter().filter(|name| names(&path, name)).map(|_| format!("{}: {path}", file.display())),
            );
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_crate_that_may_be_replaced_one_day_is_named_in_one_place() {
    let mut found = Vec::new();
    let mut at_home = 0;
    for file in sources() {
        for path in named_paths(&read(&file)) {
            for (name, homes) in HOMES {
                if names(&path, name) && path.split("::").next() == Some(name) {
                    match is_in(&file, homes) {
                        true => at_home += 1,
                        false => found.push(format!("{}: {path}", file.display())),
                    }
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(at_home > 50, "crates were looked for in the wrong way");
}

#[test]
fn every_file_says_first_what_lives_there() {
    let files = listed().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let silent: Vec<_> = files.filter(|file| !read(file).starts_with("//!")).collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn no_file_has_grown_to_two_jobs() {
    let lines = |file: &PathBuf| read(file).lines().count();
    let grown: Vec<_> = sources().into_iter().filter(|file| lines(file) > LONGEST).collect();
    assert_eq!(grown, Vec::<PathBuf>::new(), "longer than {LONGEST} lines");
}

#[test]
fn the_repository_stands_on_its_own() {
    // Put together here, so that this file is not found.
    let slash = "/";
    let strangers = [
        ["", "work", ""].join(slash),
        ["", "root", ""].join(slash),
        ["", "home", ""].join(slash),
        ["", "Users", ""].join(slash),
        ["..", "shared"].join(slash),
    ];
    let mut found = Vec::new();
    for file in listed() {
        for (number, line) in read(&file).lines().enumerate() {
            if strangers.iter().any(|stranger| line.contains(stranger.as_str())) {
                found.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_example_configuration_and_the_schema_are_where_they_are_looked_for() {
    let listed = listed();
    for file in ["config.example.toml", "schema.sql", "LICENSE"] {
        assert!(listed.contains(&PathBuf::from(file)), "{file}");
    }
}

/// Whether a path names this one or something in it: `std::fs::read` names `std::fs`, `a::Timestamp::now` names
/// `Timestamp::now`, `catalog::x` does not name `log`.
fn names(path: &str, name: &str) -> bool {
    let (path, name): (Vec<_>, Vec<_>) = (path.split("::").collect(), name.split("::").collect());
    let lowercase = name[0].starts_with(char::is_lowercase);
    // A crate or a module is named from its root, and something in it with it: `log` alone is a variable. A type is named
    // wherever it comes from.
    let long_enough = name.len() > 1 || path.len() > 1 || !lowercase;
    long_enough && path.windows(name.len()).enumerate().any(|(at, window)| window == name && (at == 0 || !lowercase))
}

fn is_in(file: &Path, places: &[&str]) -> bool {
    places.iter().any(|place| file.to_string_lossy().starts_with(place))
}

/// The files of the program, without those for its tests.
fn sources() -> Vec<PathBuf> {
    let for_tests = |file: &Path| {
        file.components().any(|part| {
            let name = part.as_os_str().to_string_lossy();
            matches!(name.as_ref(), "tests" | "tests.rs") || name.ends_with("_tests.rs") || name.ends_with("_tests")
        })
    };
    let sources: Vec<_> = listed()
        .into_iter()
        .filter(|file| file.starts_with("src") && file.extension().is_some_and(|extension| extension == "rs"))
        .filter(|file| !for_tests(file))
        .collect();
    assert!(sources.len() > 80, "the source was looked for in the wrong place: {sources:?}");
    sources
}

/// The files under version control that are there.
fn listed() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = String::from_utf8(output.stdout).unwrap();
    files.split_terminator('\0').map(PathBuf::from).filter(|file| root().join(file).is_file()).collect()
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(root().join(file)).unwrap()).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
