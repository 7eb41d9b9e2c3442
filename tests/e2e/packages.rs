//! What packages carry: everything that they name is there, completions and manual pages know every command, and no script of
//! a package touches what was sold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{files_in, text};

const KOOGATE: &str = env!("CARGO_BIN_EXE_koogate");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// What a command that must succeed prints.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The commands that a help lists.
fn commands(args: &[&str]) -> Vec<String> {
    let help = output(KOOGATE, &[args, &["--help"]].concat());
    let listed = help.split("Commands:\n").nth(1).map(|rest| rest.split("\n\n").next().unwrap()).unwrap_or_default();
    let name = |line: &str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(first_word);
    listed.lines().filter_map(name).filter(|name| name != "help").collect()
}

fn first_word(line: &str) -> String {
    line.split(' ').next().unwrap().to_owned()
}

#[test]
fn every_shell_and_the_manual_know_every_command() {
    let all = commands(&[]);
    assert!(all.len() > 15, "{all:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = output(KOOGATE, &["completions", shell]);
        for name in &all {
            assert!(script.contains(name.as_str()), "{shell}: no {name}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    output(KOOGATE, &["man", folder.path().to_str().unwrap()]);
    let pages: BTreeSet<_> = files_in(folder.path()).into_iter().collect();
    assert!(pages.contains("koogate.1"));
    for name in all {
        assert!(pages.contains(&format!("koogate-{name}.1")), "{name}: {pages:?}");
        for below in commands(&[&name]) {
            assert!(pages.contains(&format!("koogate-{name}-{below}.1")), "{name} {below}: {pages:?}");
        }
    }
}

/// The assets of the package: what is taken, perhaps with a star in the name, and where it goes.
fn assets() -> Vec<(String, String)> {
    let manifest = read("Cargo.toml");
    let section = manifest.split("[package.metadata.deb]").nth(1).unwrap();
    let assets = section.split("assets = [").nth(1).unwrap().split("\n]").next().unwrap();
    let quoted = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let lines = assets.lines().filter(|line| line.trim().starts_with("[\""));
    lines.map(|line| (quoted(line)[0].clone(), quoted(line)[1].clone())).collect()
}

/// The files of the source that an asset takes.
fn matching(from: &str) -> Vec<String> {
    let (folder, name) = from.rsplit_once('/').unwrap_or((".", from));
    let Some((before, after)) = name.split_once('*') else {
        return if root().join(from).is_file() { vec![from.to_owned()] } else { Vec::new() };
    };
    let names = files_in(&root().join(folder)).into_iter();
    let taken = names.filter(|name| name.starts_with(before) && name.ends_with(after));
    taken.map(|name| format!("{folder}/{name}")).collect()
}

#[test]
fn every_link_in_the_documents_of_the_package_leads_to_a_file_of_the_package() {
    const DOCUMENTS: &str = "usr/share/doc/koogate/";
    let mut installed = BTreeSet::new();
    for (from, to) in assets().into_iter().filter(|(_, to)| to.starts_with(DOCUMENTS)) {
        for file in matching(&from) {
            // Only what lies as it does in the source is where a link looks for it.
            assert_eq!(format!("{to}{}", file.rsplit('/').next().unwrap()), format!("{DOCUMENTS}{file}"));
            installed.insert(file);
        }
    }
    let (mut seen, mut missing) = (0, Vec::new());
    for file in installed.iter().filter(|file| file.ends_with(".md")) {
        let text = read(file);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.starts_with("https://")) {
            let mut parts: Vec<_> = file.split('/').collect();
            parts.pop();
            for part in link.split('/') {
                if part == ".." { parts.pop().map(|_| ()).unwrap() } else { parts.push(part) }
            }
            if !installed.contains(&parts.join("/")) {
                missing.push(format!("{file}: {link}"));
            }
            seen += 1;
        }
    }
    assert!(missing.is_empty(), "not in the package:\n{}", missing.join("\n"));
    assert!(seen > 100, "only {seen} links found");
}

#[test]
fn what_the_package_installs_is_there() {
    let assets = assets();
    let of_the_source: Vec<_> = assets.iter().filter(|(from, _)| !from.starts_with("target/")).collect();
    assert!(of_the_source.len() >= 10, "only {of_the_source:?}");
    for (from, _) in of_the_source {
        assert!(!matching(from).is_empty(), "{from}");
    }
    let manifest = read("Cargo.toml");
    let section = manifest.split("[package.metadata.deb]").nth(1).unwrap().split("\n[").next().unwrap();
    // Every program that an asset of target/package needs is made by the script.
    let script = read("packaging/build-deb");
    for made in ["man", "completions", "systemd"] {
        assert!(
            section.contains(&format!("target/package/{made}")) && script.contains(&format!("$made/{made}")),
            "{made}"
        );
    }
    let unit = read("packaging/koogate.service");
    assert!(unit.contains("\nExecStart=/usr/local/bin/koogate serve\n"), "the script has another path to replace");
}

#[test]
fn the_user_and_the_folder_are_the_same_everywhere() {
    let unit = read("packaging/koogate.service");
    let value = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name}")).to_owned()
    };
    let (user, folder, mode) = (value("User"), value("WorkingDirectory"), value("StateDirectoryMode"));
    let has_line =
        |file: &str, line: &str| assert!(read(file).lines().any(|is| is.starts_with(line)), "{file}: {line}");
    has_line("packaging/sysusers.conf", &format!("u {user} - "));
    assert!(read("packaging/sysusers.conf").trim_end().ends_with(&folder));
    has_line("packaging/tmpfiles.conf", &format!("d {folder} {mode} {user} {user} -"));
    has_line("packaging/deb/package.conf", &format!("ConditionPathExists={folder}/koogate.toml"));
    has_line("Dockerfile", &format!("WORKDIR {folder}"));
}

