//! Sagas whose time is over: which go, which stay, and what of them is in the archive.

use std::collections::BTreeSet;
use std::path::Path;

use amends_contract::{DefinitionRef, Direction, Outcome, SagaId, Token};
use amends_engine::{Begin, JournalEntry, OperatorAction, Saga, Status};
use amends_store::SagaFilter;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::world::World;
use crate::core::{Memory, Retention, RetentionConfig, Start};

const DAY_S: u64 = 24 * 3600;

fn waits(name: &str, version: u32, rest: &str) -> String {
    format!(
        "saga: {name}\nversion: {version}\n{rest}\nlabels: {{ n: '=string(input.n)' }}\n\
         steps:\n  - {{ name: go, await: go, when: =input.waits }}\n"
    )
}

const PARENT: &str = "
saga: parent
version: 1
retention: 10m
steps:
  - { name: child, kind: compensatable, call: { saga: brief, version: 1 }, with: =input.child, undo: none, because: it is a test }
  - { name: go, await: go, when: =input.waits }
";

const PARKS: &str = "
saga: parks
version: 1
retention: 10m
steps:
  - { name: act, kind: pivot, call: nobody.act }
  - { name: go, kind: retriable, call: nobody.go }
";

struct Shop {
    world: World,
}

impl Shop {
    async fn new() -> Self {
        let on_event = "retention: 10m\nstarts_on: { event: cart.checked-out, input: =event.data }";
        let world = World::of(&[
            ("brief.v1.yaml", &waits("brief", 1, "retention: 10m")),
            ("brief.v2.yaml", &waits("brief", 2, "retention: 30d")),
            ("lasting.v1.yaml", &waits("lasting", 1, "")),
            ("fed.v1.yaml", &waits("fed", 1, on_event)),
            ("parent.v1.yaml", PARENT),
            ("parks.v1.yaml", PARKS),
        ])
        .await;
        Self { world }
    }

    async fn start(&self, definition: &str, version: u32, input: Value) -> SagaId {
        let reference = DefinitionRef { name: Token::new(definition).unwrap(), version };
        let definition = self.world.core.definitions().version(&reference).unwrap().definition;
        let id = SagaId::new(Uuid::now_v7()).unwrap();
        self.world
            .core
            .start(Start { id, definition, begin: Begin::from(input), idempotency: None })
            .await
            .unwrap();
        id
    }

    /// Deletes what may go an hour from now.
    async fn look(&self, change: impl FnOnce(&mut RetentionConfig)) -> Result<usize, String> {
        let mut config = RetentionConfig::default();
        change(&mut config);
        let store = self.world.core.store();
        let now = store.now().await.unwrap().plus_ms(3_600_000);
        let retention = Retention::new(
            &config,
            Memory::new(30 * DAY_S, 30 * DAY_S),
            store,
            self.world.core.definitions(),
        );
        retention.look(now, &CancellationToken::new()).await.map_err(|error| error.to_string())
    }

    async fn there(&self) -> BTreeSet<SagaId> {
        let page = self.world.core.store().sagas(&SagaFilter::default(), None, 100).await.unwrap();
        page.rows.into_iter().map(|row| row.id).collect()
    }

    async fn saga(&self, id: SagaId) -> Saga {
        self.world.core.store().saga(id).await.unwrap().unwrap()
    }

