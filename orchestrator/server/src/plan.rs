//! What a new version of a definition would have made of the sagas of the older ones: recent journals are fed
//! to the engine under it.
//!
//! Invariant: it only reads. Running sagas stay on the version that they began with; this says what the next
//! ones will meet.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, SagaId, Timestamp};
use amends_engine::{Deviation, Divergence, JournalEntry, Outlook, Saga, Status, foresee};
use amends_store::{Error, SagaFilter, Store};
use serde::Serialize;

use crate::core::{Definitions, LoadError, Loaded};

/// Sagas whose rows are read at once, and lines of a journal.
const SAGAS_COUNT: u32 = 100;
const LINES_COUNT: u32 = 1_000;
/// Sagas that are named for each way in which they would differ.
const EXAMPLES_COUNT: usize = 3;

/// Which sagas.
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    /// At most so many that are in flight, and as many that have ended.
    pub count: u32,
    /// Made at this moment or later.
    pub since: Option<Timestamp>,
}

/// What would become of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// Sagas that were looked at.
    pub sagas: u64,
    /// Of them, how many are in flight.
    pub in_flight: u64,
    /// Whether there are more in flight than were looked at.
    pub more_in_flight: bool,
    /// How many would go the same way, so far.
    pub same: u64,
    /// Of them, how many at other times or with other attempts.
    pub other_times: u64,
    /// How many would go another way, the most frequent first.
    pub differing: Vec<Group>,
    /// Those of them that are in flight, the newest first.
    pub differing_in_flight: Vec<InFlight>,
    /// How many cannot be compared: another engine decided them, or their journals cannot be read.
    pub not_compared: u64,
}

/// Sagas that would differ in the same way.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// At which step; none when it is about the saga as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How.
    pub how: String,
    /// How many.
    pub sagas: u64,
    /// Some of them.
    pub examples: Vec<SagaId>,
}

/// A saga in flight that would have gone another way.
#[derive(Clone, Debug, Serialize)]
pub struct InFlight {
    /// The saga.
    pub saga: SagaId,
    /// Name and version of its definition.
    pub definition: DefinitionRef,
    /// How it stands.
    pub status: Status,
    /// The journal entry at which the ways part.
    pub seq: u64,
    /// The step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How.
    pub how: String,
}

/// Why it could not be looked.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] Error),
    /// The definitions cannot be read.
    #[error(transparent)]
    Definitions(#[from] LoadError),
}

/// Compares the recent sagas under the name of `after` that are of another version.
///
/// # Errors
/// [`PlanError`] when the database cannot be read.
pub async fn run(store: &Store, after: &Loaded, recent: Recent) -> Result<Plan, PlanError> {
    let definitions = Definitions::default();
    definitions.refresh(store).await?;
    let mut planner = Planner { store, definitions, after, plan: Plan::default(), groups: BTreeMap::new() };
    let (ended, open): (Vec<Status>, Vec<Status>) =
        Status::ALL.into_iter().partition(|status| status.is_terminal());
    planner.plan.more_in_flight = planner.look(open, recent).await?;
    planner.look(ended, recent).await?;
    Ok(planner.done())
}

struct Planner<'a> {
    store: &'a Store,
    definitions: Definitions,
    after: &'a Loaded,
    plan: Plan,
    groups: BTreeMap<(Option<String>, Deviation), Group>,
}

impl Planner<'_> {
    /// Looks at the newest of these; true when there are more.
    async fn look(&mut self, statuses: Vec<Status>, recent: Recent) -> Result<bool, Error> {
        let definition = Some(self.after.definition.name.clone());
        let filter = SagaFilter { statuses, definition, made_from: recent.since, ..SagaFilter::default() };
        let mut left = recent.count;
        let mut cursor = None;
        while left > 0 {
            let page = self.store.sagas(&filter, cursor, left.min(SAGAS_COUNT)).await?;
            left = left.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX));
            for row in page.rows {
                match row.saga {
                    Ok(saga) if saga.digest == self.after.definition.digest => {}
                    Ok(saga) => self.compare(saga).await?,
                    Err(_) => self.plan.not_compared += 1,
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn compare(&mut self, saga: Saga) -> Result<(), Error> {
        self.plan.sagas += 1;
        let in_flight = !saga.status().is_terminal();
        self.plan.in_flight += u64::from(in_flight);
        match self.outlook(&saga).await? {
            None | Some(Outlook::OtherEngine { .. }) => self.plan.not_compared += 1,
            Some(Outlook::Same { other_times }) => {
                self.plan.same += 1;
                self.plan.other_times += u64::from(other_times);
            }
            Some(Outlook::Differs(Divergence { seq, step, how })) => {
                let text = how.to_string();
                let group = self.groups.entry((step.clone(), how)).or_insert_with(|| Group {
                    step: step.clone(),
                    how: text.clone(),
                    sagas: 0,
                    examples: Vec::new(),
                });
                group.sagas += 1;
                if group.examples.len() < EXAMPLES_COUNT {
                    group.examples.push(saga.id);
                }
                if in_flight {
                    let (status, definition) = (saga.status(), saga.definition);
                    let differing = InFlight { saga: saga.id, definition, status, seq, step, how: text };
                    self.plan.differing_in_flight.push(differing);
                }
            }
        }
        Ok(())
    }

    /// `None` when its journal cannot be read.
    async fn outlook(&self, saga: &Saga) -> Result<Option<Outlook>, Error> {
        if let Some(how) = self.refused_input(saga) {
            return Ok(Some(Outlook::Differs(Divergence { seq: 1, step: None, how })));
        }
        let Some(entries) = self.journal(saga.id).await? else { return Ok(None) };
        let before = self.definitions.get(&saga.definition, saga.digest);
        Ok(foresee(entries, before.as_deref(), &self.after.definition).ok())
    }

    /// Why the new version would not even start with its input.
    fn refused_input(&self, saga: &Saga) -> Option<Deviation> {
        let validator = self.after.validator.as_ref()?;
        let error = validator.iter_errors(&saga.input).next()?;
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "its top".to_owned() } else { place };
        Some(Deviation::Refused(format!("the input does not fit the schema at {place}")))
    }

    async fn journal(&self, saga: SagaId) -> Result<Option<Vec<JournalEntry>>, Error> {
        let mut entries: Vec<JournalEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let lines = self.store.journal(saga, after, LINES_COUNT).await?;
            let full = lines.len() >= LINES_COUNT as usize;
            for line in lines {
                match line.entry {
                    Ok(entry) => entries.push(entry),
                    Err(_) => return Ok(None),
                }
            }
            if !full {
                return Ok(Some(entries));
            }
        }
    }

    fn done(self) -> Plan {
        let Self { mut plan, groups, .. } = self;
        plan.differing = groups.into_values().collect();
        plan.differing.sort_by_key(|group| std::cmp::Reverse(group.sagas));
        plan
    }
}
