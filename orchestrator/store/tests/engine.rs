//! Whole sagas of the real engine through the store: what is read back is what was decided, and the
//! journal alone rebuilds it.

use std::collections::VecDeque;

use amends_contract::{Command, Outcome, Reply};
use amends_definition::Definition;
use amends_engine::{Input, Output, Saga, Status, Transition, Verdict, handle, replay, start};
use amends_store::{Store, Write};
use serde_json::json;

use crate::database::Database;
use crate::sagas::{assert_gapless, id, won};

on_both_databases!(a_completed_saga_is_rebuilt, a_compensated_saga_is_rebuilt);

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

async fn a_completed_saga_is_rebuilt(db: Database) {
    let (saga, names) = drive(&db.store, |_| Outcome::Succeeded { output: json!({ "n": 0.1 }).into() }).await;
    assert_eq!((saga.status(), names.as_str()), (Status::Completed, "reserve charge confirm"));
}

async fn a_compensated_saga_is_rebuilt(db: Database) {
    let declined = || Outcome::Rejected { code: "card-declined".to_owned(), message: "no\0".to_owned() };
    let (saga, names) = drive(&db.store, |command| match &*command.address.command {
        "charge" => declined(),
        "release" => Outcome::Undone { output: amends_contract::Json::NULL },
        _ => Outcome::Succeeded { output: amends_contract::Json::NULL },
    })
    .await;
    assert_eq!((saga.status(), names.as_str()), (Status::Compensated, "reserve charge release reject"));
    assert_eq!(saga.failure.unwrap().code, "card-declined");
}

/// Plays the participants until nothing is asked for; returns the saga and the commands in their order.
async fn drive(store: &Store, answer: impl Fn(&Command) -> Outcome) -> (Saga, String) {
    let definition = Definition::compile("order.v1.yaml", SOURCE, &|_| unreachable!()).unwrap();
    let input = json!({ "customer": "c1", "lines": [{ "sku": "a", "quantity": 2 }], "amount": 12.3 });
    let now = store.now().await.unwrap();
    let mut asked = VecDeque::new();
    let mut names = Vec::new();
    let mut saga = commit(store, 0, start(id(1), &definition, input, now).unwrap(), &mut asked).await;
    while let Some(command) = asked.pop_front() {
        names.push(command.address.command.to_string());
        let reply = Reply {
            effect: command.effect.clone(),
            send_no: command.send_no,
            participant: command.address.participant.clone(),
            definition: command.definition.clone(),
            decided_at: command.decided_at,
            cause: None,
            outcome: answer(&command),
        };
        let loaded = store.load(&[saga.id]).await.unwrap();
        assert_eq!(loaded.sagas, [saga.clone()], "what is read is what was committed");
        let version = saga.version;
        let transition = handle(saga, Input::Reply(reply.into()), loaded.now, &definition).unwrap();
        assert_eq!(transition.verdict, Verdict::Applied);
        saga = commit(store, version, transition, &mut asked).await;
    }
    assert_eq!(assert_gapless(store, saga.id).await, saga);
    let journal = store.journal(saga.id, 0, 1_000).await.unwrap();
    let rebuilt = replay(journal.into_iter().map(|row| row.entry.unwrap()));
    assert_eq!(rebuilt.unwrap(), saga);
    let page = store.sagas(&amends_store::SagaFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.rows[0].status, saga.status().as_str());
    assert_eq!(page.rows[0].due_at, saga.due_at());
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
