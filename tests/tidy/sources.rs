//! The Rust sources of the workspace, as text with a path.
//!
//! Invariant: a source knows whether it is a test, by its place alone (`tests/` or `tests.rs`); what is
//! a test inside of another file, its syntax tells (`code::without_tests`).

use std::{fs, path::Path};

/// One file.
pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the whole file is there for tests only.
    pub(crate) fn is_test(&self) -> bool {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || matches!(file, "tests.rs" | "test.rs")
            || file.ends_with("_tests.rs")
    }

    /// Whether it belongs to a crate that knows no I/O, clock or randomness.
    pub(crate) fn is_pure(&self) -> bool {
        [
            "shared/contract/src/",
            "shared/inbox/src/",
            "orchestrator/definition/src/",
            "orchestrator/engine/src/",
            "orchestrator/rehearsal/src/",
        ]
        .iter()
        .any(|folder| self.path.starts_with(folder))
    }
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the workspace")
}

/// Every `.rs` file of the workspace, sorted by path.
pub(crate) fn workspace() -> Vec<Source> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace can be read") {
        let entry = entry.expect("an entry of it, too");
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Colleagues' editors leave things behind a dot; cargo leaves them in `target`.
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).expect("it lies in the workspace");
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            found.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

#[test]
fn tests_are_known_by_their_place() {
    let is_test = |path| Source::new(path, "").is_test();
    assert!(is_test("tests/src/lib.rs"));
    assert!(is_test("shared/broker/tests/restart.rs"));
    assert!(is_test("orchestrator/engine/src/handle/tests.rs"));
    assert!(!is_test("orchestrator/engine/src/lib.rs"));
    assert!(!is_test("orchestrator/engine/src/attests.rs"));
}
