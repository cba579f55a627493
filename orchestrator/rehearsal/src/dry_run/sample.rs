//! Data to rehearse with: an input made up from its JSON Schema, variants of it, and what steps give back.
//!
//! Invariant: it is made up the same way every time; whatever the schema names as an example or a default
//! is taken before anything is made up.

use std::collections::BTreeMap;

use amends_contract::{Json, Token};
use amends_definition::Definition;
use serde_json::{Map, Value, json};

/// How deep a schema is followed; one that refers to itself has no end.
const DEPTH_MAX: u32 = 16;

/// A value for the schema.
#[must_use]
pub fn value(schema: &Value) -> Value {
    made_up(schema, schema, "", DEPTH_MAX)
}

fn made_up(root: &Value, schema: &Value, name: &str, depth: u32) -> Value {
    let first = |key: &str| schema.get(key)?.as_array()?.first();
    let given = schema.get("const").or(schema.get("default")).or_else(|| first("examples"));
    if let Some(value) = given.or_else(|| schema.get("example")).or_else(|| first("enum")) {
        return value.clone();
    }
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return root.pointer(target).map_or(Value::Null, |schema| made_up(root, schema, name, depth));
    }
    if let Some(schema) = first("oneOf").or_else(|| first("anyOf")).or_else(|| first("allOf")) {
        return made_up(root, schema, name, depth);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(Value::String(kind)) => Some(kind.as_str()),
        _ if schema.get("properties").is_some() => Some("object"),
        _ => None,
    };
    match kind {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), made_up(root, schema, name, depth))).collect()
        }
        Some("array") => {
            let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 10);
            let item = schema.get("items").map_or(Value::Null, |items| made_up(root, items, name, depth));
            (0..count).map(|_| item.clone()).collect()
        }
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!(if name.is_empty() { "text" } else { name }),
    }
}

/// Variants of a value that differ from it in one place, each with what is different: truth values, numbers,
/// the lengths of lists.
pub(super) fn variants(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    vary(value, "input", &mut |variant| variant, &mut found);
    found
}

fn vary(value: &Value, path: &str, whole: &mut dyn FnMut(Value) -> Value, found: &mut Vec<(String, Value)>) {
    let mut put = |what: String, variant: Value, whole: &mut dyn FnMut(Value) -> Value| {
        if variant != *value {
            found.push((format!("{path} {what}"), whole(variant)));
        }
    };
    match value {
        Value::Bool(flag) => put(format!("= {}", !flag), json!(!flag), whole),
        Value::Number(_) => {
            for number in [0, 1, 1_000_000] {
                put(format!("= {number}"), json!(number), whole);
            }
        }
        Value::Array(items) => {
            let item = items.first().cloned().unwrap_or_default();
            for count in 0..=2 {
                put(format!("has {count}"), vec![item.clone(); count].into(), whole);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let mut inside = |variant: Value| {
                    let mut fields: Map<String, Value> = fields.clone();
                    fields.insert(name.clone(), variant);
                    whole(Value::Object(fields))
                };
                vary(field, &format!("{path}.{name}"), &mut inside, found);
            }
        }
        Value::Null | Value::String(_) => {}
    }
}

/// What each step gives back: by the schema of its reply; without one, the fields that expressions ask for.
#[must_use]
pub fn outputs(definition: &Definition) -> BTreeMap<Token, Json> {
    let steps = definition.steps.iter().chain(&definition.on_compensated);
    steps
        .map(|step| {
            let output = match &step.reply_schema {
                Some(schema) => value(&schema.schema),
                None => asked_for(&definition.source, &step.name),
            };
            (step.name.clone(), output.into())
        })
        .collect()
}

/// The fields that follow `steps['name']` anywhere in the definition's text, each with a text as its value.
fn asked_for(source: &str, step: &Token) -> Value {
    let mut output = Value::Null;
    for opening in [format!("steps['{step}']"), format!("steps[\"{step}\"]"), format!("steps.{step}")] {
        for (at, _) in source.match_indices(&opening) {
            let mut fields = Vec::new();
            let mut rest = &source[at + opening.len()..];
            while let Some(after) = rest.strip_prefix('.') {
                let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                let (field, next) = after.split_at(end.unwrap_or(after.len()));
                if field.is_empty() || next.starts_with('(') {
                    break;
                }
                fields.push(field);
                rest = next;
            }
            put(&mut output, step, &fields);
        }
    }
    output
}

fn put(output: &mut Value, step: &Token, fields: &[&str]) {
    let Some((field, rest)) = fields.split_first() else { return };
    if !output.is_object() {
        *output = json!({});
    }
    let Some(object) = output.as_object_mut() else { return };
    let inside = object.entry((*field).to_owned()).or_insert_with(|| json!(format!("{step}-{field}")));
    put(inside, step, rest);
}
