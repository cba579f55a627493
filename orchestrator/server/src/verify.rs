//! Verifies stored sagas: journal gapless, as long as the row's version, folding to the row, and decided by
//! the engine as it stands there.
//!
//! It only reads, a saga at a time, beside running orchestrators: what moves on meanwhile is read again.
//!
//! Invariant: a finding is never a saga that merely moved on while it was looked at.

use std::collections::BTreeSet;

use amends_contract::{SagaId, Timestamp};
use amends_engine::{ENGINE_VERSION, Illegal, JournalEntry, Saga, replay, verify};
use amends_store::{Error, SagaFilter, SagaRow, Store};
use serde::Serialize;
use serde_json::Value;

use crate::core::{Definitions, LoadError};

/// Sagas whose rows are read at once, and lines of a journal.
const SAGAS_COUNT: u32 = 100;
const LINES_COUNT: u32 = 1_000;

/// Which sagas.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// These; all if there are none.
    pub sagas: Vec<SagaId>,
    /// Made at this moment or later.
    pub since: Option<Timestamp>,
}

/// What is wrong with a saga: the first thing only, since the rest may follow from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The saga.
    pub saga: SagaId,
    /// The journal entry at which it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Which rule is broken: missing, unreadable, length, journal, illegal, row, columns.
    pub rule: &'static str,
    /// The same for people.
    pub what: String,
    /// What came in, what was recorded, and what the engine makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Value>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Sagas.
    pub sagas: u64,
    /// Journal entries that were decided again.
    pub decided: u64,
    /// Journal entries that were only folded: an older engine decided them, or their definition is not known
    /// to this version.
    pub folded: u64,
    /// Sagas with something wrong.
    pub findings: u64,
}

