//! Where the database lies: the kind of file system, and the room that is left.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Sink, Subject};
use crate::config::{Config, SizeText};

const FILE_SYSTEM: Subject = "file-system";
const SPACE: Subject = "disk";

/// A second copy must fit with this to spare, and the log of some busy minutes with it.
const SPARE: u64 = 16 << 20;

/// Less than this beside three copies is somebody's business.
const COMFORTABLE: u64 = 256 << 20;

/// Fewer free inodes are somebody's business.
const INODES: u64 = 1_000;

/// What a file system is for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good(&'static str),
    /// It forgets, or it is shared with other machines.
    Bad(&'static str, &'static str),
    Doubtful(&'static str, &'static str),
    Unknown,
}

const SHARED: &str = "SQLite's log needs memory that all processes share and a sync that is one: a file system of a network \
                      gives neither for certain, and answered calls can be lost";
const FORGETS: &str = "it is kept in memory: everything is gone when the machine restarts";
const BEHIND: &str = "what is behind it decides whether a sync is one";
const LAYER: &str = "that is how a container sees what goes with it: the database is gone when the container is";
const CRUDE: &str = "it knows no owners and loses its order in a power cut";

/// By the number that statfs tells (linux/magic.h).
fn kind(magic: u64) -> Kind {
    match magic & 0xFFFF_FFFF {
        0xEF53 => Kind::Good("ext4"),
        0x5846_5342 => Kind::Good("XFS"),
        0x9123_683E => Kind::Good("Btrfs"),
        0x2FC1_2FC1 => Kind::Good("ZFS"),
        0xF2F5_2010 => Kind::Good("F2FS"),
        0x6969 => Kind::Bad("NFS", SHARED),
        0xFF53_4D42 | 0xFE53_4D42 | 0x517B => Kind::Bad("SMB/CIFS", SHARED),
        0x0102_1997 => Kind::Bad("9p", SHARED),
        0x00C3_6400 => Kind::Bad("Ceph", SHARED),
        0x5346_414F | 0x6B41_4653 => Kind::Bad("AFS", SHARED),
        0x0BD0_0BD0 => Kind::Bad("Lustre", SHARED),
        0x786F_4256 => Kind::Bad("a folder of VirtualBox's host", SHARED),
        0x0102_1994 => Kind::Bad("tmpfs", FORGETS),
        0x8584_58F6 => Kind::Bad("ramfs", FORGETS),
        0x6573_5546 => Kind::Doubtful("FUSE", BEHIND),
        0x6A65_6A63 => Kind::Doubtful("virtiofs", BEHIND),
        0x794C_7630 => Kind::Doubtful("overlay", LAYER),
        0x4D44 | 0x2011_BAB0 => Kind::Doubtful("FAT", CRUDE),
        _ => Kind::Unknown,
    }
}

pub(super) fn look(config: &Config, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let folder = folder_of(&config.database.path);
    let mend = "put the database on a disk of this machine: database.path";
    match rustix::fs::statfs(folder) {
        Err(error) => to.warning(FILE_SYSTEM, format!("{} cannot be asked: {error}", folder.display()), mend)?,
        #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type is another on other machines")]
        Ok(found) => match kind(found.f_type as u64) {
            Kind::Good(name) => to.ok(FILE_SYSTEM, format!("{} is on {name}", folder.display()))?,
            Kind::Bad(name, why) => {
                to.error(FILE_SYSTEM, format!("{} is on {name}; {why}", folder.display()), mend)?;
            }
            Kind::Doubtful(name, why) => {
                to.warning(FILE_SYSTEM, format!("{} is on {name}; {why}", folder.display()), mend)?;
            }
            Kind::Unknown => {
                let text =
                    format!("{} is on a file system that is not known here ({:#x})", folder.display(), found.f_type);
                to.ok(FILE_SYSTEM, text)?;
            }
        },
    }
    let size = size_of(&config.database.path) + log_of(&config.database.path);
    room(folder, "another copy of the database", size, to)?;
    match &config.database.snapshots {
        Some(series) if device_of(&series.directory) != device_of(folder) && series.directory.exists() => {
            room(&series.directory, "another snapshot of the series", size, to)
        }
        _ => Ok(()),
    }
}

