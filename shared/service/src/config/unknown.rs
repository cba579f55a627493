//! Finds keys that nothing reads, and what their writer may have meant.
//!
//! What can be set is what the default has. Below a default that is absent or an empty table, serde
//! decides.

use figment::value::{Dict, Value};

use super::UnknownKey;
use super::layer::{Layer, flatten};
use super::sources::PREFIX;

/// Below this likeness (Jaro-Winkler, 0 to 1) a suggestion would only confuse.
const LIKENESS_MIN: f64 = 0.85;

/// The keys of the layer that the defaults do not have.
pub(super) fn keys(defaults: &Value, layer: &Layer) -> Vec<UnknownKey> {
    let mut unknown = Vec::new();
    if let Value::Dict(_, known) = defaults {
        walk(known, &layer.values, "", &mut unknown);
    }
    let describe = |key: String| UnknownKey {
        nearest: nearest(defaults, &key).map(|nearest| written(&nearest, &layer.source)),
        key: written(&key, &layer.source),
        source: layer.source.clone(),
    };
    unknown.into_iter().map(describe).collect()
}

fn walk(known: &Dict, given: &Dict, prefix: &str, unknown: &mut Vec<String>) {
    for (name, value) in given {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (known.get(name), value) {
            (None, _) => unknown.push(key),
            (Some(Value::Dict(_, inner)), Value::Dict(_, value)) if !inner.is_empty() => {
                walk(inner, value, &key, unknown);
            }
            // A scalar where a table belongs, or the other way round: a wrong value, which serde reports.
            (Some(_), _) => {}
        }
    }
}

/// The known key or table that looks most like this one.
fn nearest(defaults: &Value, key: &str) -> Option<String> {
    let mut known: Vec<String> = flatten(defaults).into_iter().map(|leaf| leaf.key).collect();
    let tables: Vec<String> = known
        .iter()
        .flat_map(|leaf| leaf.match_indices('.').map(|(end, _)| leaf[..end].to_owned()).collect::<Vec<_>>())
        .collect();
    known.extend(tables);
    // A single underscore in place of the separator is the likeliest slip in the environment.
    let plain = |key: &str| key.replace('.', "_");
    let likeness = |candidate: &String| strsim::jaro_winkler(&plain(candidate), &plain(key));
    // That the table is known does not help.
    let is_helpful = |candidate: &String| !key.starts_with(&format!("{candidate}."));
    let best = known.into_iter().filter(is_helpful).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= LIKENESS_MIN).then_some(best)
}

/// As it would be written in that source.
fn written(key: &str, source: &str) -> String {
    if source.starts_with("env ") {
        format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
    } else {
        key.to_owned()
    }
}
