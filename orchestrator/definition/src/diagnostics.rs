//! What is wrong with a definition: where, against which rule, and how to mend it.
//!
//! Invariant: a diagnostic points at the text that has to change, and says to what.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};

/// Width at which texts are wrapped, in columns: what a terminal and a log viewer both show.
const WIDTH: usize = 110;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line as it stands in the file.
    pub snippet: String,
    /// Which rule of the language it breaks.
    pub rule: Rule,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
    /// The place in the source, in bytes.
    pub(crate) span: Range<usize>,
}

/// The rules of the language, as far as a definition can break them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The file is YAML, and of a bounded size.
    Yaml,
    /// No key stands twice in a mapping.
    DuplicateKey,
    /// Every key is a word of the language.
    UnknownKey,
    /// What has to be said is said.
    MissingKey,
    /// Every value is of the kind that its key takes.
    WrongType,
    /// The file is called `<saga>.v<version>.yaml`.
    FileName,
    /// Names are 1 to 64 characters of `a-z`, `0-9` and `-`.
    Name,
    /// Every step has a name of its own.
    DuplicateName,
    /// The participant `orchestrator` and the command `fence` are not for definitions.
    Reserved,
    /// A call is `participant.command` or another saga.
    Call,
    /// `after` names steps of the same list, each once, and they never wait for one another in a ring.
    After,
    /// A step that waits does nothing else, and every signal has one step that waits for it.
    Await,
    /// `for_each` names its element, and its lists are bounded.
    ForEach,
    /// `starts_on` names an event.
    StartsOn,
    /// At most one pivot, every compensatable step before it, every retriable step behind it.
    KindOrder,
    /// Every compensatable step says how it is undone, and no other does.
    Undo,
    /// Numbers lie in their range.
    Range,
    /// Durations are a whole number and a unit.
    Duration,
    /// Labels are at most eight, and texts.
    Label,
    /// Expressions are CEL.
    Expression,
    /// Expressions are short, flat, and go through one list at a time.
    ExpressionLimit,
    /// Expressions use names that are in scope.
    UnknownName,
    /// Expressions use functions that there are.
    UnknownFunction,
    /// Expressions use outputs only of steps that have succeeded by then.
    StepOrder,
    /// Schemas are there and are JSON Schema 2020-12.
    Schema,
    /// Texts have no character U+0000, which databases cannot store.
    NulCharacter,
}

impl Rule {
    /// Its stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::DuplicateKey => "duplicate-key",
            Self::UnknownKey => "unknown-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::FileName => "file-name",
            Self::Name => "name",
            Self::DuplicateName => "duplicate-name",
            Self::Reserved => "reserved",
            Self::Call => "call",
            Self::After => "after",
            Self::Await => "await",
            Self::ForEach => "for-each",
            Self::StartsOn => "starts-on",
            Self::KindOrder => "kind-order",
            Self::Undo => "undo",
            Self::Range => "range",
            Self::Duration => "duration",
            Self::Label => "label",
            Self::Expression => "expression",
            Self::ExpressionLimit => "expression-limit",
            Self::UnknownName => "unknown-name",
            Self::UnknownFunction => "unknown-function",
            Self::StepOrder => "step-order",
            Self::Schema => "schema",
            Self::NulCharacter => "nul-character",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Everything that is wrong with a definition; never empty. `Display` renders all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    source: Arc<str>,
    entries: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Takes the mistakes, found in any order, and the file's text.
    pub(crate) fn new(source: Arc<str>, mut entries: Vec<Diagnostic>) -> Self {
        entries.sort_by_key(|entry| (entry.span.start, entry.rule));
        entries.dedup_by(|a, b| a.span == b.span && a.rule == b.rule && a.message == b.message);
        Self { source, entries }
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.entries.iter()
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
            .with_width(WIDTH)
            .with_urls(false)
            .without_syntax_highlighting();
        let printable = printable(&self.source);
        for (position, diagnostic) in self.entries.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            let source = NamedSource::new(&*diagnostic.file, printable.clone());
            handler.render_report(f, &Rendered { diagnostic, source })?;
        }
        let count = self.entries.len();
        write!(f, "\n{count} {} in the definition", if count == 1 { "mistake" } else { "mistakes" })
    }
}

/// Whether a character could move a terminal's cursor or turn the direction of the text around it.
pub(crate) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same text, of the same length, without what could steer a terminal.
fn printable(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for character in source.chars() {
        if steers(character) && !matches!(character, '\n' | '\t') {
            text.extend(std::iter::repeat_n(' ', character.len_utf8()));
        } else {
            text.push(character);
        }
    }
    text
}

/// A diagnostic as miette wants to see it.
#[derive(Debug)]
struct Rendered<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedSource<String>,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Rendered<'_> {}

impl miette::Diagnostic for Rendered<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.rule))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.diagnostic.remedy))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = &self.diagnostic.span;
        Some(Box::new(std::iter::once(LabeledSpan::new(None, span.start, span.len()))))
    }
}
