//! Mappings with a fixed vocabulary.
//!
//! Invariant: a key that is no word of the language never passes in silence.

use std::ops::Range;

use crate::Rule;
use crate::node::{Key, Node, Yaml};
use crate::report::Report;
use crate::suggest::meant;

/// The words that a mapping may use.
pub(super) struct Words {
    /// For messages: "a step".
    pub(super) what: &'static str,
    pub(super) known: &'static [&'static str],
}

/// A mapping whose keys have been checked.
pub(super) struct Fields<'n> {
    span: Range<usize>,
    what: &'static str,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// Reads a mapping; reports what is none, and every key that does not belong there.
    pub(super) fn read(report: &mut Report, node: &'n Node, words: &Words) -> Option<Self> {
        let Yaml::Map(entries) = &node.yaml else {
            let message = format!("{} is a mapping, and {} was found", words.what, node.yaml.kind());
            let remedy = format!("write `key: value` with {}", list(words.known));
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
            return None;
        };
        for (key, _) in entries {
            if !words.known.contains(&key.text.as_str()) {
                refuse(report, key, words);
            }
        }
        Some(Self { span: node.span.clone(), what: words.what, entries })
    }

    /// Whether it says nothing at all.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value, if the key is there.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
    }

    /// The key's place, if it is there.
    pub(super) fn key(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key.span.clone())
    }

    /// The value; reports when it is missing.
    pub(super) fn require(&self, report: &mut Report, name: &str, remedy: &str) -> Option<&'n Node> {
        let node = self.get(name);
        if node.is_none() {
            let message = format!("{} has no `{name}`", self.what);
            report.add(self.place(), Rule::MissingKey, message, remedy);
        }
        node
    }

    /// Where to point at when something is missing: the first key.
    pub(super) fn place(&self) -> Range<usize> {
        self.entries.first().map_or_else(|| self.span.clone(), |(key, _)| key.span.clone())
    }
}

fn refuse(report: &mut Report, key: &Key, words: &Words) {
    let word = key.text.as_str();
    let remedy = match meant(word, words.known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{} may say {}", words.what, list(words.known)),
    };
    let shown: String = word.chars().take(80).collect();
    let message = format!("`{shown}` is no word of {}", words.what);
    report.add(key.span.clone(), Rule::UnknownKey, message, remedy);
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
