//! Commands in their stream against sagas (I6, L5) and, once acknowledged, against inboxes (I10).
//!
//! A command is published after its saga was committed with that number of sends, so whoever has read the
//! command finds at least that number. It is acknowledged after its row was committed or its reply, which
//! needs none (`failed`, `pending`, `expired`, `conflict`), was published.
//!
//! Invariant: a consumer that was created anew may have begun after what lies below its floor; only
//! commands that came after its creation are held against it.

use std::collections::{BTreeMap, BTreeSet};

use amends_broker::{Broker, StoredMessage};
use amends_contract::{Command, EffectId, Outcome, Part, SagaId, Stream, Timestamp, Token, decode_batch};
use amends_engine::{Input, Saga};
use amends_store::DeadLetterFilter;

use super::{MESSAGES_COUNT, bounds, page, rows};
use crate::sources::Opened;
use crate::{Error, Expectations, Invariant, Report};

/// Lines of a journal that are read at once.
const LINES_COUNT: u32 = 1_000;

/// A command in the stream.
struct Stored {
    seq: u64,
    part: Part,
    stored_at: Timestamp,
    command: Command,
}

/// A command that was acknowledged and has no inbox row.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) effect: EffectId,
    pub(super) seq: u64,
    /// Which element of a batch it was.
    pub(super) element: Option<u32>,
    pub(super) participant: Token,
}

impl Suspect {
    /// Whether a dead letter is about its command, or about the whole batch that brought it.
    fn was_set_aside(&self, letters: &BTreeSet<SetAside>) -> bool {
        let of = |element| (self.participant.clone(), self.seq, element);
        letters.contains(&of(None)) || letters.contains(&of(self.element))
    }
}

/// Who has set aside which message of the stream of commands, and which element of it.
type SetAside = (Token, u64, Option<u32>);

/// All of them, up to a limit: of a whole inbox that is gone the first some thousand tell enough.
pub(super) struct Suspects {
    by_effect: BTreeMap<EffectId, Suspect>,
    count_max: usize,
}

impl Suspects {
    pub(super) fn remove(&mut self, effect: &EffectId) {
        self.by_effect.remove(effect);
    }

    /// Those of which neither a dead letter nor the saga's journal tells, and which still have no row.
    pub(super) async fn unexplained(self, sources: &Opened) -> Result<Vec<Suspect>, Error> {
        let mut suspects = self.by_effect;
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let letters = letters(sources).await?;
        suspects.retain(|_, suspect| !suspect.was_set_aside(&letters));
        // With its saga went the journal that would tell.
        let sagas: Vec<SagaId> = suspects.keys().map(|effect| effect.saga).collect();
        let deleted = sources.store.deleted_among(&sagas).await?;
        suspects.retain(|effect, _| !deleted.contains_key(&effect.saga));
        let mut left = Vec::new();
        for (effect, suspect) in suspects {
            let rows = rows(sources, &suspect.participant, std::slice::from_ref(&effect)).await?;
            if rows.is_empty() && !is_journalled(sources, &effect, |_| true).await? {
                left.push(suspect);
            }
        }
        Ok(left)
    }

    fn add(&mut self, suspect: Suspect) {
        if self.by_effect.len() < self.count_max {
            self.by_effect.insert(suspect.effect.clone(), suspect);
        }
    }
}

