//! The folder that holds all that a demo writes.
//!
//! Invariant: what the demo writes lies here, and it goes when the demo ends.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

/// The order saga as it was when this binary was built; an installed `amends` has no checkout.
const DEFINITION: &str = include_str!("../../../../saga-definitions/order.v1.yaml");
const SCHEMA: &str = include_str!("../../../../saga-definitions/schemas/order-input.v1.json");

/// The folder.
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes it, with the definitions in it.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("amends-demo-").tempdir().context("no temporary folder")?;
        let scratch = Self { folder };
        fs::create_dir_all(scratch.definitions().join("schemas"))?;
        fs::create_dir_all(scratch.logs())?;
        fs::write(scratch.definitions().join("order.v1.yaml"), DEFINITION)?;
        fs::write(scratch.definitions().join("schemas").join("order-input.v1.json"), SCHEMA)?;
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the orchestrator finds its definitions.
    pub(crate) fn definitions(&self) -> PathBuf {
        self.path().join("definitions")
    }

    /// The logs, a file for each process.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path().join("logs")
    }

    /// The log of what runs inside of this process.
    pub(crate) fn log(&self) -> PathBuf {
        self.logs().join("demo.log")
    }

    /// The URL of a SQLite file in it. The characters that a URL gives a meaning are escaped.
    pub(crate) fn sqlite_url(&self, name: &str) -> String {
        let path = self.path().join(name).with_extension("db").display().to_string();
        format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F").replace('#', "%23"))
    }

    /// Removes it.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        let path = self.path().to_owned();
        self.folder.close().with_context(|| format!("{} stays behind", path.display()))
    }
}
