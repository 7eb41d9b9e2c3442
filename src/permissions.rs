//! Who else on this machine can read or change koogate's files: looked at when the server starts or reloads, and by
//! `koogate check`. Nothing is opened, only asked for its owner and mode.
//!
//! Files with secrets are judged where they are read (`config`), the certificate's key by `certificates`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, exposed};

/// What should be mended, a sentence each; empty when nobody else can do anything.
pub fn remarks(config_file: &Path, config: &Config) -> Vec<String> {
    let database = &config.database.path;
    let series = config.database.snapshots.as_ref().map(|series| series.directory.as_path());
    let mut remarks = Vec::new();
    let mut folders: Vec<&Path> = [config_file, database].map(folder_of).into_iter().chain(series).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        remarks.extend(about(folder).and_then(|found| of_folder(folder, &found)));
    }
    remarks.extend(about(config_file).and_then(|found| of_owner(config_file, &found)));
    for file in copies(database, &config.database.snapshot_path(), series) {
        let Some(found) = about(&file) else { continue };
        remarks.extend(exposed(found.mode()).map(|advice| format!("{} {advice}", file.display())));
        remarks.extend(of_owner(&file, &found));
    }
    remarks
}

/// The database with what SQLite keeps beside it, the snapshot, and the series.
fn copies(database: &Path, snapshot: &Path, series: Option<&Path>) -> Vec<PathBuf> {
    let beside = |end: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut files = vec![database.to_owned(), beside("-wal"), beside("-shm"), beside(".lock"), snapshot.to_owned()];
    let entries = series.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut dated: Vec<_> = entries.map(|entry| entry.path()).collect();
    dated.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    dated.sort_unstable();
    files.extend(dated);
    files
}

/// `None` where there is nothing, or nothing that may be looked at.
fn about(path: &Path) -> Option<Metadata> {
    std::fs::metadata(path).ok()
}

/// Whoever can write to a folder can put another file in the place of any in it, unless its sticky bit keeps each to his own.
fn of_folder(folder: &Path, found: &Metadata) -> Option<String> {
    const WRITABLE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let mode = found.mode() & 0o7777;
    if mode & WRITABLE != 0 && mode & STICKY == 0 {
        let folder = folder.display();
        return Some(format!("other users can replace the files in {folder} (mode {mode:04o}); run chmod 700 on it"));
    }
    of_owner(folder, found)
}

fn of_owner(path: &Path, found: &Metadata) -> Option<String> {
    const ROOT: u32 = 0;
    let own = rustix::process::geteuid().as_raw();
    // Root works on everybody's files.
    let is_strange = own != ROOT && found.uid() != own && found.uid() != ROOT;
    let (path, owner) = (path.display(), found.uid());
    is_strange.then(|| format!("{path} belongs to another user (number {owner}), who can change it; run chown on it"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const CONFIG: &str = "[database.snapshots]\ndirectory = 'series'\n[keys]\nbasic = 'de305d54-75b4-431b'\n\
        sealing_key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'\n\
        [[product]]\nfulfilment = 'manual'\n";

    #[test]
    fn what_others_can_read_or_replace_is_told_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let set = |name: &str, mode: u32| fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        fs::create_dir(at("series")).unwrap();
        set("series", 0o700);
        set("", 0o700);
        let files = [
            "koogate.db",
            "koogate.db-wal",
            "koogate.db-shm",
            "koogate.snapshot.db",
            "series/koogate-1.db",
            "koogate.toml",
        ];
        for name in files {
            fs::write(at(name), CONFIG).unwrap();
            set(name, 0o600);
        }
        let config = Config::load(&at("koogate.toml")).unwrap();
        let remarks = || remarks(&at("koogate.toml"), &config);
        assert_eq!(remarks(), Vec::<String>::new());
        for name in &files[..5] {
            set(name, 0o640);
            let expected = format!("{} is open to other users (mode 0640); run chmod 600 on it", at(name).display());
            assert_eq!(remarks(), [expected]);
            set(name, 0o600);
        }
        for (name, mode) in [("", 0o770), ("", 0o707), ("series", 0o777)] {
            set(name, mode);
            let told = remarks();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("other users can replace the files in "), "{told:?}");
            set(name, 0o700);
        }
        // What others may only look into, and what each may change his own files in only.
        for (name, mode) in [("", 0o755), ("", 0o1777)] {
            set(name, mode);
            assert_eq!(remarks(), Vec::<String>::new(), "{mode:o}");
        }
    }
}
