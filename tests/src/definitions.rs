//! A folder of definitions of a test's own, to be added to and changed while the system stands still.
//!
//! Invariant: it begins with what ships; nothing a test writes reaches the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

/// The definitions that ship.
pub(crate) fn shipped() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../saga-definitions"))
}

/// A folder of definitions. It is there as long as anybody has it, such as a system that runs on it.
#[derive(Clone)]
pub struct Definitions {
    folder: Arc<TempDir>,
}

impl Definitions {
    /// A copy of some of the definitions that ship, such as `order.v1`, with all schemas.
    ///
    /// # Panics
    /// When they cannot be copied.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("amends definitions ").tempdir().expect("a folder");
        let definitions = Self { folder: Arc::new(folder) };
        for name in names {
            let file = format!("{name}.yaml");
            definitions.write(&file, &read(&shipped().join(&file)));
        }
        fs::create_dir(definitions.path().join("schemas")).expect("a folder can be made");
        for entry in fs::read_dir(shipped().join("schemas")).expect("schemas ship") {
            let path = entry.expect("a folder can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            definitions.write(&format!("schemas/{name}"), &read(&path));
        }
        definitions
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file's text.
    #[must_use]
    pub fn read(&self, file: &str) -> String {
        read(&self.path().join(file))
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).expect("a temporary file can be written");
    }

    /// Writes a file as a copy of another with some texts replaced.
    ///
    /// # Panics
    /// When one of the texts is not there: the test would change nothing.
    pub fn derive(&self, from: &str, file: &str, changes: &[(&str, &str)]) {
        let mut text = self.read(from);
        for (old, new) in changes {
            assert!(text.contains(old), "{from} does not say {old:?}");
            text = text.replace(old, new);
        }
        self.write(file, &text);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
