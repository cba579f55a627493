//! The schemas of input, commands and replies: loaded here, compiled by whoever checks values with them.
//!
//! Pure crates have no JSON Schema library, so this looks only at what it needs: that it is JSON, which
//! draft it is, and which fields a closed object has, to find slips in expressions.
//!
//! Invariant: a field is called unknown only where the schema leaves no doubt.

use serde_json::Value;

use crate::Rule;
use crate::expression::Segment;
use crate::limits::SCHEMA_BYTES_MAX;
use crate::node::{Node, Yaml};
use crate::read::Schemas;
use crate::report::Report;

/// The one draft that is read.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// How many `$ref` in a row are followed: a chain that is longer is a ring.
const REFERENCES_MAX: usize = 16;

/// Loads the schema that a word names.
pub(crate) fn load(report: &mut Report, node: &Node, word: &str, schemas: Schemas<'_>) -> Option<Value> {
    let found = match &node.yaml {
        Yaml::Text(path) if is_inside(path) => read(path, schemas),
        Yaml::Text(_) => Err("the path of a schema leads out of the folder of the definition".to_owned()),
        other => Err(format!("`{word}` is the path of a schema, and {} was found", other.kind())),
    };
    found
        .map_err(|message| {
            let remedy = format!(
                "name a JSON Schema beside the definition, such as schemas/order-input.v1.json, \
                 that begins with \"$schema\": \"{DRAFT}\""
            );
            report.add(node.span.clone(), Rule::Schema, message, remedy);
        })
        .ok()
}

/// Definitions may come from strangers some day; their schemas come from the definition's folder.
fn is_inside(path: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
    path.split('/').all(part)
}

fn read(path: &str, schemas: Schemas<'_>) -> Result<Value, String> {
    let text = schemas(path).map_err(|why| format!("the schema {path} cannot be read: {why}"))?;
    if text.len() > SCHEMA_BYTES_MAX {
        let size = text.len();
        return Err(format!("the schema {path} has {size} bytes; at most {SCHEMA_BYTES_MAX} are read"));
    }
    let schema: Value =
        serde_json::from_str(&text).map_err(|error| format!("the schema {path} is not JSON: {error}"))?;
    match schema.get("$schema").and_then(Value::as_str) {
        Some(DRAFT) => Ok(schema),
        Some(other) => {
            let other: String = other.chars().take(80).collect();
            Err(format!("the schema {path} is of another draft: {other:?}"))
        }
        None => Err(format!("the schema {path} does not say of which draft it is")),
    }
}

/// A field that no input can have, with the fields that it can have there.
pub(crate) fn unknown_field<'s, 'p>(
    schema: &'s Value,
    path: &'p [Segment],
) -> Option<(&'p str, Vec<&'s str>)> {
    let mut at = schema;
    for segment in path {
        at = resolve(schema, at)?;
        at = match segment {
            Segment::Element => at.get("items")?,
            Segment::Field(field) => {
                let properties = at.get("properties")?.as_object()?;
                match properties.get(field) {
                    Some(property) => property,
                    None if is_closed(at) => {
                        return Some((field, properties.keys().map(String::as_str).collect()));
                    }
                    None => return None,
                }
            }
        };
    }
    None
}

/// Nothing but `properties` may say which fields there are.
fn is_closed(schema: &Value) -> bool {
    let open = ["patternProperties", "allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef"];
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && !open.iter().any(|keyword| schema.get(keyword).is_some())
}

/// Follows references within the document.
fn resolve<'s>(root: &'s Value, mut schema: &'s Value) -> Option<&'s Value> {
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = schema.get("$ref") else { return Some(schema) };
        schema = root.pointer(reference.as_str()?.strip_prefix('#')?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::unknown_field;
    use crate::expression::Segment;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "total": { "$ref": "#/$defs/money" },
                "lines": { "items": { "additionalProperties": false, "properties": { "sku": {} } } },
                "open": { "properties": { "known": {} } },
                "any": true,
                "either": { "additionalProperties": false, "properties": {}, "anyOf": [{}] },
                "ring": { "$ref": "#/properties/ring" },
            },
            "$defs": { "money": { "additionalProperties": false, "properties": { "amount": {} } } },
        })
    }

    fn unknown(path: &[&str]) -> Option<String> {
        let segment = |part: &&str| match *part {
            "[]" => Segment::Element,
            field => Segment::Field(field.to_owned()),
        };
        let path: Vec<Segment> = path.iter().map(segment).collect();
        unknown_field(&schema(), &path).map(|(field, known)| format!("{field}, not {}", known.join("|")))
    }

    #[test]
    fn only_what_cannot_be_there_is_unknown() {
        assert_eq!(unknown(&["totl"]).unwrap(), "totl, not any|either|lines|open|ring|total");
        assert_eq!(unknown(&["total", "currency"]).unwrap(), "currency, not amount");
        assert_eq!(unknown(&["lines", "[]", "suk"]).unwrap(), "suk, not sku");
        let fine: [&[&str]; 8] = [
            &[],
            &["total", "amount"],
            &["lines", "[]", "sku"],
            &["open", "unknown"],
            &["any", "thing"],
            &["either", "thing"],
            &["ring", "thing"],
            &["[]", "thing"],
        ];
        for path in fine {
            assert_eq!(unknown(path), None, "{path:?}");
        }
    }
}
