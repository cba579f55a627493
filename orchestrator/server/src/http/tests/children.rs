//! Steps that are sagas: what the parent makes of its child, and the child of its parent.

use std::path::Path;
use std::time::Duration;

use amends_contract::{Direction, SagaId};
use amends_engine::{Begin, Failure, Input, OperatorAction, Output, Saga, Status};
use amends_store::{SagaFilter, Write};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::world::World;
use crate::core::{Start, Started};

/// Far more than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);

const PARENT: &str = r#"
saga: parent
version: 1
steps:
  - name: child
    kind: compensatable
    call: { saga: child }
    with: =input.child
    undo: { saga: take-back, with: { n: =input.child.n } }
  - { name: go, await: go, when: =input.waits }
output: { got: =steps.child.n }
"#;

/// It fails, waits or ends at once, as its input says.
const CHILD: &str = r#"
saga: child
version: 1
input: child.json
steps:
  - name: look
    kind: compensatable
    when: =input.fails
    call: nobody.look
    with: { missing: =input.nothing }
    undo: none
    because: it only looks
  - { name: approval, await: approval, when: =input.waits }
output: { n: =input.n }
"#;

const CHILD_SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["n", "fails", "waits"],
  "properties": { "n": { "type": "integer" } }
}"#;

const TAKE_BACK: &str = r#"
saga: take-back
version: 1
steps:
  - { name: approval, await: approval, when: =input.n == 13 }
output: { taken: =input.n }
"#;

fn ring(name: &str, next: &str) -> String {
    format!(
        "saga: {name}\nversion: 1\nsteps:\n  - {{ name: next, kind: compensatable, call: {{ saga: {next} }}, \
         undo: none, because: it is a test }}\n"
    )
}

struct Family {
    world: World,
    _folder: TempDir,
}

