//! What operators say about whole definitions, and which sagas have still to hear of it.

use amends_contract::DefinitionRef;
use amends_engine::{Paused, PausedBy, Phase, Status};
use amends_store::DefinitionPause;

use crate::database::Database;
use crate::sagas::{at, id, saga, start_of, token};

on_both_databases!(what_was_said_last_counts, sagas_are_found_that_are_to_pause);

async fn only_pause(db: &Database) -> DefinitionPause {
    let mut pauses = db.store.definition_pauses().await.unwrap();
    assert_eq!(pauses.len(), 1);
    pauses.remove(0)
}

async fn what_was_said_last_counts(db: Database) {
    let order = token("order");
    let say = async |paused: bool, actor: &str| {
        db.store.say_definition_pause((&order, None), paused, actor, "because").await.unwrap();
        only_pause(&db).await
    };
    let first = say(true, "ada").await;
    assert_eq!((first.paused, first.actor.as_str(), first.version), (true, "ada", None));
    assert_eq!(say(true, "bob").await, first, "the same again changes nothing");
    let resumed = say(false, "bob").await;
    assert_eq!((resumed.paused, resumed.actor.as_str()), (false, "bob"));
    assert_eq!(say(true, "cleo").await.actor, "cleo");

    db.store.say_definition_pause((&order, Some(2)), true, "ada", "only that one").await.unwrap();
    let pauses = db.store.definition_pauses().await.unwrap();
    assert_eq!(pauses.iter().map(|pause| pause.version).collect::<Vec<_>>(), [None, Some(2)]);
    let covers = |version: u32| {
        let definition = DefinitionRef { name: order.clone(), version };
        pauses.iter().map(|pause| pause.covers(&definition)).collect::<Vec<_>>()
    };
    assert_eq!((covers(1), covers(2)), (vec![true, false], vec![true, true]));
}

async fn sagas_are_found_that_are_to_pause(db: Database) {
    let mut sagas: Vec<_> = (1..=6).map(saga).collect();
    sagas[1].definition.version = 2;
    sagas[2].definition.name = token("other");
    sagas[3].paused = Some(Paused { since: at(4), by: PausedBy::Operator });
    sagas[4].phase = Phase::Backward;
    db.store.commit(&sagas.into_iter().map(start_of).collect::<Vec<_>>()).await.unwrap();
    db.store.say_definition_pause((&token("order"), None), true, "ada", "because").await.unwrap();
    let mut pause = only_pause(&db).await;
    let find = async |pause: &DefinitionPause, status, after| {
        db.store.sagas_to_pause(pause, status, after, 2).await.unwrap()
    };
    assert_eq!(find(&pause, Status::Running, None).await, [id(1), id(2)]);
    assert_eq!(find(&pause, Status::Running, Some(id(2))).await, [id(6)]);
    assert_eq!(find(&pause, Status::Compensating, None).await, [id(5)]);
    pause.version = Some(2);
    assert_eq!(find(&pause, Status::Running, None).await, [id(2)]);
}
