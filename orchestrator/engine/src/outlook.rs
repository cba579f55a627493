//! What a journal would have become under another definition: its inputs are fed to the engine under the new
//! one until the decisions part.
//!
//! Times and attempts are no difference, or a new `resend_after` would hide every other one: what is folded
//! are the recorded times, so that later inputs find what they found then, with the new attempts.
//!
//! Invariant: it changes nothing; running sagas stay on the definition that they began with.

use std::fmt;

use amends_contract::{Direction, Token};
use amends_definition::{Call, Definition, Undo};
use serde_json::{Map, Value};

use crate::{Decision, ENGINE_VERSION, Ignored, Input, JournalEntry, ReplayError, Verdict, fold, verify};

/// What would have become of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// The same, so far.
    Same {
        /// Whether something would be sent at other times, or with other attempts.
        other_times: bool,
    },
    /// Something else.
    Differs(Divergence),
    /// Another engine decided it: what differs might be the engine.
    OtherEngine {
        /// The entry.
        seq: u64,
        /// Its engine version.
        version: u32,
    },
}

/// Where a saga would have gone another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The journal entry.
    pub seq: u64,
    /// The step; `None` when it is about the saga as a whole.
    pub step: Option<String>,
    /// How.
    pub how: Deviation,
}

/// How two ways part. Its text names no saga, so that equal ones can be counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deviation {
    /// The input is refused.
    Refused(String),
    /// The input changes nothing.
    Unheard(&'static str),
    /// The step's command carries other data.
    Data {
        /// Which of its effects.
        effect: &'static str,
        /// `+new`, `-gone` and `~changed` fields.
        fields: Vec<String>,
    },
    /// The step asks somebody else, or for something else.
    Calls {
        /// Which of its effects.
        effect: &'static str,
        /// What was asked.
        before: String,
        /// What would be.
        after: String,
    },
    /// The new definition has no such step.
    Gone {
        /// What is decided instead; `None` for nothing.
        instead: Option<String>,
    },
    /// Something else is decided.
    Instead {
        /// What was decided; `None` for nothing.
        recorded: Option<String>,
        /// What would be; `None` for nothing.
        decided: Option<String>,
    },
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |what: &Option<String>| what.clone().unwrap_or_else(|| "nothing".to_owned());
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unheard(why) => write!(f, "what came in would change nothing: {why}"),
            Self::Data { effect, fields } => write!(f, "{effect} data: {}", fields.join(", ")),
            Self::Calls { effect, before, after } => write!(f, "{effect} call: {after} instead of {before}"),
            Self::Gone { instead } => write!(f, "the step is gone; {} instead", or_nothing(instead)),
            Self::Instead { recorded, decided } => {
                write!(f, "{} instead of {}", or_nothing(decided), or_nothing(recorded))
            }
        }
    }
}

/// Feeds the inputs of a whole journal to the engine under the definition `after`, up to the first
/// divergence. `before` is the saga's own, if it is known: whom its steps call is not in the journal.
///
/// # Errors
/// [`ReplayError`] when it is no journal.
pub fn foresee(
    entries: impl IntoIterator<Item = JournalEntry>,
    before: Option<&Definition>,
    after: &Definition,
) -> Result<Outlook, ReplayError> {
    let mut entries = entries.into_iter().peekable();
    let first = entries.peek().ok_or(ReplayError::Empty)?;
    let mut saga = fold::blank(first).ok_or(ReplayError::NotAStart)?;
    (saga.definition, saga.digest) = (after.reference(), after.digest);
    let mut other_times = false;
    for entry in entries {
        fold::check(&saga, &entry)?;
        let (seq, version) = (entry.seq, entry.engine_version);
        if version != ENGINE_VERSION {
            return Ok(Outlook::OtherEngine { seq, version });
        }
        let differs = |step, how| Ok(Outlook::Differs(Divergence { seq, step, how }));
        let recorded = Told::all(&entry.decisions);
        let decided = match verify::again(&saga, &entry, after) {
            Ok(transition) => match transition.verdict {
                Verdict::Applied => Told::all(&transition.entry.decisions),
                Verdict::Ignored(_) if recorded.iter().all(|told| !told.counts()) => Vec::new(),
                Verdict::Ignored(why) => return differs(step_of(&entry.input), unheard(why)),
            },
            Err(error) => return differs(step_of(&entry.input), Deviation::Refused(error.to_string())),
        };
        if let Some((step, how)) = parting(&recorded, &decided, before, after) {
            return differs(step, how);
        }
        other_times |= recorded != decided;
        let decisions = merged(&recorded, &decided);
        fold::fold(&mut saga, &JournalEntry { decisions, ..entry })?;
    }
    Ok(Outlook::Same { other_times })
}

const fn unheard(why: Ignored) -> Deviation {
    Deviation::Unheard(why.as_str())
}

/// The step that an input is about.
fn step_of(input: &Input) -> Option<String> {
    match input {
        Input::Reply(reply) => Some(reply.effect.step.to_string()),
        _ => None,
    }
}

/// A decision as its JSON, of which only the journal's stable names are used: it holds for decisions to come.
#[derive(Clone, Debug, PartialEq)]
struct Told(Map<String, Value>);

/// Fields that say when and how often, not what.
const TIMES: [&str; 5] = ["due_at", "pending_until", "deadline_at", "attempts", "left"];