    async fn until(&self, id: SagaId, is_as: fn(&Saga) -> bool) -> Saga {
        loop {
            let saga = self.saga(id).await;
            if is_as(&saga) {
                return saga;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn go(&self, id: SagaId) {
        let name = "go".parse().unwrap();
        self.world.core.signal(id, name, Value::Null, "tests".to_owned()).await.unwrap();
    }

    async fn operate(&self, id: SagaId, action: OperatorAction) {
        let (actor, reason) = ("tests".to_owned(), "because".to_owned());
        self.world.core.operate(id, action, actor, reason).await.unwrap();
    }
}

fn at_once() -> Value {
    json!({ "n": 7, "waits": false })
}

fn waiting() -> Value {
    json!({ "n": 7, "waits": true })
}

#[tokio::test]
async fn a_saga_goes_when_it_has_ended_and_the_time_of_its_own_definition_is_over() {
    let shop = Shop::new().await;
    let done = shop.start("brief", 1, at_once()).await;
    let undone = shop.start("brief", 1, waiting()).await;
    shop.operate(undone, OperatorAction::Cancel).await;
    let given_up = shop.start("brief", 1, waiting()).await;
    shop.operate(given_up, OperatorAction::Abandon).await;
    let parked = shop.start("parks", 1, at_once()).await;
    shop.world.reply(&parked.to_string(), Outcome::Succeeded { output: Value::Null.into() }).await;
    let rejected = Outcome::Rejected { code: "no".to_owned(), message: "no".to_owned() };
    shop.world.reply(&parked.to_string(), rejected).await;
    let stay = BTreeSet::from([
        shop.start("brief", 1, waiting()).await,
        shop.start("brief", 2, at_once()).await,
        shop.start("lasting", 1, at_once()).await,
        // An event may be read again for as long as it is in its stream.
        shop.start("fed", 1, at_once()).await,
        parked,
    ]);
    assert_eq!(shop.saga(parked).await.status(), Status::Parked);
    let ends = [done, undone, given_up].map(async |id| shop.saga(id).await.status());
    let ends = futures::future::join_all(ends).await;
    assert_eq!(ends, [Status::Completed, Status::Compensated, Status::Abandoned]);

    assert_eq!(shop.look(|_| {}).await, Ok(3));
    assert_eq!(shop.there().await, stay);
    let left = shop.world.core.store().deleted_among(&[done, undone, given_up]).await.unwrap();
    assert_eq!(left.into_values().collect::<Vec<_>>(), ends);
    assert_eq!(shop.look(|_| {}).await, Ok(0));
    let answer = shop.world.get_admin(&format!("/v1/sagas/{done}")).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn parents_and_children_wait_for_each_other() {
    let shop = Shop::new().await;
    let input = |child: Value, waits: bool| json!({ "child": child, "waits": waits });
    let running = shop.start("parent", 1, input(at_once(), true)).await;
    let its_child = shop.until(running, |saga| saga.awaited().next().is_some()).await;
    let child = amends_contract::SagaId::derived(
        &amends_contract::EffectId {
            saga: running,
            step: its_child.steps[0].reference(),
            direction: Direction::Forward,
            epoch: 1,
        },
        its_child.steps[0].effect(Direction::Forward).unwrap().decided_at,
    );
    assert_eq!(shop.saga(child).await.status(), Status::Completed);
    let abandoned = shop.start("parent", 1, input(waiting(), false)).await;
    shop.until(abandoned, |saga| saga.status() == Status::Running).await;
    while shop.there().await.len() < 4 {
        tokio::task::yield_now().await;
    }
    shop.operate(abandoned, OperatorAction::Abandon).await;
    let everyone = shop.there().await;
    assert_eq!(shop.look(|_| {}).await, Ok(0), "a child of the abandoned one is open");
    assert_eq!(shop.there().await, everyone);

    shop.go(running).await;
    shop.until(running, |saga| saga.status().is_terminal()).await;
    assert_eq!(shop.look(|_| {}).await, Ok(2), "it, and the child that it has asked for");
    assert_eq!(&everyone - &shop.there().await, BTreeSet::from([running, child]));
}

fn lines(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_archive_has_what_the_admin_api_showed() {
    let shop = Shop::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut shown = Vec::new();
    for _ in 0..5 {
        let id = shop.start("brief", 1, waiting()).await;
        shop.go(id).await;
        let journal = shop.world.get_admin(&format!("/v1/sagas/{id}/journal")).await.body["entries"].clone();
        let saga = serde_json::to_value(shop.saga(id).await).unwrap();
        shown.push(json!({ "saga": saga, "journal": journal }));
    }
    let to_archive = |config: &mut RetentionConfig| {
        config.archive = Some(folder.path().join("archive"));
        // Two at a time.
        config.rows_max = 12;
    };
    assert_eq!(shop.look(to_archive).await, Ok(5));
    let mut archived = lines(&folder.path().join("archive"));
    for line in &mut archived {
        let at = line.as_object_mut().unwrap().remove("archived_at").unwrap();
        assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
    }
    assert_eq!(archived, shown);
    for line in archived {
        let journal: Vec<JournalEntry> = serde_json::from_value(line["journal"].clone()).unwrap();
        let saga: Saga = serde_json::from_value(line["saga"].clone()).unwrap();
        assert_eq!(amends_engine::replay(journal).unwrap(), saga);
    }
}

#[tokio::test]
async fn what_cannot_be_archived_stays() {
    let shop = Shop::new().await;
    let id = shop.start("brief", 1, at_once()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = shop.look(|config| config.archive = Some(file.clone())).await.unwrap_err();
    assert!(error.contains("orchestrator.retention.archive"), "{error}");
    assert_eq!(shop.there().await, BTreeSet::from([id]));
    assert_eq!(shop.look(|_| {}).await, Ok(1), "and is not held by anybody");
}

#[tokio::test]
async fn a_key_is_kept_exactly_as_long_as_its_saga() {
    let shop = Shop::new().await;
    let ask = || async {
        let body = json!({ "definition": "parks", "input": {} });
        shop.world.post("/v1/sagas", &[("idempotency-key", "k")], &body).await
    };
    let first = ask().await;
    let id: SagaId = first.id().parse().unwrap();
    assert_eq!(shop.look(|_| {}).await, Ok(0));
    assert_eq!((ask().await.id(), ask().await.header("idempotency-replayed")), (first.id(), "true"));
    shop.operate(id, OperatorAction::Abandon).await;
    assert_eq!(shop.look(|_| {}).await, Ok(1));
    let again = ask().await;
    assert_ne!(again.id(), first.id());
}
