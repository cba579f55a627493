//! Collects what is wrong, so that one run tells everything.
//!
//! Invariant: reading goes on after a mistake; only the end of the compilation asks whether there was one.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostics::steers;
use crate::limits::DIAGNOSTICS_MAX;
use crate::{Diagnostic, Diagnostics, Rule};

/// The mistakes found so far in one file.
pub(crate) struct Report {
    file: Arc<str>,
    source: Arc<str>,
    found: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(file: &str, source: Arc<str>) -> Self {
        Self { file: one_line(file).into(), source, found: Vec::new() }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Notes a mistake at `span` (bytes; clipped to the file).
    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        rule: Rule,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.found.len() >= DIAGNOSTICS_MAX {
            return;
        }
        let span = self.clip(span);
        let before = &self.source[..span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.found.push(Diagnostic {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            snippet: first_line(&self.source[line_start..]).to_owned(),
            rule,
            message: one_line(&message.into()),
            remedy: one_line(&remedy.into()),
            span,
        });
    }

    /// The place of line and column (from 1, in characters), in bytes.
    pub(crate) fn offset(&self, line: u64, column: u64) -> usize {
        let line = usize::try_from(line).unwrap_or(usize::MAX).max(1);
        let column = usize::try_from(column).unwrap_or(usize::MAX).max(1);
        let start = if line == 1 {
            Some(0)
        } else {
            self.source.match_indices('\n').nth(line - 2).map(|(newline, _)| newline + 1)
        };
        let start = start.unwrap_or(self.source.len());
        let text = first_line(&self.source[start..]);
        start + text.char_indices().nth(column - 1).map_or(text.len(), |(byte, _)| byte)
    }

    /// The value, if there is one and nothing was reported; else everything that was.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Diagnostics> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            Some(_) => Err(Diagnostics::new(self.source, self.found)),
            None => {
                if self.found.is_empty() {
                    // Cannot be, and if it is, a message is better than a panic.
                    self.add(0..0, Rule::Yaml, "the definition cannot be read", "report this");
                }
                Err(Diagnostics::new(self.source, self.found))
            }
        }
    }

    fn clip(&self, span: Range<usize>) -> Range<usize> {
        let boundary = |at: usize| self.source.floor_char_boundary(at.min(self.source.len()));
        let start = boundary(span.start);
        start..boundary(span.end).max(start)
    }
}

/// The first line, without its end.
fn first_line(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    line.strip_suffix('\r').unwrap_or(line)
}

/// Messages quote the file: what would break the line or steer a terminal is written as an escape.
fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, character| {
        if steers(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        line
    })
}