impl Family {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("parent.v1.yaml", PARENT);
        write("child.v1.yaml", CHILD);
        write("child.json", CHILD_SCHEMA);
        write("take-back.v1.yaml", TAKE_BACK);
        write("ring-a.v1.yaml", &ring("ring-a", "ring-b"));
        write("ring-b.v1.yaml", &ring("ring-b", "ring-a"));
        let world = World::with(|config| Path::clone_into(folder.path(), &mut config.definitions)).await;
        Self { world, _folder: folder }
    }

    async fn start(&self, definition: &str, input: Value) -> SagaId {
        let definition = self.world.core.definitions().latest(definition).unwrap().definition;
        let id = SagaId::new(Uuid::now_v7()).unwrap();
        let start = Start { id, definition, begin: input.into(), idempotency: None };
        assert!(matches!(self.world.core.start(start).await.unwrap(), Started::Started(_)));
        id
    }

    /// Commits a parent beside the running core, as a process that dies before it publishes.
    async fn start_and_die(&self, input: Value) -> SagaId {
        let definition = self.world.core.definitions().latest("parent").unwrap().definition;
        let id = SagaId::new(Uuid::now_v7()).unwrap();
        let now = self.world.core.store().now().await.unwrap();
        let transition = amends_engine::start(id, &definition, input, now).unwrap();
        assert!(transition.outputs.iter().any(|output| matches!(output, Output::Send(_))));
        let (saga, entry) = (transition.saga, transition.entry);
        let write = Write { saga, expected_version: 0, entry, events: Vec::new(), idempotency: None };
        self.world.core.store().commit(&[write]).await.unwrap();
        id
    }

    async fn operate(&self, id: SagaId, action: OperatorAction) {
        self.world.core.operate(id, action, "tests".to_owned(), String::new()).await.unwrap();
    }

    async fn saga(&self, id: SagaId) -> Option<Saga> {
        self.world.core.store().saga(id).await.unwrap()
    }

    async fn ended(&self, id: SagaId) -> Saga {
        match self.world.core.settled(id, PATIENCE).await {
            Some(saga) => saga,
            None => panic!("{:#?}", self.saga(id).await),
        }
    }

    /// The saga that the step of the parent is, once it is there and does what is asked for.
    async fn child(&self, parent: SagaId, direction: Direction, is_as: fn(&Saga) -> bool) -> Saga {
        let mut known = None;
        for _ in 0..PATIENCE.as_millis() / 20 {
            for row in self.world.core.store().sagas(&SagaFilter::default(), None, 100).await.unwrap().rows {
                let saga = row.saga.unwrap();
                let of = |parent_effect: &amends_contract::EffectId| {
                    parent_effect.saga == parent && parent_effect.direction == direction
                };
                if saga.parent.as_ref().is_some_and(of) {
                    if is_as(&saga) {
                        return saga;
                    }
                    known = Some(saga);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{known:#?}")
    }
}

fn input(child: &Value, waits: bool) -> Value {
    json!({ "child": child, "waits": waits })
}

fn failure(saga: &Saga) -> (Option<&str>, &str) {
    let Failure { step, code, .. } = saga.failure.as_ref().unwrap();
    (step.as_ref().map(|step| step.as_str()), code)
}

fn is_there(_: &Saga) -> bool {
    true
}

#[tokio::test]
async fn a_child_ends_and_its_parent_goes_on_with_its_output() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": 7, "fails": false, "waits": false }), false)).await;
    let parent = family.ended(id).await;
    assert_eq!((parent.status(), &*parent.output), (Status::Completed, &json!({ "got": 7 })));
    let child = family.child(id, Direction::Forward, is_there).await;
    assert_eq!(child.status(), Status::Completed);

    let shown = family.world.get_admin(&format!("/v1/sagas/{}", child.id)).await.body;
    assert_eq!(shown["parent"], json!({ "id": id, "step": "child", "direction": "do" }));
    let shown = family.world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(shown["steps"][0]["action"]["saga"], json!(child.id));
    assert_eq!((&shown["steps"][1]["action"]["saga"], &shown["parent"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_child_that_is_compensated_rejects_its_step() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": 7, "fails": true, "waits": false }), false)).await;
    let parent = family.ended(id).await;
    assert_eq!((parent.status(), failure(&parent)), (Status::Compensated, (Some("child"), "expression")));
    let detail = &parent.failure.unwrap().detail;
    let child = family.child(id, Direction::Forward, is_there).await;
    assert!(detail.contains(&child.id.to_string()), "{detail:?} names the child");
}

#[tokio::test]
async fn what_a_child_does_not_take_rejects_its_step() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": "seven" }), false)).await;
    let parent = family.ended(id).await;
    assert_eq!(failure(&parent), (Some("child"), "invalid-input"));
    let detail = &parent.failure.unwrap().detail;
    assert!(detail.contains("/n: ") && detail.contains("child.v1"), "{detail:?}");
}

#[tokio::test]
async fn a_running_child_is_cancelled_with_its_parent() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": 7, "fails": false, "waits": true }), false)).await;
    family.child(id, Direction::Forward, is_there).await;
    family.operate(id, OperatorAction::Cancel).await;
    let parent = family.ended(id).await;
    assert_eq!((parent.status(), failure(&parent)), (Status::Compensated, (None, "cancelled")));
    let child = family.child(id, Direction::Forward, |child| child.status().is_terminal()).await;
    assert_eq!((child.status(), failure(&child)), (Status::Compensated, (None, "cancelled")));
    assert!(!child.is_tombstone());
}

#[tokio::test]
async fn a_child_that_has_ended_is_undone_by_another_saga() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": 7, "fails": false, "waits": false }), true)).await;
    family.child(id, Direction::Forward, |child| child.status() == Status::Completed).await;
    while family.saga(id).await.unwrap().awaited().next().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    family.operate(id, OperatorAction::Cancel).await;
    let parent = family.ended(id).await;
    assert_eq!(parent.status(), Status::Compensated);
    let undo = family.child(id, Direction::Backward, is_there).await;
    assert_eq!((undo.status(), &*undo.output), (Status::Completed, &json!({ "taken": 7 })));
    assert_eq!(undo.definition.to_string(), "take-back.v1");
}

#[tokio::test]
async fn an_undo_that_is_a_saga_is_waited_for_and_may_fail_visibly() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": 13, "fails": false, "waits": false }), true)).await;
    while family.saga(id).await.unwrap().awaited().next().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    family.operate(id, OperatorAction::Cancel).await;
    let undo = family.child(id, Direction::Backward, |undo| undo.awaited().next().is_some()).await;
    assert_eq!(family.saga(id).await.unwrap().status(), Status::Compensating);
    // The saga that should undo it is itself taken back: nobody knows better than an operator.
    family.operate(undo.id, OperatorAction::Cancel).await;
    while family.saga(id).await.unwrap().status() != Status::Parked {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let parent = family.saga(id).await.unwrap();
    let stuck = parent.steps[0].stuck(Direction::Backward).unwrap();
    assert!(stuck.detail.contains("cancelled") && stuck.detail.contains(&undo.id.to_string()), "{stuck:?}");
}

#[tokio::test]
async fn a_lost_command_is_asked_for_again() {
    let family = Family::new().await;
    let id = family.start_and_die(input(&json!({ "n": 7, "fails": false, "waits": false }), false)).await;
    family.operate(id, OperatorAction::RetryNow).await;
    assert_eq!(family.ended(id).await.output, json!({ "got": 7 }));
}

#[tokio::test]
async fn an_undo_before_its_action_leaves_a_tombstone_that_no_start_beats() {
    let family = Family::new().await;
    let id = family.start_and_die(input(&json!({ "n": 7, "fails": false, "waits": true }), false)).await;
    let asked = family.saga(id).await.unwrap();
    family.operate(id, OperatorAction::Cancel).await;
    assert_eq!(family.ended(id).await.status(), Status::Compensated);
    let tombstone = family.child(id, Direction::Forward, is_there).await;
    assert!(tombstone.is_tombstone());
    assert_eq!(tombstone.steps.iter().filter(|step| step.action_effect.is_some()).count(), 0);

    // The command of the process that died, from a queue somewhere.
    let definition = family.world.core.definitions().latest("parent").unwrap().definition;
    let command = amends_engine::open_commands(&asked, &definition).remove(0);
    let definition = family.world.core.definitions().latest("child").unwrap().definition;
    let begin = Begin { parent: Some(command.effect.clone()), ..Begin::from(command.data) };
    let start = Start { id: tombstone.id, definition, begin, idempotency: None };
    let Started::Started(there) = family.world.core.start(start).await.unwrap() else { panic!() };
    assert!(there.is_tombstone(), "{there:?}");
}

#[tokio::test]
async fn sagas_that_call_each_other_in_a_ring_end() {
    let family = Family::new().await;
    let id = family.start("ring-a", json!({})).await;
    let first = family.ended(id).await;
    assert_eq!((first.status(), failure(&first)), (Status::Compensated, (Some("next"), "too-deep")));
    let all = family.world.core.store().sagas(&SagaFilter::default(), None, 100).await.unwrap().rows;
    assert_eq!(all.len(), 9, "it and eight below it");
}

#[tokio::test]
async fn a_child_that_ended_beside_us_is_found_when_asked_for_again() {
    let family = Family::new().await;
    let id = family.start("parent", input(&json!({ "n": 7, "fails": false, "waits": true }), false)).await;
    let child = family.child(id, Direction::Forward, |child| child.awaited().next().is_some()).await;
    let signal =
        Input::Signal { name: "approval".parse().unwrap(), data: Value::Null.into(), actor: "us".to_owned() };
    family.world.commit(child, signal).await;
    family.child(id, Direction::Forward, |child| child.status() == Status::Completed).await;
    family.operate(id, OperatorAction::RetryNow).await;
    assert_eq!(family.ended(id).await.output, json!({ "got": 7 }));
}

#[tokio::test]
async fn an_id_that_belongs_to_another_saga_is_a_conflict() {
    let family = Family::new().await;
    let id = family.start_and_die(input(&json!({ "n": 7, "fails": false, "waits": false }), false)).await;
    let definition = family.world.core.definitions().latest("parent").unwrap().definition;
    let command = amends_engine::open_commands(&family.saga(id).await.unwrap(), &definition).remove(0);
    let definition = family.world.core.definitions().latest("child").unwrap().definition;
    let begin = Begin::from(json!({ "n": 8, "fails": false, "waits": false }));
    let child = SagaId::derived(&command.effect, command.decided_at);
    let start = Start { id: child, definition, begin, idempotency: None };
    family.world.core.start(start).await.unwrap();
    family.operate(id, OperatorAction::RetryNow).await;
    while family.saga(id).await.unwrap().status() != Status::Parked {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let parent = family.saga(id).await.unwrap();
    assert_eq!(parent.steps[0].stuck(Direction::Forward).unwrap().why.name(), "conflict");
}
