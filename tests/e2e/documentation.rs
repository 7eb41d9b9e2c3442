//! What README and docs/ say is so: events as the code writes them, commands that exist, links that lead somewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use koogate::fulfilment::event::{Event, EventName};
use serde_json::Value;

use crate::harness::text as text_of;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages at the top, everything in docs/ in both languages, and those of the recipes, with their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files: Vec<_> = ["README.md", "README.zh-CN.md", "CHANGELOG.md"].map(|name| root().join(name)).into();
    for folder in ["docs", "examples"] {
        collect(&root().join(folder), &|file| has_extension(file, &["md", "yaml"]), &mut files);
    }
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(&file).unwrap())).collect()
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

/// All files of a folder and its folders that are wanted.
fn collect(folder: &Path, is_wanted: &dyn Fn(&Path) -> bool, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What somebody has installed to try a recipe out.
            if !path.ends_with("node_modules") && !path.ends_with("venv") {
                collect(&path, is_wanted, files);
            }
        } else if is_wanted(&path) {
            files.push(path);
        }
    }
}

/// The fenced blocks of one language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let open = format!("\n```{language}\n");
    text.split(&open).skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect()
}

/// What stands between `before` and `after`, wherever it does.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once(after)?.0)).collect()
}

#[test]
fn every_event_of_this_version_is_documented_as_it_is_sent() {
    let text = std::fs::read_to_string(root().join("docs/events.md")).unwrap();
    let events: Vec<Event> = blocks(&text, "json")
        .into_iter()
        .filter(|block| block.contains("\"operationId\""))
        .map(|block| {
            let event: Event = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
            let sent: Value = serde_json::from_str(&event.to_json()).unwrap();
            assert_eq!(sent, serde_json::from_str::<Value>(block).unwrap());
            event
        })
        .collect();
    let names: Vec<_> = events.iter().map(Event::name).collect();
    assert_eq!(names, EventName::ALL[..12], "creation to departments, in this order");
}

#[test]
fn every_command_and_option_in_the_documents_exists() {
    let (mut seen, mut missing) = (0, Vec::new());
    for (file, text) in documents() {
        for line in between(&text, "`koogate ", "`") {
            let words: Vec<&str> = line.split_whitespace().collect();
            let words = if words[0] == "--config" { &words[2..] } else { &words[..] };
            // The command and its subcommand come first; arguments are written in capitals, or have a dot or a slash.
            let is_letter = |c: char| c.is_ascii_lowercase() || c == '-';
            let is_command = |word: &&&str| !word.starts_with('-') && word.chars().all(is_letter);
            let command: Vec<_> = words.iter().take_while(is_command).take(2).collect();
            assert!(!command.is_empty(), "{}: koogate {line}", file.display());
            let help = Command::new(env!("CARGO_BIN_EXE_koogate")).args(&command).arg("--help").output().unwrap();
            let told = text_of(&help.stdout);
            let has = |option: &&&str| told.contains(option.split('=').next().unwrap());
            let options = words.iter().filter(|word| word.starts_with("--"));
            if !help.status.success() || !options.clone().all(|option| has(&option)) {
                missing.push(format!("{}: koogate {line}", file.display()));
            }
            seen += 1;
        }
    }
    assert!(missing.is_empty(), "no such command or option:\n{}", missing.join("\n"));
    assert!(seen > 20, "only {seen} commands found");
}

/// The anchor of a heading, as GitHub makes it: punctuation goes, in whatever language.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut missing = Vec::new();
    for (file, text) in documents() {
        for link in between(&text, "](", ")").into_iter().filter(|link| !link.starts_with("https://")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.clone() } else { file.with_file_name("").join(path) };
            // A picture has no headings.
            let leads = if heading.is_empty() {
                target.exists()
            } else {
                let there = std::fs::read_to_string(&target).unwrap_or_default();
                there.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
            };
            if !leads {
                missing.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "these lead nowhere:\n{}", missing.join("\n"));
}

