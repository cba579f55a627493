//! A participant: takes commands, commits each effect once with the reply to it, sends the replies.
//!
//! Invariant: what it answers is what its inbox says.

use anyhow::Context;
use tokio::sync::watch;

use super::{
    Setup,
    laden::Laden,
    meter::now_ms,
    pipe::{Sink, Source},
    saga::{Body, Outcome, Participant, decide, json},
    store::{EffectRow, Store},
};

/// Where replies go.
pub(super) const REPLIES: &str = "floor.reply.orchestrator";

/// Runs until it is told to stop.
pub(super) async fn run(
    participant: Participant,
    setup: &Setup,
    store: &mut Store,
    mut source: Source,
    mut sink: Sink,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        let messages = tokio::select! { biased;
            messages = source.take() => messages?,
            _ = stop.changed() => break,
        };
        let (mut rows, mut sources) = (Vec::new(), Vec::new());
        for message in messages {
            rows.push(effect(participant, &message.payload, setup.arguments.laden)?);
            sources.push(message.reply.context("a message without a way to acknowledge it")?);
        }
        if rows.is_empty() {
            continue;
        }
        let rows = store.commit_effects(rows).await?;
        setup.counters.add(1, rows.len());
        sink.publish(sources, rows.into_iter().map(|row| (REPLIES, row.reply)).collect()).await?;
    }
    sink.close().await
}

/// The effect of a command, and the reply to it.
fn effect(participant: Participant, body: &[u8], laden: Laden) -> anyhow::Result<EffectRow> {
    let command: Body<'_> = serde_json::from_slice(body)?;
    let (outcome, at) = (decide(&command), now_ms());
    let id = format!("{}/reply", command.id);
    let (source, time) = (participant.name(), at);
    let reply = Body { id: &id, source, time, outcome: Some(outcome), load: laden.reply(), ..command };
    // The last part is the number of the sending: all sendings have one effect.
    let (effect, _) = command.id.rsplit_once('/').context("a command's id ends with its number")?;
    Ok(EffectRow {
        id: effect.to_owned(),
        saga: command.sagaid,
        kind: if outcome == Outcome::Rejected { "decline" } else { command.sagastep.name() },
        amount: i64::try_from(command.data.amount_minor)?,
        reply: json(&reply)?.into(),
        at,
    })
}
