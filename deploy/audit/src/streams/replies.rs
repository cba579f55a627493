//! Replies in their stream against the recorded ones (I9), and as the explanation of commands that left no
//! row (I10).
//!
//! A reply is published after its row was committed, so whoever has read the reply finds the row.
//!
//! Invariant: byte for byte, as it was first sent.

use std::collections::{BTreeMap, BTreeSet};

use amends_broker::{Broker, StoredMessage};
use amends_contract::{
    EffectId, Envelope, ORCHESTRATOR, Outcome, Part, Reply, SagaId, Stream, Timestamp, Token, decode_batch,
};

use super::commands::{Suspect, Suspects, is_journalled};
use super::{MESSAGES_COUNT, bounds, page, rows};
use crate::sources::Opened;
use crate::{Error, Expectations, Invariant, Report};

/// Up to where the orchestrators have acknowledged.
#[derive(Clone, Copy)]
struct Floor {
    created_at: Timestamp,
    seq: u64,
}

/// A reply in the stream: what it says, and its bytes if it lies there alone.
struct Stored {
    seq: u64,
    stored_at: Timestamp,
    reply: Reply,
    body: Option<Vec<u8>>,
}

pub(crate) async fn check(
    sources: &Opened,
    broker: &Broker,
    (expectations, mut suspects): (&Expectations, Suspects),
    report: &mut Report,
) -> Result<(), Error> {
    // Before the sagas: what is acknowledged is committed.
    let status = broker.consumer_status(Stream::Reply, ORCHESTRATOR).await?;
    let floor = status.map(|status| Floor { created_at: status.created_at, seq: status.acked_seq });
    if let Some((first, last)) = bounds(broker, Stream::Reply).await? {
        let mut from = first;
        while from <= last {
            let to = last.min(from + MESSAGES_COUNT - 1);
            let mut stored: Vec<Stored> =
                page(broker, Stream::Reply, from, to).await?.iter().flat_map(read).collect();
            stored.retain(|stored| expectations.looks_at(stored.reply.effect.saga));
            report.counters.stored_replies += stored.len() as u64;
            for reply in &stored {
                report.counters.conflicts += u64::from(reply.reply.outcome == Outcome::Conflict);
                suspects.answered(&reply.reply.effect);
            }
            taken(sources, &stored, floor, report).await?;
            compare(sources, expectations, stored, report).await?;
            from = to + 1;
        }
    }
    suspects.tell(sources, report).await
}

/// A success that was acknowledged is known to its saga: nothing is in flight for it any more, or its journal
/// says why it is again.
async fn taken(
    sources: &Opened,
    stored: &[Stored],
    floor: Option<Floor>,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(floor) = floor else { return Ok(()) };
    let success = |outcome: &Outcome| {
        matches!(outcome, Outcome::Succeeded { .. } | Outcome::Undone { .. } | Outcome::NothingToUndo)
    };
    let acknowledged = stored
        .iter()
        .filter(|stored| stored.seq <= floor.seq && stored.stored_at > floor.created_at)
        .filter(|stored| success(&stored.reply.outcome));
    let acknowledged: Vec<&Stored> = acknowledged.collect();
    let ids: Vec<SagaId> = acknowledged.iter().map(|stored| stored.reply.effect.saga).collect();
    let sagas = sources.store.load(&ids).await?.sagas;
    for stored in acknowledged {
        let effect = &stored.reply.effect;
        let saga = sagas.iter().find(|saga| saga.id == effect.saga);
        let step = saga.and_then(|saga| saga.instance(&effect.step));
        let in_flight = step.is_some_and(|step| {
            step.flight(effect.direction).is_some()
                && step.effect(effect.direction).is_some_and(|decided| decided.epoch == effect.epoch)
        });
        if in_flight && !is_journalled(sources, effect, Outcome::is_final).await? {
            let said = stored.reply.outcome.name();
            let what = format!("`{said}` of {effect} was acknowledged, and its saga has not taken it");
            let look = format!("message {} of the stream of replies, and its journal", stored.seq);
            report.saga(Invariant::I10, effect.saga, what, look);
        }
    }
    Ok(())
}

async fn compare(
    sources: &Opened,
    expectations: &Expectations,
    stored: Vec<Stored>,
    report: &mut Report,
) -> Result<(), Error> {
    let mut by_participant: BTreeMap<Token, Vec<Stored>> = BTreeMap::new();
    for stored in stored.into_iter().filter(|stored| stored.reply.outcome.is_final()) {
        let known = sources.inboxes.iter().any(|(name, _)| *name == stored.reply.participant);
        let stranger = expectations.strangers.contains(&stored.reply.effect.saga);
        if known && !stranger {
            by_participant.entry(stored.reply.participant.clone()).or_default().push(stored);
        }
    }
    let now = sources.store.now().await?;
    for (participant, replies) in by_participant {
        let effects: Vec<EffectId> = replies.iter().map(|stored| stored.reply.effect.clone()).collect();
        let rows = rows(sources, &participant, &effects).await?;
        let mut seen = BTreeSet::new();
        for stored in replies {
            let effect = stored.reply.effect.to_string();
            report.counters.repeated_replies += u64::from(!seen.insert(effect.clone()));
            let remembered = stored.reply.effect.saga.made_at() > now.minus_ms(expectations.horizon_ms);
            let what = match rows.get(&effect) {
                None if remembered => format!("{effect} was answered, and has no inbox row"),
                None => continue,
                Some(row) if is_recorded(&stored, row.reply.as_deref()) => continue,
                Some(_) => format!("{effect} was answered otherwise than is recorded now"),
            };
            let look = format!("message {} of the stream of replies, the inbox of {participant}", stored.seq);
            report.saga(Invariant::I9, stored.reply.effect.saga, what, look);
        }
    }
    Ok(())
}

fn is_recorded(stored: &Stored, recorded: Option<&[u8]>) -> bool {
    match (&stored.body, recorded) {
        (Some(body), Some(recorded)) => body == recorded,
        // In a batch its bytes are not its own; what it says has to be the same.
        (None, Some(recorded)) => {
            let recorded = Envelope::decode(recorded).and_then(Reply::from_envelope);
            recorded.is_ok_and(|recorded| recorded == stored.reply)
        }
        (_, None) => false,
    }
}

/// The replies in a message; what nobody can read is a dead letter.
fn read(message: &StoredMessage) -> Vec<Stored> {
    let (seq, stored_at) = (message.seq, message.stored_at);
    let replies = decode_batch(&message.body).unwrap_or_default().into_iter().filter_map(|decoded| {
        let reply = Reply::from_envelope(decoded.envelope.ok()?).ok()?;
        let body = (decoded.part == Part::WHOLE).then(|| message.body.to_vec());
        Some(Stored { seq, stored_at, reply, body })
    });
    replies.collect()
}

impl Suspects {
    /// A reply tells what became of it.
    fn answered(&mut self, effect: &EffectId) {
        self.remove(effect);
    }

    /// What is left has neither row nor reply; a dead letter or the saga's journal may still explain it.
    async fn tell(self, sources: &Opened, report: &mut Report) -> Result<(), Error> {
        for Suspect { effect, seq, participant, .. } in self.unexplained(sources).await? {
            let what =
                format!("{effect} was acknowledged, and {participant} has neither row nor reply of it");
            let look = format!("message {seq} of the stream of commands, the inbox of {participant}");
            report.saga(Invariant::I10, effect.saga, what, look);
        }
        Ok(())
    }
}
