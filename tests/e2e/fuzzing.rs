//! The fuzz targets in the normal run: the whole corpus through every target, then a bounded number of mutations of it.
//!
//! `fuzz/run` does the rest, with libFuzzer and for as long as one likes.

#[path = "../targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use targets::{TARGETS, run};

/// Mutations tried of each target's corpus.
const CASES: u32 = 300;

/// All the corpus together, in bytes.
const LARGEST: u64 = 300 << 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The inputs of a target, by the names of their files.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries =
        fs::read_dir(folder().join("corpus").join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_target_takes_its_whole_corpus() {
    let mut wrong = Vec::new();
    for (name, _) in TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 5, "{name}: {} inputs", inputs.len());
        for (file, input) in inputs {
            if catch_unwind(AssertUnwindSafe(|| run(name, &input))).is_err() {
                wrong.push(format!("{name}/{file}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_target_takes_mutations_of_its_corpus() {
    for (name, target) in TARGETS {
        let inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let mutated = (prop::sample::select(inputs.clone()), prop::sample::select(inputs), mutations());
        runner
            .run(&mutated, |(input, other, mutations)| {
                let input = mutations.iter().fold(input, |input, mutation| mutation.apply(input, &other));
                target(&input);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A change of an input.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, usize),
    CrossOver(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index),
}

impl Mutation {
    fn apply(&self, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
        if input.is_empty() {
            return other.to_vec();
        }
        let length = input.len();
        match self {
            Self::Replace(at, byte) => input[at.index(length)] = *byte,
            Self::Remove(at, count) => {
                let at = at.index(length);
                input.drain(at..length.min(at + count));
            }
            Self::Insert(at, bytes) => {
                let at = at.index(length);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Repeat(at, count) => {
                let at = at.index(length);
                let piece = input[at..length.min(at + count)].to_vec();
                input.splice(at..at, piece);
            }
            Self::CrossOver(at, from) => {
                input.truncate(at.index(length));
                input.extend(&other[from.index(other.len() + 1)..]);
            }
            Self::Cut(at) => input.truncate(at.index(length)),
        }
        input
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let index = || any::<prop::sample::Index>();
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..5),
        prop::sample::select(vec![
            "\0", "\r\n", "\"", "\\u0000", "null", "%", "{", "[", ",", "é", "\u{feff}", "=", "9999"
        ])
        .prop_map(|text: &str| text.as_bytes().to_vec()),
    ];
    let mutation = prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (index(), 1..20usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (index(), bytes).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (index(), 1..50usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        (index(), index()).prop_map(|(at, from)| Mutation::CrossOver(at, from)),
        index().prop_map(Mutation::Cut),
    ];
    prop::collection::vec(mutation, 1..6)
}

#[test]
fn every_target_has_its_program_and_its_corpus_and_the_corpus_is_small() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let in_folder = |folder: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(in_folder(folder().join("fuzz_targets")), names);
    assert_eq!(in_folder(folder().join("corpus")), names);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
        let program = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{name}\", data)")), "{name}");
    }
    let size: u64 = TARGETS.iter().flat_map(|(name, _)| corpus(name)).map(|(_, input)| input.len() as u64).sum();
    assert!(size < LARGEST, "{size} bytes");
}