#[test]
fn every_setting_that_the_documents_name_exists() {
    let example = std::fs::read_to_string(root().join("config.example.toml")).unwrap();
    let lines = || example.lines().map(|line| line.trim_start_matches('#'));
    // Also `access = { front_end_url = … }`, where a key stands within a line.
    let is_key = |key: &str| lines().any(|line| line.contains(&format!("{key} = ")));
    let is_table = |name: &str| lines().any(|line| line == name);
    let (mut seen, mut missing) = (0, Vec::new());
    for (file, text) in documents() {
        // Odd pieces stand between backticks.
        for code in text.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n')) {
            let found = if let Some((key, value)) = code.split_once(" = ") {
                let is_name = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                // No pragma of SQLite's, say.
                let is_toml = value.starts_with(|c: char| "\"[{".contains(c) || c.is_ascii_digit());
                (is_name && (is_toml || ["true", "false", "…"].contains(&value))).then(|| is_key(key))
            } else if code.starts_with('[') && code.ends_with(']') {
                let name = code.trim_matches(['[', ']']);
                let is_name = name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'));
                (is_name && !name.is_empty()).then(|| is_table(code))
            } else {
                None
            };
            let Some(exists) = found else { continue };
            if !exists {
                missing.push(format!("{}: `{code}`", file.display()));
            }
            seen += 1;
        }
    }
    assert!(missing.is_empty(), "in no line of config.example.toml:\n{}", missing.join("\n"));
    assert!(seen > 50, "only {seen} settings found");
}

#[test]
fn the_pages_of_both_languages_lead_to_each_other() {
    let pages = std::fs::read_dir(root().join("docs/zh")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut seen = 0;
    for (english, chinese) in pages.map(|name| (root().join("docs").join(&name), root().join("docs/zh").join(&name))) {
        for (from, to) in [(&english, &chinese), (&chinese, &english)] {
            let text = std::fs::read_to_string(from).unwrap();
            let head: String = text.lines().take(4).collect();
            let name = to.file_name().unwrap().to_str().unwrap();
            assert!(
                head.contains(&format!("{name})")),
                "{}: no link to the other language at its head",
                from.display()
            );
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} pages found");
}

#[test]
fn the_readme_shows_the_example_application_as_it_is() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let example = std::fs::read_to_string(root().join("examples/hello_hook.py")).unwrap();
    let shown = blocks(&readme, "python");
    assert!(shown.len() == 1 && example.trim_end().ends_with(shown[0]), "{shown:?}");
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let mut sources = Vec::new();
    for folder in ["src", "tests/e2e"] {
        collect(&root().join(folder), &|file| has_extension(file, &["rs"]), &mut sources);
    }
    let functions: String = sources.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for (file, text) in documents() {
        // Odd pieces stand between backticks.
        for name in text.split('`').skip(1).step_by(2) {
            let is_test =
                name.contains("::") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            let function = name.rsplit("::").next().unwrap();
            if !is_test || function.split('_').count() < 4 {
                continue;
            }
            assert!(functions.contains(&format!("fn {function}()")), "{}: no test {name}", file.display());
        }
    }
}

/// Tests that need a program are ignored by `cargo test`: whatever `.ci/run` does not name is run by nobody.
#[test]
fn every_module_of_tests_that_needs_something_is_run_by_ci() {
    let mut sources = Vec::new();
    for folder in ["src", "tests/e2e"] {
        collect(&root().join(folder), &|file| has_extension(file, &["rs"]), &mut sources);
    }
    let script = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let mut seen = 0;
    for source in sources {
        let text = std::fs::read_to_string(&source).unwrap();
        let modules = text.lines().filter_map(|line| line.trim_start().strip_prefix("mod needs_"));
        for module in modules.map(|rest| format!("needs_{}::", rest.trim_end_matches([' ', '{', ';']))) {
            let is_run = |line: &str| line.contains("-- --ignored") && line.split(' ').any(|word| word == module);
            assert!(script.lines().any(is_run), "{}: .ci/run does not run {module}", source.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} modules found");
}
