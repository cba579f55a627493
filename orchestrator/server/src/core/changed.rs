//! A definition file that was changed under its old version, shown with its differences and the remedy.
//!
//! Invariant: whoever reads it can mend it without looking anything up: it names the files, the lines, and
//! the name and number that a new version needs.

use std::fmt;
use std::path::{Path, PathBuf};

use amends_contract::DefinitionRef;
use similar::TextDiff;

/// Lines around a difference.
const CONTEXT_LINES: usize = 3;
/// Longest difference that is shown, in lines: a file that was written anew is not to be read in a log.
const DIFF_LINES_MAX: usize = 60;

/// What was changed, and what to do instead.
#[derive(Debug)]
pub struct Changed {
    definition: DefinitionRef,
    /// The definition's file.
    file: PathBuf,
    /// The file that differs: that one, or one of its schemas.
    part: PathBuf,
    diff: String,
    /// The first version that is free.
    next: DefinitionRef,
}

impl Changed {
    /// `part` is what differs: `source`, or the path of a schema beside `file`; `newest` the highest version
    /// that is stored under the definition's name.
    pub(super) fn new(
        file: &Path,
        definition: DefinitionRef,
        part: &str,
        (stored, given): (String, String),
        newest: u32,
    ) -> Self {
        let part = match part {
            "source" => file.to_owned(),
            schema => file.with_file_name(schema),
        };
        let mut next = DefinitionRef { version: newest, ..definition.clone() };
        loop {
            next.version = next.version.saturating_add(1);
            if next.version == u32::MAX || !file.with_file_name(format!("{next}.yaml")).exists() {
                break;
            }
        }
        let header = (format!("{} as stored with {definition}", part.display()), part.display().to_string());
        let diff = diff(&stored, &given, (&header.0, &header.1));
        Self { definition, file: file.to_owned(), part, diff, next }
    }

    fn new_file(&self) -> PathBuf {
        self.file.with_file_name(format!("{}.yaml", self.next))
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { definition, file, part, diff, next } = self;
        let (file, part, new_file) = (file.display(), part.display(), self.new_file());
        let (new_file, version) = (new_file.display(), next.version);
        write!(f, "{part} was changed, but sagas are pinned to {definition} as it is stored:\n{diff}")?;
        if self.file == self.part {
            write!(
                f,
                "save it as {new_file} with `version: {version}`, and give {file} its old text back or remove \
                 it: what is stored needs no file"
            )
        } else {
            write!(
                f,
                "save it under a new name, name that in {new_file} with `version: {version}`, and give {part} \
                 its old text back"
            )
        }
    }
}

fn diff(stored: &str, given: &str, (before, after): (&str, &str)) -> String {
    let diff = TextDiff::from_lines(stored, given);
    let text = diff.unified_diff().context_radius(CONTEXT_LINES).header(before, after).to_string();
    let mut lines = text.split_inclusive('\n');
    let mut shown: String = lines.by_ref().take(DIFF_LINES_MAX).collect();
    let left = lines.count();
    if left > 0 {
        shown.push_str(&format!("(and {left} lines more)\n"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(part: &str, texts: (&str, &str)) -> String {
        let definition: DefinitionRef = "order.v1".parse().unwrap();
        let texts = (texts.0.to_owned(), texts.1.to_owned());
        Changed::new(Path::new("sagas/order.v1.yaml"), definition, part, texts, 2).to_string()
    }

    #[test]
    fn a_changed_file_is_shown_with_its_lines_and_the_next_version() {
        let text = changed("source", ("saga: order\ndeadline: 24h\n", "saga: order\ndeadline: 1h\n"));
        assert_eq!(
            text,
            "sagas/order.v1.yaml was changed, but sagas are pinned to order.v1 as it is stored:\n\
             --- sagas/order.v1.yaml as stored with order.v1\n\
             +++ sagas/order.v1.yaml\n\
             @@ -1,2 +1,2 @@\n saga: order\n-deadline: 24h\n+deadline: 1h\n\
             save it as sagas/order.v3.yaml with `version: 3`, and give sagas/order.v1.yaml its old text back \
             or remove it: what is stored needs no file"
        );
    }

    #[test]
    fn a_changed_schema_names_both_files() {
        let text = changed("schemas/order.json", ("{}\n", "[]\n"));
        assert!(text.starts_with("sagas/schemas/order.json was changed, but sagas are pinned to order.v1"));
        let remedy = "name that in sagas/order.v3.yaml with `version: 3`, and give sagas/schemas/order.json";
        assert!(text.contains(remedy), "{text}");
    }

    #[test]
    fn a_file_written_anew_is_cut_short() {
        let (old, new): (String, String) =
            ((0..200).map(|n| format!("{n}\n")).collect(), (200..400).map(|n| format!("{n}\n")).collect());
        let text = changed("source", (&old, &new));
        assert!(text.contains("(and 343 lines more)") && text.lines().count() < 70, "{text}");
    }
}
