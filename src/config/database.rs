//! `[database]`: the SQLite file, its snapshots, and how long the journal is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::section::Section;
use crate::config::value::{duration, integer};

const DAY: Duration = Duration::from_secs(86_400);

/// A hundred years: longer than anything is kept, and far from overflowing any clock.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// The SQLite file and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The file.
    pub path: PathBuf,
    /// Age at which rows of the journal are purged.
    pub keep_exchanges: Duration,
    /// How often the snapshot beside the database is refreshed when something changed.
    pub snapshot_every: Duration,
    /// The dated series of snapshots, if one is wanted.
    pub snapshots: Option<SnapshotSeries>,
    /// How many requests may share one commit.
    pub commit_batch: usize,
}

/// A dated series of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSeries {
    /// The folder they are put in.
    pub directory: PathBuf,
    /// How often one is taken.
    pub every: Duration,
    /// How many are kept; the oldest go first.
    pub keep: usize,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            path: PathBuf::from("koogate.db"),
            keep_exchanges: 400 * DAY,
            snapshot_every: Duration::from_secs(5 * 60),
            snapshots: None,
            commit_batch: 512,
        }
    }
}

impl Default for SnapshotSeries {
    fn default() -> Self {
        Self { directory: PathBuf::from("snapshots"), every: Duration::from_secs(3_600), keep: 48 }
    }
}

impl Database {
    /// The snapshot beside the database, the file to copy: `koogate.snapshot.db` for `koogate.db`.
    pub fn snapshot_path(&self) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(".snapshot.");
        name.push(self.path.extension().unwrap_or(Path::new("db").as_os_str()));
        self.path.with_file_name(name)
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            path: section.path("path", &default.path),
            keep_exchanges: section.or_default("keep_exchanges", default.keep_exchanges, duration(DAY..=LONGEST)),
            snapshot_every: section.or_default(
                "snapshot_every",
                default.snapshot_every,
                duration(Duration::from_secs(1)..=DAY),
            ),
            snapshots: section.optional_section("snapshots", SnapshotSeries::read),
            commit_batch: section.or_default("commit_batch", default.commit_batch, integer(1..=4096)),
        }
    }
}

impl SnapshotSeries {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            directory: section.path("directory", &default.directory),
            every: section.or_default("every", default.every, duration(Duration::from_secs(1)..=366 * DAY)),
            keep: section.or_default("keep", default.keep, integer(1..=100_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_lies_beside_the_database() {
        for (path, snapshot) in [
            ("/var/lib/koogate/koogate.db", "/var/lib/koogate/koogate.snapshot.db"),
            ("koogate.db", "koogate.snapshot.db"),
            ("data/shop", "data/shop.snapshot.db"),
            ("data/shop.v2.sqlite", "data/shop.v2.snapshot.sqlite"),
        ] {
            let database = Database { path: path.into(), ..Database::default() };
            assert_eq!(database.snapshot_path(), Path::new(snapshot));
        }
    }
}
