//! A clock that is off: Debian's package `faketime` tells a process what time it is.
//!
//! Invariant: only who was started with it is misled; a program of Go asks the kernel and is not.

use std::{fs, path::PathBuf};

/// The library that the package installs; `None` where it is not installed.
#[must_use]
pub fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|path| path.is_file())
}
