//! A disk that keeps only what it was told to keep: from the deeds of a process, every folder that a power cut could leave.
//!
//! The rules are those of POSIX, not of a kind file system. What was written before a sync began is sure when the sync has
//! returned. Any other write may be there, or not, or in part, whatever the order; a name that was made, changed or removed
//! is sure when the folder was synced. A sector of 512 bytes is written whole or not at all.

use std::collections::BTreeMap;

use super::trace::{Deed, Event};
use crate::crash::market::random;

const SECTOR: usize = 512;

/// Which of the things that are not sure happen to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// Any, and writes in part.
    Any,
}

/// Names and contents, as sure as they are.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// As the process sees it.
    names: BTreeMap<String, usize>,
    sure_names: BTreeMap<String, usize>,
    unsure_names: Vec<(usize, NameChange)>,
    files: Vec<File>,
    /// Files outside the folder that something may be copied from.
    outside: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, Default)]
struct File {
    sure: Vec<u8>,
    unsure: Vec<(usize, DataChange)>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Add(String, usize),
    Move(String, String, usize),
    Remove(String),
}

#[derive(Debug, Clone)]
enum DataChange {
    Write(u64, Vec<u8>),
    Cut(u64),
}

impl Disk {
    /// Lets copies be made of a file elsewhere.
    pub fn know_outside(&mut self, path: &str, content: Vec<u8>) {
        self.outside.insert(path.to_owned(), content);
    }

    /// Everything that happened before is years ago: between two traces, where the process had ended.
    pub fn next_trace(&mut self) {
        let changes = self.files.iter_mut().flat_map(|file| &mut file.unsure).map(|(over, _)| over);
        changes.chain(self.unsure_names.iter_mut().map(|(over, _)| over)).for_each(|over| *over = 0);
    }

    /// Takes in a deed: at its beginning what it changes becomes possible. A sync counts at its end.
    pub fn take(&mut self, event: &Event) {
        let over = event.over;
        match &event.deed {
            Deed::Make(name) => {
                if !self.names.contains_key(name) {
                    self.files.push(File::default());
                    self.change_name(over, NameChange::Add(name.clone(), self.files.len() - 1));
                }
            }
            Deed::Write { file, at, bytes } => self.change(file, over, DataChange::Write(*at, bytes.clone())),
            Deed::Cut { file, length } => self.change(file, over, DataChange::Cut(*length)),
            Deed::Copy { from, to, count } => {
                let name = from.rsplit('/').next().unwrap();
                let source = self.outside.get(from).cloned();
                let source = source.unwrap_or_else(|| self.seen(name).unwrap_or_else(|| panic!("no {from}")));
                let at = self.seen(to).unwrap().len();
                let bytes = source[at..at + usize::try_from(*count).unwrap()].to_vec();
                self.change(to, over, DataChange::Write(at as u64, bytes));
            }
            Deed::Sync(file) => {
                let Some(at) = self.names.get(file) else { return };
                let file = &mut self.files[*at];
                let (sure, unsure) = file.unsure.drain(..).partition(|(over, _)| *over < event.begun);
                file.unsure = unsure;
                let sure: Vec<_> = sure;
                sure.iter().for_each(|(_, change)| change.apply(&mut file.sure, Chance::Everything));
            }
            Deed::SyncFolder => {
                let (sure, unsure) = self.unsure_names.drain(..).partition(|(over, _)| *over < event.begun);
                self.unsure_names = unsure;
                let sure: Vec<_> = sure;
                sure.iter().for_each(|(_, change)| change.apply(&mut self.sure_names));
            }
            Deed::Rename { from, to } => {
                let Some(at) = self.names.get(from).copied() else { return };
                self.change_name(over, NameChange::Move(from.clone(), to.clone(), at));
            }
            Deed::Link { from, to } => {
                let Some(at) = self.names.get(from).copied() else { return };
                self.change_name(over, NameChange::Add(to.clone(), at));
            }
            Deed::Unlink(name) => self.change_name(over, NameChange::Remove(name.clone())),
            Deed::Send { .. } => {}
        }
    }

    fn change(&mut self, file: &str, over: usize, change: DataChange) {
        // Without a name nobody can find it after the power cut.
        if let Some(at) = self.names.get(file) {
            self.files[*at].unsure.push((over, change));
        }
    }

    fn change_name(&mut self, over: usize, change: NameChange) {
        change.apply(&mut self.names);
        self.unsure_names.push((over, change));
    }

    /// A file's content as the process sees it.
    fn seen(&self, name: &str) -> Option<Vec<u8>> {
        self.names.get(name).map(|at| self.files[*at].after(Chance::Everything))
    }

    /// How many things are not sure.
    pub fn unsure(&self) -> usize {
        self.unsure_names.len() + self.files.iter().map(|file| file.unsure.len()).sum::<usize>()
    }

    /// The folder after a power cut now. An index of a log (`-shm`) is never on disk for sure, and made anew.
    pub fn after_power_cut(&self, chance: Chance) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.sure_names.clone();
        // Names are changed in their order: file systems keep a journal of them. Which was the last is open.
        let kept = match chance {
            Chance::Nothing => 0,
            Chance::Everything => self.unsure_names.len(),
            Chance::Any => random(self.unsure_names.len() + 1),
        };
        self.unsure_names.iter().take(kept).for_each(|(_, change)| change.apply(&mut names));
        let contents: Vec<_> = self.files.iter().map(|file| file.after(chance)).collect();
        let files = names.into_iter().filter(|(name, _)| !name.ends_with("-shm"));
        files.map(|(name, at)| (name, contents[at].clone())).collect()
    }
}

impl File {
    fn after(&self, chance: Chance) -> Vec<u8> {
        let mut content = self.sure.clone();
        for (_, change) in &self.unsure {
            match chance {
                Chance::Nothing => {}
                Chance::Everything => change.apply(&mut content, Chance::Everything),
                Chance::Any => match random(3) {
                    0 => {}
                    1 => change.apply(&mut content, Chance::Everything),
                    _ => change.apply(&mut content, Chance::Any),
                },
            }
        }
        content
    }
}

impl DataChange {
    /// Does it, or, with [`Chance::Any`], some sectors of it.
    fn apply(&self, content: &mut Vec<u8>, chance: Chance) {
        match self {
            Self::Cut(length) => content.resize(usize::try_from(*length).unwrap(), 0),
            Self::Write(at, bytes) => {
                let start = usize::try_from(*at).unwrap();
                let mut done = 0;
                while done < bytes.len() {
                    let from = start + done;
                    let count = (SECTOR - from % SECTOR).min(bytes.len() - done);
                    if chance == Chance::Everything || random(2) == 0 {
                        content.resize(content.len().max(from + count), 0);
                        content[from..from + count].copy_from_slice(&bytes[done..done + count]);
                    }
                    done += count;
                }
            }
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Add(name, at) => {
                names.insert(name.clone(), *at);
            }
            Self::Move(from, to, at) => {
                names.remove(from);
                names.insert(to.clone(), *at);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}
