//! docs/DEFINITIONS.md says what is so: its examples compile, its error is the one we give, no word is missing.

use std::fs;

use serde_json::Value;

use crate::{compile, folder};

fn page() -> String {
    fs::read_to_string(folder().join("../docs/DEFINITIONS.md")).unwrap()
}

/// The blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_examples_compile() {
    let page = page();
    let blocks = blocks(&page, "yaml");
    assert!(blocks.len() >= 3);
    for block in blocks {
        // A fragment is completed by what it leaves out.
        let source = match block.trim_start() {
            text if text.starts_with("- ") => format!("saga: order\nversion: 1\nsteps:\n{block}"),
            text if text.starts_with("steps:") => format!("saga: order\nversion: 1\n{block}"),
            _ => block,
        };
        if let Err(diagnostics) = compile("order.v1.yaml", &source) {
            panic!("{diagnostics}");
        }
    }
    let total = page.lines().find_map(|line| line.strip_prefix("`total: ")).unwrap().trim_end_matches('`');
    let source = format!(
        "saga: a\nversion: 1\ninput: schemas/order-input.v1.json\nsteps:\n- {{ name: b, kind: pivot, call: c.d, with: {{ total: {total} }} }}\n"
    );
    assert!(compile("a.yaml", &source).is_ok());
}

#[test]
fn the_error_is_the_one_that_is_given() {
    let shown = blocks(&page(), "text").remove(0);
    let given = fs::read_to_string(folder().join("invalid/parallel.txt")).unwrap();
    assert!(given.contains(&shown), "{shown}");
}

#[test]
fn every_word_is_explained() {
    let page = page();
    let schema = fs::read_to_string(folder().join("definition.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mappings =
        ["", "/$defs/step", "/$defs/step/properties/schemas", "/$defs/retry", "/$defs/await/anyOf/1"];
    let words = mappings.iter().flat_map(|pointer| {
        schema.pointer(pointer).unwrap()["properties"].as_object().unwrap().keys().cloned()
    });
    let missing: Vec<String> = words
        .filter(|word| !page.contains(&format!("`{word}`")) && !page.contains(&format!("{word}: ")))
        .collect();
    assert_eq!(missing, [""; 0]);
}
