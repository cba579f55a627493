//! Versions of definitions: a changed file is refused, several live side by side, and a saga of a version
//! that this orchestrator does not know waits untouched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amends_contract::{DefinitionRef, Digest, SagaId};
use amends_definition::Definition;
use amends_store::{Access, CommitResult, Config, Store, Write};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::problem;
use super::world::World;
use crate::core::{Definitions, LoadError, compile_file, load_file};
use crate::plan::{self, Plan, Recent};

const PARCEL: &str = "
saga: parcel
version: 1
steps:
  - name: book
    kind: compensatable
    call: carrier.book
    with: { parcel: =input.parcel }
    undo: carrier.unbook
";

/// A database and a folder of definitions that outlive their orchestrators.
pub(super) struct Place {
    pub(super) folder: TempDir,
    config: Config,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("orchestrator.db").display());
        Self { folder, config: Config { url, ..Config::default() } }
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    pub(super) async fn store(&self) -> Store {
        let store = Store::connect(&self.config, Access::Shared).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    async fn load(&self, store: &Store) -> Result<Definitions, LoadError> {
        Definitions::load(self.folder.path(), store, 30 * 86_400).await
    }

    pub(super) async fn world(&self) -> World {
        World::with(|config| {
            config.database = self.config.clone();
            config.definitions = self.folder.path().to_owned();
            config.loops.timer_interval_ms = 20;
            config.loops.claim_lease_ms = 50;
            config.loops.definition_interval_ms = 50;
            config.loops.place_interval_ms = 20;
            config.loops.place_retry_ms = 50;
        })
        .await
    }
}

fn parcel(name: &str) -> Definition {
    let source = PARCEL.replace("saga: parcel", &format!("saga: {name}"));
    compile_file(Path::new(&format!("{name}.v1.yaml")), &source).unwrap().0
}

/// Starts a saga that was due an hour ago, and long before any other.
pub(super) async fn start(store: &Store, definition: &Definition) -> SagaId {
    let id = SagaId::new(Uuid::now_v7()).unwrap();
    let hour_ago = store.now().await.unwrap().minus_ms(3_600_000);
    let started = amends_engine::start(id, definition, json!({ "parcel": "p-1" }), hour_ago).unwrap();
    let write = Write {
        saga: started.saga,
        expected_version: 0,
        entry: started.entry,
        events: Vec::new(),
        idempotency: None,
    };
    assert_eq!(store.commit(&[write]).await.unwrap(), [CommitResult::Won]);
    id
}

/// Waits until the timers have handled a saga: there is no broker, so it is held.
async fn until_handled(store: &Store, id: SagaId) {
    let handled = async {
        while store.saga(id).await.unwrap().unwrap().version < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), handled).await.expect("the timers handle it");
}

#[tokio::test]
async fn a_call_of_a_saga_that_is_nowhere_is_refused_before_anything_is_stored() {
    let place = Place::new();
    let store = place.store().await;
    place.write("parcel.v1.yaml", PARCEL);
    place.write(
        "b.v1.yaml",
        "saga: b\nversion: 1\nsteps: [{ name: send, kind: pivot, call: { saga: parcle } }]\n",
    );
    let error = place.load(&store).await.err().unwrap();
    assert!(error.is_configuration());
    let text = error.to_string();
    assert!(text.starts_with("b.v1: the step send calls the saga parcle, which is neither in"), "{text}");
    assert_eq!(store.definitions().await.unwrap().len(), 0, "a slip costs no version");

    place.write("parcle.v1.yaml", &PARCEL.replace("saga: parcel", "saga: parcle"));
    place.load(&store).await.unwrap();
    // What the database has need not lie in the folder.
    std::fs::remove_file(place.folder.path().join("parcle.v1.yaml")).unwrap();
    place.load(&store).await.unwrap();
}

#[tokio::test]
async fn a_changed_file_is_refused_and_a_new_version_lives_beside_it() {
    let place = Place::new();
    let store = place.store().await;
    place.write("parcel.v1.yaml", PARCEL);
    place.load(&store).await.unwrap();

    let changed = PARCEL.replace("carrier.book", "carrier.book-parcel");
    place.write("parcel.v1.yaml", &changed);
    let error = place.load(&store).await.err().unwrap();
    assert!(error.is_configuration());
    let text = error.to_string();
    for part in [
        "parcel.v1.yaml was changed, but sagas are pinned to parcel.v1",
        "-    call: carrier.book\n+    call: carrier.book-parcel\n",
        "parcel.v2.yaml with `version: 2`",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }

    // The remedy is one.
    place.write("parcel.v2.yaml", &changed.replace("version: 1", "version: 2"));
    place.write("parcel.v1.yaml", PARCEL);
    let definitions = place.load(&store).await.unwrap();
    let version = |version: &str| definitions.version(&version.parse().unwrap()).unwrap().definition;
    assert_eq!(*version("parcel.v1").source, *PARCEL);
    assert_eq!(definitions.latest("parcel").unwrap().definition.version, 2);
    // And so is taking the old file away.
    std::fs::remove_file(place.folder.path().join("parcel.v1.yaml")).unwrap();
    assert_eq!(place.load(&store).await.unwrap().all().len(), 2);
}

