//! Rule 1 in a batch: one transaction, and no command harms its neighbours.

use amends_contract::{Command, Outcome};
use serde_json::json;

use super::service::{TestDb, action, again, done, failed, rejected, states, succeeded, undo};
use crate::{Config, testing::Bench};

on_both_databases!(
    a_batch_is_one_transaction,
    a_command_that_goes_wrong_harms_no_neighbour,
    a_batch_that_fails_at_its_commit_is_run_in_parts,
    duplicates_in_one_batch_are_one_effect,
    what_is_new_copied_and_undone_in_one_batch,
    an_answer_is_acknowledged_after_it_is_published,
    a_batch_of_envelopes_in_one_delivery,
    a_large_batch_is_cut,
);

async fn deliver(bench: &Bench, commands: &[Command]) {
    bench.deliver(commands.iter().map(|command| bench.delivery(command)).collect()).await;
    let all = |broker: &crate::testing::Played| {
        (1..=commands.len() as u64).all(|seq| broker.is_acked(seq)).then_some(())
    };
    bench.broker.until("all are acknowledged", all).await;
}

async fn a_batch_is_one_transaction(db: TestDb) {
    let bench = db.bench().await;
    let commands: Vec<_> = (1..=40).map(|number| action(number, json!({ "n": number }))).collect();
    deliver(&bench, &commands).await;
    let rows = super::service::rows(bench.db()).await;
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.created_at_ms == rows[0].created_at_ms), "one look at the clock");
    for command in &commands {
        assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "n": command.data["n"] })));
    }
}

async fn a_command_that_goes_wrong_harms_no_neighbour(db: TestDb) {
    let bench = db.bench().await;
    let wishes =
        ["succeed", "panic", "sql", "reject", "succeed", "fail", "large", "nul", "illegal", "succeed"];
    let commands: Vec<_> =
        wishes.iter().zip(1..).map(|(wish, number)| action(number, json!({ "do": wish }))).collect();
    deliver(&bench, &commands).await;
    assert_eq!(done(bench.db()).await, ["did step/do/1"; 3]);
    let mut names: Vec<_> = bench.replies().iter().map(|reply| reply.outcome.name()).collect();
    names.sort_unstable();
    let mut expected = ["failed"; 4].to_vec();
    expected.extend(["rejected"; 3]);
    expected.extend(["succeeded"; 3]);
    assert_eq!(names, expected);
    assert_eq!(bench.ask(&commands[3]).await.outcome, rejected("no", "because"));
}

async fn a_batch_that_fails_at_its_commit_is_run_in_parts(db: TestDb) {
    let bench = db.bench().await;
    let wish = |number| if number == 5 { "at-commit" } else { "succeed" };
    let commands: Vec<_> = (1..=9).map(|number| action(number, json!({ "do": wish(number) }))).collect();
    deliver(&bench, &commands).await;
    assert_eq!(done(bench.db()).await, ["did step/do/1"; 8]);
    assert_eq!(bench.ask(&commands[4]).await.outcome, failed("database"));
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded"; 8]);
}

async fn duplicates_in_one_batch_are_one_effect(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    let mut other = command.clone();
    other.data = json!({ "another": "meaning" }).into();
    deliver(&bench, &[command.clone(), again(&command), other, command.clone()]).await;
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
    let published = bench.published();
    let replies = bench.replies();
    let recorded = succeeded(json!({ "n": null }));
    let bodies: Vec<_> = published
        .iter()
        .zip(&replies)
        .filter(|(_, reply)| reply.outcome == recorded)
        .map(|(message, _)| &message.body)
        .collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(replies.iter().filter(|reply| reply.outcome == Outcome::Conflict).count(), 1);
}

/// Not all of it is looked for in the inbox before.
async fn what_is_new_copied_and_undone_in_one_batch(db: TestDb) {
    let bench = db.bench().await;
    let [new, undone, never] = [1, 3, 4].map(|number| action(number, json!({})));
    // To do it twice violates a constraint of the service's own table.
    let copied = action(2, json!({ "do": "unique" }));
    let (_, first) = bench.ask_bytes(&copied).await;
    bench.ask(&undone).await;
    let before = bench.published().len() as u64;
    let commands = [new.clone(), copied.clone(), undo(&undone), undo(&never)];
    bench.deliver(commands.iter().map(|command| bench.delivery(command)).collect()).await;
    let acked = |broker: &crate::testing::Played| {
        (before + 1..=before + 4).all(|seq| broker.is_acked(seq)).then_some(())
    };
    bench.broker.until("all are acknowledged", acked).await;
    let published: Vec<_> = bench.published().into_iter().skip(2).collect();
    assert!(published.iter().any(|message| message.body == first), "a copy has the same answer");
    let mut outcomes: Vec<_> = bench.replies()[2..].iter().map(|reply| reply.outcome.name()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["nothing_to_undo", "succeeded", "succeeded", "undone"]);
    assert_eq!(bench.ask(&never).await.outcome, Outcome::Cancelled);
    assert_eq!(bench.ask(&new).await.outcome.name(), "succeeded");
}

async fn an_answer_is_acknowledged_after_it_is_published(db: TestDb) {
    let bench = db.bench().await;
    bench.broker.refuse(true);
    let command = action(1, json!({}));
    let delivery = bench.delivery(&command);
    let seq = delivery.stream_seq;
    bench.deliver(vec![delivery.clone()]).await;
    bench.inside.runner.post.idle().await;
    assert_eq!(done(bench.db()).await, ["did step/do/1"], "it is committed");
    assert!(!bench.broker.is_acked(seq), "nobody has the answer");
    assert_eq!(bench.published(), []);
    bench.broker.refuse(false);
    bench.deliver(vec![delivery]).await;
    bench.broker.until("it is acknowledged", |broker| broker.is_acked(seq).then_some(())).await;
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "n": null })));
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
}

async fn a_batch_of_envelopes_in_one_delivery(db: TestDb) {
    let bench = db.bench().await;
    let envelopes: Vec<_> =
        (1..=3).map(|number| action(number, json!({ "n": number })).to_envelope()).collect();
    let mut body = serde_json::to_value(&envelopes).unwrap();
    body.as_array_mut().unwrap().insert(1, json!({ "not": "an envelope" }));
    let delivery = bench.raw("amends.cmd.test.do", body.to_string().as_bytes());
    bench.broker.refuse(true);
    bench.deliver(vec![delivery.clone()]).await;
    bench.inside.runner.post.idle().await;
    bench.broker.refuse(false);
    bench.deliver(vec![delivery]).await;
    bench.broker.until("it is acknowledged", |broker| broker.is_acked(1).then_some(())).await;
    assert_eq!(done(bench.db()).await, ["did step/do/1"; 3]);
    assert_eq!(bench.replies().len(), 3);
    assert_eq!(bench.published().len(), 4, "and a dead letter for the one that cannot be read");
    let empty = bench.raw("amends.cmd.test.do", b"[]");
    bench.deliver(vec![empty]).await;
    bench.broker.until("it is acknowledged", |broker| broker.is_acked(2).then_some(())).await;
}

async fn a_large_batch_is_cut(db: TestDb) {
    let config = Config { batch_count_max: 3, ..super::service::config() };
    let bench = db.bench_with(super::world::World::new(), config).await;
    let commands: Vec<_> = (1..=10).map(|number| action(number, json!({}))).collect();
    deliver(&bench, &commands).await;
    assert_eq!(done(bench.db()).await.len(), 10);
}
