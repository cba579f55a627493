//! What the demo shows: lines as things happen, coloured on a terminal, plain elsewhere.
//!
//! Invariant: a reader who is gone (`amends demo | head`) does not stop the demo from cleaning up.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use crate::narrate::{Line, Mood};

/// Width of the box, and of the column of steps.
const BOX_WIDTH: usize = 100;
const STEP_WIDTH: usize = 18;

/// Where the demo is shown.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    colours: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

impl Stage {
    pub(crate) fn stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && io::stdout().is_terminal() }
    }

    /// What goes on behind the scenes.
    pub(crate) fn note(&self, text: &str) {
        self.put(&self.paint(DIM, &format!("· {text}")));
    }

    /// A new scene.
    pub(crate) fn scene(&self, title: &str, expected: &str) {
        self.put(&format!("\n{}", self.paint(BOLD, title)));
        self.put(&self.paint(DIM, &format!("  expected: {expected}")));
    }

    /// Something was decided in a saga, so long after its start.
    pub(crate) fn step(&self, after: Duration, line: &Line) {
        let step = line.step.as_ref().map(ToString::to_string).unwrap_or_default();
        let text = match line.mood {
            Mood::Good => self.paint(GREEN, &line.text),
            Mood::Bad => self.paint(RED, &line.text),
            Mood::Neutral => line.text.clone(),
        };
        self.put(&format!("  {:>7.2} s  {step:<STEP_WIDTH$}{text}", after.as_secs_f64()));
    }

    /// Something that the demo did to the services.
    pub(crate) fn blow(&self, after: Duration, text: &str) {
        self.put(&format!("  {:>7.2} s  {}", after.as_secs_f64(), self.paint(CYAN, text)));
    }

    /// Whether it was as expected.
    pub(crate) fn verdict(&self, ok: bool, text: &str) {
        let word = if ok { self.paint(GREEN, "ok") } else { self.paint(RED, "NOT AS EXPECTED") };
        self.put(&format!("  {word}: {text}"));
    }

    /// A list of checks.
    pub(crate) fn checks(&self, title: &str, checks: &[(bool, String)]) {
        self.put(&format!("\n{}", self.paint(BOLD, title)));
        for (ok, text) in checks {
            let word = if *ok { self.paint(GREEN, "  ok  ") } else { self.paint(RED, " FAIL ") };
            self.put(&format!("  [{word}] {text}"));
        }
    }

    /// A box of lines; on a pipe the lines alone.
    pub(crate) fn boxed(&self, lines: &[String]) {
        if !self.colours {
            self.put("");
            return lines.iter().for_each(|line| self.put(line));
        }
        self.put(&format!("\n┌{}┐", "─".repeat(BOX_WIDTH + 2)));
        for line in lines {
            // A long URL goes over the edge rather than being cut: it is there to be copied.
            self.put(&format!("│ {line:<BOX_WIDTH$} │"));
        }
        self.put(&format!("└{}┘", "─".repeat(BOX_WIDTH + 2)));
    }

    /// Lines as they are, to be copied.
    pub(crate) fn plain(&self, lines: &[String]) {
        self.put("");
        lines.iter().for_each(|line| self.put(line));
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    #[expect(clippy::unused_self, reason = "whoever prints has a stage")]
    fn put(&self, text: &str) {
        let mut stdout = io::stdout();
        let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    }
}