pub(super) async fn check(
    sources: &Opened,
    broker: &Broker,
    expectations: &Expectations,
    report: &mut Report,
) -> Result<Suspects, Error> {
    let mut suspects = Suspects { by_effect: BTreeMap::new(), count_max: expectations.suspects_max };
    let Some((first, last)) = bounds(broker, Stream::Command).await? else {
        return Ok(suspects);
    };
    let mut floors = BTreeMap::new();
    for (name, _) in &sources.inboxes {
        if let Some(status) = broker.consumer_status(Stream::Command, name.as_str()).await? {
            floors.insert(name.clone(), (status.created_at, status.acked_seq));
        }
    }
    let mut from = first;
    while from <= last {
        let to = last.min(from + MESSAGES_COUNT - 1);
        let mut stored: Vec<Stored> =
            page(broker, Stream::Command, from, to).await?.iter().flat_map(read).collect();
        stored.retain(|stored| expectations.looks_at(stored.command.effect.saga));
        report.counters.stored_commands += stored.len() as u64;
        published(sources, expectations, &stored, report).await?;
        acknowledged(sources, (expectations, &floors), &stored, (&mut suspects, report)).await?;
        from = to + 1;
    }
    sum(expectations, report);
    Ok(suspects)
}

/// Everything that was published was committed before.
async fn published(
    sources: &Opened,
    expectations: &Expectations,
    stored: &[Stored],
    report: &mut Report,
) -> Result<(), Error> {
    let ids: Vec<SagaId> = stored.iter().map(|stored| stored.command.effect.saga).collect();
    let loaded = sources.store.load(&ids).await?;
    let sagas: BTreeMap<SagaId, &Saga> = loaded.sagas.iter().map(|saga| (saga.id, saga)).collect();
    let missing: Vec<SagaId> = ids.into_iter().filter(|id| !sagas.contains_key(id)).collect();
    let deleted = sources.store.deleted_among(&missing).await?;
    for Stored { seq, command, .. } in stored {
        let saga = command.effect.saga;
        let unreadable = loaded.unreadable.iter().any(|row| row.id == saga);
        if unreadable || expectations.strangers.contains(&saga) || deleted.contains_key(&saga) {
            continue;
        }
        if let Some(what) = differs(command, sagas.get(&saga).copied()) {
            report.saga(Invariant::I6, saga, what, format!("message {seq} of the stream of commands"));
        }
    }
    Ok(())
}

/// How a command is not what its saga has committed.
fn differs(command: &Command, saga: Option<&Saga>) -> Option<String> {
    let effect = &command.effect;
    let step = saga.and_then(|saga| saga.instance(&effect.step));
    let Some((step, decided)) = step.and_then(|step| Some((step, step.effect(effect.direction)?))) else {
        return Some(format!("{effect} was published, and no saga has decided it"));
    };
    if (effect.epoch, command.send_no) > (decided.epoch, decided.send_no) {
        let (number, epoch, committed) = (command.send_no, decided.epoch, decided.send_no);
        return Some(format!("{effect} was published as sending {number}; committed is {epoch}/{committed}"));
    }
    // Of an older epoch the row keeps neither data nor number.
    if effect.epoch < decided.epoch {
        return None;
    }
    let action = step.action_effect.as_ref();
    if command.undoes.as_ref().is_some_and(|undone| Some(undone.epoch) != action.map(|action| action.epoch)) {
        return Some(format!("{effect} was published to undo {:?}, which is not its action", command.undoes));
    }
    let empty = amends_contract::Json::from(serde_json::json!({}));
    let data = decided.data.as_ref().or_else(|| action?.data.as_ref()).unwrap_or(&empty);
    (!command.is_fence() && command.data != *data)
        .then(|| format!("{effect} was published with other data than was decided"))
}

/// Everything that was acknowledged has left a row; what has not is a suspect.
async fn acknowledged(
    sources: &Opened,
    (expectations, floors): (&Expectations, &BTreeMap<Token, (Timestamp, u64)>),
    stored: &[Stored],
    (suspects, report): (&mut Suspects, &mut Report),
) -> Result<(), Error> {
    let now = sources.store.now().await?;
    for (participant, (created_at, floor)) in floors {
        let acknowledged: Vec<&Stored> = stored
            .iter()
            .filter(|stored| stored.command.address.participant == *participant)
            .filter(|stored| stored.seq <= *floor && stored.stored_at > *created_at)
            .filter(|stored| !expectations.strangers.contains(&stored.command.effect.saga))
            .filter(|stored| stored.command.effect.saga.made_at() > now.minus_ms(expectations.horizon_ms))
            .collect();
        report.counters.acknowledged_commands += acknowledged.len() as u64;
        let effects: Vec<EffectId> =
            acknowledged.iter().map(|stored| stored.command.effect.clone()).collect();
        let rows = rows(sources, participant, &effects).await?;
        for stored in acknowledged {
            let effect = &stored.command.effect;
            if !rows.contains_key(&effect.to_string()) {
                let (effect, participant) = (effect.clone(), participant.clone());
                let Stored { seq, part, .. } = *stored;
                suspects.add(Suspect { effect, seq, element: part.element(), participant });
            }
        }
    }
    Ok(())
}

