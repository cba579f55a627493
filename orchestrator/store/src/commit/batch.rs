//! Writes turned into rows, ready to be bound.
//!
//! Invariant: rows are in the order of their ids, so that two batches lock what they share in one order.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt::Display;

use amends_contract::{Event, Timestamp};
use amends_engine::Saga;
use sea_orm::IdenStatic;
use sea_orm::sea_query::Value;
use serde::Serialize;
use uuid::Uuid;

use super::{CommitResult, Committed, IdempotencyKey, Write};
use crate::entity::saga::Column;
use crate::entity::{idempotency, journal, outbox, saga_label};
use crate::places::PlaceRows;
use crate::text::indexed;
use crate::{Error, Outage, OutboxRow};

/// Columns that each transition writes, after the id and the expected version.
pub(super) const CHANGING: [Column; 15] = [
    Column::Version,
    Column::Status,
    Column::NeedsAttention,
    Column::Awaiting,
    Column::Held,
    Column::HeldBy,
    Column::Overdue,
    Column::Paused,
    Column::Alarm,
    Column::FailureCode,
    Column::FailureStep,
    Column::State,
    Column::UpdatedAtMs,
    Column::DueAtMs,
    Column::ClaimedUntilMs,
];

/// Columns that only a new saga writes, before the changing ones.
pub(super) const FIXED: [Column; 5] =
    [Column::Id, Column::DefinitionName, Column::DefinitionVersion, Column::Digest, Column::StartedAtMs];

// Columns of the other rows, in the order of their values.
pub(super) const JOURNAL: [journal::Column; 3] =
    [journal::Column::SagaId, journal::Column::Seq, journal::Column::Entry];
pub(super) const LABELS: [saga_label::Column; 3] =
    [saga_label::Column::SagaId, saga_label::Column::Name, saga_label::Column::Value];
pub(super) const EVENTS: [outbox::Column; 4] = [
    outbox::Column::EventId,
    outbox::Column::MessageType,
    outbox::Column::Envelope,
    outbox::Column::CreatedAtMs,
];
pub(super) const KEYS: [idempotency::Column; 6] = [
    idempotency::Column::Owner,
    idempotency::Column::Key,
    idempotency::Column::BodyDigest,
    idempotency::Column::SagaId,
    idempotency::Column::Answer,
    idempotency::Column::CreatedAtMs,
];

/// All writes of one transaction.
pub(crate) struct Batch {
    /// Number of writes, refused ones included.
    pub(super) len: usize,
    /// In the order of their ids.
    pub(super) rows: Vec<Row>,
}

/// What the database made of one write.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(super) result: CommitResult,
    /// The places of its events in the outbox, in their order.
    pub(super) seqs: Vec<i64>,
}

impl From<CommitResult> for Outcome {
    fn from(result: CommitResult) -> Self {
        Self { result, seqs: Vec::new() }
    }
}

/// What happens to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It begins.
    New,
    /// It goes on; its journal says how.
    Step,
    /// It goes on or ends, and its whole state is written.
    Whole,
}

/// One write.
pub(super) struct Row {
    /// Its place in the caller's list.
    pub(super) place: usize,
    pub(super) id: Uuid,
    pub(super) change: Change,
    /// Of a new saga [`FIXED`] and [`CHANGING`], else id, expected version and [`CHANGING`].
    pub(super) saga: Vec<Value>,
    pub(super) journal: Vec<Value>,
    pub(super) labels: Vec<Vec<Value>>,
    /// They have no places yet.
    pub(super) events: Vec<OutboxRow>,
    pub(super) places: PlaceRows,
    pub(super) key: Option<Key>,
}

/// An idempotency key.
pub(super) struct Key {
    pub(super) owner: Uuid,
    pub(super) key: String,
    pub(super) row: Vec<Value>,
}

impl Batch {
    /// # Errors
    /// [`Error::Poison`] for a write that contradicts itself or cannot be written as JSON.
    pub(super) fn new(writes: &[impl Borrow<Write>], snapshot_every: u64) -> Result<Self, Error> {
        let len = writes.len();
        let mut seen = HashSet::with_capacity(len);
        let mut rows = Vec::with_capacity(len);
        for (place, write) in writes.iter().map(Borrow::borrow).enumerate() {
            // A second write of a saga was decided on a version that the first one is about to change.
            if seen.insert(write.saga.id) {
                rows.push(Row::new(place, write, snapshot_every)?);
            }
        }
        rows.sort_unstable_by_key(|row| row.id);
        Ok(Self { len, rows })
    }

    /// What the caller is told; `outcomes` are in its order.
    pub(crate) fn concluded(self, outcomes: Vec<Outcome>) -> Vec<Committed> {
        let mut events: Vec<Vec<OutboxRow>> = Vec::new();
        events.resize_with(self.len, Vec::new);
        for row in self.rows {
            events[row.place] = row.events;
        }
        let each = outcomes.into_iter().zip(events);
        each.map(|(Outcome { result, seqs }, events)| Committed {
            result,
            events: events.into_iter().zip(seqs).map(|(event, seq)| OutboxRow { seq, ..event }).collect(),
        })
        .collect()
    }
}

