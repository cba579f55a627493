//! Rules 1, 2 and 4: once, the same answer for ever, and no other meaning under the same id.

use amends_contract::{Address, Cause, Outcome};
use serde_json::json;

use super::service::{TestDb, action, again, done, failed, fence, rejected, rows, states, succeeded};

on_both_databases!(
    an_effect_happens_once_and_is_answered_the_same_for_ever,
    a_duplicate_that_the_service_itself_refuses_is_answered_from_the_inbox,
    a_reply_says_which_delivery_made_the_effect,
    a_rejection_is_final_and_leaves_nothing_behind,
    a_failure_is_not_recorded_and_may_succeed_later,
    another_meaning_is_a_conflict_and_changes_nothing,
    the_order_of_keys_and_the_number_of_the_sending_have_no_meaning,
    what_is_not_final_is_never_recorded,
);

async fn an_effect_happens_once_and_is_answered_the_same_for_ever(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "n": 5 }));
    let (_, first) = bench.ask_bytes(&command).await;
    for repeated in [command.clone(), again(&command), again(&again(&command))] {
        let (_, bytes) = bench.ask_bytes(&repeated).await;
        assert_eq!(bytes, first, "byte for byte");
    }
    assert_eq!(bench.replies()[0].outcome, succeeded(json!({ "n": 5 })));
    assert_eq!(bench.replies()[3].send_no, 1, "the recorded reply keeps its sending");
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded"]);
    assert!(
        bench.published().iter().all(|message| message.message_id.is_none()),
        "a repeated reply must not vanish"
    );
}

async fn a_duplicate_that_the_service_itself_refuses_is_answered_from_the_inbox(db: TestDb) {
    let bench = db.bench().await;
    // To do it twice violates a constraint of the service's own table.
    let command = action(1, json!({ "do": "unique" }));
    let (_, first) = bench.ask_bytes(&command).await;
    let (_, second) = bench.ask_bytes(&command).await;
    assert_eq!(first, second);
    assert_eq!(bench.outcome_of(&command.effect).await.name(), "succeeded");
}

async fn a_reply_says_which_delivery_made_the_effect(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    let mut delivery = bench.delivery(&command);
    (delivery.stream_seq, delivery.delivered) = (4711, 3);
    bench.deliver(vec![delivery]).await;
    bench.outcome_of(&command.effect).await;
    let reply = bench.ask(&command).await;
    assert_eq!(reply.cause, Some(Cause { stream_seq: 4711, delivery: 3 }));
    assert_eq!((reply.definition, reply.decided_at), (command.definition, command.decided_at));
}

async fn a_rejection_is_final_and_leaves_nothing_behind(db: TestDb) {
    let bench = db.bench().await;
    for (number, wish, expected) in [
        (1, "reject", rejected("no", "because")),
        (2, "data", rejected("invalid-data", "no such field")),
        (3, "nul", rejected("reply-unreadable", "the reply contains the character U+0000")),
    ] {
        let command = action(number, json!({ "do": wish }));
        let (_, first) = bench.ask_bytes(&command).await;
        let (_, second) = bench.ask_bytes(&again(&command)).await;
        assert_eq!(first, second);
        assert_eq!(bench.ask(&command).await.outcome, expected);
    }
    let large = bench.ask(&action(4, json!({ "do": "large" }))).await.outcome;
    assert!(matches!(&large, Outcome::Rejected { code, .. } if code == "reply-too-large"), "{large:?}");
    assert_eq!(done(bench.db()).await, [""; 0]);
    assert_eq!(states(bench.db()).await, ["step/do/1 final rejected"; 4]);
}

async fn a_failure_is_not_recorded_and_may_succeed_later(db: TestDb) {
    let bench = db.bench().await;
    for (wish, code, retry_after_ms) in [
        ("fail", "later", Some(7)),
        ("transient", "busy", Some(9)),
        ("internal", "internal", None),
        ("panic", "internal", None),
        ("illegal", "internal", None),
        ("sql", "database", None),
        ("at-commit", "database", None),
    ] {
        let command = action(1, json!({ "do": wish }));
        let outcome = bench.ask(&command).await.outcome;
        assert_eq!(outcome, Outcome::Failed { code: code.to_owned(), retry_after_ms }, "{wish}");
        assert_eq!(rows(bench.db()).await, [], "{wish}");
    }
    let outcome = bench.ask(&again(&action(1, json!({})))).await.outcome;
    assert_eq!(outcome, succeeded(json!({ "n": null })));
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
}

async fn another_meaning_is_a_conflict_and_changes_nothing(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "n": 1 }));
    let (_, first) = bench.ask_bytes(&command).await;
    let mut other_data = again(&command);
    other_data.data = json!({ "n": 2 }).into();
    let mut other_type = again(&command);
    other_type.address = Address::new("test", "undo").unwrap();
    for other in [other_data, other_type] {
        let reply = bench.ask(&other).await;
        assert_eq!((reply.outcome, reply.send_no), (Outcome::Conflict, 2));
    }
    // A fence has no meaning of its own.
    assert_eq!(bench.ask_bytes(&fence(&command)).await.1, first);
    assert_eq!(bench.ask_bytes(&command).await.1, first);
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
}

async fn the_order_of_keys_and_the_number_of_the_sending_have_no_meaning(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "a": 1, "b": { "c": [1, 2], "d": null } }));
    let (_, first) = bench.ask_bytes(&command).await;
    let body = again(&command).to_envelope().encode();
    let text = String::from_utf8(body).unwrap();
    let shuffled =
        text.replace(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#, r#"{ "b": {"d":null, "c":[1, 2]}, "a": 1 }"#);
    assert_ne!(text, shuffled);
    let delivery = bench.raw("amends.cmd.test.do", shuffled.as_bytes());
    bench.deliver(vec![delivery]).await;
    bench.broker.until("the second reply", |broker| (broker.published().len() == 2).then_some(())).await;
    assert_eq!(bench.published()[1].body, first);
}

async fn what_is_not_final_is_never_recorded(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "do": "fail" }));
    assert_ne!(bench.ask(&command).await.outcome, failed("other"));
    let old = crate::testing::saga_at(amends_contract::Timestamp::from_unix_ms(1), 1);
    let expired = crate::testing::command(old, "step", "test.do", json!({}));
    assert_eq!(bench.ask(&expired).await.outcome, Outcome::Expired);
    assert_eq!(rows(bench.db()).await, []);
    let done_first = action(2, json!({}));
    bench.ask(&done_first).await;
    let before = rows(bench.db()).await;
    let mut other = done_first.clone();
    other.data = json!({ "n": 3 }).into();
    assert_eq!(bench.ask(&other).await.outcome, Outcome::Conflict);
    assert_eq!(rows(bench.db()).await, before);
}
