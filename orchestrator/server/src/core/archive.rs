//! The archive: sagas are written here before they are deleted, one a line, one file a day (UTC).
//!
//! Several orchestrators may share the folder, if they share the machine.
//!
//! Invariant: what was appended is on the disk when that is answered. Whoever dies before the deletion leaves a
//! saga in the archive twice, never nowhere; whoever dies while writing leaves a line cut short, and the next one
//! begins a line of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use amends_contract::Timestamp;
use amends_engine::{JournalEntry, Saga};
use serde::Serialize;

/// A folder of daily files.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    folder: PathBuf,
}

/// A line: the saga as its row had it, and its journal, of which the saga is the fold.
#[derive(Debug, Serialize)]
pub(crate) struct Archived<'a> {
    pub(crate) archived_at: Timestamp,
    pub(crate) saga: &'a Saga,
    pub(crate) journal: Vec<JournalEntry>,
}

impl Archive {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Appends the lines and sees them to the disk.
    ///
    /// # Errors
    /// Names the file; some of the lines may be in it.
    pub(crate) async fn append(&self, now: Timestamp, sagas: &[Archived<'_>]) -> io::Result<()> {
        let mut lines = Vec::new();
        for saga in sagas {
            serde_json::to_writer(&mut lines, saga)?;
            lines.push(b'\n');
        }
        let path = self.folder.join(format!("sagas-{}.jsonl", now.to_datetime().format("%Y-%m-%d")));
        let named = path.display().to_string();
        let written = tokio::task::spawn_blocking(move || append(&path, &lines)).await;
        written
            .map_err(io::Error::other)?
            .map_err(|error| io::Error::new(error.kind(), format!("{named}: {error}")))
    }
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    // Let go when the file is closed: the lines of another orchestrator come before or behind ours.
    file.lock()?;
    let is_new = file.metadata()?.len() == 0;
    if !is_new && !ends_with_a_line(&mut file)? {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    file.sync_data()?;
    // A file that is not in its folder is not on the disk.
    if is_new { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new folder").join("day.jsonl");
        append(&path, b"{\"a\":1}\n").unwrap();
        append(&path, b"{\"a\":2").unwrap();
        append(&path, b"{\"a\":3}\n{\"a\":4}\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"a\":1}\n{\"a\":2\n{\"a\":3}\n{\"a\":4}\n");
    }
}
