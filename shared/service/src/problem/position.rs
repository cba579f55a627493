//! Writes the place of a mistake the way clients can use it: JSON Pointers as URI fragments.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// The path that serde followed as `#/lines/0/quantity` (RFC 6901, section 6).
pub(super) fn fragment(path: &Path) -> String {
    let mut pointer = "#".to_owned();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => push(&mut pointer, "?"),
        }
    }
    pointer
}

/// The place of the first string or key with a NUL character.
pub(super) fn nul(value: &Value, pointer: &str) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\0') => Some(pointer.to_owned()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let mut inner = pointer.to_owned();
            push(&mut inner, &index.to_string());
            nul(item, &inner)
        }),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            if key.contains('\0') {
                return Some(pointer.to_owned());
            }
            let mut inner = pointer.to_owned();
            push(&mut inner, key);
            nul(field, &inner)
        }),
        _ => None,
    }
}

/// One reference token more, escaped.
fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
