//! Whole sagas of the real engine through the store: what is read back is what was decided, and the
//! journal alone rebuilds it.

use std::collections::VecDeque;

use amends_contract::{Command, Outcome, Reply};
use amends_definition::Definition;
use amends_engine::{Input, Output, Saga, Status, Transition, Verdict, handle, replay, start};
use amends_store::{Store, Write};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;

use crate::database::Database;
use crate::sagas::{assert_gapless, id, won};

on_both_databases!(
    a_completed_saga_is_rebuilt,
    a_compensated_saga_is_rebuilt,
    a_state_is_written_now_and_then_and_at_the_end,
    a_saga_whose_journal_is_damaged_is_unreadable_and_no_other,
    a_saga_catches_up_with_what_another_process_did,
);

const SOURCE: &str = "
saga: order
version: 1
deadline: 24h
retention: 30d
labels: { customer: =input.customer }
defaults: { resend_after: 10s, retry: { attempts: 8, initial: 200ms, factor: 2, cap: 30s, jitter: 0.2 } }
steps:
  - { name: reserve, kind: compensatable, call: inventory.reserve, with: { lines: =input.lines }, undo: inventory.release }
  - { name: charge, kind: pivot, call: payment.charge, with: { amount: =input.amount } }
  - { name: confirm, kind: retriable, call: notification.confirm, with: { to: =input.customer } }
on_compensated:
  - { name: reject, kind: retriable, call: notification.reject, with: { why: =failure.code } }
";

/// Of each, and of none before the end.
const SNAPSHOTS: [u64; 4] = [1, 2, 3, 1_000];

async fn a_completed_saga_is_rebuilt(db: Database) {
    for (number, every) in (1..).zip(SNAPSHOTS) {
        let store = db.with(|config| config.snapshot_every = every).await;
        let (saga, names) = drive(&store, number, well).await;
        assert_eq!((saga.status(), names.as_str()), (Status::Completed, "reserve charge confirm"));
    }
}

async fn a_compensated_saga_is_rebuilt(db: Database) {
    let declined = || Outcome::Rejected { code: "card-declined".to_owned(), message: "no\0".to_owned() };
    for (number, every) in (1..).zip(SNAPSHOTS) {
        let store = db.with(|config| config.snapshot_every = every).await;
        let (saga, names) = drive(&store, number, |command| match &*command.address.command {
            "charge" => declined(),
            "release" => Outcome::Undone { output: amends_contract::Json::NULL },
            _ => well(command),
        })
        .await;
        assert_eq!((saga.status(), names.as_str()), (Status::Compensated, "reserve charge release reject"));
        assert_eq!(saga.failure.unwrap().code, "card-declined");
    }
}

/// The versions of the sagas' states in their rows, by the sagas' ids; 0 where there is none.
async fn states(db: &Database) -> Vec<u64> {
    let outside = db.outside().await;
    let query = Statement::from_string(outside.get_database_backend(), "SELECT state FROM sagas ORDER BY id");
    let rows = outside.query_all_raw(query).await.unwrap();
    let version = |state: String| serde_json::from_str(&state).map_or(0, |saga: Saga| saga.version);
    rows.iter().map(|row| version(row.try_get("", "state").unwrap())).collect()
}

async fn a_state_is_written_now_and_then_and_at_the_end(db: Database) {
    let store = db.with(|config| config.snapshot_every = 3).await;
    let mut play = Play::start(&store, 1).await;
    let mut seen = vec![states(&db).await[0]];
    while play.step(&store, well).await {
        seen.push(states(&db).await[0]);
    }
    assert_eq!(seen, [0, 0, 3, 4]);
    // What was written with each step is read by whoever does not, and the other way round.
    let mut play = Play::start(&db.store, 2).await;
    assert!(play.step(&db.store, well).await);
    assert_eq!((states(&db).await[1], play.saga.version), (2, 2));
    let rare = db.with(|config| config.snapshot_every = 1_000).await;
    assert!(play.step(&rare, well).await);
    assert_eq!((states(&db).await[1], play.saga.version), (2, 3));
    assert_eq!(db.store.saga(id(2)).await.unwrap().as_ref(), Some(&play.saga));
}

async fn a_saga_whose_journal_is_damaged_is_unreadable_and_no_other(db: Database) {
    let store = db.with(|config| config.snapshot_every = 3).await;
    for number in 1..=3 {
        Play::start(&store, number).await.step(&store, well).await;
    }
    let second = "saga_id = (SELECT id FROM sagas ORDER BY id LIMIT 1 OFFSET 1)";
    db.damage(&format!("UPDATE journal SET entry = '[]' WHERE seq = 2 AND {second}")).await;
    db.damage("DELETE FROM journal WHERE seq = 1 AND saga_id = (SELECT id FROM sagas ORDER BY id LIMIT 1)")
        .await;
    let loaded = store.load(&[id(1), id(2), id(3)]).await.unwrap();
    assert_eq!(loaded.sagas.iter().map(|saga| saga.id).collect::<Vec<_>>(), [id(3)]);
    let mut whys: Vec<_> = loaded.unreadable.iter().map(ToString::to_string).collect();
    whys.sort_unstable();
    assert!(whys[0].contains("the journal does not begin with a start"), "{whys:?}");
    assert!(whys[1].contains("entry 2 of its journal: "), "{whys:?}");
    let page = store.sagas(&amends_store::SagaFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.saga.is_ok()).collect::<Vec<_>>(), [true, false, false]);
}

