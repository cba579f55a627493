//! A participant that dies at the worst moments: each effect happens once, each answer is given.

use amends_contract::{Command, Outcome};
use amends_participant::testing::{command, saga_at, undo_of};
use serde_json::json;

use crate::{
    child::{Process, effects},
    sender::{Sender, outcome},
    server::Server,
};

const SAGAS: u64 = 30;

fn actions() -> Vec<Command> {
    let made_at = amends_contract::Timestamp::from_unix_ms(4_102_444_800_000);
    let name = |number| if number % 3 == 0 { "test.call" } else { "test.do" };
    (1..=SAGAS)
        .map(|number| command(saga_at(made_at, number), "step", name(number), json!({ "n": number })))
        .collect()
}

/// Kills it once at the point, then lets it live: everything is answered, and nothing happened twice.
async fn dies_at(point: &str) {
    let server = Server::start();
    let database = format!("sqlite://{}/test.db", server.folder().display());
    let mut sender = Sender::connect(&server.url()).await;
    let actions = actions();
    let mut dying = Process::start(&server.url(), &database, Some(point));
    sender.send(&actions, 100).await;
    dying.died().await;

    let living = Process::start(&server.url(), &database, None);
    let replies = sender.settle(&actions).await;
    let undos: Vec<_> = actions.iter().filter(|action| action.address.command == "do").map(undo).collect();
    let undone = sender.settle(&undos).await;
    drop(living);

    let mut expected = Vec::new();
    for action in &actions {
        let succeeded = outcome(&replies, &action.effect);
        assert!(matches!(succeeded, Outcome::Succeeded { .. }), "{}: {succeeded:?}", action.effect);
        let what = if action.address.command == "do" { "did" } else { "called" };
        expected.push(format!("{what} {}", action.effect));
    }
    for undo in &undos {
        assert!(matches!(outcome(&undone, &undo.effect), Outcome::Undone { .. }));
        expected.push(format!("undid {}", undo.effect));
    }
    expected.sort();
    assert_eq!(effects(&database).await, expected);
}

fn undo(action: &Command) -> Command {
    undo_of(action, "undo")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_batch() {
    dies_at("mid_batch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_commit() {
    dies_at("after_commit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_later_commit() {
    dies_at("after_commit:3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_replies_are_published() {
    dies_at("before_publish").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_replies_are_published() {
    dies_at("after_publish").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_command_is_acknowledged() {
    dies_at("before_ack").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_later_command_is_acknowledged() {
    dies_at("before_ack:7").await;
}