#[test]
fn no_script_of_the_package_removes_what_was_sold_or_who_owns_it() {
    for name in ["postinst", "prerm", "postrm"] {
        let script = read(&format!("packaging/deb/{name}"));
        // What is said to people stands between the marks.
        let (mut done, mut is_said) = (String::new(), false);
        for line in script.lines().filter(|line| !line.starts_with('#')) {
            match line.trim() {
                "WORDS" => is_said = false,
                line if line.ends_with("<<'WORDS'") => is_said = true,
                line if !is_said => done.push_str(&format!("{line}\n")),
                _ => {}
            }
        }
        for word in ["rm ", "userdel", "deluser", "mv ", "chown", "> "] {
            let is_harmless = |line: &&str| line.contains(">/dev/null");
            let found: Vec<_> = done.lines().filter(|line| line.contains(word) && !is_harmless(line)).collect();
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }
}

/// The whole package, built from what `cargo build` makes, looked into and put into a folder as dpkg puts it into a system.
mod needs_dpkg {
    use super::*;

    struct Package {
        file: PathBuf,
        folder: tempfile::TempDir,
    }

    impl Package {
        fn build() -> Self {
            let built = Command::new(root().join("packaging/build-deb"))
                .env("KOOGATE_PROFILE", "dev")
                .env("KOOGATE_BUILT", "1")
                .output()
                .unwrap();
            assert!(built.status.success(), "{}", text(&built.stderr));
            let file = root().join(text(&built.stdout).trim());
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("var/lib/dpkg/updates")).unwrap();
            std::fs::create_dir_all(folder.path().join("var/lib/dpkg/info")).unwrap();
            for name in ["status", "available"] {
                std::fs::write(folder.path().join("var/lib/dpkg").join(name), "").unwrap();
            }
            Self { file, folder }
        }

        /// `dpkg` on a system in a folder; its scripts run outside and are told where it is.
        fn dpkg(&self, args: &[&str]) -> String {
            let to = format!("--root={}", self.folder.path().display());
            let mut command = Command::new("dpkg");
            command.args([to.as_str(), "--force-script-chrootless", "--force-depends", "--force-not-root"]);
            let output = command.args(["--force-confdef", "--log=/dev/null"]).args(args).output().unwrap();
            let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
            assert!(output.status.success(), "dpkg {args:?}:\n{said}");
            said
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }
    }

    #[test]
    #[ignore = "needs cargo-deb, dpkg, lintian and root; .ci/run runs it"]
    fn the_package_is_installed_upgraded_removed_and_purged_and_what_was_sold_stays() {
        let package = Package::build();
        let file = package.file.to_str().unwrap();
        let strict = ["--fail-on", "error,warning", "--allow-root"];
        let found = Command::new("lintian").args(strict).arg(file).output().unwrap();
        assert!(found.status.success(), "{}{}", text(&found.stdout), text(&found.stderr));

        let said = package.dpkg(&["--install", file]);
        assert!(said.contains("sudo -u koogate koogate init /var/lib/koogate"), "{said}");
        let program = package.path("usr/bin/koogate");
        assert!(output(program.to_str().unwrap(), &["--version"]).starts_with("koogate "));
        let unit = std::fs::read_to_string(package.path("usr/lib/systemd/system/koogate.service")).unwrap();
        assert!(unit.contains("\nExecStart=/usr/bin/koogate serve\n"), "{unit}");
        for name in [
            "usr/share/man/man1/koogate.1.gz",
            "usr/share/man/man1/koogate-simulate.1.gz",
            "usr/share/bash-completion/completions/koogate",
            "usr/share/zsh/vendor-completions/_koogate",
            "usr/share/fish/vendor_completions.d/koogate.fish",
            "usr/share/doc/koogate/docs/operations.md",
            "etc/koogate/koogate.env",
        ] {
            assert!(package.path(name).exists(), "{name}");
        }

        // As the words of the package tell it.
        let state = package.path("var/lib/koogate");
        output(program.to_str().unwrap(), &["init", state.to_str().unwrap()]);
        std::fs::write(state.join("koogate.db"), "what was sold").unwrap();
        let kept = || {
            assert_eq!(std::fs::read_to_string(state.join("koogate.db")).unwrap(), "what was sold");
            assert!(state.join("koogate.toml").exists() && state.join("sealing.key").exists());
        };
        let said = package.dpkg(&["--install", file]);
        assert!(!said.contains("not set up yet"), "{said}");
        kept();
        package.dpkg(&["--remove", "koogate"]);
        assert!(!program.exists() && package.path("etc/koogate/koogate.env").exists());
        kept();
        let said = package.dpkg(&["--purge", "koogate"]);
        assert!(said.contains("/var/lib/koogate is kept"), "{said}");
        assert!(!package.path("etc/koogate").exists());
        kept();
    }
}
