//! Sagas made by hand: the store does not care what a saga says, only how it stands.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, Digest, Event, SagaId, Timestamp, Token};
use amends_engine::{
    ActionState, Ending, Failure, Flight, Input, JournalEntry, Phase, Saga, StepState, UndoState,
};
use amends_store::{CommitResult, IdempotencyKey, Store, Write};
use serde_json::json;
use uuid::Uuid;

/// 2026-11-21T08:00:00Z, some moment for the journals. The database's clock is later.
pub(crate) const EPOCH_MS: i64 = 1_795_248_000_000;

pub(crate) fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

/// The id number `number`, made `number` milliseconds after the epoch.
pub(crate) fn id(number: u32) -> SagaId {
    let ms = u128::try_from(EPOCH_MS).unwrap() + u128::from(number);
    let (version, variant) = (7 << 76, 2 << 62);
    SagaId::new(Uuid::from_u128(ms << 80 | version | variant | u128::from(number))).unwrap()
}

pub(crate) fn at(number: u32) -> Timestamp {
    Timestamp::from_unix_ms(EPOCH_MS + i64::from(number))
}

/// A new order that waits for the reply to its first step until `due_at`.
pub(crate) fn saga(number: u32) -> Saga {
    let flight: Flight = serde_json::from_value(json!({ "due_at": at(10_000) })).unwrap();
    Saga {
        id: id(number),
        definition: DefinitionRef { name: token("order"), version: 1 },
        digest: Digest::of(b"order"),
        version: 1,
        input: json!({ "number": number, "text": "naïve \u{0} 'quoted' \"text\"" }).into(),
        labels: BTreeMap::from([(token("customer"), format!("c{}", number % 3))]),
        parent: None,
        started_at: at(number),
        start_at: None,
        updated_at: at(number),
        deadline_at: None,
        overdue_at: None,
        paused: None,
        phase: Phase::Forward,
        doubt: None,
        failure: None,
        signals: BTreeMap::new(),
        output: amends_contract::Json::NULL,
        output_error: None,
        steps: vec![StepState {
            name: token("reserve-stock"),
            index: None,
            element: amends_contract::Json::NULL,
            action: ActionState::InFlight(flight),
            action_effect: None,
            undo: UndoState::None,
            undo_effect: None,
            alarm: None,
        }],
    }
}

/// The write that starts it.
pub(crate) fn start(number: u32) -> Write {
    start_of(saga(number))
}

pub(crate) fn start_of(saga: Saga) -> Write {
    let entry = entry(&saga);
    let event = event(&saga, "created");
    Write { saga, expected_version: 0, entry, events: vec![event], idempotency: None }
}

/// The next write of a saga that was read as `saga`.
pub(crate) fn next(saga: &Saga, change: impl FnOnce(&mut Saga)) -> Write {
    let mut next = saga.clone();
    next.version += 1;
    change(&mut next);
    let entry = entry(&next);
    Write { expected_version: saga.version, entry, saga: next, events: Vec::new(), idempotency: None }
}

pub(crate) fn completed(saga: &mut Saga) {
    saga.phase = Phase::Done(Ending::Completed);
    saga.steps[0].action =
        ActionState::Succeeded { output: json!({ "reservation": 1 }).into(), by_hand: false };
}

pub(crate) fn compensated(saga: &mut Saga) {
    let failure = Failure {
        step: Some(token("reserve-stock")),
        code: "out-of-stock".to_owned(),
        detail: "none".into(),
    };
    saga.phase = Phase::Done(Ending::Compensated);
    saga.steps[0].action = ActionState::Cancelled;
    saga.failure = Some(failure);
}

fn entry(saga: &Saga) -> JournalEntry {
    JournalEntry {
        saga: saga.id,
        seq: saga.version,
        at: saga.updated_at,
        input: Input::Timer { blind: false, down: [].into(), slots: [].into() },
        decisions: Vec::new(),
        engine_version: 1,
    }
}

pub(crate) fn event(saga: &Saga, name: &str) -> Event {
    Event {
        id: format!("{}/{}/{name}", saga.id, saga.version),
        source: token("orchestrator"),
        entity: token("order"),
        name: token(name),
        at: saga.updated_at,
        saga: Some((saga.id, saga.definition.clone())),
        data: json!({ "status": saga.status() }).into(),
    }
}

/// The key `key` of the caller number `owner`.
pub(crate) fn key(owner: u32, key: &str) -> IdempotencyKey {
    IdempotencyKey {
        owner: id(owner).uuid(),
        key: key.to_owned(),
        body_digest: Digest::of(key.as_bytes()),
        answer: format!("{{\"told\":\"{key}\"}}"),
    }
}

/// Commits one write that must win; returns the saga.
pub(crate) async fn won(store: &Store, write: Write) -> Saga {
    let saga = write.saga.clone();
    assert_eq!(store.commit(&[write]).await.unwrap(), [CommitResult::Won]);
    saga
}

/// Starts the sagas of these numbers.
pub(crate) async fn started(store: &Store, numbers: impl IntoIterator<Item = u32>) -> Vec<Saga> {
    let writes: Vec<Write> = numbers.into_iter().map(start).collect();
    let sagas = writes.iter().map(|write| write.saga.clone()).collect();
    let results = store.commit(&writes).await.unwrap();
    assert!(results.iter().all(|result| *result == CommitResult::Won), "{results:?}");
    sagas
}

/// Checks what must hold of every saga at every moment: its journal is gapless and as long as its version.
pub(crate) async fn assert_gapless(store: &Store, id: SagaId) -> Saga {
    let saga = store.saga(id).await.unwrap().expect("the saga is there");
    let journal = store.journal(id, 0, 100_000).await.unwrap();
    let seqs: Vec<u64> = journal.iter().map(|row| row.entry.as_ref().expect("it can be read").seq).collect();
    assert_eq!(seqs, (1..=saga.version).collect::<Vec<u64>>());
    saga
}
