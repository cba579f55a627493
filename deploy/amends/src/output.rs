//! What commands print: tables for people, plain lines for programs, JSON for whoever asks.
//!
//! Invariant: nothing that came from outside moves a terminal's cursor: control characters are shown, not
//! sent.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write},
};

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

/// Standard output.
pub(crate) struct Output {
    to: Box<dyn Write>,
    terminal: bool,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        Self { terminal: stdout.is_terminal(), to: Box::new(stdout) }
    }

    /// One line.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.to, "{}", shown(&text.to_string()))
    }

    /// Bytes as they are, for programs; a terminal gets them with its control characters shown.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.terminal {
            return self.line(String::from_utf8_lossy(bytes));
        }
        self.to.write_all(bytes)
    }

    /// JSON on one line, so that a stream of values is a stream of lines.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        writeln!(self.to)
    }

    /// Rows under a heading for people; for programs the rows alone, with tabs between.
    pub(crate) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let rows = rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>());
        if !self.terminal {
            return rows.into_iter().try_for_each(|row| writeln!(self.to, "{}", row.join("\t")));
        }
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY).set_header(heading.to_vec()).add_rows(rows);
        writeln!(self.to, "{table}")
    }
}

/// Says on standard error why a command failed, with all causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let _ = write!(text, "\n  because: {cause}");
    }
    say(&text);
}

/// Says something on standard error, where no program looks for results.
pub(crate) fn say(text: &str) {
    // Nobody to tell it to: then it stays untold.
    let _ = writeln!(io::stderr(), "{}", text.lines().map(shown).collect::<Vec<_>>().join("\n"));
}

/// The text with its control characters made visible.
fn shown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() && c != '\n' {
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_sent() {
        assert_eq!(shown("a\u{1b}[2Jb\u{7f}"), "a\\u{1b}[2Jb\\u{7f}");
        assert_eq!(shown("Grüße"), "Grüße");
    }
}
