//! Rule 8: events are written with the effect, published from the outbox, and published again if the broker
//! loses them.

use amends_contract::{Envelope, Event};
use serde_json::json;

use super::{
    service::{TestDb, action, call, config, done, meddle, now, rows},
    world::World,
};
use crate::{Config, outbox, testing::Bench};

on_both_databases!(
    an_event_is_written_with_its_effect_and_published,
    an_event_of_what_did_not_happen_does_not_exist,
    an_event_that_the_broker_refuses_is_published_later,
    events_are_published_again_when_the_stream_is_new,
    events_are_published_again_when_the_stream_went_back,
    published_events_are_kept_a_day,
    a_call_has_events_too,
    an_event_that_is_written_twice_is_one,
);

fn events(bench: &Bench) -> Vec<Event> {
    let read = |body: &[u8]| Event::from_envelope(Envelope::decode(body).unwrap()).unwrap();
    let messages =
        bench.published().into_iter().filter(|message| message.subject.starts_with("amends.event."));
    messages
        .map(|message| {
            let event = read(&message.body);
            assert_eq!(message.message_id, Some(event.id.clone()));
            assert_eq!(message.subject, format!("amends.{}", event.message_type()));
            event
        })
        .collect()
}

async fn an_event_is_written_with_its_effect_and_published(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "n": 5 }));
    bench.ask(&command).await;
    assert_eq!(bench.publish_events().await, 1);
    assert_eq!(bench.publish_events().await, 0);
    bench.ask(&command).await;
    assert_eq!(bench.publish_events().await, 0);
    let event = events(&bench).remove(0);
    assert_eq!(event.id, format!("{}/thing.done", command.effect), "it derives from its cause");
    assert_eq!((event.source.as_str(), &*event.data), ("test", &json!({ "n": 5 })));
    assert_eq!(event.saga, Some((command.effect.saga, command.definition)));
}

async fn an_event_of_what_did_not_happen_does_not_exist(db: TestDb) {
    let bench = db.bench().await;
    for (number, wish) in [(1, "fail"), (2, "panic"), (3, "sql"), (4, "internal"), (5, "at-commit")] {
        bench.ask(&action(number, json!({ "do": wish }))).await;
    }
    assert_eq!(bench.publish_events().await, 0);
    // That something was rejected may be worth knowing.
    bench.ask(&action(6, json!({ "do": "reject" }))).await;
    assert_eq!((bench.publish_events().await, done(bench.db()).await.len()), (1, 0));
}

async fn an_event_that_the_broker_refuses_is_published_later(db: TestDb) {
    let bench = db.bench_with(World::new(), Config { event_lease_ms: 0, ..config() }).await;
    bench.ask(&action(1, json!({}))).await;
    bench.broker.refuse(true);
    assert_eq!(bench.publish_events().await, 0);
    bench.broker.refuse(false);
    assert_eq!(bench.publish_events().await, 1);
    assert_eq!(events(&bench).len(), 1);
}

async fn published(db: &TestDb) -> Bench {
    let bench = db.bench().await;
    bench.broker.stand_at(1_000, 0);
    bench.events().watch().await.unwrap();
    for number in 1..=3 {
        bench.ask(&action(number, json!({}))).await;
    }
    assert_eq!(bench.publish_events().await, 3);
    let last_seq = bench.published().len() as u64;
    bench.broker.stand_at(1_000, last_seq);
    bench.events().watch().await.unwrap();
    bench.broker.stand_at(1_000, last_seq + 10);
    bench.events().watch().await.unwrap();
    assert_eq!(bench.publish_events().await, 0, "nothing is lost");
    bench
}

async fn events_are_published_again_when_the_stream_is_new(db: TestDb) {
    let bench = published(&db).await;
    bench.broker.stand_at(2_000, 1_000_000);
    bench.events().watch().await.unwrap();
    assert_eq!(bench.publish_events().await, 3);
    let events = events(&bench);
    assert_eq!(events[..3], events[3..], "the very same, so that readers recognise them");
    bench.events().watch().await.unwrap();
    assert_eq!(bench.publish_events().await, 0);
}

async fn events_are_published_again_when_the_stream_went_back(db: TestDb) {
    let bench = published(&db).await;
    bench.broker.stand_at(1_000, 2);
    bench.events().watch().await.unwrap();
    assert_eq!(bench.publish_events().await, 3);
    bench.broker.stand_at(1_000, 5_000);
    bench.events().watch().await.unwrap();
    assert_eq!(bench.publish_events().await, 0);
    assert_eq!(events(&bench).len(), 6);
}

async fn published_events_are_kept_a_day(db: TestDb) {
    let bench = db.bench().await;
    for number in 1..=3 {
        bench.ask(&action(number, json!({}))).await;
    }
    bench.publish_events().await;
    bench.ask(&action(4, json!({}))).await;
    bench.purge().await;
    assert_eq!(outbox::all(bench.db().reader()).await.unwrap().len(), 4);
    let day_ago = now().minus_ms(24 * 3_600_000 + 1_000).unix_ms();
    meddle(
        bench.db(),
        &format!("UPDATE event_outbox SET published_at_ms = {day_ago} WHERE published_at_ms IS NOT NULL"),
    )
    .await;
    bench.purge().await;
    let left = outbox::all(bench.db().reader()).await.unwrap();
    assert_eq!(left.len(), 1, "the one that is not published stays, however old");
    assert_eq!(rows(bench.db()).await.len(), 4);
}

async fn a_call_has_events_too(db: TestDb) {
    let bench = db.bench().await;
    bench.ask(&call(1)).await;
    assert_eq!(bench.publish_events().await, 1);
    assert_eq!(events(&bench)[0].data, json!({ "outcome": "succeeded" }));
}

async fn an_event_that_is_written_twice_is_one(db: TestDb) {
    let bench = db.bench().await;
    let event = Event {
        id: "restock-7".to_owned(),
        source: bench.core.name.clone(),
        entity: "stock".parse().unwrap(),
        name: "restocked".parse().unwrap(),
        at: now(),
        saga: None,
        data: json!({}).into(),
    };
    for _ in 0..2 {
        let tx = bench.db().begin().await.unwrap();
        crate::emit(&tx, std::slice::from_ref(&event)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(bench.publish_events().await, 1);
    assert_eq!(events(&bench)[0].id, "restock-7");
}