#[tokio::test]
async fn a_saga_of_a_version_from_tomorrow_waits_and_is_seen() {
    let place = Place::new();
    place.write("parcel.v1.yaml", PARCEL);
    let store = place.store().await;
    place.load(&store).await.unwrap();
    let source = "saga: parcel\nversion: 2\nteleport: true\n";
    let tomorrow = Definition {
        version: 2,
        source: Arc::from(source),
        digest: Digest::of(source.as_bytes()),
        ..parcel("parcel")
    };
    store.save_definition(&tomorrow, &[].into()).await.unwrap();
    let unknown = start(&store, &tomorrow).await;
    let known = start(&store, &compile_file(Path::new("parcel.v1.yaml"), PARCEL).unwrap().0).await;

    let world = place.world().await;
    until_handled(&store, known).await;
    // It was due first; nothing was done to it, and no lease keeps it from those who know more.
    assert_eq!(store.saga(unknown).await.unwrap().unwrap().version, 1);
    let claimable = store.claim_due(10, 0, &[]).await.unwrap();
    assert!(claimable.sagas.iter().any(|saga| saga.id == unknown));

    let shown = world.get_admin(&format!("/v1/sagas/{unknown}")).await.body;
    assert_eq!(shown["status"], "running");
    let why = shown["definition_unknown"].as_str().unwrap();
    assert!(why.contains("does not know parcel.v2") && why.contains("teleport"), "{why}");
    let find = async |query: &str| {
        let list = world.get_admin(&format!("/v1/sagas?{query}")).await.body;
        let ids = list["sagas"].as_array().unwrap().iter().map(|saga| saga["id"].clone());
        ids.collect::<Vec<Value>>()
    };
    let only = vec![json!(unknown)];
    for query in
        ["flag=definition_unknown", "flag=needs_attention", "flag=definition_unknown,needs_attention"]
    {
        assert_eq!(find(query).await, only, "{query}");
    }
    assert!(find("flag=definition_unknown&status=completed").await.is_empty());
    assert!(find("flag=definition_unknown,overdue").await.is_empty());
    let cancel = json!({ "action": "cancel", "reason": "not wanted" });
    let refused = world.post_admin(&format!("/v1/sagas/{unknown}/actions"), &[], &cancel).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(problem(&refused), "409 definition-unknown []");
    assert_eq!(store.saga(unknown).await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn a_saga_is_taken_up_when_its_definition_gets_known() {
    let place = Place::new();
    let store = place.store().await;
    let definition = parcel("letter");
    let id = start(&store, &definition).await;
    let world = place.world().await;
    let missed = async {
        while world.core.definitions().unknown().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), missed).await.expect("it is missed");
    let reference: DefinitionRef = "letter.v1".parse().unwrap();
    assert_eq!(world.core.definitions().unknown()[0].reference, reference);
    assert_eq!(store.saga(id).await.unwrap().unwrap().version, 1);

    store.save_definition(&definition, &[].into()).await.unwrap();
    until_handled(&store, id).await;
    assert!(world.core.definitions().unknown().is_empty());
    let shown = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!((&shown["definition_unknown"], &shown["flags"]), (&Value::Null, &json!(["held"])));
}

#[tokio::test]
async fn a_plan_says_which_sagas_a_new_version_would_lead_another_way() {
    let place = Place::new();
    place.write("parcel.v1.yaml", PARCEL);
    let world = place.world().await;
    let store = world.core.store();
    let (parcel, letter) = (parcel("parcel"), parcel("letter"));
    let (ended, running) = (start(store, &parcel).await, start(store, &parcel).await);
    world.settle(&ended.to_string(), super::world::all_well).await;
    start(store, &letter).await;
    let recent = Recent { count: 10, since: None };
    let planned = async |change: &str, to: &str, recent: Recent| -> Plan {
        let text = PARCEL.replace("version: 1", "version: 2").replace(change, to);
        place.write("parcel.v2.yaml", &text);
        let after = load_file(&place.folder.path().join("parcel.v2.yaml"), 30 * 86_400).unwrap();
        plan::run(store, &after, recent).await.unwrap()
    };
    let same = planned("steps:", "description: Book it.\nsteps:", recent).await;
    assert_eq!((same.sagas, same.in_flight, same.same, same.not_compared), (2, 1, 2, 0));
    assert!(same.differing.is_empty() && !same.more_in_flight);

    let other = planned("parcel: =input.parcel", "parcel: =input.parcel, weight: 1", recent).await;
    assert_eq!((other.sagas, other.same, other.differing.len()), (2, 0, 1));
    let group = &other.differing[0];
    assert_eq!(
        (group.step.as_deref(), group.how.as_str(), group.sagas),
        (Some("book"), "its data: +weight", 2)
    );
    assert_eq!(group.examples, [running, ended]);
    let [in_flight] = &other.differing_in_flight[..] else { panic!("{other:?}") };
    assert_eq!((in_flight.saga, in_flight.seq, in_flight.definition.version), (running, 1, 1));

    place.write(
        "input.json",
        r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "required": ["weight"] }"#,
    );
    let refused = planned("steps:", "input: input.json\nsteps:", recent).await;
    assert_eq!(refused.differing[0].how, "refused: the input does not fit the schema at its top");
    let few = planned("steps:", "description: Few.\nsteps:", Recent { count: 1, since: None }).await;
    assert_eq!((few.sagas, few.more_in_flight), (2, false));
    let later = store.now().await.unwrap().plus_ms(60_000);
    let none =
        planned("steps:", "description: None.\nsteps:", Recent { count: 10, since: Some(later) }).await;
    assert_eq!(none.sagas, 0);
}
