//! Looking into a copy, or into what is left of a database.

use std::path::Path;

use rusqlite::Connection;

use super::SnapshotError;
use super::verify::open_copy;
use crate::sealing::SealingKey;
use crate::store::{OpenError, StoreError, Tx, open};

/// A database, open for reading only. It may be of an older schema, and damaged here and there.
pub struct Copy {
    connection: Connection,
    sealing: SealingKey,
}

impl Copy {
    /// Opens one. Where the database belongs, a server may be at work on it after all (`in_place`).
    ///
    /// # Errors
    /// When it is not ours, of a newer schema, under another sealing key, or cannot be read at all.
    pub fn open(file: &Path, in_place: bool, sealing: &SealingKey) -> Result<Self, SnapshotError> {
        std::fs::metadata(file).map_err(super::files::failed("cannot read", file))?;
        let connection = if in_place { open::read_only(file)? } else { open_copy(file)? };
        match open::version_of(&connection, file)? {
            None => return Err(OpenError::Foreign { path: file.to_owned() }.into()),
            Some(found) if found > open::SCHEMA_VERSION => return Err(OpenError::newer(file, found).into()),
            Some(_) => {}
        }
        open::check_sealing_key(&connection, file, sealing)?;
        Ok(Self { connection, sealing: sealing.clone() })
    }

    /// Reads. Only what every schema has may be asked for.
    ///
    /// # Errors
    /// What `work` fails with.
    pub fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(&Tx { connection: &self.connection, sealing: &self.sealing })
    }
}
