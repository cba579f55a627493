//! The schema for editors and the reader know the same words, kinds and limits.

use serde_json::Value;

use super::{DEFINITION, call, fields::Words, retry, starts_on, step, undo, waiting};
use crate::StepKind;
use crate::limits::{
    ATTEMPTS_MAX, CONCURRENCY_MAX, FACTOR_MAX, FOR_EACH_DEFAULT, FOR_EACH_MAX, LABELS_MAX, STEPS_MAX,
};

fn schema() -> Value {
    let text = include_str!("../../../../saga-definitions/definition.schema.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_schema_for_editors_knows_exactly_our_words() {
    let schema = schema();
    let known: [(&str, &Words); 9] = [
        ("", &DEFINITION),
        ("/$defs/step", &step::STEP),
        ("/$defs/step/properties/schemas", &step::SCHEMAS),
        ("/$defs/saga", &call::SAGA),
        ("/$defs/undo/anyOf/2", &undo::UNDO),
        ("/$defs/await/anyOf/1", &waiting::AWAIT),
        ("/$defs/starts_on", &starts_on::STARTS_ON),
        ("/$defs/retry", &retry::RETRY),
        ("/$defs/defaults", &retry::DEFAULTS),
    ];
    let mut checked = 0;
    for (pointer, words) in known {
        let mapping = schema.pointer(pointer).unwrap();
        let properties = mapping["properties"].as_object().unwrap();
        let mut ours = words.known.to_vec();
        ours.sort_unstable();
        assert_eq!(properties.keys().collect::<Vec<_>>(), ours, "{pointer}");
        assert_eq!(mapping["additionalProperties"], false, "{pointer}");
        checked += properties.len();
    }
    assert_eq!(checked, count_words(&schema), "a mapping of the schema is not compared with the reader");
}

/// Words of all closed mappings.
fn count_words(schema: &Value) -> usize {
    let own = match (&schema["additionalProperties"], &schema["properties"]) {
        (Value::Bool(false), Value::Object(properties)) => properties.len(),
        _ => 0,
    };
    let inner: usize = match schema {
        Value::Object(fields) => fields.values().map(count_words).sum(),
        Value::Array(items) => items.iter().map(count_words).sum(),
        _ => 0,
    };
    own + inner
}

#[test]
fn the_schema_for_editors_knows_our_limits() {
    let schema = schema();
    let at = |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).clone();
    for (pointer, ours) in [
        ("/properties/labels/maxProperties", LABELS_MAX.into()),
        ("/properties/steps/maxItems", STEPS_MAX.into()),
        ("/$defs/retry/properties/attempts/maximum", ATTEMPTS_MAX.into()),
        ("/$defs/step/properties/at_most/maximum", FOR_EACH_MAX.into()),
        ("/$defs/step/properties/at_most/default", FOR_EACH_DEFAULT.into()),
        ("/$defs/step/properties/concurrency/maximum", CONCURRENCY_MAX.into()),
        ("/$defs/step/properties/kind/enum", Value::from_iter(StepKind::ALL.map(StepKind::as_str))),
        (
            "/$defs/await/anyOf/1/properties/on_timeout/enum",
            Value::from_iter(waiting::ON_TIMEOUT.map(|(word, _)| word)),
        ),
    ] {
        assert_eq!(at(pointer), ours, "{pointer}");
    }
    assert_eq!(at("/$defs/retry/properties/factor/maximum").as_f64(), Some(FACTOR_MAX));
}

#[test]
fn the_schema_for_editors_shows_our_defaults() {
    let schema = schema();
    let defaults = retry::Defaults::default();
    let retry = &schema["$defs"]["retry"]["properties"];
    let ms = |value: &Value| super::values::milliseconds(value["default"].as_str().unwrap()).unwrap();
    assert_eq!(retry["attempts"]["default"], defaults.retry.attempts);
    assert_eq!(ms(&retry["initial"]), defaults.retry.initial_ms);
    assert_eq!(ms(&retry["cap"]), defaults.retry.cap_ms);
    assert_eq!(retry["factor"]["default"].as_f64(), Some(defaults.retry.factor));
    assert_eq!(retry["jitter"]["default"].as_f64(), Some(defaults.retry.jitter));
    let resend_after = &schema["$defs"]["defaults"]["properties"]["resend_after"];
    assert_eq!(ms(resend_after), defaults.resend_after_ms);
    assert_eq!(ms(&schema["properties"]["retention"]), super::RETENTION_MS);
}
