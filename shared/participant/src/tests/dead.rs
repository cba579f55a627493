//! What cannot be read or routed is set aside with its reason, and its neighbours are handled.

use amends_contract::{BATCH_CONTENT_TYPE, DeadLetter, Digest, Envelope};
use serde_json::{Value, json};

use super::service::{TestDb, action, done};
use crate::testing::Bench;

on_both_databases!(
    garbage_is_set_aside_and_its_neighbours_are_handled,
    of_a_batch_only_what_cannot_be_read_is_set_aside,
    a_dead_letter_keeps_all_that_fits,
    a_dead_letter_is_published_before_its_message_is_acknowledged,
    a_dead_letter_too_large_for_the_broker_is_cut,
);

const SUBJECT: &str = "amends.cmd.test.do";

fn dead_letters(bench: &Bench) -> Vec<DeadLetter> {
    let dead = bench.published().into_iter().filter(|message| message.subject == "amends.dead.test");
    dead.map(|message| {
        let letter = DeadLetter::from_envelope(Envelope::decode(&message.body).unwrap()).unwrap();
        assert_eq!(message.message_id, Some(letter.id()));
        letter
    })
    .collect()
}

/// A good command with something changed in its JSON.
fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::to_value(action(1, json!({})).to_envelope()).unwrap();
    change(&mut value);
    value.to_string().into_bytes()
}

async fn garbage_is_set_aside_and_its_neighbours_are_handled(db: TestDb) {
    let bench = db.bench().await;
    let large = with(|value| value["data"] = json!("x".repeat(600 * 1024)));
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(500), "]".repeat(500)).into_bytes();
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("not-json", SUBJECT, b"".to_vec()),
        ("not-json", SUBJECT, b"\xff\xfe garbage".to_vec()),
        ("not-json", SUBJECT, b"{\"specversion\":\"1.0\"".to_vec()),
        ("not-json", SUBJECT, deep),
        ("not-an-envelope", SUBJECT, b"{}".to_vec()),
        ("not-an-envelope", SUBJECT, b"4711".to_vec()),
        ("unknown-version", SUBJECT, with(|value| value["specversion"] = json!("2.0"))),
        ("missing-attribute", SUBJECT, with(|value| drop(value.as_object_mut().unwrap().remove("effectid")))),
        ("invalid-attribute", SUBJECT, with(|value| value["effectid"] = json!("x/y/z"))),
        ("invalid-attribute", SUBJECT, with(|value| value["sendno"] = json!("0"))),
        ("invalid-attribute", SUBJECT, with(|value| value["type"] = json!("event.order.created"))),
        ("nul-character", SUBJECT, with(|value| value["data"] = json!({ "a": "x\u{0}" }))),
        ("too-large", SUBJECT, large),
        ("too-large", SUBJECT, vec![b' '; 1024 * 1024 + 1]),
        ("unroutable", SUBJECT, with(|value| value["type"] = json!("cmd.other.do"))),
        ("unroutable", "amends.cmd.test.undo", with(|_| ())),
        ("unknown-command", "amends.cmd.test.dance", with(|value| value["type"] = json!("cmd.test.dance"))),
    ];
    let mut deliveries = Vec::new();
    for (number, (_, subject, body)) in (100..).zip(&cases) {
        deliveries.push(bench.raw(subject, body));
        deliveries.push(bench.delivery(&action(number, json!({}))));
    }
    let count = deliveries.len() as u64;
    bench.deliver(deliveries).await;
    let all = |broker: &crate::testing::Played| (1..=count).all(|seq| broker.is_acked(seq)).then_some(());
    bench.broker.until("all are acknowledged", all).await;
    assert_eq!(done(bench.db()).await.len(), cases.len());
    let mut letters = dead_letters(&bench);
    letters.sort_by_key(|letter| letter.stream_seq);
    let codes: Vec<_> = letters.iter().map(|letter| letter.reason.code.as_str()).collect();
    let expected: Vec<_> = cases.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, expected);
    assert!(letters.iter().all(|letter| !letter.reason.message.is_empty()));
}

