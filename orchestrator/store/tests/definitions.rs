//! Definitions are pinned: the first source under a name and version stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_contract::Digest;
use amends_definition::Definition;
use amends_store::{Error, ErrorKind};

use crate::database::Database;
use crate::sagas::token;

on_both_databases!(
    a_definition_is_stored_once_and_pinned,
    a_changed_schema_is_a_changed_definition,
    a_damaged_definition_is_left_out_and_the_others_stay,
);

fn definition(version: u32, source: &str) -> Definition {
    Definition {
        name: token("order"),
        version,
        digest: Digest::of(source.as_bytes()),
        source: Arc::from(source),
        description: None,
        input_schema: None,
        labels: BTreeMap::new(),
        deadline_ms: None,
        retention_ms: 1,
        steps: Vec::new(),
        on_compensated: Vec::new(),
        output: None,
        starts_on: None,
    }
}

fn schemas(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("schemas/input.json".to_owned(), text.to_owned())])
}

async fn a_definition_is_stored_once_and_pinned(db: Database) {
    let first = definition(1, "saga: order\n# grüße\n");
    db.store.save_definition(&first, &schemas("{}")).await.unwrap();
    db.store.save_definition(&first, &schemas("{}")).await.unwrap();
    let error = db.store.save_definition(&definition(1, "saga: other\n"), &schemas("{}")).await.unwrap_err();
    let Error::DefinitionChanged { definition: reference, part, stored, given } = error else {
        panic!("{error}")
    };
    assert_eq!(
        [reference.to_string(), part, stored, given],
        ["order.v1", "source", "saga: order\n# grüße\n", "saga: other\n"]
    );
    db.store.save_definition(&definition(10, "saga: other\n"), &BTreeMap::new()).await.unwrap();
    db.store.save_definition(&definition(2, "saga: two\n"), &BTreeMap::new()).await.unwrap();
    let stored = db.store.definitions().await.unwrap();
    let names: Vec<String> = stored.iter().map(|stored| stored.reference.to_string()).collect();
    assert_eq!(names, ["order.v1", "order.v2", "order.v10"]);
    assert_eq!(stored[0].source, *first.source);
    assert_eq!(stored[0].digest, first.digest);
    assert_eq!(stored[0].schemas, schemas("{}"));
    let one = db.store.definition(&first.reference()).await.unwrap();
    assert_eq!(one.as_ref(), Some(&stored[0]));
}

async fn a_changed_schema_is_a_changed_definition(db: Database) {
    let definition = definition(1, "saga: order\n");
    db.store.save_definition(&definition, &schemas("{}")).await.unwrap();
    for (given, text) in [(schemas("true"), "true"), (BTreeMap::new(), "")] {
        let error = db.store.save_definition(&definition, &given).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DefinitionChanged);
        assert!(error.to_string().contains("schemas/input.json"), "{error}");
        assert!(
            matches!(error, Error::DefinitionChanged { stored, given, .. } if stored == "{}" && given == text)
        );
    }
}

async fn a_damaged_definition_is_left_out_and_the_others_stay(db: Database) {
    for version in [1, 2] {
        db.store.save_definition(&definition(version, "saga: order\n"), &BTreeMap::new()).await.unwrap();
    }
    db.damage("UPDATE definitions SET schemas = 'no JSON' WHERE version = 1").await;
    let stored = db.store.definitions().await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.reference.version).collect::<Vec<_>>(), [2]);
    let error = db.store.definition(&definition(1, "").reference()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
}
