//! SMTP and the participant over real sockets, a real broker and real databases.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop with a word")]
#![allow(clippy::print_stderr, reason = "a test says how far it came")]

mod participant;
mod smtp;
// The same stage as payment's, with other actors.
#[path = "../../../payment/tests/sockets/stage.rs"]
mod stage;

/// Not a test: the participant's process of the other tests, when their stage tells it to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_process() {
    if let Some((config, nats)) = stage::role::<amends_notification::Config>() {
        amends_notification::run(config, nats, Default::default()).await.unwrap();
    }
}
