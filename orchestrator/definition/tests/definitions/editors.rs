//! The JSON Schema of the language, by which editors complete and check definitions while they are typed.

use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::Value;

use crate::{folder, words};

fn schema() -> Validator {
    let text = fs::read_to_string(folder().join("definition.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// YAML as an editor sees it.
fn as_json(source: &str) -> Option<Value> {
    serde_saphyr::from_str(source).ok()
}

fn definitions(folder: PathBuf) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let name = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn every_definition_that_ships_matches_the_schema() {
    let schema = schema();
    let mut shipped = definitions(folder());
    assert!(!shipped.is_empty());
    shipped.push(("every word".to_owned(), words::B2B.to_owned()));
    for (name, source) in shipped {
        let mistakes: Vec<String> =
            schema.iter_errors(&as_json(&source).unwrap()).map(|error| error.to_string()).collect();
        assert_eq!(mistakes, [""; 0], "{name}");
    }
}

/// What only the compiler sees: graphs, expressions, other files.
#[test]
fn mistakes_of_shape_are_seen_by_editors_too() {
    let schema = schema();
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for (name, source) in definitions(folder().join("invalid")) {
        let Some(json) = as_json(&source) else { continue };
        if schema.is_valid(&json) { unseen.push(name) } else { seen.push(name) }
    }
    insta::assert_snapshot!(seen.join(" "), @"after await calls durations empty for-each labels missing-keys names not-a-mapping parallel ranges sagas several-at-once starts-on-nothing starts-on step-schemas undo unknown-keys wrong-types");
    insta::assert_snapshot!(unseen.join(" "), @"expression-limits expression-names expressions kind-order nul-characters order.v2 retriable-without-pivot schema-missing schema-outside skipped starts-on-itself step-order");
}