/// All sends against all effects (L5), where somebody knows the number of faults.
fn sum(expectations: &Expectations, report: &mut Report) {
    let Some(injected) = &expectations.injected else { return };
    let counters = &report.counters;
    let sends = counters.sends.max(counters.stored_commands);
    let explained = counters
        .effects
        .saturating_mul(injected.sends_per_fault.saturating_mul(injected.faults).saturating_add(1));
    if sends > explained {
        let what = format!(
            "{sends} sends of {} effects; {} faults explain {explained}",
            counters.effects, injected.faults
        );
        report.all(
            Invariant::L5,
            what,
            "the stream of commands: which effects are in it most often".to_owned(),
        );
    }
}

/// The commands in a message; what nobody can read is a dead letter.
fn read(message: &StoredMessage) -> Vec<Stored> {
    let (seq, stored_at) = (message.seq, message.stored_at);
    let commands = decode_batch(&message.body).unwrap_or_default().into_iter().filter_map(|decoded| {
        let command = Command::from_envelope(decoded.envelope.ok()?).ok()?;
        Some(Stored { seq, part: decoded.part, stored_at, command })
    });
    commands.collect()
}

/// What was set aside. Little: poison.
async fn letters(sources: &Opened) -> Result<BTreeSet<SetAside>, Error> {
    const LETTERS_COUNT: u32 = 20;
    let all = DeadLetterFilter::default();
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = sources.store.dead_letters(&all, cursor, LETTERS_COUNT).await?;
        let letters = page.rows.into_iter().filter_map(|row| row.letter.ok());
        found.extend(letters.map(|letter| (letter.participant, letter.stream_seq, letter.element)));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Whether the saga has taken such a reply to the effect, which the stream may have lost since.
pub(super) async fn is_journalled(
    sources: &Opened,
    effect: &EffectId,
    such: fn(&Outcome) -> bool,
) -> Result<bool, Error> {
    let mut after = 0;
    loop {
        let lines = sources.store.journal(effect.saga, after, LINES_COUNT).await?;
        let answered = lines
            .iter()
            .filter_map(|line| line.entry.as_ref().ok())
            .any(|entry| matches!(&entry.input, Input::Reply(reply) if reply.effect == *effect && such(&reply.outcome)));
        match lines.last() {
            Some(last) if !answered && lines.len() == LINES_COUNT as usize => after = last.seq,
            _ => return Ok(answered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_of_one_element_explains_no_other() {
        let inventory = Token::new("inventory").unwrap();
        let effect: EffectId = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/reserve-stock/do/1".parse().unwrap();
        let suspect =
            |element| Suspect { effect: effect.clone(), seq: 7, element, participant: inventory.clone() };
        let explained = |letter, element| {
            suspect(element).was_set_aside(&BTreeSet::from([(inventory.clone(), 7, letter)]))
        };
        assert!(explained(Some(1), Some(1)) && !explained(Some(1), Some(2)));
        assert!(!explained(Some(1), None) && explained(None, None));
        assert!(explained(None, Some(2)), "the whole batch was set aside");
        assert!(!suspect(None).was_set_aside(&BTreeSet::from([(inventory.clone(), 8, None)])));
    }
}