fn room(folder: &Path, what: &str, size: u64, to: &mut Sink<'_>) -> anyhow::Result<()> {
    let found = match rustix::fs::statvfs(folder) {
        Ok(found) => found,
        Err(error) => {
            return to.warning(SPACE, format!("{} cannot be asked: {error}", folder.display()), "see the disk");
        }
    };
    let left = found.f_bavail.saturating_mul(found.f_frsize);
    let inodes = (found.f_files > 0).then_some(found.f_favail);
    let (free, needs) = (SizeText(left >> 20 << 20), SizeText(size));
    let mend = "docs/operations.md, The disk is full: free some, or give the database another disk";
    match judge(left, inodes, size) {
        Room::Enough => to.ok(SPACE, format!("{free} are free in {}; {what} takes {needs}", folder.display())),
        Room::Little => {
            to.warning(SPACE, format!("only {free} are free in {}; {what} takes {needs}", folder.display()), mend)
        }
        Room::TooLittle => to.error(
            SPACE,
            format!("only {free} are free in {}: {what} ({needs}) does not fit", folder.display()),
            mend,
        ),
        Room::NoInodes => {
            let text = format!("no more than {} files can be made in {}", found.f_favail, folder.display());
            to.warning(SPACE, text, "remove what is not needed: the file system has as many files as it can have")
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Room {
    Enough,
    Little,
    TooLittle,
    NoInodes,
}

/// `inodes`: `None` where the file system does not count them.
fn judge(left: u64, inodes: Option<u64>, size: u64) -> Room {
    if left < size.saturating_add(SPARE) {
        Room::TooLittle
    } else if inodes.is_some_and(|inodes| inodes < INODES) {
        Room::NoInodes
    } else if left < size.saturating_mul(3).saturating_add(COMFORTABLE) {
        Room::Little
    } else {
        Room::Enough
    }
}

/// Asked by name: the database is never opened by ordinary file calls.
fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

fn log_of(database: &Path) -> u64 {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    size_of(Path::new(&name))
}

fn device_of(path: &Path) -> Option<u64> {
    std::fs::metadata(path).map(|found| found.dev()).ok()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Finding, Level};

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        assert_eq!(kind(0xEF53), Kind::Good("ext4"));
        assert_eq!(kind(0x6969), Kind::Bad("NFS", SHARED));
        // As a signed number of 32 bits it is negative.
        assert_eq!(kind(0xFFFF_FFFF_FF53_4D42), Kind::Bad("SMB/CIFS", SHARED));
        assert_eq!(kind(0x0102_1994), Kind::Bad("tmpfs", FORGETS));
        assert!(matches!(kind(0x6573_5546), Kind::Doubtful("FUSE", _)));
        assert!(matches!(kind(0x794C_7630), Kind::Doubtful("overlay", _)));
        assert_eq!(kind(1), Kind::Unknown);
    }

    #[test]
    fn another_copy_must_fit_and_more_is_better() {
        let mib = |number: u64| number << 20;
        assert_eq!(judge(mib(1000), Some(10_000), mib(100)), Room::Enough);
        assert_eq!(judge(mib(500), Some(10_000), mib(100)), Room::Little);
        assert_eq!(judge(mib(110), Some(10_000), mib(100)), Room::TooLittle);
        assert_eq!(judge(mib(1000), Some(10), mib(100)), Room::NoInodes);
        assert_eq!(judge(mib(1000), None, mib(100)), Room::Enough);
    }

    #[test]
    fn a_database_in_memory_is_an_error() {
        // Where there is no such folder there is nothing to try.
        if !Path::new("/dev/shm").is_dir() {
            return;
        }
        let keys = "[keys]\nbasic = 'de305d54-75b4-431b'\n\
                    sealing_key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'\n";
        let text = format!("{keys}[database]\npath = '/dev/shm/koogate.db'\n[[product]]\nfulfilment = 'manual'\n");
        let config = Config::from_toml(&text, Path::new("")).unwrap();
        let mut found: Vec<Finding> = Vec::new();
        let mut tell = |finding: &Finding| {
            found.push(finding.clone());
            Ok(())
        };
        look(&config, &mut Sink::new(&mut tell)).unwrap();
        assert_eq!((found[0].subject, found[0].level), (FILE_SYSTEM, Level::Error), "{found:?}");
    }
}
