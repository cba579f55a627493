//! Publishes what a commit decided, then acknowledges what led to it.
//!
//! Invariant: commit, then publish, then acknowledge. A command that the broker does not take within the
//! publisher's timeout is left to the timer: its row says when it is to be sent again.

use std::sync::Arc;

use amends_broker::{Ack, Outgoing, Publisher};
use amends_contract::{CONTENT_TYPE, Command, Names, ORCHESTRATOR};
use amends_crash as crash;
use futures::StreamExt;
use metrics::counter;
use tokio::sync::mpsc;

use super::children;
use super::work::Receipt;

/// The outputs of one commit.
#[derive(Default)]
pub(crate) struct Publication {
    pub(crate) commands: Vec<Command>,
    /// Acknowledged when the commands are out.
    pub(crate) receipts: Vec<Arc<Receipt>>,
}

impl Publication {
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.receipts.is_empty()
    }
}

/// Runs until the sender is dropped and all is published.
pub(crate) async fn run(
    publications: mpsc::Receiver<Publication>,
    publisher: Publisher,
    names: Names,
    children: children::Handle,
    publishing_max: usize,
) {
    let publications = futures::stream::unfold(publications, |mut receiver| async move {
        receiver.recv().await.map(|publication| (publication, receiver))
    });
    publications
        .for_each_concurrent(publishing_max, |publication| {
            publish(publication, &publisher, &names, &children)
        })
        .await;
}

async fn publish(
    publication: Publication,
    publisher: &Publisher,
    names: &Names,
    children: &children::Handle,
) {
    let Publication { commands, receipts } = publication;
    // What another saga is to do stays in the process.
    let (own, commands): (Vec<Command>, Vec<Command>) =
        commands.into_iter().partition(|command| command.address.participant == *ORCHESTRATOR);
    own.into_iter().for_each(|command| children.ask(command));
    if !commands.is_empty() {
        let with_ids = publisher.wants_ids();
        let batch = commands.iter().map(|command| outgoing(command, names, with_ids)).collect();
        crash::point(crash::BEFORE_PUBLISH);
        let results = publisher.publish(batch).await;
        crash::point(crash::AFTER_PUBLISH);
        for (command, result) in commands.iter().zip(results) {
            match result {
                Ok(_) => counter!("amends_commands_sent_total").increment(1),
                Err(error) => {
                    counter!("amends_commands_unsent_total").increment(1);
                    tracing::debug!(effect = %command.effect, %error, "left to the timer");
                }
            }
        }
    }
    if !receipts.is_empty() {
        crash::point(crash::BEFORE_ACK);
    }
    for receipt in receipts {
        receipt.done();
    }
}

fn outgoing(command: &Command, names: &Names, with_id: bool) -> Outgoing {
    Outgoing {
        subject: names.command(&command.address.participant, &command.address.command),
        body: command.encode().into(),
        message_id: with_id.then(|| command.effect.message_id(command.send_no)),
        content_type: CONTENT_TYPE,
        traceparent: None,
        ack: Ack::Shared,
    }
}
