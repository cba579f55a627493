//! Definitions as files: the ones that ship compile, and each of `saga-definitions/invalid/*.yaml` is
//! refused with the text beside it.
//!
//! After a change of wording, `AMENDS_BLESS=1 cargo test -p amends-definition` writes the texts anew;
//! read the difference before committing it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use amends_definition::{Definition, Diagnostics};

mod compiling;
mod docs;
mod editors;
mod order;
mod rendering;
mod words;

/// The folder of the definitions that ship.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../saga-definitions")
}

/// Compiles a text; schemas come from the folder of the definitions that ship.
fn compile(file_name: &str, source: &str) -> Result<Definition, Diagnostics> {
    Definition::compile(file_name, source, &|path| {
        fs::read_to_string(folder().join(path)).map_err(|error| error.kind().to_string())
    })
}

#[test]
fn every_invalid_definition_is_refused_with_its_text() {
    let bless = std::env::var_os("AMENDS_BLESS").is_some();
    let mut rules = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("invalid")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let refusal = compile(name, &fs::read_to_string(file).unwrap());
        let diagnostics = refusal.err().unwrap_or_else(|| panic!("{name} compiles"));
        rules.extend(diagnostics.iter().map(|diagnostic| diagnostic.rule.code()));
        let text = format!("{diagnostics}\n");
        let expected = file.with_extension("txt");
        if bless {
            fs::write(&expected, text).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{name} is refused with another text than stands beside it:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every rule of the language is shown by at least one file.
    insta::assert_snapshot!(rules.into_iter().collect::<Vec<_>>().join(" "), @r#"after await call duplicate-key duplicate-name duration expression expression-limit file-name for-each kind-order label missing-key name nul-character range reserved schema starts-on step-order undo unknown-function unknown-key unknown-name wrong-type yaml"#);
}
