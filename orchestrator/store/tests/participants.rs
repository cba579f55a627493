//! What operators say about participants: kept line by line, and the last one is what is wanted.

use amends_store::ParticipantWish;

use crate::database::Database;
use crate::sagas::{at, token};

on_both_databases!(every_line_is_kept_and_the_last_one_counts, two_who_speak_at_once_are_both_heard);

async fn every_line_is_kept_and_the_last_one_counts(db: Database) {
    let (inventory, payment) = (token("inventory"), token("payment"));
    assert_eq!(db.store.participant_wishes().await.unwrap(), []);
    let pause = |until| ParticipantWish::Pause { until };
    let by = ("ada", "it mo\0ves");
    let first = db.store.say_of_participant(&inventory, pause(Some(at(7))), by).await.unwrap();
    assert_eq!((first.seq, first.actor.as_str(), first.reason.as_str()), (1, "ada", "it mo\u{fffd}ves"));
    let second = db.store.say_of_participant(&inventory, pause(None), by).await.unwrap();
    let other = db.store.say_of_participant(&payment, ParticipantWish::Resume, by).await.unwrap();
    let wishes = db.store.participant_wishes().await.unwrap();
    assert_eq!(wishes, [second.clone(), other.clone()]);
    let third = db.store.say_of_participant(&inventory, ParticipantWish::Resume, by).await.unwrap();
    assert_eq!(db.store.participant_wishes().await.unwrap(), [third.clone(), other.clone()]);
    assert_eq!(db.store.pauses_said(&inventory).await.unwrap(), [second.clone(), first.clone()]);
    let all = db.store.participant_actions().await.unwrap();
    assert_eq!(all, [first, second, third, other]);
}

async fn two_who_speak_at_once_are_both_heard(db: Database) {
    let inventory = token("inventory");
    let say = |actor: &'static str| {
        db.store.say_of_participant(&inventory, ParticipantWish::Pause { until: None }, (actor, "because"))
    };
    let (one, other, third) = tokio::join!(say("ada"), say("bob"), say("cleo"));
    let mut lines = [one.unwrap().seq, other.unwrap().seq, third.unwrap().seq];
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 3]);
}
