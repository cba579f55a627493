//! The lock file that makes a SQLite database belong to one orchestrator process.
//!
//! Invariant: the operating system holds the lock, not the file's existence: a killed process leaves a
//! file behind, but no lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use crate::Error;

/// Longest note of a holder that is shown, in bytes.
const NOTE_BYTES_MAX: u64 = 80;

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(crate) struct LockFile {
    _file: File,
}

impl LockFile {
    /// Locks `<database>.lock`.
    ///
    /// # Errors
    /// [`Error::Locked`] names the process that has it; [`Error::Open`] when the file cannot be made.
    pub(crate) fn acquire(database: &Path) -> Result<Self, Error> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let failed =
            |error: std::io::Error| Error::Open { place: path.display().to_string(), why: error.to_string() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false) // it is not ours yet: it may say who has it
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let note = (&mut file).take(NOTE_BYTES_MAX).read_to_string(&mut holder);
                if note.is_err() || holder.trim().is_empty() {
                    "unknown".clone_into(&mut holder);
                }
                let holder = holder.trim().to_owned();
                return Err(Error::Locked { database: database.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