/// Why it could not be looked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] Error),
    /// The definitions cannot be read.
    #[error(transparent)]
    Definitions(#[from] LoadError),
    /// Findings cannot be told.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// Verifies sagas, the newest first, and tells each finding as it comes.
///
/// # Errors
/// [`VerifyError`] when it cannot go on; what was found so far is told.
pub async fn run(
    store: &Store,
    wanted: &Wanted,
    tell: &mut dyn FnMut(&Finding) -> std::io::Result<()>,
) -> Result<Summary, VerifyError> {
    let mut verifier = Verifier::new(store).await?;
    if wanted.sagas.is_empty() {
        let filter = SagaFilter { made_from: wanted.since, ..SagaFilter::default() };
        let mut cursor = None;
        loop {
            let page = store.sagas(&filter, cursor, SAGAS_COUNT).await?;
            for row in page.rows {
                let looked = verifier.look(row.id, Some(row)).await?;
                looked.finding.iter().try_for_each(&mut *tell)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    } else {
        for id in wanted.sagas.iter().collect::<BTreeSet<_>>() {
            let looked = verifier.look(*id, None).await?;
            looked.finding.iter().try_for_each(&mut *tell)?;
        }
    }
    Ok(verifier.summary)
}

/// Verifies sagas one by one, for whoever wants to know more of them than that.
pub struct Verifier<'a> {
    store: &'a Store,
    definitions: Definitions,
    summary: Summary,
}

/// What was read of a saga, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The saga in the row; `None` when there is none, or it cannot be read.
    pub saga: Option<Saga>,
    /// The entries of its journal that can be read, in their order.
    pub journal: Vec<JournalEntry>,
    /// The first thing that is wrong.
    pub finding: Option<Finding>,
}

/// A row: the saga in it, or why it cannot be read, and the columns that say something else.
type Row = (Result<Saga, String>, Vec<&'static str>);

impl<'a> Verifier<'a> {
    /// With all definitions that the store has.
    ///
    /// # Errors
    /// [`VerifyError`] when they cannot be read.
    pub async fn new(store: &'a Store) -> Result<Self, VerifyError> {
        let definitions = Definitions::default();
        definitions.refresh(store).await?;
        Ok(Self { store, definitions, summary: Summary::default() })
    }

    /// What was looked at so far.
    #[must_use]
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    /// The definitions by which it decides.
    #[must_use]
    pub const fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Verifies a saga. `row` is what a list said of it; without one it is a finding if there is no such saga.
    ///
    /// # Errors
    /// [`VerifyError`] when the database does not answer.
    pub async fn look(&mut self, id: SagaId, row: Option<SagaRow>) -> Result<Looked, VerifyError> {
        let listed = row.is_some();
        let mut row = match row {
            Some(row) => Some(split(row)),
            None => self.row(id).await?,
        };
        let looked = loop {
            let Some((saga, strays)) = row else {
                // What was listed and is gone has been deleted meanwhile, as old sagas are.
                let what = "there is no such saga".to_owned();
                let finding = Finding { saga: id, seq: None, rule: "missing", what, difference: None };
                break Looked { finding: (!listed).then_some(finding), ..Looked::default() };
            };
            let lines = self.journal(id, saga.as_ref().ok().map(|saga| saga.version)).await?;
            let journal = lines.iter().filter_map(|(_, entry)| entry.as_ref().ok()).cloned().collect();
            let finding = self.judge(id, saga.clone(), &strays, lines);
            if finding.is_none() {
                break Looked { saga: saga.ok(), journal, finding };
            }
            // Whatever is wrong is only wrong if the row still stands as it did.
            row = self.row(id).await?;
            let version = |saga: &Result<Saga, String>| saga.as_ref().ok().map(|saga| saga.version);
            if row.as_ref().is_some_and(|(now, _)| version(now) == version(&saga)) {
                break Looked { saga: saga.ok(), journal, finding };
            }
        };
        self.summary.sagas += 1;
        self.summary.findings += u64::from(looked.finding.is_some());
        Ok(looked)
    }

    async fn row(&self, id: SagaId) -> Result<Option<Row>, Error> {
        Ok(self.store.saga_row(id).await?.map(split))
    }

    /// The journal's lines, up to one more than there should be.
    async fn journal(&self, id: SagaId, version: Option<u64>) -> Result<Vec<Line>, Error> {
        let mut lines: Vec<Line> = Vec::new();
        loop {
            let after = lines.last().map_or(0, |line| line.0);
            let page = self.store.journal(id, after, LINES_COUNT).await?;
            let full = page.len() >= LINES_COUNT as usize;
            lines.extend(page.into_iter().map(|row| (row.seq, row.entry)));
            if !full || version.is_some_and(|version| lines.len() as u64 > version) {
                return Ok(lines);
            }
        }
    }

    fn judge(
        &mut self,
        id: SagaId,
        saga: Result<Saga, String>,
        strays: &[&str],
        lines: Vec<Line>,
    ) -> Option<Finding> {
        let finding = |rule, seq, what| Some(Finding { saga: id, seq, rule, what, difference: None });
        let mut entries = Vec::with_capacity(lines.len());
        for (seq, entry) in lines {
            match entry {
                Ok(entry) if entry.seq == seq => entries.push(entry),
                Ok(entry) => {
                    let what = format!("line {seq} of the journal holds entry {}", entry.seq);
                    return finding("journal", Some(seq), what);
                }
                Err(why) => {
                    return finding("unreadable", Some(seq), format!("entry {seq} cannot be read: {why}"));
                }
            }
        }
        let engine_version = entries.last().map(|entry| entry.engine_version);
        let count = entries.len() as u64;
        let folded = match self.decide_again(&saga, entries) {
            Ok(folded) => folded,
            Err(illegal) => {
                let rule = if matches!(illegal, Illegal::Journal(_)) { "journal" } else { "illegal" };
                let difference = difference(&illegal);
                let (seq, what) = (illegal.seq(), illegal.to_string());
                return Some(Finding { saga: id, seq, rule, what, difference });
            }
        };
        let saga = match saga {
            Ok(saga) => saga,
            Err(why) => return finding("unreadable", None, format!("the row cannot be read: {why}")),
        };
        if count != saga.version {
            let what = format!("the journal has {count} entries, the row is at version {}", saga.version);
            return finding("length", Some(count.min(saga.version) + 1), what);
        }
        if folded != saga {
            let fields = differing(&folded, &saga).join(", ");
            return finding("row", None, format!("the row is not what the journal says: {fields}"));
        }
        // An older engine may have derived them by other rules.
        if !strays.is_empty() && engine_version == Some(ENGINE_VERSION) {
            let what = format!("columns of the row do not say what the saga says: {}", strays.join(", "));
            return finding("columns", None, what);
        }
        None
    }

    /// The saga that the journal leads to.
    fn decide_again(
        &mut self,
        saga: &Result<Saga, String>,
        entries: Vec<JournalEntry>,
    ) -> Result<Saga, Illegal> {
        let definition =
            saga.as_ref().ok().and_then(|saga| self.definitions.get(&saga.definition, saga.digest));
        let count = entries.len() as u64;
        let Some(definition) = definition else {
            let folded = replay(entries)?;
            self.summary.folded += count;
            return Ok(folded);
        };
        let verified = verify(entries, &definition)?;
        self.summary.decided += verified.decided;
        self.summary.folded += verified.folded;
        Ok(verified.saga)
    }
}

fn split(row: SagaRow) -> Row {
    (row.saga.map_err(|error| error.why), row.strays)
}

/// A line of a journal: its number, and what it says.
type Line = (u64, Result<JournalEntry, String>);

fn difference(illegal: &Illegal) -> Option<Value> {
    let Illegal::Differs(difference) = illegal else { return None };
    Some(serde_json::json!({
        "input": difference.input,
        "recorded": difference.recorded,
        "decided": difference.decided,
    }))
}

/// The fields in which two sagas differ; of the steps, which.
fn differing(folded: &Saga, row: &Saga) -> Vec<String> {
    let fields = |saga: &Saga| match serde_json::to_value(saga) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("a saga is written as an object"),
    };
    let (folded, row) = (fields(folded), fields(row));
    let names: BTreeSet<&String> = folded.keys().chain(row.keys()).collect();
    let names = names.into_iter().filter(|name| folded.get(*name) != row.get(*name));
    names.flat_map(|name| steps(name, &folded, &row)).collect()
}

fn steps(
    name: &str,
    folded: &serde_json::Map<String, Value>,
    row: &serde_json::Map<String, Value>,
) -> Vec<String> {
    let (Some(Value::Array(folded)), Some(Value::Array(row))) = (folded.get(name), row.get(name)) else {
        return vec![name.to_owned()];
    };
    let step = |(index, step): (usize, &Value)| {
        let differs = folded.get(index) != Some(step);
        differs.then(|| format!("{name} {}", step["name"].as_str().unwrap_or("without a name")))
    };
    let differing: Vec<String> = row.iter().enumerate().filter_map(step).collect();
    if differing.is_empty() { vec![name.to_owned()] } else { differing }
}
