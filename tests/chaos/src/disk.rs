//! A small disk of the run's own, which can be full: a tmpfs, which only root can mount.
//!
//! Invariant: it is unmounted when it is dropped, and holds nothing that anybody else needs.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// Large enough for what nats-server reserves; memory is taken only for what is written.
const SIZE: &str = "size=8g";

/// A mounted disk.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Mounts one; `None` where that is not allowed.
    pub(crate) fn mount() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("amends-disk-").tempdir().ok()?;
        mount(&["-t", "tmpfs", "-o", SIZE, "tmpfs"], folder.path()).ok()?;
        Some(Self { folder })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it as small as what is on it.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let output = Command::new("df").args(["--output=used", "-B1"]).arg(self.path()).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let used = text.lines().last().map(str::trim).unwrap_or_default();
        mount(&["-o", &format!("remount,size={used}")], self.path())
    }

    /// Makes it large again.
    pub(crate) fn grow(&self) -> Result<(), String> {
        mount(&["-o", &format!("remount,{SIZE}")], self.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).stderr(Stdio::null()).status();
    }
}

fn mount(arguments: &[&str], place: &Path) -> Result<(), String> {
    let output =
        Command::new("mount").args(arguments).arg(place).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