async fn a_saga_catches_up_with_what_another_process_did(db: Database) {
    let store = db.with(|config| config.snapshot_every = 3).await;
    let mut plays = Vec::new();
    for number in 1..=4 {
        plays.push(Play::start(&store, number).await);
    }
    let old: Vec<Saga> = plays.iter().map(|play| play.saga.clone()).collect();
    // One step, all steps, a step whose entry cannot be read, none.
    assert!(plays[0].step(&store, well).await);
    while plays[1].step(&store, well).await {}
    assert!(plays[2].step(&store, well).await);
    let third = "saga_id = (SELECT id FROM sagas ORDER BY id LIMIT 1 OFFSET 2)";
    db.damage(&format!("UPDATE journal SET entry = '[]' WHERE seq = 2 AND {third}")).await;
    let caught_up = store.caught_up(old).await.unwrap();
    assert_eq!(caught_up, [plays[0].saga.clone(), plays[1].saga.clone()]);
    assert!(store.caught_up(caught_up).await.unwrap().is_empty(), "they are up to date");
    assert!(store.caught_up(Vec::new()).await.unwrap().is_empty());
}

fn well(_: &Command) -> Outcome {
    Outcome::Succeeded { output: json!({ "n": 0.1 }).into() }
}

/// A saga in the making.
struct Play {
    definition: Definition,
    saga: Saga,
    asked: VecDeque<Command>,
    names: Vec<String>,
}

impl Play {
    async fn start(store: &Store, number: u32) -> Self {
        let definition = Definition::compile("order.v1.yaml", SOURCE, &|_| unreachable!()).unwrap();
        let input = json!({ "customer": "c1", "lines": [{ "sku": "a", "quantity": 2 }], "amount": 12.3 });
        let now = store.now().await.unwrap();
        let mut asked = VecDeque::new();
        let transition = start(id(number), &definition, input, now).unwrap();
        let saga = commit(store, 0, transition, &mut asked).await;
        Self { definition, saga, asked, names: Vec::new() }
    }

    /// Answers the next command; `false` when there is none.
    async fn step(&mut self, store: &Store, answer: impl Fn(&Command) -> Outcome) -> bool {
        let Some(command) = self.asked.pop_front() else { return false };
        self.names.push(command.address.command.to_string());
        let reply = Reply {
            effect: command.effect.clone(),
            send_no: command.send_no,
            participant: command.address.participant.clone(),
            definition: command.definition.clone(),
            decided_at: command.decided_at,
            cause: None,
            outcome: answer(&command),
        };
        let loaded = store.load(&[self.saga.id]).await.unwrap();
        assert_eq!(loaded.sagas, std::slice::from_ref(&self.saga), "what is read is what was committed");
        let (version, saga) = (self.saga.version, self.saga.clone());
        let transition = handle(saga, Input::Reply(reply.into()), loaded.now, &self.definition).unwrap();
        assert_eq!(transition.verdict, Verdict::Applied);
        self.saga = commit(store, version, transition, &mut self.asked).await;
        true
    }
}

/// Plays the participants until nothing is asked for; returns the saga and the commands in their order.
async fn drive(store: &Store, number: u32, answer: impl Fn(&Command) -> Outcome) -> (Saga, String) {
    let mut play = Play::start(store, number).await;
    while play.step(store, &answer).await {}
    let Play { saga, names, .. } = play;
    assert_eq!(assert_gapless(store, saga.id).await, saga);
    let journal = store.journal(saga.id, 0, 1_000).await.unwrap();
    let rebuilt = replay(journal.into_iter().map(|row| row.entry.unwrap()));
    assert_eq!(rebuilt.unwrap(), saga);
    let page = store.sagas(&amends_store::SagaFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.rows[0].status, saga.status().as_str());
    assert_eq!(page.rows[0].due_at, saga.due_at());
    assert_eq!(page.rows[0].saga.as_ref(), Ok(&saga));
    (saga, names.join(" "))
}

async fn commit(
    store: &Store,
    expected_version: u64,
    transition: Transition,
    asked: &mut VecDeque<Command>,
) -> Saga {
    let Transition { saga, entry, outputs, verdict: _ } = transition;
    let mut events = Vec::new();
    for output in outputs {
        match output {
            Output::Send(command) => asked.push_back(command),
            Output::Emit(event) => events.push(event),
        }
    }
    won(store, Write { saga, expected_version, entry, events, idempotency: None }).await
}
