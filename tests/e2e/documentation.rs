//! What README and docs/ say is so: events as the code writes them, commands that exist, links that lead somewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use koogate::fulfilment::event::{Event, EventName};
use serde_json::Value;

use crate::harness::text as text_of;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, changelog and everything in docs/, with their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let files = [root().join("README.md"), root().join("CHANGELOG.md")].into_iter().chain(docs);
    files.map(|file| (file.clone(), std::fs::read_to_string(&file).unwrap())).collect()
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
    let mut seen = 0;
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
            assert!(help.status.success(), "{}: koogate {line}", file.display());
            let help = text_of(&help.stdout);
            for option in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{}: koogate {line}: no {option} in\n{help}", file.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands found");
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    for (file, text) in documents() {
        for link in between(&text, "](", ")") {
            if link.starts_with("https://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.clone() } else { file.with_file_name("").join(path) };
            let there = std::fs::read_to_string(&target).unwrap_or_else(|e| panic!("{}: {link}: {e}", file.display()));
            let anchor =
                |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-").replace('…', "");
            let headings: Vec<_> = there.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
            assert!(heading.is_empty() || headings.iter().any(|h| h == heading), "{}: {link}", file.display());
        }
    }
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
    let mut functions = String::new();
    for folder in ["src", "tests/e2e"] {
        collect_source(&root().join(folder), &mut functions);
    }
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

fn collect_source(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_source(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