/// Sending one again sends no neighbour again.
async fn of_a_batch_only_what_cannot_be_read_is_set_aside(db: TestDb) {
    let bench = db.bench().await;
    let [first, second] = [1, 2].map(|number| action(number, json!({})).to_envelope().encode());
    let newer = with(|value| value["specversion"] = json!("2.0"));
    let body = [b"[".as_slice(), &first, b",17,", &second, b", ", &newer, b"]"].concat();
    let delivery = bench.raw(SUBJECT, &body).with_header("Content-Type", BATCH_CONTENT_TYPE);
    bench.deliver(vec![delivery]).await;
    bench.broker.until("it is acknowledged", |broker| broker.is_acked(1).then_some(())).await;
    assert_eq!(done(bench.db()).await.len(), 2);
    let letters = dead_letters(&bench);
    let found: Vec<_> = letters
        .iter()
        .map(|letter| (letter.element, letter.reason.code.as_str(), letter.body().unwrap()))
        .collect();
    let expected =
        [(Some(1), "not-an-envelope", b"17".to_vec()), (Some(3), "unknown-version", newer.clone())];
    assert_eq!(found, expected);
    assert!(letters.iter().all(|letter| letter.headers.is_empty()));
}

async fn a_dead_letter_keeps_all_that_fits(db: TestDb) {
    let bench = db.bench().await;
    let mut delivery = bench.raw(SUBJECT, b"garbage");
    delivery.stored_at = amends_contract::Timestamp::from_unix_ms(1_234);
    delivery = delivery.with_header("some", "header");
    bench.deliver(vec![delivery]).await;
    bench.broker.until("it is acknowledged", |broker| broker.is_acked(1).then_some(())).await;
    let letter = dead_letters(&bench).remove(0);
    assert_eq!(letter.body().unwrap(), b"garbage");
    assert_eq!((letter.stream.as_str(), letter.stream_seq), ("AMENDS_CMD", 1));
    assert_eq!((letter.subject.as_str(), letter.at.unix_ms()), (SUBJECT, 1_234));
    assert_eq!(letter.headers["some"], "header");
    assert_eq!(letter.body_digest, Digest::of(b"garbage"));
}

async fn a_dead_letter_is_published_before_its_message_is_acknowledged(db: TestDb) {
    let bench = db.bench().await;
    bench.broker.refuse(true);
    let delivery = bench.raw(SUBJECT, b"garbage");
    bench.deliver(vec![delivery.clone()]).await;
    bench.inside.runner.post.idle().await;
    assert!(!bench.broker.is_acked(1));
    bench.broker.refuse(false);
    bench.deliver(vec![delivery]).await;
    bench.broker.until("it is acknowledged", |broker| broker.is_acked(1).then_some(())).await;
    assert_eq!(dead_letters(&bench).len(), 1);
}

async fn a_dead_letter_too_large_for_the_broker_is_cut(db: TestDb) {
    let bench = db.bench().await;
    bench.broker.limit(20_000);
    let headers = bench.raw(SUBJECT, b"garbage").with_header("large", &"x".repeat(30_000));
    let body = bench.raw(SUBJECT, &vec![b'x'; 30_000]);
    bench.deliver(vec![headers, body]).await;
    let both = |broker: &crate::testing::Played| (broker.is_acked(1) && broker.is_acked(2)).then_some(());
    bench.broker.until("both are acknowledged", both).await;
    let mut letters = dead_letters(&bench);
    letters.sort_by_key(|letter| letter.stream_seq);
    assert_eq!((letters[0].headers.len(), letters[0].body().unwrap()), (0, b"garbage".to_vec()));
    assert_eq!((letters[1].body().unwrap().len(), letters[1].body_bytes), (0, 30_000));
}