impl Told {
    fn all(decisions: &[Decision]) -> Vec<Self> {
        let told = |decision| match serde_json::to_value(decision) {
            Ok(Value::Object(fields)) => Self(fields),
            _ => unreachable!("a decision is written as an object"),
        };
        decisions.iter().map(told).collect()
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn step(&self) -> Option<&str> {
        self.0.get("step").and_then(Value::as_str)
    }

    /// A moved deadline is a time and nothing else.
    fn counts(&self) -> bool {
        self.text("decision") != "deadline_moved"
    }

    /// What it decides, without times.
    fn essence(&self) -> Map<String, Value> {
        let mut fields = self.0.clone();
        fields.retain(|name, _| !TIMES.contains(&name.as_str()));
        if self.text("decision") == "started" {
            fields.remove("steps");
        }
        if let Some(Value::Object(failure)) = fields.get_mut("failure") {
            failure.remove("detail"); // it may name a moment
        }
        fields
    }

    fn summary(&self) -> String {
        let step = self.step().map(|step| format!(" {step}")).unwrap_or_default();
        match (self.text("decision"), self.text("effect")) {
            ("decided", "undo") => format!("undoing{step}"),
            ("decided", _) => format!("doing{step}"),
            (decision, _) => format!("{}{step}", decision.replace('_', " ")),
        }
    }

    fn whose(&self) -> &'static str {
        if self.text("effect") == "undo" { "its undo's" } else { "its" }
    }
}

/// The first decision that is another one.
fn parting(
    recorded: &[Told],
    decided: &[Told],
    before: Option<&Definition>,
    after: &Definition,
) -> Option<(Option<String>, Deviation)> {
    let mut recorded = recorded.iter().filter(|told| told.counts());
    let mut decided = decided.iter().filter(|told| told.counts());
    loop {
        match (recorded.next(), decided.next()) {
            (None, None) => return None,
            (Some(was), Some(is)) if was.essence() == is.essence() => {
                if let Some(how) = other_call(was, before, after) {
                    return Some((was.step().map(str::to_owned), how));
                }
            }
            (was, is) => return Some(part(was, is, after)),
        }
    }
}

fn part(was: Option<&Told>, is: Option<&Told>, after: &Definition) -> (Option<String>, Deviation) {
    let step = |told: Option<&Told>| told.and_then(Told::step).map(str::to_owned);
    if let (Some(was), Some(is)) = (was, is) {
        let but_data = |told: &Told| {
            let mut fields = told.essence();
            let data = fields.remove("data").unwrap_or_default();
            (fields, data)
        };
        let ((was_fields, was_data), (is_fields, is_data)) = (but_data(was), but_data(is));
        if was_fields == is_fields {
            let fields = changed_fields(&was_data, &is_data);
            return (step(Some(is)), Deviation::Data { effect: is.whose(), fields });
        }
    }
    let gone = was.and_then(Told::step).filter(|step| after.step(base(step)).is_none());
    let (recorded, decided) = (was.map(Told::summary), is.map(Told::summary));
    match gone {
        Some(gone) => (Some(gone.to_owned()), Deviation::Gone { instead: decided }),
        None => (step(is).or_else(|| step(was)), Deviation::Instead { recorded, decided }),
    }
}

/// The step's name in the definition: an instance of `for_each` has a number behind it.
fn base(step: &str) -> &str {
    step.split_once('.').map_or(step, |(name, _)| name)
}

fn changed_fields(was: &Value, is: &Value) -> Vec<String> {
    let (Value::Object(was), Value::Object(is)) = (was, is) else { return vec!["all of it".to_owned()] };
    let gone = was.keys().filter(|name| !is.contains_key(*name)).map(|name| format!("-{name}"));
    let new = is.keys().filter(|name| !was.contains_key(*name)).map(|name| format!("+{name}"));
    let other = is.iter().filter(|(name, value)| was.get(*name).is_some_and(|was| was != *value));
    new.chain(gone).chain(other.map(|(name, _)| format!("~{name}"))).collect()
}

/// Whether what is decided goes to somebody else now.
fn other_call(was: &Told, before: Option<&Definition>, after: &Definition) -> Option<Deviation> {
    if was.text("decision") != "decided" {
        return None;
    }
    let name = Token::new(base(was.step()?)).ok()?;
    let direction = if was.text("effect") == "undo" { Direction::Backward } else { Direction::Forward };
    let (before, after) = (call(before?, &name, direction)?, call(after, &name, direction)?);
    let how =
        || Deviation::Calls { effect: was.whose(), before: before.to_string(), after: after.to_string() };
    (before != after).then(how)
}

fn call<'a>(definition: &'a Definition, step: &Token, direction: Direction) -> Option<&'a Call> {
    let step = definition.step(step)?;
    match (direction, &step.undo) {
        (Direction::Forward, _) => Some(&step.call),
        (Direction::Backward, Some(Undo::Call { call, .. })) => Some(call),
        (Direction::Backward, _) => None,
    }
}

/// The new decisions at the recorded times. A deadline, and what is left of the attempts, are the new ones.
fn merged(recorded: &[Told], decided: &[Told]) -> Vec<Decision> {
    let mut recorded = recorded.iter().filter(|told| told.counts());
    let merge = |is: &Told| {
        let mut fields = is.0.clone();
        let was = if is.counts() { recorded.next() } else { None };
        for name in ["due_at", "pending_until"] {
            if let Some(at) = was.and_then(|was| was.0.get(name)) {
                fields.insert(name.to_owned(), at.clone());
            }
        }
        serde_json::from_value(Value::Object(fields))
            .unwrap_or_else(|error| unreachable!("it was written by us: {error}"))
    };
    decided.iter().map(merge).collect()
}
