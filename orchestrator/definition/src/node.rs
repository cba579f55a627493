//! The YAML as a tree in which every key and every value knows its place.
//!
//! The tree is read by hand instead of by derive: serde stops at the first mistake, and we want to tell
//! all of them.
//!
//! Invariant: what is not one well-formed YAML document without repeated keys is reported here.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Options, Spanned};

use crate::Rule;
use crate::limits::{SOURCE_BYTES_MAX, SOURCE_DEPTH_MAX, SOURCE_NODES_MAX};
use crate::report::Report;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) yaml: Yaml,
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
}

/// What YAML knows.
#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that has no place in 64 bits.
    BigInt,
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Yaml {
    /// For messages: "a list was found".
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::BigInt => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads the document.
pub(crate) fn parse(report: &mut Report) -> Option<Node> {
    let size = report.source().len();
    if size > SOURCE_BYTES_MAX {
        let message = format!("the file has {size} bytes; at most {SOURCE_BYTES_MAX} are read");
        report.add(0..0, Rule::Yaml, message, "split the saga, or move texts into participants");
        return None;
    }
    let first = read(report.source(), DuplicateKeyPolicy::Error);
    let document = match first {
        Err(error) if matches!(error.without_snippet(), serde_saphyr::Error::DuplicateMappingKey { .. }) => {
            report_error(report, &error);
            // Once more, with repeated keys allowed, to see what else is wrong.
            read(report.source(), DuplicateKeyPolicy::LastWins)
        }
        other => other,
    };
    match document {
        Ok(mut node) => {
            tell_big_integers(report.source(), &mut node);
            refuse_duplicates(report, &mut node);
            Some(node)
        }
        Err(error) => {
            report_error(report, &error);
            None
        }
    }
}

fn read(source: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, serde_saphyr::Error> {
    let options: Options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: SOURCE_DEPTH_MAX,
            flow_nesting_limit: SOURCE_DEPTH_MAX,
            max_nodes: SOURCE_NODES_MAX,
            max_aliases: 100,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        duplicate_keys: duplicate_keys,
        // A key that comes from elsewhere has no place to point at.
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(source, options)
}

fn report_error(report: &mut Report, error: &serde_saphyr::Error) {
    let error = error.without_snippet();
    let span = error.location().map_or(0..0, |location| {
        let start = match location.span().byte_offset() {
            Some(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
            None => report.offset(location.line(), location.column()),
        };
        let len = location.span().byte_len().and_then(|len| usize::try_from(len).ok()).unwrap_or(1);
        start..start.saturating_add(len.max(1))
    });
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error {
        duplicate(report, span, key.as_deref().unwrap_or_default());
        return;
    }
    let text = serde_saphyr::DefaultMessageFormatter;
    let message = serde_saphyr::MessageFormatter::format_message(&text, error).into_owned();
    let bytes = report.source().as_bytes();
    let end = span.start.saturating_add(1).min(bytes.len());
    let near = bytes.get(span.start.saturating_sub(1)..end).unwrap_or_default();
    let remedy = if near.contains(&b'\t') {
        "indent with spaces: YAML takes no tabs there"
    } else {
        "mend the YAML: texts with a colon, a hash, a brace or a bracket stand in quotes"
    };
    report.add(span, Rule::Yaml, message, remedy);
}

/// The parser gives a whole number that is larger than any of its own as one with a fraction, which would
/// change it in silence.
fn tell_big_integers(source: &str, node: &mut Node) {
    match &mut node.yaml {
        Yaml::List(items) => items.iter_mut().for_each(|item| tell_big_integers(source, item)),
        Yaml::Map(entries) => entries.iter_mut().for_each(|(_, value)| tell_big_integers(source, value)),
        Yaml::Float(_) => {
            let text = source.get(node.span.clone()).unwrap_or_default();
            if !text.contains(['.', 'e', 'E']) {
                node.yaml = Yaml::BigInt;
            }
        }
        Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::BigInt | Yaml::Text(_) => {}
    }
}

/// Reports repeated keys and keeps the first of each, since that is where the reader looks first.
fn refuse_duplicates(report: &mut Report, node: &mut Node) {
    match &mut node.yaml {
        Yaml::List(items) => items.iter_mut().for_each(|item| refuse_duplicates(report, item)),
        Yaml::Map(entries) => {
            let mut seen = std::collections::BTreeSet::new();
            entries.retain(|(key, _)| {
                let first = seen.insert(key.text.clone());
                if !first {
                    duplicate(report, key.span.clone(), &key.text);
                }
                first
            });
            entries.iter_mut().for_each(|(_, value)| refuse_duplicates(report, value));
        }
        Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::BigInt | Yaml::Float(_) | Yaml::Text(_) => {}
    }
}

fn duplicate(report: &mut Report, span: Range<usize>, key: &str) {
    let message = format!("the key `{key}` stands twice in this mapping");
    report.add(span, Rule::DuplicateKey, message, "remove one of the two");
}

fn bytes(location: &Location) -> Range<usize> {
    let offset = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
    let start = offset(location.span().byte_offset());
    start..start.saturating_add(offset(location.span().byte_len()))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(deserializer)?;
        Ok(Self { span: bytes(&spanned.referenced), yaml: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { span: bytes(&spanned.referenced), text: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(i64::try_from(value).map_or(Yaml::BigInt, Yaml::Int))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Yaml, E> {
        Ok(i64::try_from(value).map_or(Yaml::BigInt, Yaml::Int))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Yaml, E> {
        Ok(i64::try_from(value).map_or(Yaml::BigInt, Yaml::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Yaml, E> {
        Ok(Yaml::Text(value))
    }

    fn visit_bytes<E: serde::de::Error>(self, _value: &[u8]) -> Result<Yaml, E> {
        Err(E::custom("binary values are not part of the language"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry::<Key, Node>()? {
            map.push(entry);
        }
        Ok(Yaml::Map(map))
    }
}