impl Row {
    fn new(place: usize, write: &Write, snapshot_every: u64) -> Result<Self, Error> {
        let Write { saga, expected_version, entry, events, idempotency } = write;
        if expected_version.checked_add(1) != Some(saga.version)
            || entry.seq != saga.version
            || entry.saga != saga.id
        {
            let why = format!(
                "version {} after {expected_version} with the journal entry {}/{}",
                saga.version, entry.saga, entry.seq
            );
            return Err(poison(saga, &why));
        }
        let id = saga.id.uuid();
        let is_new = *expected_version == 0;
        let is_whole = saga.status().is_terminal() || saga.version.is_multiple_of(snapshot_every.max(1));
        let (change, state) = match (is_new, is_whole) {
            (true, false) => (Change::New, Some(String::new())),
            (true, true) => (Change::New, Some(json(saga, saga)?)),
            (false, false) => (Change::Step, None),
            (false, true) => (Change::Whole, Some(json(saga, saga)?)),
        };
        let mut columns =
            if is_new { fixed(saga).to_vec() } else { vec![id.into(), int(*expected_version).into()] };
        columns.extend(changing(saga, state));
        let labels = if is_new { labels(saga) } else { Vec::new() };
        let at_ms = entry.at.unix_ms();
        Ok(Self {
            place,
            id,
            change,
            saga: columns,
            journal: vec![id.into(), int(entry.seq).into(), json(saga, entry)?.into()],
            labels,
            events: events.iter().map(|event| event_row(event, entry.at)).collect(),
            places: PlaceRows::new(saga),
            key: idempotency.as_ref().map(|key| Key::new(key, id, at_ms)),
        })
    }
}

/// Room for what is usual, so that few texts have to be moved while they grow.
const USUAL_JSON_BYTES: usize = 2_048;

fn json(saga: &Saga, value: &impl Serialize) -> Result<String, Error> {
    let mut text = Vec::with_capacity(USUAL_JSON_BYTES);
    serde_json::to_writer(&mut text, value).map_err(|error| poison(saga, &error))?;
    String::from_utf8(text).map_err(|error| poison(saga, &error))
}

fn poison(saga: &Saga, why: &impl Display) -> Error {
    Error::Poison { why: format!("saga {}: {why}", saga.id) }
}

impl Key {
    fn new(key: &IdempotencyKey, saga: Uuid, at_ms: i64) -> Self {
        Self {
            owner: key.owner,
            key: key.key.clone(),
            row: vec![
                key.owner.into(),
                key.key.clone().into(),
                key.body_digest.to_string().into(),
                saga.into(),
                key.answer.clone().into(),
                at_ms.into(),
            ],
        }
    }
}

fn fixed(saga: &Saga) -> [Value; FIXED.len()] {
    [
        saga.id.uuid().into(),
        saga.definition.name.as_str().into(),
        i64::from(saga.definition.version).into(),
        saga.digest.to_string().into(),
        saga.started_at.unix_ms().into(),
    ]
}

/// Without a `state` the one that the row has stays.
fn changing(saga: &Saga, state: Option<String>) -> [Value; CHANGING.len()] {
    let flags = saga.flags();
    let failure = saga.failure.as_ref();
    [
        int(saga.version).into(),
        saga.status().as_str().into(),
        flags.needs_attention.into(),
        flags.awaiting.into(),
        flags.held.into(),
        Outage::of(saga).map(|outage| outage.key().to_owned()).into(),
        flags.overdue.into(),
        flags.paused.into(),
        flags.alarm.into(),
        failure.map(|failure| indexed(&failure.code)).into(),
        failure.and_then(|failure| failure.step.as_ref()).map(|step| step.as_str().to_owned()).into(),
        state.into(),
        saga.updated_at.unix_ms().into(),
        saga.due_at().map(|at| at.unix_ms()).into(),
        // Whoever had claimed it has what it came for.
        Value::BigInt(None),
    ]
}

fn labels(saga: &Saga) -> Vec<Vec<Value>> {
    let id = saga.id.uuid();
    saga.labels
        .iter()
        .map(|(name, value)| vec![id.into(), name.as_str().into(), indexed(value).into()])
        .collect()
}

/// The event's row, which has no place yet.
fn event_row(event: &Event, at: Timestamp) -> OutboxRow {
    let envelope =
        String::from_utf8(event.encode()).unwrap_or_else(|_| unreachable!("JSON that we write is UTF-8"));
    OutboxRow {
        seq: 0,
        event_id: event.id.clone(),
        message_type: event.message_type(),
        envelope,
        created_at: at,
    }
}

/// A counter as its BIGINT column has it.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Columns' names.
pub(super) fn names<'a, C: IdenStatic + 'a>(columns: impl IntoIterator<Item = &'a C>) -> Vec<&'static str> {
    columns.into_iter().map(IdenStatic::as_str).collect()
}
