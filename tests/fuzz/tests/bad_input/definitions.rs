//! Definition files: whatever somebody hands to the compiler.

use std::{fs, path::Path};

use amends_contract::Digest;
use amends_definition::{Definition, Diagnostics};
use amends_fuzz::{Edited, target};
use amends_rehearsal::dry_run::{dry_run, sample};
use serde_json::json;

/// What ships.
const SHIPPED: [(&str, &str); 3] = [
    ("order.v1.yaml", include_str!("../../../../saga-definitions/order.v1.yaml")),
    ("return-order.v1.yaml", include_str!("../../../../saga-definitions/return-order.v1.yaml")),
    ("b2b-order.v1.yaml", include_str!("../../../../saga-definitions/b2b-order.v1.yaml")),
];

#[test]
fn any_bytes() {
    target!(|bytes: &[u8]| compile("order.v1.yaml", &String::from_utf8_lossy(bytes)));
}

#[test]
fn an_edited_definition() {
    target!(Edited, |edited: &Edited| {
        let (name, source) = SHIPPED[edited.of(SHIPPED.len())];
        compile(name, &edited.text(source));
    });
}

/// Files that are wrong on purpose, and then edited: each of them is near another rule's edge.
#[test]
fn an_edited_mistake() {
    let mistakes = mistakes();
    assert!(mistakes.len() > 20, "{}", mistakes.len());
    target!(Edited, |edited: &Edited| compile(
        "order.v1.yaml",
        &edited.text(&mistakes[edited.of(mistakes.len())])
    ));
}

fn mistakes() -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(folder().join("invalid")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../saga-definitions")
}

fn compile(name: &str, source: &str) {
    match compiled(name, source) {
        Ok(definition) => accepted(name, source, &definition),
        Err(diagnostics) => refused(source, &diagnostics),
    }
}

fn compiled(name: &str, source: &str) -> Result<Definition, Diagnostics> {
    Definition::compile(name, source, &|path| {
        // A path of the definition's own making must not lead anywhere else.
        assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path:?} is asked for");
        fs::read_to_string(folder().join(path)).map_err(|error| error.kind().to_string())
    })
}

/// Each mistake has a place in the file and a remedy, and can be shown on a terminal.
fn refused(source: &str, diagnostics: &Diagnostics) {
    let lines = source.lines().count().max(1);
    let mut count = 0;
    for mistake in diagnostics.iter() {
        count += 1;
        assert!((1..=lines + 1).contains(&mistake.line), "line {} of {lines}", mistake.line);
        assert!(mistake.column >= 1);
        assert!(!mistake.message.is_empty() && !mistake.remedy.is_empty(), "{mistake:?}");
    }
    assert!((1..=amends_definition::limits::DIAGNOSTICS_MAX + 1).contains(&count), "{count} mistakes");
    let shown = diagnostics.to_string();
    assert!(!shown.contains(|letter: char| letter.is_control() && letter != '\n'), "{shown:?}");
}

/// What compiles is what was written, compiles to the same again, and can be rehearsed.
fn accepted(name: &str, source: &str, definition: &Definition) {
    assert_eq!(definition.digest, Digest::of(source.as_bytes()));
    assert_eq!(&*definition.source, source);
    let again = compiled(name, &definition.source).unwrap();
    assert_eq!(format!("{again:?}"), format!("{definition:?}"));
    let input = definition.input_schema.as_ref().map_or_else(|| json!({}), sample::value);
    // No saga may be possible with what is made up; that is said, and is no panic.
    if let Err(why) = dry_run(definition, &input, &sample::outputs(definition), &Default::default()) {
        assert!(!why.is_empty());
    }
}
