//! The binary under test.
//!
//! Invariant: a binary that is older than one of its sources is not tested: that would test yesterday's
//! code.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Where an older binary is, to run beside the one under test.
const OLDER: &str = "AMENDS_OLD";

/// The path of `amends`: `BIN_UNDER_TEST`, or the one that `cargo test --workspace` builds.
///
/// # Panics
/// When there is none, or an old one.
pub fn amends() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        env::var_os("BIN_UNDER_TEST").map_or_else(
            || {
                // Tests lie in `<target>/<profile>/deps`, binaries one folder up.
                let test = env::current_exe().expect("a process knows its program");
                let folder = test.parent().expect("a program lies in a folder");
                let is_deps = folder.file_name().is_some_and(|name| name == "deps");
                let folder = if is_deps { folder.parent().expect("cargo's folders") } else { folder };
                let path = folder.join("amends");
                refuse_old(&path);
                path
            },
            PathBuf::from,
        )
    })
}

/// The binary of an earlier commit that `AMENDS_OLD` names.
///
/// # Panics
/// When there is none at that place.
#[must_use]
pub fn older() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(OLDER).filter(|path| !path.is_empty())?);
    assert!(path.is_file(), "{OLDER}={}: there is no such file", path.display());
    Some(path)
}

/// A call of the binary. What the tests are told is none of its settings, and it refuses what it does not know.
#[must_use]
pub fn call() -> Command {
    let mut command = Command::new(amends());
    command.env_remove(OLDER);
    command
}

fn refuse_old(path: &Path) {
    let remedy = "run `cargo build --workspace` (or `cargo test --workspace`, which builds it, too)";
    let made = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let binary = made(path).unwrap_or_else(|error| panic!("{}: {error}: {remedy}", path.display()));
    // Cargo lists beside a binary the sources of ours that went into it, as make would read them.
    let list = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    let sources = list.split_once(':').map(|(_, sources)| sources).unwrap_or_default();
    for source in sources.replace("\\ ", "\0").split_whitespace().map(|source| source.replace('\0', " ")) {
        // A source that is gone made the binary old as well.
        let is_newer = made(Path::new(&source)).map_or(true, |time| time > binary);
        assert!(!is_newer, "{} is older than {source}: {remedy}", path.display());
    }
}
